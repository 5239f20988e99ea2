// SPDX-License-Identifier: Apache-2.0
//! σ and rating over a window of rounds [3.3, (4), (5)].

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{
    fixed::{sqrt_up, ONE},
    selection::Tally,
    Score,
};

/// The scores whose mean is `x̄_j`. A ranker's score of response j is compared with `x̄_j`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Mean {
    /// The *other* rankers' scores by their weights, at least two scores; with fewer, or without
    /// weight, the response does not count. With its own score in the mean, a lone ranker would
    /// have `σ = 0`; without weights, a majority that weighs nothing would rate everybody.
    #[codec(index = 0)]
    OfOthers,
    /// All rankers' scores, as in the paper.
    #[codec(index = 1)]
    OfAll,
}

/// Deviations of one ranker's scores in one round from the other rankers' means.
///
/// `d_ij = x_ij − x̄_j` (section 3.3, equation (4)) in fixed point with 32 fractional bits.
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
pub struct Deviations {
    /// `Σ_j d_ij²`, with 64 fractional bits: the squares are not rounded.
    pub squares: u128,
    /// Number of responses in the sum.
    pub count: u32,
}

/// Adds `d_ij² = (x_ij − x̄_j)²` for one response that a ranker of this weight scored. `tally`
/// holds all scores of the response, this one included.
pub fn deviate(deviations: &mut Deviations, weight: u64, score: Score, tally: &Tally, mean: Mean) {
    // The mean as a sum and its divisor.
    let (count, divisor, sum) = match mean {
        Mean::OfOthers => {
            let others = tally.without(weight, score);
            (others.count, others.disclosed, others.weighted)
        },
        Mean::OfAll => (tally.count, tally.count.into(), tally.total.into()),
    };
    if count < 2 || divisor == 0 {
        return;
    }
    // |x − Σ/m| = |m·x − Σ| / m, scaled by 2^32 / 65535.
    let scaled = u128::from(divisor).saturating_mul(score.0.into());
    let unit = u128::from(divisor).saturating_mul(u16::MAX.into());
    let deviation = scaled
        .abs_diff(sum)
        .saturating_mul(ONE.into())
        .checked_div(unit)
        .unwrap_or_default();
    deviations.squares = deviations
        .squares
        .saturating_add(deviation.saturating_mul(deviation));
    deviations.count = deviations.count.saturating_add(1);
}

/// `σ_i = sqrt(Σ d_ij² / (N − 1))` over the rounds of a window, 32 fractional bits, rounded up.
///
/// `None` with fewer than two deviations.
pub fn sigma(window: impl IntoIterator<Item = Deviations>) -> Option<u64> {
    let sum = sum(window);
    let degrees = sum.count.checked_sub(1).filter(|degrees| *degrees > 0)?;
    Some(sqrt_up(sum.squares.div_ceil(degrees.into())))
}

/// `Rating_i = max(0, 1 − σ_i)`. With fewer than `min_samples` deviations it is at most `initial`,
/// and without a σ it is `initial`.
pub fn rating(window: impl IntoIterator<Item = Deviations>, min_samples: u32, initial: u64) -> u64 {
    let sum = sum(window);
    let computed = sigma([sum]).map(|sigma| ONE.saturating_sub(sigma));
    match computed {
        Some(computed) if sum.count >= min_samples => computed,
        Some(computed) => computed.min(initial),
        None => initial,
    }
}

/// `w_j = max(0, Rating_j − floor)`. The paper's floor is 0.
pub fn weight(rating: u64, floor: u64) -> u64 {
    rating.saturating_sub(floor)
}

/// The weights of a round's rankers with these ratings.
///
/// If no rating is above the floor, the weights are the ratings themselves. Otherwise rankers that
/// agreed about nothing would decide no further round. Only decided rounds move ratings, so theirs
/// would never rise again.
pub fn weights(ratings: &[u64], floor: u64) -> Vec<u64> {
    let above = |floor| ratings.iter().map(move |rating| weight(*rating, floor));
    let floor = if above(floor).all(|weight| weight == 0) {
        0
    } else {
        floor
    };
    above(floor).collect()
}

/// `max − min` of the responses' mean scores, 32 fractional bits; 0 without responses.
pub fn spread<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> u64 {
    let (mut least, mut most) = (u64::MAX, 0);
    for mean in tallies.into_iter().filter_map(Tally::mean) {
        least = least.min(mean);
        most = most.max(mean);
    }
    most.saturating_sub(least)
}

