// SPDX-License-Identifier: Apache-2.0
//! Locks on bonds: claims that outlive the registration and end by themselves.

use frame_support::{ensure, traits::tokens::imbalance::Imbalance};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Zero, DispatchResult, Saturating};
use starling_primitives::{locks::LockId, Balance};

use crate::{unbonding, Agents, Config, CreditOf, Error, Lock, Locks, LocksOf, Pallet, Unbonding};

impl<T: Config> Pallet<T> {
    /// The locks of `who` that have not ended.
    pub(crate) fn locks_in_force(who: &T::AccountId) -> LocksOf<T> {
        let now = frame_system::Pallet::<T>::block_number();
        let mut locks = Locks::<T>::get(who);
        locks.retain(|lock| lock.until > now);
        locks
    }

    fn locked(locks: &LocksOf<T>) -> Balance {
        locks
            .iter()
            .fold(0, |sum, lock| sum.saturating_add(lock.amount))
    }

    /// Whether locks on so much are covered if `unbonding` of the bond of `who` is on its way back.
    fn are_covered(who: &T::AccountId, locked: Balance, unbonding: Balance) -> bool {
        let free = Agents::<T>::get(who).map_or(0, |agent| agent.free());
        locked <= free.saturating_add(unbonding)
    }

    /// The part of the free bond of `who` that locks have a claim on: what the unbonding parts do
    /// not cover.
    pub(crate) fn claimed_by_locks(who: &T::AccountId) -> Balance {
        let locked = Self::locked(&Self::locks_in_force(who));
        if locked.is_zero() {
            return 0;
        }
        locked.saturating_sub(unbonding(&Unbonding::<T>::get(who)))
    }

    /// The free bond of `who` and what is unbonding, less what locks have a claim on.
    pub(crate) fn unclaimed(who: &T::AccountId) -> Balance {
        let free = Agents::<T>::get(who).map_or(0, |agent| agent.free());
        free.saturating_add(unbonding(&Unbonding::<T>::get(who)))
            .saturating_sub(Self::locked(&Self::locks_in_force(who)))
    }

    /// Checks that the locks of `who` are covered if `rest` of it is still unbonding.
    pub(crate) fn ensure_covered(who: &T::AccountId, rest: Balance) -> DispatchResult {
        let locked = Self::locked(&Self::locks_in_force(who));
        ensure!(
            locked.is_zero() || Self::are_covered(who, locked, rest),
            Error::<T>::BondNotFree
        );
        Ok(())
    }

    /// The locks of `who` with one more. A lock that is there already has at least the amount and
    /// the end that both say.
    pub(crate) fn locks_with(
        who: &T::AccountId,
        id: LockId,
        amount: Balance,
        until: u32,
    ) -> Result<LocksOf<T>, Error<T>> {
        let until = BlockNumberFor::<T>::from(until);
        let mut locks = Self::locks_in_force(who);
        let before = Self::locked(&locks);
        if let Some(lock) = locks.iter_mut().find(|lock| lock.id == id) {
            lock.amount = lock.amount.max(amount);
            lock.until = lock.until.max(until);
        } else {
            locks
                .try_push(Lock { id, amount, until })
                .map_err(|_| Error::<T>::TooManyLocks)?;
        }
        let locked = Self::locked(&locks);
        let unbonding = unbonding(&Unbonding::<T>::get(who));
        ensure!(
            locked == before || Self::are_covered(who, locked, unbonding),
            Error::<T>::BondNotFree
        );
        Ok(locks)
    }

    pub(crate) fn put_locks(who: &T::AccountId, locks: LocksOf<T>) {
        if locks.is_empty() {
            Locks::<T>::remove(who);
        } else {
            Locks::<T>::insert(who, locks);
        }
    }

    /// Ends a lock. Returns its amount: 0 if there is none.
    pub(crate) fn take_lock(who: &T::AccountId, id: LockId) -> Balance {
        let mut locks = Self::locks_in_force(who);
        let amount = locks
            .iter()
            .find(|lock| lock.id == id)
            .map_or(0, |lock| lock.amount);
        locks.retain(|lock| lock.id != id);
        Self::put_locks(who, locks);
        amount
    }

    /// Takes up to `amount` of what is free of the bond, then of what is unbonding.
    pub(crate) fn seize_free(who: &T::AccountId, amount: Balance) -> CreditOf<T> {
        // Who is no agent any more has unbonding parts alone.
        let from_bond =
            Self::mutate_agent(who, |agent| Ok(agent.take_free(amount))).unwrap_or_default();
        let from_unbonding = Self::take_unbonding(who, amount.saturating_sub(from_bond));
        let taken = from_bond.saturating_add(from_unbonding);
        if taken.is_zero() {
            CreditOf::<T>::zero()
        } else {
            Self::seize(who, taken)
        }
    }

    /// Takes up to `amount` of the unbonding parts of `who` off the books, the oldest first.
    pub(crate) fn take_unbonding(who: &T::AccountId, amount: Balance) -> Balance {
        let mut chunks = Unbonding::<T>::get(who);
        if chunks.is_empty() {
            return 0;
        }
        let mut left = amount;
        for chunk in chunks.iter_mut() {
            let part = chunk.amount.min(left);
            chunk.amount.saturating_reduce(part);
            left.saturating_reduce(part);
        }
        chunks.retain(|chunk| !chunk.amount.is_zero());
        Self::put_unbonding(who, chunks);
        amount.saturating_sub(left)
    }
}
