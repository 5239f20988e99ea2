// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls.
//!
//! A runtime uses the weights that `frame-omni-bencher` measured on it. The implementation for `()`
//! serves this pallet's own tests and was not measured.

use frame_support::weights::{constants::ParityDbWeight, RuntimeDbWeight, Weight};

/// The weights of this pallet's calls.
pub trait WeightInfo {
    /// The weight of `register`.
    fn register() -> Weight;
    /// The weight of `bond_extra`.
    fn bond_extra() -> Weight;
    /// The weight of `unbond`.
    fn unbond() -> Weight;
    /// The weight of `withdraw_unbonded`.
    fn withdraw_unbonded() -> Weight;
    /// The weight of `chill`.
    fn chill() -> Weight;
    /// The weight of `unchill`.
    fn unchill() -> Weight;
    /// The weight of `rotate_key`.
    fn rotate_key() -> Weight;
    /// The weight of `set_model`.
    fn set_model() -> Weight;
    /// The weight of `deregister`.
    fn deregister() -> Weight;
    /// The weight of `slash`.
    fn slash() -> Weight;
    /// The weight of `enter`.
    fn enter() -> Weight;
}

/// A guess on the safe side: 1 ms, and ten reads and writes.
fn placeholder() -> Weight {
    let database: RuntimeDbWeight = ParityDbWeight::get();
    Weight::from_parts(1_000_000_000, 64 * 1024).saturating_add(database.reads_writes(10, 10))
}

impl WeightInfo for () {
    fn register() -> Weight {
        placeholder()
    }

    fn bond_extra() -> Weight {
        placeholder()
    }

    fn unbond() -> Weight {
        placeholder()
    }

    fn withdraw_unbonded() -> Weight {
        placeholder()
    }

    fn chill() -> Weight {
        placeholder()
    }

    fn unchill() -> Weight {
        placeholder()
    }

    fn rotate_key() -> Weight {
        placeholder()
    }

    fn set_model() -> Weight {
        placeholder()
    }

    fn deregister() -> Weight {
        placeholder()
    }

    fn slash() -> Weight {
        placeholder()
    }

    fn enter() -> Weight {
        placeholder()
    }
}
