// SPDX-License-Identifier: Apache-2.0
//! The server side: spans that this node computes for others.

mod outgoing;
mod queue;
mod quota;
mod span;

pub use span::Served;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use starling_engine::config::Config;

use self::{
    outgoing::Outgoing,
    queue::{Job, Key, Queue, Room, Terms},
    quota::{Nonces, Noted, Rates},
    span::Span,
};
use crate::{
    accounts::Accounts,
    auth::{Account, Directory, Identity, Signed, Statement},
    client::Surveys,
    config::ServiceConfig,
    integrity::{Digest, Evidence, Exhibit},
    message::{
        self, Announcement, Open, Opened, Push, Refusal, Request, Response, SessionId, Survey,
        SurveyV1, Work,
    },
    metrics::Metrics,
    seal::{Binding, Chains, Secret},
    transport::{ModelId, Peer, Transport},
    wire::WireFormat,
    ServiceError, LOG_TARGET,
};

/// Maximum number of exhibits that are shown to executors.
const MAX_SHOWN: usize = 16;

/// Exhibits that a peer gets in a second, and at once: a short question makes a long answer.
const EXHIBITS: (f64, f64) = (0.1, 4.0);

/// The shape of a whole model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of its layers.
    pub layers: usize,
    /// Width of its hidden states.
    pub width: usize,
}

impl Shape {
    /// The shape of a model with this configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            layers: config.layers,
            width: config.width,
        }
    }
}

/// A span and the thread that computes it.
struct Running {
    span: Arc<Span>,
    thread: JoinHandle<()>,
}

/// The serving side of a node.
pub(crate) struct Server {
    transport: Arc<dyn Transport>,
    directory: Arc<dyn Directory>,
    identity: Arc<dyn Identity>,
    config: Arc<RwLock<ServiceConfig>>,
    metrics: Metrics,
    /// The announced key for sealing.
    secret: Secret,
    spans: RwLock<HashMap<ModelId, Running>>,
    /// Locked while a session is opened, so that the limit on sessions holds.
    opening: Mutex<Nonces<Account, [u8; 16]>>,
    requests: Mutex<Rates<Peer>>,
    exhibits: Mutex<Rates<Peer>>,
    messages: Mutex<Rates<Peer>>,
    /// Exhibits by the names of their evidence, the oldest first.
    shown: RwLock<VecDeque<(Digest, Exhibit)>>,
    outgoing: Outgoing,
    surveys: Arc<Surveys>,
    stopped: AtomicBool,
}

impl Server {
    pub fn new(
        transport: Arc<dyn Transport>,
        directory: Arc<dyn Directory>,
        identity: Arc<dyn Identity>,
        config: ServiceConfig,
        metrics: Metrics,
        accounts: Arc<Accounts>,
        secret: Secret,
    ) -> Arc<Self> {
        let config = Arc::new(RwLock::new(config));
        let outgoing = Outgoing {
            transport: transport.clone(),
            config: config.clone(),
            metrics: metrics.clone(),
            accounts,
        };
        Arc::new(Self {
            transport,
            directory,
            identity,
            config,
            metrics,
            secret,
            spans: RwLock::default(),
            opening: Mutex::default(),
            requests: Mutex::default(),
            exhibits: Mutex::default(),
            messages: Mutex::default(),
            shown: RwLock::default(),
            outgoing,
            surveys: Arc::default(),
            stopped: AtomicBool::new(false),
        })
    }

    /// The measurements that it tells others; the client side fills them.
    pub fn surveys(&self) -> &Arc<Surveys> {
        &self.surveys
    }

    /// Changes the limits. Open sessions stay.
    pub fn configure(&self, config: ServiceConfig) {
        *self.config.write() = config;
    }

