// SPDX-License-Identifier: Apache-2.0
//! The bytes of a proof: 4,160, always.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{Point, HIDDEN};

/// Bytes of the range proof of 32 values of 32 bits.
pub const RANGE: usize = 928;

/// Bytes of the linear proof over 256 features.
pub const LINEAR: usize = 608;

/// A number modulo the order of the group in its 32 bytes, low byte first.
pub type Number = [u8; 32];

/// The part of a proof that belongs to a [hidden unit](crate::head::Unit) with sum `z`.
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
pub struct UnitProof {
    /// `P`, the commitment to `p = max(0, z)`.
    pub positive: Point,
    /// `Q`, the commitment to `q = max(0, −z)`.
    pub negative: Point,
    /// The response for `p`.
    pub value: Number,
    /// The response for the blinding of `P`.
    pub blinding: Number,
    /// The response for `τ`, where `0 = p · Q + τ · B`.
    pub product: Number,
}

/// A proof of a [statement](crate::statement::Statement).
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Proof {
    /// For each hidden unit.
    pub units: [UnitProof; HIDDEN],
    /// Says that all `p` and `q` are below 2³²: a range proof of `bulletproofs`.
    pub range: [u8; RANGE],
    /// Says that `p − q` is the sum of each unit: a linear proof of `bulletproofs`.
    pub linear: [u8; LINEAR],
    /// The challenge of the proof that `p · q = 0` and that the output follows from all `p`.
    pub challenge: Number,
    /// Its response for the blinding of the output.
    pub output: Number,
}
