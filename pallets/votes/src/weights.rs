// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls.
//!
//! A runtime uses the weights that `frame-omni-bencher` measured on it. The implementation for `()`
//! serves this pallet's own tests and was not measured.

use frame_support::weights::{constants::ParityDbWeight, RuntimeDbWeight, Weight};

/// The weights of this pallet's calls.
pub trait WeightInfo {
    /// The weight of `note` with this number of votes.
    fn note(votes: u32) -> Weight;
}

impl WeightInfo for () {
    /// A guess on the safe side: 200 µs and a read for each vote.
    fn note(votes: u32) -> Weight {
        let database: RuntimeDbWeight = ParityDbWeight::get();
        let votes = u64::from(votes);
        Weight::from_parts(200_000_000, 0)
            .saturating_mul(votes.saturating_add(1))
            .saturating_add(database.reads_writes(votes.saturating_add(4), 1))
    }
}
