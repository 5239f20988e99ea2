// SPDX-License-Identifier: Apache-2.0

//! The work of an agent for disputes after a block. It blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{catch_unwind, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use codec::DecodeAll;
use futures::{FutureExt, StreamExt};
use parking_lot::{Mutex, RwLock};
use sc_client_api::BlockchainEvents;
use sp_core::H256;
use sp_runtime::traits::Block as BlockT;
use starling_evidence::{
    exhibit::MAX_EXHIBIT,
    messages::{self, Accusation},
    Digest, Exhibit, Finding, ModelId,
};
use starling_primitives::{
    api::disputes::{CaseId, DutyView, Phase},
    round::BlockNumber,
};
use starling_shards::{
    auth::Identity,
    integrity::{is_plain, Archive, Case, Room},
    Service,
};
use substrate_prometheus_endpoint::{PrometheusError, Registry};
use tokio::task::spawn_blocking;

use super::{
    chain::{CourtChain, Signature},
    metrics::{Metrics, FAILED},
    models, replay,
    store::{Found, Store},
};
use crate::{
    agent::Agent,
    executor::Executor,
    file::ModelFile,
    problems::Problems,
    queue::{lower_priority, Queue},
    AccountId, LOG_TARGET,
};

/// Blocks between two tries to send one message: the pool holds it meanwhile.
const AGAIN: BlockNumber = 4;

/// Blocks between a replay that failed and the next try: each loads the model.
const REST: BlockNumber = 30;

/// The topic of problems with replays: one for all cases, since nothing solves those of cases that
/// are over.
const REPLAY: &str = "a replay for a dispute";

/// Blocks between two looks at the archive of evidence.
const LOOK: BlockNumber = 10;

/// Blocks between two canaries, at least.
const CANARY: BlockNumber = 600;

/// Blocks before the end of a phase in which an executor that was shown no exhibit says so. A node
/// that never answers takes [`SHOW`] of them, the queue and the pool some more, and silence costs a
/// stake.
const LAST_CALL: BlockNumber = 30;

/// Time for the node that shows an exhibit.
const SHOW: Duration = Duration::from_secs(10);

/// Most accusations by one file of evidence: the chain may lose one, and opens another case about
/// claims on which it has ruled nothing.
const ACCUSATIONS: u8 = 3;

/// The error of the chain while a case about a claim is open.
const OPEN: &str = "AlreadyAccused";

/// Errors of the chain after which an accusation may succeed later.
const LATER: [&str; 6] = [
    // Another accuser may show no exhibit, and then nobody is judged.
    "AlreadyAccused",
    "TooManyCases",
    "TooManyAgainst",
    "BondNotFree",
    "NotAnAgent",
    "FromTheFuture",
];

/// A committee that this node's agent is in: the case and the draw.
type Seat = (CaseId, Digest);

/// The memory of the court between blocks.
#[derive(Default)]
struct State {
    /// The models held, and the agent whose configuration names them.
    models: Option<(Weak<Agent>, BTreeMap<ModelId, ModelFile>)>,
    /// Replays that wait or run.
    running: BTreeSet<Seat>,
    /// The blocks from which on replays may be tried again, and messages sent again.
    not_before: BTreeMap<Attempt, BlockNumber>,
    /// Files of evidence that need no further look.
    done: BTreeSet<PathBuf>,
    /// Numbers of accusations by files of evidence.
    accusations: BTreeMap<PathBuf, u8>,
}

/// Something that is tried now and then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attempt {
    Canary,
    Look,
    Hold,
    Replay(Seat),
    Commit(Seat),
    Reveal(Seat),
    Accuse(PathBuf),
}

/// The parts of a node that its court uses.
pub struct Parts {
    /// The chain.
    pub chain: Arc<dyn CourtChain>,
    /// The agent of this node.
    pub identity: Arc<dyn Identity>,
    /// The shards.
    pub service: Arc<Service>,
    /// The folder of evidence.
    pub evidence: PathBuf,
    /// The folder of findings.
    pub findings: PathBuf,
}

/// An agent's part in disputes.
pub struct Court {
    parts: Parts,
    archive: Archive,
    findings: Store,
    queue: Arc<RwLock<Queue>>,
    executor: Arc<Executor>,
    metrics: Metrics,
    problems: Problems,
    /// Locked while canaries are under way.
    canaries: Arc<Mutex<()>>,
    state: Mutex<State>,
}

