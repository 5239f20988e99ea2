// SPDX-License-Identifier: Apache-2.0
//! Scores as log-odds.

use alloc::vec::Vec;

use crate::{fixed::ln, Score};

/// The least number of scores that count by their ranks. With fewer, ranks would make a strong word
/// of a small difference.
const RANKED: usize = 4;

/// The log-odds of all scores that a ranker gives in a round, in their order, with 32 fractional
/// bits.
///
/// Four scores or more become the middles of their ranks, `(r + ½)/k`, so that neither a scale of
/// its own nor an extreme score gives a ranker influence. Equal scores share their ranks. Fewer
/// scores are cut to `[0.1, 0.9]`.
pub fn log_odds(scores: &[Score]) -> Vec<i64> {
    if scores.len() < RANKED {
        return scores.iter().map(|score| of_score(*score)).collect();
    }
    let mut sorted = scores.to_vec();
    sorted.sort_unstable();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let whole = count(scores.len()).saturating_mul(2);
    scores
        .iter()
        .map(|score| {
            let below = sorted.partition_point(|other| other < score);
            let not_above = sorted.partition_point(|other| other <= score);
            // r + ½ is the middle of the two.
            logit(count(below.saturating_add(not_above)), whole)
        })
        .collect()
}

fn of_score(score: Score) -> i64 {
    let one = u64::from(u16::MAX);
    let tenths = u64::from(score.0).saturating_mul(10);
    logit(
        tenths.clamp(one, one.saturating_mul(9)),
        one.saturating_mul(10),
    )
}

/// `logit(x) = ln((x + 0.02)/(1.02 − x))` of `x = part/whole`: at most `ln 51` for 1.
fn logit(part: u64, whole: u64) -> i64 {
    // Both in units of whole/50.
    let part = part.saturating_mul(50);
    let toward = part.saturating_add(whole);
    let against = whole.saturating_mul(51).saturating_sub(part);
    ln(toward).saturating_sub(ln(against))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed::ONE;
    use proptest::prelude::*;

    fn of(scores: &[u16]) -> Vec<i64> {
        let scores: Vec<Score> = scores.iter().map(|score| Score(*score)).collect();
        log_odds(&scores)
    }

    fn exact(x: f64) -> f64 {
        ((x + 0.02) / (1.02 - x)).ln()
    }

    fn close(computed: i64, exact: f64) -> bool {
        (computed as f64 / ONE as f64 - exact).abs() < 4e-6
    }

    #[test]
    fn few_scores_count_as_they_are_within_limits() {
        let odds = of(&[30_000, 0, u16::MAX]);
        assert!(close(odds[0], exact(30_000.0 / 65_535.0)));
        assert!(close(odds[1], exact(0.1)));
        assert!(close(odds[2], exact(0.9)));
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn more_scores_count_by_their_ranks() {
        let odds = of(&[9, 65_000, 10, 10]);
        for (odds, x) in odds.iter().zip([0.125, 0.875, 0.5, 0.5]) {
            assert!(close(*odds, exact(x)), "{odds} {x}");
        }
        assert_eq!(of(&[7; 5]), [0; 5], "a ranker that says nothing");
    }

    proptest! {
        #[test]
        fn nobody_gains_by_exaggerating(scores in prop::collection::vec(0..256u16, 4..40)) {
            let stretched: Vec<u16> = scores.iter().map(|score| score * score).collect();
            // 0² = 0 and 1² = 1: squares keep the order.
            prop_assert_eq!(of(&scores), of(&stretched));
        }

        #[test]
        fn odds_are_bounded_and_as_great_in_both_directions(
            scores in prop::collection::vec(any::<u16>(), 0..40)
        ) {
            let odds = of(&scores);
            let reversed: Vec<u16> = scores.iter().map(|score| u16::MAX - score).collect();
            for (odds, reversed) in odds.iter().zip(of(&reversed)) {
                prop_assert_eq!(*odds, -reversed);
                prop_assert!(odds.unsigned_abs() <= 4 * ONE);
            }
        }
    }
}
