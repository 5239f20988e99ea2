// SPDX-License-Identifier: Apache-2.0
//! The client side: uses the spans of other nodes.

mod check;
mod journal;
mod link;
mod peers;
mod pipeline;
mod pushes;
mod schedule;
mod surveys;

pub(crate) use check::{run as run_checks, Check};
pub use link::LinkError;
pub use peers::{Holder, Seen, State};
pub(crate) use pipeline::WeakPipeline;
pub use pipeline::{Pipeline, PipelineError, PipelineSession};
pub(crate) use surveys::{Known, Surveys};

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{mpsc::SyncSender, Arc, Weak},
    time::{Duration, Instant},
};

use codec::Encode;
use parking_lot::Mutex;

use self::{
    link::{Link, Target},
    peers::{Fact, Peers},
    pushes::Pushes,
};
use crate::{
    accounts::Accounts,
    auth::{Directory, Identity, Signed},
    integrity::{Case, Evidence, Exhibit},
    message::{
        self, Announcement, Done, Open, Refusal, Request, Response, SessionId, Span, Survey,
        MAX_SURVEYED,
    },
    metrics::{observe, Metrics},
    seal::{Binding, Chains, Secret},
    transport::{ModelId, Peer, Transport},
    LOG_TARGET,
};

/// Maximum number of cases that wait to be recorded.
const MAX_CASES: usize = 16;

/// Maximum number of nodes that are asked at the same time for their spans.
const ASKED_AT_ONCE: usize = 16;

/// Pings of a round, of which the least counts.
const PINGS: usize = 3;

/// Maximum difference between the clocks of two nodes, in milliseconds.
const CLOCK_SKEW: u64 = 60_000;

/// Reasons why a session could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// This node has no agent, or no inference key.
    #[error("this node has no agent with an inference key; servers open sessions for agents only")]
    NoAgent,
    /// The server refused or failed.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Stores a case durably and returns whether that worked. A case that failed is offered again
/// later.
pub type Recorder = Box<dyn FnMut(&Case) -> bool + Send>;

/// State shared by all pipelines of a node.
pub(crate) struct Hub {
    pub transport: Arc<dyn Transport>,
    pub directory: Arc<dyn Directory>,
    identity: Arc<dyn Identity>,
    pub metrics: Metrics,
    pub accounts: Arc<Accounts>,
    pub peers: Peers,
    pub pushes: Pushes,
    pub surveys: Arc<Surveys>,
    links: Mutex<HashMap<(Peer, SessionId), Weak<Link>>>,
    /// Cases that are not recorded yet, and their recorder.
    cases: Mutex<(VecDeque<Case>, Option<Recorder>)>,
    /// `None` once the service has ended.
    checks: Mutex<Option<SyncSender<Check>>>,
}

impl Hub {
    pub fn new(
        transport: Arc<dyn Transport>,
        directory: Arc<dyn Directory>,
        identity: Arc<dyn Identity>,
        metrics: Metrics,
        accounts: Arc<Accounts>,
        surveys: Arc<Surveys>,
        checks: SyncSender<Check>,
    ) -> Arc<Self> {
        Arc::new(Self {
            transport,
            directory,
            identity,
            metrics,
            accounts,
            peers: Peers::default(),
            pushes: Pushes::default(),
            surveys,
            links: Mutex::default(),
            cases: Mutex::default(),
            checks: Mutex::new(Some(checks)),
        })
    }

    /// Asks all known providers of `model` for their spans, and waits for the answers, at most
    /// `timeout`.
    pub fn refresh(self: &Arc<Self>, model: &ModelId, timeout: Duration) {
        let providers = self.transport.providers(model);
        at_once(&providers, |peer| self.describe(peer, model, timeout));
    }

    /// Asks the holders of `model` for their spans and surveys, measures the round trips to some
    /// of them, and joins all of that. Each answer is awaited at most `timeout`.
    fn survey(self: &Arc<Self>, model: &ModelId, timeout: Duration) {
        self.refresh(model, timeout);
        let (others, peers) = self.to_survey(model);
        let pinged = self.surveys.begin(model, others, Instant::now());
        at_once(&peers, |peer| {
            if self.ask_survey(peer, model, timeout) && pinged.contains(peer) {
                self.measure(peer, timeout);
            }
        });
        let known = self.join(model, &peers);
        self.metrics.bad_facts.inc_by(known.bad() as f64);
    }

