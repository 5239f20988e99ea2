// SPDX-License-Identifier: Apache-2.0
//! BLAKE2b, as the chain uses it, and streams of secrets from it.

use blake2::{
    digest::{consts::U32, Digest},
    Blake2b, Blake2b512,
};
use codec::Encode;

use crate::Hash;

/// `BLAKE2b-256` of the encoded value. A tuple begins with its domain.
pub fn hash(value: &impl Encode) -> Hash {
    Blake2b::<U32>::digest(value.encode()).into()
}

/// `BLAKE2b-512` of the encoded value.
pub fn wide(value: &impl Encode) -> [u8; 64] {
    Blake2b512::digest(value.encode()).into()
}
