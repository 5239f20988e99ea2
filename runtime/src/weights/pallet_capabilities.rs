// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_capabilities`. Computed and not yet measured, from the accesses of each
//! call and the weights of the calls that it contains. `scripts/weights` measures.

#![allow(missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};
use pallet_rewards::WeightInfo as _;
use pallet_rounds::WeightInfo as _;

/// The weights of `pallet_capabilities`.
pub struct WeightInfo<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_capabilities::WeightInfo for WeightInfo<T> {
    /// A request of `pallet_rounds`, the list of examiners, the traffic of one and the question.
    fn ask(p: u32) -> Weight {
        super::pallet_rounds::WeightInfo::<T>::request(p)
            .saturating_add(Weight::from_parts(20_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }

    /// The checks, the payment, and for each response its entry, text, participant and record: the
    /// key of 4 KiB, the pairs among its scores, and a write.
    fn reveal_answer(n: u32) -> Weight {
        let n = u64::from(n);
        super::pallet_rewards::WeightInfo::<T>::spend()
            .saturating_add(Weight::from_parts(300_000_000, 30_000))
            .saturating_add(T::DbWeight::get().reads_writes(8, 3))
            .saturating_add(Weight::from_parts(150_000_000, 14_600).saturating_mul(n))
            .saturating_add(T::DbWeight::get().reads_writes(n.saturating_mul(4), n))
    }

    /// The list, and the traffic of 16 examiners that leave.
    fn set_examiners() -> Weight {
        Weight::from_parts(50_000_000, 2_000).saturating_add(T::DbWeight::get().reads_writes(1, 17))
    }

    fn set_pool() -> Weight {
        Weight::from_parts(20_000_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }

    fn set_choice() -> Weight {
        Weight::from_parts(20_000_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }
}
