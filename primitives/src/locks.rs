// SPDX-License-Identifier: Apache-2.0
//! The names of locks on bonds.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The purpose for which a part of a bond is locked.
#[derive(
    Clone,
    Copy,
    Debug,
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
pub enum LockId {
    /// The agent serves lanes: one lock for all epochs that it has joined, up to the end of the
    /// last one's windows.
    #[codec(index = 0)]
    Lanes,
    /// The agent has signed a settlement of this lane in this epoch.
    #[codec(index = 1)]
    Seat {
        /// The lane.
        lane: u64,
        /// The epoch.
        epoch: u32,
    },
    /// The agent's output is disputed: what it loses if it is guilty.
    #[codec(index = 2)]
    Accused {
        /// The case.
        case: u64,
    },
    /// The agent has accused others: its bond for the case.
    #[codec(index = 3)]
    Accusation {
        /// The case.
        case: u64,
    },
    /// The agent has appealed: its bond for the second committee.
    #[codec(index = 4)]
    Appeal {
        /// The case.
        case: u64,
    },
}
