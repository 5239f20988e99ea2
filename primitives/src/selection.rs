// SPDX-License-Identifier: Apache-2.0
//! The best response [(3)].

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::cmp::Ordering;
use scale_info::TypeInfo;
use sp_core::H256;
use sp_io::hashing::blake2_256;

use crate::{fixed::ONE, Score};

const TIE_DOMAIN: &[u8] = b"starling/tie/1";

/// The sum of the disclosed scores of one response. It grows with each disclosure, in any order.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Tally {
    /// `Σ w_j` over all rankers that were assigned the response, 32 fractional bits.
    pub assigned: u64,
    /// `Σ w_j` over the rankers that disclosed.
    pub disclosed: u64,
    /// `Σ w_j · x_ji` over the rankers that disclosed; scores in steps of 1/65535.
    pub weighted: u128,
    /// `Σ x_ji` over the rankers that disclosed, without weights.
    pub total: u32,
    /// Number of rankers that disclosed.
    pub count: u32,
}

impl Tally {
    /// Adds a score by a ranker of this weight.
    pub fn add(&mut self, weight: u64, score: Score) {
        let weighted = u128::from(weight).saturating_mul(score.0.into());
        self.disclosed = self.disclosed.saturating_add(weight);
        self.weighted = self.weighted.saturating_add(weighted);
        self.total = self.total.saturating_add(score.0.into());
        self.count = self.count.saturating_add(1);
    }

    /// The tally without one of its scores, by a ranker of this weight: those of the others.
    pub fn without(&self, weight: u64, score: Score) -> Self {
        let weighted = u128::from(weight).saturating_mul(score.0.into());
        Self {
            assigned: self.assigned.saturating_sub(weight),
            disclosed: self.disclosed.saturating_sub(weight),
            weighted: self.weighted.saturating_sub(weighted),
            total: self.total.saturating_sub(score.0.into()),
            count: self.count.saturating_sub(1),
        }
    }

    /// Whether the response can win: rankers with weight have scored it, and they hold at least
    /// half of the weight that was assigned to it.
    pub fn is_eligible(&self) -> bool {
        self.disclosed > 0 && u128::from(self.disclosed).saturating_mul(2) >= self.assigned.into()
    }

    /// `Σ w·x / Σ w ≥ threshold`, the threshold with 32 fractional bits.
    pub fn reaches(&self, threshold: u64) -> bool {
        let unit = u128::from(u16::MAX);
        let least = u128::from(threshold)
            .saturating_mul(self.disclosed.into())
            .saturating_mul(unit);
        self.weighted.saturating_mul(ONE.into()) >= least
    }

    /// Compares `Σ w·x / Σ w` of two responses by cross-multiplication: no rounding, no division.
    pub fn compare(&self, other: &Self) -> Ordering {
        let left = self.weighted.saturating_mul(other.disclosed.into());
        let right = other.weighted.saturating_mul(self.disclosed.into());
        left.cmp(&right)
    }

    /// The mean of the scores without weights, 32 fractional bits; `None` without scores.
    pub fn mean(&self) -> Option<u64> {
        let unit = u64::from(self.count).saturating_mul(u16::MAX.into());
        (self.count > 0).then(|| crate::fixed::ratio(self.total.into(), unit))
    }
}

/// `H(seed ‖ agent)`: among equal responses the lowest wins.
pub fn tie_break<AccountId: Encode>(seed: H256, agent: &AccountId) -> H256 {
    blake2_256(&(TIE_DOMAIN, seed, agent).encode()).into()
}

/// The eligible response with the greatest `Σ w·x / Σ w`, ties to the lowest [`tie_break`].
///
/// `None` when no response is eligible. The order of the candidates does not matter.
pub fn best<AccountId: Encode>(
    seed: H256,
    candidates: impl IntoIterator<Item = (AccountId, Tally)>,
) -> Option<(AccountId, Tally)> {
    candidates
        .into_iter()
        .filter(|(_, tally)| tally.is_eligible())
        .map(|(agent, tally)| (tie_break(seed, &agent), agent, tally))
        .max_by(|(left_tie, _, left), (right_tie, _, right)| {
            left.compare(right).then_with(|| right_tie.cmp(left_tie))
        })
        .map(|(_, agent, tally)| (agent, tally))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::ONE;
    use proptest::prelude::*;

    fn tally(scores: &[(u64, u16)], undisclosed: u64) -> Tally {
        let mut tally = Tally::default();
        for (weight, score) in scores {
            tally.add(*weight, Score(*score));
        }
        tally.assigned = tally.disclosed + undisclosed;
        tally
    }

    #[test]
    fn half_of_the_assigned_weight_is_enough_and_less_is_not() {
        assert!(tally(&[(ONE, 1)], ONE).is_eligible());
        assert!(!tally(&[(ONE, 1)], ONE + 1).is_eligible());
    }

    #[test]
    fn a_response_without_weight_is_not_eligible() {
        assert!(!tally(&[(0, u16::MAX)], 0).is_eligible());
        assert!(!tally(&[], 0).is_eligible());
    }

    #[test]
    fn the_threshold_is_inclusive() {
        assert!(tally(&[(ONE, u16::MAX)], 0).reaches(ONE));
        assert!(!tally(&[(ONE, u16::MAX - 1)], 0).reaches(ONE));
        assert!(tally(&[(ONE, 0)], 0).reaches(0));
    }

    #[test]
    fn of_equal_responses_the_lowest_hash_wins() {
        let seed = H256::repeat_byte(7);
        let equal = |agents: &[u64]| {
            best(
                seed,
                agents.iter().map(|agent| (*agent, tally(&[(ONE, 9)], 0))),
            )
            .unwrap()
            .0
        };
        let lowest = (0..20)
            .min_by_key(|agent: &u64| tie_break(seed, agent))
            .unwrap();
        let agents: Vec<u64> = (0..20).collect();
        let reversed: Vec<u64> = (0..20).rev().collect();
        assert_eq!(equal(&agents), lowest);
        assert_eq!(equal(&reversed), lowest);
    }

    fn disclosures() -> impl Strategy<Value = Vec<(usize, u64, u16)>> {
        prop::collection::vec((0..8usize, 0..=ONE, any::<u16>()), 1..60)
    }

    fn winner(disclosures: &[(usize, u64, u16)]) -> Option<(usize, Tally)> {
        let mut tallies = [Tally::default(); 8];
        for (response, weight, score) in disclosures {
            tallies[*response].add(*weight, Score(*score));
        }
        best(
            H256::zero(),
            tallies
                .into_iter()
                .enumerate()
                .map(|(i, tally)| (i as u64, tally)),
        )
        .map(|(i, tally)| (i as usize, tally))
    }

    proptest! {
        #[test]
        fn the_order_of_disclosures_does_not_matter(
            (original, shuffled) in disclosures()
                .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle()))
        ) {
            prop_assert_eq!(winner(&original), winner(&shuffled));
        }

        #[test]
        fn the_winner_has_the_greatest_weighted_mean(list in disclosures()) {
            let Some((best, _)) = winner(&list) else { return Ok(()) };
            let mean = |response: usize| {
                let scores = list.iter().filter(|(to, ..)| *to == response);
                let (weighted, weights) = scores.fold((0f64, 0f64), |(a, b), (_, w, x)| {
                    (a + *w as f64 * f64::from(*x), b + *w as f64)
                });
                if weights > 0.0 { weighted / weights } else { -1.0 }
            };
            for response in 0..8 {
                prop_assert!(mean(best) >= mean(response) - 1e-6);
            }
        }
    }
}
