// SPDX-License-Identifier: Apache-2.0
//! The expiry of a request.

use starling_lane_primitives::Terms;
use starling_primitives::{api::lanes::EpochView, round::BlockNumber};

/// Blocks for the messages of a request, for the present block, and for nodes whose best block is a
/// little behind.
const SPARE: BlockNumber = 3;

/// Number of blocks from the expiry of a request on after which it can be escalated. Until then a
/// certificate may still be on its way.
pub const ESCALATION_DELAY: BlockNumber = 16;

/// The number of blocks that a request needs, by the times in the lane's terms.
pub fn needed(terms: &Terms, slot_ms: u64) -> BlockNumber {
    let work = u64::from(terms.answer_ms).saturating_add(terms.rank_ms.into());
    let blocks = work.div_ceil(slot_ms.max(1));
    BlockNumber::try_from(blocks)
        .unwrap_or(BlockNumber::MAX)
        .saturating_add(SPARE)
}

/// When a request can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Now, with this expiry.
    Now(BlockNumber),
    /// From this block on: the present epoch ends too soon.
    From(BlockNumber),
    /// Never: an epoch is shorter than the request.
    Never,
}

/// The moment of a request that needs so many blocks. It must not outlive the epoch, whose
/// committee answers it.
pub fn moment(now: BlockNumber, epoch: &EpochView, needed: BlockNumber) -> Moment {
    if needed > epoch.ends.saturating_sub(epoch.began) {
        return Moment::Never;
    }
    let expiry = now.saturating_add(needed);
    match expiry <= epoch.ends {
        true => Moment::Now(expiry),
        false => Moment::From(epoch.ends),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(answer_ms: u32, rank_ms: u32) -> Terms {
        Terms {
            members: 4,
            max_fee: 1,
            max_tokens: 1,
            answer_ms,
            rank_ms,
            key: [0; 32],
            peer: None,
        }
    }

    #[test]
    fn a_request_needs_the_blocks_of_its_terms() {
        assert_eq!(needed(&terms(0, 0), 1_000), SPARE);
        assert_eq!(needed(&terms(2_000, 1_001), 1_000), 4 + SPARE);
        assert_eq!(needed(&terms(u32::MAX, u32::MAX), 0), BlockNumber::MAX);
    }

    #[test]
    fn no_request_outlives_its_epoch() {
        let epoch = EpochView {
            epoch: 3,
            began: 30,
            ends: 40,
        };
        for needed in 0..12 {
            for now in 30..40 {
                match moment(now, &epoch, needed) {
                    Moment::Now(expiry) => {
                        assert!(expiry <= epoch.ends && expiry == now + needed);
                    },
                    Moment::From(block) => {
                        assert!(block == epoch.ends && now + needed > epoch.ends);
                        // It fits into the next epoch, so that nobody waits for ever.
                        assert!(needed <= 10);
                    },
                    Moment::Never => assert!(needed > 10),
                }
            }
        }
    }
}
