// SPDX-License-Identifier: Apache-2.0
//! Serving: spans that this node computes for others.

mod queue;
mod quota;
mod span;

pub use span::Served;

use std::{
    collections::HashMap,
    sync::{
        mpsc::{sync_channel, SyncSender},
        Arc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};

use self::{
    queue::{Job, Key, Queue, Terms},
    quota::{Nonces, Rates},
    span::{Answer, Rows, Span},
};
use crate::{
    auth::{Account, Directory, Identity, Signed, Statement},
    code::Code,
    config::ServiceConfig,
    integrity::Claim,
    message::{
        self, Announcement, Attest, Done, Message, Next, Open, Opened, Output, Push, Refusal,
        Request, Response, SessionId, Work,
    },
    metrics::Metrics,
    transport::{ModelId, Peer, Transport},
    ServiceError,
};

/// Answers that may wait to be sent.
const ANSWERS: usize = 256;

/// Outputs that may wait to be passed on. More are left out: their clients bring them.
const PUSHES: usize = 64;

/// Nothing is pushed to a server that took nothing for so long.
const PUSH_AGAIN: Duration = Duration::from_secs(30);

/// Such servers that are remembered.
const MAX_SILENT: usize = 1_024;

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
    spans: RwLock<HashMap<ModelId, Running>>,
    /// Held while a session is opened, so that the counted sessions are not exceeded.
    opening: Mutex<Nonces<[u8; 16]>>,
    requests: Mutex<Rates<Peer>>,
    messages: Mutex<Rates<Peer>>,
    answers: Mutex<Option<SyncSender<Answer>>>,
    pushes: Mutex<Option<SyncSender<(Peer, Push)>>>,
    senders: Mutex<Vec<JoinHandle<()>>>,
}

impl Server {
    pub fn start(
        transport: Arc<dyn Transport>,
        directory: Arc<dyn Directory>,
        identity: Arc<dyn Identity>,
        config: ServiceConfig,
        metrics: Metrics,
    ) -> Result<Arc<Self>, ServiceError> {
        let (answers, outgoing) = sync_channel(ANSWERS);
        let (pushes, pushed) = sync_channel(PUSHES);
        let server = Arc::new(Self {
            transport,
            directory,
            identity,
            config: Arc::new(RwLock::new(config)),
            metrics,
            spans: RwLock::default(),
            opening: Mutex::default(),
            requests: Mutex::default(),
            messages: Mutex::default(),
            answers: Mutex::new(Some(answers)),
            pushes: Mutex::new(Some(pushes)),
            senders: Mutex::default(),
        });
        let weak = Arc::downgrade(&server);
        let sender = crate::spawn("shards-answers", move || {
            for answer in outgoing {
                let Some(server) = weak.upgrade() else {
                    return;
                };
                server.answer(answer);
            }
        })?;
        let weak = Arc::downgrade(&server);
        // A server that takes nothing must not hold up the answers.
        let pusher = crate::spawn("shards-pushes", move || {
            let mut silent = HashMap::new();
            for (peer, push) in pushed {
                let Some(server) = weak.upgrade() else {
                    return;
                };
                server.push(&mut silent, peer, push);
            }
        })?;
        server.senders.lock().extend([sender, pusher]);
        Ok(server)
    }

    /// Changes the limits; open sessions stay.
    pub fn configure(&self, config: ServiceConfig) {
        *self.config.write() = config;
    }

    /// Loads a span and serves it from now on, in place of another one of the same model.
    pub fn serve(&self, model: ModelId, served: &Served) -> Result<(), ServiceError> {
        let answers = self.answers.lock().clone().ok_or(ServiceError::Closed)?;
        // Two spans may not fit into memory together.
        self.withdraw(&model);
        let span = Span::load(model, served, self.config.clone(), self.metrics.clone())?;
        let span = Arc::new(span);
        let at_work = span.clone();
        let thread = crate::spawn("shards-span", move || at_work.run(&answers))?;
        let running = Running { span, thread };
        let other = self.spans.write().insert(model, running);
        self.provide();
        if let Some(other) = other {
            other.stop();
        }
        Ok(())
    }

    /// Serves no span of `model` any more.
    pub fn withdraw(&self, model: &ModelId) {
        let running = self.spans.write().remove(model);
        if let Some(running) = running {
            self.provide();
            running.stop();
        }
    }

    /// Serves nothing any more.
    pub fn stop(&self) {
        let spans = std::mem::take(&mut *self.spans.write());
        self.provide();
        for running in spans.into_values() {
            running.stop();
        }
        self.answers.lock().take();
        self.pushes.lock().take();
        let senders = std::mem::take(&mut *self.senders.lock());
        senders.into_iter().for_each(crate::join);
    }

    fn provide(&self) {
        let models: Vec<_> = self.spans.read().keys().copied().collect();
        self.transport.provide(&models);
    }

