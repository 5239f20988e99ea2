// SPDX-License-Identifier: Apache-2.0
//! Attention over a paged cache of f16 keys and values.
//!
//! In a page, the keys of a head are stored transposed, head width × 32 positions, so that a vector
//! holds one coordinate of 16 keys; the values are stored 32 positions × head width, so that a
//! vector holds 16 coordinates of one value. A position that a query may not see weighs exactly
//! zero, so a query's result does not depend on which other queries it is computed with.

use super::{
    element::{exp, soft_cap},
    isa::{Isa, LANES},
};

/// Positions in a page of the cache.
pub(crate) const PAGE: usize = 32;

/// The queries of one sequence that share a key-value head.
///
/// Query row `r` is token `r / group`, query head `r % group` of the group.
#[derive(Clone, Copy)]
pub(crate) struct Queries<'a> {
    /// First query head of token 0, rotated and scaled.
    pub queries: *const f32,
    /// Like `queries`, for the results.
    pub out: *mut f32,
    /// Elements between tokens of `queries`.
    pub stride: usize,
    /// Elements between tokens of `out`.
    pub out_stride: usize,
    /// Query heads of the key-value head.
    pub group: usize,
    /// Elements of a head, a multiple of 16.
    pub head_width: usize,
    /// Position of token 0.
    pub start: usize,
    /// Keys that a query sees, its own included; `usize::MAX`: all.
    pub window: usize,
    /// Scores are kept within ± this, by tanh.
    pub cap: Option<f32>,
    /// Pages of the sequence, from position 0 on.
    pub pages: &'a [*mut u16],
    /// Offset in a page of the keys of this head.
    pub keys: usize,
    /// Offset in a page of the values of this head.
    pub values: usize,
}

impl Queries<'_> {
    fn position(&self, row: usize) -> usize {
        self.start + row / self.group
    }

    /// First position that row `row` sees.
    fn first(&self, row: usize) -> usize {
        (self.position(row) + 1).saturating_sub(self.window)
    }

    /// First and one past the last page that rows `rows` see.
    fn pages_of(&self, rows: &std::ops::Range<usize>) -> (usize, usize) {
        (
            self.first(rows.start) / PAGE,
            self.position(rows.end - 1) / PAGE + 1,
        )
    }

    unsafe fn query(&self, row: usize) -> *const f32 {
        self.queries
            .add(row / self.group * self.stride + row % self.group * self.head_width)
    }

    unsafe fn result(&self, row: usize) -> *mut f32 {
        self.out
            .add(row / self.group * self.out_stride + row % self.group * self.head_width)
    }
}

/// Attends for query rows `rows`.
///
/// # Safety
/// All pointers are valid for those rows, every page up to their positions is there and written,
/// and `scratch` holds a float for every row and every position in those pages.
#[inline(always)]
pub(crate) unsafe fn attend<S: Isa>(
    q: &Queries<'_>,
    rows: std::ops::Range<usize>,
    scratch: *mut f32,
) {
    let (first, end) = q.pages_of(&rows);
    let pages = &q.pages[first..end];
    let n = pages.len() * PAGE;
    let scores = |row: usize| scratch.add((row - rows.start) * n);

    let mut row = rows.start;
    while row < rows.end {
        let left = (rows.end - row).min(S::ATTENTION_ROWS);
        row += match left {
            8.. => score::<S, 8>(q, row, pages, scores(row)),
            4.. => score::<S, 4>(q, row, pages, scores(row)),
            2.. => score::<S, 2>(q, row, pages, scores(row)),
            _ => score::<S, 1>(q, row, pages, scores(row)),
        };
    }
    if let Some(cap) = q.cap {
        soft_cap::<S>(scratch, cap, rows.len() * n);
    }
    for row in rows.clone() {
        let visible = q.first(row) - first * PAGE..q.position(row) + 1 - first * PAGE;
        softmax::<S>(scores(row), visible, n);
    }
    let mut row = rows.start;
    while row < rows.end {
        let left = (rows.end - row).min(S::ATTENTION_ROWS);
        row += match left {
            4.. => mix::<S, 4>(q, row, pages, scores(row)),
            2.. => mix::<S, 2>(q, row, pages, scores(row)),
            _ => mix::<S, 1>(q, row, pages, scores(row)),
        };
    }
}

