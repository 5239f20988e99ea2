// SPDX-License-Identifier: Apache-2.0
//! The 128 values of a sketch and their bytes (section 1).

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Values of a sketch.
pub const VALUES: usize = 128;

/// Bytes of a sketch.
pub const BYTES: usize = 256;

/// 128 fixed-point values of rows of floats, row after row.
///
/// The [`Layout`](crate::Layout) says how many belong to a row. A projection of an answer or a span
/// is in units of 2⁻¹⁰, one of a distribution in units of 2⁻¹², a level in units of 2⁻¹⁰ of a
/// binary logarithm. SCALE and [`Sketch::to_bytes`] give the same 256 bytes: each value with its
/// low byte first.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Sketch([i16; VALUES]);

impl Sketch {
    /// From its values.
    pub const fn new(values: [i16; VALUES]) -> Self {
        Self(values)
    }

    /// Its values.
    pub const fn values(&self) -> &[i16; VALUES] {
        &self.0
    }

    /// From its bytes; all are a sketch.
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let mut values = [0; VALUES];
        let (pairs, _) = bytes.as_chunks();
        for (value, pair) in values.iter_mut().zip(pairs) {
            *value = i16::from_le_bytes(*pair);
        }
        Self(values)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let (pairs, _) = bytes.as_chunks_mut();
        for (pair, value) in pairs.iter_mut().zip(self.0) {
            *pair = value.to_le_bytes();
        }
        bytes
    }
}
