// SPDX-License-Identifier: Apache-2.0
//! The form of answers, which says whether equal ones are counted.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The form of the answers that a request asks for.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Form {
    /// Any text. Each response is an answer of its own, and there are no votes.
    #[default]
    #[codec(index = 0)]
    Free,
    /// A number.
    #[codec(index = 1)]
    Number,
    /// The letter of an option.
    #[codec(index = 2)]
    Choice,
    /// A few words.
    #[codec(index = 3)]
    Short,
}

impl Form {
    /// Whether equal answers are counted.
    pub fn is_counted(self) -> bool {
        self != Self::Free
    }
}
