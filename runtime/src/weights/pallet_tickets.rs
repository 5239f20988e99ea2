// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_tickets`, measured by `scripts/weights`. Not to be edited by hand.
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

/// The weights of `pallet_tickets`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_tickets::WeightInfo for WeightInfo<T> {
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `Tickets::Accounts` (r:1 w:1)
    /// Proof: `Tickets::Accounts` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    fn buy() -> Weight {
        // Proof size in bytes, measured:  `6`
        // estimated: `3604`
        // Least execution time: 53_091_000 picoseconds.
        Weight::from_parts(55_424_000, 0)
            .saturating_add(Weight::from_parts(0, 3604))
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Tickets::Accounts` (r:1 w:1)
    /// Proof: `Tickets::Accounts` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    fn refund() -> Weight {
        // Proof size in bytes, measured:  `166`
        // estimated: `3604`
        // Least execution time: 49_410_000 picoseconds.
        Weight::from_parts(52_195_000, 0)
            .saturating_add(Weight::from_parts(0, 3604))
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
}
