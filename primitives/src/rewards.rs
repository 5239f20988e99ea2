// SPDX-License-Identifier: Apache-2.0
//! Splitting a pot [4.1.1].
//!
//! All parts are rounded down. The remainder is returned, so that the caller must handle it. Parts
//! and remainder always sum to the whole.

use alloc::vec::Vec;

use sp_arithmetic::{
    helpers_128bit::multiply_by_rational_with_rounding, PerThing, Permill, Rounding,
};

use crate::Balance;

/// The parts of a pot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The winner's part.
    pub winner: Balance,
    /// All rankers' parts together.
    pub rankers: Balance,
    /// The treasury's part, with the remainder of rounding.
    pub treasury: Balance,
}

/// Payments of a settlement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// Minted into the pot.
    pub subsidy: Balance,
    /// Paid to the winner.
    pub winner: Balance,
    /// Paid to all rankers together. In a round without a ranking, to the agents that delivered.
    pub rankers: Balance,
    /// Paid to the treasury: its share, remainders, and payments that could not be delivered.
    pub treasury: Balance,
    /// Burnt: forfeits if the parameters say so, and any amount that not even the treasury could
    /// take.
    pub burnt: Balance,
}

/// Splits a pot between winner, rankers and treasury. The treasury gets the rest of the other two
/// shares.
pub fn split(pot: Balance, winner: Permill, rankers: Permill) -> Parts {
    let winner = winner.mul_floor(pot);
    let rankers = rankers.mul_floor(pot).min(pot.saturating_sub(winner));
    let treasury = pot.saturating_sub(winner).saturating_sub(rankers);
    Parts {
        winner,
        rankers,
        treasury,
    }
}

/// Divides `amount` in proportion to `points`. Returns the parts in the order of the points, and
/// the remainder: all of it if nobody has points.
pub fn divide(amount: Balance, points: &[u64]) -> (Vec<Balance>, Balance) {
    let all = points
        .iter()
        .fold(0u128, |sum, points| sum.saturating_add((*points).into()));
    let mut rest = amount;
    let parts = points
        .iter()
        .map(|points| {
            let part =
                multiply_by_rational_with_rounding(amount, (*points).into(), all, Rounding::Down)
                    .unwrap_or(0)
                    .min(rest);
            rest = rest.saturating_sub(part);
            part
        })
        .collect();
    (parts, rest)
}

/// Loss of an agent that does not deliver: `share · fee`, between `minimum` and `maximum`.
///
/// The maximum bounds the claim of one round on a bond, so that a requester with a high fee cannot
/// keep agents out of other rounds.
pub fn slash(fee: Balance, share: Permill, minimum: Balance, maximum: Balance) -> Balance {
    share.mul_ceil(fee).min(maximum).max(minimum)
}

/// The part of the fee that goes back if a round fails because agents withheld their keys or
/// scores: at most `refund`, and at most what these agents lost together.
///
/// So a requester that lets an agent of its own withhold never gets an answer for less than its
/// fee, however many agents it owns.
pub fn refund_if_withheld(refund: Balance, lost: Balance) -> Balance {
    refund.min(lost)
}

/// Whether a requester that owns all agents of its round loses money, or at best breaks even:
/// `subsidy + φ · n · loser part ≤ fee · t / (1 − t)`.
///
/// It pays the treasury's share `t` of the pot. The pot holds the fee, the subsidy, and `forfeits`:
/// at most `φ · n` losers' parts of a ticket.
pub fn self_dealing_loses(
    fee: Balance,
    subsidy: Balance,
    forfeits: Balance,
    treasury: Permill,
) -> bool {
    let gained = subsidy.saturating_add(forfeits);
    let rest = treasury.left_from_one().deconstruct();
    match multiply_by_rational_with_rounding(
        fee,
        treasury.deconstruct().into(),
        rest.into(),
        Rounding::Down,
    ) {
        Some(lost) => gained <= lost,
        // The treasury takes everything.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_split_sums_to_the_pot(pot in any::<u128>(), winner in 0..=1_000_000u32, rankers in 0..=1_000_000u32) {
            let (winner, rankers) = (Permill::from_parts(winner), Permill::from_parts(rankers));
            let parts = split(pot, winner, rankers);
            prop_assert_eq!(
                parts.winner.checked_add(parts.rankers).and_then(|sum| sum.checked_add(parts.treasury)),
                Some(pot)
            );
        }

        #[test]
        fn a_division_sums_to_the_amount(
            amount in any::<u128>(),
            points in prop::collection::vec(any::<u64>(), 0..40)
        ) {
            let (parts, rest) = divide(amount, &points);
            prop_assert_eq!(parts.len(), points.len());
            let sum = parts.iter().try_fold(rest, |sum, part| sum.checked_add(*part));
            prop_assert_eq!(sum, Some(amount));
            for (part, points) in parts.iter().zip(&points) {
                prop_assert!(*points > 0 || *part == 0);
            }
        }

        #[test]
        fn a_division_is_proportional(amount in 0..1u128 << 90, points in prop::collection::vec(1..=crate::fixed::ONE, 1..40)) {
            let all: u128 = points.iter().map(|points| u128::from(*points)).sum();
            let (parts, rest) = divide(amount, &points);
            for (part, points) in parts.iter().zip(&points) {
                let exact = amount as f64 * *points as f64 / all as f64;
                prop_assert!((*part as f64 - exact).abs() <= 1.0 + exact * 1e-9);
            }
            prop_assert!(rest < points.len() as u128);
        }
    }

    #[test]
    fn parts_are_rounded_down_and_the_rest_remains() {
        let (winner, rankers) = (Permill::from_percent(70), Permill::from_percent(20));
        let parts = Parts {
            winner: 70,
            rankers: 20,
            treasury: 11,
        };
        assert_eq!(split(101, winner, rankers), parts);
        assert_eq!(divide(11, &[1, 1, 1]), (vec![3, 3, 3], 2));
        assert_eq!(divide(11, &[1, 0, 2]), (vec![3, 0, 7], 1));
    }

    #[test]
    fn without_points_all_of_it_remains() {
        assert_eq!(divide(100, &[0, 0]), (vec![0, 0], 100));
        assert_eq!(divide(100, &[]), (vec![], 100));
    }

    #[test]
    fn what_withholding_brings_back_is_at_most_what_it_costs() {
        assert_eq!(refund_if_withheld(500, 110), 110);
        assert_eq!(refund_if_withheld(500, 880), 500);
        assert_eq!(refund_if_withheld(500, 0), 0);
    }

    #[test]
    fn a_slash_has_a_minimum_and_a_maximum() {
        let slash = |fee| slash(fee, Permill::from_percent(10), 7, 500);
        assert_eq!(
            [0, 10, 1_000, 5_000, 5_001].map(slash),
            [7, 7, 100, 500, 500]
        );
        assert_eq!(slash(Balance::MAX), 500);
    }

    #[test]
    fn self_dealing_is_judged_by_the_treasury_s_share() {
        let tenth = Permill::from_percent(10);
        assert!(self_dealing_loses(900, 60, 40, tenth));
        assert!(!self_dealing_loses(900, 60, 41, tenth));
        assert!(!self_dealing_loses(900, 1, 0, Permill::zero()));
        assert!(self_dealing_loses(900, 1, 0, Permill::one()));
    }
}
