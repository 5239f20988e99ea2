// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use frame_support::{ensure, traits::fungible::Inspect};
use sp_runtime::DispatchError;

use crate::{Config, Pallet};

impl<T: Config> Pallet<T> {
    /// The treasury has its existential deposit, so that it can receive the smallest amount. There
    /// is no pot to check: it exists only within one settlement.
    pub fn do_try_state() -> Result<(), DispatchError> {
        let balance = T::Currency::total_balance(&Self::treasury());
        ensure!(
            balance >= T::Currency::minimum_balance(),
            "the treasury is gone"
        );
        Ok(())
    }
}
