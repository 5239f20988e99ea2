// SPDX-License-Identifier: Apache-2.0
//! The rules of a broadcast that the explorer compares.

use starling_lane_primitives::messages::Way;

/// The rules of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Splits of each key.
    pub splits: Splits,
    /// What a collector does if its quorum has opened two full sets.
    pub ties: Ties,
    /// The last view. After it a member gives up.
    pub last_view: u8,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            splits: Splits::PerWay,
            ties: Ties::Culprits,
            last_view: 2,
        }
    }
}

/// How many polynomials a key is split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splits {
    /// One: amendment A2 of the design.
    One,
    /// One for the full set, one for the sets of all collectors: what A3 says would do.
    FullAndSets,
    /// One for the full set, and one for each view.
    PerWay,
}

impl Splits {
    /// The split whose shares open a set that was fixed in this way.
    pub fn of(self, way: Way) -> u8 {
        match self {
            Self::One => 0,
            Self::FullAndSets => way.split().min(1),
            Self::PerWay => way.split(),
        }
    }

    /// The number of splits of a seal in a broadcast with views up to `last_view`.
    pub fn count(self, last_view: u8) -> u8 {
        self.of(Way::View(last_view)).saturating_add(1)
    }
}

/// What a collector does if its quorum has opened two full sets, or two sets of one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// There is no set: amendment A3 of the design.
    NoSet,
    /// Members that have sealed twice, by these words, do not count. Of two full sets that one is
    /// taken which all others may have opened, or neither if none can have settled.
    Culprits,
}
