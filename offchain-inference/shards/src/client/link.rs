// SPDX-License-Identifier: Apache-2.0
//! A session with one server, as its client sees it.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc::Sender,
        Arc,
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use starling_planner::routing::Straggler;

use super::Hub;
use crate::{
    auth::Signed,
    integrity::{Claim, Digest},
    message::{
        self, Attest, Branch, Edit, Message, Next, Opened, Output, Part, Refusal, Request,
        Response, Work,
    },
    metrics::observe,
    transport::{ModelId, Peer, TransportError},
    wire::WireFormat,
    LOG_TARGET,
};

/// How long the first message of a session may take to be accepted by the transport, which may
/// have to open a substream for it.
const FIRST_SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for the others, which only wait for back-pressure.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);

/// The same for the message that ends a session, on which nothing depends.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// Times the expected duration of an answer that are waited.
const TIMEOUT_FACTOR: f64 = 10.0;

/// Why a server did not do its part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The transport's.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The connection broke.
    #[error("the connection broke")]
    Disconnected,
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout,
    /// The answer is not what was asked for.
    #[error("the answer is malformed")]
    Malformed,
    /// What another server should have passed on did not come, or not as it was.
    #[error("the upstream did not pass on its rows")]
    NotPushed,
}

impl LinkError {
    /// A short name, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.name(),
            Self::Transport(TransportError::Timeout(_)) | Self::Timeout => "timeout",
            Self::Transport(_) | Self::Disconnected => "disconnected",
            Self::Malformed => "malformed_answer",
            Self::NotPushed => "not_pushed",
        }
    }

    /// Whether the server just has no room or no time now, has forgotten the session, or does not
    /// serve this node's agent: nothing that speaks against it.
    pub fn is_forgivable(&self) -> bool {
        matches!(
            self,
            Self::Refused(
                Refusal::UnknownSession
                    | Refusal::Busy
                    | Refusal::CacheFull
                    | Refusal::TooManySessions
                    | Refusal::TooFast
                    | Refusal::Closing
                    | Refusal::NotHeld
                    | Refusal::NotBonded
                    | Refusal::Stale
                    | Refusal::BadPush
            )
        )
    }
}

/// An answer, or what came instead.
#[derive(Debug)]
pub(crate) struct Reply {
    /// As passed to [`Link::compute`].
    pub stage: usize,
    pub sequence: u64,
    pub result: Result<Computed, LinkError>,
}

/// Rows that a server has computed.
#[derive(Debug)]
pub(crate) struct Computed {
    /// As they came.
    pub bytes: Vec<u8>,
    /// SHA-256 of the rows that they were computed from, if those were pushed.
    pub input: Option<Digest>,
    /// How long the server says that it held them.
    pub held: Duration,
}

/// Where a server gets rows from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// From this node.
    Client(&'a [f32]),
    /// So many from its upstream.
    Upstream(usize),
}

struct Waiter {
    stage: usize,
    rows: usize,
    asked: Instant,
    /// Whether the rows are pushed: then the time since they were asked for says little.
    pushed: bool,
    reply: Sender<Reply>,
}

enum State {
    /// Who waits for the answers to which messages.
    Open(HashMap<u64, Waiter>),
    Failed(Broken),
}

/// When and why a session failed.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub at: Instant,
    pub error: LinkError,
}

#[derive(Default)]
struct Outgoing {
    /// Number of the next message.
    sequence: u64,
    /// Edits that go with the next message.
    edits: Vec<Edit>,
    /// Who the server was told may push, and the number of the first message after that.
    upstream: Option<(Peer, u64)>,
}

/// See the module. Closes the session when dropped.
pub(crate) struct Link {
    pub peer: Peer,
    pub model: ModelId,
    pub layers: Range<usize>,
    pub wire: WireFormat,
    pub width: usize,
    opened: Opened,
    /// Seconds that one row was expected to take when the session was opened.
    expected: f64,
    hub: Arc<Hub>,
    next_branch: AtomicU32,
    /// Held while a message is sent, so that messages leave in the order of their numbers.
    outgoing: Mutex<Outgoing>,
    state: Mutex<State>,
    /// One past the number of the last message that was answered.
    answered: AtomicU64,
    straggler: Mutex<Straggler>,
    straggles: AtomicBool,
    /// The server has ended the session.
    ended: AtomicBool,
}

