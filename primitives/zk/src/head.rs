// SPDX-License-Identifier: Apache-2.0
//! The network over the features, in integers (section 6).

use codec::{Decode, Encode};

use crate::{features::Features, HIDDEN, WIDTH};

/// A hidden unit: `max(0, row · x + bias)`, which counts `weight` times.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Unit {
    /// A weight for each feature.
    pub row: [i8; WIDTH],
    /// Added to the sum.
    pub bias: i32,
    /// Its weight in the output.
    pub weight: i8,
}

/// A private head: a score of a response, before the [table](crate::table) makes it comparable.
///
/// No head overflows: a unit stays below 2³² and the output below 2⁴⁴, each with either sign.
/// Its weights are secret, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// The hidden units.
    pub units: [Unit; HIDDEN],
    /// Added to the output.
    pub bias: i32,
}

impl Unit {
    /// `row · x + bias`.
    pub fn sum(&self, features: &Features) -> i64 {
        self.row.iter().zip(features.values()).fold(
            i64::from(self.bias),
            |sum, (weight, feature)| {
                sum.saturating_add(i64::from(*weight).saturating_mul((*feature).into()))
            },
        )
    }
}

impl Head {
    /// The output for a prompt and a response.
    pub fn output(&self, features: &Features) -> i64 {
        self.units
            .iter()
            .fold(i64::from(self.bias), |output, unit| {
                let value = unit.sum(features).max(0);
                output.saturating_add(value.saturating_mul(unit.weight.into()))
            })
    }
}
