// SPDX-License-Identifier: Apache-2.0
//! The rules of a broadcast.

use starling_lane_primitives::Committee;

/// The rules of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Consequence of a second seal of a member.
    pub doubles: Doubles,
    /// The number of views. After the last one a member gives up.
    pub views: u8,
}

impl Rules {
    /// The rules of a lane with this committee.
    pub fn of(committee: Committee) -> Self {
        Self {
            doubles: Doubles::LeftOut,
            views: committee.views(),
        }
    }
}

/// Consequence for a set of a member's second seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubles {
    /// Two full sets are a tie, and there is no set: amendment A3 of the design. No lane has this
    /// rule. With it the explorer and the simulator show that one liar stops requests.
    Tie,
    /// The words of such a member do not count, nor does its seal, unless a full set with it may
    /// have settled.
    LeftOut,
}
