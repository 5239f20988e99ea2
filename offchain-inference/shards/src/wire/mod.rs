// SPDX-License-Identifier: Apache-2.0
//! Wire formats: how rows of hidden state become bytes.
//!
//! | wire | layout of a row of `w` elements | bytes of a row |
//! |---|---|---|
//! | `f32` | `w` IEEE binary32 | 4w |
//! | `f16` | exponent `e` (u8), then `w` IEEE binary16 `x · 2^−e` | 1 + 2w |
//! | `linear8` | for each group of 64: `scale` (binary32), then 64 × i8 `q`; `x ≈ scale · q / 127` | w + 4⌈w / 64⌉ |
//! | `dynamic8` | for each group of 64: `scale` (binary32), then 64 × u8, places in the [codebook] | w + 4⌈w / 64⌉ |
//! | `linear8-row`, `dynamic8-row` | the same with one group a row | w + 4 |
//!
//! All numbers are little-endian; the last group of a row may be shorter. Rows are coded one by
//! one, so bytes do not depend on the cut into messages. Decoded values encode to bytes that decode
//! to the same bits. So a replay of received rows is exact in any wire format.
//!
//! `scale` is the group's element of the largest magnitude. `dynamic8` keeps its sign, unlike the
//! construction in the papers. The codebook reaches from −0.993 to 1, so the outliers, which matter
//! most to a model's output, are always exact.

mod dynamic;
#[cfg(test)]
mod tests;

pub use dynamic::codebook;

use codec::{Decode, Encode};
use half::{f16, slice::HalfFloatSliceExt};
use starling_evidence::Code;
use std::{fmt, str::FromStr};

/// Elements that share a scale, unless it is the whole row.
const GROUP: usize = 64;

/// Bytes of a scale.
const SCALE: usize = 4;

/// Maximum exponent of `f16`; beyond it, decoding would leave the range of f32.
const MAX_EXPONENT: u8 = 112;

/// A wire format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum WireFormat {
    /// IEEE single precision, exact.
    #[default]
    #[codec(index = 0)]
    F32,
    /// IEEE half precision with an exponent for each row, 0 unless an element exceeds 65504.
    #[codec(index = 1)]
    F16,
    /// Dynamic blockwise 8-bit (Dettmers, arXiv 1511.04561 and 2110.02861), groups of 64.
    #[codec(index = 2)]
    Dynamic8,
    /// Dynamic 8-bit, one scale a row.
    #[codec(index = 3)]
    Dynamic8Row,
    /// Linear blockwise 8-bit, groups of 64.
    #[codec(index = 4)]
    Linear8,
    /// Linear 8-bit, one scale a row.
    #[codec(index = 5)]
    Linear8Row,
}

/// Reasons why bytes are no rows of hidden state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length does not match the number of rows.
    #[error("{found} bytes instead of {expected} for {rows} rows of {width} elements in {wire}")]
    Length {
        /// The wire format.
        wire: WireFormat,
        /// Expected rows.
        rows: usize,
        /// Elements of a row.
        width: usize,
        /// Expected bytes.
        expected: usize,
        /// Found bytes.
        found: usize,
    },
    /// An element or a scale is infinite or not a number.
    #[error("the hidden state holds a number that is not finite")]
    NotFinite,
    /// The bytes hold a value that no encoder produces.
    #[error("the hidden state holds bytes that {0} does not use")]
    Unused(WireFormat),
}

impl WireFormat {
    /// All wire formats.
    pub const ALL: [Self; 6] = [
        Self::F32,
        Self::F16,
        Self::Dynamic8,
        Self::Dynamic8Row,
        Self::Linear8,
        Self::Linear8Row,
    ];

    /// Number of elements of a row of `width` that share a scale, if any do.
    fn group(self, width: usize) -> Option<usize> {
        match self {
            Self::F32 | Self::F16 => None,
            Self::Dynamic8 | Self::Linear8 => Some(GROUP),
            Self::Dynamic8Row | Self::Linear8Row => Some(width.max(1)),
        }
    }

