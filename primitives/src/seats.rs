// SPDX-License-Identifier: Apache-2.0
//! Number of a chain's seats for validators, and the price of a seat.
//!
//! Each seat has one vote, so whoever wants a third of the votes pays a third of the seats at the
//! lowest bond that has one. A chain that fills all its seats sells them at the least bond. The rule
//! fills as many as make a third dearest: the number `n` with the greatest `n · b_n`, where `b_n` is
//! the `n`-th highest bond. A third of the seats then costs at least a third of that product,
//! however many bonds an attacker adds: more bonds only make the greatest product greater.

use crate::Balance;

/// A smaller set bears no fault of GRANDPA. No set is made smaller than this to make seats dearer.
pub const FEWEST: usize = 4;

/// Worth of a chain's seats together: the number of seats, each at the lowest bond.
fn worth(seats: usize, lowest: Balance) -> Balance {
    let seats = Balance::try_from(seats).unwrap_or(Balance::MAX);
    lowest.saturating_mul(seats)
}

/// The number of seats for candidates with these bonds, the highest first: the one whose seats are
/// worth most, and of several the greatest. It is at least [`FEWEST`] and at most `max`, as far as
/// there are candidates.
pub fn number(bonds: &[Balance], max: usize) -> usize {
    let most = bonds.len().min(max);
    let fewest = FEWEST.min(most);
    (fewest..=most)
        .zip(bonds.iter().skip(fewest.saturating_sub(1)))
        .max_by_key(|(seats, lowest)| worth(*seats, **lowest))
        .map_or(most, |(seats, _)| seats)
}

/// The least bond with which one more candidate would have a seat, `least` or more.
pub fn price(bonds: &[Balance], max: usize, least: Balance) -> Balance {
    let seats = number(bonds, max);
    let Some(lowest) = seats.checked_sub(1).and_then(|last| bonds.get(last)) else {
        return least;
    };
    if seats < FEWEST.min(max) {
        return least;
    }
    let most = worth(seats, *lowest);
    // At the place after `above` higher or equal bonds, this bond is worth as much as those seats.
    let after = |above: usize| {
        let seats = Balance::try_from(above).ok()?.checked_add(1)?;
        let bond = most.div_ceil(seats).max(least);
        let fits = bonds.get(above.checked_sub(1)?)? >= &bond;
        fits.then_some(bond)
    };
    (seats..bonds.len().saturating_add(1).min(max))
        .filter_map(after)
        .min()
        // Only a higher bond takes a seat of a full set, or of one that a lower bond makes too cheap.
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
    fn is_seated(bonds: &[Balance], bond: Balance, max: usize) -> bool {
        let above = bonds.iter().filter(|other| **other >= bond).count();
        above < number(&with(bonds, bond), max)
    }

    #[test]
    fn equal_bonds_all_have_seats() {
        assert_eq!(number(&[1_000; 11], 64), 11);
        assert_eq!(number(&[1_000; 80], 64), 64);
        assert_eq!(number(&[], 64), 0);
        assert_eq!(number(&[7], 64), 1);
        assert_eq!(number(&[9, 5, 1], 64), 3, "fewer than four all sit");
        assert_eq!(number(&[9; 3], 2), 2);
    }

    #[test]
    fn small_bonds_beside_large_ones_have_none() {
        let bonds = [[10_000; 7].as_slice(), &[1_000; 4]].concat();
        assert_eq!(number(&bonds, 64), 7);
        assert_eq!(price(&bonds, 64, 1_000), 8_750);
        // One large bond takes nobody's seat.
        let bonds = [[1_000_000].as_slice(), &[1_000; 6]].concat();
        assert_eq!(number(&bonds, 64), 7);
    }

    #[test]
    fn a_seat_of_a_full_set_costs_more_than_the_lowest_bond() {
        assert_eq!(price(&[500; 4], 4, 100), 501);
        assert_eq!(price(&[500; 3], 4, 100), 100);
        assert_eq!(price(&[], 4, 100), 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_third_of_the_seats_costs_a_third_of_what_honest_seats_are_worth(
            honest in prop::collection::vec(1..1_000u128, 4..40),
            bought in prop::collection::vec(1..3_000u128, 0..40),
            max in 4..64usize,
        ) {
            let honest = sorted(honest);
            let seats = number(&honest, max);
            let value = worth(seats, honest[seats - 1]);
            let honest = honest.iter().map(|bond| (*bond, false));
            let mut all: Vec<_> = honest.chain(bought.iter().map(|bond| (*bond, true))).collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            let bonds: Vec<_> = all.iter().map(|(bond, _)| *bond).collect();
            let sitting = &all[..number(&bonds, max)];
            let (count, cost) = sitting
                .iter()
                .filter(|(_, bought)| *bought)
                .fold((0, 0), |(count, cost), (bond, _)| (count + 1, cost + bond));
            if 3 * count >= sitting.len() {
                prop_assert!(3 * cost >= value, "{count} of {} for {cost}, {value}", sitting.len());
            }
        }

        #[test]
        fn the_price_buys_a_seat_and_less_does_not(
            bonds in prop::collection::vec(10..500u128, 0..30),
            max in 1..24usize,
        ) {
            let bonds = sorted(bonds);
            let price = price(&bonds, max, 10);
            prop_assert!(is_seated(&bonds, price, max), "{price}");
            for bond in 10..price {
                prop_assert!(!is_seated(&bonds, bond, max), "{bond} for {price}");
            }
        }
    }

    #[test]
    fn nothing_overflows() {
        let most = vec![Balance::MAX; 5];
        assert_eq!(number(&most, 64), 5);
        assert_eq!(price(&most, 5, 1), Balance::MAX);
    }
}
