// SPDX-License-Identifier: Apache-2.0
//! Number of a chain's seats for validators, and the price of a seat.
//!
//! Each seat has one vote, so whoever wants a third of the votes pays a third of the seats at the
//! lowest bond that has one. A chain that fills all its seats sells them at the least bond. The
//! rule fills as many as make a third dearest: the number `n` with the greatest `n · b_n`, where
//! `b_n` is the `n`-th highest bond.
//!
//! Where two numbers are worth nearly the same, a single bond that comes and goes would make the
//! set shrink and grow. So a set shrinks as little as leaves it seats that are worth at least four
//! fifths of the dearest ones. A third of the seats then costs at least a third of four fifths of
//! the greatest product, however many bonds an attacker adds: more bonds only make that greater.

use crate::Balance;

/// A smaller set bears no fault of GRANDPA. No set is made smaller than this to make seats dearer.
pub const FEWEST: usize = 4;

/// Worth of a chain's seats together: the number of seats, each at the lowest bond.
fn worth(seats: usize, lowest: Balance) -> Balance {
    let seats = Balance::try_from(seats).unwrap_or(Balance::MAX);
    lowest.saturating_mul(seats)
}

/// The least that seats are worth while they are not clearly cheaper than the dearest ones. One
/// bond more makes the seats of a set of four dearer by a quarter, and those of larger sets by
/// less.
fn enough(dearest: Balance) -> Balance {
    dearest.saturating_sub(dearest / 5)
}

/// The numbers of seats that are possible, and what each is worth.
fn numbers(bonds: &[Balance], max: usize) -> impl Iterator<Item = (usize, Balance)> + '_ {
    let most = bonds.len().min(max);
    let fewest = FEWEST.min(most);
    (fewest..=most)
        .zip(bonds.iter().skip(fewest.saturating_sub(1)))
        .map(|(seats, lowest)| (seats, worth(seats, *lowest)))
}

/// The number whose seats are worth most, of several the greatest, and what they are worth.
fn dearest(bonds: &[Balance], max: usize) -> Option<(usize, Balance)> {
    numbers(bonds, max).max_by_key(|(_, value)| *value)
}

/// The number of seats for candidates with these bonds, the highest first, after a set of `present`
/// seats: the one whose seats are worth most, and of several the greatest. A set shrinks to the
/// greatest number whose seats are worth at least four fifths of that. The number is at least
/// [`FEWEST`] and at most `max`, as far as there are candidates.
pub fn number(bonds: &[Balance], max: usize, present: usize) -> usize {
    let Some((best, most)) = dearest(bonds, max) else {
        return bonds.len().min(max);
    };
    numbers(bonds, max)
        .filter(|(seats, value)| *seats <= best.max(present) && *value >= enough(most))
        .map(|(seats, _)| seats)
        .max()
        .unwrap_or(best)
}

