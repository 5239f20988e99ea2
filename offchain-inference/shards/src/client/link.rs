// SPDX-License-Identifier: Apache-2.0
//! A client's session with one server.

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
    auth::{Account, Key, Signed},
    integrity::{Claim, Digest, History},
    message::{self, Branch, Edit, Message, Next, Opened, Output, Part, Refusal, Signatures, Work},
    metrics::observe,
    seal::{Chain, Chains, VectorKey},
    transport::{ModelId, Peer, TransportError},
    wire::WireFormat,
    LOG_TARGET,
};

/// Time for the transport to accept the first message of a session. It may have to open a substream
/// first.
const FIRST_SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for the transport to accept any other message, which waits for back-pressure only.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for the transport to accept the message that ends a session; nothing depends on it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// Seconds that rows take through this node besides round trips, there and back.
const THROUGH_CLIENT: f64 = 2e-3;

/// Factor between the expected duration of an answer and the longest wait for it.
const TIMEOUT_FACTOR: f64 = 10.0;

/// A server's failure to do its part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The server refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The transport failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The connection broke.
    #[error("the connection broke")]
    Disconnected,
    /// No answer arrived in time.
    #[error("no answer came in time")]
    Timeout,
    /// The answer does not fit the question.
    #[error("the answer is malformed")]
    Malformed,
    /// The server's agent did not sign for these rows.
    #[error("a signature under the answer does not match")]
    Unsigned,
    /// An answer does not open.
    #[error("an answer does not open: it was changed, repeated, moved or cut on its way")]
    Unsealed,
    /// Rows that another server should have passed on are missing or differ.
    #[error("the upstream server did not pass on its rows")]
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
            Self::Unsigned => "unsigned_answer",
            Self::Unsealed => "unsealed",
            Self::NotPushed => "not_pushed",
        }
    }

    /// Whether the failure does not count against the server: it has no room or no time now, has
    /// forgotten the session, or does not serve this node's agent.
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
                    | Refusal::OtherKey
            )
        )
    }
}

/// An answer or a failure.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The stage as passed to [`Link::compute`].
    pub stage: usize,
    pub sequence: u64,
    pub result: Result<Computed, LinkError>,
}

/// Rows computed by a server.
#[derive(Debug)]
pub(crate) struct Computed {
    /// The rows as received.
    pub bytes: Vec<u8>,
    /// SHA-256 of the input rows, if those were pushed.
    pub input: Option<Digest>,
    /// The server's signatures, not checked yet.
    pub signatures: Signatures,
    /// Time that the server says it held them.
    pub held: Duration,
}

/// Origin of the rows that a server computes.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// This node.
    Client(&'a [f32]),
    /// The server's upstream, with the number of rows.
    Upstream(usize),
}

/// A message that was sent.
pub(crate) struct Sent {
    pub sequence: u64,
    /// The key for its rows, if another server passes them on.
    pub pushed: Option<VectorKey>,
}

/// The server that takes an output, and the key for it.
pub(crate) struct Onward {
    pub next: Next,
    pub key: VectorKey,
}

struct Waiter {
    stage: usize,
    rows: usize,
    asked: Instant,
    /// Whether the rows are pushed. The time since the request then says little.
    pushed: bool,
    reply: Sender<Reply>,
}

enum State {
    /// Waiters by message number.
    Open(HashMap<u64, Waiter>),
    Failed(Broken),
}

/// Time and cause of a session's failure.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub at: Instant,
    pub error: LinkError,
}

struct Outgoing {
    /// Number of the next message.
    sequence: u64,
    /// Seals the messages.
    chain: Chain,
    /// Edits that go with the next message.
    edits: Vec<Edit>,
    /// The peer that the server was told to accept rows from, and the number of the first message
    /// after that.
    upstream: Option<(Peer, u64)>,
}

