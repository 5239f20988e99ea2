// SPDX-License-Identifier: Apache-2.0
//! Digests of a sequence of rows.

use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

use crate::Digest;

/// The digests of a sequence of input rows: one for each position.
///
/// `d₀ = 0`, `dᵢ = SHA-256(dᵢ₋₁ ‖ row i as little-endian binary32)`. Rows are hashed as decoded. So
/// a sequence has the same digest in any wire format that it was decoded from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Vec<Digest>);

impl History {
    /// Appends row-major rows of `width`.
    pub fn push(&mut self, rows: &[f32], width: usize) {
        for row in rows.chunks_exact(width.max(1)) {
            let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
            self.push_row(&bytes);
        }
    }

    /// Appends a row by its bytes.
    pub fn push_row(&mut self, row: &[u8]) {
        let mut hash = Sha256::new_with_prefix(self.digest());
        hash.update(row);
        self.0.push(hash.finalize().into());
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no position.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all but the first `len` positions.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// The digest of the whole sequence.
    pub fn digest(&self) -> Digest {
        self.0.last().copied().unwrap_or_default()
    }

    /// The digest of the first `len` positions, if there are that many.
    pub fn digest_at(&self, len: usize) -> Option<Digest> {
        match len.checked_sub(1) {
            None => Some(Digest::default()),
            Some(last) => self.0.get(last).copied(),
        }
    }
}
