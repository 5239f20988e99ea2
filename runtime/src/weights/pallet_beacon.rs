// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_beacon`. On the safe side and not yet measured: `scripts/weights` measures.

#![allow(missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weights of `pallet_beacon`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_beacon::WeightInfo for WeightInfo<T> {
    fn reveal() -> Weight {
        Weight::from_parts(5_000_000_000, 5_000)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(2))
    }

    fn begin_and_end() -> Weight {
        Weight::from_parts(50_000_000, 5_000)
            .saturating_add(T::DbWeight::get().reads(4))
            .saturating_add(T::DbWeight::get().writes(2))
    }
}