/// A client's session with one server. Closes the session when dropped.
pub(crate) struct Link {
    pub peer: Peer,
    /// The server's agent.
    pub account: Account,
    pub model: ModelId,
    pub layers: Range<usize>,
    pub wire: WireFormat,
    pub width: usize,
    /// The last key that was found to be the agent's.
    key: Mutex<Option<Key>>,
    opened: Opened,
    /// Expected seconds for one row, estimated when the session was opened.
    expected: f64,
    hub: Arc<Hub>,
    next_branch: AtomicU32,
    /// Locked while a message is sent, so that messages leave in the order of their numbers.
    outgoing: Mutex<Outgoing>,
    /// Opens the answers.
    answers: Mutex<Chain>,
    state: Mutex<State>,
    /// One past the number of the last answered message.
    answered: AtomicU64,
    straggler: Mutex<Straggler>,
    straggles: AtomicBool,
    /// The server has ended the session.
    ended: AtomicBool,
}

/// The server, model and span that a link is opened for.
pub(crate) struct Target {
    pub peer: Peer,
    pub model: ModelId,
    pub layers: Range<usize>,
    pub wire: WireFormat,
    pub width: usize,
    /// Expected seconds for one row.
    pub expected: f64,
}

impl Link {
    pub fn new(
        hub: Arc<Hub>,
        target: Target,
        account: Account,
        opened: Opened,
        chains: Chains,
    ) -> Arc<Self> {
        let link = Arc::new(Self {
            peer: target.peer,
            account,
            model: target.model,
            layers: target.layers,
            wire: target.wire,
            width: target.width,
            expected: target.expected,
            key: Mutex::default(),
            opened,
            next_branch: AtomicU32::new(0),
            outgoing: Mutex::new(Outgoing {
                sequence: 0,
                chain: chains.up,
                edits: vec![],
                upstream: None,
            }),
            answers: Mutex::new(chains.down),
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

    /// Cause of the failure, if the session failed.
    pub fn broken(&self) -> Option<Broken> {
        match &*self.state.lock() {
            State::Open(_) => None,
            State::Failed(broken) => Some(broken.clone()),
        }
    }

    /// Whether the server has recently been much slower than expected.
    pub fn straggles(&self) -> bool {
        self.straggles.load(Ordering::Relaxed)
    }

    /// Number of rows that fit one message, at most `rows`.
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

    /// Maximum number of branches that one message may extend.
    pub fn max_branches(&self) -> usize {
        self.opened.max_branches as usize
    }

    /// Time to wait for the answer to a message of `rows`.
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

    /// Drops a branch that the server knows.
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

    /// Whether a round trip to the server takes at least `least`, as far as known.
    pub fn is_as_far_as(&self, least: Duration) -> bool {
        let rtt = self.hub.peers.rtt(&self.peer).unwrap_or_default();
        rtt >= least.as_secs_f64()
    }

    /// Whether rows come sooner from the server of `from` to this one directly than through this
    /// node, as far as known.
    pub fn is_near(&self, from: &Self) -> bool {
        let peers = &self.hub.peers;
        let known = self.hub.surveys.known(&self.model);
        let between = known.and_then(|known| known.rtt(&from.peer, &self.peer));
        let through = peers.rtt(&from.peer).zip(peers.rtt(&self.peer));
        match between.zip(through) {
            Some((between, (first, second))) => between <= first + second + THROUGH_CLIENT,
            None => true,
        }
    }

    /// Whether the server of `from` may pass its output on to this one. If this server does not
    /// know that yet, it is told now. It knows once it has answered a later message.
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
                    peer: from.peer.clone(),
                });
                false
            },
        }
    }

    /// Records that rows from `from` did not arrive as they should.
    pub fn not_pushed(&self, from: &Peer) {
        log::info!(
            target: LOG_TARGET,
            "rows from {from} do not reach {} intact; they go through this node from now on",
            self.peer
        );
        self.hub.metrics.push("given_up");
        self.hub.pushes.failed(from, &self.peer);
    }

    /// Stops the server's wait for pushed rows that are no longer needed.
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

    /// Sends a message that has no answer. If it is lost, so is every later message.
    fn tell(&self, message: &Message) {
        let payload = message::encode(message);
        let sent = self.hub.transport.send(&self.peer, payload, SEND_TIMEOUT);
        if let Err(error) = sent {
            log::debug!(target: LOG_TARGET, "cannot send to {}: {error}", self.peer);
        }
    }

    /// Asks the server to compute the rows of `parts`, and to pass the output on to `next`. The
    /// answer goes to `reply`, unless this call fails.
    pub fn compute(
        &self,
        parts: Vec<Part>,
        source: Source<'_>,
        next: Option<Onward>,
        stage: usize,
        reply: &Sender<Reply>,
    ) -> Result<Sent, LinkError> {
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
        onward: Option<Onward>,
        waiter: Option<Waiter>,
    ) -> Result<Sent, LinkError> {
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
        let (next, key) = onward.map(|Onward { next, key }| (next, key)).unzip();
        let mut work = Work {
            session: self.session(),
            sequence,
            edits: std::mem::take(&mut outgoing.edits),
            parts,
            data,
            pushed,
            next,
        };
        let pushed = outgoing.chain.seal_work(&mut work, key.as_ref());
        let payload = message::encode(&Message::Work(work));
        let bytes = payload.len();
        let timeout = if sequence == 0 {
            FIRST_SEND_TIMEOUT
        } else {
            SEND_TIMEOUT
        };
        self.hub.transport.send(&self.peer, payload, timeout)?;
        self.hub.metrics.count_bytes("sent", "client", bytes);
        Ok(Sent { sequence, pushed })
    }

    /// Takes an answer in. Never blocks.
    pub fn done(&self, sequence: u64, result: Result<Output, Refusal>) {
        let result = result.map(|output| {
            let (held, signatures) = (output.held, output.signatures.clone());
            // Answers that nobody awaits any more are links of the chain, too.
            let mut answers = self.answers.lock();
            let opened = answers.open_output(self.session(), sequence, output);
            opened.map(|rows| (held, signatures, rows))
        });
        let result = match result {
            Ok(Some(opened)) => Ok(opened),
            Ok(None) => return self.fail(&LinkError::Unsealed),
            Err(refusal) => Err(refusal),
        };
        let waiter = match &mut *self.state.lock() {
            State::Open(waiting) => waiting.remove(&sequence),
            State::Failed(_) => None,
        };
        let result = match (result, waiter) {
            (Ok((held, signatures, mut bytes)), Some(waiter)) => {
                // A digest that is missing is noticed where it is compared.
                let input = waiter.pushed.then(|| split_digest(&mut bytes)).flatten();
                self.answered
                    .fetch_max(sequence.saturating_add(1), Ordering::Relaxed);
                self.measure(&waiter, held);
                let _ = waiter.reply.send(Reply {
                    stage: waiter.stage,
                    sequence,
                    result: Ok(Computed {
                        bytes,
                        input,
                        signatures,
                        held: Duration::from_micros(held.into()),
                    }),
                });
                Ok(())
            },
            (Ok(_), None) => {
                self.hub.metrics.stray.inc();
                Ok(())
            },
            // A refusal ends the session, whichever message it answers.
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
            self.carried(layers, waiter.rows, took, held);
            self.took(waiter.rows, took);
        }
    }

    /// Records the bandwidth of the path. A server that says to have held rows longer than its
    /// speed explains gets no better one for it.
    fn carried(&self, layers: usize, rows: usize, took: Duration, held: Duration) {
        let peers = &self.hub.peers;
        let computed = peers.computed(&self.peer, &self.model, layers, rows, held);
        if let (Some(rtt), Some(computed)) = (peers.rtt(&self.peer), computed) {
            let bytes = 2 * self.wire.bytes(rows, self.width);
            let wire = took.saturating_sub(computed);
            self.hub.surveys.carried(&self.peer, bytes, wire, rtt);
        }
    }

    /// Records a step whose rows another server passed on. Its answer arrived `took` after this
    /// node received those rows.
    pub fn measure_pushed(&self, rows: usize, took: Duration, held: Duration) {
        // Rows that travel through this node take at least as long.
        let wire = took.saturating_sub(held);
        self.hub.peers.takes_at_least(&self.peer, rows, wire);
        self.took(rows, took);
    }

    /// Records the duration of a step of `rows` rows.
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

    /// Counts rows that the server has signed for.
    pub fn earned(&self, rows: usize) {
        let layers = self.layers.len();
        self.hub.accounts.gave(&self.account, rows, layers);
    }

    /// Whether `key` is or was the agent's.
    pub fn is_key(&self, key: &Key) -> bool {
        let mut known = self.key.lock();
        if known.as_ref() == Some(key) {
            return true;
        }
        let directory = &self.hub.directory;
        let is_own = match directory.owner(key) {
            Some(owner) => owner == self.account,
            // Where others than agents serve, they have no keys on chain.
            None => directory.agent(&self.account).is_none(),
        };
        if is_own {
            *known = Some(*key);
        }
        is_own
    }

    /// A claim of the server with its signature. A signature that does not match costs the agent
    /// trust.
    pub fn signed(
        &self,
        claim: Claim,
        key: Key,
        signature: [u8; 64],
    ) -> Result<Signed<Claim>, LinkError> {
        let signed = Signed {
            account: self.account,
            key,
            body: claim,
            signature,
        };
        if signed.is_genuine(&self.hub.directory.network(), &self.peer, None) {
            return Ok(signed);
        }
        let trust = self.hub.peers.forged(&self.account);
        log::warn!(
            target: LOG_TARGET,
            "{} did not sign for its rows behind layers {}..{}; its trust is {trust:.2} now",
            self.peer,
            self.layers.start,
            self.layers.end,
        );
        Err(LinkError::Unsigned)
    }

    /// Gives the session up, unless it has failed before, and tells all waiters.
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

