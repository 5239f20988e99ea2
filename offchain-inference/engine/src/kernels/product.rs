// SPDX-License-Identifier: Apache-2.0
//! Products of activations and weight panels.

use super::{
    isa::{Isa, LANES},
    matrix::{Bits, Float, Matrix, Weights, GROUP},
};

/// Rows of activations, as floats and quantised in groups of 32: `x ≈ scale · (q + r / 254)`,
/// −127 ≤ q, r ≤ 127, or without `r`.
#[derive(Clone, Copy)]
pub(crate) struct Activations {
    /// Elements of a row.
    pub columns: usize,
    /// rows × columns.
    pub floats: *mut f32,
    /// rows × columns.
    pub quants: *mut i8,
    /// rows × columns / 32.
    pub scales: *mut f32,
    /// −128 · Σ q of a group; rows × columns / 32.
    pub offsets: *mut i32,
    /// The rests of the quants, `r`: rows × columns; null if activations have eight bits.
    pub rests: *mut i8,
    /// −128 · Σ r of a group; rows × columns / 32.
    pub rest_offsets: *mut i32,
    /// scale · Σ(q + r / 254); rows × columns / 32.
    pub scaled_sums: *mut f32,
}

// SAFETY: pointers into buffers that outlive a pass; phases keep writers apart.
unsafe impl Send for Activations {}
// SAFETY: as above.
unsafe impl Sync for Activations {}

impl Activations {
    /// Rows of floats alone, for float matrices: their products read nothing else.
    pub fn of_floats(columns: usize, floats: *mut f32) -> Self {
        Self {
            columns,
            floats,
            quants: floats.cast(),
            scales: floats,
            offsets: floats.cast(),
            rests: std::ptr::null_mut(),
            rest_offsets: floats.cast(),
            scaled_sums: floats,
        }
    }

    /// Copies a row to row `at` of others of the same width.
    ///
    /// # Safety
    /// Both rows exist, and nobody else touches them.
    pub unsafe fn copy_row(self, row: usize, others: Self, at: usize) {
        let (from, to, groups) = (self.row(row), others.row(at), self.columns / GROUP);
        std::ptr::copy_nonoverlapping(from.floats, to.floats, self.columns);
        std::ptr::copy_nonoverlapping(from.quants, to.quants, self.columns);
        std::ptr::copy_nonoverlapping(from.scales, to.scales, groups);
        std::ptr::copy_nonoverlapping(from.offsets, to.offsets, groups);
        std::ptr::copy_nonoverlapping(from.scaled_sums, to.scaled_sums, groups);
        if !from.rests.is_null() {
            std::ptr::copy_nonoverlapping(from.rests, to.rests, self.columns);
            std::ptr::copy_nonoverlapping(from.rest_offsets, to.rest_offsets, groups);
        }
    }

    /// The rows from `row` on.
    ///
    /// # Safety
    /// That row exists.
    #[inline(always)]
    pub unsafe fn row(self, row: usize) -> Self {
        let groups = self.columns / GROUP;
        Self {
            columns: self.columns,
            floats: self.floats.add(row * self.columns),
            quants: self.quants.add(row * self.columns),
            scales: self.scales.add(row * groups),
            offsets: self.offsets.add(row * groups),
            rests: if self.rests.is_null() {
                self.rests
            } else {
                self.rests.add(row * self.columns)
            },
            rest_offsets: self.rest_offsets.add(row * groups),
            scaled_sums: self.scaled_sums.add(row * groups),
        }
    }
}

/// Destination of a product: row `r` of column `c` is at `data + r · stride + c`.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub data: *mut f32,
    pub stride: usize,
    /// Add to the values that are there.
    pub add: bool,
}

/// Quantises 32-column groups `groups` of one row from its floats.
///
/// # Safety
/// The row exists, and nobody else touches those groups.
#[inline(always)]
pub(crate) unsafe fn quantise<S: Isa>(x: Activations, row: usize, groups: std::ops::Range<usize>) {
    let x = x.row(row);
    for group in groups {
        let (low, high) = (
            x.floats.add(group * GROUP),
            x.floats.add(group * GROUP + LANES),
        );
        let (low, high) = (S::load(low), S::load(high));
        let largest = S::largest(S::max(S::abs(low), S::abs(high)));
        let scale = largest / 127.0;
        let inverse = S::splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
        // The limits only matter for NaN, and if 1/scale overflows.
        let limit = |x| S::max(S::min(x, S::splat(127.0)), S::splat(-127.0));
        let (low, high) = (limit(S::mul(low, inverse)), limit(S::mul(high, inverse)));
        let quants = (S::round(low), S::round(high));
        S::store_i8(x.quants.add(group * GROUP), quants.0);
        S::store_i8(x.quants.add(group * GROUP + LANES), quants.1);
        let mut sum = S::sum_i32(quants.0) + S::sum_i32(quants.1);
        *x.scales.add(group) = scale;
        *x.offsets.add(group) = -128 * sum;
        let mut scaled = scale * sum as f32;
        if !x.rests.is_null() {
            let rest = |x, q| S::round(S::mul(S::sub(x, S::float(q)), S::splat(REST)));
            let rests = (rest(low, quants.0), rest(high, quants.1));
            S::store_i8(x.rests.add(group * GROUP), rests.0);
            S::store_i8(x.rests.add(group * GROUP + LANES), rests.1);
            sum = S::sum_i32(rests.0) + S::sum_i32(rests.1);
            *x.rest_offsets.add(group) = -128 * sum;
            scaled = (scale / REST).mul_add(sum as f32, scaled);
        }
        *x.scaled_sums.add(group) = scaled;
    }
}

