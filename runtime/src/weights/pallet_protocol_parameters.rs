// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_protocol_parameters`. Not measured yet: `scripts/weights
//! pallet_protocol_parameters` replaces this file.

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weights of `pallet_protocol_parameters`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_protocol_parameters::WeightInfo for WeightInfo<T> {
    /// The rules read the parameters some ten times at each of at most 96 fees, twice. Each of these
    /// reads is from memory and counts like one from the database here.
    fn set() -> Weight {
        T::DbWeight::get().reads_writes(2_000, 1)
    }
}
