// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::Get, BoundedVec, CloneNoBound, DebugNoBound, DefaultNoBound};
use scale_info::TypeInfo;
use starling_primitives::{
    fixed::ONE,
    rating::{Deviations, Mean},
    Balance,
};

/// The rules by which rounds count and ratings begin. Numbers in `[0, 1]` have 32 fractional bits.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Parameters {
    /// How many scores an agent must have in its window before it may rate above `initial_rating`.
    pub min_samples: u32,
    /// The rating of an agent without scores.
    pub initial_rating: u64,
    /// A rating below this weighs nothing, unless it is so with all that rank in a round.
    pub weight_floor: u64,
    /// A round counts when at least so many agents disclosed their scores,
    pub min_participants: u32,
    /// when its fee is at least this,
    pub rated_fee: Balance,
    /// and when the responses' mean scores are at least this far apart.
    pub min_spread: u64,
    /// What a ranker's scores deviate from.
    pub mean: Mean,
}

impl Parameters {
    /// For a chain whose currency has a value: `unit` is one of it, `min_fee` the least fee of a
    /// request.
    pub const fn production(min_fee: Balance) -> Self {
        Self {
            min_samples: 30,
            // A ranker at random rates 0.71 in the simulation.
            initial_rating: percent(70),
            weight_floor: percent(60),
            min_participants: 5,
            rated_fee: min_fee.saturating_mul(5),
            min_spread: percent(5),
            mean: Mean::OfOthers,
        }
    }

    /// For development: ratings move after a round or two of a few agents.
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

    /// The paper's: every round counts, from the first score on, plain means, and no floor.
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

/// What is known about an agent as a ranker.
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
    /// The last rounds that counted, the oldest first.
    pub window: BoundedVec<Deviations, Window>,
    /// How many rounds have counted since ever.
    pub rounds: u64,
}