    /// Loads a span and serves it from now on, in place of another span of the same model.
    pub fn serve(&self, model: ModelId, served: &Served) -> Result<(), ServiceError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(ServiceError::Closed);
        }
        // Two spans may not fit into memory together.
        self.withdraw(&model);
        let (directory, identity) = (self.directory.clone(), self.identity.clone());
        let span = Span::load(model, served, directory, identity, self.outgoing.clone())?;
        let span = Arc::new(span);
        let at_work = span.clone();
        let thread = crate::spawn("shards-span", move || at_work.run())?;
        let running = Running { span, thread };
        let other = self.spans.write().insert(model, running);
        self.provide();
        if let Some(other) = other {
            other.stop();
        }
        Ok(())
    }

    /// Stops serving `model`.
    pub fn withdraw(&self, model: &ModelId) {
        let running = self.spans.write().remove(model);
        if let Some(running) = running {
            self.provide();
            running.stop();
        }
    }

    /// Stops serving all models.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let spans = std::mem::take(&mut *self.spans.write());
        self.provide();
        for running in spans.into_values() {
            running.stop();
        }
    }

    fn provide(&self) {
        self.transport.provide(&self.models());
    }

    /// The models that this node serves.
    pub fn models(&self) -> Vec<ModelId> {
        self.spans.read().keys().copied().collect()
    }

    /// The shape of the whole model, if this node serves a span of it.
    pub fn shape(&self, model: &ModelId) -> Option<Shape> {
        let spans = self.spans.read();
        let running = spans.get(model)?;
        Some(Shape::of(running.span.model.config()))
    }

    /// Announcement of this node's span of `model`.
    pub fn announcement(&self, model: &ModelId) -> Option<Announcement> {
        let spans = self.spans.read();
        let span = &spans.get(model)?.span;
        let (most, after) = {
            let config = self.config.read();
            (config.max_sessions, config.yield_after)
        };
        // Sessions that would yield count as free.
        let sessions = spans
            .values()
            .flat_map(|running| running.span.queue.usefulness())
            .filter(|(_, _, useful)| useful.elapsed() < after)
            .count();
        let free = most.saturating_sub(sessions);
        Some(Announcement {
            model: *model,
            layers: message::Span::new(&span.model.layers())?,
            throughput: span.throughput() as f32,
            free_positions: span.free_positions().try_into().unwrap_or(u32::MAX),
            free_sessions: free.try_into().unwrap_or(u32::MAX),
            wires: WireFormat::ALL.to_vec(),
            key: self.secret.public(),
            time: self.directory.now(),
        })
    }

    /// Answers a set-up request.
    pub fn request(&self, from: &Peer, payload: &[u8]) -> Response {
        let result = self
            .admit(from)
            .and_then(|()| match message::decode(payload)? {
                Request::Describe(model) => self.describe(&model),
                Request::Open(open) => self.open(from, &open).map(Response::Opened),
                Request::Survey(model) => self.survey(&model),
                Request::Ping(nonce) => Ok(Response::Pong(nonce)),
                Request::Exhibit(name) => self.exhibit(from, &name),
            });
        result.unwrap_or_else(|refusal| {
            self.outgoing.refused(from, &refusal);
            Response::Refused(refusal)
        })
    }

    fn admit(&self, from: &Peer) -> Result<(), Refusal> {
        let rate = self.config.read().requests_per_second;
        let mut requests = self.requests.lock();
        if requests.take(from, rate, 4.0 * rate, Instant::now()) {
            Ok(())
        } else {
            Err(Refusal::TooFast)
        }
    }

    fn describe(&self, model: &ModelId) -> Result<Response, Refusal> {
        let announcement = self.announcement(model).ok_or(Refusal::NotHeld)?;
        let signed = self.sign(announcement).ok_or(Refusal::Closing)?;
        Ok(Response::Announcement(signed))
    }

    fn survey(&self, model: &ModelId) -> Result<Response, Refusal> {
        if !self.spans.read().contains_key(model) {
            return Err(Refusal::NotHeld);
        }
        let (up_kbps, down_kbps) = {
            let config = self.config.read();
            (config.up_kbps, config.down_kbps)
        };
        let survey = SurveyV1 {
            model: *model,
            up_kbps,
            down_kbps,
            rows: self.surveys.rows(model),
            time: self.directory.now(),
        };
        let signed = self.sign(Survey::V1(survey)).ok_or(Refusal::Closing)?;
        Ok(Response::Survey(signed))
    }

    /// Shows an exhibit to whoever asks for it, in the place of the oldest one if there are too many.
    pub fn show(&self, evidence: &Evidence, exhibit: Exhibit) {
        let name = evidence.name();
        let mut shown = self.shown.write();
        if shown.iter().any(|(known, _)| *known == name) {
            return;
        }
        if shown.len() >= MAX_SHOWN {
            shown.pop_front();
        }
        shown.push_back((name, exhibit));
    }

    fn exhibit(&self, from: &Peer, name: &Digest) -> Result<Response, Refusal> {
        let shown = self.shown.read();
        let found = shown.iter().find(|(known, _)| known == name);
        let (_, exhibit) = found.ok_or(Refusal::NotHeld)?;
        let (rate, burst) = EXHIBITS;
        let mut exhibits = self.exhibits.lock();
        if !exhibits.take(from, rate, burst, Instant::now()) {
            return Err(Refusal::TooFast);
        }
        Ok(Response::Exhibit(exhibit.clone()))
    }

    fn open(&self, from: &Peer, open: &Signed<Open>) -> Result<Opened, Refusal> {
        let config = self.config.read().clone();
        let now = self.directory.now();
        let skew = u64::try_from(config.clock_skew.as_millis()).unwrap_or(u64::MAX);
        if open.body.time.abs_diff(now) > skew {
            return Err(Refusal::Stale);
        }
        if config.only_bonded {
            let agent = self.directory.agent(&open.account).filter(|agent| {
                agent.active && agent.bond >= config.min_bond && agent.key == open.key
            });
            agent.ok_or(Refusal::NotBonded)?;
        }
        let network = self.directory.network();
        if !open.is_genuine(&network, from, Some(&self.transport.local())) {
            return Err(Refusal::BadSignature);
        }
        if open.body.server_key != self.secret.public() {
            return Err(Refusal::OtherKey);
        }
        let server_account = self.identity.account().ok_or(Refusal::Closing)?;
        let mut nonces = self.opening.lock();
        let spans = self.spans.read();
        let span = spans.get(&open.body.model).ok_or(Refusal::NotHeld)?;
        let (held, asked) = (span.span.model.layers(), open.body.layers.range());
        if asked.is_empty() || asked.start < held.start || asked.end > held.end {
            return Err(Refusal::NotHeld);
        }
        let sessions = |account: Option<&Account>| -> usize {
            spans.values().map(|s| s.span.queue.sessions(account)).sum()
        };
        if sessions(Some(&open.account)) >= config.max_sessions_per_agent {
            return Err(Refusal::TooManySessions);
        }
        let yielding = if sessions(None) >= config.max_sessions {
            let all = spans
                .values()
                .flat_map(|running| running.span.queue.usefulness());
            let accounts = &self.outgoing.accounts;
            let balance = |account: &Account| accounts.balance(account);
            let found = yielding(
                all.collect(),
                &open.account,
                config.yield_after,
                Instant::now(),
                balance,
            );
            Some(found.ok_or(Refusal::TooManySessions)?)
        } else {
            None
        };
        // Only what opens a session takes memory.
        let expires = open.body.time.saturating_add(skew);
        match nonces.remember(&open.account, open.body.nonce, expires, now) {
            Noted::New => {},
            Noted::Known => return Err(Refusal::Replayed),
            Noted::Full => return Err(Refusal::TooFast),
        }
        if let Some(key) = yielding {
            spans.values().any(|running| running.span.queue.end(&key));
            log::debug!(target: LOG_TARGET, "session {:x} of {} gives way", key.1, key.0);
        }
        let session = getrandom::u64().map_err(|_| Refusal::Failed)?;
        let fresh = Secret::generate().map_err(|_| Refusal::Failed)?;
        let binding = Binding {
            network,
            client: from.clone(),
            client_account: open.account,
            server: self.transport.local(),
            server_account,
            model: open.body.model,
            layers: open.body.layers,
            wire: open.body.wire,
            session,
            nonce: open.body.nonce,
        };
        let chains = Chains::of_server(&self.secret, &fresh, &open.body.key, &binding);
        let Chains { up, down } = chains.map_err(|_| Refusal::Malformed)?;
        let terms = Terms {
            account: open.account,
            layers: asked,
            wire: open.body.wire,
            up: Arc::new(Mutex::new(up)),
            down: Arc::new(Mutex::new(down)),
        };
        span.span.queue.open((from.clone(), session), terms);
        log::debug!(target: LOG_TARGET, "session {session:x} of {from} opened");
        Ok(Opened {
            session,
            max_rows: config.max_rows.try_into().unwrap_or(u32::MAX),
            max_branches: config.max_branches.try_into().unwrap_or(u32::MAX),
            key: fresh.public(),
        })
    }

    /// Signs a statement towards everyone.
    fn sign<T: Statement>(&self, body: T) -> Option<Signed<T>> {
        let network = self.directory.network();
        Signed::new(
            body,
            &*self.identity,
            &network,
            &self.transport.local(),
            None,
        )
    }

    /// Takes a message in. Never blocks.
    pub fn work(&self, from: Peer, mut work: Work, bytes: usize) {
        self.metrics.count_bytes("received", "server", bytes);
        let arrived = Instant::now();
        let (rate, room) = {
            let config = self.config.read();
            (config.messages_per_second, Room::of(&config))
        };
        let sequence = work.sequence;
        let key = (from, work.session);
        let spans = self.spans.read();
        let found = spans.values().find_map(|running| {
            let terms = running.span.queue.terms(&key)?;
            Some((&running.span, terms))
        });
        let allowed = self.messages.lock().take(&key.0, rate, 2.0 * rate, arrived);
        let result = match &found {
            _ if !allowed => Err(Refusal::TooFast),
            None => Err(Refusal::UnknownSession),
            Some((span, terms)) => span.check(&work, terms.wire).and_then(|(rows, bytes)| {
                let keys = terms.up.lock().open_work(&mut work)?;
                let job = Job {
                    work,
                    rows,
                    bytes,
                    keys,
                    arrived,
                };
                span.queue.push(&key, job, room)
            }),
        };
        if let Err(refusal) = result {
            if let Some((span, _)) = found {
                span.queue.end(&key);
            }
            // An answer to this node itself may come back as a message, which takes the lock again.
            drop(spans);
            self.outgoing.refuse(&key, sequence, refusal);
        }
    }

    /// Takes in rows that another server passes on. Never blocks.
    pub fn pushed(&self, from: Peer, push: Push, bytes: usize) {
        self.metrics.count_bytes("received", "server", bytes);
        let (rate, room) = {
            let config = self.config.read();
            (config.messages_per_second, Room::of(&config))
        };
        let allowed = self
            .messages
            .lock()
            .take(&from, rate, 2.0 * rate, Instant::now());
        let result = if allowed {
            let spans = self.spans.read();
            let mut result = Err((Refusal::UnknownSession, push));
            for running in spans.values() {
                let Err((Refusal::UnknownSession, push)) = result else {
                    break;
                };
                result = running.span.queue.pushed(&from, push, room);
            }
            result.map_err(|(refusal, _)| refusal)
        } else {
            Err(Refusal::TooFast)
        };
        match result {
            Ok(()) => self.metrics.push("taken"),
            Err(refusal) => self.outgoing.refused(&from, &refusal),
        }
    }

    /// Lets `peer` push rows into a session.
    pub fn upstream(&self, from: Peer, session: SessionId, peer: Peer) {
        self.of_session((from, session), |queue, key| {
            queue.set_upstream(key, peer.clone())
        });
    }

    /// Stops waiting for rows that are no longer pushed.
    pub fn skip(&self, from: Peer, session: SessionId, before: u64) {
        self.of_session((from, session), |queue, key| queue.skip(key, before));
    }

    /// Applies `act` to a session, in the queue that holds it.
    fn of_session(&self, key: Key, act: impl Fn(&Queue, &Key) -> bool) {
        let rate = self.config.read().messages_per_second;
        let allowed = self
            .messages
            .lock()
            .take(&key.0, rate, 2.0 * rate, Instant::now());
        let spans = self.spans.read();
        let mut queues = spans.values().map(|running| &running.span.queue);
        if !allowed {
            queues.any(|queue| queue.end(&key));
            self.outgoing.refused(&key.0, &Refusal::TooFast);
        } else if !queues.any(|queue| act(queue, &key)) {
            self.metrics.refuse(&Refusal::UnknownSession);
        }
    }

    /// Ends a session.
    pub fn close(&self, from: Peer, session: SessionId) {
        self.of_session((from, session), Queue::end);
    }

    /// Whether `peer` has a session here, or may push rows into one.
    pub fn serves(&self, peer: &Peer) -> bool {
        let spans = self.spans.read();
        spans.values().any(|running| running.span.queue.has(peer))
    }

    /// Ends all sessions of a disconnected peer.
    pub fn disconnected(&self, peer: &Peer) {
        for running in self.spans.read().values() {
            running.span.queue.end_peer(peer);
        }
    }

    /// Records a message that could not be decoded.
    pub fn unreadable(&self, from: &Peer, refusal: &Refusal) {
        self.outgoing.refused(from, refusal);
    }
}

