// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls.
//!
//! A runtime uses its own. The implementation for `()` serves this pallet's own tests and was not
//! measured.

use frame_support::weights::{constants::ParityDbWeight, RuntimeDbWeight, Weight};

/// The weights of this pallet's calls.
pub trait WeightInfo {
    /// The weight of `put_collateral`.
    fn put_collateral() -> Weight;
    /// The weight of `attest_dcap`.
    fn attest_dcap() -> Weight;
    /// The weight of `attest_snp`.
    fn attest_snp() -> Weight;
    /// The weight of `set_measurement`.
    fn set_measurement() -> Weight;
    /// The weight of `set_floor`.
    fn set_floor() -> Weight;
    /// The weight of `set_platform`.
    fn set_platform() -> Weight;
}

/// A guess on the safe side: 1 ms, and ten reads and writes, for each unit.
fn placeholder(units: u64) -> Weight {
    let database: RuntimeDbWeight = ParityDbWeight::get();
    Weight::from_parts(1_000_000_000, 64 * 1024)
        .saturating_add(database.reads_writes(10, 10))
        .saturating_mul(units)
}

impl WeightInfo for () {
    fn put_collateral() -> Weight {
        placeholder(10)
    }

    fn attest_dcap() -> Weight {
        placeholder(25)
    }

    fn attest_snp() -> Weight {
        placeholder(25)
    }

    fn set_measurement() -> Weight {
        placeholder(1)
    }

    fn set_floor() -> Weight {
        placeholder(1)
    }

    fn set_platform() -> Weight {
        placeholder(1)
    }
}
