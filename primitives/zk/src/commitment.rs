// SPDX-License-Identifier: Apache-2.0
//! The registered points that bind a head's weights and hide them (section 6).

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{Point, HIDDEN};

/// The commitments to a [hidden unit](crate::head::Unit).
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
pub struct UnitCommitment {
    /// `A_i = Σ_j row_ij · G_j + bias_i · F + r_i · B`.
    pub row: Point,
    /// `C_i = weight_i · F + t_i · B`.
    pub weight: Point,
}

/// The commitment to a head: 1,056 bytes. Nobody can open it to a second head, and it shows nothing
/// of the first.
///
/// The points are checked with a proof, not before: an account that registers others than its own
/// can prove no score.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Commitment {
    /// Those to the hidden units.
    pub units: [UnitCommitment; HIDDEN],
    /// `C_0 = bias · F + t_0 · B`.
    pub bias: Point,
}