    /// Asks the holders of `model` for their spans, and measures them where that is due. Each
    /// answer is awaited at most `timeout`.
    pub fn look(self: &Arc<Self>, model: &ModelId, timeout: Duration) {
        if self.surveys.is_due(model, Instant::now()) {
            self.survey(model, timeout);
        } else {
            self.refresh(model, timeout);
        }
    }

    /// The present holders of `model`, as far as the last reports about them are believed.
    pub fn known(&self, model: &ModelId) -> Arc<Known> {
        let (_, peers) = self.to_survey(model);
        self.join(model, &peers)
    }

    /// The other holders of `model`, and those of them that are surveyed, in their turns.
    fn to_survey(&self, model: &ModelId) -> (Vec<Fact>, Vec<Peer>) {
        let local = self.transport.local();
        let mut others = self.peers.facts(model);
        others.retain(|fact| fact.peer != local);
        let mut peers = surveys::in_turn(&others, |account| {
            let agent = self.directory.agent(account);
            agent.is_some_and(|agent| agent.active)
        });
        peers.truncate(MAX_SURVEYED);
        (others, peers)
    }

    /// Joins the measurements of this node with the reports of `peers`.
    fn join(&self, model: &ModelId, peers: &[Peer]) -> Arc<Known> {
        let local = self.transport.local();
        let surveyed: HashSet<_> = peers.iter().collect();
        let mut holders = self.peers.facts(model);
        holders.retain(|fact| fact.peer == local || surveyed.contains(&fact.peer));
        let known = self.surveys.join(model, &holders, &local, Instant::now());
        self.peers.limit(model, &known);
        known
    }

    /// Takes in a node's survey. Returns whether it speaks of surveys at all.
    fn ask_survey(&self, peer: &Peer, model: &ModelId, timeout: Duration) -> bool {
        let (outcome, speaks) = match self.ask(peer, &Request::Survey(*model), timeout) {
            Ok(Response::Survey(signed)) => match self.check_survey(peer, model, &signed) {
                Ok(()) => {
                    let Signed { account, body, .. } = signed;
                    let Survey::V1(survey) = body;
                    self.surveys
                        .heard(peer, model, account, survey, Instant::now());
                    ("taken", true)
                },
                Err(why) => {
                    log::debug!(target: LOG_TARGET, "the survey of {peer} is refused: {why}");
                    ("refused", true)
                },
            },
            // It measures nothing, or is of a release before surveys.
            Ok(_) | Err(LinkError::Refused(Refusal::Malformed)) => ("unknown", false),
            Err(error) => {
                log::debug!(target: LOG_TARGET, "{peer} gives no survey: {error}");
                ("failed", false)
            },
        };
        self.metrics.surveys.with_label_values(&[outcome]).inc();
        speaks
    }

