// SPDX-License-Identifier: Apache-2.0
//! Scores of different models and rankers live on different scales; quantiles of a reference set
//! are comparable. A node maps its raw scores before it commits to them.

use serde::{Deserialize, Serialize};

/// A reference set that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum QuantilesError {
    /// There is no score.
    #[error("the reference set is empty")]
    Empty,
    /// A score is outside [0, 1].
    #[error("reference score {0} is not between 0 and 1")]
    OutOfRange(f64),
}

/// Raw scores of a reference set, sorted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Quantiles(Vec<f64>);

impl Quantiles {
    /// From the raw scores of one ranker on one model, each in [0, 1].
    pub fn new(mut scores: Vec<f64>) -> Result<Self, QuantilesError> {
        if let Some(&bad) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
            return Err(QuantilesError::OutOfRange(bad));
        }
        if scores.is_empty() {
            return Err(QuantilesError::Empty);
        }
        scores.sort_unstable_by(f64::total_cmp);
        Ok(Self(scores))
    }

    /// The share of the reference set below `score`, half of the equal ones included, linear
    /// between neighbours and out to 0 and 1: monotone, and in [0, 1].
    pub fn quantile(&self, score: f64) -> f64 {
        let Self(reference) = self;
        let score = if score.is_nan() {
            0.0
        } else {
            score.clamp(0.0, 1.0)
        };
        let n = reference.len() as f64;
        let below = reference.partition_point(|r| *r < score);
        let equal = reference
            .iter()
            .skip(below)
            .take_while(|r| **r == score)
            .count();
        if equal > 0 {
            return (below as f64 + 0.5 * equal as f64) / n;
        }
        // Between the mid-ranks of the neighbours.
        let rank = |value: f64| {
            let below = reference.partition_point(|r| *r < value);
            let up_to = reference.partition_point(|r| *r <= value);
            0.5 * (below + up_to) as f64 / n
        };
        let previous = below.checked_sub(1).and_then(|i| reference.get(i)).copied();
        let (x0, y0) = previous.map_or((0.0, 0.0), |x| (x, rank(x)));
        let (x1, y1) = reference.get(below).map_or((1.0, 1.0), |&x| (x, rank(x)));
        if x1 > x0 {
            y0 + (y1 - y0) * (score - x0) / (x1 - x0)
        } else {
            y0
        }
    }
}

impl TryFrom<Vec<f64>> for Quantiles {
    type Error = QuantilesError;

    fn try_from(scores: Vec<f64>) -> Result<Self, Self::Error> {
        Self::new(scores)
    }
}

impl From<Quantiles> for Vec<f64> {
    fn from(quantiles: Quantiles) -> Self {
        quantiles.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reference_scores_get_their_mid_rank() {
        let q = Quantiles::new(vec![0.4, 0.1, 0.4, 0.7]).unwrap();
        assert_eq!(q.quantile(0.1), 0.125);
        assert_eq!(q.quantile(0.4), 0.5);
        assert_eq!(q.quantile(0.7), 0.875);
        assert!((q.quantile(0.55) - 0.6875).abs() < 1e-12);
        assert_eq!((q.quantile(-1.0), q.quantile(2.0)), (0.0, 1.0));
    }

    #[test]
    fn useless_references_are_refused() {
        assert_eq!(Quantiles::new(vec![]), Err(QuantilesError::Empty));
        assert!(matches!(
            Quantiles::new(vec![f64::NAN]),
            Err(QuantilesError::OutOfRange(_))
        ));
    }

    proptest! {
        #[test]
        fn quantiles_are_monotone_and_bounded(
            reference in proptest::collection::vec(0.0f64..=1.0, 1..40),
            a in 0.0f64..=1.0,
            b in 0.0f64..=1.0,
        ) {
            let q = Quantiles::new(reference).unwrap();
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(q.quantile(low) <= q.quantile(high));
            prop_assert!((0.0..=1.0).contains(&q.quantile(a)));
        }
    }
}
