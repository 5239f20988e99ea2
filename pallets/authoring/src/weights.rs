// SPDX-License-Identifier: Apache-2.0
//! The weights of this pallet's calls.
//!
//! A runtime uses the weights that `frame-omni-bencher` measured on it. The implementation for `()`
//! serves this pallet's own tests and was not measured.

use frame_support::weights::Weight;

/// The weights of this pallet's calls.
pub trait WeightInfo {
    /// The weight of checking both headers of a report. The proof of the key's owner and the
    /// punishment come on top.
    fn report_equivocation() -> Weight;
}

impl WeightInfo for () {
    /// A guess on the safe side: 1 ms.
    fn report_equivocation() -> Weight {
        Weight::from_parts(1_000_000_000, 0)
    }
}
