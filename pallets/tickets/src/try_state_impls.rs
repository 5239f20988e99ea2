// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::DispatchError;

use crate::{Account, Accounts, Config, HoldReason, Pallet};

impl<T: Config> Pallet<T> {
    /// The held funds are the free and staked tickets, and accounts without tickets have no entry.
    pub fn do_try_state() -> Result<(), DispatchError> {
        for (who, account) in Accounts::<T>::iter() {
            ensure!(account != Account::default(), "an account without tickets");
            let sum = account.free.checked_add(account.staked);
            let held = T::Currency::balance_on_hold(&HoldReason::Tickets.into(), &who);
            ensure!(sum == Some(held), "the held funds are not those on record");
        }
        Ok(())
    }
}
