// SPDX-License-Identifier: Apache-2.0
//! Messages between nodes: SCALE behind a version byte.
//!
//! Set-up uses requests and responses. Hidden states travel as messages within a session, numbered
//! from 0 without gaps. A session is one client's use of one span. It holds several sequences, its
//! *branches*, each with a key-value cache.
//!
//! A server may pass its output on to the next server of a pipeline ([`Push`]), if the client has
//! announced the rows and named their sender. The client still numbers and edits all messages, and
//! receives all outputs: it keeps the rows for replay.

use std::ops::Range;

use codec::{Decode, DecodeAll, Encode};

use crate::{
    auth::{Key, Signed, Statement},
    integrity::{Digest, Exhibit},
    seal::{SealingKey, KEY, TAG},
    transport::{ModelId, Peer},
    wire::WireFormat,
};

/// Version of all formats in this module. Since 3 all rows are [sealed](crate::seal).
pub const VERSION: u8 = 3;

/// Number of a session, chosen by the server and unique on it.
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
    /// The span as a range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The span of a range; `None` if it does not fit.
    pub fn new(layers: &Range<usize>) -> Option<Self> {
        Some(Self {
            start: layers.start.try_into().ok()?,
            end: layers.end.try_into().ok()?,
        })
    }
}

/// A server's description of its span. Signed towards everyone.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Announcement {
    /// The model.
    pub model: ModelId,
    /// Layers that it holds; it computes any part of them.
    pub layers: Span,
    /// Measured tokens · layers a second of decoding one sequence.
    pub throughput: f32,
    /// Free positions in its caches.
    pub free_positions: u32,
    /// Number of sessions that it would still open.
    pub free_sessions: u32,
    /// Wire formats that it accepts.
    pub wires: Vec<WireFormat>,
    /// Key for sealing, the same until the node ends.
    pub key: SealingKey,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
}

impl Statement for Announcement {
    const PURPOSE: &'static [u8] = b"announcement";
}

/// Maximum number of rows of a survey.
pub const MAX_SURVEYED: usize = 512;

/// A node's measurements of the other holders of a model, beside its [`Announcement`]. Signed
/// towards everyone. The index of a variant is the version of the format; old ones stay readable.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Survey {
    /// The first version.
    #[codec(index = 1)]
    V1(SurveyV1),
}

impl Statement for Survey {
    const PURPOSE: &'static [u8] = b"survey";
}

/// The first version of a [`Survey`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct SurveyV1 {
    /// The model.
    pub model: ModelId,
    /// Bandwidth up as the node's operator states it, in kbit/s; 0 if not.
    pub up_kbps: u32,
    /// Bandwidth down as the node's operator states it, in kbit/s; 0 if not.
    pub down_kbps: u32,
    /// The measured nodes, at most [`MAX_SURVEYED`].
    pub rows: Vec<Surveyed>,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
}

/// A node's measurements of another; 0 is for what it did not measure.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Surveyed {
    /// The other node.
    pub peer: Peer,
    /// A round trip, in tenths of a millisecond.
    pub rtt: u16,
    /// Tokens · layers a second.
    pub throughput: u32,
    /// Bandwidth of the path, of there and back together, in kbit/s.
    pub kbps: u32,
    /// Share of the looks at it at which it was there, of 255.
    pub heard: u8,
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
    /// Fresh key for sealing.
    pub key: SealingKey,
    /// The server's key, as announced.
    pub server_key: SealingKey,
    /// A number that is used only once.
    pub nonce: [u8; 16],
    /// Milliseconds since the Unix epoch.
    pub time: u64,
}

impl Statement for Open {
    const PURPOSE: &'static [u8] = b"open";
}

/// A session has been opened.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Opened {
    /// Number of the session.
    pub session: SessionId,
    /// Maximum number of rows of one message.
    pub max_rows: u32,
    /// Maximum number of branches at the same time.
    pub max_branches: u32,
    /// Fresh key for sealing.
    pub key: SealingKey,
}

/// A request of set-up.
// Made, sent and dropped one at a time.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Request {
    /// Describe your span of this model.
    #[codec(index = 0)]
    Describe(ModelId),
    /// Open a session.
    #[codec(index = 1)]
    Open(Signed<Open>),
    /// Tell your measurements of this model's other holders. Nodes of before answer `Malformed`.
    #[codec(index = 2)]
    Survey(ModelId),
    /// Send these bytes back.
    #[codec(index = 3)]
    Ping([u8; 16]),
    /// Show the exhibit of the evidence with this name.
    #[codec(index = 4)]
    Exhibit(Digest),
}