/// A replay that waits or runs. It ends when this is dropped, whether it ran or not.
struct Replay {
    court: Arc<Court>,
    seat: Seat,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.court.rest(self.seat);
        }
        self.court.state.lock().running.remove(&self.seat);
    }
}

impl Court {
    pub(crate) fn new(
        parts: Parts,
        queue: Arc<RwLock<Queue>>,
        executor: Arc<Executor>,
        registry: Option<&Registry>,
    ) -> Result<Arc<Self>, PrometheusError> {
        Ok(Arc::new(Self {
            archive: Archive::new(&parts.evidence, Room::default()),
            findings: Store::new(&parts.findings),
            parts,
            queue,
            executor,
            metrics: Metrics::new(registry)?,
            problems: Problems::default(),
            canaries: Arc::default(),
            state: Mutex::default(),
        }))
    }

    /// Follows the chain, until the node ends.
    pub async fn follow<Block, Client>(self: Arc<Self>, client: Arc<Client>)
    where
        Block: BlockT,
        Client: BlockchainEvents<Block>,
    {
        let mut blocks = client.import_notification_stream().fuse();
        while blocks.next().await.is_some() {
            while let Some(Some(_)) = blocks.next().now_or_never() {}
            let court = self.clone();
            let looked = spawn_blocking(move || court.on_block()).await;
            let looked = looked.unwrap_or_else(|error| Err(error.to_string()));
            self.problems.note("disputes", looked);
        }
    }

    /// Does what is due after the best block.
    pub fn on_block(self: &Arc<Self>) -> Result<(), String> {
        let Some(now) = self.parts.chain.now()? else {
            return Ok(());
        };
        let Some(account) = self.parts.identity.account() else {
            return Ok(());
        };
        let agent = AccountId::from(account);
        self.look_at_models();
        // No failure keeps the agent from what else is due.
        let mut done = vec![self.judge(&agent, now)];
        if self.parts.chain.are_open()? {
            done.push(self.hold(&agent, now));
            if self.executor.agent().config().disputes {
                done.push(self.look_around(&agent, now));
            }
        }
        done.into_iter().collect()
    }

    /// Does what is due once in a while.
    fn look_around(&self, agent: &AccountId, now: BlockNumber) -> Result<(), String> {
        // The first one goes out with the first use: sessions end while nobody asks, and a fixed time
        // would rarely meet one.
        let has_use = self.parts.service.has_use_for_canaries();
        if has_use && self.is_time(Attempt::Canary, CANARY, now) {
            let sent = self.send_canaries();
            self.problems.note("canaries", sent);
        }
        if !self.is_time(Attempt::Look, LOOK, now) {
            return Ok(());
        }
        self.accuse(agent, now).and(self.forget(now))
    }

    /// Sends canaries. Servers may let them wait, so no thread of the queue waits with them.
    fn send_canaries(&self) -> Result<(), String> {
        let (service, turn) = (self.parts.service.clone(), self.canaries.clone());
        let niceness = self.queue.read().size().niceness;
        let work = contained(move || {
            let Some(_alone) = turn.try_lock() else {
                return;
            };
            lower_priority(niceness);
            service.canaries();
        });
        let thread = std::thread::Builder::new().name("canary".into());
        let started = thread.spawn(work);
        started.map(drop).map_err(|error| error.to_string())
    }

    /// Whether something may be tried in this block. Then not again for some blocks.
    fn may(&self, what: Attempt, now: BlockNumber) -> bool {
        self.is_time(what, AGAIN, now)
    }

    /// Whether it is time for something that is done once in so many blocks.
    fn is_time(&self, what: Attempt, every: BlockNumber, now: BlockNumber) -> bool {
        let mut state = self.state.lock();
        let waits = state.not_before.get(&what).is_some_and(|at| *at > now);
        if !waits {
            state.not_before.insert(what, now.saturating_add(every));
        }
        !waits
    }

    /// Reads which models the node holds, whenever its configuration is another one.
    fn look_at_models(&self) {
        let agent = self.executor.agent();
        let weak = Arc::downgrade(&agent);
        let is_known = |state: &State| {
            let known = state.models.as_ref();
            known.is_some_and(|(known, _)| known.ptr_eq(&weak))
        };
        if is_known(&self.state.lock()) {
            return;
        }
        let held = models::held(agent.config());
        self.metrics.held.set(held.len() as u64);
        self.state.lock().models = Some((weak, held));
    }

    fn file(&self, model: &ModelId) -> Option<ModelFile> {
        let state = self.state.lock();
        let (_, held) = state.models.as_ref()?;
        held.get(model).cloned()
    }

