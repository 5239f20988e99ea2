// SPDX-License-Identifier: Apache-2.0

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

use crate::fixed;

/// The number of a round. Never reused.
pub type RoundId = u64;

/// An amount of the chain's currency, in its smallest unit.
pub type Balance = u128;

/// The position of a response, and of its agent, in the shuffled order of one round: `0 .. n`.
pub type Position = u16;

/// The key that seals one response: 32 fresh random bytes.
pub type Secret = [u8; 32];

/// The salt that hides the scores in a commitment: 32 fresh random bytes.
pub type Salt = [u8; 32];

/// A score in `[0, 1]`, in steps of 1/65535.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct Score(pub u16);

impl Score {
    /// 1.
    pub const ONE: Self = Self(u16::MAX);

    /// The score with 32 fractional bits, exact to the last one.
    pub fn to_fixed(self) -> u64 {
        fixed::ratio(self.0.into(), u16::MAX.into())
    }
}