/// Query · key of `ROWS` rows and all positions of `pages`.
#[inline(always)]
unsafe fn score<S: Isa, const ROWS: usize>(
    q: &Queries<'_>,
    row: usize,
    pages: &[*mut u16],
    scores: *mut f32,
) -> usize {
    let n = pages.len() * PAGE;
    let mut queries = [std::ptr::null(); ROWS];
    for (r, query) in queries.iter_mut().enumerate() {
        *query = q.query(row + r);
    }
    for (i, page) in pages.iter().enumerate() {
        let keys = page.add(q.keys);
        let mut sums = [[S::splat(0.0); 2]; ROWS];
        for coordinate in 0..q.head_width {
            let k = keys.add(coordinate * PAGE);
            let (low, high) = (S::load_f16(k), S::load_f16(k.add(LANES)));
            for (sums, query) in sums.iter_mut().zip(queries) {
                let query = S::splat(*query.add(coordinate));
                sums[0] = S::fma(query, low, sums[0]);
                sums[1] = S::fma(query, high, sums[1]);
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let out = scores.add(r * n + i * PAGE);
            S::store(out, sums[0]);
            S::store(out.add(LANES), sums[1]);
        }
    }
    ROWS
}

/// Softmax over the visible positions; the others become zero.
#[inline(always)]
unsafe fn softmax<S: Isa>(scores: *mut f32, visible: std::ops::Range<usize>, n: usize) {
    for i in (0..visible.start).chain(visible.end..n) {
        *scores.add(i) = f32::NEG_INFINITY;
    }
    let mut largest = S::splat(f32::NEG_INFINITY);
    for i in (0..n).step_by(LANES) {
        largest = S::max(largest, S::load(scores.add(i)));
    }
    let shift = S::splat(-S::largest(largest));
    let mut mass = S::splat(0.0);
    for i in (0..n).step_by(LANES) {
        let e = exp::<S>(S::add(S::load(scores.add(i)), shift));
        S::store(scores.add(i), e);
        mass = S::add(mass, e);
    }
    let inverse = S::splat(1.0 / S::sum(mass));
    for i in (0..n).step_by(LANES) {
        S::store(scores.add(i), S::mul(S::load(scores.add(i)), inverse));
    }
}

/// Σ weight · value of `ROWS` rows.
#[inline(always)]
unsafe fn mix<S: Isa, const ROWS: usize>(
    q: &Queries<'_>,
    row: usize,
    pages: &[*mut u16],
    weights: *const f32,
) -> usize {
    let mut first = 0;
    while first + 4 * LANES <= q.head_width {
        mix_columns::<S, ROWS, 4>(q, row, pages, weights, first);
        first += 4 * LANES;
    }
    while first < q.head_width {
        mix_columns::<S, ROWS, 1>(q, row, pages, weights, first);
        first += LANES;
    }
    ROWS
}

#[inline(always)]
unsafe fn mix_columns<S: Isa, const ROWS: usize, const VECTORS: usize>(
    q: &Queries<'_>,
    row: usize,
    pages: &[*mut u16],
    weights: *const f32,
    first: usize,
) {
    let n = pages.len() * PAGE;
    let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
    for (i, page) in pages.iter().enumerate() {
        let values = page.add(q.values + first);
        for position in 0..PAGE {
            let mut value = [S::splat(0.0); VECTORS];
            for (v, value) in value.iter_mut().enumerate() {
                *value = S::load_f16(values.add(position * q.head_width + v * LANES));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = S::splat(*weights.add(r * n + i * PAGE + position));
                for (sum, value) in sums.iter_mut().zip(value) {
                    *sum = S::fma(weight, value, *sum);
                }
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            S::store(q.result(row + r).add(first + v * LANES), sum);
        }
    }
}

/// Writes the key and the value of one head at slot `slot` of a page.
///
/// # Safety
/// `key` and `value` are valid for `head_width` floats; the page has the head at those offsets.
#[inline(always)]
pub(crate) unsafe fn remember<S: Isa>(
    key: *const f32,
    value: *const f32,
    head_width: usize,
    keys: *mut u16,
    values: *mut u16,
    slot: usize,
) {
    for i in (0..head_width).step_by(LANES) {
        let mut column = [0u16; LANES];
        S::store_f16(column.as_mut_ptr(), S::load(key.add(i)));
        for (lane, bits) in column.into_iter().enumerate() {
            *keys.add((i + lane) * PAGE + slot) = bits;
        }
        S::store_f16(values.add(slot * head_width + i), S::load(value.add(i)));
    }
}
