// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls, authorizations and hooks.
//!
//! A runtime uses its own. The implementation for `()` serves this pallet's own tests and was not
//! measured.

use frame_support::weights::{constants::ParityDbWeight, RuntimeDbWeight, Weight};

/// The weights of this pallet's calls, authorizations and hooks.
pub trait WeightInfo {
    /// The weight of `accuse`.
    fn accuse() -> Weight;
    /// The weight of the authorization of `accuse`.
    fn authorize_accuse() -> Weight;
    /// The weight of `hold` where each model has `h` holders.
    fn hold(h: u32) -> Weight;
    /// The weight of the authorization of `hold` where each model has `h` holders.
    fn authorize_hold(h: u32) -> Weight;
    /// The weight of `commit`.
    fn commit() -> Weight;
    /// The weight of the authorization of `commit`.
    fn authorize_commit() -> Weight;
    /// The weight of `reveal`.
    fn reveal() -> Weight;
    /// The weight of the authorization of `reveal`.
    fn authorize_reveal() -> Weight;
    /// The weight of `publish` of an exhibit for whose check `b` bytes are hashed.
    fn publish(b: u32) -> Weight;
    /// The weight of `appeal`.
    fn appeal() -> Weight;
    /// The weight of `set_parameters`.
    fn set_parameters() -> Weight;
    /// The weight of a look at the agenda.
    fn end_phases() -> Weight;
    /// The weight of the draw of a committee from `h` holders.
    fn draw(h: u32) -> Weight;
    /// The weight of the end of the commitments.
    fn open_reveals() -> Weight;
    /// The weight of the ruling of `m` members, without the end of the case.
    fn judge(m: u32) -> Weight;
    /// The weight of the end of a case.
    fn close() -> Weight;
    /// The weight of forgetting a case.
    fn forget() -> Weight;
    /// The weight of forgetting a page of verdicts.
    fn forget_verdicts() -> Weight;
}

/// A guess on the safe side: 1 ms, and ten reads and writes, for each unit.
fn placeholder(units: u32) -> Weight {
    let database: RuntimeDbWeight = ParityDbWeight::get();
    Weight::from_parts(1_000_000_000, 64 * 1024)
        .saturating_add(database.reads_writes(10, 10))
        .saturating_mul(units.into())
}

/// A guess at a walk over `h` holders.
fn walk(h: u32) -> Weight {
    let database: RuntimeDbWeight = ParityDbWeight::get();
    Weight::from_parts(10_000_000, 600)
        .saturating_mul(h.into())
        .saturating_add(database.reads(u64::from(h).saturating_mul(4)))
}

impl WeightInfo for () {
    fn accuse() -> Weight {
        placeholder(3)
    }

    fn authorize_accuse() -> Weight {
        placeholder(3)
    }

    fn hold(h: u32) -> Weight {
        placeholder(4).saturating_add(walk(h).saturating_mul(8))
    }

    fn authorize_hold(h: u32) -> Weight {
        placeholder(2).saturating_add(walk(h).saturating_mul(8))
    }

    fn commit() -> Weight {
        placeholder(1)
    }

    fn authorize_commit() -> Weight {
        placeholder(1)
    }

    fn reveal() -> Weight {
        placeholder(1)
    }

    fn authorize_reveal() -> Weight {
        placeholder(1)
    }

    fn publish(b: u32) -> Weight {
        placeholder(1).saturating_add(Weight::from_parts(50_000, 1).saturating_mul(b.into()))
    }

    fn appeal() -> Weight {
        placeholder(2)
    }

    fn set_parameters() -> Weight {
        placeholder(1)
    }

    fn end_phases() -> Weight {
        placeholder(1)
    }

    fn draw(h: u32) -> Weight {
        placeholder(1).saturating_add(walk(h))
    }

    fn open_reveals() -> Weight {
        placeholder(1)
    }

    fn judge(m: u32) -> Weight {
        placeholder(m)
    }

    fn close() -> Weight {
        placeholder(10)
    }

    fn forget() -> Weight {
        placeholder(3)
    }

    fn forget_verdicts() -> Weight {
        placeholder(7)
    }
}
