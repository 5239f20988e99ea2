// SPDX-License-Identifier: Apache-2.0
//! The rows, the border and the signs that the draw of a case fixes, after all outputs are.

use core::ops::Range;
use starling_sketch::{Kind, Layout};

use crate::{hashing::hash, Digest};

const ROWS: &[u8] = b"starling/dispute-rows/1";
const BORDER: &[u8] = b"starling/dispute-border/1";
const SIGNS: &[u8] = b"starling/dispute-signs/1";

/// The layout of the sketches of a step of `rows` rows; `None` if it has none.
pub fn layout(rows: u32) -> Option<Layout> {
    Layout::largest(Kind::Span, usize::try_from(rows).ok()?)
}

/// The neighbouring rows of a step of `rows` rows that the sketches are of, counted in the step;
/// `None` if it has none.
pub fn rows(draw: &Digest, rows: u32) -> Option<Range<u32>> {
    let taken = u32::try_from(layout(rows)?.rows()).ok()?;
    let places = rows.checked_sub(taken)?.checked_add(1)?;
    let start = below(&hash(&(ROWS, draw)), places)?;
    Some(start..start.checked_add(taken)?)
}

/// The border of a model of `depth` layers, besides the ends of the span `layers`, at which each
/// executor shows rows of its own; `None` if the model has no other one.
pub fn border(draw: &Digest, layers: (u32, u32), depth: u32) -> Option<u32> {
    let is_free = |border: &u32| *border != layers.0 && *border != layers.1;
    let count = (1..=depth).filter(is_free).count();
    let chosen = below(&hash(&(BORDER, draw)), u32::try_from(count).ok()?)?;
    (1..=depth)
        .filter(is_free)
        .nth(usize::try_from(chosen).ok()?)
}

/// The seed of the signs of all sketches of the case.
pub fn signs(draw: &Digest) -> Digest {
    hash(&(SIGNS, draw))
}

/// A number below `bound`, from the first bytes of a hash; `None` if `bound` is 0.
fn below(hash: &Digest, bound: u32) -> Option<u32> {
    let bytes = hash.first_chunk::<8>()?;
    let number = u64::from_le_bytes(*bytes).checked_rem(bound.into())?;
    u32::try_from(number).ok()
}
