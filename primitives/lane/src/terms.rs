// SPDX-License-Identifier: Apache-2.0
//! The terms that a requester fixes when it opens a lane.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{Account, Balance, Committee};

/// The terms of a lane. They hold for all of its requests.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Terms {
    /// The number of members of a committee: 4, 7, 10, 13 or 16.
    pub members: u8,
    /// The largest fee of a request.
    pub max_fee: Balance,
    /// The largest `max_tokens` of a request.
    pub max_tokens: u32,
    /// The time after an ask in which a member seals its response, in milliseconds.
    pub answer_ms: u32,
    /// The time after the seed is known in which a member seals its scores, in milliseconds.
    pub rank_ms: u32,
    /// The sr25519 public key that signs the asks.
    pub key: Account,
    /// The ed25519 public key of the network identity of the requester's node, if it has one.
    pub peer: Option<[u8; 32]>,
}

impl Terms {
    /// The size of the committees; `None` if there is no such size.
    pub fn committee(&self) -> Option<Committee> {
        Committee::of(self.members)
    }
}
