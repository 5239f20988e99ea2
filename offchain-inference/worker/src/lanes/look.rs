// SPDX-License-Identifier: Apache-2.0

//! The work of lanes after a block: joining, reading the seats, settling, reporting. It blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use starling_lane::{book::Evidence, transport::Transport};
use starling_lane_primitives::{
    checkpoint::Checkpoint, seal::DecryptionKey, volunteer, Account, Certificate,
};
use starling_primitives::{
    api::lanes::{Epoch, EpochView, LaneId, LaneView, MemberView, ProgressView, SeatView},
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
use crate::{AccountId, Accounts, LOG_TARGET};

/// Epochs between that in which an agent joins and that in which it serves.
const AHEAD: Epoch = volunteer::AHEAD;

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
    /// Lanes whose requesters use this node, with their committees of this epoch and the next.
    pub found: Vec<Found>,
}

/// A lane with its committee in an epoch.
pub type Found = (LaneView<AccountId>, Epoch, Vec<MemberView<AccountId>>);

/// Checkpoints with the signatures of a quorum, and the block from which on this node may give
/// each to the chain.
pub type Ready = BTreeMap<(LaneId, Epoch), (Checkpoint, Certificate, BlockNumber)>;

/// Evidence against members, one for each seat, and the block from which on this node may give each
/// to the chain.
pub type Accused = BTreeMap<(LaneId, Epoch, Account), (Evidence, BlockNumber)>;

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
    /// The lanes whose requesters use this node.
    pub watched: Arc<Mutex<BTreeSet<LaneId>>>,
    /// The metrics.
    pub metrics: Metrics,
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
            found: vec![],
        };
        let first = epoch.epoch.saturating_sub(1);
        for (agent, key) in agents {
            if self.desk.is_willing() {
                self.join(&view, &agent, &key)?;
            }
            for of in first..=epoch.epoch.saturating_add(1) {
                for seat in self.chain.seats(&agent, of)? {
                    let lane = seat.lane.id;
                    if of <= epoch.epoch {
                        let progress = self.chain.progress(lane, of)?;
                        view.progress.insert((lane, of), progress);
                    }
                    view.seats.push((of, agent.clone(), seat));
                }
            }
        }
        let watched = self.watched.lock().clone();
        for lane in watched {
            for of in [epoch.epoch, epoch.epoch.saturating_add(1)] {
                view.found.extend(find(&*self.chain, lane, of)?);
            }
        }
        self.settle(&view);
        self.report(best);
        self.store.purge(best, first)?;
        Ok(Some(view))
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
        // The pool refuses it while an earlier one waits, or the bond is too small.
        match self.chain.join(join, signature) {
            Ok(()) => log::info!(target: LOG_TARGET, "volunteers for the lanes of epoch {epoch}"),
            Err(error) => {
                log::debug!(target: LOG_TARGET, "cannot join epoch {epoch} of lanes: {error}");
            },
        }
        Ok(())
    }

    /// Gives the checkpoints that are due to the chain.
    fn settle(&self, view: &View) {
        let due: Vec<_> = {
            let mut ready = self.ready.lock();
            ready.retain(|place, (checkpoint, ..)| {
                let progress = view.progress.get(place);
                progress.is_some_and(|progress| progress.next == checkpoint.first)
            });
            let due = ready.values().filter(|(.., from)| *from <= view.best);
            due.map(|(checkpoint, certificate, _)| (checkpoint.clone(), certificate.clone()))
                .collect()
        };
        for (checkpoint, certificate) in due {
            let Checkpoint {
                lane, epoch, first, ..
            } = checkpoint;
            match self.chain.settle(checkpoint, certificate) {
                Ok(()) => {
                    self.metrics.settled.inc();
                    log::info!(
                        target: LOG_TARGET,
                        "lane {lane}, epoch {epoch}: settles the requests from {first} on"
                    );
                },
                Err(error) => log::debug!(
                    target: LOG_TARGET,
                    "lane {lane}, epoch {epoch}: cannot settle from {first} on: {error}"
                ),
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

/// A lane with its committee, if it has one in this epoch.
pub fn find(chain: &dyn LaneChain, lane: LaneId, epoch: Epoch) -> Result<Option<Found>, String> {
    let (lane, members) = (chain.lane(lane)?, chain.committee(lane, epoch)?);
    let found = lane.zip(members);
    Ok(found.map(|(lane, members)| (lane, epoch, members)))
}

fn random() -> Result<EpochSecret, String> {
    let mut bytes = [0; 64];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(format!("the system gives no randomness: {error}")),
    }
}
