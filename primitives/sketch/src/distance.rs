// SPDX-License-Identifier: Apache-2.0
//! The squared distance of two sketches, and verdicts on it (section 1).
//!
//! A squared distance is a `u64` in units of 2⁻³². Roots are left out, so that chain and node
//! compare the same bits.

use crate::{Layout, Sketch};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// A squared distance of 1.
pub const ONE: u64 = 1 << 32;

/// The squared distance of two sketches of one layout, in units of 2⁻³², rounded down.
///
/// For projections 2³² · Σ(a − b)² / max(Σa², Σb²), at most 2³⁴, and 0 if all of both are zero.
/// With levels, the greater of that and (⅔ · max |Δ level| / 2¹⁰)². ⅔ stands for ln 2, so that rows
/// that are scaled by 1 + ε count as ε apart. Levels end at ±2⁵: beyond, scaling goes unseen.
pub fn squared(layout: Layout, a: &Sketch, b: &Sketch) -> u64 {
    let (mut gap, mut own, mut other, mut level) = (0u64, 0u64, 0u64, 0u64);
    let rows = a
        .values()
        .chunks(layout.values())
        .zip(b.values().chunks(layout.values()));
    for (a, b) in rows {
        for (at, (&a, &b)) in a.iter().zip(b).enumerate() {
            let apart = square(a.abs_diff(b));
            if at < layout.projections() {
                // 128 squares of 16 bits: at most 2³⁹.
                gap = gap.saturating_add(apart);
                own = own.saturating_add(square(a.unsigned_abs()));
                other = other.saturating_add(square(b.unsigned_abs()));
            } else {
                level = level.max(apart);
            }
        }
    }
    let projections = scaled(gap, own.max(other));
    // (⅔)² · 2³² / 2²⁰ = 2¹⁴ / 9.
    let levels = u128::from(level).saturating_mul(1 << 14) / 9;
    projections.max(u64::try_from(levels).unwrap_or(u64::MAX))
}

fn square(value: u16) -> u64 {
    u64::from(value).saturating_mul(value.into())
}

/// `gap / size` in units of 2⁻³²; 0 if `size` is 0.
fn scaled(gap: u64, size: u64) -> u64 {
    u128::from(gap)
        .saturating_mul(ONE.into())
        .checked_div(size.into())
        .map_or(0, |quotient| u64::try_from(quotient).unwrap_or(u64::MAX))
}

/// Two squared distances, in units of 2⁻³², that part three verdicts. They belong to a model and a
/// kind of sketch (section 2).
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
pub struct Thresholds {
    /// Up to here the sketches are of the same computation.
    pub accept: u64,
    /// Beyond this they are of two computations.
    pub reject: u64,
}

/// The verdict of a distance on two computations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are the same.
    Accept,
    /// Either: convicts nobody.
    Unclear,
    /// They differ.
    Reject,
}

impl Thresholds {
    /// The verdict on a squared distance.
    pub const fn judge(self, squared: u64) -> Verdict {
        if squared <= self.accept {
            Verdict::Accept
        } else if squared <= self.reject {
            Verdict::Unclear
        } else {
            Verdict::Reject
        }
    }
}

/// The distance whose square in units of 2⁻³² this is: for people, since its last bits are not the
/// same everywhere.
#[cfg(feature = "std")]
pub fn root(squared: u64) -> f64 {
    (squared as f64 / ONE as f64).sqrt()
}

/// The square of a distance in units of 2⁻³², to the nearest; 0 for what is no distance.
#[cfg(feature = "std")]
pub fn of_distance(distance: f64) -> u64 {
    (distance.max(0.0).powi(2) * ONE as f64).round() as u64
}
