// SPDX-License-Identifier: Apache-2.0
//! The seed of the assignment, and the outcome of a request.
//!
//! Assignment, tally and the best response are those of a round, in `starling-primitives`. Here is
//! what members sign about them.

use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

use crate::{hashing, messages::Named, Account, Balance, Hash, Member, Secret, Slot};

const SEED: &[u8] = b"starling/lane-seed/1";
const OUTCOME: &[u8] = b"starling/lane-outcome/1";
const SET: &[u8] = b"starling/lane-set/1";
const KEYS: &[u8] = b"starling/lane-keys/1";

/// The key of a member of the set; zeros if its value is spoiled.
pub type Key = (Member, Secret);

/// The root of a set, which signatures and outcomes name.
pub fn set_root(set: &[Named]) -> Hash {
    hashing::hash(&(SET, set))
}

/// The root of the keys of a set.
pub fn keys_root(keys: &[Key]) -> Hash {
    hashing::hash(&(KEYS, keys))
}

/// The seed of the assignment. The set is fixed before any of the keys is known, and no key can be
/// withheld, so nobody chooses it. A spoiled key counts as zeros.
pub fn seed(slot: &Slot, set: &Hash, keys: &[Key]) -> Hash {
    hashing::hash(&(
        SEED,
        slot.genesis,
        slot.lane,
        slot.epoch,
        slot.seq,
        set,
        keys,
    ))
}

/// The votes behind the best response of a request whose equal answers are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Count {
    /// Whether votes decided, and not the scores by ratings alone.
    pub is_voted: bool,
    /// The number of responses that give the answer.
    pub votes: u32,
    /// The number of all valid responses.
    pub responses: u32,
    /// The share of the responses that give the answer, 32 fractional bits.
    pub share_of_votes: u64,
    /// The share of the weight of votes that is behind the answer, 32 fractional bits.
    pub share_of_weight: u64,
}

/// The outcome of a request. It follows from the transcript alone, so whoever has that computes the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Outcome {
    /// The hash of the request.
    pub ask: Hash,
    /// The hash of what is fixed for the epoch and decides the choice: the way to choose, and the
    /// ratings and known answers of the members.
    pub basis: Hash,
    /// The root of the set of responses.
    pub responses: Hash,
    /// The root of their keys.
    pub response_keys: Hash,
    /// The root of the set of scores.
    pub scores: Hash,
    /// The root of their keys.
    pub score_keys: Hash,
    /// The member with the best response, if one could win.
    pub winner: Option<Member>,
    /// The votes behind the best response, where equal answers are counted.
    pub count: Option<Count>,
    /// All payments, in the order of accounts.
    pub payouts: Vec<(Account, Balance)>,
}

impl Outcome {
    /// The object of a vote.
    pub fn hash(&self) -> Hash {
        hashing::hash(&(OUTCOME, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Phase;

    const SLOT: Slot = Slot {
        genesis: [1; 32],
        lane: 2,
        epoch: 3,
        seq: 4,
        phase: Phase::Responses,
    };

    const COUNT: Count = Count {
        is_voted: true,
        votes: 2,
        responses: 4,
        share_of_votes: 1 << 31,
        share_of_weight: 1 << 32,
    };

    #[test]
    fn every_part_changes_the_seed() {
        let keys = [(0, [1; 32]), (1, [0; 32])];
        let seed_of = |slot, set, keys: &[Key]| seed(&slot, &set, keys);
        let first = seed_of(SLOT, [5; 32], &keys);
        assert_ne!(first, seed_of(Slot { epoch: 9, ..SLOT }, [5; 32], &keys));
        assert_ne!(first, seed_of(SLOT, [6; 32], &keys));
        assert_ne!(first, seed_of(SLOT, [5; 32], &keys[..1]));
        let others = [(0, [1; 32]), (2, [0; 32])];
        assert_ne!(first, seed_of(SLOT, [5; 32], &others));
    }

    #[test]
    fn every_part_changes_the_outcome() {
        let outcome = Outcome {
            ask: [0; 32],
            basis: [8; 32],
            responses: [1; 32],
            response_keys: [2; 32],
            scores: [3; 32],
            score_keys: [4; 32],
            winner: Some(1),
            count: Some(COUNT),
            payouts: vec![([7; 32], 5)],
        };
        let mut others = vec![outcome.clone(); 10];
        others[0].ask = [9; 32];
        others[1].responses = [9; 32];
        others[2].response_keys = [9; 32];
        others[3].scores = [9; 32];
        others[4].score_keys = [9; 32];
        others[5].winner = None;
        others[6].payouts[0].1 = 6;
        others[7].basis = [9; 32];
        others[8].count = None;
        others[9].count = Some(Count { votes: 1, ..COUNT });
        for other in others {
            assert_ne!(other.hash(), outcome.hash());
        }
    }
}
