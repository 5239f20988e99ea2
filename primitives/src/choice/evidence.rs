// SPDX-License-Identifier: Apache-2.0
//! Evidence of rankers for a response.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{selection::Tally, Score};

/// A sum of log-odds by the rankers' weights from known answers.
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
pub struct Odds {
    /// `Σ w_j`, 32 fractional bits.
    pub weight: u64,
    /// `Σ w_j · logit(x_ji)`, 64 fractional bits.
    pub sum: i128,
    /// Number of rankers with a weight.
    pub rankers: u32,
}

impl Odds {
    /// Adds the log-odds of a score by a ranker of this weight.
    pub fn add(&mut self, weight: u64, odds: i64) {
        self.weight = self.weight.saturating_add(weight);
        let weighted = i128::from(weight).saturating_mul(odds.into());
        self.sum = self.sum.saturating_add(weighted);
        self.rankers = self.rankers.saturating_add(u32::from(weight > 0));
    }

    /// Both sums together.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            weight: self.weight.saturating_add(other.weight),
            sum: self.sum.saturating_add(other.sum),
            rankers: self.rankers.saturating_add(other.rankers),
        }
    }
}

/// Evidence of the rankers for one response, by their weights from known answers. It grows with
/// each disclosure, in any order.
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
pub struct Evidence {
    /// The scores.
    pub tally: Tally,
    /// Their log-odds, by rankers whose own responses have another key or none.
    pub others: Odds,
    /// Their log-odds, by rankers whose own responses have the same key.
    pub alike: Odds,
}

impl Evidence {
    /// Adds a score by a ranker of this weight, with its log-odds by [`super::log_odds`].
    /// `is_alike` tells that the ranker's own response has the same key.
    pub fn add(&mut self, weight: u64, score: Score, odds: i64, is_alike: bool) {
        self.tally.add(weight, score);
        match is_alike {
            true => self.alike.add(weight, odds),
            false => self.others.add(weight, odds),
        }
    }
}
