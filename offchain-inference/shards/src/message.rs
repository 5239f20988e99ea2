// SPDX-License-Identifier: Apache-2.0
//! What nodes say to each other: SCALE with a version byte in front.
//!
//! Set-up goes by request and response. Hidden states go as messages within a session, numbered
//! from 0 without gaps. A session is one client's use of one span; it holds several sequences, its
//! *branches*, each with a key-value cache.
//!
//! A server may pass its output on to the next server of a pipeline ([`Push`]), where the client has
//! announced the rows and said who brings them. The client still numbers, edits and gets everything:
//! it keeps the rows for replay.

use std::ops::Range;

use codec::{Decode, DecodeAll, Encode};

use crate::{
    auth::{Signed, Statement},
    integrity::{Claim, Digest},
    transport::ModelId,
    wire::WireFormat,
};

/// Version of everything in this module.
pub const VERSION: u8 = 2;

/// Number of a session, chosen by the server; unique on that server.
pub type SessionId = u64;

/// Number of a sequence within a session, chosen by the client.
pub type Branch = u32;

/// Layers [start, end) of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Span {
    /// First layer.
    pub start: u32,
    /// One past the last layer.
    pub end: u32,
}

impl Span {
    /// As a range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From a range; `None` where it does not fit.
    pub fn new(layers: &Range<usize>) -> Option<Self> {
        Some(Self {
            start: layers.start.try_into().ok()?,
            end: layers.end.try_into().ok()?,
        })
    }
}

/// What a server says of itself. Signed towards everyone.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Announcement {
    /// The model.
    pub model: ModelId,
    /// Layers that it holds; it computes any part of them.
    pub layers: Span,
    /// Measured tokens · layers a second of decoding one sequence.
    pub throughput: f32,
    /// Positions that its caches have room for.
    pub free_positions: u32,
    /// Sessions that it would still open.
    pub free_sessions: u32,
    /// Wire formats that it takes.
    pub wires: Vec<WireFormat>,
    /// Milliseconds since the epoch of Unix.
    pub time: u64,
}

impl Statement for Announcement {
    const PURPOSE: &'static [u8] = b"announcement";
}

/// Asks for a session. Signed towards the server.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Open {
    /// The model.
    pub model: ModelId,
    /// Layers to run: all or some of the server's.
    pub layers: Span,
    /// Wire format of hidden states in both directions.
    pub wire: WireFormat,
    /// Used once.
    pub nonce: [u8; 16],
    /// Milliseconds since the epoch of Unix.
    pub time: u64,
}

impl Statement for Open {
    const PURPOSE: &'static [u8] = b"open";
}

/// A session has been opened.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Opened {
    /// Its number.
    pub session: SessionId,
    /// Rows that one message may hold.
    pub max_rows: u32,
    /// Branches that may exist at the same time.
    pub max_branches: u32,
}

/// A request of set-up.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Request {
    /// What do you hold of this model?
    #[codec(index = 0)]
    Describe(ModelId),
    /// Open a session.
    #[codec(index = 1)]
    Open(Signed<Open>),
    /// Sign for what you computed.
    #[codec(index = 2)]
    Attest(Attest),
}

/// Asks for a signed claim about a part of an answer, one of the session's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attest {
    /// The session.
    pub session: SessionId,
    /// The message that was answered.
    pub sequence: u64,
    /// Place of the part in the message.
    pub part: u32,
}

/// A response of set-up.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Response {
    /// What the server holds.
    #[codec(index = 0)]
    Announcement(Signed<Announcement>),
    /// A session is open.
    #[codec(index = 1)]
    Opened(Opened),
    /// No.
    #[codec(index = 2)]
    Refused(Refusal),
    /// What was computed.
    #[codec(index = 3)]
    Attested(Signed<Claim>),
}

/// A change of a session's branches, made before anything is computed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Edit {
    /// `branch` begins with the first `len` positions of `parent`.
    #[codec(index = 0)]
    Fork {
        /// A number that is not in use.
        branch: Branch,
        /// A branch that has at least `len` positions.
        parent: Branch,
        /// Positions.
        len: u32,
    },
    /// `branch` is not needed any more.
    #[codec(index = 1)]
    Drop(Branch),
}

/// Rows for one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Part {
    /// The branch. It begins with its first part, at position 0.
    pub branch: Branch,
    /// Position of the first row. What the branch has from there on is forgotten.
    pub position: u32,
    /// Number of rows.
    pub rows: u32,
}