    /// How fast this node's span of `model` is.
    pub fn throughput(&self, model: &ModelId) -> Option<f64> {
        let spans = self.spans.read();
        spans.get(model).map(|running| running.span.throughput())
    }

    /// What this node says of its span of `model`.
    pub fn announcement(&self, model: &ModelId) -> Option<Announcement> {
        let spans = self.spans.read();
        let span = &spans.get(model)?.span;
        let sessions: usize = spans.values().map(|s| s.span.queue.sessions(None)).sum();
        let free = self.config.read().max_sessions.saturating_sub(sessions);
        Some(Announcement {
            model: *model,
            blocks: message::Span::new(&span.model.blocks())?,
            throughput: span.throughput() as f32,
            free_positions: span.free_positions().try_into().unwrap_or(u32::MAX),
            free_sessions: free.try_into().unwrap_or(u32::MAX),
            codes: Code::ALL.to_vec(),
            time: self.directory.now(),
        })
    }

    /// Answers a request of set-up.
    pub fn request(&self, from: &Peer, payload: &[u8]) -> Response {
        let result = self
            .admit(from)
            .and_then(|()| match message::decode(payload)? {
                Request::Describe(model) => self.describe(&model),
                Request::Open(open) => self.open(from, &open).map(Response::Opened),
                Request::Attest(attest) => self.attest(from, attest).map(Response::Attested),
            });
        result.unwrap_or_else(|refusal| {
            self.refused(from, &refusal);
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
        let mut nonces = self.opening.lock();
        let expires = open.body.time.saturating_add(skew);
        if !nonces.remember(open.body.nonce, expires, now) {
            return Err(Refusal::Replayed);
        }
        let spans = self.spans.read();
        let span = spans.get(&open.body.model).ok_or(Refusal::NotHeld)?;
        let (held, asked) = (span.span.model.blocks(), open.body.blocks.range());
        if asked.is_empty() || asked.start < held.start || asked.end > held.end {
            return Err(Refusal::NotHeld);
        }
        let sessions = |account: Option<&Account>| -> usize {
            spans.values().map(|s| s.span.queue.sessions(account)).sum()
        };
        if sessions(None) >= config.max_sessions
            || sessions(Some(&open.account)) >= config.max_sessions_per_agent
        {
            return Err(Refusal::TooManySessions);
        }
        let session = getrandom::u64().map_err(|_| Refusal::Failed)?;
        let terms = Terms {
            account: open.account,
            blocks: asked,
            code: open.body.code,
        };
        span.span.queue.open((from.clone(), session), terms);
        log::debug!(target: "shards", "session {session:x} of {from} opened");
        Ok(Opened {
            session,
            max_rows: config.max_rows.try_into().unwrap_or(u32::MAX),
            max_branches: config.max_branches.try_into().unwrap_or(u32::MAX),
        })
    }

    fn attest(&self, from: &Peer, attest: Attest) -> Result<Signed<Claim>, Refusal> {
        let key = (from.clone(), attest.session);
        let claim = {
            let spans = self.spans.read();
            let mut queues = spans.values().map(|running| &running.span.queue);
            queues.find_map(|queue| queue.claimed(&key, attest.sequence, attest.part))
        };
        let claim = claim.ok_or(Refusal::UnknownSession)?;
        self.sign(claim).ok_or(Refusal::Closing)
    }

    /// Signs towards everyone.
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

    /// Takes a message in. Never waits.
    pub fn work(&self, from: Peer, work: Work, bytes: usize) {
        self.metrics.count_bytes("received", "server", bytes);
        let arrived = Instant::now();
        let (rate, max_bytes) = {
            let config = self.config.read();
            (config.messages_per_second, config.max_waiting_bytes)
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
            Some((span, terms)) => span.check(&work, terms.code).and_then(|(rows, bytes)| {
                let job = Job {
                    work,
                    rows,
                    bytes,
                    arrived,
                };
                span.queue.push(&key, job, max_bytes)
            }),
        };
        if let Err(refusal) = result {
            if let Some((span, _)) = found {
                span.queue.end(&key);
            }
            let answer = Answer {
                key,
                sequence,
                arrived,
                result: Err(refusal),
            };
            // A full queue of answers must not hold up the transport; the client will time out.
            if let Some(answers) = &*self.answers.lock() {
                let _ = answers.try_send(answer);
            }
        }
    }

    /// Takes in what another server passes on. Never waits.
    pub fn pushed(&self, from: Peer, push: Push, bytes: usize) {
        self.metrics.count_bytes("received", "server", bytes);
        let (rate, max_bytes) = {
            let config = self.config.read();
            (config.messages_per_second, config.max_waiting_bytes)
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
                result = running.span.queue.pushed(&from, push, max_bytes);
            }
            result.map_err(|(refusal, _)| refusal)
        } else {
            Err(Refusal::TooFast)
        };
        match result {
            Ok(()) => self.metrics.push("taken"),
            Err(refusal) => self.refused(&from, &refusal),
        }
    }

    /// Lets `peer` push rows into a session.
    pub fn upstream(&self, from: Peer, session: SessionId, peer: Vec<u8>) {
        let peer = Peer::new(peer);
        self.of_session((from, session), |queue, key| {
            queue.set_upstream(key, peer.clone())
        });
    }

    /// Waits no more for what is not pushed.
    pub fn skip(&self, from: Peer, session: SessionId, before: u64) {
        self.of_session((from, session), |queue, key| queue.skip(key, before));
    }

    /// Does something to a session, in the queue in which it is.
    fn of_session(&self, key: Key, act: impl Fn(&Queue, &Key) -> bool) {
        let spans = self.spans.read();
        let mut queues = spans.values().map(|running| &running.span.queue);
        if !queues.any(|queue| act(queue, &key)) {
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

    /// Ends all sessions of a peer that is gone.
    pub fn disconnected(&self, peer: &Peer) {
        for running in self.spans.read().values() {
            running.span.queue.end_peer(peer);
        }
    }

    /// Notes a message that could not be read.
    pub fn malformed(&self, from: &Peer) {
        self.refused(from, &Refusal::Malformed);
    }

    fn refused(&self, from: &Peer, refusal: &Refusal) {
        self.metrics.refuse(refusal);
        log::debug!(target: "shards", "{from} was refused: {refusal}");
    }

    /// Codes and sends an answer; waits for the peer as long as it may.
    fn answer(&self, answer: Answer) {
        let result = answer.result.map(|rows| {
            let data = rows.code.encode(&rows.data, rows.width);
            self.claim(&answer.key, answer.sequence, &rows, &data);
            if let Some(next) = rows.next {
                self.pass_on(next, &data);
            }
            let held = answer.arrived.elapsed().as_micros();
            Output {
                held: held.try_into().unwrap_or(u32::MAX),
                data,
                input: rows.input,
            }
        });
        let (peer, session) = &answer.key;
        if let Err(refusal) = &result {
            self.refused(peer, refusal);
        }
        let message = Message::Done(Done {
            session: *session,
            sequence: answer.sequence,
            result,
        });
        let payload = message::encode(&message);
        let (bytes, timeout) = (payload.len(), self.config.read().send_timeout);
        match self.transport.send(peer, payload, timeout) {
            Ok(()) => self.metrics.count_bytes("sent", "server", bytes),
            Err(error) => {
                log::debug!(target: "shards", "an answer is lost: {error}");
                for running in self.spans.read().values() {
                    running.span.queue.end(&answer.key);
                }
            },
        }
    }
}

impl Server {
    /// Has an output sent to the next server.
    fn pass_on(&self, next: Next, data: &[u8]) {
        let push = Push {
            session: next.session,
            sequence: next.sequence,
            data: data.to_vec(),
        };
        if let Some(pushes) = &*self.pushes.lock() {
            if pushes.try_send((Peer::new(next.peer), push)).is_err() {
                self.metrics.push("failed");
            }
        }
    }

    /// Sends an output to the next server, unless that took nothing lately.
    fn push(&self, silent: &mut HashMap<Peer, Instant>, peer: Peer, push: Push) {
        silent.retain(|_, since| since.elapsed() < PUSH_AGAIN);
        if silent.contains_key(&peer) {
            return self.metrics.push("failed");
        }
        let payload = message::encode(&Message::Push(push));
        let (bytes, timeout) = (payload.len(), self.config.read().send_timeout);
        match self.transport.send(&peer, payload, timeout) {
            Ok(()) => {
                self.metrics.push("sent");
                self.metrics.count_bytes("sent", "server", bytes);
            },
            Err(error) => {
                log::debug!(target: "shards", "nothing is passed on to {peer}: {error}");
                self.metrics.push("failed");
                if silent.len() < MAX_SILENT {
                    silent.insert(peer, Instant::now());
                }
            },
        }
    }

    /// Remembers what an answer claims, so that it can be signed for.
    fn claim(&self, key: &Key, sequence: u64, rows: &Rows, data: &[u8]) {
        let spans = self.spans.read();
        let Some(span) = spans.values().find(|running| running.span.id == rows.model) else {
            return;
        };
        let Some(blocks) = message::Span::new(&rows.blocks) else {
            return;
        };
        let time = self.directory.now();
        let mut rest = data;
        let claims = rows.parts.iter().map_while(|part| {
            let bytes = rows.code.bytes(part.rows as usize, rows.width);
            let (own, others) = rest.split_at_checked(bytes)?;
            rest = others;
            Some(Claim {
                model: rows.model,
                blocks: (blocks.start, blocks.end),
                code: rows.code,
                positions: part.position,
                rows: part.rows,
                before: part.before,
                after: part.after,
                output: Sha256::digest(own).into(),
                time,
            })
        });
        span.span.queue.claim(key, sequence, claims.collect());
    }
}

impl Running {
    fn stop(self) {
        self.span.queue.stop();
        crate::join(self.thread);
    }
}