/// A response of set-up.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Response {
    /// The server's span.
    #[codec(index = 0)]
    Announcement(Signed<Announcement>),
    /// A session is open.
    #[codec(index = 1)]
    Opened(Opened),
    /// The request is refused.
    #[codec(index = 2)]
    Refused(Refusal),
    /// The server's measurements.
    #[codec(index = 3)]
    Survey(Signed<Survey>),
    /// The bytes of a ping.
    #[codec(index = 4)]
    Pong([u8; 16]),
    /// An exhibit.
    #[codec(index = 5)]
    Exhibit(Exhibit),
}

/// A change of a session's branches, made before anything is computed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Edit {
    /// `branch` begins with the first `len` positions of `parent`.
    #[codec(index = 0)]
    Fork {
        /// Number of the new branch, not in use yet.
        branch: Branch,
        /// A branch with at least `len` positions.
        parent: Branch,
        /// Number of positions.
        len: u32,
    },
    /// `branch` is no longer needed.
    #[codec(index = 1)]
    Drop(Branch),
}

/// Rows for one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Part {
    /// The branch. Its first part, at position 0, creates it.
    pub branch: Branch,
    /// Position of the first row. Later positions of the branch are forgotten.
    pub position: u32,
    /// Number of rows.
    pub rows: u32,
}

/// Message from client to server: change branches, then compute.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Work {
    /// The session.
    pub session: SessionId,
    /// Number of this message.
    pub sequence: u64,
    /// Changes of branches, in order.
    pub edits: Vec<Edit>,
    /// Parts to compute in one pass; each branch at most once. Without parts there is no answer.
    pub parts: Vec<Part>,
    /// The parts' rows one after the other, in the session's wire format, unless they are pushed;
    /// then the key for the server that takes the output, if one does. Sealed under way.
    pub data: Vec<u8>,
    /// Whether the rows come from the session's upstream, as the [`Push`] of this number.
    pub pushed: bool,
    /// Second destination of the output, besides the answer.
    pub next: Option<Next>,
}

impl Work {
    /// Memory that the message takes while it waits, in bytes. Never less than its encoded size
    /// without the session's fixed fields.
    pub fn held(&self) -> usize {
        let lists = size_of_val(self.edits.as_slice())
            .saturating_add(size_of_val(self.parts.as_slice()))
            .saturating_add(self.data.len());
        let next = self
            .next
            .as_ref()
            .map_or(0, |next| next.peer.as_bytes().len());
        size_of::<Self>().saturating_add(lists).saturating_add(next)
    }
}

/// A message of another server's session, which takes this one's output as its rows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Next {
    /// The server.
    pub peer: Peer,
    /// The session there.
    pub session: SessionId,
    /// Number of the message.
    pub sequence: u64,
}

/// Message from server to server: the rows of a [`Work`] that the client sends as well.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Push {
    /// The session on the receiving server.
    pub session: SessionId,
    /// Number of the [`Work`].
    pub sequence: u64,
    /// The rows, sealed.
    pub data: Vec<u8>,
}

/// An agent's signatures under an answer: one for each part, in the order of the message.
///
/// Part by part, the server signs a [`Claim`](crate::integrity::Claim) towards everyone. The client
/// knows all that a claim says but its time, so that no claim travels.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Signatures {
    /// The agent's inference key.
    pub key: Key,
    /// Time of the claims, in milliseconds since the Unix epoch.
    pub time: u64,
    /// The signatures.
    pub parts: Vec<[u8; 64]>,
}

/// Hidden states after the session's last layer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Output {
    /// Microseconds from the message's arrival to this answer's departure.
    pub held: u32,
    /// The agent's signatures. The client checks them before it uses the rows.
    pub signatures: Signatures,
    /// The rows, coded as in the request, then SHA-256 of the pushed rows, if they were. The client
    /// compares it with the rows that it received itself. Sealed.
    pub data: Vec<u8>,
}

/// Message from server to client: the answer to a [`Work`]. A refusal ends the session.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Done {
    /// The session.
    pub session: SessionId,
    /// Number of the answered message.
    pub sequence: u64,
    /// The rows, or the reason of the refusal.
    pub result: Result<Output, Refusal>,
}

/// A message within a session.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Message {
    /// To the server: rows to compute.
    #[codec(index = 0)]
    Work(Work),
    /// To the client: an answer.
    #[codec(index = 1)]
    Done(Done),
    /// To the server: the session is no longer needed.
    #[codec(index = 2)]
    Close(SessionId),
    /// To the next server: rows.
    #[codec(index = 3)]
    Push(Push),
    /// To the server: the peer that may push rows into the session from now on.
    #[codec(index = 4)]
    Upstream {
        /// The session.
        session: SessionId,
        /// The upstream.
        peer: Peer,
    },
    /// To the server: stop waiting for rows that are no longer pushed. The edits of their messages
    /// still apply, but nothing is computed for them.
    #[codec(index = 5)]
    Skip {
        /// The session.
        session: SessionId,
        /// Messages with smaller numbers are skipped.
        before: u64,
    },
}