/// Steps of a rest in a step of a quant: a rest is at most half a step.
const REST: f32 = 254.0;

/// Multiplies panel `panel` with `rows` rows of activations.
///
/// # Safety
/// The activations have `rows` rows of `matrix.columns`, quantised where the matrix is an integer
/// one; the output has room for columns `16 · panel .. 16 · panel + 16` below `matrix.rows`.
#[inline(always)]
pub(crate) unsafe fn product<S: Isa>(
    matrix: &Matrix,
    panel: usize,
    x: Activations,
    rows: usize,
    out: Output,
) {
    let width = LANES.min(matrix.rows - panel * LANES);
    match &matrix.weights {
        Weights::Integer {
            bits,
            quants,
            scales,
            minimums,
        } => {
            let groups = matrix.columns / GROUP;
            let panel = IntegerPanel {
                quants: quants.as_ptr().add(panel * groups * bits.group_bytes()),
                scales: scales.as_ptr().add(panel * groups * LANES),
                minimums: minimums
                    .as_ref()
                    .map_or(std::ptr::null(), |m| m.as_ptr().add(panel * groups * LANES)),
                groups,
            };
            match (bits, minimums.is_some(), !x.rests.is_null()) {
                (Bits::Eight, false, false) => {
                    integer_rows::<S, true, false, false>(panel, x, rows, out, width)
                },
                (Bits::Eight, false, true) => {
                    integer_rows::<S, true, false, true>(panel, x, rows, out, width)
                },
                (Bits::Eight, true, false) => {
                    integer_rows::<S, true, true, false>(panel, x, rows, out, width)
                },
                (Bits::Eight, true, true) => {
                    integer_rows::<S, true, true, true>(panel, x, rows, out, width)
                },
                (Bits::Four, false, false) => {
                    integer_rows::<S, false, false, false>(panel, x, rows, out, width)
                },
                (Bits::Four, false, true) => {
                    integer_rows::<S, false, false, true>(panel, x, rows, out, width)
                },
                (Bits::Four, true, false) => {
                    integer_rows::<S, false, true, false>(panel, x, rows, out, width)
                },
                (Bits::Four, true, true) => {
                    integer_rows::<S, false, true, true>(panel, x, rows, out, width)
                },
            }
        },
        Weights::Float { float, data } => {
            let elements = panel * matrix.columns * LANES;
            match float {
                Float::F32 => {
                    float_rows::<S, F32>(data.as_ptr().add(4 * elements), x, rows, out, width)
                },
                Float::F16 => {
                    float_rows::<S, F16>(data.as_ptr().add(2 * elements), x, rows, out, width)
                },
                Float::Bf16 => {
                    float_rows::<S, Bf16>(data.as_ptr().add(2 * elements), x, rows, out, width)
                },
            }
        },
    }
}

#[derive(Clone, Copy)]
struct IntegerPanel {
    quants: *const u8,
    scales: *const u16,
    minimums: *const u16,
    groups: usize,
}

#[inline(always)]
unsafe fn integer_rows<S: Isa, const EIGHT: bool, const MINIMUM: bool, const RESTS: bool>(
    panel: IntegerPanel,
    x: Activations,
    rows: usize,
    out: Output,
    width: usize,
) {
    let mut row = 0;
    while row + 8 <= rows {
        integer_tile::<S, EIGHT, MINIMUM, RESTS, 8>(panel, x, row, out, width);
        row += 8;
    }
    if row + 4 <= rows {
        integer_tile::<S, EIGHT, MINIMUM, RESTS, 4>(panel, x, row, out, width);
        row += 4;
    }
    if row + 2 <= rows {
        integer_tile::<S, EIGHT, MINIMUM, RESTS, 2>(panel, x, row, out, width);
        row += 2;
    }
    if row < rows {
        integer_tile::<S, EIGHT, MINIMUM, RESTS, 1>(panel, x, row, out, width);
    }
}

