// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_agents`, measured by `scripts/weights`. Not to be edited by hand, except
//! for additions that say that they are not measured yet.
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

/// The weights of `pallet_agents`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_agents::WeightInfo for WeightInfo<T> {
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::KeyOwner` (r:1 w:1)
    /// Proof: `Agents::KeyOwner` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Activations` (r:1 w:1)
    /// Proof: `Agents::Activations` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Agents::ActiveCount` (r:1 w:1)
    /// Proof: `Agents::ActiveCount` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    fn register() -> Weight {
        // Proof size in bytes, measured:  `12479`
        // estimated: `13775`
        // Least execution time: 182_322_000 picoseconds.
        Weight::from_parts(201_677_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(8_u64))
            .saturating_add(T::DbWeight::get().writes(7_u64))
            // Not measured yet: the growth of the bond.
            .saturating_add(T::DbWeight::get().reads_writes(1_u64, 1_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    fn bond_extra() -> Weight {
        // Proof size in bytes, measured:  `12714`
        // estimated: `13775`
        // Least execution time: 74_092_000 picoseconds.
        Weight::from_parts(79_752_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
            // Not measured yet: the growth of the bond.
            .saturating_add(T::DbWeight::get().reads_writes(1_u64, 1_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Unbonding` (r:1 w:1)
    /// Proof: `Agents::Unbonding` (`max_values`: None, `max_size`: Some(209), added: 2684, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    fn unbond() -> Weight {
        // Proof size in bytes, measured:  `12873`
        // estimated: `13775`
        // Least execution time: 36_855_000 picoseconds.
        Weight::from_parts(41_345_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
            // Not measured yet: the notice of an agent that is no longer active.
            .saturating_add(T::DbWeight::get().reads_writes(2_u64, 1_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Unbonding` (r:1 w:1)
    /// Proof: `Agents::Unbonding` (`max_values`: None, `max_size`: Some(209), added: 2684, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    fn withdraw_unbonded() -> Weight {
        // Proof size in bytes, measured:  `642`
        // estimated: `3722`
        // Least execution time: 63_079_000 picoseconds.
        Weight::from_parts(69_142_000, 0)
            .saturating_add(Weight::from_parts(0, 3722))
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::ActiveCount` (r:1 w:1)
    /// Proof: `Agents::ActiveCount` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    fn chill() -> Weight {
        // Proof size in bytes, measured:  `12659`
        // estimated: `13775`
        // Least execution time: 29_583_000 picoseconds.
        Weight::from_parts(33_908_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(3_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
            // Not measured yet: the notice of an agent that is no longer active.
            .saturating_add(T::DbWeight::get().reads_writes(2_u64, 1_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Activations` (r:1 w:1)
    /// Proof: `Agents::Activations` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Agents::ActiveCount` (r:1 w:1)
    /// Proof: `Agents::ActiveCount` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    fn unchill() -> Weight {
        // Proof size in bytes, measured:  `12651`
        // estimated: `13775`
        // Least execution time: 35_763_000 picoseconds.
        Weight::from_parts(41_666_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::KeyOwner` (r:1 w:1)
    /// Proof: `Agents::KeyOwner` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn rotate_key() -> Weight {
        // Proof size in bytes, measured:  `579`
        // estimated: `3722`
        // Least execution time: 127_272_000 picoseconds.
        Weight::from_parts(137_127_000, 0)
            .saturating_add(Weight::from_parts(0, 3722))
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(3_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    fn set_model() -> Weight {
        // Proof size in bytes, measured:  `353`
        // estimated: `3722`
        // Least execution time: 16_378_000 picoseconds.
        Weight::from_parts(20_000_000, 0)
            .saturating_add(Weight::from_parts(0, 3722))
            .saturating_add(T::DbWeight::get().reads(1_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Unbonding` (r:1 w:1)
    /// Proof: `Agents::Unbonding` (`max_values`: None, `max_size`: Some(209), added: 2684, mode: `MaxEncodedLen`)
    /// Storage: `Agents::ActiveCount` (r:1 w:1)
    /// Proof: `Agents::ActiveCount` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    fn deregister() -> Weight {
        // Proof size in bytes, measured:  `12873`
        // estimated: `13775`
        // Least execution time: 44_329_000 picoseconds.
        Weight::from_parts(50_333_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(4_u64))
            // Not measured yet: the notice of an agent that is no longer active, and the growth of its bond.
            .saturating_add(T::DbWeight::get().reads_writes(2_u64, 2_u64))
    }
    /// Storage: `Agents::Unbonding` (r:1 w:1)
    /// Proof: `Agents::Unbonding` (`max_values`: None, `max_size`: Some(209), added: 2684, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:1 w:1)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::ActiveCount` (r:1 w:1)
    /// Proof: `Agents::ActiveCount` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    fn slash() -> Weight {
        // Proof size in bytes, measured:  `13051`
        // estimated: `13775`
        // Least execution time: 84_825_000 picoseconds.
        Weight::from_parts(92_589_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(6_u64))
            .saturating_add(T::DbWeight::get().writes(6_u64))
            // Not measured yet: the notice of an agent that is no longer active, and the debt.
            .saturating_add(T::DbWeight::get().reads_writes(3_u64, 2_u64))
    }
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Candidates` (r:1 w:1)
    /// Proof: `Agents::Candidates` (`max_values`: Some(1), `max_size`: Some(12290), added: 12785, mode: `MaxEncodedLen`)
    fn enter() -> Weight {
        // Proof size in bytes, measured:  `12659`
        // estimated: `13775`
        // Least execution time: 31_536_000 picoseconds.
        Weight::from_parts(36_420_000, 0)
            .saturating_add(Weight::from_parts(0, 13775))
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(1_u64))
    }
}
