// SPDX-License-Identifier: Apache-2.0
//! Lanes and their escrow.

use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::{hold::Mutate as _, Balanced as _},
        tokens::{Fortitude::Polite, Precision::Exact, Preservation::Preserve},
    },
};
use starling_lane_primitives::Terms;
use starling_primitives::Balance;

use crate::{
    Closing, Config, Error, Event, HoldReason, InForce, Lane, LaneId, Lanes, NextLane, Now, Pallet,
    MIN_WAIT_MS,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_open(
        requester: T::AccountId,
        deposit: Balance,
        terms: Terms,
    ) -> DispatchResult {
        let parameters = InForce::<T>::get();
        let is_allowed = terms.members >= parameters.min_committee && terms.committee().is_some();
        ensure!(is_allowed, Error::<T>::InvalidCommittee);
        let is_worth_it = terms.max_fee >= T::MinFee::get() && terms.max_tokens > 0;
        ensure!(is_worth_it, Error::<T>::InvalidTerms);
        let has_time = terms.answer_ms.min(terms.rank_ms) >= MIN_WAIT_MS;
        ensure!(has_time, Error::<T>::InvalidTerms);
        let (lanes, most) = (Lanes::<T>::count(), T::MaxLanes::get());
        ensure!(lanes < most, Error::<T>::TooManyLanes);
        let least = parameters.least_deposit(lanes, most);
        ensure!(deposit >= least, Error::<T>::DepositTooLow);
        let (free, burnt) = Self::pay_in(&requester, deposit)?;
        let id = NextLane::<T>::mutate(|next| {
            let id = *next;
            *next = next.saturating_add(1);
            id
        });
        let lane = Lane {
            requester: requester.clone(),
            terms,
            opened: Now::<T>::get().epoch,
            closing: None,
            deposited: deposit,
            free,
            pending: 0,
            paid: 0,
            burnt,
            returned: 0,
        };
        Lanes::<T>::insert(id, lane);
        Self::deposit_event(Event::Opened {
            lane: id,
            requester,
            terms,
            deposit,
            burnt,
        });
        Ok(())
    }

    /// Burns a part of `amount`, and puts the rest on hold. Returns rest and burnt part.
    fn pay_in(
        requester: &T::AccountId,
        amount: Balance,
    ) -> Result<(Balance, Balance), DispatchError> {
        let burnt = InForce::<T>::get().burnt.mul_ceil(amount).min(amount);
        let free = amount.saturating_sub(burnt);
        if !burnt.is_zero() {
            // Dropped, and so burnt.
            drop(T::Currency::withdraw(
                requester, burnt, Exact, Preserve, Polite,
            )?);
        }
        T::Currency::hold(&HoldReason::Escrow.into(), requester, free)?;
        Ok((free, burnt))
    }

    /// The lane, if `who` opened it.
    pub(crate) fn own(who: &T::AccountId, id: LaneId) -> Result<Lane<T::AccountId>, DispatchError> {
        let lane = Lanes::<T>::get(id).ok_or(Error::<T>::UnknownLane)?;
        ensure!(lane.requester == *who, Error::<T>::NotRequester);
        Ok(lane)
    }

    pub(crate) fn do_top_up(who: &T::AccountId, id: LaneId, amount: Balance) -> DispatchResult {
        ensure!(!amount.is_zero(), Error::<T>::DepositTooLow);
        let lane = Self::own(who, id)?;
        ensure!(lane.closing.is_none(), Error::<T>::AlreadyClosing);
        let (free, burnt) = Self::pay_in(who, amount)?;
        let lane = Lane {
            deposited: lane.deposited.saturating_add(amount),
            free: lane.free.saturating_add(free),
            burnt: lane.burnt.saturating_add(burnt),
            ..lane
        };
        Lanes::<T>::insert(id, lane);
        Self::deposit_event(Event::ToppedUp {
            lane: id,
            amount,
            burnt,
        });
        Ok(())
    }

    pub(crate) fn do_close(who: &T::AccountId, id: LaneId) -> DispatchResult {
        let mut lane = Self::own(who, id)?;
        ensure!(lane.closing.is_none(), Error::<T>::AlreadyClosing);
        let present = Now::<T>::get();
        let kept = InForce::<T>::get().kept();
        let closing = Closing {
            last_epoch: present.epoch,
            reclaimable: present.ends.saturating_add(kept),
        };
        lane.closing = Some(closing);
        Lanes::<T>::insert(id, lane);
        Self::deposit_event(Event::Closing {
            lane: id,
            last_epoch: closing.last_epoch,
            reclaimable: closing.reclaimable,
        });
        Ok(())
    }

    pub(crate) fn do_reclaim(who: &T::AccountId, id: LaneId) -> DispatchResult {
        let lane = Self::own(who, id)?;
        let closing = lane.closing.ok_or(Error::<T>::NotClosing)?;
        let is_over = closing.reclaimable <= Self::now()
            // An epoch may last longer than planned where blocks are lost or parameters change.
            && closing.last_epoch.saturating_add(1) < Now::<T>::get().epoch;
        ensure!(
            is_over && lane.pending.is_zero(),
            Error::<T>::NotReclaimable
        );
        if !lane.free.is_zero() {
            T::Currency::release(&HoldReason::Escrow.into(), who, lane.free, Exact)?;
        }
        Lanes::<T>::remove(id);
        Self::deposit_event(Event::Reclaimed {
            lane: id,
            amount: lane.free,
        });
        Ok(())
    }
}
