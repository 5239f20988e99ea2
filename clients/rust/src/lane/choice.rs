// SPDX-License-Identifier: Apache-2.0
//! The lane of an account that can take a request.

use starling_primitives::{api::lanes::LaneView, Balance};

/// The reason why a lane cannot take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is closing.
    #[error("it is closing")]
    Closing,
    /// Another key signs its requests.
    #[error("another key signs its requests")]
    OtherKey,
    /// The fee is above the largest of its terms.
    #[error("its terms allow no fee as high")]
    Fee,
    /// The answer is longer than its terms allow.
    #[error("its terms allow no answer as long")]
    Length,
    /// Half of its free deposit does not cover the fee. The committees of two epochs promise one half
    /// each.
    #[error("half of its free deposit does not cover the fee: top it up")]
    Empty,
}

/// A request, as far as a lane must allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The public key that signs.
    pub key: [u8; 32],
    /// The fee.
    pub fee: Balance,
    /// The maximum length of the answer, in tokens.
    pub max_tokens: u32,
}

/// Whether a lane can take a request, as far as its terms and its deposit tell.
pub fn fits<A>(lane: &LaneView<A>, wanted: &Wanted) -> Result<(), Unfit> {
    let terms = &lane.terms;
    if lane.last_epoch.is_some() {
        return Err(Unfit::Closing);
    }
    if terms.key != wanted.key {
        return Err(Unfit::OtherKey);
    }
    if wanted.fee > terms.max_fee {
        return Err(Unfit::Fee);
    }
    if wanted.max_tokens > terms.max_tokens {
        return Err(Unfit::Length);
    }
    if wanted.fee.saturating_mul(2) > lane.free {
        return Err(Unfit::Empty);
    }
    Ok(())
}

/// The lanes that can take a request, the one with the largest free deposit first.
pub fn fitting<A>(lanes: Vec<LaneView<A>>, wanted: &Wanted) -> Vec<LaneView<A>> {
    let mut fit: Vec<_> = lanes
        .into_iter()
        .filter(|lane| fits(lane, wanted).is_ok())
        .collect();
    fit.sort_by_key(|lane| (std::cmp::Reverse(lane.free), lane.id));
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_lane_primitives::Terms;

    const WANTED: Wanted = Wanted {
        key: [7; 32],
        fee: 5,
        max_tokens: 64,
    };

    fn lane(id: u64, free: Balance) -> LaneView<u8> {
        LaneView {
            id,
            requester: 1,
            terms: Terms {
                members: 4,
                max_fee: 5,
                max_tokens: 64,
                answer_ms: 1,
                rank_ms: 1,
                key: [7; 32],
                peer: None,
            },
            first_epoch: 3,
            last_epoch: None,
            reclaimable: None,
            deposited: free,
            free,
            pending: 0,
            paid: 0,
            burnt: 0,
            returned: 0,
            max_pending: free,
        }
    }

    #[test]
    fn each_term_of_a_lane_is_kept() {
        assert_eq!(fits(&lane(0, 10), &WANTED), Ok(()));
        assert_eq!(fits(&lane(0, 9), &WANTED), Err(Unfit::Empty));
        let fits = |change: &dyn Fn(&mut Wanted)| {
            let mut wanted = WANTED;
            change(&mut wanted);
            super::fits(&lane(0, 100), &wanted)
        };
        assert_eq!(fits(&|wanted| wanted.fee = 6), Err(Unfit::Fee));
        assert_eq!(fits(&|wanted| wanted.max_tokens = 65), Err(Unfit::Length));
        assert_eq!(fits(&|wanted| wanted.key = [8; 32]), Err(Unfit::OtherKey));
        let mut closing = lane(0, 100);
        closing.last_epoch = Some(4);
        assert_eq!(super::fits(&closing, &WANTED), Err(Unfit::Closing));
    }

    #[test]
    fn the_largest_deposit_comes_first() {
        let lanes = vec![lane(0, 10), lane(1, 9), lane(2, 19), lane(3, 19)];
        let fitting: Vec<_> = fitting(lanes, &WANTED).iter().map(|lane| lane.id).collect();
        assert_eq!(fitting, [2, 3, 0]);
    }
}
