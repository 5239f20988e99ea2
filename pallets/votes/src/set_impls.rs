// SPDX-License-Identifier: Apache-2.0
//! The numbers of GRANDPA's sets, where nodes and runtime could count differently.
//!
//! `pallet-grandpa` counts a set when it is announced, and a node when the announcement is final.
//! While finality stands still the runtime goes on to count, and a forced change drops for the
//! nodes what was announced since the last final block. The runtime goes back to the nodes' number
//! here. Without that it would refuse all votes and reports after the change, and a node that
//! starts from its state would take a wrong number from it.

use core::iter::successors;

use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;
use pallet_grandpa::{CurrentSetId, NextForced, PendingChange, Stalled};
use sp_consensus_grandpa::SetId;
use sp_runtime::{traits::One, Saturating};

use crate::{Config, Pallet, SetStart, Since};

impl<T: Config> Pallet<T> {
    /// Notes when the set of the session that ends began. Session after session has the same set
    /// only while a change is pending: its first session counts then.
    pub(crate) fn note_set() {
        let set = CurrentSetId::<T>::get();
        if !SetStart::<T>::contains_key(set) {
            SetStart::<T>::insert(set, Since::<T>::get());
        }
        let kept = <T as pallet_grandpa::Config>::MaxSetIdSessionEntries::get().max(1);
        if let Some(old) = set.checked_sub(kept) {
            SetStart::<T>::remove(old);
        }
    }

    /// Where GRANDPA announces a forced change in this block, lets it count on from the set that
    /// finalised the block named as the last final one.
    pub(crate) fn follow_forced_change() {
        let Some((_, last_final)) = Stalled::<T>::get() else {
            return;
        };
        let now = frame_system::Pallet::<T>::block_number();
        let too_soon = NextForced::<T>::get().is_some_and(|next| next > now);
        if PendingChange::<T>::exists() || too_soon {
            // It announces the change at the end of a later session.
            return;
        }
        let Some(set) = Self::set_that_finalised(last_final) else {
            log::error!(
                target: crate::LOG_TARGET,
                "the set of block {last_final:?} is not known: votes do not count from now on",
            );
            return;
        };
        let next = set.saturating_add(1);
        for dropped in next..=CurrentSetId::<T>::get() {
            SetStart::<T>::remove(dropped);
        }
        // The new set votes on what follows the last final block.
        SetStart::<T>::insert(next, last_final.saturating_add(One::one()));
        CurrentSetId::<T>::put(set);
    }

    /// The latest set that began at this block or before.
    fn set_that_finalised(block: BlockNumberFor<T>) -> Option<SetId> {
        successors(Some(CurrentSetId::<T>::get()), |set| set.checked_sub(1))
            .map_while(|set| Some((set, SetStart::<T>::get(set)?)))
            .find(|(_, start)| *start <= block)
            .map(|(set, _)| set)
    }
}
