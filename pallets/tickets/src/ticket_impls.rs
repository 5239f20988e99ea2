// SPDX-License-Identifier: Apache-2.0
//! Implementation of the tickets for other pallets.

use frame_support::{
    pallet_prelude::*,
    traits::{fungible::BalancedHold, DefensiveSaturating},
};
use sp_runtime::{traits::Zero, Permill, Saturating};
use starling_primitives::{
    rules::Rule,
    ticket,
    traits::{holds, Consistent, Tickets},
    Balance,
};

use crate::{Accounts, Config, CreditOf, HoldReason, Pallet};

impl<T: Config> Tickets<T::AccountId> for Pallet<T> {
    type Credit = CreditOf<T>;

    fn price(reward: Balance) -> Balance {
        ticket::price(reward, T::TicketShare::get(), T::MinTicket::get())
    }

    fn can_spend(who: &T::AccountId, price: Balance) -> bool {
        Accounts::<T>::get(who).free >= price
    }

    fn spend(who: &T::AccountId, price: Balance) -> DispatchResult {
        Self::stake(who, price)
    }

    fn give_back(who: &T::AccountId, price: Balance) {
        Self::mutate(who, |account| {
            account.staked = account.staked.defensive_saturating_sub(price);
            account.free.saturating_accrue(price);
        });
    }

    fn forfeit(who: &T::AccountId, price: Balance, part: Balance) -> CreditOf<T> {
        let part = part.min(price);
        Self::mutate(who, |account| {
            account.staked = account.staked.defensive_saturating_sub(price);
            account.free.saturating_accrue(price.saturating_sub(part));
        });
        let (credit, missing) = T::Currency::slash(&HoldReason::Tickets.into(), who, part);
        if !missing.is_zero() {
            log::error!(target: crate::LOG_TARGET, "{missing} of a forfeit of {part} not on hold");
        }
        credit
    }

    fn staked(who: &T::AccountId) -> Balance {
        Accounts::<T>::get(who).staked
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn endow(who: &T::AccountId, amount: Balance) {
        crate::benchmarking::endow::<T>(who, amount);
    }
}

impl<T: Config> Consistent for Pallet<T> {
    fn check() -> Result<(), Rule> {
        holds(T::MinTicket::get() > 0, Rule::FreeTicket)?;
        let least = Permill::from_percent(1);
        holds(T::TicketShare::get() >= least, Rule::TicketTooCheap)
    }
}
