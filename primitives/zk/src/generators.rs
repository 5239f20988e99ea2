// SPDX-License-Identifier: Apache-2.0
//! The points of the group that commitments and proofs are over. Nobody knows how one of them
//! follows from others: each is a hash.

use alloc::vec::Vec;
use bulletproofs::{BulletproofGens, PedersenGens};
use curve25519_dalek::RistrettoPoint;
use sha2::Sha512;

use crate::{HIDDEN, WIDTH};

/// Bits of the values that the range proof is about.
pub(crate) const BITS: usize = 32;

/// The points, derived once.
///
/// - `F` and `B`, for values and for blinding: those of `bulletproofs`.
/// - For weights `G_i`, the hash to Ristretto of "starling/head/v1/weight" ‖ `i` as u16 by SHA-512.
/// - For the range proof of 2 · [`HIDDEN`] values of 32 bits: those of `bulletproofs`, which keeps
///   them to itself. So they are derived again in each runtime call.
pub struct Generators {
    pub(crate) values: PedersenGens,
    pub(crate) weights: Vec<RistrettoPoint>,
    pub(crate) range: BulletproofGens,
}

impl Generators {
    /// Derives them.
    pub fn new() -> Self {
        Self {
            values: PedersenGens::default(),
            weights: (0u16..).take(WIDTH).map(weight).collect(),
            range: BulletproofGens::new(BITS, HIDDEN.saturating_mul(2)),
        }
    }
}

impl Default for Generators {
    fn default() -> Self {
        Self::new()
    }
}

fn weight(index: u16) -> RistrettoPoint {
    let [low, high] = index.to_le_bytes();
    let mut input = b"starling/head/v1/weight".to_vec();
    input.extend([low, high]);
    RistrettoPoint::hash_from_bytes::<Sha512>(&input)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use sha2::{Digest, Sha256};

    use super::*;

    fn hash<'a>(points: impl IntoIterator<Item = &'a RistrettoPoint>) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for point in points {
            hasher.update(point.compress().as_bytes());
        }
        hasher.finalize().into()
    }

    // The figures are those of RFC 9496 in Python, from the text above and that of `bulletproofs`.
    #[test]
    fn generators_are_the_hashes_that_the_format_names() {
        let generators = Generators::new();
        assert_eq!(
            generators.weights.first().unwrap().compress().to_bytes(),
            hex!("4e375286abc8063adbb4ab5491ec95be2aab2a9abba8b7eda750b62f9c479753"),
        );
        assert_eq!(generators.weights.len(), WIDTH);
        assert_eq!(
            hash(&generators.weights),
            hex!("b7969bb9b21b52acb42b2a6a663dba7dd9e6609902ba8301275dde6583c6cd24"),
        );
        assert_eq!(
            generators.values.B_blinding.compress().to_bytes(),
            hex!("8c9240b456a9e6dc65c377a1048d745f94a08cdb7f44cbcd7b46f34048871134"),
        );
        let range = (0..2 * HIDDEN).flat_map(|value| generators.range.share(value).G(BITS));
        assert_eq!(
            hash(range),
            hex!("c241fdb0ce5fce80d91dd621bdcc3112abbc91bdcd376c61205acc33ff6d15ab"),
        );
    }
}
