// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_disputes`. Computed and not yet measured, from the accesses of each call
//! and the weights of the calls that it contains. `scripts/weights` measures.

#![allow(missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weights of `pallet_disputes`.
pub struct WeightInfo<T>(PhantomData<T>);

/// The verification of a signature on sr25519: more than all of `pallet_rounds::authorize_pass` was
/// measured with.
const SIGNATURE: Weight = Weight::from_parts(100_000_000, 300);

/// The distance of two sketches: 128 differences, squares and sums.
const DISTANCE: Weight = Weight::from_parts(2_000_000, 0);

/// Members of the largest committee.
const MEMBERS: u64 = 21;

/// Payments of the largest case: to both committees, the accuser and the accused.
const PAYMENTS: u64 = 45;

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

/// A slash of a bond: its record, its unbonding parts, the hold, and the places that follow.
fn seize<T: frame_system::Config>() -> Weight {
    lock::<T>()
        .saturating_add(Weight::from_parts(60_000_000, 8_000))
        .saturating_add(T::DbWeight::get().reads_writes(5, 6))
}

/// A stored case and its place on the agenda.
fn put<T: frame_system::Config>() -> Weight {
    Weight::from_parts(30_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(2, 2))
}

/// The checks of an accusation: two claims, two keys, and a look at the accuser.
fn check<T: frame_system::Config>() -> Weight {
    SIGNATURE
        .saturating_mul(2)
        .saturating_add(look::<T>())
        .saturating_add(Weight::from_parts(50_000_000, 16_000))
        .saturating_add(T::DbWeight::get().reads(18))
}

/// A walk over `h` holders of a model.
fn walk<T: frame_system::Config>(h: u32) -> Weight {
    let h = u64::from(h);
    Weight::from_parts(6_000_000, 2_700)
        .saturating_mul(h)
        .saturating_add(T::DbWeight::get().reads(h.saturating_mul(2)))
}

impl<T: frame_system::Config> pallet_disputes::WeightInfo for WeightInfo<T> {
    /// The checks, three locks, and the records of the case.
    fn accuse() -> Weight {
        check::<T>()
            .saturating_add(lock::<T>().saturating_mul(3))
            .saturating_add(look::<T>().saturating_mul(2))
            .saturating_add(put::<T>())
            .saturating_add(T::DbWeight::get().reads_writes(10, 8))
    }

    fn authorize_accuse() -> Weight {
        check::<T>()
            .saturating_add(SIGNATURE)
            .saturating_add(T::DbWeight::get().reads(2))
    }

    /// For each of eight models a walk to find an idle holder, twice, and its records.
    fn hold(h: u32) -> Weight {
        walk::<T>(h)
            .saturating_mul(16)
            .saturating_add(Weight::from_parts(200_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads_writes(44, 60))
    }

    fn authorize_hold(h: u32) -> Weight {
        walk::<T>(h)
            .saturating_mul(8)
            .saturating_add(SIGNATURE)
            .saturating_add(T::DbWeight::get().reads(14))
    }

    fn commit() -> Weight {
        put::<T>().saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    fn authorize_commit() -> Weight {
        SIGNATURE
            .saturating_add(Weight::from_parts(20_000_000, 8_000))
            .saturating_add(T::DbWeight::get().reads(4))
    }

    /// The hash of a finding of 1.6 KB, and its record.
    fn reveal() -> Weight {
        put::<T>()
            .saturating_add(Weight::from_parts(30_000_000, 4_000))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    fn authorize_reveal() -> Weight {
        Weight::from_parts(50_000_000, 12_000).saturating_add(T::DbWeight::get().reads(3))
    }

    /// Two hashes of the exhibit, in the runtime's own code: about 20 ns a byte each.
    fn publish(b: u32) -> Weight {
        Weight::from_parts(60_000_000, 8_000)
            .saturating_add(Weight::from_parts(50_000, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    /// A lock, and the end of a committee.
    fn appeal() -> Weight {
        lock::<T>()
            .saturating_add(put::<T>())
            .saturating_add(T::DbWeight::get().reads_writes(2, MEMBERS))
    }

    fn set_parameters() -> Weight {
        Weight::from_parts(20_000_000, 0).saturating_add(T::DbWeight::get().writes(1))
    }

    fn end_phases() -> Weight {
        Weight::from_parts(10_000_000, 2_000).saturating_add(T::DbWeight::get().reads(1))
    }

    /// Four reads, a hash and a division for each holder, and the order.
    fn draw(h: u32) -> Weight {
        walk::<T>(h)
            .saturating_mul(2)
            .saturating_add(put::<T>())
            .saturating_add(Weight::from_parts(30_000_000, 4_000))
            .saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    fn open_reveals() -> Weight {
        put::<T>().saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// Twice the distances of all pairs and sixteen for each member, its finding, and its fine.
    fn judge(m: u32) -> Weight {
        let m = u64::from(m);
        let distances = m.saturating_mul(m).saturating_mul(2);
        DISTANCE
            .saturating_mul(distances.saturating_add(m.saturating_mul(16)))
            .saturating_add(seize::<T>().saturating_mul(m))
            .saturating_add(Weight::from_parts(20_000_000, 1_700).saturating_mul(m))
            .saturating_add(T::DbWeight::get().reads_writes(m, m))
            .saturating_add(put::<T>())
    }

    /// Four locks that end, of which three are slashed, two convictions, and the payments.
    fn close() -> Weight {
        seize::<T>()
            .saturating_mul(6)
            .saturating_add(Weight::from_parts(40_000_000, 2_700).saturating_mul(PAYMENTS))
            .saturating_add(T::DbWeight::get().reads_writes(PAYMENTS, PAYMENTS))
            .saturating_add(put::<T>())
            .saturating_add(T::DbWeight::get().reads_writes(18, 18))
    }

    fn forget() -> Weight {
        Weight::from_parts(60_000_000, 12_000)
            .saturating_add(T::DbWeight::get().reads_writes(3, MEMBERS.saturating_add(3)))
    }

    fn forget_verdicts() -> Weight {
        Weight::from_parts(100_000_000, 4_000)
            .saturating_add(T::DbWeight::get().reads_writes(34, 65))
    }
}
