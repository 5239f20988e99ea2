// SPDX-License-Identifier: Apache-2.0
//! Implementation of the calls.

use frame_support::{
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision::Exact},
};
use sp_runtime::{traits::Zero, Saturating};
use starling_primitives::Balance;

use crate::{Account, Accounts, Config, Error, Event, HoldReason, Pallet};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_buy(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
        T::Currency::hold(&HoldReason::Tickets.into(), &who, amount)?;
        let free = Self::mutate(&who, |account| {
            account.free.saturating_accrue(amount);
            account.free
        });
        Self::deposit_event(Event::Bought { who, amount, free });
        Ok(())
    }

    pub(crate) fn do_refund(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(!amount.is_zero(), Error::<T>::ZeroAmount);
        let free = Self::take_free(&who, amount)?;
        T::Currency::release(&HoldReason::Tickets.into(), &who, amount, Exact)?;
        Self::deposit_event(Event::Refunded { who, amount, free });
        Ok(())
    }

    /// Takes `amount` off the free tickets of `who`. Returns the rest of them.
    fn take_free(who: &T::AccountId, amount: Balance) -> Result<Balance, DispatchError> {
        let left = Accounts::<T>::get(who)
            .free
            .checked_sub(amount)
            .ok_or(Error::<T>::NotEnoughTickets)?;
        Self::mutate(who, |account| account.free = left);
        Ok(left)
    }

    /// Moves `amount` of the free tickets of `who` to the staked ones.
    pub(crate) fn stake(who: &T::AccountId, amount: Balance) -> DispatchResult {
        Self::take_free(who, amount)?;
        Self::mutate(who, |account| account.staked.saturating_accrue(amount));
        Ok(())
    }

    /// Changes the tickets of `who`, and removes the entry of an account without tickets.
    pub(crate) fn mutate<R>(who: &T::AccountId, f: impl FnOnce(&mut Account) -> R) -> R {
        Accounts::<T>::mutate_exists(who, |slot| {
            let mut account = slot.take().unwrap_or_default();
            let result = f(&mut account);
            *slot = (account != Account::default()).then_some(account);
            result
        })
    }
}