    fn check_survey(
        &self,
        peer: &Peer,
        model: &ModelId,
        signed: &Signed<Survey>,
    ) -> Result<(), &'static str> {
        let Survey::V1(survey) = &signed.body;
        if survey.model != *model {
            return Err("it is about another model");
        }
        if survey.rows.len() > MAX_SURVEYED {
            return Err("it has too many rows");
        }
        if survey.time.abs_diff(self.directory.now()) > CLOCK_SKEW {
            return Err("its time differs too much from this node's clock");
        }
        // Accounts without a bond are free, and so would be their voices.
        let agent = self.directory.agent(&signed.account);
        let is_active = agent.is_some_and(|agent| agent.active && agent.key == signed.key);
        if !is_active {
            return Err("it is not of an active agent");
        }
        if !signed.is_genuine(&self.directory.network(), peer, None) {
            return Err("its signature does not match");
        }
        Ok(())
    }

    /// Measures the round trip to a node, unless work has done so lately.
    fn measure(&self, peer: &Peer, timeout: Duration) {
        if self.peers.has_worked(peer) {
            return;
        }
        let pings = (0..PINGS).map_while(|_| self.ping(peer, timeout));
        if let Some(least) = pings.min() {
            observe(&self.metrics.rtt_seconds, least);
            let median = self.surveys.pinged(peer, least, Instant::now());
            self.peers.pinged(peer, median);
        }
    }

    fn ping(&self, peer: &Peer, timeout: Duration) -> Option<Duration> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).ok()?;
        let started = Instant::now();
        let answer = self.ask(peer, &Request::Ping(nonce), timeout);
        let took = started.elapsed();
        (answer == Ok(Response::Pong(nonce))).then_some(took)
    }

    fn describe(&self, peer: &Peer, model: &ModelId, timeout: Duration) {
        let started = Instant::now();
        match self.ask(peer, &Request::Describe(*model), timeout) {
            Ok(Response::Announcement(signed)) => {
                if let Err(why) = self.check(peer, model, &signed) {
                    log::debug!(target: LOG_TARGET, "the announcement of {peer} is refused: {why}");
                    self.peers.not_held(peer, model);
                } else {
                    self.peers.heard(peer, signed, started.elapsed());
                }
            },
            Ok(_) => self.peers.not_held(peer, model),
            Err(error) => {
                log::debug!(target: LOG_TARGET, "{peer} does not announce its span: {error}");
                if !error.is_forgivable() {
                    self.peers.failed(peer);
                }
                self.peers.not_held(peer, model);
            },
        }
    }

    fn check(
        &self,
        peer: &Peer,
        model: &ModelId,
        signed: &Signed<Announcement>,
    ) -> Result<(), &'static str> {
        let Announcement {
            model: named,
            layers,
            throughput,
            ..
        } = &signed.body;
        if named != model || layers.range().is_empty() {
            return Err("it is about another model");
        }
        if !throughput.is_finite() || *throughput <= 0.0 {
            return Err("its throughput is not a sensible number");
        }
        let agent = self.directory.agent(&signed.account);
        if agent.is_some_and(|agent| agent.key != signed.key) {
            return Err("its key is not the agent's");
        }
        if !signed.is_genuine(&self.directory.network(), peer, None) {
            return Err("its signature does not match");
        }
        Ok(())
    }

    fn ask(
        &self,
        peer: &Peer,
        request: &impl Encode,
        timeout: Duration,
    ) -> Result<Response, LinkError> {
        let payload = message::encode(request);
        let response = self.transport.request(peer, payload, timeout)?;
        match message::decode(&response) {
            Ok(Response::Refused(refusal)) | Err(refusal @ Refusal::OtherVersion) => {
                Err(LinkError::Refused(refusal))
            },
            Ok(response) => Ok(response),
            Err(_) => Err(LinkError::Malformed),
        }
    }

    /// The exhibit of some evidence, as a node shows it.
    pub fn exhibit(
        &self,
        peer: &Peer,
        evidence: &Evidence,
        timeout: Duration,
    ) -> Result<Exhibit, LinkError> {
        match self.ask(peer, &Request::Exhibit(evidence.name()), timeout)? {
            Response::Exhibit(exhibit) => Ok(exhibit),
            _ => Err(LinkError::Malformed),
        }
    }

    /// Opens a session.
    pub fn open(
        self: &Arc<Self>,
        target: Target,
        timeout: Duration,
    ) -> Result<Arc<Link>, OpenError> {
        // Only a node that was announced is asked; its connection may have broken since.
        let account = self.peers.account(&target.peer);
        let account = account.ok_or(LinkError::Disconnected)?;
        let server_key = self.peers.key(&target.peer, &target.model);
        let server_key = server_key.ok_or(LinkError::Disconnected)?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| OpenError::NoAgent)?;
        let secret = Secret::generate().map_err(|_| OpenError::NoAgent)?;
        let layers = Span::new(&target.layers).ok_or(LinkError::Malformed)?;
        let body = Open {
            model: target.model,
            layers,
            wire: target.wire,
            key: secret.public(),
            server_key,
            nonce,
            time: self.directory.now(),
        };
        let (network, local) = (self.directory.network(), self.transport.local());
        let open = Signed::new(body, &*self.identity, &network, &local, Some(&target.peer))
            .ok_or(OpenError::NoAgent)?;
        let client_account = open.account;
        let opened = match self.ask(&target.peer, &Request::Open(open), timeout) {
            Ok(Response::Opened(opened)) => opened,
            Ok(_) => return Err(LinkError::Malformed.into()),
            Err(error) => {
                if error == LinkError::Refused(Refusal::OtherKey) {
                    // The node has started anew since; the next search asks for its announcement.
                    self.peers.disconnected(&target.peer);
                }
                return Err(error.into());
            },
        };
        let binding = Binding {
            network,
            client: local,
            client_account,
            server: target.peer.clone(),
            server_account: account,
            model: target.model,
            layers,
            wire: target.wire,
            session: opened.session,
            nonce,
        };
        let chains = Chains::of_client(&secret, &server_key, &opened.key, &binding);
        let chains = chains.map_err(|_| LinkError::Malformed)?;
        Ok(Link::new(self.clone(), target, account, opened, chains))
    }

    fn register(&self, link: &Arc<Link>) {
        let key = (link.peer.clone(), link.session());
        self.links.lock().insert(key, Arc::downgrade(link));
    }

    fn forget(&self, peer: &Peer, session: SessionId) {
        self.links.lock().remove(&(peer.clone(), session));
    }

    /// Takes an answer in. Never blocks.
    pub fn done(&self, from: Peer, done: Done, bytes: usize) {
        self.metrics.count_bytes("received", "client", bytes);
        let link = self
            .links
            .lock()
            .get(&(from, done.session))
            .and_then(Weak::upgrade);
        match link {
            Some(link) => link.done(done.sequence, done.result),
            None => self.metrics.stray.inc(),
        }
    }

    /// Models with open sessions.
    pub fn models(&self) -> HashSet<ModelId> {
        let links: Vec<_> = {
            let links = self.links.lock();
            links.values().filter_map(Weak::upgrade).collect()
        };
        links.iter().map(|link| link.model).collect()
    }

    /// Whether this node has open sessions with `peer`.
    pub fn uses(&self, peer: &Peer) -> bool {
        self.links.lock().keys().any(|(used, _)| used == peer)
    }

    /// Keeps evidence until it is recorded, or until newer evidence needs the room.
    fn keep(&self, evidence: Evidence, exhibit: Exhibit) {
        self.metrics.evidence("found");
        let case = Case {
            network: self.directory.network(),
            found: self.directory.now(),
            evidence,
            exhibit,
        };
        let (waiting, _) = &mut *self.cases.lock();
        if waiting.len() >= MAX_CASES {
            self.metrics.evidence("lost");
            waiting.pop_front();
        }
        waiting.push_back(case);
    }

    /// Sets the recorder of past and future cases.
    pub fn record_with(&self, recorder: Recorder) {
        self.cases.lock().1 = Some(recorder);
        self.record();
    }

    /// Offers the waiting cases to the recorder. May wait for a disk.
    pub fn record(&self) {
        let (waiting, recorder) = &mut *self.cases.lock();
        let Some(recorder) = recorder else {
            return;
        };
        while waiting.front().is_some_and(&mut *recorder) {
            self.metrics.evidence("recorded");
            waiting.pop_front();
        }
    }

    /// Orders a check, unless too many are waiting already.
    pub fn order(&self, check: Check) {
        if let Some(checks) = &*self.checks.lock() {
            let _ = checks.try_send(check);
        }
    }

    /// Gives up all sessions with a disconnected peer.
    pub fn disconnected(&self, peer: &Peer) {
        self.peers.disconnected(peer);
        self.fail(|used| used == peer);
    }

    /// Gives up all sessions.
    pub fn close(&self) {
        self.checks.lock().take();
        self.fail(|_| true);
    }

    fn fail(&self, is_meant: impl Fn(&Peer) -> bool) {
        // A link must not be dropped while the lock is held: its drop takes the same lock.
        let links: Vec<_> = {
            let links = self.links.lock();
            let meant = links.iter().filter(|((peer, _), _)| is_meant(peer));
            meant.filter_map(|(_, link)| link.upgrade()).collect()
        };
        for link in links {
            link.fail(&LinkError::Disconnected);
        }
    }
}

/// Calls `ask` with each peer, with some of them at the same time.
fn at_once(peers: &[Peer], ask: impl Fn(&Peer) + Sync) {
    let ask = &ask;
    for some in peers.chunks(ASKED_AT_ONCE) {
        std::thread::scope(|scope| {
            for peer in some {
                let thread = std::thread::Builder::new().name("shards-ask".into());
                let asked = thread.spawn_scoped(scope, move || ask(peer));
                if let Err(error) = asked {
                    log::warn!(target: LOG_TARGET, "cannot start a thread: {error}");
                }
            }
        });
    }
}