/// Takes the digest of pushed rows from the end of an answer.
fn split_digest(bytes: &mut Vec<u8>) -> Option<Digest> {
    let rows = bytes.len().checked_sub(size_of::<Digest>())?;
    bytes.split_off(rows).try_into().ok()
}

impl Waiter {
    fn fail(&self, sequence: u64, error: &LinkError) {
        // The receiver may be gone.
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
            // If the server is gone, so is the session; otherwise the session expires.
            let _ = self.hub.transport.send(&self.peer, payload, CLOSE_TIMEOUT);
        }
    }
}

/// One sequence's branch on one server. Drops the branch when dropped.
pub(crate) struct Place {
    pub link: Arc<Link>,
    branch: Branch,
    /// Whether the server knows the branch.
    known: bool,
    /// Positions that the server is known to have computed and that are still valid.
    pub len: usize,
    /// Digests of the branch's input rows as the server decodes them.
    pub inputs: History,
    /// The last answer for the branch.
    pub last: Option<Answered>,
}

/// An answer with its server's signature.
#[derive(Clone)]
pub(crate) struct Answered {
    pub position: usize,
    pub rows: usize,
    /// The rows as received.
    pub bytes: Vec<u8>,
    pub signed: Signed<Claim>,
}

impl Place {
    pub fn new(link: Arc<Link>) -> Self {
        Self {
            branch: link.new_branch(),
            link,
            known: false,
            len: 0,
            inputs: History::default(),
            last: None,
        }
    }

    /// The branch, for a message that tells the server of it.
    pub fn branch(&mut self) -> Branch {
        self.known = true;
        self.branch
    }

    /// A copy, if the server allows one more branch.
    pub fn fork(&self) -> Option<Self> {
        if self.len == 0 || !self.link.is_alive() {
            return None;
        }
        Some(Self {
            branch: self.link.fork(self.branch, self.len)?,
            link: self.link.clone(),
            known: true,
            len: self.len,
            inputs: self.inputs.clone(),
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