/// What a link is opened for.
pub(crate) struct Target {
    pub peer: Peer,
    pub model: ModelId,
    pub layers: Range<usize>,
    pub wire: WireFormat,
    pub width: usize,
    /// Seconds that one row is expected to take.
    pub expected: f64,
}

impl Link {
    pub fn new(hub: Arc<Hub>, target: Target, opened: Opened) -> Arc<Self> {
        let link = Arc::new(Self {
            peer: target.peer,
            model: target.model,
            layers: target.layers,
            wire: target.wire,
            width: target.width,
            expected: target.expected,
            opened,
            next_branch: AtomicU32::new(0),
            outgoing: Mutex::default(),
            state: Mutex::new(State::Open(HashMap::new())),
            answered: AtomicU64::new(0),
            straggler: Mutex::default(),
            straggles: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            hub,
        });
        link.hub.register(&link);
        link
    }

    /// Number of the session on its server.
    pub fn session(&self) -> message::SessionId {
        self.opened.session
    }

    /// Whether the session can still be used.
    pub fn is_alive(&self) -> bool {
        self.broken().is_none()
    }

    /// Why it cannot, if so.
    pub fn broken(&self) -> Option<Broken> {
        match &*self.state.lock() {
            State::Open(_) => None,
            State::Failed(broken) => Some(broken.clone()),
        }
    }

    /// Whether the server has lately been much slower than expected.
    pub fn straggles(&self) -> bool {
        self.straggles.load(Ordering::Relaxed)
    }

    /// Rows that one message may hold, of at most `rows`.
    pub fn max_rows(&self, rows: usize) -> usize {
        let room = self
            .hub
            .transport
            .max_message()
            .saturating_sub(message::overhead(
                2 * self.opened.max_branches as usize,
                self.opened.max_branches as usize,
            ));
        let fit = room / self.wire.bytes(1, self.width).max(1);
        rows.min(self.opened.max_rows as usize).min(fit).max(1)
    }

    /// Branches that one message may extend.
    pub fn max_branches(&self) -> usize {
        self.opened.max_branches as usize
    }

    /// How long to wait for the answer to a message of `rows`.
    pub fn timeout(&self, rows: usize, least: Duration, most: Duration) -> Duration {
        let expected = self
            .hub
            .peers
            .expected(&self.peer, &self.model, self.layers.len(), rows);
        let expected = expected.unwrap_or(self.expected * rows as f64);
        let seconds = TIMEOUT_FACTOR * expected;
        let most = most.max(least);
        Duration::try_from_secs_f64(seconds).map_or(most, |timeout| timeout.clamp(least, most))
    }

    /// A number for a new branch.
    pub fn new_branch(&self) -> Branch {
        self.next_branch.fetch_add(1, Ordering::Relaxed)
    }

    /// A new branch that begins with `len` positions of `parent`.
    pub fn fork(&self, parent: Branch, len: usize) -> Option<Branch> {
        let len = len.try_into().ok()?;
        let branch = self.new_branch();
        self.outgoing.lock().edits.push(Edit::Fork {
            branch,
            parent,
            len,
        });
        Some(branch)
    }

    /// Lets go of a branch that the server knows.
    pub fn drop_branch(&self, branch: Branch) {
        if !self.is_alive() {
            return;
        }
        let mut outgoing = self.outgoing.lock();
        outgoing.edits.push(Edit::Drop(branch));
        if let Err(error) = self.send(&mut outgoing, vec![], vec![], None, None) {
            drop(outgoing);
            self.fail(&error);
        }
    }

    /// Whether its round trips take at least so long, as far as is known.
    pub fn is_as_far_as(&self, least: Duration) -> bool {
        let rtt = self.hub.peers.rtt(&self.peer).unwrap_or_default();
        rtt >= least.as_secs_f64()
    }

    /// Whether the server of `from` may pass its output on to this one. If this one does not know
    /// that yet it is told, for later: it knows once it has answered what was sent after that.
    pub fn takes_from(&self, from: &Self) -> bool {
        if !self.hub.pushes.may(&from.peer, &self.peer) {
            return false;
        }
        let outgoing = &mut *self.outgoing.lock();
        match &outgoing.upstream {
            Some((known, since)) if *known == from.peer => {
                self.answered.load(Ordering::Relaxed) > *since
            },
            _ => {
                outgoing.upstream = Some((from.peer.clone(), outgoing.sequence));
                self.tell(&Message::Upstream {
                    session: self.session(),
                    peer: from.peer.as_bytes().to_vec(),
                });
                false
            },
        }
    }