/// Does the same for each row below `$rows`, at most 8, written out: in a loop, the compiler keeps
/// the rows' sums in memory.
macro_rules! each_row {
    ($rows:ident, |$r:ident| $body:expr) => {
        each_row!($rows, $r, $body, 0 1 2 3 4 5 6 7)
    };
    ($rows:ident, $r:ident, $body:expr, $($n:literal)*) => {
        $(
            if $n < $rows {
                let $r = $n;
                $body
            }
        )*
    };
}

/// Distance in bytes at which a single row, which waits for memory, prefetches weights.
const AHEAD: usize = 4096;

/// `ROWS` rows at once: every weight that is loaded (and unpacked) serves all of them.
#[inline(always)]
unsafe fn integer_tile<
    S: Isa,
    const EIGHT: bool,
    const MINIMUM: bool,
    const RESTS: bool,
    const ROWS: usize,
>(
    panel: IntegerPanel,
    x: Activations,
    row: usize,
    out: Output,
    width: usize,
) {
    let x = x.row(row);
    let groups = panel.groups;
    let mut sums = [S::splat(0.0); ROWS];
    for group in 0..groups {
        if ROWS == 1 {
            let size = if EIGHT { Bits::Eight } else { Bits::Four }.group_bytes();
            let p = panel.quants.wrapping_add(group * size + AHEAD);
            for line in 0..size / 64 {
                S::prefetch(p.wrapping_add(64 * line));
            }
        }
        let weights = if EIGHT {
            let p = panel.quants.add(group * Bits::Eight.group_bytes());
            [
                S::load_bytes(p),
                S::load_bytes(p.add(64)),
                S::load_bytes(p.add(128)),
                S::load_bytes(p.add(192)),
                S::load_bytes(p.add(256)),
                S::load_bytes(p.add(320)),
                S::load_bytes(p.add(384)),
                S::load_bytes(p.add(448)),
            ]
        } else {
            let p = panel.quants.add(group * Bits::Four.group_bytes());
            let (a, b) = (S::load_bytes(p), S::load_bytes(p.add(64)));
            let (c, d) = (S::load_bytes(p.add(128)), S::load_bytes(p.add(192)));
            [
                S::low_nibbles(a),
                S::low_nibbles(b),
                S::low_nibbles(c),
                S::low_nibbles(d),
                S::high_nibbles(a),
                S::high_nibbles(b),
                S::high_nibbles(c),
                S::high_nibbles(d),
            ]
        };
        let scales = S::load_f16(panel.scales.add(group * LANES));
        let minimums = if MINIMUM {
            S::load_f16(panel.minimums.add(group * LANES))
        } else {
            S::splat(0.0)
        };
        each_row!(ROWS, |r| {
            let at = r * groups + group;
            let (quants, offset) = (x.quants.add(at * GROUP), *x.offsets.add(at));
            let mut dot = integer_dot::<S, EIGHT, MINIMUM>(weights, quants, offset);
            if RESTS {
                let (rests, offset) = (x.rests.add(at * GROUP), *x.rest_offsets.add(at));
                let rest = integer_dot::<S, EIGHT, MINIMUM>(weights, rests, offset);
                dot = S::fma(rest, S::splat(1.0 / REST), dot);
            }
            let scales = S::mul(scales, S::splat(*x.scales.add(at)));
            sums[r] = S::fma(dot, scales, sums[r]);
            if MINIMUM {
                sums[r] = S::fma(minimums, S::splat(*x.scaled_sums.add(at)), sums[r]);
            }
        });
    }
    store::<S, ROWS>(sums, row, out, width);
}

/// Products of 32 activations and the weights of 16 rows; `offset` is −128 times the sum of the
/// activations.
#[inline(always)]
unsafe fn integer_dot<S: Isa, const EIGHT: bool, const MINIMUM: bool>(
    weights: [S::B; 8],
    x: *const i8,
    offset: i32,
) -> S::F {
    let mut dot = match (EIGHT, Bits::Four.zero(MINIMUM)) {
        (true, _) => S::start8(offset),
        (false, zero) => S::start4(zero, offset),
    };
    for (group, weights) in weights.into_iter().enumerate() {
        let x = x.add(4 * group);
        dot = if EIGHT {
            S::dot8(dot, weights, x)
        } else {
            S::dot4(dot, weights, x)
        };
    }
    S::float(dot)
}

/// Element of a float panel.
trait Element {
    const BYTES: usize;
    unsafe fn load<S: Isa>(p: *const u8) -> S::F;
}

struct F32;
struct F16;
struct Bf16;

