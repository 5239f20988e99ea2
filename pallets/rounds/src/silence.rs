// SPDX-License-Identifier: Apache-2.0
//! Agents that a round waits for in vain: those that are no longer active, and those that are
//! silent.
//!
//! A silent agent rests: the rounds after its report do not wait for it. It may still answer, and a
//! commit after [`REST`] blocks ends the rest.

use frame_support::{
    inherent::InherentIdentifier,
    pallet_prelude::*,
    traits::{fungible::Balanced as _, tokens::imbalance::Imbalance},
    weights::Weight,
};
use starling_primitives::{
    traits::{AgentRegistry, OnInactive},
    RoundId,
};

use crate::{
    Absent, BlockNumber, CommittingRounds, Config, CreditOf, Error, Event, Failure, Inactive,
    LastReport, NextRound, Pallet, Phase, Rest, Resting, RoundOf, Rounds, Unheard,
};

/// The place of the reports among inherents. They need no data: the state tells who was silent.
pub(crate) const SILENCE: InherentIdentifier = *b"strlslnt";

/// Maximum number of silent agents that a block reports.
pub(crate) const SILENT_PAGE: u32 = 4;
/// The same as a type.
pub type SilentPage = ConstU32<SILENT_PAGE>;

/// Number of blocks that a silent agent rests at least.
const REST: BlockNumber = 600;

/// Maximum number of agents that a block counts as heard because they are no longer active. The
/// others wait for the next blocks.
const PAGE: usize = 4;

impl<T: Config> OnInactive<T::AccountId> for Pallet<T> {
    /// Remembers the agent for the next block. If the list is full, its rounds wait for their
    /// deadlines. Of an agent that rests only that ends: hardly a round still waits for it.
    fn on_inactive(who: &T::AccountId, ordinal: u64) {
        if Resting::<T>::take(who).is_some() {
            return;
        }
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

    /// Number of agents that rest. All of them are active.
    pub(crate) fn resting_count() -> u32 {
        Resting::<T>::count()
    }

    /// Whether a round does not wait for the agent because it rests.
    pub(crate) fn rests(id: RoundId, agent: &T::AccountId) -> bool {
        Resting::<T>::get(agent).is_some_and(|rest| rest.since <= id)
    }

    /// Ends the rest of an agent that commits. It is new to the rounds that are open.
    pub(crate) fn wake(agent: &T::AccountId) {
        if Resting::<T>::get(agent).is_some_and(|rest| rest.until <= Self::now()) {
            T::Agents::renew(agent);
        }
    }

    /// Remembers a round that waited for somebody in vain, and forgets the oldest one if need be.
    pub(crate) fn note_silence(id: RoundId, round: &RoundOf<T>) {
        if Self::now() >= round.deadline && round.counts.heard < round.terms.active {
            Unheard::<T>::mutate(|rounds| {
                if rounds.is_full() {
                    rounds.remove(0);
                }
                // There is room.
                let _ = rounds.try_push(id);
            });
        }
    }

    /// The first round with silent agents that nobody has reported, and as many of them as fit. A
    /// round without any is there, too, so that it leaves the list. Walks over the agents: for
    /// authors alone.
    pub(crate) fn silent_agents() -> Option<(RoundId, BoundedVec<T::AccountId, SilentPage>)> {
        let id = Unheard::<T>::get().first().copied()?;
        let silent = Rounds::<T>::get(id).map_or_else(Default::default, |round| {
            let agents = T::Agents::active();
            let page = SILENT_PAGE as usize;
            let silent = agents.filter(|who| Self::is_silent(id, &round, who));
            BoundedVec::truncate_from(silent.take(page).collect())
        });
        Some((id, silent))
    }

    /// Whether a round waited for the agent in vain up to the deadline of its Committing.
    fn is_silent(id: RoundId, round: &RoundOf<T>, agent: &T::AccountId) -> bool {
        let waited = !matches!(
            round.phase,
            Phase::Committing | Phase::Failed(Failure::TooFewCommits | Failure::Outbid)
        );
        waited && Self::is_expected(id, round, agent) && !Self::is_heard(id, agent)
    }

    /// Lets a silent agent rest, and fines it.
    fn rest(id: RoundId, agent: &T::AccountId) -> CreditOf<T> {
        // Like a pass, so that it is fined once.
        Absent::<T>::insert(id, agent, ());
        // Rounds that have begun since an earlier report do not count it, and never will.
        let since = Resting::<T>::get(agent).map_or_else(NextRound::<T>::get, |rest| rest.since);
        let rest = Rest {
            since,
            until: Self::now().saturating_add(REST),
        };
        Resting::<T>::insert(agent, rest);
        // Perhaps it has no bond left after that, and does not rest but is no longer active.
        T::Agents::fine(agent, T::SilenceFine::get())
    }

    /// Reports silent agents of a round whose Committing lasted to its deadline.
    pub(crate) fn do_silence(
        id: RoundId,
        agents: BoundedVec<T::AccountId, SilentPage>,
    ) -> DispatchResult {
        let now = Self::now();
        ensure!(LastReport::<T>::get() < now, Error::<T>::AlreadyReported);
        LastReport::<T>::put(now);
        let are_all = !agents.is_full();
        if let Some(round) = Rounds::<T>::get(id).filter(|_| Unheard::<T>::get().contains(&id)) {
            for agent in agents {
                if Self::is_silent(id, &round, &agent) {
                    // Dropped, and so burnt.
                    let amount = Self::rest(id, &agent).peek();
                    Self::deposit_event(Event::Silent {
                        round: id,
                        agent,
                        amount,
                    });
                }
            }
        }
        if are_all {
            Unheard::<T>::mutate(|rounds| rounds.retain(|round| *round != id));
        }
        Ok(())
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
        ensure!(Self::is_silent(id, &round, &agent), Error::<T>::NotSilent);
        let fine = Self::rest(id, &agent);
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
