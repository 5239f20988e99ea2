// SPDX-License-Identifier: Apache-2.0
//! A server's statement of its output.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{hashing::hash, Digest, ModelId, Peer, Signed, Statement};

/// The coding of rows between nodes. `starling-shards` codes them.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Code {
    /// `f32`.
    #[codec(index = 0)]
    F32,
    /// `f16`.
    #[codec(index = 1)]
    F16,
    /// `dynamic8`.
    #[codec(index = 2)]
    Dynamic8,
    /// `dynamic8-row`.
    #[codec(index = 3)]
    Dynamic8Row,
    /// `linear8`.
    #[codec(index = 4)]
    Linear8,
    /// `linear8-row`.
    #[codec(index = 5)]
    Linear8Row,
}

/// A server's statement of its output in one step.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Claim {
    /// SHA-256 of the model's file.
    pub model: ModelId,
    /// First layer, and one past the last.
    pub layers: (u32, u32),
    /// Wire format of the output.
    pub wire: Code,
    /// Positions of the sequence before the step.
    pub positions: u32,
    /// Rows of the step.
    pub rows: u32,
    /// [`History`](crate::History) before the step.
    pub before: Digest,
    /// [`History`](crate::History) after it.
    pub after: Digest,
    /// SHA-256 of the output's wire bytes.
    pub output: Digest,
    /// Time of signing, in milliseconds since the Unix epoch.
    pub time: u64,
}

impl Statement for Claim {
    const PURPOSE: &'static [u8] = b"claim";
}

impl Claim {
    /// Whether both claims are about the same computation.
    pub fn same_question(&self, other: &Self) -> bool {
        let question = |c: &Self| (c.model, c.layers, c.positions, c.rows, c.before, c.after);
        question(self) == question(other)
    }

    /// Positions of the sequence with the step; `None` if no sequence is that long.
    pub fn total(&self) -> Option<u32> {
        self.positions.checked_add(self.rows)
    }

    /// Whether there are layers and rows that it is about.
    pub fn is_sound(&self) -> bool {
        self.layers.0 < self.layers.1 && self.rows > 0 && self.total().is_some()
    }
}

/// A claim with its author.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct SignedOutput {
    /// The node that signed.
    pub peer: Peer,
    /// The claim, signed for everyone.
    pub claim: Signed<Claim>,
}

impl SignedOutput {
    /// The bytes that were signed on this network, if the signature is genuine.
    pub fn message(&self, network: &[u8; 32]) -> Vec<u8> {
        self.claim.message(network, &self.peer, None)
    }

    /// Whether the claim is signed with the key that it names, on this network. The network's
    /// directory knows the owner of the key.
    #[cfg(feature = "std")]
    pub fn is_genuine(&self, network: &[u8; 32]) -> bool {
        self.claim.is_genuine(network, &self.peer, None)
    }

    /// The name of the claim of this agent, whatever signature and node it has: one agent says one
    /// thing once.
    pub fn id(&self) -> Digest {
        hash(&(b"starling/claim/1", self.claim.account, &self.claim.body))
    }
}
