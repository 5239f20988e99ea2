// SPDX-License-Identifier: Apache-2.0
//! The payloads that an inference key signs.
//!
//! Authorized calls have no nonce, no era and no fee, and a general transaction binds neither chain
//! nor version. So the signed payload binds them all: chain, round, account, the call with its
//! content, and the block number at signing, which limits the life of the message.

use codec::Encode;
use sp_application_crypto::RuntimeAppPublic;
use sp_core::H256;
use sp_io::hashing::blake2_256;

use crate::{sealing::Slot, InferenceKey, InferenceSignature, Position, Salt, Score, Secret};

const MESSAGE_DOMAIN: &[u8] = b"starling/message/1";
const OWNERSHIP_DOMAIN: &[u8] = b"starling/ownership/1";

/// A message of an agent to a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub enum Message<'a> {
    /// The sealed response and the commitment to its key.
    #[codec(index = 0)]
    Commit {
        /// `R_i`.
        sealed: &'a [u8],
        /// `H(… ‖ k_i)`.
        key_commitment: H256,
    },
    /// The agent will not answer.
    #[codec(index = 1)]
    Pass,
    /// The key of the sealed response.
    #[codec(index = 2)]
    Reveal {
        /// `k_i`.
        key: &'a Secret,
    },
    /// The commitment to the scores.
    #[codec(index = 3)]
    CommitScores {
        /// The seed of the assignment that was scored.
        seed: H256,
        /// `H(… ‖ scores ‖ salt)`.
        commitment: H256,
    },
    /// The scores.
    #[codec(index = 4)]
    Disclose {
        /// Every assigned response with its score.
        scores: &'a [(Position, Score)],
        /// The salt of the commitment.
        salt: &'a Salt,
    },
}

/// The signed payload of a message.
pub fn payload<AccountId: Encode>(
    slot: &Slot<AccountId>,
    signed_at: u32,
    message: &Message,
) -> [u8; 32] {
    let content = (
        MESSAGE_DOMAIN,
        slot.genesis,
        slot.round,
        slot.agent,
        signed_at,
        message,
    );
    blake2_256(&content.encode())
}

/// Whether `key` signed this message.
pub fn verify<AccountId: Encode>(
    key: &InferenceKey,
    slot: &Slot<AccountId>,
    signed_at: u32,
    message: &Message,
    signature: &InferenceSignature,
) -> bool {
    key.verify(&payload(slot, signed_at, message), signature)
}

/// The payload that a new inference key signs to show that its owner wants it to serve `account`.
pub fn ownership_payload<AccountId: Encode>(genesis: H256, account: &AccountId) -> [u8; 32] {
    blake2_256(&(OWNERSHIP_DOMAIN, genesis, account).encode())
}

/// Whether `key` signed that it serves `account`.
pub fn verify_ownership<AccountId: Encode>(
    key: &InferenceKey,
    genesis: H256,
    account: &AccountId,
    signature: &InferenceSignature,
) -> bool {
    key.verify(&ownership_payload(genesis, account), signature)
}
