// SPDX-License-Identifier: Apache-2.0
//! The trace of an answer: what its author claims to have computed (section 2).
//!
//! A trace is 147 bytes. Its hash is what an author commits to; header, token ids and sketches stay
//! with the author until somebody is drawn to check them.

use crate::{
    merkle::{hash, BadTree, Tree},
    Hash, Sketch,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sha2::{Digest, Sha256};

/// The version of a trace's format and of its sampler.
pub const VERSION: u8 = 1;

/// The attempts of which an author may choose one: three bits of freedom.
pub const ATTEMPTS: u8 = 8;

/// Separates the keys of samplers from every other hash.
const DOMAIN: &[u8] = b"starling/sampler/v1";

/// The widths in which an author computed.
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
pub enum Numerics {
    /// Activations of 16 bits or floats.
    #[codec(index = 0)]
    Wide,
    /// Activations of 8 bits.
    #[codec(index = 1)]
    Narrow,
}

/// The settings of the draws of an answer's tokens.
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
pub struct Settings {
    /// Divides the logits, in thousandths.
    pub temperature: u16,
    /// The number of most probable tokens that are drawn from; 0 for the most that there are.
    pub top_k: u16,
    /// The share of the probability that is drawn from, in thousandths: 1 to 1000.
    pub top_p: u16,
}

/// The trace of an answer.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Trace {
    /// [`VERSION`].
    pub version: u8,
    /// The SHA-256 of the model file.
    pub model: Hash,
    /// The widths of the computation.
    pub numerics: Numerics,
    /// The settings of the draws.
    pub settings: Settings,
    /// The number of the attempt whose key drew the tokens, below [`ATTEMPTS`].
    pub attempt: u8,
    /// Tokens before the answer.
    pub context: u32,
    /// Tokens of the answer.
    pub tokens: u32,
    /// The [`token_digest`] of all of them.
    pub token_digest: Hash,
    /// Sketches of the answer.
    pub chunks: u16,
    /// The Merkle root over them.
    pub sketch_root: Hash,
    /// Random bytes: without them, whoever guesses a short answer could try it against the hash.
    pub salt: Hash,
}

/// The parts of an answer that its trace commits to.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The SHA-256 of the model file.
    pub model: Hash,
    /// The widths of the computation.
    pub numerics: Numerics,
    /// The settings of the draws.
    pub settings: Settings,
    /// The number of the attempt.
    pub attempt: u8,
    /// The tokens before the answer.
    pub context: &'a [u32],
    /// The tokens of the answer.
    pub tokens: &'a [u32],
    /// The sketches of the answer's chunks.
    pub sketches: &'a [Sketch],
    /// Random bytes.
    pub salt: Hash,
}

impl Trace {
    /// The trace of an answer.
    ///
    /// # Errors
    /// [`BadTree`] if there are no sketches, or too many.
    pub fn of(parts: &Parts<'_>) -> Result<Self, BadTree> {
        let tree = Tree::new(parts.sketches)?;
        let count = |tokens: &[u32]| u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let chunks = parts.sketches.len();
        Ok(Self {
            version: VERSION,
            model: parts.model,
            numerics: parts.numerics,
            settings: parts.settings,
            attempt: parts.attempt,
            context: count(parts.context),
            tokens: count(parts.tokens),
            token_digest: token_digest(&[parts.context, parts.tokens].concat()),
            chunks: u16::try_from(chunks).map_err(|_| BadTree::TooMany(chunks))?,
            sketch_root: tree.root(),
            salt: parts.salt,
        })
    }

    /// The hash that its author commits to.
    pub fn hash(&self) -> Hash {
        hash(&[&self.encode()])
    }
}

/// blake2_256 of the SCALE encoding of token ids.
pub fn token_digest(ids: &[u32]) -> Hash {
    hash(&[&ids.encode()])
}

/// The hash of a request: blake2_256 of the SCALE encoding of prompt and most tokens.
pub fn request_hash(prompt: &[u8], max_tokens: u32) -> Hash {
    hash(&[&(prompt, max_tokens).encode()])
}

/// The place of an answer on a chain, which fixes the draws of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The hash of the chain's genesis block.
    pub genesis: Hash,
    /// The round; in a lane the slot.
    pub round: u64,
    /// The account of the author.
    pub agent: Hash,
    /// The [`request_hash`].
    pub request: Hash,
}

impl Place {
    /// The key of the draws of an attempt: SHA-256("starling/sampler/v1" ‖ genesis ‖ round as u64,
    /// low byte first ‖ agent ‖ request ‖ attempt).
    pub fn sampler_key(&self, attempt: u8) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        hasher.update(self.genesis);
        hasher.update(self.round.to_le_bytes());
        hasher.update(self.agent);
        hasher.update(self.request);
        hasher.update([attempt]);
        hasher.finalize().into()
    }
}
