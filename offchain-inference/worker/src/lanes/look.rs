// SPDX-License-Identifier: Apache-2.0

//! The work of lanes after a block: joining, reading the seats, settling, reporting. It blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use starling_lane::{book::Evidence, transport::Transport, wire::Place};
use starling_lane_primitives::{
    checkpoint::Checkpoint, seal::DecryptionKey, volunteer, Account, Certificate, Hash,
};
use starling_primitives::{
    api::lanes::{CommitteeView, Epoch, EpochView, LaneId, LaneView, ProgressView, SeatView},
    round::BlockNumber,
    InferenceKey,
};

use super::{
    chain::{InForce, Join, LaneChain},
    desk::Desk,
    metrics::Metrics,
    room::EpochSecret,
    store::Store,
};
use crate::{chain::NOT_POOLED, AccountId, Accounts, LOG_TARGET};

/// Epochs between that in which an agent joins and that in which it serves.
const AHEAD: Epoch = volunteer::AHEAD;

/// The number of blocks of an epoch in which a fork may still draw other committees.
const FORKS: BlockNumber = 3;

/// The chain's view of lanes.
#[derive(Clone, Debug)]
pub struct View {
    /// The best block.
    pub best: BlockNumber,
    /// The present epoch.
    pub epoch: EpochView,
    /// The rules in force.
    pub in_force: InForce,
    /// The seats of this node's agents: those of the last epoch, this one and the next.
    pub seats: Vec<(Epoch, AccountId, SeatView<AccountId>)>,
    /// The progress of their lanes' settlements.
    pub progress: BTreeMap<(LaneId, Epoch), ProgressView>,
    /// The lanes in which the bond of this node's member is locked or free, in the present epoch.
    pub liable: BTreeSet<LaneId>,
    /// The escalated requests of the blocks that committees have come to ahead of the chain, by the
    /// first ones of those: bit `i` is request `first + i`.
    pub escalated: BTreeMap<(LaneId, Epoch, u32), u64>,
    /// Lanes whose requesters use this node, with their committees of this epoch and the next.
    pub found: Vec<Found>,
}

/// A lane with its committee in an epoch.
pub type Found = (LaneView<AccountId>, Epoch, CommitteeView<AccountId>);

/// Checkpoints with the signatures of a quorum, and the block from which on this node may give
/// each to the chain.
pub type Ready = BTreeMap<(LaneId, Epoch), (Checkpoint, Certificate, BlockNumber)>;

/// Evidence against members, one for each seat, and the block from which on this node may give each
/// to the chain.
pub type Accused = BTreeMap<(LaneId, Epoch, Account), (Evidence, BlockNumber)>;

/// Certificates of escalated requests, with their outcomes, and the block from which on this node
/// may show each to the chain.
pub type Shown = BTreeMap<Place, (Hash, Certificate, BlockNumber)>;

/// The first requests of the blocks that committees have come to ahead of the chain: those before
/// are never settled.
pub type Ahead = BTreeMap<(LaneId, Epoch), u32>;

/// The draws so far. The chain draws anew for each question, from all volunteers.
#[derive(Default)]
pub struct Drawn {
    seats: BTreeMap<(AccountId, Epoch), Vec<SeatView<AccountId>>>,
    committees: BTreeMap<(LaneId, Epoch), CommitteeView<AccountId>>,
}

/// Looks at the chain.
pub struct Look {
    /// The chain.
    pub chain: Arc<dyn LaneChain>,
    /// The agents that the node works for.
    pub accounts: Accounts,
    /// The agent.
    pub desk: Arc<dyn Desk>,
    /// The secrets.
    pub store: Arc<Store>,
    /// The network.
    pub transport: Arc<dyn Transport>,
    /// Checkpoints that are ready.
    pub ready: Arc<Mutex<Ready>>,
    /// Evidence that the chain does not have yet.
    pub accused: Arc<Mutex<Accused>>,
    /// Certificates that the chain does not have yet.
    pub shown: Arc<Mutex<Shown>>,
    /// The lanes whose requesters use this node, and the epochs in which they did last.
    pub watched: Arc<Mutex<BTreeMap<LaneId, Epoch>>>,
    /// The blocks whose escalations are wanted.
    pub ahead: Arc<Mutex<Ahead>>,
    /// The metrics.
    pub metrics: Metrics,
    /// The seats and the committees that were drawn.
    pub drawn: Mutex<Drawn>,
    /// The last failure of each task, by its epoch and its name.
    pub failures: Mutex<BTreeMap<(Epoch, String), String>>,
}

