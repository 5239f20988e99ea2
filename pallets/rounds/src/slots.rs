// SPDX-License-Identifier: Apache-2.0
//! The slots of open rounds: their price, their bound for one account, and offers that displace
//! each other.

use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::Balanced as _,
        tokens::{Fortitude, Precision, Preservation},
    },
};
use starling_primitives::{slots, traits::AgentRegistry, Balance, RoundId};

use crate::{
    Agenda, CommittingRounds, Config, Error, Event, Failure, Pallet, Phase, Prices, Requests,
    RoundOf, Rounds, Undrawn,
};

impl<T: Config> Pallet<T> {
    /// The price of the next slot.
    pub(crate) fn slot_price() -> Balance {
        slots::price(
            T::SlotPrice::get(),
            Self::taken_slots(),
            T::MaxOpenRounds::get(),
        )
    }

    fn taken_slots() -> u32 {
        let open = Agenda::<T>::decode_len().unwrap_or_default();
        u32::try_from(open).unwrap_or(u32::MAX)
    }

    /// Takes a slot for a request with this fee, if need be that of the lowest offer, and pays for
    /// it and for the messages of `max_responses` agents. Returns the burnt payment.
    ///
    /// An offer that is displaced gets back everything, including its burnt payment, which the new
    /// one pays besides its own.
    pub(crate) fn take_slot(
        requester: &T::AccountId,
        fee: Balance,
        max_responses: u32,
    ) -> Result<Balance, DispatchError> {
        let price = Self::slot_price();
        ensure!(price <= fee, Error::<T>::SlotTooExpensive);
        let is_full = Self::taken_slots() >= T::MaxOpenRounds::get();
        if is_full {
            let (id, round) = Self::lowest_offer()
                .filter(|(_, round)| round.terms.fee < fee)
                .ok_or(Error::<T>::TooManyRounds)?;
            let theirs = Self::withdraw(requester, Prices::<T>::get(id))?;
            // On failure the credit comes back and is dropped, which burns it. It cannot fail: the
            // requester's account exists, as it has funds on hold.
            drop(T::Currency::resolve(&round.requester, theirs));
            Self::outbid(id, round);
        }
        Self::count_request(requester)?;
        let active = T::Agents::active_count();
        let payment = Self::request_fee(max_responses, active).saturating_add(price);
        // Dropped, and so burnt.
        drop(Self::withdraw(requester, payment)?);
        Ok(payment)
    }

    fn withdraw(who: &T::AccountId, amount: Balance) -> Result<crate::CreditOf<T>, DispatchError> {
        T::Currency::withdraw(
            who,
            amount,
            Precision::Exact,
            Preservation::Preserve,
            Fortitude::Polite,
        )
    }

    /// The open round with the lowest fee to which nobody has committed; among equals the youngest.
    fn lowest_offer() -> Option<(RoundId, RoundOf<T>)> {
        CommittingRounds::<T>::get()
            .into_iter()
            .filter_map(|id| Some((id, Rounds::<T>::get(id)?)))
            .filter(|(_, round)| round.counts.commits == 0)
            .min_by_key(|(id, round)| (round.terms.fee, core::cmp::Reverse(*id)))
    }

    /// Ends a round that loses its slot. Nobody has committed, so its fee goes back whole.
    fn outbid(id: RoundId, round: RoundOf<T>) {
        Undrawn::<T>::mutate(|waiting| waiting.retain(|other| *other != id));
        Self::deposit_event(Event::Outbid {
            round: id,
            requester: round.requester.clone(),
        });
        Self::end(
            id,
            RoundOf::<T> {
                phase: Phase::Failed(Failure::Outbid),
                ..round
            },
        );
        Self::leave_committing(id);
    }

    fn count_request(requester: &T::AccountId) -> DispatchResult {
        Requests::<T>::try_mutate(requester, |open| {
            ensure!(*open < T::MaxRequests::get(), Error::<T>::TooManyRequests);
            *open = open.saturating_add(1);
            Ok(())
        })
    }

    /// Ends the count of an open round of this account.
    pub(crate) fn uncount_request(requester: &T::AccountId) {
        Requests::<T>::mutate_exists(requester, |open| {
            *open = open
                .map(|open| open.saturating_sub(1))
                .filter(|open| *open > 0);
        });
    }
}
