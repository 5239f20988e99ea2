// SPDX-License-Identifier: Apache-2.0
//! The score that follows from an output (amendment B12).
//!
//! Outputs of heads have no common scale. A head is registered with 33 outputs that part a set of
//! responses into 32 equal shares; the score is the share below an output.

use core::{error::Error, fmt};

/// Outputs of a table.
pub const POINTS: usize = 33;

/// The score between two neighbours: 2¹⁶ / 32.
const STEP: i128 = 2048;

/// Outputs in order, as far apart in score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table([i64; POINTS]);

/// Refuses points that are not in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unordered;

impl fmt::Display for Unordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a point of the table is below the one before it; give them in order")
    }
}

impl Error for Unordered {}

impl Table {
    /// From its points.
    ///
    /// # Errors
    /// [`Unordered`] if a point is below the one before it.
    pub fn new(points: [i64; POINTS]) -> Result<Self, Unordered> {
        points.is_sorted().then_some(Self(points)).ok_or(Unordered)
    }

    /// The points.
    pub const fn points(&self) -> &[i64; POINTS] {
        &self.0
    }

    /// The score of an output, of 65,535: linear between points, 0 below the first and 65,535 from
    /// the last on. A greater output never has a smaller score.
    pub fn score(&self, output: i64) -> u16 {
        let above = self.0.partition_point(|point| *point <= output);
        let Some(below) = above.checked_sub(1) else {
            return 0;
        };
        let (Some(low), Some(high)) = (self.0.get(below), self.0.get(above)) else {
            return u16::MAX;
        };
        let [low, high, output] = [*low, *high, output].map(i128::from);
        let part = output
            .saturating_sub(low)
            .saturating_mul(STEP)
            .checked_div(high.saturating_sub(low))
            .unwrap_or(0);
        let score = STEP.saturating_mul(below as i128).saturating_add(part);
        u16::try_from(score).unwrap_or(u16::MAX)
    }
}
