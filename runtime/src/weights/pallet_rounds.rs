// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_rounds`, measured by `scripts/weights`. Not to be edited by hand, except
//! for additions that say that they are not measured yet.
//!
//! frame-omni-bencher, frame-benchmarking-cli 64.0.0, 2026-11-22, CPU: Intel(R) Xeon(R) Processor
//! Steps: 12, repeats: 8, entries in a map at worst: 1000000

#![allow(
    clippy::unnecessary_cast,
    missing_docs,
    unused_parens,
    unused_variables
)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weights of `pallet_rounds`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_rounds::WeightInfo for WeightInfo<T> {
    /// Storage: `Rounds::EndedQueue` (r:1 w:0)
    /// Proof: `Rounds::EndedQueue` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Agenda` (r:1 w:1)
    /// Proof: `Rounds::Agenda` (`max_values`: Some(1), `max_size`: Some(1346), added: 1841, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::NextRound` (r:1 w:1)
    /// Proof: `Rounds::NextRound` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Agents::ActiveCount` (r:1 w:0)
    /// Proof: `Agents::ActiveCount` (`max_values`: Some(1), `max_size`: Some(4), added: 499, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Activations` (r:1 w:0)
    /// Proof: `Agents::Activations` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::CommittingRounds` (r:1 w:1)
    /// Proof: `Rounds::CommittingRounds` (`max_values`: Some(1), `max_size`: Some(514), added: 1009, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Undrawn` (r:1 w:1)
    /// Proof: `Rounds::Undrawn` (`max_values`: Some(1), `max_size`: Some(514), added: 1009, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Prompts` (r:0 w:1)
    /// Proof: `Rounds::Prompts` (`max_values`: None, `max_size`: Some(4114), added: 6589, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Rounds` (r:0 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// The range of component `p` is `[1, 4096]`.
    fn request(p: u32) -> Weight {
        // Proof size in bytes, measured:  `6`
        // estimated: `3604`
        // Least execution time: 130_043_000 picoseconds.
        Weight::from_parts(135_817_472, 0)
			.saturating_add(Weight::from_parts(0, 3604))
			// Standard error: 11
			.saturating_add(Weight::from_parts(666, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(8_u64))
			.saturating_add(T::DbWeight::get().writes(7_u64))
			// Not measured yet: the price of the slot and the count of the requester's rounds (5
			// accesses), and for an offer that takes the slot of another one the reads of at most 64
			// rounds and the end of a round without agents.
			.saturating_add(T::DbWeight::get().reads_writes(5_u64, 5_u64))
			.saturating_add(T::DbWeight::get().reads(64_u64))
			.saturating_add(Self::begin_revealing(0))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:2)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Absent` (r:1 w:1)
    /// Proof: `Rounds::Absent` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:2 w:2)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Tickets::Accounts` (r:2 w:2)
    /// Proof: `Tickets::Accounts` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Draws` (r:1 w:2)
    /// Proof: `Rounds::Draws` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Sealed` (r:0 w:2)
    /// Proof: `Rounds::Sealed` (`max_values`: None, `max_size`: Some(4178), added: 6653, mode: `MaxEncodedLen`)
    /// The range of component `b` is `[17, 4112]`.
    fn commit(b: u32) -> Weight {
        // Proof size in bytes, measured:  `1489`
        // estimated: `6454`
        // Least execution time: 110_382_000 picoseconds.
        Weight::from_parts(122_759_502, 0)
			.saturating_add(Weight::from_parts(0, 6454))
			// Standard error: 105
			.saturating_add(Weight::from_parts(555, 0).saturating_mul(b.into()))
			.saturating_add(T::DbWeight::get().reads(8_u64))
			.saturating_add(T::DbWeight::get().writes(12_u64))
			// Not measured yet: the growth of the bond, and the record of answers (`Ratings::Qualities`,
			// at most 56 bytes).
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(Weight::from_parts(0, 2531))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:0)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Absent` (r:1 w:0)
    /// Proof: `Rounds::Absent` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Tickets::Accounts` (r:1 w:0)
    /// Proof: `Tickets::Accounts` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Draws` (r:1 w:0)
    /// Proof: `Rounds::Draws` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// The range of component `b` is `[17, 4112]`.
    fn authorize_commit(b: u32) -> Weight {
        // Proof size in bytes, measured:  `1290`
        // estimated: `3783`
        // Least execution time: 116_304_000 picoseconds.
        Weight::from_parts(124_533_170, 0)
			.saturating_add(Weight::from_parts(0, 3783))
			// Standard error: 96
			.saturating_add(Weight::from_parts(1_855, 0).saturating_mul(b.into()))
			.saturating_add(T::DbWeight::get().reads(7_u64))
			// Not measured yet: the growth of the bond, and the record of answers (`Ratings::Qualities`,
			// at most 56 bytes).
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(Weight::from_parts(0, 2531))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Absent` (r:1 w:1)
    /// Proof: `Rounds::Absent` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    fn pass() -> Weight {
        // Proof size in bytes, measured:  `633`
        // estimated: `3783`
        // Least execution time: 34_874_000 picoseconds.
        Weight::from_parts(41_006_000, 0)
            .saturating_add(Weight::from_parts(0, 3783))
            .saturating_add(T::DbWeight::get().reads(4_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:0)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Absent` (r:1 w:0)
    /// Proof: `Rounds::Absent` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    fn authorize_pass() -> Weight {
        // Proof size in bytes, measured:  `687`
        // estimated: `3783`
        // Least execution time: 82_701_000 picoseconds.
        Weight::from_parts(93_186_000, 0)
            .saturating_add(Weight::from_parts(0, 3783))
            .saturating_add(T::DbWeight::get().reads(5_u64))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:1)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Sealed` (r:1 w:1)
    /// Proof: `Rounds::Sealed` (`max_values`: None, `max_size`: Some(4178), added: 6653, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Responses` (r:0 w:1)
    /// Proof: `Rounds::Responses` (`max_values`: None, `max_size`: Some(4162), added: 6637, mode: `MaxEncodedLen`)
    /// The range of component `b` is `[1, 4096]`.
    fn reveal(b: u32) -> Weight {
        // Proof size in bytes, measured:  `575 + b * (1 ±0)`
        // estimated: `7643`
        // Least execution time: 49_922_000 picoseconds.
        Weight::from_parts(56_049_167, 0)
			.saturating_add(Weight::from_parts(0, 7643))
			// Standard error: 65
			.saturating_add(Weight::from_parts(5_133, 0).saturating_mul(b.into()))
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:0)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    fn authorize_reveal() -> Weight {
        // Proof size in bytes, measured:  `852`
        // estimated: `3783`
        // Least execution time: 87_072_000 picoseconds.
        Weight::from_parts(93_496_000, 0)
            .saturating_add(Weight::from_parts(0, 3783))
            .saturating_add(T::DbWeight::get().reads(4_u64))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:1)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    fn commit_scores() -> Weight {
        // Proof size in bytes, measured:  `492`
        // estimated: `3783`
        // Least execution time: 28_289_000 picoseconds.
        Weight::from_parts(32_183_000, 0)
            .saturating_add(Weight::from_parts(0, 3783))
            .saturating_add(T::DbWeight::get().reads(2_u64))
            .saturating_add(T::DbWeight::get().writes(2_u64))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:0)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    fn authorize_commit_scores() -> Weight {
        // Proof size in bytes, measured:  `935`
        // estimated: `3783`
        // Least execution time: 85_876_000 picoseconds.
        Weight::from_parts(91_757_000, 0)
            .saturating_add(Weight::from_parts(0, 3783))
            .saturating_add(T::DbWeight::get().reads(4_u64))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:1)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Entries` (r:16 w:16)
    /// Proof: `Rounds::Entries` (`max_values`: None, `max_size`: Some(98), added: 2573, mode: `MaxEncodedLen`)
    /// The range of component `k` is `[1, 16]`.
    fn disclose(k: u32) -> Weight {
        // Proof size in bytes, measured:  `516 + k * (189 ±0)`
        // estimated: `3783 + k * (2573 ±0)`
        // Least execution time: 49_480_000 picoseconds.
        Weight::from_parts(45_986_159, 0)
			.saturating_add(Weight::from_parts(0, 3783))
			// Standard error: 121_374
			.saturating_add(Weight::from_parts(9_963_041, 0).saturating_mul(k.into()))
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(k.into())))
			.saturating_add(T::DbWeight::get().writes(2_u64))
			.saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(k.into())))
			.saturating_add(Weight::from_parts(0, 2573).saturating_mul(k.into()))
    }
    /// Storage: `Rounds::Rounds` (r:1 w:0)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `System::BlockHash` (r:1 w:0)
    /// Proof: `System::BlockHash` (`max_values`: None, `max_size`: Some(44), added: 2519, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:1 w:0)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// The range of component `k` is `[1, 16]`.
    fn authorize_disclose(k: u32) -> Weight {
        // Proof size in bytes, measured:  `940 + k * (90 ±0)`
        // estimated: `3783`
        // Least execution time: 90_236_000 picoseconds.
        Weight::from_parts(98_126_023, 0)
			.saturating_add(Weight::from_parts(0, 3783))
			// Standard error: 72_641
			.saturating_add(Weight::from_parts(2_147_101, 0).saturating_mul(k.into()))
			.saturating_add(T::DbWeight::get().reads(4_u64))
    }
    /// Not measured yet: a pass, with its authorization, a slash of a bond and a payment.
    fn report() -> Weight {
        Self::pass()
            .saturating_add(Self::authorize_pass())
            .saturating_add(
                <super::pallet_agents::WeightInfo<T> as pallet_agents::WeightInfo>::slash(),
            )
            .saturating_add(T::DbWeight::get().reads_writes(2_u64, 2_u64))
    }
    /// Not measured yet: as many reports, and one more for the list of rounds.
    fn silence(n: u32) -> Weight {
        Self::report().saturating_mul(u64::from(n).saturating_add(1))
    }
    /// Storage: `Rounds::Authors` (r:1 w:1)
    /// Proof: `Rounds::Authors` (`max_values`: Some(1), `max_size`: Some(3602), added: 4097, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Undrawn` (r:1 w:1)
    /// Proof: `Rounds::Undrawn` (`max_values`: Some(1), `max_size`: Some(514), added: 1009, mode: `MaxEncodedLen`)
    /// Storage: `System::ParentHash` (r:1 w:0)
    /// Proof: `System::ParentHash` (`max_values`: Some(1), `max_size`: Some(32), added: 527, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Rounds` (r:64 w:64)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Agenda` (r:1 w:1)
    /// Proof: `Rounds::Agenda` (`max_values`: Some(1), `max_size`: Some(1346), added: 1841, mode: `MaxEncodedLen`)
    /// Storage: `Session::Validators` (r:1 w:0)
    /// Proof: `Session::Validators` (`max_values`: Some(1), `max_size`: None, mode: `Measured`)
    /// Storage: `Rounds::Entries` (r:1 w:0)
    /// Proof: `Rounds::Entries` (`max_values`: None, `max_size`: Some(98), added: 2573, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::EndedQueue` (r:1 w:1)
    /// Proof: `Rounds::EndedQueue` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::CommittingRounds` (r:1 w:1)
    /// Proof: `Rounds::CommittingRounds` (`max_values`: Some(1), `max_size`: Some(514), added: 1009, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Ended` (r:0 w:1)
    /// Proof: `Rounds::Ended` (`max_values`: None, `max_size`: Some(24), added: 2499, mode: `MaxEncodedLen`)
    /// The range of component `r` is `[1, 64]`.
    /// The range of component `a` is `[1, 100]`.
    fn on_initialize(r: u32, a: u32) -> Weight {
        // Proof size in bytes, measured:  `432 + a * (36 ±0) + r * (80 ±0)`
        // estimated: `5087 + a * (36 ±0) + r * (2793 ±0)`
        // Least execution time: 119_368_000 picoseconds.
        Weight::from_parts(108_708_726, 0)
			.saturating_add(Weight::from_parts(0, 5087))
			// Standard error: 5_616
			.saturating_add(Weight::from_parts(5_242_191, 0).saturating_mul(r.into()))
			// Standard error: 3_598
			.saturating_add(Weight::from_parts(112_440, 0).saturating_mul(a.into()))
			.saturating_add(T::DbWeight::get().reads(11_u64))
			.saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(r.into())))
			.saturating_add(T::DbWeight::get().writes(8_u64))
			.saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(r.into())))
			.saturating_add(Weight::from_parts(0, 36).saturating_mul(a.into()))
			.saturating_add(Weight::from_parts(0, 2793).saturating_mul(r.into()))
    }
    /// Storage: `Rounds::Entries` (r:1 w:0)
    /// Proof: `Rounds::Entries` (`max_values`: None, `max_size`: Some(98), added: 2573, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:501 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:500 w:500)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Tickets::Accounts` (r:500 w:500)
    /// Proof: `Tickets::Accounts` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Agenda` (r:1 w:1)
    /// Proof: `Rounds::Agenda` (`max_values`: Some(1), `max_size`: Some(1346), added: 1841, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::EndedQueue` (r:1 w:1)
    /// Proof: `Rounds::EndedQueue` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::CommittingRounds` (r:1 w:1)
    /// Proof: `Rounds::CommittingRounds` (`max_values`: Some(1), `max_size`: Some(514), added: 1009, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Rounds` (r:0 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Ended` (r:0 w:1)
    /// Proof: `Rounds::Ended` (`max_values`: None, `max_size`: Some(24), added: 2499, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[2, 500]`.
    fn begin_revealing(n: u32) -> Weight {
        // Proof size in bytes, measured:  `808 + n * (412 ±0)`
        // estimated: `3678 + n * (2732 ±0)`
        // Least execution time: 137_235_000 picoseconds.
        Weight::from_parts(142_670_000, 0)
			.saturating_add(Weight::from_parts(0, 3678))
			// Standard error: 110_286
			.saturating_add(Weight::from_parts(21_729_657, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(7_u64))
			.saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(n.into())))
			.saturating_add(T::DbWeight::get().writes(7_u64))
			.saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
			.saturating_add(Weight::from_parts(0, 2732).saturating_mul(n.into()))
			// Not measured yet: the queue of rounds without anything to read, the payment, the count of
			// the requester's rounds, and a payment to each agent.
			.saturating_add(T::DbWeight::get().reads_writes(3_u64, 4_u64))
			.saturating_add(T::DbWeight::get().reads_writes(n.into(), n.into()))
			// Not measured yet: the debt of each agent.
			.saturating_add(T::DbWeight::get().reads(n.into()))
    }
    /// Storage: `Rounds::Participants` (r:501 w:500)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Ratings::Records` (r:500 w:0)
    /// Proof: `Ratings::Records` (`max_values`: None, `max_size`: Some(1057), added: 3532, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Agenda` (r:1 w:1)
    /// Proof: `Rounds::Agenda` (`max_values`: Some(1), `max_size`: Some(1346), added: 1841, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Rounds` (r:0 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Entries` (r:0 w:500)
    /// Proof: `Rounds::Entries` (`max_values`: None, `max_size`: Some(98), added: 2573, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[2, 500]`.
    fn assign(n: u32) -> Weight {
        // Proof size in bytes, measured:  `62 + n * (140 ±0)`
        // estimated: `3678 + n * (3532 ±0)`
        // Least execution time: 68_945_000 picoseconds.
        Weight::from_parts(69_879_000, 0)
			.saturating_add(Weight::from_parts(0, 3678))
			// Standard error: 60_289
			.saturating_add(Weight::from_parts(19_573_250, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().reads((2_u64).saturating_mul(n.into())))
			.saturating_add(T::DbWeight::get().writes(2_u64))
			.saturating_add(T::DbWeight::get().writes((2_u64).saturating_mul(n.into())))
			.saturating_add(Weight::from_parts(0, 3532).saturating_mul(n.into()))
    }
    /// Storage: `Rounds::Entries` (r:501 w:0)
    /// Proof: `Rounds::Entries` (`max_values`: None, `max_size`: Some(98), added: 2573, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:501 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Agents::Agents` (r:500 w:500)
    /// Proof: `Agents::Agents` (`max_values`: None, `max_size`: Some(257), added: 2732, mode: `MaxEncodedLen`)
    /// Storage: `Tickets::Accounts` (r:500 w:500)
    /// Proof: `Tickets::Accounts` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:500 w:500)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:502 w:502)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Agenda` (r:1 w:1)
    /// Proof: `Rounds::Agenda` (`max_values`: Some(1), `max_size`: Some(1346), added: 1841, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::EndedQueue` (r:1 w:1)
    /// Proof: `Rounds::EndedQueue` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Rounds` (r:0 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Ended` (r:0 w:1)
    /// Proof: `Rounds::Ended` (`max_values`: None, `max_size`: Some(24), added: 2499, mode: `MaxEncodedLen`)
    /// The range of component `n` is `[2, 500]`.
    fn settle(n: u32) -> Weight {
        // Proof size in bytes, measured:  `0 + n * (787 ±0)`
        // estimated: `6196 + n * (2732 ±0)`
        // Least execution time: 234_162_000 picoseconds.
        Weight::from_parts(235_305_000, 0)
			.saturating_add(Weight::from_parts(0, 6196))
			// Standard error: 490_220
			.saturating_add(Weight::from_parts(82_518_952, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(6_u64))
			.saturating_add(T::DbWeight::get().reads((6_u64).saturating_mul(n.into())))
			.saturating_add(T::DbWeight::get().writes(6_u64))
			.saturating_add(T::DbWeight::get().writes((4_u64).saturating_mul(n.into())))
			.saturating_add(Weight::from_parts(0, 2732).saturating_mul(n.into()))
			// Not measured yet: the count of the requester's rounds.
			.saturating_add(T::DbWeight::get().reads_writes(1_u64, 1_u64))
			// Not measured yet: the question and the rule of the choice.
			.saturating_add(T::DbWeight::get().reads(2_u64))
			// Not measured yet: the debt of each agent, and the notice that it is no longer active.
			.saturating_add(T::DbWeight::get().reads_writes(3_u64.saturating_mul(n.into()), n.into()))
    }
    /// Computed and not measured yet: besides `settle`, for each agent the read of its text and of what
    /// is known of it, the key of an answer of 4 KiB, and the log-odds of its scores; for the round the
    /// reads of the question and of the rule, and the write of the outcome.
    fn choose(n: u32) -> Weight {
        Self::settle(n)
            .saturating_add(Weight::from_parts(140_000_000, 9_400).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads(2_u64.saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().reads_writes(2_u64, 1_u64))
    }
    /// Storage: `Rounds::Entries` (r:447 w:0)
    /// Proof: `Rounds::Entries` (`max_values`: None, `max_size`: Some(98), added: 2573, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:50 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Ratings::Records` (r:50 w:50)
    /// Proof: `Ratings::Records` (`max_values`: None, `max_size`: Some(1057), added: 3532, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Agenda` (r:1 w:1)
    /// Proof: `Rounds::Agenda` (`max_values`: Some(1), `max_size`: Some(1346), added: 1841, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::EndedQueue` (r:1 w:1)
    /// Proof: `Rounds::EndedQueue` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Rounds` (r:0 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Ended` (r:0 w:1)
    /// Proof: `Rounds::Ended` (`max_values`: None, `max_size`: Some(24), added: 2499, mode: `MaxEncodedLen`)
    /// The range of component `p` is `[1, 50]`.
    fn rate(p: u32) -> Weight {
        // Proof size in bytes, measured:  `22601 + p * (837 ±0)`
        // estimated: `155741 + p * (21826 ±0)`
        // Least execution time: 253_081_000 picoseconds.
        Weight::from_parts(597_475_818, 0)
			.saturating_add(Weight::from_parts(0, 155741))
			// Standard error: 1_691_304
			.saturating_add(Weight::from_parts(66_236_027, 0).saturating_mul(p.into()))
			.saturating_add(T::DbWeight::get().reads(62_u64))
			.saturating_add(T::DbWeight::get().reads((10_u64).saturating_mul(p.into())))
			.saturating_add(T::DbWeight::get().writes(4_u64))
			.saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(p.into())))
			.saturating_add(Weight::from_parts(0, 21826).saturating_mul(p.into()))
			// Not measured yet: the records of answers (`Ratings::Qualities`, a read and a write for each
			// agent), and comparisons with at most sixteen tallies in memory.
			.saturating_add(T::DbWeight::get().reads_writes(p.into(), p.into()))
			.saturating_add(Weight::from_parts(2_000_000, 2531).saturating_mul(p.into()))
    }
    /// Storage: `Rounds::EndedQueue` (r:1 w:1)
    /// Proof: `Rounds::EndedQueue` (`max_values`: Some(1), `max_size`: Some(16), added: 511, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Ended` (r:1 w:1)
    /// Proof: `Rounds::Ended` (`max_values`: None, `max_size`: Some(24), added: 2499, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Rounds` (r:1 w:1)
    /// Proof: `Rounds::Rounds` (`max_values`: None, `max_size`: Some(318), added: 2793, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Sealed` (r:1 w:0)
    /// Proof: `Rounds::Sealed` (`max_values`: None, `max_size`: Some(4178), added: 6653, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Responses` (r:501 w:500)
    /// Proof: `Rounds::Responses` (`max_values`: None, `max_size`: Some(4162), added: 6637, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Draws` (r:1 w:0)
    /// Proof: `Rounds::Draws` (`max_values`: None, `max_size`: Some(80), added: 2555, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Entries` (r:1 w:0)
    /// Proof: `Rounds::Entries` (`max_values`: None, `max_size`: Some(98), added: 2573, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Participants` (r:1 w:0)
    /// Proof: `Rounds::Participants` (`max_values`: None, `max_size`: Some(213), added: 2688, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Absent` (r:1 w:0)
    /// Proof: `Rounds::Absent` (`max_values`: None, `max_size`: Some(64), added: 2539, mode: `MaxEncodedLen`)
    /// Storage: `System::Account` (r:1 w:1)
    /// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
    /// Storage: `Balances::Holds` (r:1 w:1)
    /// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(139), added: 2614, mode: `MaxEncodedLen`)
    /// Storage: `Rounds::Prompts` (r:0 w:1)
    /// Proof: `Rounds::Prompts` (`max_values`: None, `max_size`: Some(4114), added: 6589, mode: `MaxEncodedLen`)
    /// The range of component `i` is `[0, 500]`.
    fn purge(i: u32) -> Weight {
        // Proof size in bytes, measured:  `4497 + i * (85 ±0)`
        // estimated: `7643 + i * (6637 ±0)`
        // Least execution time: 81_986_000 picoseconds.
        Weight::from_parts(58_875_662, 0)
			.saturating_add(Weight::from_parts(0, 7643))
			// Standard error: 6_475
			.saturating_add(Weight::from_parts(8_145_031, 0).saturating_mul(i.into()))
			.saturating_add(T::DbWeight::get().reads(11_u64))
			.saturating_add(T::DbWeight::get().reads((1_u64).saturating_mul(i.into())))
			.saturating_add(T::DbWeight::get().writes(6_u64))
			.saturating_add(T::DbWeight::get().writes((1_u64).saturating_mul(i.into())))
			.saturating_add(Weight::from_parts(0, 6637).saturating_mul(i.into()))
			// Not measured yet: the question and the outcome that go with the round.
			.saturating_add(T::DbWeight::get().writes(2_u64))
    }
}