    fn sign(&self, payload: &Digest) -> Result<Signature, String> {
        let signature = self.parts.identity.sign(payload);
        signature.ok_or_else(|| "the keystore does not sign with the inference key".into())
    }

    /// Says on the chain which models are held, if it does not know.
    fn hold(&self, agent: &AccountId, now: BlockNumber) -> Result<(), String> {
        let wanted: Vec<ModelId> = {
            let state = self.state.lock();
            let held = state.models.as_ref();
            held.map(|(_, held)| held.keys().copied().collect())
                .unwrap_or_default()
        };
        let chain = &self.parts.chain;
        if chain.held(agent)? == wanted || !self.may(Attempt::Hold, now) {
            return Ok(());
        }
        let payload = messages::hold(&chain.genesis(), agent.as_ref(), &wanted, now);
        let signature = self.sign(&payload)?;
        chain.hold(agent, wanted, now, signature)?;
        self.metrics.sent("hold");
        Ok(())
    }

    /// Does what is due in the committees that the agent is in.
    fn judge(self: &Arc<Self>, agent: &AccountId, now: BlockNumber) -> Result<(), String> {
        let duties = self.parts.chain.duties(agent)?;
        self.metrics.duties.set(duties.len() as u64);
        let mut done = Ok(());
        for duty in duties {
            done = done.and(self.serve(agent, duty, now));
        }
        done
    }

    /// Does what is due in one committee.
    fn serve(
        self: &Arc<Self>,
        agent: &AccountId,
        duty: DutyView,
        now: BlockNumber,
    ) -> Result<(), String> {
        let seat = (duty.case, duty.draw.0);
        let found = self.findings.get(seat.0, &seat.1);
        match (found.map_err(|error| error.to_string())?, duty.phase) {
            (Some(found), Phase::Committing) => self.commit(agent, seat, &found, now),
            (Some(found), Phase::Revealing) => self.reveal(agent, seat, found, now),
            (None, Phase::Committing) => {
                self.order(seat, duty, now);
                Ok(())
            },
            _ => Ok(()),
        }
    }

    fn commit(
        &self,
        agent: &AccountId,
        seat: Seat,
        found: &Found,
        now: BlockNumber,
    ) -> Result<(), String> {
        if !self.may(Attempt::Commit(seat), now) {
            return Ok(());
        }
        let chain = &self.parts.chain;
        let (genesis, (case, draw)) = (chain.genesis(), seat);
        let Found { finding, salt } = found;
        let commitment = finding.commitment(&genesis, agent.as_ref(), case, &draw, salt);
        let payload = messages::commit(&genesis, agent.as_ref(), case, &draw, &commitment);
        let signature = self.sign(&payload)?;
        chain.commit(case, agent, H256(commitment), signature)?;
        self.metrics.sent("commit");
        Ok(())
    }

    fn reveal(
        &self,
        agent: &AccountId,
        seat: Seat,
        found: Found,
        now: BlockNumber,
    ) -> Result<(), String> {
        if !self.may(Attempt::Reveal(seat), now) {
            return Ok(());
        }
        let Found { finding, salt } = found;
        self.parts.chain.reveal(seat.0, agent, finding, salt)?;
        self.metrics.sent("reveal");
        Ok(())
    }

    /// Orders a replay, unless it waits or runs already.
    fn order(self: &Arc<Self>, seat: Seat, duty: DutyView, now: BlockNumber) {
        if !self.may(Attempt::Replay(seat), now) || !self.state.lock().running.insert(seat) {
            return;
        }
        let replay = Replay {
            court: self.clone(),
            seat,
        };
        let job = contained(move || {
            let replay = &replay;
            replay.court.replay(seat, &duty);
        });
        if !self.queue.read().push_last(job) {
            log::warn!(target: LOG_TARGET, "case {}: too many replays wait", seat.0);
        }
    }

    /// Computes a disputed span again, and stores the finding.
    fn replay(&self, (case, draw): Seat, duty: &DutyView) {
        let of_case = |error: String| format!("case {case}: {error}");
        let outcome = match self.find((case, draw), duty) {
            Ok(None) => return,
            Ok(Some(finding)) => {
                let name = name(&finding);
                let stored = self.keep((case, draw), finding).map_err(of_case);
                self.problems.note(REPLAY, stored).map(|()| name)
            },
            Err(error) => {
                self.problems.found(REPLAY, of_case(error));
                None
            },
        };
        if outcome.is_none() {
            self.rest((case, draw));
        }
        let outcome = outcome.unwrap_or(FAILED);
        self.metrics.replays.with_label_values(&[outcome]).inc();
        log::info!(target: LOG_TARGET, "case {case}: the replay is {outcome}");
    }

