// SPDX-License-Identifier: Apache-2.0
//! Sketches of rows of floats (section 1).
//!
//! Two machines that make sketches of the same floats may differ in the last unit of a value: the
//! logarithm is the platform's. Sketches are compared by their distance, never by their bits.

use crate::{layout::chunks, signs::Signs, sketch::VALUES, Kind, Layout, Sketch};
use alloc::vec::Vec;

/// Units of a projection of hidden states, and of a level.
const UNIT: f64 = 1024.0;

/// Units of a projection of distributions.
const DISTRIBUTION_UNIT: f64 = 4096.0;

/// The most by which the probabilities of a row may miss 1 together: those of float kernels do.
const MASS_ERROR: f64 = 1.0 / 256.0;

/// Refuses rows that no sketch can be of. Rows are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSketch {
    /// The floats are not the rows of the layout.
    #[error("{floats} floats are not {rows} rows of {width}; pass whole rows of the signs' width")]
    Shape {
        /// Floats that were given.
        floats: usize,
        /// Rows of the layout.
        rows: usize,
        /// Columns of the signs.
        width: usize,
    },
    /// A value is infinite or not a number.
    #[error("row {0} holds a value that is not finite; compute the row again")]
    NotFinite(usize),
    /// All values of a row are zero.
    #[error("row {0} holds zeros alone; compute the row again")]
    Zero(usize),
    /// A row of probabilities is negative somewhere, or does not add up to 1.
    #[error("row {0} is not a distribution; pass probabilities over the whole vocabulary")]
    NotADistribution(usize),
}

/// The sketch of rows: `layout.rows()` rows of `signs.width()` floats, one after the other. Rows of
/// a distribution are probabilities over the vocabulary.
///
/// # Errors
/// [`BadSketch`] for rows that are not finite, zero, of another shape, or no distributions.
pub fn make(layout: Layout, signs: &Signs, rows: &[f32]) -> Result<Sketch, BadSketch> {
    let width = signs.width();
    if width == 0 || layout.rows().checked_mul(width) != Some(rows.len()) {
        return Err(BadSketch::Shape {
            floats: rows.len(),
            rows: layout.rows(),
            width,
        });
    }
    let mut values = [0; VALUES];
    let mut first = 0u32;
    let places = values.chunks_mut(layout.values());
    for (number, (row, values)) in rows.chunks(width).zip(places).enumerate() {
        if !row.iter().all(|x| x.is_finite()) {
            return Err(BadSketch::NotFinite(number));
        }
        let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        if squares == 0.0 {
            return Err(BadSketch::Zero(number));
        }
        let (projections, level) = values
            .split_at_mut_checked(layout.projections())
            .unwrap_or_default();
        match layout.kind() {
            Kind::Answer | Kind::Span => {
                // rms(x) · √w = √Σx².
                let scale = UNIT / squares.sqrt();
                let row = row.iter().map(|&x| f64::from(x));
                project(signs, first, row, scale, projections);
            },
            Kind::Distribution => {
                let mass: f64 = row.iter().map(|&p| f64::from(p)).sum();
                if row.iter().any(|&p| p < 0.0) || (mass - 1.0).abs() > MASS_ERROR {
                    return Err(BadSketch::NotADistribution(number));
                }
                let row = row.iter().map(|&p| f64::from(p).sqrt());
                project(signs, first, row, DISTRIBUTION_UNIT, projections);
            },
        }
        for level in level {
            // log2 rms(x) = ½ · log2(Σx² / w).
            *level = stored((squares / width as f64).log2() / 2.0 * UNIT);
        }
        first = first.saturating_add(layout.values() as u32);
    }
    Ok(Sketch::new(values))
}

/// The sketches of an answer's chunks: `rows` are those from which its tokens followed, behind the
/// final norm, of `signs.width()` floats each. Rows in errors are counted from each chunk's first.
///
/// # Errors
/// [`BadSketch`] for no rows, and for rows that are not finite, zero, or of another width.
pub fn answer(signs: &Signs, rows: &[f32]) -> Result<Vec<Sketch>, BadSketch> {
    let width = signs.width();
    let positions = rows.len().checked_div(width).unwrap_or(0);
    let shape = BadSketch::Shape {
        floats: rows.len(),
        rows: positions,
        width,
    };
    let counted = u32::try_from(positions).map_err(|_| shape)?;
    if counted == 0 || positions.checked_mul(width) != Some(rows.len()) {
        return Err(shape);
    }
    let place = |row: u32| usize::try_from(row).ok()?.checked_mul(width);
    let sketch = |chunk: core::ops::Range<u32>| {
        let layout = Layout::largest(Kind::Answer, chunk.len()).ok_or(shape)?;
        let (start, end) = place(chunk.start).zip(place(chunk.end)).ok_or(shape)?;
        make(layout, signs, rows.get(start..end).ok_or(shape)?)
    };
    chunks(counted).map(sketch).collect()
}

/// The sums of a row with the signs of the values from `first` on, in units of 1 / `scale`.
fn project(signs: &Signs, first: u32, row: impl Iterator<Item = f64>, scale: f64, out: &mut [i16]) {
    let mut sums = [0f64; VALUES];
    let (sums, _) = sums.split_at_mut_checked(out.len()).unwrap_or_default();
    for (x, column) in row.zip(signs.columns()) {
        let mut bits = column.checked_shr(first).unwrap_or(0);
        for sum in &mut *sums {
            // Turns the sign of `x` where the bit is set.
            *sum += f64::from_bits(x.to_bits() ^ (((bits & 1) as u64) << 63));
            bits >>= 1;
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = stored(*sum * scale);
    }
}

/// To the nearest integer that fits.
fn stored(value: f64) -> i16 {
    // The cast clamps.
    value.round() as i16
}
