// SPDX-License-Identifier: Apache-2.0
//! TOPLOC (arXiv 2501.16007), to compare: the 128 largest values of a chunk, their exponents and
//! mantissas.
//!
//! As its published code compares them: values in bf16; of the verifier's 128 largest at least 90
//! have the prover's exponent, and the mantissas of these differ by 10 on average and 8 in the
//! median at most. Its polynomial packs the values into 258 bytes and is left out: it gives values
//! of no meaning for other places, which here do not count.

use half::bf16;
use std::{cmp::Reverse, collections::HashMap};

/// Values of a fingerprint.
const TOP: usize = 128;

const LEAST_EXPONENTS: usize = 90;
const MOST_MEAN: f64 = 10.0;
const MOST_MEDIAN: f64 = 8.0;

/// The largest values of a chunk by size, with their places.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Toploc(Vec<(usize, u16)>);

impl Toploc {
    /// Of the rows of a chunk.
    pub fn of(rows: &[f32]) -> Self {
        let bits = rows.iter().map(|&x| bf16::from_f32(x).to_bits());
        let mut top: Vec<_> = bits.enumerate().collect();
        // Without the sign, the bits are in the order of the sizes.
        top.sort_by_key(|&(_, bits)| Reverse(bits & 0x7fff));
        top.truncate(TOP);
        Self(top)
    }
}

/// Fit of a prover's values to a verifier's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Match {
    /// Values with the same exponent.
    pub exponents: usize,
    /// Mean difference of their mantissas, of 128.
    pub mean: f64,
    /// Its median.
    pub median: f64,
}

impl Match {
    pub fn of(prover: &Toploc, verifier: &Toploc) -> Self {
        let claimed: HashMap<usize, u16> = prover.0.iter().copied().collect();
        let mut errors: Vec<f64> = vec![];
        for (place, own) in &verifier.0 {
            if let Some(claimed) = claimed.get(place) {
                if exponent(*claimed) == exponent(*own) {
                    errors.push(mantissa(*claimed).abs_diff(mantissa(*own)).into());
                }
            }
        }
        errors.sort_by(f64::total_cmp);
        let (low, high) = (errors.len().saturating_sub(1) / 2, errors.len() / 2);
        let at = |i: usize| errors.get(i).copied().unwrap_or(f64::INFINITY);
        Self {
            exponents: errors.len(),
            mean: errors.iter().sum::<f64>() / errors.len() as f64,
            median: (at(low) + at(high)) / 2.0,
        }
    }

    /// Whether the published thresholds accept it.
    pub fn is_accepted(&self) -> bool {
        self.exponents >= LEAST_EXPONENTS && self.mean <= MOST_MEAN && self.median <= MOST_MEDIAN
    }
}

fn exponent(bits: u16) -> u16 {
    (bits >> 7) & 0xff
}

fn mantissa(bits: u16) -> u16 {
    bits & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<f32> {
        (0..1000)
            .map(|i| ((i * 37 % 1000) as f32 - 500.0) / 8.0)
            .collect()
    }

    #[test]
    fn the_largest_values_count_by_size() {
        let toploc = Toploc::of(&rows());
        assert_eq!(toploc.0.len(), TOP);
        assert_eq!(toploc.0[0], (0, bf16::from_f32(-62.5).to_bits()));
    }

    #[test]
    fn equal_rows_match() {
        let toploc = Toploc::of(&rows());
        let golden = Match {
            exponents: TOP,
            mean: 0.0,
            median: 0.0,
        };
        assert_eq!(Match::of(&toploc, &toploc), golden);
        assert!(golden.is_accepted());
    }

    #[test]
    fn other_exponents_and_other_places_do_not_match() {
        let toploc = Toploc::of(&rows());
        let twice: Vec<f32> = rows().iter().map(|x| 2.0 * x).collect();
        let found = Match::of(&Toploc::of(&twice), &toploc);
        assert_eq!(found.exponents, 0);
        assert!(!found.is_accepted());
        let elsewhere = [vec![0.0; 1000], rows()].concat();
        let found = Match::of(&Toploc::of(&elsewhere), &toploc);
        assert_eq!(found.exponents, 0);
    }

    #[test]
    fn mantissas_count_by_mean_and_median() {
        let of = |values: &[f32]| Toploc::of(values);
        // Steps of a mantissa at 1 are 1/128.
        let verifier = of(&[1.0; 4]);
        let prover = of(&[1.0, 1.0 + 1.0 / 128.0, 1.0 + 3.0 / 128.0, 1.0 + 8.0 / 128.0]);
        let golden = Match {
            exponents: 4,
            mean: 3.0,
            median: 2.0,
        };
        assert_eq!(Match::of(&prover, &verifier), golden);
    }
}
