// SPDX-License-Identifier: Apache-2.0
//! A ranker's agreement with the other rankers, and the points that it earns [4.1.1].

use crate::{selection::Tally, Score};

/// A ranker's agreement with the others over its pairs: `c = agreed / pairs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Pairs in the same order by the ranker and by the other rankers' weighted means.
    pub agreed: u32,
    /// All pairs of responses that the ranker scored.
    pub pairs: u32,
}

/// Counts the pairs of `scored`, which holds the score of each response by a ranker of this weight
/// with the response's tally, that score included.
///
/// The others' means are weighted: rankers without weight decide nobody's pay. Equal scores never
/// agree. Neither do pairs that the others cannot order, because their means are equal or nobody
/// else with weight scored one of the two. A ranker that says nothing, or has nobody to agree with,
/// must not earn.
pub fn agreement(weight: u64, scored: &[(Score, Tally)]) -> Agreement {
    let mut agreement = Agreement::default();
    for (index, first) in scored.iter().enumerate() {
        for second in scored.iter().skip(index.saturating_add(1)) {
            agreement.pairs = agreement.pairs.saturating_add(1);
            if agree(weight, first, second) {
                agreement.agreed = agreement.agreed.saturating_add(1);
            }
        }
    }
    agreement
}

/// `Rating · max(0, 2c − 1)`, 32 fractional bits. A ranker that agrees at random has `c = 1/2` and
/// earns nothing.
pub fn points(rating: u64, agreement: Agreement) -> u64 {
    let surplus = agreement
        .agreed
        .saturating_mul(2)
        .saturating_sub(agreement.pairs);
    u128::from(rating)
        .saturating_mul(surplus.into())
        .checked_div(agreement.pairs.into())
        .map_or(0, |points| u64::try_from(points).unwrap_or(u64::MAX))
}

fn agree(
    weight: u64,
    (own_a, tally_a): &(Score, Tally),
    (own_b, tally_b): &(Score, Tally),
) -> bool {
    let own = own_a.cmp(own_b);
    let others_a = tally_a.without(weight, *own_a);
    let others_b = tally_b.without(weight, *own_b);
    own.is_ne()
        && others_a.disclosed > 0
        && others_b.disclosed > 0
        && others_a.compare(&others_b) == own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::ONE;
    use proptest::prelude::*;

    /// The ranker's own score, with the scores of the others.
    fn scored(responses: &[(u16, &[u16])]) -> Vec<(Score, Tally)> {
        responses
            .iter()
            .map(|(own, others)| {
                let mut tally = Tally::default();
                tally.add(ONE, Score(*own));
                others
                    .iter()
                    .for_each(|score| tally.add(ONE, Score(*score)));
                (Score(*own), tally)
            })
            .collect()
    }

    #[test]
    fn a_ranker_that_orders_like_the_others_gets_its_rating() {
        let all = agreement(ONE, &scored(&[(1, &[5, 6]), (2, &[7, 8]), (3, &[9, 9])]));
        assert_eq!(
            all,
            Agreement {
                agreed: 3,
                pairs: 3
            }
        );
        assert_eq!(points(ONE / 2, all), ONE / 2);
    }

    #[test]
    fn equal_scores_never_agree() {
        let flat = agreement(ONE, &scored(&[(4, &[5]), (4, &[7]), (4, &[9])]));
        assert_eq!(
            flat,
            Agreement {
                agreed: 0,
                pairs: 3
            }
        );
        let equal_means = agreement(ONE, &scored(&[(4, &[5]), (6, &[5])]));
        assert_eq!(
            equal_means,
            Agreement {
                agreed: 0,
                pairs: 1
            }
        );
        assert_eq!(points(ONE, flat), 0);
        let equal_to_both = agreement(ONE, &scored(&[(4, &[5]), (4, &[5])]));
        assert_eq!(
            equal_to_both.agreed, 0,
            "not even where the others do the same"
        );
    }

    #[test]
    fn nobody_agrees_alone() {
        let alone = agreement(ONE, &scored(&[(4, &[]), (6, &[5]), (9, &[7])]));
        assert_eq!(
            alone,
            Agreement {
                agreed: 1,
                pairs: 3
            }
        );
    }

    #[test]
    fn rankers_without_weight_order_nothing() {
        let tally = |honest: u16, liars: u16| {
            let mut tally = Tally::default();
            tally.add(ONE, Score(honest));
            tally.add(ONE / 3, Score(honest));
            (0..5).for_each(|_| tally.add(0, Score(liars)));
            tally
        };
        let (low, high) = (tally(1, 9), tally(9, 1));
        let of = |weight, first, second| {
            agreement(weight, &[(Score(first), low), (Score(second), high)]).agreed
        };
        assert_eq!(
            of(ONE / 3, 1, 9),
            1,
            "an honest ranker agrees with the other one"
        );
        assert_eq!(
            of(0, 9, 1),
            0,
            "five that weigh nothing do not agree with each other"
        );
        assert_eq!(
            of(0, 1, 9),
            1,
            "one that weighs nothing may agree with the others"
        );
    }

    #[test]
    fn half_of_the_pairs_earn_nothing() {
        assert_eq!(
            points(
                ONE,
                Agreement {
                    agreed: 3,
                    pairs: 6
                }
            ),
            0
        );
        assert_eq!(
            points(
                ONE,
                Agreement {
                    agreed: 4,
                    pairs: 6
                }
            ),
            ONE / 3
        );
        assert_eq!(points(ONE, Agreement::default()), 0);
    }

    proptest! {
        #[test]
        fn points_never_exceed_the_rating(rating in 0..=ONE, pairs in 0..500u32, part in 0..=100u32) {
            let agreed = pairs * part / 100;
            let points = points(rating, Agreement { agreed, pairs });
            prop_assert!(points <= rating);
        }

        #[test]
        fn the_reverse_of_a_strict_order_agrees_with_none_of_its_pairs(
            means in prop::collection::btree_set(0..60000u16, 2..17)
        ) {
            let means: Vec<u16> = means.into_iter().collect();
            let own = |at: usize, other: u16| (u16::try_from(at).unwrap(), [other]);
            let like: Vec<_> = means.iter().enumerate().map(|(i, x)| own(i, *x)).collect();
            let unlike: Vec<_> = means.iter().rev().enumerate().map(|(i, x)| own(i, *x)).collect();
            let count = |list: &[(u16, [u16; 1])]| {
                let list: Vec<(u16, &[u16])> = list.iter().map(|(a, b)| (*a, &b[..])).collect();
                agreement(ONE, &scored(&list))
            };
            prop_assert_eq!(count(&like).agreed, count(&like).pairs);
            prop_assert_eq!(count(&unlike).agreed, 0);
        }
    }
}
