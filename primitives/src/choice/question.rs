// SPDX-License-Identifier: Apache-2.0
//! Questions with known answers: what an asker commits to, and the pool that they come from.
//!
//! The pool is a list of questions. Its root is public before any of them is asked, so that an
//! asker cannot make up an answer afterwards. The tree is that of the crate `binary-merkle-tree`
//! over the leaves as they are, with BLAKE2b of 256 bits.

use codec::Encode;
use sp_core::H256;
use sp_io::hashing::blake2_256;
use sp_runtime::Permill;

use super::Form;
use crate::Salt;

/// Number of requests that an examiner makes for each answer that it reveals.
pub const REQUESTS_PER_ANSWER: u32 = 10;

const COMMITMENT_DOMAIN: &[u8] = b"starling/known-answer/1";
const LEAF_DOMAIN: &[u8] = b"starling/known-question/1";

/// The commitment of an asker to the known answer of its request:
/// `H(domain ‖ genesis ‖ requester ‖ index ‖ keys ‖ salt)`.
///
/// `index` is the question's place in the pool, and `keys` are the hashes of the right answer keys.
/// The salt is 32 fresh random bytes. Without it anybody could try all questions of a pool. The
/// requester is included because a commitment that somebody else copied must not open.
pub fn commitment<AccountId: Encode>(
    genesis: H256,
    requester: &AccountId,
    index: u32,
    keys: &[H256],
    salt: &Salt,
) -> H256 {
    let preimage = (COMMITMENT_DOMAIN, genesis, requester, index, keys, salt);
    blake2_256(&preimage.encode()).into()
}

/// A leaf of the pool: `H(domain ‖ index ‖ H(prompt) ‖ form ‖ chance ‖ keys)`.
///
/// `chance` is the share of right answers by chance: one divided by the number of options, or 0.05.
/// `keys` are the hashes of the right answer keys.
pub fn leaf(index: u32, prompt: &[u8], form: Form, chance: Permill, keys: &[H256]) -> H256 {
    let prompt = blake2_256(prompt);
    let preimage = (LEAF_DOMAIN, index, prompt, form, chance, keys);
    blake2_256(&preimage.encode()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    const GENESIS: H256 = H256::repeat_byte(1);
    const KEYS: [H256; 2] = [H256::repeat_byte(2), H256::repeat_byte(3)];
    const SALT: Salt = [4; 32];
    const CHANCE: Permill = Permill::from_percent(25);

    #[test]
    fn a_commitment_binds_chain_asker_question_and_answer() {
        let all = [
            commitment(GENESIS, &1u64, 5, &KEYS, &SALT),
            commitment(H256::zero(), &1u64, 5, &KEYS, &SALT),
            commitment(GENESIS, &2u64, 5, &KEYS, &SALT),
            commitment(GENESIS, &1u64, 6, &KEYS, &SALT),
            commitment(GENESIS, &1u64, 5, &KEYS[..1], &SALT),
            commitment(GENESIS, &1u64, 5, &[], &SALT),
            commitment(GENESIS, &1u64, 5, &KEYS, &[5; 32]),
        ];
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_leaf_binds_all_of_a_question() {
        let all = [
            leaf(5, b"2 + 2", Form::Number, CHANCE, &KEYS),
            leaf(6, b"2 + 2", Form::Number, CHANCE, &KEYS),
            leaf(5, b"2 + 3", Form::Number, CHANCE, &KEYS),
            leaf(5, b"2 + 2", Form::Short, CHANCE, &KEYS),
            leaf(5, b"2 + 2", Form::Number, Permill::zero(), &KEYS),
            leaf(5, b"2 + 2", Form::Number, CHANCE, &KEYS[1..]),
        ];
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_leaf_is_no_inner_node() {
        // An inner node hashes 64 bytes. A leaf hashes more, whatever the question is.
        let least = (LEAF_DOMAIN, 0u32, [0u8; 32], Form::Free, CHANCE, &KEYS[..0]);
        assert!(least.encode().len() > 64);
    }
}
