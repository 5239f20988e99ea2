// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls, authorizations and hooks.
//!
//! A runtime uses its own. The implementation for `()` serves this pallet's own tests and was not
//! measured.

use frame_support::weights::{constants::ParityDbWeight, RuntimeDbWeight, Weight};

/// The weights of this pallet's calls, authorizations and hooks.
pub trait WeightInfo {
    /// The weight of `open`.
    fn open() -> Weight;
    /// The weight of `top_up`.
    fn top_up() -> Weight;
    /// The weight of `close`.
    fn close() -> Weight;
    /// The weight of `reclaim`.
    fn reclaim() -> Weight;
    /// The weight of `join`.
    fn join() -> Weight;
    /// The weight of the authorization of `join`.
    fn authorize_join() -> Weight;
    /// The weight of `leave`.
    fn leave() -> Weight;
    /// The weight of the authorization of `leave`.
    fn authorize_leave() -> Weight;
    /// The weight of `settle` with a committee on record.
    fn settle() -> Weight;
    /// The weight of the authorization of `settle`.
    fn authorize_settle() -> Weight;
    /// The weight of the draw of a committee from `v` volunteers.
    fn draw(v: u32) -> Weight;
    /// The weight of `finalise`.
    fn finalise() -> Weight;
    /// The weight of `equivocation` with a committee on record.
    fn equivocation() -> Weight;
    /// The weight of `escalate` with a prompt of `p` bytes.
    fn escalate(p: u32) -> Weight;
    /// The weight of `show_certificate` with a committee on record, without the end of the round.
    fn show_certificate() -> Weight;
    /// The weight of the authorization of `show_certificate`.
    fn authorize_show_certificate() -> Weight;
    /// The weight of `set_parameters`.
    fn set_parameters() -> Weight;
    /// The weight of `void`.
    fn void() -> Weight;
    /// The weight of the beginning of an epoch.
    fn begin_epoch() -> Weight;
    /// The weight of forgetting a page.
    fn retire() -> Weight;
}

/// A guess on the safe side: 1 ms, and ten reads and writes, for each unit.
fn placeholder(units: u32) -> Weight {
    let database: RuntimeDbWeight = ParityDbWeight::get();
    Weight::from_parts(1_000_000_000, 64 * 1024)
        .saturating_add(database.reads_writes(10, 10))
        .saturating_mul(units.into())
}

impl WeightInfo for () {
    fn open() -> Weight {
        placeholder(1)
    }

    fn top_up() -> Weight {
        placeholder(1)
    }

    fn close() -> Weight {
        placeholder(1)
    }

    fn reclaim() -> Weight {
        placeholder(1)
    }

    fn join() -> Weight {
        placeholder(1)
    }

    fn authorize_join() -> Weight {
        placeholder(1)
    }

    fn leave() -> Weight {
        placeholder(1)
    }

    fn authorize_leave() -> Weight {
        placeholder(1)
    }

    fn settle() -> Weight {
        placeholder(5)
    }

    fn authorize_settle() -> Weight {
        placeholder(5)
    }

    fn draw(v: u32) -> Weight {
        let database: RuntimeDbWeight = ParityDbWeight::get();
        Weight::from_parts(100_000_000, 0)
            .saturating_add(Weight::from_parts(5_000_000, 300).saturating_mul(v.into()))
            .saturating_add(database.reads(v.into()))
    }

    fn finalise() -> Weight {
        placeholder(5)
    }

    fn equivocation() -> Weight {
        placeholder(3)
    }

    fn escalate(p: u32) -> Weight {
        placeholder(2).saturating_add(Weight::from_parts(1_000, 0).saturating_mul(p.into()))
    }

    fn show_certificate() -> Weight {
        placeholder(3)
    }

    fn authorize_show_certificate() -> Weight {
        placeholder(3)
    }

    fn set_parameters() -> Weight {
        placeholder(1)
    }

    fn void() -> Weight {
        placeholder(5)
    }

    fn begin_epoch() -> Weight {
        placeholder(1)
    }

    fn retire() -> Weight {
        placeholder(20)
    }
}