/// From client to server: change branches, then compute.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Work {
    /// The session.
    pub session: SessionId,
    /// Number of this message.
    pub sequence: u64,
    /// Changes, in order.
    pub edits: Vec<Edit>,
    /// What is computed, in one pass; each branch once. Without any there is no answer.
    pub parts: Vec<Part>,
    /// The parts' rows one after the other, in the session's wire; empty where they are pushed.
    pub data: Vec<u8>,
    /// Whether the rows come from the session's upstream, as the [`Push`] of this number.
    pub pushed: bool,
    /// Where the output goes, besides the answer.
    pub next: Option<Next>,
}

/// A message of another server's session, whose rows are this one's output.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Next {
    /// Bytes of the server's p2p identity.
    pub peer: Vec<u8>,
    /// The session there.
    pub session: SessionId,
    /// The message.
    pub sequence: u64,
}

/// From server to server: the rows of a [`Work`] that the client has sent or is about to send.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Push {
    /// The session on the server that gets this.
    pub session: SessionId,
    /// Number of the [`Work`].
    pub sequence: u64,
    /// Its rows.
    pub data: Vec<u8>,
}

/// Hidden states after the session's last layer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Output {
    /// Microseconds from the message's arrival to this answer's departure.
    pub held: u32,
    /// SHA-256 of the rows that were pushed, so that the client can tell whether they were those that
    /// it got itself.
    pub input: Option<Digest>,
    /// As in the question.
    pub data: Vec<u8>,
}

/// From server to client: the answer to a [`Work`]. A refusal ends the session.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Done {
    /// The session.
    pub session: SessionId,
    /// The message that is answered.
    pub sequence: u64,
    /// Rows, or why there are none.
    pub result: Result<Output, Refusal>,
}

/// Activations, and what goes with them.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Message {
    /// To the server.
    #[codec(index = 0)]
    Work(Work),
    /// To the client.
    #[codec(index = 1)]
    Done(Done),
    /// To the server: the session is not needed any more.
    #[codec(index = 2)]
    Close(SessionId),
    /// To the next server.
    #[codec(index = 3)]
    Push(Push),
    /// To the server: who may push rows into the session from now on.
    #[codec(index = 4)]
    Upstream {
        /// The session.
        session: SessionId,
        /// Bytes of the upstream's p2p identity.
        peer: Vec<u8>,
    },
    /// To the server: do not wait for rows that are not pushed any more. What their messages change
    /// is changed, nothing is computed for them.
    #[codec(index = 5)]
    Skip {
        /// The session.
        session: SessionId,
        /// Messages with smaller numbers are meant.
        before: u64,
    },
}

/// Why a server does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Refusal {
    /// Not this version, or not SCALE of it, or at odds with itself.
    #[error("the message is malformed")]
    #[codec(index = 0)]
    Malformed,
    /// The server holds no such layers.
    #[error("these layers are not held here")]
    #[codec(index = 1)]
    NotHeld,
    /// The signature is not the agent's.
    #[error("the signature does not match")]
    #[codec(index = 2)]
    BadSignature,
    /// No active, sufficiently bonded agent.
    #[error("only active, bonded agents may open sessions")]
    #[codec(index = 3)]
    NotBonded,
    /// The request's time is too far from the server's.
    #[error("the request is not of this time")]
    #[codec(index = 4)]
    Stale,
    /// The nonce was used before.
    #[error("the request was made before")]
    #[codec(index = 5)]
    Replayed,
    /// The agent, or all together, have as many sessions as there may be.
    #[error("no more sessions are opened")]
    #[codec(index = 6)]
    TooManySessions,
    /// More bytes, rows or branches than the server takes.
    #[error("the message is too large")]
    #[codec(index = 7)]
    TooLarge,
    /// More messages or requests than the server takes in this time.
    #[error("too many messages in too short a time")]
    #[codec(index = 8)]
    TooFast,
    /// No such session of this peer: never opened, closed, or expired.
    #[error("the session is unknown or has expired")]
    #[codec(index = 9)]
    UnknownSession,
    /// The message's number is not the one that follows.
    #[error("a message is out of order")]
    #[codec(index = 10)]
    OutOfOrder,
    /// A branch that does not exist, exists already, or is shorter than the message supposes.
    #[error("the branch is not as the message supposes")]
    #[codec(index = 11)]
    WrongBranch,
    /// The caches have no room.
    #[error("the cache is full")]
    #[codec(index = 12)]
    CacheFull,
    /// The sequence would outgrow the model's context.
    #[error("the context is full")]
    #[codec(index = 13)]
    ContextFull,
    /// Too much waits already.
    #[error("the server is busy")]
    #[codec(index = 14)]
    Busy,
    /// The engine failed.
    #[error("the server failed")]
    #[codec(index = 15)]
    Failed,
    /// The server is about to end, or to hold other layers.
    #[error("the server is closing")]
    #[codec(index = 16)]
    Closing,
    /// The server does not take this wire format.
    #[error("this wire format is not supported here")]
    #[codec(index = 17)]
    WrongWire,
    /// What another server passed on is no rows.
    #[error("what the upstream passed on is malformed")]
    #[codec(index = 18)]
    BadPush,
}