    /// Size of `rows` rows of `width` elements, in bytes. Saturates.
    pub fn bytes(self, rows: usize, width: usize) -> usize {
        let row = match (self, self.group(width)) {
            (_, Some(group)) => width.saturating_add(width.div_ceil(group).saturating_mul(SCALE)),
            (Self::F16, None) => width.saturating_mul(2).saturating_add(1),
            (_, None) => width.saturating_mul(4),
        };
        rows.saturating_mul(row)
    }

    /// Encodes row-major `rows × width` floats.
    ///
    /// Floats that cannot be coded, such as infinite ones, become bytes that
    /// [`decode`](Self::decode) refuses.
    pub fn encode(self, rows: &[f32], width: usize) -> Vec<u8> {
        let width = width.max(1);
        let mut bytes = Vec::with_capacity(self.bytes(rows.len().div_ceil(width), width));
        for row in rows.chunks(width) {
            match (self, self.group(width)) {
                (Self::F32, _) => bytes.extend(row.iter().flat_map(|x| x.to_le_bytes())),
                (Self::F16, _) => encode_f16(row, &mut bytes),
                (Self::Linear8 | Self::Linear8Row, group) => {
                    for group in row.chunks(group.unwrap_or(width)) {
                        encode_linear(group, &mut bytes);
                    }
                },
                (Self::Dynamic8 | Self::Dynamic8Row, group) => {
                    for group in row.chunks(group.unwrap_or(width)) {
                        dynamic::encode(group, &mut bytes);
                    }
                },
            }
        }
        bytes
    }

    /// Decodes row-major `rows × width` finite floats from exactly [`bytes`](Self::bytes) bytes.
    pub fn decode(self, bytes: &[u8], rows: usize, width: usize) -> Result<Vec<f32>, WireError> {
        let expected = self.bytes(rows, width);
        if bytes.len() != expected || width == 0 {
            return Err(WireError::Length {
                wire: self,
                rows,
                width,
                expected,
                found: bytes.len(),
            });
        }
        let mut values = Vec::with_capacity(rows.saturating_mul(width));
        for row in bytes.chunks(self.bytes(1, width)) {
            match (self, self.group(width)) {
                (Self::F32, _) => values.extend(row.chunks_exact(4).filter_map(float)),
                (Self::F16, _) => decode_f16(row, &mut values)?,
                (Self::Linear8 | Self::Linear8Row, group) => {
                    for group in row.chunks(group.unwrap_or(width).saturating_add(SCALE)) {
                        decode_linear(self, group, &mut values)?;
                    }
                },
                (Self::Dynamic8 | Self::Dynamic8Row, group) => {
                    for group in row.chunks(group.unwrap_or(width).saturating_add(SCALE)) {
                        dynamic::decode(group, &mut values)?;
                    }
                },
            }
        }
        if values.iter().all(|x| x.is_finite()) {
            Ok(values)
        } else {
            Err(WireError::NotFinite)
        }
    }

    /// Row-major rows of `width` as who gets them in this format decodes them.
    pub fn as_decoded(self, rows: &[f32], width: usize) -> Result<Vec<f32>, WireError> {
        let width = width.max(1);
        self.decode(&self.encode(rows, width), rows.len() / width, width)
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Dynamic8 => "dynamic8",
            Self::Dynamic8Row => "dynamic8-row",
            Self::Linear8 => "linear8",
            Self::Linear8Row => "linear8-row",
        }
    }
}

/// The name of the format in claims.
impl From<WireFormat> for Code {
    fn from(wire: WireFormat) -> Self {
        match wire {
            WireFormat::F32 => Self::F32,
            WireFormat::F16 => Self::F16,
            WireFormat::Dynamic8 => Self::Dynamic8,
            WireFormat::Dynamic8Row => Self::Dynamic8Row,
            WireFormat::Linear8 => Self::Linear8,
            WireFormat::Linear8Row => Self::Linear8Row,
        }
    }
}

