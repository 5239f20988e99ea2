// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::Get, BoundedVec, CloneNoBound, DebugNoBound, DefaultNoBound};
use scale_info::TypeInfo;
use starling_primitives::{
    fixed::ONE,
    rating::{Deviations, Mean},
    Balance,
};

/// The parameters of counting rounds and of first ratings. Numbers in `[0, 1]` have 32 fractional
/// bits.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Parameters {
    /// Number of scores in an agent's window before it may rate above `initial_rating`.
    pub min_samples: u32,
    /// The rating of an agent without scores.
    pub initial_rating: u64,
    /// Ratings up to this have no weight, unless no ranker of a round is above it.
    pub weight_floor: u64,
    /// Minimum number of agents that disclose scores, for a round to count.
    pub min_participants: u32,
    /// Minimum fee, for a round to count.
    pub rated_fee: Balance,
    /// Minimum spread of the responses' mean scores, for a round to count.
    pub min_spread: u64,
    /// The mean that a ranker's scores are compared with.
    pub mean: Mean,
}

impl Parameters {
    /// For a chain whose currency has a value. `min_fee` is the minimum fee of a request.
    pub const fn production(min_fee: Balance) -> Self {
        Self {
            min_samples: 20,
            // A ranker at random rates 0.71 in the simulation.
            initial_rating: percent(70),
            weight_floor: percent(60),
            min_participants: 5,
            rated_fee: min_fee.saturating_mul(5),
            min_spread: percent(5),
            mean: Mean::OfOthers,
        }
    }

    /// For development: ratings move after one or two rounds of a few agents.
    pub const fn dev() -> Self {
        Self {
            min_samples: 4,
            initial_rating: percent(70),
            weight_floor: percent(60),
            min_participants: 3,
            rated_fee: 0,
            min_spread: percent(1),
            mean: Mean::OfOthers,
        }
    }

    /// The paper's: every round counts, from the first score on, with plain means and without a
    /// floor.
    pub const fn paper() -> Self {
        Self {
            min_samples: 0,
            initial_rating: ONE,
            weight_floor: 0,
            min_participants: 1,
            rated_fee: 0,
            min_spread: 0,
            mean: Mean::OfAll,
        }
    }
}

/// `percent / 100`, at most 1.
const fn percent(percent: u64) -> u64 {
    // Never overflows: `ONE` has 33 bits, and a percentage above 100 is capped.
    ONE.saturating_mul(if percent > 100 { 100 } else { percent }) / 100
}

/// Record of an agent as a ranker.
#[derive(
    CloneNoBound,
    DebugNoBound,
    DefaultNoBound,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
#[scale_info(skip_type_params(Window))]
pub struct Record<Window: Get<u32>> {
    /// The last rounds that counted, oldest first.
    pub window: BoundedVec<Deviations, Window>,
    /// Number of all rounds that have counted.
    pub rounds: u64,
}
