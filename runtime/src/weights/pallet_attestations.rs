// SPDX-License-Identifier: Apache-2.0
//! The weights of `pallet_attestations`. Computed and not yet measured, from the signatures that
//! each call checks. `scripts/weights` measures.

#![allow(missing_docs)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// The weights of `pallet_attestations`.
pub struct WeightInfo<T>(PhantomData<T>);

/// A signature on P-256 or P-384, or by RSA, in WebAssembly. The prototype took 9.1 ms for the
/// dearest, on P-384.
const SIGNATURE: Weight = Weight::from_parts(10_000_000_000, 300);
/// A signature on P-256: the prototype took 8.2 ms for seven and all that is around them.
const SIGNATURE_P256: Weight = Weight::from_parts(2_500_000_000, 300);
/// The longest document, list or text of certificates, decoded.
const DOCUMENT: Weight = Weight::from_parts(1_000_000_000, 9_000);

fn setting<T: frame_system::Config>() -> Weight {
    Weight::from_parts(20_000_000, 4_000).saturating_add(T::DbWeight::get().writes(1))
}

impl<T: frame_system::Config> pallet_attestations::WeightInfo for WeightInfo<T> {
    /// A certificate and a document, or the certificate of AMD's key, whose signature takes less
    /// than that of a chip; the item before, and the item.
    fn put_collateral() -> Weight {
        SIGNATURE
            .saturating_add(DOCUMENT.saturating_mul(2))
            .saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    /// Two certificates, the quoting enclave's report and the quote; four items of collateral and
    /// the quote's certificates; agent, blocks, clock, measurement and platform.
    fn attest_dcap() -> Weight {
        SIGNATURE_P256
            .saturating_mul(4)
            .saturating_add(DOCUMENT.saturating_mul(6))
            .saturating_add(T::DbWeight::get().reads_writes(11, 1))
    }

    /// The chip's certificate and the report; agent, blocks, clock, key, measurement, platform,
    /// floor.
    fn attest_snp() -> Weight {
        SIGNATURE
            .saturating_mul(2)
            .saturating_add(DOCUMENT)
            .saturating_add(T::DbWeight::get().reads_writes(9, 1))
    }

    fn set_measurement() -> Weight {
        setting::<T>()
    }

    fn set_floor() -> Weight {
        setting::<T>()
    }

    fn set_platform() -> Weight {
        setting::<T>()
    }
}
