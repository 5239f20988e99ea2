// SPDX-License-Identifier: Apache-2.0
//! The place that a message belongs to.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::Hash;

/// One of the two sealed broadcasts of a request.
#[derive(
    Clone,
    Copy,
    Debug,
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
)]
pub enum Phase {
    /// Members publish their responses.
    #[codec(index = 0)]
    Responses,
    /// Members publish their scores.
    #[codec(index = 1)]
    Scores,
}

/// A request of a lane, and the broadcast in it. Everything that a member signs is bound to one.
#[derive(
    Clone,
    Copy,
    Debug,
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
)]
pub struct Slot {
    /// The hash of the chain's genesis block.
    pub genesis: Hash,
    /// The number of the lane.
    pub lane: u64,
    /// The epoch, which has a committee of its own.
    pub epoch: u32,
    /// The number of the request in this epoch, from 0 without gaps.
    pub seq: u32,
    /// The broadcast.
    pub phase: Phase,
}