/// The least bond with which one more candidate would have a seat after a set of `present` seats,
/// `least` or more.
pub fn price(bonds: &[Balance], max: usize, present: usize, least: Balance) -> Balance {
    let seats = number(bonds, max, present);
    let Some(lowest) = seats.checked_sub(1).and_then(|last| bonds.get(last)) else {
        return least;
    };
    if seats < FEWEST.min(max) {
        return least;
    }
    let most = dearest(bonds, max).map_or(0, |(_, most)| most);
    // At the place after `above` higher or equal bonds, this bond makes the set that large, or
    // keeps it so.
    let after = |above: usize| {
        let seats = above.checked_add(1)?;
        let needed = if seats <= present { enough(most) } else { most };
        let bond = needed.div_ceil(Balance::try_from(seats).ok()?).max(least);
        let fits = bonds.get(above.checked_sub(1)?)? >= &bond;
        fits.then_some(bond)
    };
    (seats..bonds.len().saturating_add(1).min(max))
        .filter_map(after)
        .min()
        // Only a higher bond takes a seat of a full set, or of one that a lower bond makes too
        // cheap.
        .unwrap_or_else(|| lowest.saturating_add(1).max(least))
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn sorted(mut bonds: Vec<Balance>) -> Vec<Balance> {
        bonds.sort_unstable_by(|a, b| b.cmp(a));
        bonds
    }

    fn with(bonds: &[Balance], bond: Balance) -> Vec<Balance> {
        sorted([bonds, &[bond]].concat())
    }

    /// Whether the newest of the candidates has a seat: it comes after equal bonds.
    fn is_seated(bonds: &[Balance], bond: Balance, max: usize, present: usize) -> bool {
        let above = bonds.iter().filter(|other| **other >= bond).count();
        above < number(&with(bonds, bond), max, present)
    }

    #[test]
    fn equal_bonds_all_have_seats() {
        assert_eq!(number(&[1_000; 11], 64, 4), 11);
        assert_eq!(number(&[1_000; 80], 64, 10), 64);
        assert_eq!(number(&[], 64, 4), 0);
        assert_eq!(number(&[7], 64, 4), 1);
        assert_eq!(number(&[9, 5, 1], 64, 4), 3, "fewer than four all sit");
        assert_eq!(number(&[9; 3], 2, 3), 2);
    }

    #[test]
    fn small_bonds_beside_large_ones_have_none() {
        let bonds = [[10_000; 7].as_slice(), &[1_000; 4]].concat();
        assert_eq!(number(&bonds, 64, 7), 7);
        assert_eq!(price(&bonds, 64, 7, 1_000), 8_750);
        // One large bond takes nobody's seat.
        let bonds = [[1_000_000].as_slice(), &[1_000; 6]].concat();
        assert_eq!(number(&bonds, 64, 7), 7);
    }

    #[test]
    fn a_seat_of_a_full_set_costs_more_than_the_lowest_bond() {
        assert_eq!(price(&[500; 4], 4, 4, 100), 501);
        assert_eq!(price(&[500; 3], 4, 4, 100), 100);
        assert_eq!(price(&[], 4, 0, 100), 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_third_of_the_seats_costs_four_fifteenths_of_what_honest_seats_are_worth(
            honest in prop::collection::vec(1..1_000u128, 4..40),
            bought in prop::collection::vec(1..3_000u128, 0..40),
            max in 4..64usize,
            present in 0..64usize,
        ) {
            let honest = sorted(honest);
            let (_, value) = dearest(&honest, max).expect("there are bonds");
            let honest = honest.iter().map(|bond| (*bond, false));
            let mut all: Vec<_> = honest.chain(bought.iter().map(|bond| (*bond, true))).collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            let bonds: Vec<_> = all.iter().map(|(bond, _)| *bond).collect();
            let share = |present: usize| {
                let sitting = &all[..number(&bonds, max, present)];
                let bought = sitting.iter().filter(|(_, bought)| *bought);
                let (count, cost) =
                    bought.fold((0, 0), |(count, cost), (bond, _)| (count + 1, cost + bond));
                (3 * count >= sitting.len(), cost)
            };
            let (third, cost) = share(present);
            if third {
                prop_assert!(15 * cost >= 4 * value, "{cost} for a third, {value}");
            }
            // To get there from a smaller set costs a third.
            let (third, cost) = share(0);
            if third {
                prop_assert!(3 * cost >= value, "{cost} for a third, {value}");
            }
        }

        #[test]
        fn the_price_buys_a_seat_and_less_does_not(
            bonds in prop::collection::vec(10..500u128, 0..30),
            max in 1..24usize,
            present in 0..30usize,
        ) {
            let bonds = sorted(bonds);
            let price = price(&bonds, max, present, 10);
            prop_assert!(is_seated(&bonds, price, max, present), "{price}");
            for bond in 10..price {
                prop_assert!(!is_seated(&bonds, bond, max, present), "{bond} for {price}");
            }
        }

        /// Unless three others tower above it: then the fourth one makes a set of four dear.
        #[test]
        fn a_bond_that_comes_and_goes_moves_a_set_that_has_grown_by_one_seat_at_most(
            bonds in prop::collection::vec(1..500u128, 4..30),
            bond in 1..500u128,
            max in 4..32usize,
            present in 0..32usize,
        ) {
            let bonds = sorted(bonds);
            let others = with(&bonds, bond.min(bonds[3]));
            let (mut seats, mut grown) = (number(&bonds, max, present), 0);
            for turn in 0..8 {
                let now = number([&others, &bonds][turn % 2], max, seats);
                if now > seats {
                    grown = now;
                }
                prop_assert!(now + 1 >= grown, "{now} seats after {grown}");
                seats = now;
            }
        }
    }

    #[test]
    fn a_set_shrinks_only_for_seats_that_are_clearly_dearer() {
        // Eight are worth 800, and five of 199 are worth 995.
        let near = [[199; 5].as_slice(), &[100; 3]].concat();
        assert_eq!((number(&near, 64, 0), number(&near, 64, 8)), (5, 8));
        // Of 201 they are worth 1,005, and four fifths of that are more than 800.
        let clear = [[201; 5].as_slice(), &[100; 3]].concat();
        assert_eq!(number(&clear, 64, 8), 5);
        // Back only for seats that are worth as much.
        assert_eq!(number(&near, 64, 5), 5);
        // It shrinks as little as it has to: seven are still worth enough.
        let gone = [[190; 4].as_slice(), &[108; 3], &[1]].concat();
        assert_eq!((number(&gone, 64, 0), number(&gone, 64, 8)), (4, 7));
    }

    #[test]
    fn nothing_overflows() {
        let most = vec![Balance::MAX; 5];
        assert_eq!(number(&most, 64, 5), 5);
        assert_eq!(price(&most, 5, 5, 1), Balance::MAX);
    }
}
