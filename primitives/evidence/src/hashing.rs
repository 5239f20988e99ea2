// SPDX-License-Identifier: Apache-2.0
//! BLAKE2b, as the chain uses it.

use blake2::{
    digest::{consts::U32, Digest as _},
    Blake2b,
};
use codec::Encode;

use crate::Digest;

/// `BLAKE2b-256` of the encoded value. A tuple begins with its domain.
pub(crate) fn hash(value: &impl Encode) -> Digest {
    Blake2b::<U32>::digest(value.encode()).into()
}
