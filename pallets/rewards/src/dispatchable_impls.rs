// SPDX-License-Identifier: Apache-2.0
//! Implementation of the calls and of genesis.

use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::{Inspect, Mutate},
        tokens::{Fortitude::Polite, Preservation::Preserve},
    },
};
use sp_runtime::traits::Zero;
use starling_primitives::Balance;

use crate::{Config, Error, Event, Pallet};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_spend(to: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
        let treasury = Self::treasury();
        let available = T::Currency::reducible_balance(&treasury, Preserve, Polite);
        ensure!(amount <= available, Error::<T>::TreasuryTooPoor);
        T::Currency::transfer(&treasury, &to, amount, Preserve)?;
        Self::deposit_event(Event::Spent { to, amount });
        Ok(())
    }

    /// Gives the treasury its existential deposit, if it has less. From then on it can receive the
    /// smallest amount.
    pub(crate) fn do_open_treasury() -> DispatchResult {
        let treasury = Self::treasury();
        let missing =
            T::Currency::minimum_balance().saturating_sub(T::Currency::balance(&treasury));
        if !missing.is_zero() {
            T::Currency::mint_into(&treasury, missing)?;
        }
        Ok(())
    }
}
