// SPDX-License-Identifier: Apache-2.0
//! Points and keys of Ristretto.

// Nothing overflows or panics in a group.
#![allow(clippy::arithmetic_side_effects)]

use curve25519_dalek::{
    ristretto::CompressedRistretto, traits::IsIdentity, RistrettoPoint, Scalar,
};

/// A point in its 32 bytes.
pub type Point = [u8; 32];

/// The secret with which a member decrypts its shares. It lives for one epoch.
pub struct DecryptionKey(pub(crate) Scalar);

impl DecryptionKey {
    /// The key that follows from 64 fresh random bytes.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        Self(Scalar::from_bytes_mod_order_wide(bytes))
    }

    /// The public key, which others encrypt shares to.
    pub fn public(&self) -> Point {
        base(&self.0)
    }
}

/// Whether shares can be encrypted to this public key.
pub fn is_point(point: &Point) -> bool {
    decompress(point).is_some()
}

/// The point of these bytes, if they are one and it is not the neutral one.
pub(crate) fn decompress(point: &Point) -> Option<RistrettoPoint> {
    CompressedRistretto(*point)
        .decompress()
        .filter(|point| !point.is_identity())
}

/// `scalar · G`.
pub(crate) fn base(scalar: &Scalar) -> Point {
    RistrettoPoint::mul_base(scalar).compress().to_bytes()
}

/// `scalar · point`.
pub(crate) fn times(point: &RistrettoPoint, scalar: &Scalar) -> Point {
    (point * scalar).compress().to_bytes()
}

/// `nonce + challenge · secret`.
pub(crate) fn respond(nonce: &Scalar, challenge: &Scalar, secret: &Scalar) -> Scalar {
    nonce + challenge * secret
}

/// `response · from − challenge · to`; `from` is `G` if it is not given.
pub(crate) fn commit(
    response: &Scalar,
    from: Option<&RistrettoPoint>,
    challenge: &Scalar,
    to: &RistrettoPoint,
) -> Point {
    let first = match from {
        Some(point) => point * response,
        None => RistrettoPoint::mul_base(response),
    };
    (first - to * challenge).compress().to_bytes()
}