    /// Takes note that what `from` should pass on did not come as it should.
    pub fn not_pushed(&self, from: &Peer) {
        log::info!(
            target: LOG_TARGET,
            "what {from} passes on does not come to {} as it should: it goes through this node",
            self.peer
        );
        self.hub.metrics.push("given_up");
        self.hub.pushes.failed(from, &self.peer);
    }

    /// Has the server wait no more for rows of its upstream; nobody here does.
    pub fn skip(&self) {
        let outgoing = self.outgoing.lock();
        let State::Open(waiting) = &mut *self.state.lock() else {
            return;
        };
        waiting.retain(|_, waiter| !waiter.pushed);
        self.tell(&Message::Skip {
            session: self.session(),
            before: outgoing.sequence,
        });
    }

    /// Sends what has no answer. If it does not arrive, neither does what comes after it.
    fn tell(&self, message: &Message) {
        let payload = message::encode(message);
        let sent = self.hub.transport.send(&self.peer, payload, SEND_TIMEOUT);
        if let Err(error) = sent {
            log::debug!(target: LOG_TARGET, "{} is not told: {error}", self.peer);
        }
    }

    /// Asks for rows to be computed: those of `parts`. The output also goes to `next`. The answer
    /// goes to `reply`, unless this is an error already. Returns the message's number.
    pub fn compute(
        &self,
        parts: Vec<Part>,
        source: Source<'_>,
        next: Option<Next>,
        stage: usize,
        reply: &Sender<Reply>,
    ) -> Result<u64, LinkError> {
        let (rows, data) = match source {
            Source::Client(rows) => (
                rows.len() / self.width.max(1),
                self.wire.encode(rows, self.width),
            ),
            Source::Upstream(rows) => (rows, vec![]),
        };
        let waiter = Waiter {
            stage,
            rows,
            asked: Instant::now(),
            pushed: matches!(source, Source::Upstream(_)),
            reply: reply.clone(),
        };
        self.send(&mut self.outgoing.lock(), parts, data, next, Some(waiter))
    }

    fn send(
        &self,
        outgoing: &mut Outgoing,
        parts: Vec<Part>,
        data: Vec<u8>,
        next: Option<Next>,
        waiter: Option<Waiter>,
    ) -> Result<u64, LinkError> {
        let sequence = outgoing.sequence;
        let pushed = waiter.as_ref().is_some_and(|waiter| waiter.pushed);
        match (&mut *self.state.lock(), waiter) {
            (State::Open(waiting), Some(waiter)) => {
                waiting.insert(sequence, waiter);
            },
            (State::Open(_), None) => {},
            (State::Failed(broken), _) => return Err(broken.error.clone()),
        }
        outgoing.sequence += 1;
        let work = Work {
            session: self.session(),
            sequence,
            edits: std::mem::take(&mut outgoing.edits),
            parts,
            data,
            pushed,
            next,
        };
        let payload = message::encode(&Message::Work(work));
        let bytes = payload.len();
        let timeout = if sequence == 0 {
            FIRST_SEND_TIMEOUT
        } else {
            SEND_TIMEOUT
        };
        self.hub.transport.send(&self.peer, payload, timeout)?;
        self.hub.metrics.count_bytes("sent", "client", bytes);
        Ok(sequence)
    }

    /// Takes an answer in. Never waits.
    pub fn done(&self, sequence: u64, result: Result<Output, Refusal>) {
        let waiter = match &mut *self.state.lock() {
            State::Open(waiting) => waiting.remove(&sequence),
            State::Failed(_) => None,
        };
        let result = match (result, waiter) {
            (Ok(output), Some(waiter)) => {
                self.answered
                    .fetch_max(sequence.saturating_add(1), Ordering::Relaxed);
                self.measure(&waiter, output.held);
                let _ = waiter.reply.send(Reply {
                    stage: waiter.stage,
                    sequence,
                    result: Ok(Computed {
                        bytes: output.data,
                        input: output.input,
                        held: Duration::from_micros(output.held.into()),
                    }),
                });
                Ok(())
            },
            (Ok(_), None) => {
                self.hub.metrics.stray.inc();
                Ok(())
            },
            // A refusal ends the session, whatever it answers.
            (Err(refusal), waiter) => Err((LinkError::Refused(refusal), waiter)),
        };
        if let Err((error, waiter)) = result {
            self.ended.store(true, Ordering::Relaxed);
            if let Some(waiter) = waiter {
                waiter.fail(sequence, &error);
            }
            self.fail(&error);
        }
    }

