// SPDX-License-Identifier: Apache-2.0
//! The outcomes of up to 64 requests, for the chain.

use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

use crate::{hashing, Account, Balance, Hash};

const CHECKPOINT: &[u8] = b"starling/lane-checkpoint/1";

/// The number of requests in a block of a checkpoint.
pub const BLOCK: u32 = u64::BITS;

/// The text that a quorum of members signs for the chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Checkpoint {
    /// The number of the lane.
    pub lane: u64,
    /// The epoch, whose committee signs.
    pub epoch: u32,
    /// The first request: a multiple of [`BLOCK`].
    pub first: u32,
    /// The certified requests: bit `i` is request `first + i`.
    pub bitmap: u64,
    /// The sum of the fees of the certified requests.
    pub fees: Balance,
    /// The sums of their payments, in the order of accounts, each account once.
    pub payouts: Vec<(Account, Balance)>,
    /// The root of their transcripts.
    pub transcripts: Hash,
}

impl Checkpoint {
    /// The signed payload.
    pub fn hash(&self, genesis: &Hash) -> Hash {
        hashing::hash(&(CHECKPOINT, genesis, self))
    }

    /// Whether the request is settled by this checkpoint.
    pub fn covers(&self, seq: u32) -> bool {
        seq.checked_sub(self.first)
            .and_then(|bit| self.bitmap.checked_shr(bit))
            .is_some_and(|rest| rest & 1 == 1)
    }

    /// Whether the checkpoint is well formed: it begins at a block, settles something, pays each
    /// account once and in order, and pays out the fees to the last unit.
    pub fn is_well_formed(&self) -> bool {
        let in_order = self
            .payouts
            .windows(2)
            .all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
        let sum = self
            .payouts
            .iter()
            .try_fold(0, |sum: Balance, (_, amount)| sum.checked_add(*amount));
        self.first.checked_rem(BLOCK) == Some(0)
            && self.bitmap != 0
            && in_order
            && sum == Some(self.fees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            lane: 1,
            epoch: 2,
            first: 64,
            bitmap: 1 << 63 | 1,
            fees: 10,
            payouts: vec![([1; 32], 4), ([2; 32], 6)],
            transcripts: [0; 32],
        }
    }

    #[test]
    fn it_covers_the_requests_of_its_bits() {
        let covered: Vec<u32> = (0..300).filter(|seq| checkpoint().covers(*seq)).collect();
        assert_eq!(covered, [64, 127]);
    }

    #[test]
    fn payouts_sum_to_the_fees() {
        assert!(checkpoint().is_well_formed());
        let mut more = checkpoint();
        more.payouts[0].1 = 5;
        assert!(!more.is_well_formed());
        let mut overflowing = checkpoint();
        overflowing.payouts = vec![([1; 32], u128::MAX), ([2; 32], 11)];
        assert!(!overflowing.is_well_formed());
    }

    #[test]
    fn nobody_is_paid_twice_and_blocks_do_not_overlap() {
        let mut twice = checkpoint();
        twice.payouts = vec![([1; 32], 5), ([1; 32], 5)];
        assert!(!twice.is_well_formed());
        let mut between = checkpoint();
        between.first = 65;
        assert!(!between.is_well_formed());
        let mut nothing = checkpoint();
        nothing.bitmap = 0;
        assert!(!nothing.is_well_formed());
    }
}