impl Look {
    /// Looks once. `None` if the chain has no lanes.
    pub fn look(&self) -> Result<Option<View>, String> {
        let Some((best, epoch)) = self.chain.now()? else {
            return Ok(None);
        };
        let in_force = self.chain.in_force()?;
        let mut agents = self.chain.agents()?;
        agents.retain(|(agent, _)| self.accounts.contains(agent));
        let mut view = View {
            best,
            epoch,
            in_force,
            seats: vec![],
            progress: BTreeMap::new(),
            liable: BTreeSet::new(),
            escalated: BTreeMap::new(),
            found: vec![],
        };
        let first = epoch.epoch.saturating_sub(1);
        for (agent, key) in agents {
            if self.desk.is_willing() {
                self.join(&view, &agent, &key)?;
            }
            for of in first..=epoch.epoch.saturating_add(1) {
                for seat in self.seats(&view, &agent, of)? {
                    let lane = seat.lane.id;
                    if of <= epoch.epoch {
                        let progress = self.chain.progress(lane, of)?;
                        view.progress.insert((lane, of), progress);
                    }
                    if of == epoch.epoch && self.is_liable(&agent, lane, of)? {
                        view.liable.insert(lane);
                    }
                    view.seats.push((of, agent.clone(), seat));
                }
            }
        }
        let ahead = self.ahead.lock().clone();
        for ((lane, of), next) in ahead {
            let escalated = self.chain.escalations(lane, of, next)?;
            view.escalated.insert((lane, of, next), escalated);
        }
        let watched: Vec<LaneId> = self.watched.lock().keys().copied().collect();
        for lane in watched {
            for of in [epoch.epoch, epoch.epoch.saturating_add(1)] {
                view.found.extend(self.find(best, &epoch, lane, of)?);
            }
        }
        let mut drawn = self.drawn.lock();
        drawn.seats.retain(|(_, of), _| *of >= first);
        drawn.committees.retain(|(_, of), _| *of >= first);
        drop(drawn);
        self.failures.lock().retain(|(of, _), _| *of >= first);
        self.settle(&view);
        self.show(best);
        self.report(best);
        self.store.purge(best, first)?;
        Ok(Some(view))
    }

    /// The seats of an agent. They are drawn once, and their lanes are read in each block.
    fn seats(
        &self,
        view: &View,
        agent: &AccountId,
        of: Epoch,
    ) -> Result<Vec<SeatView<AccountId>>, String> {
        let key = (agent.clone(), of);
        let known = self.drawn.lock().seats.get(&key).cloned();
        let known = known.filter(|_| is_fixed(view.best, &view.epoch));
        let Some(known) = known else {
            let seats = self.chain.seats(agent, of)?;
            self.drawn.lock().seats.insert(key, seats.clone());
            return Ok(seats);
        };
        let mut seats = vec![];
        for seat in known {
            let lane = self.chain.lane(seat.lane.id)?;
            let is_served =
                |lane: &LaneView<AccountId>| lane.last_epoch.is_none_or(|last| last >= of);
            if let Some(lane) = lane.filter(is_served) {
                seats.push(SeatView { lane, ..seat });
            }
        }
        Ok(seats)
    }

    /// A lane whose requester uses this node with its committee in this epoch or the next, if it
    /// has one.
    pub fn find(
        &self,
        best: BlockNumber,
        now: &EpochView,
        lane: LaneId,
        of: Epoch,
    ) -> Result<Option<Found>, String> {
        let is_near = of.checked_sub(now.epoch).is_some_and(|ahead| ahead <= 1);
        let (local, view) = (self.transport.local(), self.chain.lane(lane)?);
        let is_ours = |view: &LaneView<AccountId>| local.is_some() && view.terms.peer == local;
        let Some(view) = view.filter(|view| is_near && is_ours(view)) else {
            return Ok(None);
        };
        let key = (lane, of);
        let known = self.drawn.lock().committees.get(&key).cloned();
        if let Some(committee) = known.filter(|_| is_fixed(best, now)) {
            return Ok(Some((view, of, committee)));
        }
        let committee = self.chain.committee(lane, of)?;
        Ok(committee.map(|committee| {
            let mut drawn = self.drawn.lock();
            drawn.committees.insert(key, committee.clone());
            (view, of, committee)
        }))
    }

    fn is_liable(&self, agent: &AccountId, lane: LaneId, of: Epoch) -> Result<bool, String> {
        let is_liable = self.chain.is_liable(agent, lane, of)?;
        let told = is_liable.then_some(());
        let told = told.ok_or("the bond for it is not free, so the agent only looks on".into());
        self.note(of, format!("seat of {agent} in lane {lane}"), told);
        Ok(is_liable)
    }