impl Element for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    unsafe fn load<S: Isa>(p: *const u8) -> S::F {
        S::load(p.cast())
    }
}

impl Element for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn load<S: Isa>(p: *const u8) -> S::F {
        S::load_f16(p.cast())
    }
}

impl Element for Bf16 {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn load<S: Isa>(p: *const u8) -> S::F {
        S::load_bf16(p.cast())
    }
}

#[inline(always)]
unsafe fn float_rows<S: Isa, E: Element>(
    panel: *const u8,
    x: Activations,
    rows: usize,
    out: Output,
    width: usize,
) {
    let mut row = 0;
    while row + 8 <= rows {
        float_tile::<S, E, 8>(panel, x, row, out, width);
        row += 8;
    }
    while row < rows {
        float_tile::<S, E, 1>(panel, x, row, out, width);
        row += 1;
    }
}

/// Four partial sums, of every fourth column each, keep a single row from waiting for its adds.
const STRANDS: usize = 4;

#[inline(always)]
unsafe fn float_tile<S: Isa, E: Element, const ROWS: usize>(
    panel: *const u8,
    x: Activations,
    row: usize,
    out: Output,
    width: usize,
) {
    let columns = x.columns;
    let x = x.row(row);
    let load = |column: usize| E::load::<S>(panel.add(column * LANES * E::BYTES));
    let mut sums = [S::splat(0.0); ROWS];
    if ROWS == 1 {
        let mut strands = [S::splat(0.0); STRANDS];
        let whole = columns / STRANDS * STRANDS;
        for column in (0..whole).step_by(STRANDS) {
            for (i, strand) in strands.iter_mut().enumerate() {
                *strand = S::fma(
                    load(column + i),
                    S::splat(*x.floats.add(column + i)),
                    *strand,
                );
            }
        }
        for column in whole..columns {
            let strand = &mut strands[column % STRANDS];
            *strand = S::fma(load(column), S::splat(*x.floats.add(column)), *strand);
        }
        sums[0] = join::<S>(strands);
    } else {
        // A strand at a time, so that many rows round as one row does.
        let mut strands = [[S::splat(0.0); STRANDS]; ROWS];
        for i in 0..STRANDS {
            let mut partial = [S::splat(0.0); ROWS];
            for column in (i..columns).step_by(STRANDS) {
                let weights = load(column);
                for (r, partial) in partial.iter_mut().enumerate() {
                    *partial = S::fma(
                        weights,
                        S::splat(*x.floats.add(r * columns + column)),
                        *partial,
                    );
                }
            }
            for (strands, partial) in strands.iter_mut().zip(partial) {
                strands[i] = partial;
            }
        }
        for (sum, strands) in sums.iter_mut().zip(strands) {
            *sum = join::<S>(strands);
        }
    }
    store::<S, ROWS>(sums, row, out, width);
}

#[inline(always)]
unsafe fn join<S: Isa>(s: [S::F; STRANDS]) -> S::F {
    S::add(S::add(s[0], s[1]), S::add(s[2], s[3]))
}

/// Σ x · y over `n` elements, a multiple of 16.
///
/// # Safety
/// Both pointers are valid for `n` elements.
#[inline(always)]
pub(crate) unsafe fn dot<S: Isa>(x: *const f32, y: *const f32, n: usize) -> f32 {
    const STEP: usize = STRANDS * LANES;
    let mut strands = [S::splat(0.0); STRANDS];
    let whole = n / STEP * STEP;
    for first in (0..whole).step_by(STEP) {
        for (i, strand) in strands.iter_mut().enumerate() {
            let at = first + i * LANES;
            *strand = S::fma(S::load(x.add(at)), S::load(y.add(at)), *strand);
        }
    }
    for (strand, at) in strands.iter_mut().zip((whole..n).step_by(LANES)) {
        *strand = S::fma(S::load(x.add(at)), S::load(y.add(at)), *strand);
    }
    S::sum(join::<S>(strands))
}

#[inline(always)]
unsafe fn store<S: Isa, const ROWS: usize>(
    sums: [S::F; ROWS],
    row: usize,
    out: Output,
    width: usize,
) {
    for (r, sum) in sums.into_iter().enumerate() {
        let p = out.data.add((row + r) * out.stride);
        if width == LANES {
            S::store(
                p,
                if out.add {
                    S::add(S::load(p), sum)
                } else {
                    sum
                },
            );
        } else {
            let mut lanes = [0f32; LANES];
            S::store(lanes.as_mut_ptr(), sum);
            for (i, lane) in lanes.into_iter().take(width).enumerate() {
                *p.add(i) = if out.add { *p.add(i) + lane } else { lane };
            }
        }
    }
}
