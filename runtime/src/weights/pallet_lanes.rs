// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_lanes`. Computed and not yet measured, from the accesses of each call and
//! the weights of the calls that it contains. `scripts/weights` measures.

#![allow(missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};
use pallet_rounds::WeightInfo as _;

/// The weights of `pallet_lanes`.
pub struct WeightInfo<T>(PhantomData<T>);

/// The verification of a signature on sr25519: more than all of `pallet_rounds::authorize_pass` was
/// measured with.
const SIGNATURE: Weight = Weight::from_parts(100_000_000, 300);

/// The signatures of a quorum of the largest committee.
const QUORUM: u64 = 11;

/// The payments of the largest settlement.
const PAYMENTS: u64 = 18;

/// A look at the locks of one agent, its record and its unbonding parts.
fn look<T: frame_system::Config>() -> Weight {
    Weight::from_parts(20_000_000, 4_000).saturating_add(T::DbWeight::get().reads(3))
}

/// A change of the locks of one agent.
fn lock<T: frame_system::Config>() -> Weight {
    look::<T>()
        .saturating_add(Weight::from_parts(10_000_000, 0))
        .saturating_add(T::DbWeight::get().writes(1))
}

/// A signature, and the volunteer's entry with the key.
fn signature<T: frame_system::Config>() -> Weight {
    SIGNATURE.saturating_add(T::DbWeight::get().reads(1))
}

impl<T: frame_system::Config> pallet_lanes::WeightInfo for WeightInfo<T> {
    /// A withdrawal, a hold, and the lane.
    fn open() -> Weight {
        Weight::from_parts(150_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(7, 6))
    }

    fn top_up() -> Weight {
        Weight::from_parts(150_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(5, 4))
    }

    fn close() -> Weight {
        Weight::from_parts(40_000_000, 4_000).saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    fn reclaim() -> Weight {
        Weight::from_parts(100_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(5, 4))
    }

    /// The checks, a point, the rating, the known answers of three forms, and the lock.
    fn join() -> Weight {
        look::<T>()
            .saturating_add(lock::<T>())
            .saturating_add(Weight::from_parts(100_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads_writes(11, 2))
    }

    fn authorize_join() -> Weight {
        look::<T>()
            .saturating_add(SIGNATURE)
            .saturating_add(Weight::from_parts(60_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads(6))
    }

    fn leave() -> Weight {
        lock::<T>()
            .saturating_add(Weight::from_parts(40_000_000, 4_000))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    fn authorize_leave() -> Weight {
        signature::<T>().saturating_add(T::DbWeight::get().reads(3))
    }

    /// The checks, a look at the locks of each signer and a change, and the settlement's records.
    fn settle() -> Weight {
        look::<T>()
            .saturating_add(lock::<T>())
            .saturating_mul(QUORUM)
            .saturating_add(Weight::from_parts(150_000_000, 16_000))
            .saturating_add(T::DbWeight::get().reads_writes(12, 8))
    }

    fn authorize_settle() -> Weight {
        look::<T>()
            .saturating_add(signature::<T>())
            .saturating_mul(QUORUM)
            .saturating_add(Weight::from_parts(100_000_000, 16_000))
            .saturating_add(T::DbWeight::get().reads(12))
    }

    /// A read, a hash and a division for each volunteer, and the order.
    fn draw(v: u32) -> Weight {
        let v = u64::from(v);
        Weight::from_parts(20_000_000, 0)
            .saturating_add(Weight::from_parts(6_000_000, 2_700).saturating_mul(v))
            .saturating_add(T::DbWeight::get().reads(v.saturating_add(2)))
    }

    /// A slash of the hold, and a transfer to each member and the treasury.
    fn finalise() -> Weight {
        Weight::from_parts(100_000_000, 16_000)
            .saturating_add(Weight::from_parts(40_000_000, 2_700).saturating_mul(PAYMENTS))
            .saturating_add(T::DbWeight::get().reads_writes(6, 5))
            .saturating_add(T::DbWeight::get().reads_writes(PAYMENTS, PAYMENTS))
    }

    /// Two signatures, the hashes of 12 KiB, two slashed locks, and the payments.
    fn equivocation() -> Weight {
        lock::<T>()
            .saturating_add(signature::<T>())
            .saturating_mul(2)
            .saturating_add(Weight::from_parts(500_000_000, 30_000))
            .saturating_add(T::DbWeight::get().reads_writes(16, 10))
    }

    /// A request of `pallet_rounds`, the release, the marks, and the form of the answers.
    fn escalate(p: u32) -> Weight {
        super::pallet_rounds::WeightInfo::<T>::request(p)
            .saturating_add(Weight::from_parts(100_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads_writes(7, 6))
    }

    fn show_certificate() -> Weight {
        Weight::from_parts(100_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(7, 5))
    }

    fn authorize_show_certificate() -> Weight {
        signature::<T>()
            .saturating_mul(QUORUM)
            .saturating_add(Weight::from_parts(60_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads(6))
    }

    fn set_parameters() -> Weight {
        Weight::from_parts(20_000_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }

    /// The locks and the bonds of all members, and one payment.
    fn void() -> Weight {
        lock::<T>()
            .saturating_add(Weight::from_parts(100_000_000, 4_000))
            .saturating_add(T::DbWeight::get().reads_writes(5, 5))
            .saturating_mul(16)
            .saturating_add(Weight::from_parts(100_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads_writes(4, 4))
    }

    fn begin_epoch() -> Weight {
        Weight::from_parts(40_000_000, 2_000).saturating_add(T::DbWeight::get().reads_writes(4, 3))
    }

    /// A page of 32 of each of six maps.
    fn retire() -> Weight {
        Weight::from_parts(600_000_000, 200_000)
            .saturating_add(T::DbWeight::get().reads_writes(196, 196))
    }
}