    fn measure(&self, waiter: &Waiter, held: u32) {
        let took = waiter.asked.elapsed();
        let held = Duration::from_micros(held.into()).min(took);
        let wire = (!waiter.pushed).then(|| took.saturating_sub(held));
        let layers = self.layers.len();
        self.hub
            .peers
            .measured(&self.peer, &self.model, layers, waiter.rows, held, wire);
        if let Some(wire) = wire {
            observe(&self.hub.metrics.wire_seconds, wire);
            self.took(waiter.rows, took);
        }
    }

    /// Takes note of a step whose rows another server passed on. Its answer came so long after this
    /// node had them, too.
    pub fn measure_pushed(&self, rows: usize, took: Duration, held: Duration) {
        // Rows that come by way of this node take no less.
        let wire = took.saturating_sub(held);
        self.hub.peers.takes_at_least(&self.peer, rows, wire);
        self.took(rows, took);
    }

    /// Takes note of how long a step of so many rows took.
    fn took(&self, rows: usize, took: Duration) {
        observe(&self.hub.metrics.hop_seconds, took);
        if rows == 1 {
            let straggles = self
                .straggler
                .lock()
                .observe(took.as_secs_f64(), self.expected);
            self.straggles.store(straggles, Ordering::Relaxed);
        }
    }

    /// Has the server sign for an answer.
    pub fn attest(
        &self,
        answered: &Answered,
        timeout: Duration,
    ) -> Result<Signed<Claim>, LinkError> {
        let request = Request::Attest(Attest {
            session: self.session(),
            sequence: answered.sequence,
            part: answered.part,
        });
        match self.hub.ask(&self.peer, &request, timeout)? {
            Response::Attested(signed) => Ok(signed),
            _ => Err(LinkError::Malformed),
        }
    }

    /// Gives the session up, if it has not failed before. Whoever waits for an answer is told.
    pub fn fail(&self, error: &LinkError) {
        let mut state = self.state.lock();
        if let State::Open(waiting) = &mut *state {
            let waiting = std::mem::take(waiting);
            *state = State::Failed(Broken {
                at: Instant::now(),
                error: error.clone(),
            });
            drop(state);
            for (sequence, waiter) in waiting {
                waiter.fail(sequence, error);
            }
        }
    }
}

impl Waiter {
    fn fail(&self, sequence: u64, error: &LinkError) {
        // Nobody may be waiting any more.
        let _ = self.reply.send(Reply {
            stage: self.stage,
            sequence,
            result: Err(error.clone()),
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hub.forget(&self.peer, self.session());
        if !self.ended.load(Ordering::Relaxed) {
            let payload = message::encode(&Message::Close(self.session()));
            // If the server is gone, so is the session; else it expires.
            let _ = self.hub.transport.send(&self.peer, payload, CLOSE_TIMEOUT);
        }
    }
}

/// One sequence's branch on one server. Lets go of it when dropped.
pub(crate) struct Place {
    pub link: Arc<Link>,
    branch: Branch,
    /// Whether the server knows the branch.
    known: bool,
    /// Positions that the server is known to have computed and that are still right.
    pub len: usize,
    /// The last answer for it.
    pub last: Option<Answered>,
}

/// An answer that its server can be asked to sign for.
#[derive(Clone)]
pub(crate) struct Answered {
    pub sequence: u64,
    /// Place in the message.
    pub part: u32,
    pub position: usize,
    pub rows: usize,
    /// The rows as they came.
    pub bytes: Vec<u8>,
}

impl Place {
    pub fn new(link: Arc<Link>) -> Self {
        Self {
            branch: link.new_branch(),
            link,
            known: false,
            len: 0,
            last: None,
        }
    }

    /// The branch, which the server is about to be told of.
    pub fn branch(&mut self) -> Branch {
        self.known = true;
        self.branch
    }

    /// A copy, if the server can have one.
    pub fn fork(&self) -> Option<Self> {
        if self.len == 0 || !self.link.is_alive() {
            return None;
        }
        Some(Self {
            branch: self.link.fork(self.branch, self.len)?,
            link: self.link.clone(),
            known: true,
            len: self.len,
            last: None,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.known {
            self.link.drop_branch(self.branch);
        }
    }
}