impl Refusal {
    /// A short name, for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotHeld => "not_held",
            Self::BadSignature => "bad_signature",
            Self::NotBonded => "not_bonded",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::TooManySessions => "too_many_sessions",
            Self::TooLarge => "too_large",
            Self::TooFast => "too_fast",
            Self::UnknownSession => "unknown_session",
            Self::OutOfOrder => "out_of_order",
            Self::WrongBranch => "wrong_branch",
            Self::CacheFull => "cache_full",
            Self::ContextFull => "context_full",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Closing => "closing",
            Self::WrongWire => "wrong_wire",
            Self::BadPush => "bad_push",
        }
    }
}

/// The bytes of a message.
pub fn encode(message: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + message.size_hint());
    bytes.push(VERSION);
    message.encode_to(&mut bytes);
    bytes
}

/// The message in `bytes`, all of them.
pub fn decode<T: Decode>(bytes: &[u8]) -> Result<T, Refusal> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => T::decode_all(&mut &*rest).map_err(|_| Refusal::Malformed),
        _ => Err(Refusal::Malformed),
    }
}

/// Bytes of a [`Work`] apart from its data, at most, with `edits` and `parts` of them.
pub const fn overhead(edits: usize, parts: usize) -> usize {
    192 + 13 * edits + 12 * parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn work() -> impl Strategy<Value = Message> {
        let edit = prop_oneof![
            any::<(u32, u32, u32)>().prop_map(|(branch, parent, len)| Edit::Fork {
                branch,
                parent,
                len
            }),
            any::<u32>().prop_map(Edit::Drop),
        ];
        let part = any::<(u32, u32, u32)>().prop_map(|(branch, position, rows)| Part {
            branch,
            position,
            rows,
        });
        let many = |n| proptest::collection::vec(any::<u8>(), 0..n);
        let next = (many(64), any::<(u64, u64)>()).prop_map(|(peer, (session, sequence))| Next {
            peer,
            session,
            sequence,
        });
        (
            any::<(u64, u64, bool)>(),
            proptest::collection::vec(edit, 0..9),
            proptest::collection::vec(part, 0..9),
            many(99),
            proptest::option::of(next),
        )
            .prop_map(|((session, sequence, pushed), edits, parts, data, next)| {
                Message::Work(Work {
                    session,
                    sequence,
                    edits,
                    parts,
                    data,
                    pushed,
                    next,
                })
            })
    }

    proptest! {
        #[test]
        fn messages_come_through_and_their_overhead_is_bounded(message in work()) {
            let bytes = encode(&message);
            let Message::Work(work) = &message else { unreachable!() };
            prop_assert!(bytes.len() <= overhead(work.edits.len(), work.parts.len()) + work.data.len());
            prop_assert_eq!(decode::<Message>(&bytes), Ok(message));
        }

        #[test]
        fn a_cut_lengthened_or_other_versions_message_is_malformed(message in work(), cut in any::<usize>()) {
            let mut bytes = encode(&message);
            prop_assert_eq!(decode::<Message>(&bytes[..cut % bytes.len()]), Err(Refusal::Malformed));
            bytes.push(0);
            prop_assert_eq!(decode::<Message>(&bytes), Err(Refusal::Malformed));
            bytes.pop();
            bytes[0] = VERSION + 1;
            prop_assert_eq!(decode::<Message>(&bytes), Err(Refusal::Malformed));
        }

        #[test]
        fn any_bytes_are_a_message_or_malformed(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<Message>(&bytes);
            let _ = decode::<Request>(&bytes);
            let _ = decode::<Response>(&bytes);
        }
    }
}