    /// Leaves a replay that failed alone for some blocks.
    fn rest(&self, seat: Seat) {
        let now = self.parts.chain.now().ok().flatten().unwrap_or_default();
        let again = now.saturating_add(REST);
        let mut state = self.state.lock();
        state.not_before.insert(Attempt::Replay(seat), again);
    }

    /// The finding on a case; `None` while there is still time for an exhibit, and once there is
    /// none for a finding.
    fn find(&self, (case, draw): Seat, duty: &DutyView) -> Result<Option<Finding>, String> {
        if self.parts.chain.now()?.is_none_or(|now| now >= duty.due) {
            // It has waited behind answers for too long.
            return Ok(None);
        }
        let Some(exhibit) = self.exhibit(case, &duty.accusation) else {
            let now = self.parts.chain.now()?.unwrap_or_default();
            let is_late = now.saturating_add(LAST_CALL) >= duty.due;
            return Ok(is_late.then_some(Finding::Unavailable));
        };
        let evidence = &duty.accusation.evidence;
        let model = evidence.first.claim.body.model;
        let file = self.file(&model).ok_or("the model is not held any more")?;
        let path = file.path()?;
        let threads = self.executor.agent().config().threads;
        let found = replay::find(&path, threads, evidence, &exhibit, &draw);
        found.map(Some).map_err(|error| error.to_string())
    }

    /// The exhibit of a case: from the chain, or from the node that shows it.
    fn exhibit(&self, case: CaseId, accusation: &Accusation) -> Option<Exhibit> {
        let evidence = &accusation.evidence;
        let is_good = |exhibit: &Exhibit| exhibit.admit(evidence, MAX_EXHIBIT).is_ok();
        let published = self.parts.chain.exhibit(case).ok().flatten();
        let published = published.and_then(|bytes| Exhibit::decode_all(&mut &*bytes).ok());
        if let Some(exhibit) = published.filter(is_good) {
            return Some(exhibit);
        }
        let shown = self
            .parts
            .service
            .exhibit(&accusation.shown_by, evidence, SHOW);
        match shown {
            Ok(exhibit) => Some(exhibit).filter(is_good),
            Err(error) => {
                log::debug!(target: LOG_TARGET, "case {case}: no exhibit yet: {error}");
                None
            },
        }
    }

    fn keep(&self, (case, draw): Seat, finding: Finding) -> Result<(), String> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
        let found = Found { finding, salt };
        let put = self.findings.put(case, &draw, &found);
        put.map_err(|error| error.to_string())
    }

    /// Accuses the servers that the kept evidence is about, as far as a committee can judge it.
    fn accuse(&self, agent: &AccountId, now: BlockNumber) -> Result<(), String> {
        // Without a folder there is no evidence yet.
        let paths = self.archive.paths().unwrap_or_default();
        {
            let mut state = self.state.lock();
            state.done.retain(|path| paths.contains(path));
            state.accusations.retain(|path, _| paths.contains(path));
        }
        let mut done = Ok(());
        for path in paths {
            let is_done = self.state.lock().done.contains(&path);
            if is_done || !self.may(Attempt::Accuse(path.clone()), now) {
                continue;
            }
            match self.accuse_by(agent, &path) {
                Ok(true) => {
                    self.state.lock().done.insert(path);
                },
                Ok(false) => {},
                Err(error) => done = Err(error),
            }
        }
        done
    }

    /// Accuses by a file of evidence. Returns whether it needs no further look.
    fn accuse_by(&self, agent: &AccountId, path: &Path) -> Result<bool, String> {
        let (chain, service) = (&self.parts.chain, &self.parts.service);
        let Ok(case) = Case::read(path) else {
            return Ok(true);
        };
        if case.exhibit.tokens.is_empty() {
            // A user's rows: they are shown to nobody.
            return Ok(true);
        }
        let accusation = Accusation {
            network: case.network,
            evidence: case.evidence,
            shown_by: service.local(),
        };
        let is_open = match chain.can_accuse(agent, &accusation)? {
            Ok(()) => false,
            Err(error) if error == OPEN => true,
            Err(error) => {
                log::debug!(target: LOG_TARGET, "{}: no accusation: {error}", path.display());
                return Ok(!LATER.contains(&&*error));
            },
        };
        let before = self.accusations(path);
        // The bond of an accuser is lost where both are cleared.
        let is_worth =
            before < ACCUSATIONS && is_plain(&accusation.evidence, &case.exhibit).unwrap_or(false);
        if !is_open && !is_worth {
            // What this agent does not accuse of again, its operator still may.
            return Ok(false);
        }
        // Exhibits of open cases alone take one of the few places, also after a restart.
        if let Err(fault) = service.show(&accusation.evidence, case.exhibit) {
            log::debug!(target: LOG_TARGET, "{}: {fault}", path.display());
            return Ok(true);
        }
        if is_open {
            return Ok(false);
        }
        let payload = messages::accuse(&chain.genesis(), agent.as_ref(), &accusation);
        let signature = self.sign(&payload)?;
        chain.accuse(agent, accusation, signature)?;
        self.metrics.sent("accuse");
        log::warn!(
            target: LOG_TARGET,
            "accusing the agents of {}; `starling disputes list` shows the case",
            path.display()
        );
        let number = before.saturating_add(1);
        self.state.lock().accusations.insert(path.into(), number);
        // The next look finds the case open, or accuses again.
        Ok(false)
    }

    /// Number of accusations by a file of evidence.
    fn accusations(&self, path: &Path) -> u8 {
        let state = self.state.lock();
        state.accusations.get(path).copied().unwrap_or_default()
    }

    /// Forgets the findings on cases that are over, and when something was tried long ago.
    fn forget(&self, now: BlockNumber) -> Result<(), String> {
        self.state.lock().not_before.retain(|_, at| *at > now);
        let is_open = |case: CaseId| match self.parts.chain.case(case) {
            Ok(Some(view)) => view.phase != Phase::Closed,
            Ok(None) => false,
            Err(_) => true,
        };
        let retained = self.findings.retain(is_open);
        retained.map_err(|error| error.to_string())
    }
}

