// SPDX-License-Identifier: Apache-2.0
//! Wire codes: how rows of hidden state become bytes.
//!
//! | code | layout of a row of `w` elements | bytes of a row |
//! |---|---|---|
//! | `f32` | `w` IEEE binary32 | 4w |
//! | `f16` | exponent `e` (u8), then `w` IEEE binary16 `x · 2^−e` | 1 + 2w |
//! | `linear8` | for each block of 64: `scale` (binary32), then 64 × i8 `q`; `x ≈ scale · q / 127` | w + 4⌈w / 64⌉ |
//! | `dynamic8` | for each block of 64: `scale` (binary32), then 64 × u8, places in the [codebook] | w + 4⌈w / 64⌉ |
//! | `linear8-row`, `dynamic8-row` | the same with one block a row | w + 4 |
//!
//! All numbers are little-endian; the last block of a row may be shorter. Rows are coded one by
//! one: bytes do not depend on how rows are cut into messages. What was decoded encodes to values
//! that decode to the same bits, so a replay of what was received is exact with any code.
//!
//! `scale` is the block's element of the largest magnitude. Of `dynamic8` it keeps the sign, which
//! the construction in the papers has not: the codebook reaches from −0.993 to 1, and so the
//! outliers, on which a model's output hangs most, are always exact.

mod dynamic;
#[cfg(test)]
mod tests;

pub use dynamic::codebook;

use codec::{Decode, Encode};
use half::{f16, slice::HalfFloatSliceExt};
use std::{fmt, str::FromStr};

/// Elements that share a scale, where it is not the row.
const BLOCK: usize = 64;

/// Bytes of a scale.
const SCALE: usize = 4;

/// The largest exponent of `f16`; with more, decoding would leave the range of f32.
const MAX_EXPONENT: u8 = 112;

/// A wire code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum Code {
    /// Exact.
    #[default]
    F32,
    /// IEEE half precision with an exponent for each row, 0 unless an element exceeds 65504.
    F16,
    /// Dynamic blockwise 8-bit (Dettmers, arXiv 1511.04561 and 2110.02861), blocks of 64.
    Dynamic8,
    /// Dynamic 8-bit, one scale a row.
    Dynamic8Row,
    /// Linear blockwise 8-bit, blocks of 64.
    Linear8,
    /// Linear 8-bit, one scale a row.
    Linear8Row,
}

