// SPDX-License-Identifier: Apache-2.0
//! Weight matrices, repacked into panels of 16 rows.
//!
//! A product streams through a panel from front to back, so decoding reads memory in order, and a
//! vector holds the same column of 16 rows, so no sum crosses lanes.
//!
//! - *Integer panels* hold, for every group of 32 columns, 8 × 64 bytes (16 rows of 4 consecutive columns) in
//!   eight bits, or 4 × 64 bytes in four (low nibbles: the first 4 groups, high nibbles: the last 4),
//!   and an f16 scale a row and group; some formats have an f16 minimum too:
//!   `w = scale · (q − zero) + minimum`. Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K and Q8_0 fit exactly, but for the
//!   rounding of the K formats' scale products to f16; all others are quantised anew, to Q8_0.
//! - *Float panels* hold f32, f16 or bf16 column by column.

use candle_core::{
    quantized::{ggml_file::qtensor_from_ggml, GgmlDType},
    Device,
};
use half::f16;

use super::{
    buffer::{Arena, Buffer},
    isa::LANES,
};
use crate::{
    gguf::{Entry, TensorReader},
    Error, Result,
};

/// Columns that share a scale.
pub(crate) const GROUP: usize = 32;

/// Bits of an integer weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    Four,
    Eight,
}

impl Bits {
    /// The zero point, subtracted from a stored value.
    pub const fn zero(self, minimums: bool) -> i32 {
        match (self, minimums) {
            (Self::Eight, _) => 128,
            (Self::Four, true) => 0,
            (Self::Four, false) => 8,
        }
    }

    /// Bytes of a group of 16 rows.
    pub const fn group_bytes(self) -> usize {
        match self {
            Self::Four => LANES * GROUP / 2,
            Self::Eight => LANES * GROUP,
        }
    }
}

/// Floats of a float panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    F32,
    F16,
    Bf16,
}

pub(crate) enum Weights {
    Integer {
        bits: Bits,
        quants: Buffer<u8>,
        scales: Buffer<u16>,
        minimums: Option<Buffer<u16>>,
    },
    Float {
        float: Float,
        /// Raw little-endian elements.
        data: Buffer<u8>,
    },
}

/// `rows × columns` weights; a product maps `columns` inputs to `rows` outputs.
pub(crate) struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub weights: Weights,
}

/// The conversion of a format on disk to panels.
#[derive(Clone, Copy)]
enum Packing {
    Integer { bits: Bits, minimums: bool },
    Float(Float),
}

impl Packing {
    fn of(dtype: GgmlDType) -> Self {
        let integer = |bits, minimums| Self::Integer { bits, minimums };
        match dtype {
            GgmlDType::F32 => Self::Float(Float::F32),
            GgmlDType::F16 => Self::Float(Float::F16),
            GgmlDType::BF16 => Self::Float(Float::Bf16),
            GgmlDType::Q4_0 => integer(Bits::Four, false),
            GgmlDType::Q4_1 | GgmlDType::Q4K => integer(Bits::Four, true),
            GgmlDType::Q5_1 | GgmlDType::Q5K => integer(Bits::Eight, true),
            _ => integer(Bits::Eight, false),
        }
    }
}

/// One group of one row: `w = scale · q + minimum`, with the zero point already off 8-bit values.
struct Group {
    scale: f16,
    minimum: f16,
    quants: [i8; GROUP],
}

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

impl Matrix {
    /// Reads and repacks a tensor. `place` maps a row on disk to its row in the matrix.
    pub fn read(
        reader: &mut TensorReader,
        entry: &Entry,
        arena: &mut Arena,
        place: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        let mut matrix = Self::zeroed(entry, arena)?;
        let row_bytes = entry.row_bytes();
        let rows = (CHUNK / row_bytes).clamp(1, entry.rows);
        let mut chunk = Buffer::<u8>::zeroed(rows * row_bytes)?;
        let mut first = 0;
        while first < entry.rows {
            let rows = rows.min(entry.rows - first);
            let bytes = &mut chunk[..rows * row_bytes];
            reader.rows(entry, first, bytes)?;
            for (i, row) in bytes.chunks_exact(row_bytes).enumerate() {
                matrix.set_row(place(first + i), entry.dtype, row)?;
            }
            first += rows;
        }
        Ok(matrix)
    }

