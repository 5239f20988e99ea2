// SPDX-License-Identifier: Apache-2.0
//! Agents that a round waits for in vain: those that are no longer active, and those that are
//! silent.

use frame_support::{
    pallet_prelude::*,
    traits::{fungible::Balanced as _, tokens::imbalance::Imbalance},
    weights::Weight,
};
use starling_primitives::{
    traits::{AgentRegistry, OnInactive},
    RoundId,
};

use crate::{Absent, CommittingRounds, Config, Error, Event, Inactive, Pallet, Phase, Rounds};

/// Maximum number of agents that a block counts as heard because they are no longer active. The
/// others wait for the next blocks.
const PAGE: usize = 4;

impl<T: Config> OnInactive<T::AccountId> for Pallet<T> {
    /// Remembers the agent for the next block. If the list is full, its rounds wait for their
    /// deadlines.
    fn on_inactive(who: &T::AccountId, ordinal: u64) {
        if CommittingRounds::<T>::decode_len().unwrap_or_default() > 0 {
            let _ = Inactive::<T>::try_append((who.clone(), ordinal));
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Counts agents that are no longer active as heard in the rounds that wait for them. Returns
    /// the used weight.
    pub(crate) fn hear_inactive() -> Weight {
        let mut reads = 1u64;
        let mut writes = 0u64;
        if Inactive::<T>::decode_len().unwrap_or_default() > 0 {
            let mut waiting = Inactive::<T>::take();
            let page = waiting.len().min(PAGE);
            let rounds = CommittingRounds::<T>::get();
            for (who, ordinal) in waiting.drain(..page) {
                for id in &rounds {
                    reads = reads.saturating_add(3);
                    if Self::hear_without_word(*id, &who, ordinal) {
                        writes = writes.saturating_add(3);
                    }
                }
            }
            if !waiting.is_empty() {
                Inactive::<T>::put(waiting);
            }
            reads = reads.saturating_add(1);
            writes = writes.saturating_add(1);
        }
        T::DbWeight::get().reads_writes(reads, writes)
    }

    /// Counts an agent as heard if the round waited for its activation with this ordinal.
    fn hear_without_word(id: RoundId, who: &T::AccountId, ordinal: u64) -> bool {
        let waits = |round: &crate::RoundOf<T>| {
            round.phase == Phase::Committing
                && ordinal < round.terms.activations
                && *who != round.requester
                && !Self::is_heard(id, who)
        };
        let Some(mut round) = Rounds::<T>::get(id).filter(waits) else {
            return false;
        };
        round.counts.heard = round.counts.heard.saturating_add(1);
        Absent::<T>::insert(id, who, ());
        Self::store(id, round);
        true
    }

    /// Fines an agent for its silence in a round, once, and pays the fine to the account that
    /// reports it.
    pub(crate) fn do_report(
        reporter: T::AccountId,
        id: RoundId,
        agent: T::AccountId,
    ) -> DispatchResult {
        let round = Rounds::<T>::get(id).ok_or(Error::<T>::UnknownRound)?;
        ensure!(round.phase > Phase::Committing, Error::<T>::TooEarly);
        ensure!(
            Self::is_expected(&round, &agent) && !Self::is_heard(id, &agent),
            Error::<T>::NotSilent
        );
        // Like a pass, so that it is fined once.
        Absent::<T>::insert(id, &agent, ());
        let fine = T::Agents::fine(&agent, T::SilenceFine::get());
        let amount = fine.peek();
        // On failure the credit comes back and is dropped, which burns it: the account that reports
        // has just paid for a transaction.
        drop(T::Currency::resolve(&reporter, fine));
        Self::deposit_event(Event::Fined {
            round: id,
            agent,
            reporter,
            amount,
        });
        Ok(())
    }
}