/// Why bytes are no rows of hidden state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The length is not that of so many rows.
    #[error("{found} bytes instead of {expected} for {rows} rows of {width} elements in {code}")]
    Length {
        /// The code.
        code: Code,
        /// Rows expected.
        rows: usize,
        /// Elements of a row.
        width: usize,
        /// Bytes that they take.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// An element or a scale is infinite or not a number.
    #[error("the hidden state holds what is not a finite number")]
    NotFinite,
    /// Bytes that no encoder produces.
    #[error("the hidden state holds bytes that {0} does not use")]
    Unused(Code),
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 6] = [
        Self::F32,
        Self::F16,
        Self::Dynamic8,
        Self::Dynamic8Row,
        Self::Linear8,
        Self::Linear8Row,
    ];

    /// Elements of a row of `width` that share a scale, where any do.
    fn block(self, width: usize) -> Option<usize> {
        match self {
            Self::F32 | Self::F16 => None,
            Self::Dynamic8 | Self::Linear8 => Some(BLOCK),
            Self::Dynamic8Row | Self::Linear8Row => Some(width.max(1)),
        }
    }

    /// Bytes of `rows` rows of `width` elements; saturates.
    pub fn bytes(self, rows: usize, width: usize) -> usize {
        let row = match (self, self.block(width)) {
            (_, Some(block)) => width.saturating_add(width.div_ceil(block).saturating_mul(SCALE)),
            (Self::F16, None) => width.saturating_mul(2).saturating_add(1),
            (_, None) => width.saturating_mul(4),
        };
        rows.saturating_mul(row)
    }

    /// The bytes of row-major `rows × width` floats.
    ///
    /// What cannot be coded, such as a float that is not finite, becomes bytes that
    /// [`decode`](Self::decode) refuses.
    pub fn encode(self, rows: &[f32], width: usize) -> Vec<u8> {
        let width = width.max(1);
        let mut bytes = Vec::with_capacity(self.bytes(rows.len().div_ceil(width), width));
        for row in rows.chunks(width) {
            match (self, self.block(width)) {
                (Self::F32, _) => bytes.extend(row.iter().flat_map(|x| x.to_le_bytes())),
                (Self::F16, _) => encode_f16(row, &mut bytes),
                (Self::Linear8 | Self::Linear8Row, block) => {
                    for block in row.chunks(block.unwrap_or(width)) {
                        encode_linear(block, &mut bytes);
                    }
                },
                (Self::Dynamic8 | Self::Dynamic8Row, block) => {
                    for block in row.chunks(block.unwrap_or(width)) {
                        dynamic::encode(block, &mut bytes);
                    }
                },
            }
        }
        bytes
    }

    /// Row-major `rows × width` finite floats from exactly [`bytes`](Self::bytes) bytes.
    pub fn decode(self, bytes: &[u8], rows: usize, width: usize) -> Result<Vec<f32>, CodeError> {
        let expected = self.bytes(rows, width);
        if bytes.len() != expected || width == 0 {
            return Err(CodeError::Length {
                code: self,
                rows,
                width,
                expected,
                found: bytes.len(),
            });
        }
        let mut values = Vec::with_capacity(rows.saturating_mul(width));
        for row in bytes.chunks(self.bytes(1, width)) {
            match (self, self.block(width)) {
                (Self::F32, _) => values.extend(row.chunks_exact(4).filter_map(float)),
                (Self::F16, _) => decode_f16(row, &mut values)?,
                (Self::Linear8 | Self::Linear8Row, block) => {
                    for block in row.chunks(block.unwrap_or(width).saturating_add(SCALE)) {
                        decode_linear(self, block, &mut values)?;
                    }
                },
                (Self::Dynamic8 | Self::Dynamic8Row, block) => {
                    for block in row.chunks(block.unwrap_or(width).saturating_add(SCALE)) {
                        dynamic::decode(block, &mut values)?;
                    }
                },
            }
        }
        if values.iter().all(|x| x.is_finite()) {
            Ok(values)
        } else {
            Err(CodeError::NotFinite)
        }
    }

    /// The name.
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

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|code| code.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("no wire code is called {name:?} ({names})")
            })
    }
}

fn float(bytes: &[u8]) -> Option<f32> {
    Some(f32::from_le_bytes(bytes.try_into().ok()?))
}

/// The scale in front of a block, and the rest.
fn scaled(block: &[u8]) -> Result<(f32, &[u8]), CodeError> {
    block
        .split_at_checked(SCALE)
        .and_then(|(scale, codes)| Some((float(scale)?, codes)))
        .filter(|(scale, _)| scale.is_finite())
        .ok_or(CodeError::NotFinite)
}

/// The element of the largest magnitude, or one that is not a number.
fn peak(block: &[f32]) -> f32 {
    let mut peak = 0f32;
    for &x in block {
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

fn decode_f16(row: &[u8], values: &mut Vec<f32>) -> Result<(), CodeError> {
    let (&exponent, halves) = row.split_first().ok_or(CodeError::Unused(Code::F16))?;
    if exponent > MAX_EXPONENT {
        return Err(CodeError::Unused(Code::F16));
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

fn encode_linear(block: &[f32], bytes: &mut Vec<u8>) {
    let scale = peak(block).abs();
    bytes.extend(scale.to_le_bytes());
    bytes.extend(block.iter().map(|x| {
        // Saturates, and 0 / 0 gives 0.
        let q = (x / scale * 127.0).round() as i8;
        q.to_le_bytes()[0]
    }));
}

fn decode_linear(code: Code, block: &[u8], values: &mut Vec<f32>) -> Result<(), CodeError> {
    let (scale, codes) = scaled(block)?;
    if scale.is_sign_negative() || codes.contains(&i8::MIN.to_le_bytes()[0]) {
        return Err(CodeError::Unused(code));
    }
    values.extend(codes.iter().map(|&q| {
        let q = i8::from_le_bytes([q]);
        f32::from(q) / 127.0 * scale
    }));
    Ok(())
}