    /// A matrix of f32 from `rows × columns` values, row-major.
    pub fn of_floats(rows: usize, columns: usize, values: &[f32]) -> Result<Self> {
        let overflow = || Error::Shape(format!("no matrix of {rows} × {columns}"));
        if rows.checked_mul(columns) != Some(values.len()) || columns == 0 {
            return Err(overflow());
        }
        let bytes = rows
            .checked_next_multiple_of(LANES)
            .and_then(|rows| rows.checked_mul(columns)?.checked_mul(size_of::<f32>()));
        let mut matrix = Self {
            rows,
            columns,
            weights: Weights::Float {
                float: Float::F32,
                data: Buffer::zeroed(bytes.ok_or_else(overflow)?)?,
            },
        };
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            matrix.set_row(row, GgmlDType::F32, &bytes)?;
        }
        Ok(matrix)
    }

    fn zeroed(entry: &Entry, arena: &mut Arena) -> Result<Self> {
        let panels = entry.rows.div_ceil(LANES);
        let weights = match Packing::of(entry.dtype) {
            Packing::Integer { bits, minimums } => {
                if !entry.columns.is_multiple_of(GROUP) {
                    return Err(Error::Unsupported(format!(
                        "{} has rows of {}, not a multiple of {GROUP}",
                        entry.name, entry.columns
                    )));
                }
                let groups = panels * (entry.columns / GROUP);
                Weights::Integer {
                    bits,
                    quants: arena.zeroed(groups * bits.group_bytes())?,
                    scales: arena.zeroed(groups * LANES)?,
                    minimums: minimums.then(|| arena.zeroed(groups * LANES)).transpose()?,
                }
            },
            Packing::Float(float) => {
                let size = if float == Float::F32 { 4 } else { 2 };
                let data = arena.zeroed(panels * LANES * entry.columns * size)?;
                Weights::Float { float, data }
            },
        };
        Ok(Self {
            rows: entry.rows,
            columns: entry.columns,
            weights,
        })
    }

    fn set_row(&mut self, row: usize, dtype: GgmlDType, bytes: &[u8]) -> Result<()> {
        let (panel, lane) = (row / LANES, row % LANES);
        let columns = self.columns;
        match &mut self.weights {
            Weights::Float { data, .. } => {
                let size = bytes.len() / columns;
                for (column, bytes) in bytes.chunks_exact(size).enumerate() {
                    let at = ((panel * columns + column) * LANES + lane) * size;
                    data[at..at + size].copy_from_slice(bytes);
                }
            },
            Weights::Integer {
                bits,
                quants,
                scales,
                minimums,
                ..
            } => {
                let first = panel * (columns / GROUP);
                let bits = *bits;
                for_each_group(dtype, bytes, columns, |i, group| {
                    let at = (first + i) * LANES + lane;
                    scales[at] = group.scale.to_bits();
                    if let Some(minimums) = minimums {
                        minimums[at] = group.minimum.to_bits();
                    }
                    let size = bits.group_bytes();
                    let out = &mut quants[(first + i) * size..][..size];
                    for (column, q) in group.quants.iter().enumerate() {
                        let at = |quad| quad * 4 * LANES + lane * 4 + column % 4;
                        match (bits, column / 4) {
                            (Bits::Eight, quad) => out[at(quad)] = (*q as u8) ^ 128,
                            (Bits::Four, quad @ 0..4) => out[at(quad)] |= *q as u8,
                            (Bits::Four, quad) => out[at(quad - 4)] |= (*q as u8) << 4,
                        }
                    }
                })?;
            },
        }
        Ok(())
    }

    /// Panels of 16 rows, the last one padded with zeros.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(LANES)
    }

    /// True if products take quantised activations.
    pub fn is_integer(&self) -> bool {
        matches!(self.weights, Weights::Integer { .. })
    }

    /// Writes row `row` as floats, each times `factor`.
    pub fn row(&self, row: usize, factor: f32, out: &mut [f32]) {
        let (panel, lane) = (row / LANES, row % LANES);
        let columns = self.columns;
        match &self.weights {
            Weights::Float { float, data } => {
                for (column, out) in out.iter_mut().enumerate() {
                    let at = (panel * columns + column) * LANES + lane;
                    let two = || u16::from_le_bytes([data[2 * at], data[2 * at + 1]]);
                    *out = factor
                        * match float {
                            Float::F32 => f32::from_le_bytes([
                                data[4 * at],
                                data[4 * at + 1],
                                data[4 * at + 2],
                                data[4 * at + 3],
                            ]),
                            Float::F16 => f16::from_bits(two()).to_f32(),
                            Float::Bf16 => half::bf16::from_bits(two()).to_f32(),
                        };
                }
            },
            Weights::Integer {
                bits,
                quants,
                scales,
                minimums,
            } => {
                let zero = bits.zero(minimums.is_some());
                for (column, out) in out.iter_mut().enumerate() {
                    let group = panel * (columns / GROUP) + column / GROUP;
                    let (quad, byte) = (column % GROUP / 4, lane * 4 + column % 4);
                    let at = |quad| quants[group * bits.group_bytes() + quad * 4 * LANES + byte];
                    let q = match (bits, quad) {
                        (Bits::Eight, quad) => at(quad),
                        (Bits::Four, quad @ 0..4) => at(quad) & 15,
                        (Bits::Four, quad) => at(quad - 4) >> 4,
                    } as i32
                        - zero;
                    let float = |x: &Buffer<u16>| f16::from_bits(x[group * LANES + lane]).to_f32();
                    let minimum = minimums.as_ref().map_or(0.0, float);
                    *out = factor * (float(scales) * q as f32 + minimum);
                }
            },
        }
    }
}

