// SPDX-License-Identifier: Apache-2.0
//! The signs of the projections (section 1, amendment B3).

use crate::Hash;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// Separates the seeds of answers from every other hash.
const DOMAIN: &[u8] = b"starling/sketch/v1";

/// The seed for the sketches of an answer: SHA-256("starling/sketch/v1" ‖ `model` ‖ `moment`).
///
/// `model` is the SHA-256 of the model file. `moment` is fixed no earlier than the request, so that
/// nobody can prepare rows for the signs: the hash of the request's block, or in a lane the bytes
/// that name its draw.
pub fn answer_seed(model: &Hash, moment: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(model);
    hasher.update(moment);
    hasher.finalize().into()
}

/// The signs of rows of some width: one for each of the 128 values and each column.
///
/// Value `k` of a sketch, counted over all rows, takes column `j` with the sign of bit `k` of
/// SHA-256(seed ‖ `j` as u32, low byte first). Bit `k` is bit `k mod 8`, from the least
/// significant, of byte `k / 8`. A bit that is set means −1. So each row has signs of its own,
/// whatever the number of rows is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs(Vec<u128>);

impl Signs {
    /// The signs that a seed gives for rows of `width` columns: a hash a column.
    pub fn new(seed: &Hash, width: u32) -> Self {
        let mut seeded = Sha256::new();
        seeded.update(seed);
        let column = |column: u32| {
            let mut hasher = seeded.clone();
            hasher.update(column.to_le_bytes());
            let hash: Hash = hasher.finalize().into();
            let (halves, _) = hash.as_chunks();
            halves
                .first()
                .map_or(0, |bytes: &[u8; 16]| u128::from_le_bytes(*bytes))
        };
        Self((0..width).map(column).collect())
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.0.len()
    }

    /// For each column the signs of the 128 values: the least significant bit is that of the first.
    pub fn columns(&self) -> &[u128] {
        &self.0
    }
}
