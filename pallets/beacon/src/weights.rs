// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls and hooks.
//!
//! A runtime uses the weights that `frame-omni-bencher` measured on it. The implementation for `()`
//! serves this pallet's own tests and was not measured.

use frame_support::weights::{constants::ParityDbWeight, RuntimeDbWeight, Weight};

/// The weights of this pallet's calls and hooks.
pub trait WeightInfo {
    /// The weight of `reveal`.
    fn reveal() -> Weight;
    /// The weight of the hooks at the beginning and at the end of a block.
    fn begin_and_end() -> Weight;
}

impl WeightInfo for () {
    /// A guess on the safe side: 5 ms.
    fn reveal() -> Weight {
        let database: RuntimeDbWeight = ParityDbWeight::get();
        Weight::from_parts(5_000_000_000, 10_000).saturating_add(database.reads_writes(4, 2))
    }

    /// A guess on the safe side: 0.1 ms.
    fn begin_and_end() -> Weight {
        let database: RuntimeDbWeight = ParityDbWeight::get();
        Weight::from_parts(100_000_000, 10_000).saturating_add(database.reads_writes(4, 2))
    }
}
