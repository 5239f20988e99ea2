// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls.
//!
//! A runtime uses its own. The implementation for `()` serves this pallet's own tests and was not
//! measured.

use frame_support::weights::Weight;

/// The weights of this pallet's calls.
pub trait WeightInfo {
    /// The weight of `set`.
    fn set() -> Weight;
}

impl WeightInfo for () {
    fn set() -> Weight {
        Weight::from_parts(20_000_000_000, 64 * 1024)
    }
}
