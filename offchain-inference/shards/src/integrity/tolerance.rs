// SPDX-License-Identifier: Apache-2.0
//! Tolerated distance between the outputs of honest servers.

use crate::wire::WireFormat;

/// Distance of two hidden states, in the row with the largest distance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// ‖a − b‖₂ / max(‖a‖₂, ‖b‖₂), in [0, 2].
    pub relative: f64,
    /// 1 − cos(a, b), in [0, 2].
    pub cosine: f64,
}

impl Difference {
    /// The larger value of each field.
    pub fn max(self, other: Self) -> Self {
        Self {
            relative: self.relative.max(other.relative),
            cosine: self.cosine.max(other.cosine),
        }
    }
}

/// Maximum distance between honest outputs for the same input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance(Difference);

impl Tolerance {
    /// Tolerance for outputs of servers that got the same floats. `wire` is the coarser of the wire
    /// formats that the outputs travelled in.
    ///
    /// Honest servers were measured farthest apart (`docs/figures.md`) if one has activations of 8
    /// bits and the other of 16: by 0.060 and 0.0011 (0.074 and 0.0021 in `linear8-row`). The
    /// closest cheat has weights of 4 bits: 0.11 and 0.0044.
    pub const fn of(wire: WireFormat) -> Self {
        let (relative, cosine) = match wire {
            WireFormat::Linear8Row => (0.1, 4e-3),
            WireFormat::F32
            | WireFormat::F16
            | WireFormat::Dynamic8
            | WireFormat::Dynamic8Row
            | WireFormat::Linear8 => (0.08, 2e-3),
        };
        Self(Difference { relative, cosine })
    }

    /// Whether a committee may clear two servers whose rows are apart by this in the [`mean`].
    pub fn admits_mean(&self, relative: f64) -> bool {
        relative <= self.0.relative
    }

    /// Whether two servers at this distance may both be honest.
    pub fn admits(&self, difference: &Difference) -> bool {
        difference.relative <= self.0.relative && difference.cosine <= self.0.cosine
    }
}

/// Result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether both may be honest.
    pub agrees: bool,
    /// Distance of the two outputs.
    pub difference: Difference,
}

impl Verdict {
    /// The verdict on outputs that cannot be compared.
    pub const APART: Self = Self {
        agrees: false,
        difference: Difference {
            relative: f64::INFINITY,
            cosine: f64::INFINITY,
        },
    };
}

/// Compares two outputs for the same input, row-major with rows of `width`, that travelled in
/// `wire`. Outputs of different shapes do not agree.
pub fn compare(a: &[f32], b: &[f32], width: usize, wire: WireFormat) -> Verdict {
    match difference(a, b, width) {
        Some(difference) => Verdict {
            agrees: Tolerance::of(wire).admits(&difference),
            difference,
        },
        None => Verdict::APART,
    }
}

/// Distance of two hidden states; `None` if they differ in shape or are not rows of `width`.
pub fn difference(a: &[f32], b: &[f32], width: usize) -> Option<Difference> {
    if a.len() != b.len() || width == 0 || !a.len().is_multiple_of(width) {
        return None;
    }
    let rows = a.chunks_exact(width).zip(b.chunks_exact(width));
    Some(
        rows.map(|(a, b)| row(a, b))
            .fold(Difference::default(), Difference::max),
    )
}

/// Root of the mean square of the rows' relative distances, which is what a committee measures;
/// `None` as for [`difference`].
pub fn mean(a: &[f32], b: &[f32], width: usize) -> Option<f64> {
    difference(a, b, width)?;
    let rows = a.chunks_exact(width).zip(b.chunks_exact(width));
    let count = rows.len().max(1) as f64;
    let squares = rows.map(|(a, b)| row(a, b).relative.powi(2));
    Some((squares.sum::<f64>() / count).sqrt())
}

fn row(a: &[f32], b: &[f32]) -> Difference {
    let (mut aa, mut bb, mut ab, mut dd) = (0f64, 0f64, 0f64, 0f64);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a), f64::from(b));
        aa += a * a;
        bb += b * b;
        ab += a * b;
        dd += (a - b) * (a - b);
    }
    if dd == 0.0 {
        return Difference::default();
    }
    let far = |x: f64| if x.is_nan() { f64::INFINITY } else { x };
    Difference {
        relative: far((dd / aa.max(bb)).sqrt()),
        cosine: far((1.0 - ab / (aa * bb).sqrt()).max(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};

    #[test]
    fn differences_are_those_of_the_worst_row() {
        let a = [3.0, 4.0, 1.0, 0.0];
        let b = [3.0, 4.0, 0.0, 1.0];
        let d = difference(&a, &b, 2).unwrap();
        assert!((d.relative - 2f64.sqrt()).abs() < 1e-12 && (d.cosine - 1.0).abs() < 1e-12);
        let d = difference(&a[..2], &b[..2], 2).unwrap();
        assert_eq!(d, Difference::default());
        let d = difference(&[3.0, 4.0], &[6.0, 8.0], 2).unwrap();
        assert!((d.relative - 0.5).abs() < 1e-12 && d.cosine < 1e-12);
    }

    #[test]
    fn one_row_far_from_its_like_moves_the_mean_less() {
        let a = [3.0, 4.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0];
        let b = [3.0, 4.0, 3.0, 4.0, 3.0, 4.0, 6.0, 8.0];
        assert!((mean(&a, &b, 2).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(mean(&a, &a, 2), Some(0.0));
        assert_eq!(mean(&[], &[], 2), Some(0.0));
        assert_eq!(mean(&a, &b[..6], 2), None);
        assert_eq!(mean(&a, &[f32::NAN; 8], 2), Some(f64::INFINITY));
    }

    #[test]
    fn other_shapes_and_what_is_no_number_never_agree() {
        for wire in WireFormat::ALL {
            assert!(!compare(&[1.0; 4], &[1.0; 6], 2, wire).agrees);
            assert!(!compare(&[1.0; 3], &[1.0; 3], 2, wire).agrees);
            assert!(!compare(&[1.0; 2], &[1.0, f32::NAN], 2, wire).agrees);
            assert!(!compare(&[1.0; 2], &[1.0, f32::INFINITY], 2, wire).agrees);
            assert!(!compare(&[1.0; 2], &[0.0; 2], 2, wire).agrees);
            assert!(compare(&[0.0; 2], &[0.0; 2], 2, wire).agrees);
        }
    }

    proptest! {
        #[test]
        fn comparison_takes_no_side_and_no_scale(
            rows in proptest::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 1..64),
            scale in select(&[1f32, 0.125, 1024.0]),
        ) {
            let (a, b): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            let there = difference(&a, &b, a.len()).unwrap();
            prop_assert_eq!(there, difference(&b, &a, a.len()).unwrap());
            prop_assert!((0.0..=2.0 + 1e-9).contains(&there.relative));
            let scaled = |x: &[f32]| x.iter().map(|x| x * scale).collect::<Vec<_>>();
            let scaled = difference(&scaled(&a), &scaled(&b), a.len()).unwrap();
            prop_assert!((scaled.relative - there.relative).abs() < 1e-6);
        }
    }
}
