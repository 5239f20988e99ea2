// SPDX-License-Identifier: Apache-2.0
//! The record of an agent's answers, and its worth in a draw [3.3].
//!
//! The paper rates "ranking ability and quality". A rating is about rankings alone; this record is
//! about answers. All numbers are in `[0, 1]`, with 32 fractional bits.

use core::cmp::Ordering;

use crate::{fixed::ONE, selection::Tally, Balance};

/// The newest answer is one part in so many of a record.
pub const MEMORY: u64 = 16;

/// The record of an agent without answers: it beats as many as beat it.
pub const NEWCOMER: u64 = ONE / 2;

/// The share of other responses with a lower weighted mean; an equal one counts half.
///
/// Responses that [cannot win](Tally::is_eligible) are left out. `None` if nothing is left to
/// compare.
pub fn standing(own: &Tally, others: impl IntoIterator<Item = Tally>) -> Option<u64> {
    let (mut halves, mut count) = (0u64, 0u64);
    let others = others.into_iter().filter(Tally::is_eligible);
    for other in others.filter(|_| own.is_eligible()) {
        let won = match own.compare(&other) {
            Ordering::Greater => 2,
            Ordering::Equal => 1,
            Ordering::Less => 0,
        };
        halves = halves.saturating_add(won);
        count = count.saturating_add(1);
    }
    halves
        .saturating_mul(ONE)
        .checked_div(count.saturating_mul(2))
}

/// A record after one more answer: a mean that forgets.
pub fn after(quality: u64, standing: u64) -> u64 {
    let kept = quality.min(ONE).saturating_mul(MEMORY.saturating_sub(1));
    kept.saturating_add(standing.min(ONE))
        .checked_div(MEMORY)
        .unwrap_or_default()
}

/// The part of a bond that counts in a [draw](crate::draw::draw): half of it to one and a half, as
/// the record says. A newcomer's bond counts as it is.
///
/// The bounds keep places open. The best record gets at most three times the places of the worst
/// with the same bond, and one and a half times those of a newcomer. A bad record halves the places
/// at most, so that a new identity is worth no more than one and a half to twice its bond.
pub fn strength(bond: Balance, quality: u64) -> Balance {
    let factor = NEWCOMER.saturating_add(quality.min(ONE));
    bond.saturating_mul(factor.into())
        .checked_div(ONE.into())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Score;
    use proptest::prelude::*;

    fn tally(score: u16) -> Tally {
        let mut tally = Tally {
            assigned: ONE,
            ..Tally::default()
        };
        tally.add(ONE, Score(score));
        tally
    }

    #[test]
    fn a_standing_is_the_share_that_is_beaten() {
        let others = [1, 2, 3, 4].map(tally);
        assert_eq!(standing(&tally(9), others), Some(ONE));
        assert_eq!(standing(&tally(0), others), Some(0));
        assert_eq!(standing(&tally(3), others), Some(ONE / 8 * 5));
        assert_eq!(standing(&tally(3), []), None);
    }

    #[test]
    fn what_nobody_scored_is_not_compared() {
        let unscored = Tally {
            assigned: ONE,
            ..Tally::default()
        };
        assert_eq!(standing(&unscored, [tally(1)]), None);
        assert_eq!(standing(&tally(1), [unscored]), None);
        assert_eq!(standing(&tally(1), [unscored, tally(2)]), Some(0));
    }

    #[test]
    fn a_record_forgets() {
        let mut quality = NEWCOMER;
        for _ in 0..200 {
            quality = after(quality, ONE);
        }
        assert!(quality > ONE - ONE / 1_000, "{quality}");
        for _ in 0..200 {
            quality = after(quality, 0);
        }
        assert!(quality < ONE / 1_000, "{quality}");
    }

    proptest! {
        #[test]
        fn a_record_stays_in_its_range_and_between_old_and_new(quality in 0..=ONE, standing in 0..=ONE) {
            let next = after(quality, standing);
            prop_assert!(next <= quality.max(standing));
            prop_assert!(next >= quality.min(standing));
        }

        #[test]
        fn better_answers_make_no_record_worse(quality in 0..=ONE, a in 0..=ONE, b in 0..=ONE) {
            prop_assert!(after(quality, a.min(b)) <= after(quality, a.max(b)));
        }

        #[test]
        fn a_record_changes_the_worth_of_a_bond_within_bounds(
            bond in 0..=Balance::MAX >> 34,
            a in 0..=ONE,
            b in 0..=ONE,
        ) {
            let (worse, better) = (strength(bond, a.min(b)), strength(bond, a.max(b)));
            prop_assert!(worse <= better);
            prop_assert!(worse >= bond / 2);
            prop_assert!(better <= bond + bond / 2 + 1);
            prop_assert_eq!(strength(bond, NEWCOMER), bond);
        }

        #[test]
        fn a_greater_bond_is_worth_no_less(bond: Balance, more: Balance, quality in 0..=ONE) {
            prop_assert!(strength(bond, quality) <= strength(bond.saturating_add(more), quality));
        }

        #[test]
        fn of_two_responses_the_standings_are_opposite(a: u16, b: u16) {
            let [a, b] = [a, b].map(tally);
            let sum = standing(&a, [b]).unwrap() + standing(&b, [a]).unwrap();
            prop_assert_eq!(sum, ONE);
        }
    }
}