impl From<Code> for WireFormat {
    fn from(code: Code) -> Self {
        match code {
            Code::F32 => Self::F32,
            Code::F16 => Self::F16,
            Code::Dynamic8 => Self::Dynamic8,
            Code::Dynamic8Row => Self::Dynamic8Row,
            Code::Linear8 => Self::Linear8,
            Code::Linear8Row => Self::Linear8Row,
        }
    }
}

impl fmt::Display for WireFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for WireFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|wire| wire.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("no wire format is called {name:?} ({names})")
            })
    }
}

fn float(bytes: &[u8]) -> Option<f32> {
    Some(f32::from_le_bytes(bytes.try_into().ok()?))
}

/// Splits a group into its scale and the rest.
fn scaled(group: &[u8]) -> Result<(f32, &[u8]), WireError> {
    group
        .split_at_checked(SCALE)
        .and_then(|(scale, wires)| Some((float(scale)?, wires)))
        .filter(|(scale, _)| scale.is_finite())
        .ok_or(WireError::NotFinite)
}

/// The element of the largest magnitude, or one that is not a number.
fn peak(group: &[f32]) -> f32 {
    let mut peak = 0f32;
    for &x in group {
        if x.is_nan() {
            return x;
        }
        if x.abs() > peak.abs() {
            peak = x;
        }
    }
    peak
}

fn encode_f16(row: &[f32], bytes: &mut Vec<u8>) {
    let peak = peak(row);
    let exponent = (0..=MAX_EXPONENT)
        .find(|&e| f16::from_f32(peak * exp2(-i32::from(e))).is_finite())
        .unwrap_or(MAX_EXPONENT);
    let mut halves = vec![f16::ZERO; row.len()];
    if exponent == 0 {
        halves.convert_from_f32_slice(row);
    } else {
        let scale = exp2(-i32::from(exponent));
        let scaled: Vec<_> = row.iter().map(|x| x * scale).collect();
        halves.convert_from_f32_slice(&scaled);
    }
    bytes.push(exponent);
    bytes.extend(halves.iter().flat_map(|x| x.to_le_bytes()));
}

fn decode_f16(row: &[u8], values: &mut Vec<f32>) -> Result<(), WireError> {
    let (&exponent, halves) = row
        .split_first()
        .ok_or(WireError::Unused(WireFormat::F16))?;
    if exponent > MAX_EXPONENT {
        return Err(WireError::Unused(WireFormat::F16));
    }
    let scale = exp2(i32::from(exponent));
    values.extend(halves.chunks_exact(2).filter_map(|bytes| {
        let half = f16::from_le_bytes(bytes.try_into().ok()?);
        Some(half.to_f32() * scale)
    }));
    Ok(())
}

/// 2^e, exactly, for exponents of normal floats.
fn exp2(e: i32) -> f32 {
    2f32.powi(e)
}

fn encode_linear(group: &[f32], bytes: &mut Vec<u8>) {
    let scale = peak(group).abs();
    bytes.extend(scale.to_le_bytes());
    bytes.extend(group.iter().map(|x| {
        // Saturates, and 0 / 0 gives 0.
        let q = (x / scale * 127.0).round() as i8;
        q.to_le_bytes()[0]
    }));
}

fn decode_linear(wire: WireFormat, group: &[u8], values: &mut Vec<f32>) -> Result<(), WireError> {
    let (scale, wires) = scaled(group)?;
    if scale.is_sign_negative() || wires.contains(&i8::MIN.to_le_bytes()[0]) {
        return Err(WireError::Unused(wire));
    }
    values.extend(wires.iter().map(|&q| {
        let q = i8::from_le_bytes([q]);
        f32::from(q) / 127.0 * scale
    }));
    Ok(())
}
