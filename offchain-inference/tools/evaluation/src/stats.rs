// SPDX-License-Identifier: Apache-2.0
//! Confidence intervals.

use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A value with the bounds of its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The value.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Maps value and bounds with a monotone function.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            value: f(self.value),
            low: f(self.low),
            high: f(self.high),
        }
    }
}

/// A share of successes with Wilson's interval (1927), which also holds for few items and extreme
/// shares.
pub fn wilson(successes: usize, n: usize) -> Interval {
    if n == 0 {
        return Interval {
            value: f64::NAN,
            low: 0.0,
            high: 1.0,
        };
    }
    let (n, p) = (n as f64, successes as f64 / n as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval {
        value: p,
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
    }
}

/// A mean with the interval from its standard error.
pub fn mean_interval(values: &[f64]) -> Interval {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = Z * (variance / n).sqrt();
    Interval {
        value: mean,
        low: mean - half,
        high: mean + half,
    }
}

/// Two measurements of the same items, item by item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Number of items with the greater value in the second.
    pub more: usize,
    /// Number of items with the greater value in the first.
    pub less: usize,
    /// Mean of second less first. The interval leaves out the difficulty that both share.
    pub difference: Interval,
}

/// Compares `second` with `first`; `None` if their numbers of items differ.
pub fn paired(first: &[f64], second: &[f64]) -> Option<Paired> {
    if first.len() != second.len() {
        return None;
    }
    let differences: Vec<_> = second.iter().zip(first).map(|(b, a)| b - a).collect();
    Some(Paired {
        more: differences.iter().filter(|&&d| d > 0.0).count(),
        less: differences.iter().filter(|&&d| d < 0.0).count(),
        difference: mean_interval(&differences),
    })
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// The mean of `second` less `first` over the same items, with its interval from resampled items
/// (Efron 1979). `None` if their numbers of items differ, or there is no item.
pub fn bootstrap(first: &[f64], second: &[f64], seed: u64) -> Option<Interval> {
    if first.len() != second.len() || first.is_empty() {
        return None;
    }
    let differences: Vec<_> = second.iter().zip(first).map(|(b, a)| b - a).collect();
    let count = differences.len();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || {
        let index = (u128::from(random.next_u64()) * count as u128) >> 64;
        differences[index as usize]
    };
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..count).map(|_| draw()).sum::<f64>() / count as f64)
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    Some(Interval {
        value: differences.iter().sum::<f64>() / count as f64,
        low: means[RESAMPLES / 40],
        high: means[RESAMPLES - 1 - RESAMPLES / 40],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_is_near_the_standard_error_and_follows_from_its_seed() {
        let first: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
        let second: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 5 != 0))).collect();
        let interval = bootstrap(&first, &second, 1).unwrap();
        let normal = paired(&first, &second).unwrap().difference;
        assert!((interval.value - normal.value).abs() < 1e-12);
        assert!(
            (interval.low - normal.low).abs() < 0.02,
            "{interval:?} {normal:?}"
        );
        assert!(
            (interval.high - normal.high).abs() < 0.02,
            "{interval:?} {normal:?}"
        );
        assert_eq!(bootstrap(&first, &second, 1), Some(interval));
        let same = bootstrap(&first, &first, 1).unwrap();
        assert_eq!((same.low, same.high), (0.0, 0.0));
        assert_eq!(bootstrap(&[], &[], 1), None);
        assert_eq!(bootstrap(&[1.0], &[], 1), None);
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    #[test]
    fn wilson_is_as_published() {
        // Newcombe (1998), table I, method 3.
        for (r, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let i = wilson(r, n);
            assert!(close(i.low, low) && close(i.high, high), "{r}/{n}: {i:?}");
        }
    }

    #[test]
    fn the_mean_has_its_standard_error() {
        let i = mean_interval(&[1.0, 2.0, 3.0, 4.0]);
        assert!(close(i.value, 2.5) && close(i.high - i.value, Z * (5.0f64 / 12.0).sqrt()));
    }

    #[test]
    fn pairs_tell_what_the_shares_alone_do_not() {
        // Half of a thousand items right in both, one item apart in each direction.
        let first: Vec<_> = (0..1000).map(|i| f64::from(i % 2)).collect();
        let mut second = first.clone();
        second.swap(0, 1);
        let same = paired(&first, &second).unwrap();
        assert_eq!((same.more, same.less, same.difference.value), (1, 1, 0.0));
        assert!(same.difference.high < 0.003);
        assert!(wilson(500, 1000).high - 0.5 > 0.03);

        let other = paired(&[0.0, 0.0, 1.0], &[1.0, 0.0, 1.0]).unwrap();
        assert_eq!((other.more, other.less), (1, 0));
        assert!(close(other.difference.value, 1.0 / 3.0));
        assert_eq!(paired(&[1.0], &[]), None);
    }
}