fn name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Computed(_) => "computed",
        Finding::Unavailable => "unavailable",
        Finding::Unnatural => "unnatural",
    }
}

/// Work that does not panic.
fn contained(work: impl FnOnce() + Send + 'static) -> Box<dyn FnOnce() + Send> {
    Box::new(move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            log::error!(target: LOG_TARGET, "work for a dispute crashed");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{executor::Finished, metrics::Metrics as WorkerMetrics, queue::Size, vault::Vault};
    use futures::channel::mpsc::{unbounded, UnboundedReceiver};
    use sha2::{Digest as _, Sha256};
    use starling_evidence::{Claim, Code, Evidence, History, Peer, Signed, SignedOutput};
    use starling_primitives::api::disputes::CaseView;
    use starling_shards::{
        integrity::judge,
        simulated_network::{Agent as Signer, Agents, Network},
        ServiceConfig,
    };
    use tempfile::TempDir;

    const GENESIS: [u8; 32] = [7; 32];

    /// A chain that writes down what it is told.
    #[derive(Default)]
    struct Told {
        now: Mutex<BlockNumber>,
        duties: Mutex<Vec<DutyView>>,
        refuses: Mutex<Option<String>>,
        accused: Mutex<Vec<Accusation>>,
        committed: Mutex<Vec<H256>>,
        revealed: Mutex<Vec<(Finding, [u8; 32])>>,
    }

    impl CourtChain for Told {
        fn now(&self) -> Result<Option<BlockNumber>, String> {
            Ok(Some(*self.now.lock()))
        }

        fn are_open(&self) -> Result<bool, String> {
            Ok(true)
        }

        fn genesis(&self) -> [u8; 32] {
            GENESIS
        }

        fn duties(&self, _: &AccountId) -> Result<Vec<DutyView>, String> {
            Ok(self.duties.lock().clone())
        }

        fn case(&self, _: CaseId) -> Result<Option<CaseView<AccountId>>, String> {
            Err("not asked".into())
        }

        fn exhibit(&self, _: CaseId) -> Result<Option<Vec<u8>>, String> {
            Ok(None)
        }

        fn held(&self, _: &AccountId) -> Result<Vec<ModelId>, String> {
            Ok(vec![])
        }

        fn can_accuse(&self, _: &AccountId, _: &Accusation) -> Result<Result<(), String>, String> {
            Ok(self.refuses.lock().clone().map_or(Ok(()), Err))
        }

        fn accuse(
            &self,
            _: &AccountId,
            accusation: Accusation,
            _: Signature,
        ) -> Result<(), String> {
            self.accused.lock().push(accusation);
            Ok(())
        }

        fn hold(
            &self,
            _: &AccountId,
            _: Vec<ModelId>,
            _: BlockNumber,
            _: Signature,
        ) -> Result<(), String> {
            Err("it holds nothing".into())
        }

        fn commit(
            &self,
            _: CaseId,
            _: &AccountId,
            commitment: H256,
            _: Signature,
        ) -> Result<(), String> {
            self.committed.lock().push(commitment);
            Ok(())
        }

        fn reveal(
            &self,
            _: CaseId,
            _: &AccountId,
            finding: Finding,
            salt: [u8; 32],
        ) -> Result<(), String> {
            self.revealed.lock().push((finding, salt));
            Ok(())
        }
    }

    /// A node with a court, and the chain that it tells.
    struct Bench {
        court: Arc<Court>,
        chain: Arc<Told>,
        service: Arc<Service>,
        archive: Archive,
        _finishes: UnboundedReceiver<Finished>,
        _folder: TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let network = Network::new();
            let (agents, signer) = (Arc::new(Agents::default()), Signer::new(1));
            agents.insert(signer.record());
            let service = Service::start(
                network.join("node"),
                agents,
                Arc::new(Signer::new(1)),
                ServiceConfig::default(),
                None,
            );
            let service = service.unwrap();
            let metrics = WorkerMetrics::new(None).unwrap();
            let problems = Arc::new(Problems::default());
            let config =
                toml::from_str("[[primary]]\n[[primary.patterns]]\npattern = 'x'\nanswer = 'y'");
            let agent = Agent::new(
                config.unwrap(),
                None,
                None,
                metrics.clone(),
                problems.clone(),
            );
            let vault = Arc::new(Vault::open(folder.path().join("vault.redb")).unwrap());
            let (finished, finishes) = unbounded();
            let executor = Arc::new(Executor::new(
                agent.unwrap(),
                vault,
                GENESIS.into(),
                Box::new(|_| Err("there are no blocks".into())),
                metrics,
                problems,
                finished,
            ));
            let size = Size {
                workers: 1,
                capacity: 4,
                niceness: 0,
            };
            let queue = Arc::new(RwLock::new(Queue::start(size, executor.clone()).unwrap()));
            let chain = Arc::new(Told::default());
            let parts = Parts {
                chain: chain.clone(),
                identity: Arc::new(signer),
                service: service.clone(),
                evidence: folder.path().join("evidence"),
                findings: folder.path().join("findings"),
            };
            let archive = Archive::new(&parts.evidence, Room::default());
            Self {
                court: Court::new(parts, queue, executor, None).unwrap(),
                chain,
                service,
                archive,
                _finishes: finishes,
                _folder: folder,
            }
        }

        fn at(&self, now: BlockNumber) {
            *self.chain.now.lock() = now;
            assert_eq!(self.court.on_block(), Ok(()));
        }

        /// Waits until the queue has done its jobs.
        fn rest(&self) {
            let (sender, done) = std::sync::mpsc::channel();
            let last = Box::new(move || sender.send(()).unwrap());
            assert!(self.court.queue.read().push_last(last));
            done.recv().unwrap();
        }
    }

    /// Evidence with an exhibit of two rows, and outputs that are none.
    fn case(tokens: Vec<u32>) -> Case {
        case_of(tokens, [vec![1], vec![2]])
    }

    fn case_of(tokens: Vec<u32>, [first, second]: [Vec<u8>; 2]) -> Case {
        let inputs = [1f32, 2.0, 3.0, 4.0];
        let mut history = History::default();
        history.push(&inputs, 2);
        let answer = |agent: u8, output: &[u8]| SignedOutput {
            peer: Peer::new([agent]),
            claim: Signed {
                account: [agent; 32],
                key: [agent; 32],
                body: Claim {
                    model: [1; 32],
                    layers: (0, 1),
                    wire: Code::F32,
                    positions: 0,
                    rows: 2,
                    before: [0; 32],
                    after: history.digest(),
                    output: Sha256::digest(output).into(),
                    time: 0,
                },
                signature: [0; 64],
            },
        };
        Case {
            network: GENESIS,
            found: tokens.len() as u64,
            evidence: Evidence {
                first: answer(1, &first),
                second: answer(2, &second),
            },
            exhibit: Exhibit {
                width: 2,
                inputs: inputs.iter().flat_map(|x| x.to_le_bytes()).collect(),
                first,
                second,
                tokens,
            },
        }
    }

    #[test]
    fn evidence_of_canaries_is_accused_and_shown_and_that_of_prompts_is_not() {
        let bench = Bench::new();
        bench.archive.store(&case(vec![])).unwrap();
        bench.at(LOOK);
        assert!(bench.chain.accused.lock().is_empty());
        bench.archive.store(&case(vec![5, 6])).unwrap();
        // Other blocks do not look.
        bench.at(LOOK + 1);
        assert!(bench.chain.accused.lock().is_empty());
        bench.at(2 * LOOK);
        let accused = bench.chain.accused.lock().clone();
        let [accusation] = &accused[..] else {
            panic!("{accused:?}")
        };
        assert_eq!(accusation.evidence, case(vec![]).evidence);
        assert_eq!(accusation.shown_by, bench.service.local());
        let local = bench.service.local();
        let shown = bench.service.exhibit(&local, &accusation.evidence, SHOW);
        assert_eq!(shown, Ok(case(vec![5, 6]).exhibit));
        // The chain knows it now, and then the verdict.
        for (look, error) in [(3, "AlreadyAccused"), (4, "AlreadyJudged")] {
            *bench.chain.refuses.lock() = Some(error.into());
            bench.at(look * LOOK);
        }
        *bench.chain.refuses.lock() = None;
        bench.at(5 * LOOK);
        assert_eq!(bench.chain.accused.lock().len(), 1);
    }

    #[test]
    fn the_accusation_of_another_that_ends_without_a_verdict_keeps_nobody_from_accusing() {
        let bench = Bench::new();
        bench.archive.store(&case(vec![5, 6])).unwrap();
        *bench.chain.refuses.lock() = Some("AlreadyAccused".into());
        bench.at(LOOK);
        assert!(bench.chain.accused.lock().is_empty());
        *bench.chain.refuses.lock() = None;
        bench.at(2 * LOOK);
        assert_eq!(bench.chain.accused.lock().len(), 1);
    }

    #[test]
    fn evidence_that_waits_takes_no_place_from_the_exhibit_of_a_case() {
        let bench = Bench::new();
        bench.archive.store(&case(vec![5, 6])).unwrap();
        bench.at(LOOK);
        let accused = bench.chain.accused.lock().clone();
        *bench.chain.refuses.lock() = Some("BondNotFree".into());
        for agent in 100..200 {
            let mut other = case(vec![5, 6]);
            other.evidence.first.claim.account = [agent; 32];
            bench.archive.store(&other).unwrap();
        }
        bench.at(2 * LOOK);
        let local = bench.service.local();
        let shown = bench.service.exhibit(&local, &accused[0].evidence, SHOW);
        assert_eq!(shown, Ok(case(vec![5, 6]).exhibit));
    }

    #[test]
    fn nobody_is_accused_for_one_row_that_differs_little() {
        let bench = Bench::new();
        let rows = |last: f32| -> Vec<u8> {
            let row = [3.0, 4.0, 3.0, last];
            row.into_iter().flat_map(f32::to_le_bytes).collect()
        };
        let accused = |last: f32| {
            let case = case_of(vec![5, 6], [rows(4.0), rows(last)]);
            assert!(!judge(&case.evidence, &case.exhibit).unwrap().agrees);
            bench.archive.store(&case).unwrap();
            let now = *bench.chain.now.lock();
            bench.at(now + LOOK);
            bench.chain.accused.lock().len()
        };
        assert_eq!(accused(4.5), 0);
        assert_eq!(accused(6.0), 1);
        // The operator has accused of the first one by hand: its exhibit is shown all the same.
        *bench.chain.refuses.lock() = Some(OPEN.into());
        let now = *bench.chain.now.lock();
        bench.at(now + LOOK);
        let Case {
            evidence, exhibit, ..
        } = case_of(vec![5, 6], [rows(4.0), rows(4.5)]);
        let local = bench.service.local();
        let shown = bench.service.exhibit(&local, &evidence, SHOW);
        assert_eq!(shown, Ok(exhibit));
    }

    #[test]
    fn a_case_without_a_verdict_is_not_opened_for_ever() {
        let bench = Bench::new();
        bench.archive.store(&case(vec![5, 6])).unwrap();
        for look in 1..10 {
            bench.at(look * LOOK);
        }
        assert_eq!(bench.chain.accused.lock().len(), usize::from(ACCUSATIONS));
    }

    #[test]
    fn an_accusation_that_has_no_room_waits_for_it() {
        let bench = Bench::new();
        bench.archive.store(&case(vec![5, 6])).unwrap();
        *bench.chain.refuses.lock() = Some("TooManyCases".into());
        bench.at(LOOK);
        assert!(bench.chain.accused.lock().is_empty());
        *bench.chain.refuses.lock() = None;
        bench.at(2 * LOOK);
        assert_eq!(bench.chain.accused.lock().len(), 1);
    }

    /// The work of a committee, whose exhibit this node shows if anybody does.
    fn duty(bench: &Bench, phase: Phase, due: BlockNumber) -> DutyView {
        DutyView {
            case: 3,
            draw: H256::repeat_byte(4),
            phase,
            due,
            accusation: Accusation {
                network: GENESIS,
                evidence: case(vec![]).evidence,
                shown_by: bench.service.local(),
            },
        }
    }

    #[test]
    fn a_replay_that_failed_rests_before_the_next_try() {
        let bench = Bench::new();
        let Case {
            evidence, exhibit, ..
        } = case(vec![5, 6]);
        bench.service.show(&evidence, exhibit).unwrap();
        *bench.chain.duties.lock() = vec![duty(&bench, Phase::Committing, 101)];
        let failed = |now| {
            bench.at(now);
            bench.rest();
            let replays = &bench.court.metrics.replays;
            replays.with_label_values(&[FAILED]).get()
        };
        // The model is not held.
        assert_eq!(failed(11), 1);
        assert_eq!(failed(11 + AGAIN), 1);
        let mut other = duty(&bench, Phase::Committing, 101);
        other.case = 4;
        bench.chain.duties.lock().push(other);
        assert_eq!(failed(11 + REST), 3);
        assert_eq!(bench.court.problems.active().len(), 1);
    }

    #[test]
    fn canaries_take_no_place_of_replays() {
        let room = |bench: &Bench| {
            let queue = bench.court.queue.read();
            let fits = |_: &u32| queue.push_last(Box::new(|| {}));
            (0..100u32).take_while(fits).count()
        };
        let [idle, sends] = [false, true].map(|sends| {
            let bench = Bench::new();
            let (started, starts) = std::sync::mpsc::channel();
            let (release, waits) = std::sync::mpsc::channel::<()>();
            let busy = Box::new(move || {
                started.send(()).unwrap();
                waits.recv().unwrap();
            });
            assert!(bench.court.queue.read().push_last(busy));
            starts.recv().unwrap();
            if sends {
                bench.court.send_canaries().unwrap();
            }
            let room = room(&bench);
            release.send(()).unwrap();
            room
        });
        assert_eq!(idle, sends);
    }

    #[test]
    fn a_replay_that_has_waited_beyond_its_phase_is_not_made() {
        let bench = Bench::new();
        let (release, waits) = std::sync::mpsc::channel::<()>();
        let busy = Box::new(move || waits.recv().unwrap());
        assert!(bench.court.queue.read().push_last(busy));
        *bench.chain.duties.lock() = vec![duty(&bench, Phase::Committing, 101)];
        bench.at(91);
        *bench.chain.now.lock() = 101;
        release.send(()).unwrap();
        bench.rest();
        assert_eq!(bench.court.findings.get(3, &[4; 32]).unwrap(), None);
    }

    #[test]
    fn an_executor_without_an_exhibit_says_so_at_last_and_reveals_that() {
        let bench = Bench::new();
        let is = |phase, due| *bench.chain.duties.lock() = vec![duty(&bench, phase, due)];
        is(Phase::Committing, 101);
        bench.at(11);
        bench.rest();
        bench.at(12);
        assert!(bench.chain.committed.lock().is_empty(), "there is time");
        bench.at(101 - LAST_CALL);
        bench.rest();
        bench.at(101 - LAST_CALL + AGAIN);
        let committed = bench.chain.committed.lock().clone();
        // Not in every block.
        bench.at(101 - LAST_CALL + AGAIN + 1);
        assert_eq!(bench.chain.committed.lock().len(), 1);
        is(Phase::Revealing, 130);
        bench.at(102);
        let revealed = bench.chain.revealed.lock().clone();
        let [(finding, salt)] = &revealed[..] else {
            panic!("{revealed:?}")
        };
        assert_eq!(*finding, Finding::Unavailable);
        let account = bench.court.parts.identity.account().unwrap();
        let commitment = finding.commitment(&GENESIS, &account, 3, &[4; 32], salt);
        assert_eq!(committed, [H256(commitment)]);
    }
}
