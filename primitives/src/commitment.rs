// SPDX-License-Identifier: Apache-2.0
//! The commitment to scores, and the seed that it is bound to.

use alloc::vec::Vec;

use codec::Encode;
use sp_core::H256;
use sp_io::hashing::blake2_256;

use crate::{sealing::Slot, RoundId, Salt, Score, Secret};

const SCORES_DOMAIN: &[u8] = b"starling/scores/1";
const SEED_DOMAIN: &[u8] = b"starling/seed/1";

impl<AccountId: Encode> Slot<'_, AccountId> {
    /// `H(domain ‖ genesis ‖ round ‖ agent ‖ seed ‖ scores ‖ salt)`.
    ///
    /// The seed is included because another set of keys may be revealed after a reorg, which
    /// assigns other responses. A commitment for the old ones must not bind.
    pub fn scores_commitment(
        &self,
        seed: H256,
        scores: &[(crate::Position, Score)],
        salt: &Salt,
    ) -> H256 {
        let preimage = (
            SCORES_DOMAIN,
            self.genesis,
            self.round,
            self.agent,
            seed,
            scores,
            salt,
        );
        blake2_256(&preimage.encode()).into()
    }
}

/// `H(domain ‖ round ‖ randomness after the last Committing block ‖ H(revealed keys, in agent
/// order))`.
///
/// This randomness is fixed before any key is public, and the keys are bound before it exists.
pub fn assignment_seed(round: RoundId, last_committing: H256, keys: &[Secret]) -> H256 {
    let keys: Vec<u8> = keys.concat();
    let preimage = (SEED_DOMAIN, round, last_committing, blake2_256(&keys));
    blake2_256(&preimage.encode()).into()
}