/// Reasons why a server refuses a request or message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Refusal {
    /// Not valid SCALE, or inconsistent.
    #[error("the message is malformed")]
    #[codec(index = 0)]
    Malformed,
    /// The server does not hold these layers.
    #[error("these layers are not held here")]
    #[codec(index = 1)]
    NotHeld,
    /// The signature is not the agent's.
    #[error("the signature does not match")]
    #[codec(index = 2)]
    BadSignature,
    /// The peer has no active agent with a sufficient bond.
    #[error("only active, bonded agents may open sessions")]
    #[codec(index = 3)]
    NotBonded,
    /// The request's time is too far from the server's clock.
    #[error("the request's time differs too much from the server's clock")]
    #[codec(index = 4)]
    Stale,
    /// The nonce was used before.
    #[error("the request was already used")]
    #[codec(index = 5)]
    Replayed,
    /// The agent, or all agents together, have the maximum number of sessions.
    #[error("the server opens no more sessions")]
    #[codec(index = 6)]
    TooManySessions,
    /// The message has more bytes, rows or branches than the server accepts.
    #[error("the message is too large")]
    #[codec(index = 7)]
    TooLarge,
    /// The peer sends more messages or requests than the server accepts in this time.
    #[error("too many messages or requests; send fewer a second")]
    #[codec(index = 8)]
    TooFast,
    /// The peer has no such session: it was never opened, was closed, or has expired.
    #[error("the session is unknown or has expired")]
    #[codec(index = 9)]
    UnknownSession,
    /// The message's number is not the next one.
    #[error("a message is out of order")]
    #[codec(index = 10)]
    OutOfOrder,
    /// A branch is missing, exists already, or is shorter than the message assumes.
    #[error("the branch is missing, exists already, or is too short")]
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
    /// Too many messages wait already.
    #[error("the server is busy")]
    #[codec(index = 14)]
    Busy,
    /// The engine failed.
    #[error("the server failed")]
    #[codec(index = 15)]
    Failed,
    /// The server is about to end, or to load other layers.
    #[error("the server is closing")]
    #[codec(index = 16)]
    Closing,
    /// The server does not accept this wire format.
    #[error("this wire format is not supported here")]
    #[codec(index = 17)]
    WrongWire,
    /// Another server passed on bytes that do not open, or are no rows.
    #[error("the upstream server passed on malformed rows")]
    #[codec(index = 18)]
    BadPush,
    /// A sealed message does not open.
    #[error("a sealed message does not open: it was changed, repeated, moved or cut on its way")]
    #[codec(index = 19)]
    Unsealed,
    /// The request is for a key that the server no longer has.
    #[error("the session is sealed for another key than this server's; ask for its span again")]
    #[codec(index = 20)]
    OtherKey,
    /// The message has another version byte.
    #[error("the two nodes speak different versions of the protocol; update the older one")]
    #[codec(index = 21)]
    OtherVersion,
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
            Self::Unsealed => "unsealed",
            Self::OtherKey => "other_key",
            Self::OtherVersion => "other_version",
        }
    }
}

/// Encodes a message behind the version byte.
pub fn encode(message: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + message.size_hint());
    bytes.push(VERSION);
    message.encode_to(&mut bytes);
    bytes
}

/// Decodes a message, which must fill `bytes` exactly.
pub fn decode<T: Decode>(bytes: &[u8]) -> Result<T, Refusal> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => T::decode_all(&mut &*rest).map_err(|_| Refusal::Malformed),
        Some(_) => Err(Refusal::OtherVersion),
        None => Err(Refusal::Malformed),
    }
}