fn sum(window: impl IntoIterator<Item = Deviations>) -> Deviations {
    window
        .into_iter()
        .fold(Deviations::default(), |sum, round| Deviations {
            squares: sum.squares.saturating_add(round.squares),
            count: sum.count.saturating_add(round.count),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(scores: &[u16]) -> Tally {
        let mut tally = Tally::default();
        scores
            .iter()
            .for_each(|score| tally.add(ONE, Score(*score)));
        tally
    }

    #[test]
    fn with_fewer_than_two_others_a_response_does_not_count() {
        let mut deviations = Deviations::default();
        deviate(&mut deviations, ONE, Score(5), &of(&[5]), Mean::OfOthers);
        deviate(
            &mut deviations,
            ONE,
            Score(5),
            &of(&[5, 900]),
            Mean::OfOthers,
        );
        assert_eq!(deviations, Deviations::default());
        deviate(
            &mut deviations,
            ONE,
            Score(5),
            &of(&[5, 900, 900]),
            Mean::OfOthers,
        );
        assert_eq!(deviations.count, 1);
    }

    #[test]
    fn few_samples_never_rate_above_the_initial_rating() {
        let perfect = Deviations {
            squares: 0,
            count: 3,
        };
        assert_eq!(rating([], 4, ONE / 2), ONE / 2);
        assert_eq!(rating([perfect], 4, ONE / 2), ONE / 2);
        assert_eq!(rating([perfect], 3, ONE / 2), ONE);
        let bad = Deviations {
            squares: 3 << 64,
            count: 3,
        };
        assert_eq!(rating([bad], 4, ONE / 2), 0);
    }

    #[test]
    fn the_floor_never_makes_a_weight_negative() {
        assert_eq!(weight(ONE / 4, ONE / 2), 0);
        assert_eq!(weight(ONE, ONE / 2), ONE / 2);
        assert_eq!(weight(ONE / 3, 0), ONE / 3);
    }

    #[test]
    fn if_nobody_is_above_the_floor_ratings_count_without_it() {
        let floor = ONE / 2;
        assert_eq!(
            weights(&[ONE, floor, ONE / 4], floor),
            [ONE - floor, 0, 0],
            "one above it is enough"
        );
        assert_eq!(weights(&[floor, ONE / 4, 0], floor), [floor, ONE / 4, 0]);
        assert!(weights(&[], floor).is_empty());
    }

    #[test]
    fn rankers_without_weight_rate_nobody() {
        let mut tally = Tally::default();
        let honest = [(ONE / 2, 60_000), (ONE / 4, 60_000), (ONE / 4, 60_000)];
        let liars = [(0, 0); 5];
        for (weight, score) in honest.into_iter().chain(liars) {
            tally.add(weight, Score(score));
        }
        let of = |weight, score| {
            let mut deviations = Deviations::default();
            deviate(
                &mut deviations,
                weight,
                Score(score),
                &tally,
                Mean::OfOthers,
            );
            deviations
        };
        assert_eq!(
            of(ONE / 2, 60_000),
            Deviations {
                squares: 0,
                count: 1
            }
        );
        assert!(of(0, 0).squares > 1 << 63, "they themselves are measured");
        assert_eq!(
            of(ONE, 60_000).count,
            0,
            "a ranker with all the weight has nobody to differ from"
        );
    }

    /// One round: the ranker's score of each response, with the others' weights and scores.
    type Round = Vec<(u16, Vec<(u64, u16)>)>;

    fn rounds() -> impl Strategy<Value = Vec<Round>> {
        let other = (0..=ONE, any::<u16>());
        let response = (any::<u16>(), prop::collection::vec(other, 0..16));
        prop::collection::vec(prop::collection::vec(response, 1..17), 0..12)
    }

    proptest! {
        #[test]
        fn agrees_with_floats_to_four_digits(
            rounds in rounds(),
            weight in 0..=ONE,
            with_own in any::<bool>(),
        ) {
            let mean_of = if with_own { Mean::OfAll } else { Mean::OfOthers };
            let unit = |score: u16| f64::from(score) / 65535.0;
            let (mut squares, mut count) = (0f64, 0u32);
            let mut window = Vec::new();
            for round in &rounds {
                let mut deviations = Deviations::default();
                for (own, others) in round {
                    let mut tally = Tally::default();
                    tally.add(weight, Score(*own));
                    others.iter().for_each(|(weight, score)| tally.add(*weight, Score(*score)));
                    deviate(&mut deviations, weight, Score(*own), &tally, mean_of);
                    let meant: Vec<(f64, f64)> = if with_own {
                        let all = others.iter().map(|(_, score)| *score).chain([*own]);
                        all.map(|score| (1.0, unit(score))).collect()
                    } else {
                        let others = others.iter();
                        others.map(|(weight, score)| (*weight as f64, unit(*score))).collect()
                    };
                    let weights = meant.iter().map(|(weight, _)| weight).sum::<f64>();
                    if meant.len() >= 2 && weights > 0.0 {
                        let sum = meant.iter().map(|(weight, score)| weight * score).sum::<f64>();
                        let mean = sum / weights;
                        squares += (unit(*own) - mean).powi(2);
                        count += 1;
                    }
                }
                window.push(deviations);
            }
            let expected = (count > 1).then(|| (squares / f64::from(count - 1)).sqrt());
            let computed = sigma(window.clone()).map(|sigma| sigma as f64 / ONE as f64);
            prop_assert_eq!(expected.is_some(), computed.is_some());
            if let (Some(expected), Some(computed)) = (expected, computed) {
                prop_assert!((expected - computed).abs() < 1e-4, "{} {}", expected, computed);
                let rated = rating(window, 0, 0) as f64 / ONE as f64;
                prop_assert!((rated - (1.0 - expected).max(0.0)).abs() < 1e-4);
            }
        }

        #[test]
        fn a_rating_is_at_most_one(window in prop::collection::vec((any::<u64>(), 0..9u32), 0..9)) {
            let window = window
                .into_iter()
                .map(|(squares, count)| Deviations { squares: squares.into(), count });
            prop_assert!(rating(window, 2, ONE) <= ONE);
        }
    }
}
