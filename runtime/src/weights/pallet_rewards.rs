// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_rewards`, measured by `scripts/weights`. Not to be edited by hand.
//!
//! frame-omni-bencher, frame-benchmarking-cli 64.0.0, 2026-11-22, CPU: Intel(R) Xeon(R) Processor
//! Steps: 20, repeats: 20, entries in a map at worst: 1000000

#![allow(
    clippy::unnecessary_cast,
    missing_docs,
    unused_parens,
    unused_variables
)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weights of `pallet_rewards`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_rewards::WeightInfo for WeightInfo<T> {
    /// Storage: `System::Account` (r:2 w:2)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn spend() -> Weight {
        // Proof size in bytes, measured:  `52`
        // estimated: `6196`
        // Least execution time: 51_973_000 picoseconds.
        Weight::from_parts(54_154_000, 0)
            .saturating_add(Weight::from_parts(0, 6196))
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
}
