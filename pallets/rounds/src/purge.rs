// SPDX-License-Identifier: Apache-2.0
//! Removal of finished rounds.
//!
//! Rounds are purged in the order in which they ended, after `RetentionPeriod` blocks, with the
//! weight that a block leaves over. Rounds that ended before anything became public go first, in
//! the block after their end. If there are such rounds, or if more than half of `MaxStoredRounds`
//! are stored, every block removes one page, whatever else it has to do; in the latter case the
//! oldest rounds go before their time.

use frame_support::{traits::Get, weights::Weight};
use starling_primitives::{traits::Choice as _, RoundId};

use crate::{
    Absent, Config, Draws, Ended, EndedQueue, Entries, Event, HoldReason, Pallet, Participants,
    Prompts, Responses, RoundOf, Rounds, Sealed, Void, VoidQueue, WeightInfo,
};

impl<T: Config> Pallet<T> {
    /// Purges with the rest of a block's weight. Returns the used weight.
    pub(crate) fn idle_purge(remaining: Weight) -> Weight {
        let base = T::WeightInfo::purge(0);
        let item = T::WeightInfo::purge(1).saturating_sub(base);
        let mut used = Weight::zero();
        loop {
            let left = remaining.saturating_sub(used);
            let Some(for_items) = left.checked_sub(&base) else {
                return used;
            };
            let items = for_items
                .checked_div_per_component(&item)
                .unwrap_or(u64::MAX);
            let limit = u32::try_from(items)
                .unwrap_or(u32::MAX)
                .min(T::PurgePage::get());
            let Some(removed) = (limit > 0).then(|| Self::purge(limit)).flatten() else {
                return used.saturating_add(T::WeightInfo::purge(0)).min(remaining);
            };
            used = used.saturating_add(T::WeightInfo::purge(removed));
        }
    }

    /// Purges one page if storage fills up or there are rounds without anything to read. Returns
    /// the used weight.
    pub(crate) fn mandatory_purge() -> Weight {
        if !Self::is_half_full() && VoidQueue::<T>::get().len() == 0 {
            return Weight::zero();
        }
        Self::idle_purge(T::WeightInfo::purge(T::PurgePage::get()))
    }

    /// Whether more than half of the rounds that may be stored are.
    fn is_half_full() -> bool {
        Self::stored_rounds() > u64::from(T::MaxStoredRounds::get()) / 2
    }

    /// Removes at most `limit` items of one round: of one without anything to read, or of the one
    /// that has waited longest. Returns `None` if no round may be purged yet.
    pub(crate) fn purge(limit: u32) -> Option<u32> {
        Self::purge_void(limit).or_else(|| Self::purge_ended(limit))
    }

    fn purge_void(limit: u32) -> Option<u32> {
        let queue = VoidQueue::<T>::get();
        let id = Void::<T>::get(queue.head)?;
        let (removed, gone) = Self::remove(id, &Rounds::<T>::get(id)?, limit);
        if gone {
            Void::<T>::remove(queue.head);
            VoidQueue::<T>::put(queue.popped());
        }
        Some(removed)
    }

    /// The oldest round goes after its retention period, or as soon as storage is half full: then
    /// more than half of all rounds have ended after it.
    fn purge_ended(limit: u32) -> Option<u32> {
        let queue = EndedQueue::<T>::get();
        let id = Ended::<T>::get(queue.head)?;
        let round = Rounds::<T>::get(id)
            .filter(|round| round.deadline < Self::now() || Self::is_half_full())?;
        let (removed, gone) = Self::remove(id, &round, limit);
        if gone {
            Ended::<T>::remove(queue.head);
            EndedQueue::<T>::put(queue.popped());
        }
        Some(removed)
    }

    /// Removes at most `limit` items of a round. Returns their number, and whether the round itself
    /// is gone.
    fn remove(id: RoundId, round: &RoundOf<T>, limit: u32) -> (u32, bool) {
        // First of all: nobody learns from a round that is half gone.
        T::Choice::forget(id);
        let removed = Self::remove_items(id, limit);
        let gone = removed < limit;
        if gone {
            Self::remove_round(id, round);
        }
        (removed, gone)
    }

    fn remove_items(id: RoundId, limit: u32) -> u32 {
        let left = |removed: usize| (limit as usize).saturating_sub(removed);
        let mut removed = 0usize;
        let mut add = |count: usize| {
            removed = removed.saturating_add(count);
            left(removed)
        };
        let mut rest = add(0);
        rest = add(Sealed::<T>::drain_prefix(id).take(rest).count());
        rest = add(Responses::<T>::drain_prefix(id).take(rest).count());
        rest = add(Draws::<T>::drain_prefix(id).take(rest).count());
        rest = add(Entries::<T>::drain_prefix(id).take(rest).count());
        rest = add(Participants::<T>::drain_prefix(id).take(rest).count());
        rest = add(Absent::<T>::drain_prefix(id).take(rest).count());
        limit.saturating_sub(u32::try_from(rest).unwrap_or(0))
    }

    fn remove_round(id: RoundId, round: &RoundOf<T>) {
        Self::return_to(&round.requester, HoldReason::Deposit, round.terms.deposit);
        Prompts::<T>::remove(id);
        Rounds::<T>::remove(id);
        Self::deposit_event(Event::Purged { round: id });
    }
}