/// Calls `f` with each group of a row of `columns` weights.
fn for_each_group(
    dtype: GgmlDType,
    bytes: &[u8],
    columns: usize,
    mut f: impl FnMut(usize, Group),
) -> Result<()> {
    let half_at = |b: &[u8], at: usize| f16::from_le_bytes([b[at], b[at + 1]]);
    let pieces = bytes.chunks_exact(dtype.type_size()).enumerate();
    match dtype {
        GgmlDType::Q8_0 => {
            for (i, b) in pieces {
                let mut quants = [0; GROUP];
                for (q, b) in quants.iter_mut().zip(&b[2..]) {
                    *q = *b as i8;
                }
                f(
                    i,
                    Group {
                        scale: half_at(b, 0),
                        minimum: f16::ZERO,
                        quants,
                    },
                );
            }
        },
        GgmlDType::Q4_0 | GgmlDType::Q4_1 => {
            let minimums = dtype == GgmlDType::Q4_1;
            for (i, b) in pieces {
                let (minimum, b4) = if minimums {
                    (half_at(b, 2), &b[4..])
                } else {
                    (f16::ZERO, &b[2..])
                };
                f(
                    i,
                    Group {
                        scale: half_at(b, 0),
                        minimum,
                        quants: nibbles(b4),
                    },
                );
            }
        },
        GgmlDType::Q5_0 | GgmlDType::Q5_1 => {
            let minimums = dtype == GgmlDType::Q5_1;
            for (i, b) in pieces {
                let (minimum, b) = if minimums {
                    (half_at(b, 2), b)
                } else {
                    (f16::ZERO, b)
                };
                let at = if minimums { 4 } else { 2 };
                let high = u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
                let mut quants = nibbles(&b[at + 4..]);
                for (column, q) in quants.iter_mut().enumerate() {
                    *q |= ((high >> column & 1) as i8) << 4;
                    *q -= if minimums { 0 } else { 16 };
                }
                f(
                    i,
                    Group {
                        scale: half_at(b, 0),
                        minimum,
                        quants,
                    },
                );
            }
        },
        GgmlDType::Q4K | GgmlDType::Q5K => {
            for (i, b) in pieces {
                super_group(dtype, b, |sub, group| f(8 * i + sub, group));
            }
        },
        _ => {
            let values = qtensor_from_ggml(dtype, bytes, vec![columns], &Device::Cpu)?
                .dequantize(&Device::Cpu)?
                .to_vec1::<f32>()?;
            for (i, values) in values.chunks_exact(GROUP).enumerate() {
                f(i, quantise(values));
            }
        },
    }
    Ok(())
}

/// 32 nibbles: the low ones come first.
fn nibbles(bytes: &[u8]) -> [i8; GROUP] {
    let mut quants = [0; GROUP];
    let (low, high) = quants.split_at_mut(GROUP / 2);
    for ((low, high), b) in low.iter_mut().zip(high).zip(bytes) {
        *low = (b & 15) as i8;
        *high = (b >> 4) as i8;
    }
    quants
}

/// Q4_K and Q5_K: 256 weights; eight 6-bit scales and minimums times an f16 each.
fn super_group(dtype: GgmlDType, b: &[u8], mut f: impl FnMut(usize, Group)) {
    let half_at = |at: usize| f16::from_le_bytes([b[at], b[at + 1]]).to_f32();
    let (scale, minimum, packed) = (half_at(0), half_at(2), &b[4..16]);
    let five = dtype == GgmlDType::Q5K;
    let (high, low) = if five {
        (&b[16..48], &b[48..])
    } else {
        (&b[..0], &b[16..])
    };
    for sub in 0..8 {
        let (s, m) = if sub < 4 {
            (packed[sub] & 63, packed[sub + 4] & 63)
        } else {
            (
                packed[sub + 4] & 15 | packed[sub - 4] >> 6 << 4,
                packed[sub + 4] >> 4 | packed[sub] >> 6 << 4,
            )
        };
        let mut quants = [0; GROUP];
        for (column, q) in quants.iter_mut().enumerate() {
            let pair = low[sub / 2 * GROUP + column];
            *q = if sub % 2 == 0 { pair & 15 } else { pair >> 4 } as i8;
            if five {
                *q |= ((high[column] >> sub & 1) as i8) << 4;
            }
        }
        let scale = f16::from_f32(scale * s as f32);
        f(
            sub,
            Group {
                scale,
                minimum: f16::from_f32(-minimum * m as f32),
                quants,
            },
        );
    }
}

/// Q8_0 of 32 floats.
fn quantise(values: &[f32]) -> Group {
    let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let mut quants = [0; GROUP];
    for (q, v) in quants.iter_mut().zip(values) {
        *q = (v * inverse).round() as i8;
    }
    Group {
        scale: f16::from_f32(scale),
        minimum: f16::ZERO,
        quants,
    }
}
