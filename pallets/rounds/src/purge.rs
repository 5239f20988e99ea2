// SPDX-License-Identifier: Apache-2.0
//! Removal of finished rounds.
//!
//! Rounds are purged in the order in which they ended, after `RetentionPeriod` blocks, with the
//! weight that a block leaves over. If more than half of `MaxStoredRounds` are stored, every block
//! removes one page, whatever else it has to do.

use frame_support::{traits::Get, weights::Weight};
use starling_primitives::RoundId;

use crate::{
    Absent, Config, Draws, Ended, EndedQueue, Entries, Event, HoldReason, Pallet, Participants,
    Prompts, Responses, RoundOf, Rounds, Sealed, WeightInfo,
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

    /// Purges one page if storage fills up. Returns the used weight.
    pub(crate) fn mandatory_purge() -> Weight {
        let half = u64::from(T::MaxStoredRounds::get()) / 2;
        if Self::stored_rounds() <= half {
            return Weight::zero();
        }
        let removed = Self::purge(T::PurgePage::get()).unwrap_or(0);
        T::WeightInfo::purge(removed)
    }

    /// Removes at most `limit` items of the round that has waited longest. Returns `None` if no
    /// round may be purged yet.
    pub(crate) fn purge(limit: u32) -> Option<u32> {
        let mut queue = EndedQueue::<T>::get();
        let id = Ended::<T>::get(queue.head).filter(|_| queue.head < queue.tail)?;
        let round = Rounds::<T>::get(id).filter(|round| round.deadline < Self::now())?;
        let removed = Self::remove_items(id, limit);
        if removed < limit {
            Self::remove_round(id, &round);
            Ended::<T>::remove(queue.head);
            queue.head = queue.head.saturating_add(1);
            EndedQueue::<T>::put(queue);
        }
        Some(removed)
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
