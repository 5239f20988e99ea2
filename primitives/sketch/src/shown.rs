// SPDX-License-Identifier: Apache-2.0
//! Traces as they are kept, asked for and shown: the messages of `starling/trace/1`.
//!
//! An author signs the trace that it shows. A trace binds ids and sketches, so whoever passes it on
//! can add and change nothing.

use crate::{
    check::{same_ids, same_tree},
    trace::Trace,
    Hash, Sketch,
};
use alloc::vec::Vec;
use codec::{Decode, DecodeAll, Encode};

/// Blocks for which an author shows the trace of an answer after the round is over: a day.
pub const AUDIT_WINDOW: u32 = 86_400;

/// The largest [`Ask`], in bytes.
pub const MAX_ASK: u64 = 40;

/// The largest answer to one, in bytes: 64 KiB of token ids, and as much of sketches.
pub const MAX_SHOWN: u64 = 128 << 10;

/// Separates signatures under shown traces from every other one.
const DOMAIN: &[u8] = b"starling/trace/1";

/// Asks for the trace of an answer. The answer is an `Option` of [`Shown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Ask {
    /// The round.
    pub round: u64,
    /// The account of the author.
    pub agent: Hash,
}

/// A trace with all that others need to check the answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    /// The hash of the request.
    pub request: Hash,
    /// The trace.
    pub trace: Trace,
    /// The token ids of context and answer.
    pub ids: Vec<u32>,
    /// The sketches of the answer's chunks.
    pub sketches: Vec<Sketch>,
}

impl Kept {
    /// Whether ids and sketches are those of the trace.
    pub fn is_whole(&self) -> bool {
        same_ids(&self.trace, &self.ids).is_ok() && same_tree(&self.trace, &self.sketches).is_ok()
    }

    /// The bytes that its author signs, on the chain with this genesis block.
    pub fn statement(&self, genesis: &Hash, ask: &Ask) -> Vec<u8> {
        (DOMAIN, genesis, ask, self.request, self.trace.hash()).encode()
    }
}

/// A trace that its author shows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Shown {
    /// The trace, ids and sketches.
    pub kept: Kept,
    /// An inference key of the author.
    pub key: Hash,
    /// Its signature, by sr25519 in the context `substrate`, of [`Kept::statement`].
    pub signature: [u8; 64],
}

/// The message of these bytes, which are all of it.
pub fn read<T: Decode>(bytes: &[u8]) -> Option<T> {
    T::decode_all(&mut &*bytes).ok()
}
