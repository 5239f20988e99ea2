// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_authoring`. Computed and not yet measured: two signatures on sr25519, as
//! `pallet_agents::register` was measured with one, doubled. `scripts/weights` measures.

#![allow(missing_docs)]

use core::marker::PhantomData;
use frame_support::weights::Weight;

/// The weights of `pallet_authoring`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_authoring::WeightInfo for WeightInfo<T> {
    fn report_equivocation() -> Weight {
        Weight::from_parts(400_000_000, 0)
    }
}
