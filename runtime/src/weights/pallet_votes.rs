// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_votes`. Computed and not yet measured: a signature on ed25519 for each
//! vote, as `pallet_agents::register` was measured with one on sr25519, doubled. `scripts/weights`
//! measures.

#![allow(missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weights of `pallet_votes`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_votes::WeightInfo for WeightInfo<T> {
    fn note(votes: u32) -> Weight {
        let votes = u64::from(votes);
        Weight::from_parts(30_000_000, 12_000)
            .saturating_add(Weight::from_parts(200_000_000, 2_543).saturating_mul(votes))
            .saturating_add(T::DbWeight::get().reads(votes.saturating_add(4)))
            .saturating_add(T::DbWeight::get().writes(1))
    }
}