/// Maximum size of a [`Work`] with `edits` edits and `parts` parts, and of its answer, both without
/// their rows, in bytes.
pub const fn overhead(edits: usize, parts: usize) -> usize {
    192 + TAG + KEY + 13 * edits + 64 * parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::MAX_PEER;
    use codec::Compact;
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
            peer: Peer::new(peer),
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
        fn an_answer_takes_no_more_room_than_its_message(
            parts in 0usize..600,
            (session, sequence, time, held) in any::<(u64, u64, u64, u32)>(),
            input in any::<Option<[u8; 32]>>(),
            data in proptest::collection::vec(any::<u8>(), 0..99),
        ) {
            let room = overhead(0, parts) + data.len();
            let signatures = Signatures { key: [1; 32], time, parts: vec![[2; 64]; parts] };
            // Sealed, with the digest of pushed rows.
            let data = [&data[..], input.as_ref().map_or(&[], |input| &input[..]), &[0; TAG]].concat();
            let result = Ok(Output { held, signatures, data });
            let done = Message::Done(Done { session, sequence, result });
            let bytes = encode(&done);
            prop_assert!(bytes.len() <= room);
            prop_assert_eq!(decode::<Message>(&bytes), Ok(done));
        }

        #[test]
        fn messages_come_through_and_their_overhead_is_bounded(message in work()) {
            let bytes = encode(&message);
            let Message::Work(work) = &message else { unreachable!() };
            prop_assert!(bytes.len() <= overhead(work.edits.len(), work.parts.len()) + work.data.len());
            prop_assert_eq!(decode::<Message>(&bytes), Ok(message));
        }

        #[test]
        fn a_cut_lengthened_or_other_versions_message_is_refused(message in work(), cut in any::<usize>()) {
            let mut bytes = encode(&message);
            prop_assert_eq!(decode::<Message>(&bytes[..cut % bytes.len()]), Err(Refusal::Malformed));
            bytes.push(0);
            prop_assert_eq!(decode::<Message>(&bytes), Err(Refusal::Malformed));
            bytes.pop();
            for version in [VERSION - 1, VERSION + 1] {
                bytes[0] = version;
                prop_assert_eq!(decode::<Message>(&bytes), Err(Refusal::OtherVersion));
            }
        }

        #[test]
        fn a_peer_longer_than_any_identity_is_malformed(excess in 1usize..5_000, session in any::<u64>()) {
            let named = |len| {
                let peer = Peer::new(vec![7; len]);
                decode::<Message>(&encode(&Message::Upstream { session, peer }))
            };
            prop_assert!(named(MAX_PEER).is_ok());
            prop_assert_eq!(named(MAX_PEER + excess), Err(Refusal::Malformed));
        }

        #[test]
        fn a_length_beyond_the_message_is_malformed(
            claimed in 100u32..1 << 30,
            rest in proptest::collection::vec(any::<u8>(), 0..99),
        ) {
            // A push: session and sequence number, then the length of the rows.
            let mut bytes = vec![VERSION, 3];
            bytes.extend([0; 16]);
            Compact(claimed).encode_to(&mut bytes);
            bytes.extend(rest);
            prop_assert_eq!(decode::<Message>(&bytes), Err(Refusal::Malformed));
        }

        #[test]
        fn a_survey_has_its_version_in_front_and_fits_a_response(
            peers in proptest::collection::vec(any::<[u8; 38]>(), 0..MAX_SURVEYED),
            (rtt, throughput, kbps, heard, time) in any::<(u16, u32, u32, u8, u64)>(),
        ) {
            let row = |peer: [u8; 38]| Surveyed { peer: Peer::new(peer), rtt, throughput, kbps, heard };
            let rows = peers.into_iter().map(row).collect();
            let body = Survey::V1(SurveyV1 { model: [3; 32], up_kbps: 0, down_kbps: 1, rows, time });
            prop_assert_eq!(body.encode()[0], 1);
            let signed = Signed { account: [1; 32], key: [2; 32], body, signature: [4; 64] };
            let response = Response::Survey(signed);
            let bytes = encode(&response);
            prop_assert!(bytes.len() <= 1 << 15);
            prop_assert_eq!(decode::<Response>(&bytes), Ok(response));
            // The version byte follows the variant, the account and the key.
            let mut later = bytes;
            later[1 + 1 + 64] = 2;
            prop_assert_eq!(decode::<Response>(&later), Err(Refusal::Malformed));
        }

        #[test]
        fn any_bytes_are_a_message_or_malformed(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<Message>(&bytes);
            let _ = decode::<Request>(&bytes);
            let _ = decode::<Response>(&bytes);
        }
    }

    #[test]
    fn what_nodes_of_before_ask_and_announce_stays_as_it_was() {
        let describe = Request::Describe([5; 32]).encode();
        assert_eq!(describe, [vec![0], vec![5; 32]].concat());
        let announcement = Announcement {
            model: [5; 32],
            layers: Span { start: 1, end: 3 },
            throughput: 2.0,
            free_positions: 4,
            free_sessions: 6,
            wires: vec![],
            key: [7; 32],
            time: 8,
        };
        let body = (
            [5u8; 32],
            (1u32, 3u32),
            2f32,
            4u32,
            6u32,
            Vec::<u8>::new(),
            [7u8; 32],
            8u64,
        );
        let signed = Signed {
            account: [1; 32],
            key: [2; 32],
            body: announcement,
            signature: [3; 64],
        };
        let bytes = Response::Announcement(signed).encode();
        assert_eq!(bytes, (0u8, [1u8; 32], [2u8; 32], body, [3u8; 64]).encode());
    }
}