/// The session that gives way to a new one: the one that was least recently useful, if that is long
/// ago. Otherwise an agent that has given this node more than it took gets the place of the agent
/// that owes most.
fn yielding(
    sessions: Vec<(Key, Account, Instant)>,
    newcomer: &Account,
    after: Duration,
    now: Instant,
    balance: impl Fn(&Account) -> i128,
) -> Option<Key> {
    let idle = |useful: &Instant| now.saturating_duration_since(*useful) >= after;
    let oldest = sessions.iter().min_by_key(|(_, _, useful)| *useful);
    let oldest = oldest.filter(|(_, _, useful)| idle(useful));
    let debtor = || {
        let owing = sessions
            .iter()
            .map(|session| (balance(&session.1), session.2, session))
            .filter(|(balance, ..)| *balance < 0);
        let most = owing.min_by_key(|(balance, useful, _)| (*balance, *useful));
        most.filter(|_| balance(newcomer) > 0)
            .map(|(_, _, session)| session)
    };
    oldest.or_else(debtor).map(|(key, _, _)| key.clone())
}

impl Running {
    fn stop(self) {
        self.span.queue.stop();
        crate::join(self.thread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_useful_session_or_the_greatest_debtor_gives_way() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let session = |n: u8, useful| ((Peer::new([n]), n.into()), [n; 32], at(useful));
        let sessions = || {
            vec![
                session(1, 30),
                session(2, 20),
                session(3, 25),
                session(4, 24),
            ]
        };
        let balance = |account: &Account| match account[0] {
            3 => -10,
            4 => -9,
            7 => 1,
            _ => 0,
        };
        let found = |newcomer: u8, now| {
            let after = Duration::from_secs(10);
            yielding(sessions(), &[newcomer; 32], after, at(now), balance).map(|key| key.1)
        };
        assert_eq!(found(8, 29), None, "all were useful lately");
        assert_eq!(found(8, 30), Some(2));
        assert_eq!(found(7, 29), Some(3), "who gave displaces who owes");
        assert_eq!(found(4, 29), None);
    }
}