    fn join(&self, view: &View, agent: &AccountId, key: &InferenceKey) -> Result<(), String> {
        let epoch = view.epoch.epoch.saturating_add(AHEAD);
        if self.chain.has_joined(agent, epoch)? {
            return Ok(());
        }
        let peer = self.transport.local();
        let peer = peer.ok_or("the network identity of this node has no ed25519 key")?;
        let secret = self.store.secret(agent, epoch, random)?;
        let point = DecryptionKey::from_bytes(&secret).public();
        let (genesis, account) = (view.in_force.rules.genesis.0, agent.clone().into());
        let payload = volunteer::join(&genesis, &account, epoch, &point, &peer);
        let signature = self.chain.sign(key, &payload);
        let signature = signature.ok_or("the keystore cannot sign for the agent")?;
        let join = Join {
            agent: agent.clone(),
            epoch,
            point,
            peer,
        };
        let joined = self.chain.join(join, signature);
        let joined = joined.map_err(|error| {
            format!("{error}; the agent may have too little free bond: see `docs/fast-lane.md`")
        });
        if self.note(epoch, format!("volunteering of {agent}"), joined) {
            log::info!(target: LOG_TARGET, "volunteers for the lanes of epoch {epoch}");
        }
        Ok(())
    }

    /// Whether a task has succeeded. A failure is told once. That the pool takes nothing is none
    /// after a success: it has the transaction.
    fn note(&self, epoch: Epoch, task: String, done: Result<(), String>) -> bool {
        let mut failures = self.failures.lock();
        let key = (epoch, task);
        match done {
            Ok(()) => {
                failures.insert(key, String::new());
                true
            },
            Err(error) => {
                let known = failures.get(&key);
                let is_waiting =
                    known.is_some_and(String::is_empty) && error.starts_with(NOT_POOLED);
                if !is_waiting && known != Some(&error) {
                    log::warn!(target: LOG_TARGET, "lanes of epoch {epoch}: {}: {error}", key.1);
                    failures.insert(key, error);
                }
                false
            },
        }
    }

    /// Gives the checkpoints that are due to the chain.
    fn settle(&self, view: &View) {
        let due: Vec<_> = {
            let mut ready = self.ready.lock();
            ready.retain(|place, (checkpoint, ..)| {
                let progress = view.progress.get(place);
                progress.is_some_and(|progress| progress.next <= checkpoint.first)
            });
            let due = ready.values().filter(|(.., from)| *from <= view.best);
            due.map(|(checkpoint, certificate, _)| (checkpoint.clone(), certificate.clone()))
                .collect()
        };
        for (checkpoint, certificate) in due {
            let Checkpoint {
                lane, epoch, first, ..
            } = checkpoint;
            let settled = self.chain.settle(checkpoint, certificate);
            let task = format!("settlement of lane {lane} from request {first} on");
            if self.note(epoch, task, settled) {
                self.metrics.settled.inc();
                log::info!(
                    target: LOG_TARGET,
                    "lane {lane}, epoch {epoch}: settles the requests from {first} on"
                );
            }
        }
    }

    /// Shows the certificates that are due to the chain, in each block until the request is no
    /// longer escalated.
    fn show(&self, best: BlockNumber) {
        let due: Vec<_> = {
            let shown = self.shown.lock();
            let due = shown.iter().filter(|(_, (.., from))| *from <= best);
            due.map(|(place, (outcome, certificate, _))| (*place, *outcome, certificate.clone()))
                .collect()
        };
        for (place, outcome, certificate) in due {
            let Place { lane, epoch, seq } = place;
            let shown = self.chain.show(place, outcome, certificate);
            let task = format!("certificate of lane {lane}, request {seq}");
            if self.note(epoch, task, shown) {
                log::info!(
                    target: LOG_TARGET,
                    "lane {lane}, epoch {epoch}: shows the certificate of request {seq}, which was \
                     escalated"
                );
            }
        }
    }

    /// Gives the evidence that is due to the chain, in each block until that wants no more of it.
    fn report(&self, best: BlockNumber) {
        let due: Vec<_> = {
            let accused = self.accused.lock();
            let due = accused.iter().filter(|(_, (_, from))| *from <= best);
            due.map(|(seat, (evidence, _))| (*seat, evidence.clone()))
                .collect()
        };
        for (seat, evidence) in due {
            let (lane, epoch, _) = seat;
            match self.chain.report(evidence) {
                Ok(true) => log::info!(
                    target: LOG_TARGET,
                    "lane {lane}, epoch {epoch}: reports a member that signed two things"
                ),
                Ok(false) => {
                    self.accused.lock().remove(&seat);
                },
                Err(error) => log::debug!(
                    target: LOG_TARGET,
                    "lane {lane}, epoch {epoch}: cannot report a member: {error}"
                ),
            }
        }
    }
}

/// Whether no fork of the chain is expected to draw other committees.
fn is_fixed(best: BlockNumber, epoch: &EpochView) -> bool {
    best >= epoch.began.saturating_add(FORKS)
}

fn random() -> Result<EpochSecret, String> {
    let mut bytes = [0; 64];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(format!("the system gives no randomness: {error}")),
    }
}
