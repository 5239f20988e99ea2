// SPDX-License-Identifier: Apache-2.0
//! The agenda: the order in which rounds change phase.
//!
//! No code ever looks at all rounds: the agenda is sorted and bounded, and due rounds are at its
//! front. All transitions run at the end of a block, not at the beginning of the next one. The pool
//! validates for block N + 1 on the state after N, without `on_initialize`, so every phase would
//! otherwise take one more block.

use alloc::{collections::BTreeMap, vec::Vec};
use frame_support::{
    dispatch::DispatchClass,
    traits::{Get, ValidatorSet},
    weights::Weight,
};
use starling_primitives::{deadline, traits::Randomness, RoundId};

use crate::{
    Agenda, Authored, Authors, BlockNumber, CommittingRounds, Config, Due, Pallet, Phase, Prices,
    Reserved, Room, RoundOf, Rounds, Undrawn, WeightInfo,
};

impl<T: Config> Pallet<T> {
    /// Puts a round on the agenda. Fails if too many rounds are open.
    pub(crate) fn schedule(due: Due) -> Result<(), ()> {
        Agenda::<T>::try_mutate(|agenda| {
            let place = agenda.binary_search(&due).unwrap_or_else(|place| place);
            agenda.try_insert(place, due).map_err(|_| ())
        })
    }

    /// Takes a round off the agenda.
    pub(crate) fn unschedule(id: RoundId) -> Option<Due> {
        Agenda::<T>::mutate(|agenda| {
            let place = agenda.iter().position(|due| due.round == id)?;
            Some(agenda.remove(place))
        })
    }

    /// Moves a round on the agenda.
    pub(crate) fn reschedule(due: Due) {
        Self::unschedule(due.round);
        // Its place has just become free.
        let _ = Self::schedule(due);
    }

    /// Ends the phase of a round with this block.
    pub(crate) fn hurry(id: RoundId) {
        if let Some(due) = Self::unschedule(id) {
            let now = Self::now();
            let _ = Self::schedule(Due {
                at: due.at.min(now),
                since: None,
                ..due
            });
        }
    }

    /// Whether no more messages can arrive in the phase of a round.
    pub(crate) fn is_complete(id: RoundId, round: &RoundOf<T>) -> bool {
        let counts = &round.counts;
        match round.phase {
            // Not before an older round. Otherwise one could ask the same question again, have the
            // responses to the new round revealed first, and copy them.
            Phase::Committing => {
                Self::is_hopeless(round)
                    || (counts.heard >= round.terms.active
                        && CommittingRounds::<T>::get().first() == Some(&id))
            },
            Phase::Revealing => {
                counts.valid.saturating_add(counts.spoiled_responses) >= counts.commits
            },
            Phase::Ranking => counts.score_commits >= counts.valid,
            Phase::Disclosing => {
                counts.disclosures.saturating_add(counts.spoiled_scores) >= counts.score_commits
            },
            Phase::Done | Phase::Failed(_) => true,
        }
    }

    /// Whether even with the commits of all agents that the round still waits for there would be
    /// too few. Such a round shows nothing when it ends, so it waits for no older one.
    pub(crate) fn is_hopeless(round: &RoundOf<T>) -> bool {
        let waited_for = round.terms.active.saturating_sub(round.counts.heard);
        round.counts.commits.saturating_add(waited_for) < round.terms.min_responses
    }

    /// Removes a round from Committing: the next one need not wait for it any more.
    pub(crate) fn leave_committing(id: RoundId) {
        Prices::<T>::remove(id);
        let oldest = CommittingRounds::<T>::mutate(|rounds| {
            rounds.retain(|round| *round != id);
            rounds.first().copied()
        });
        let Some(oldest) = oldest else { return };
        if Rounds::<T>::get(oldest).is_some_and(|round| Self::is_complete(oldest, &round)) {
            Self::hurry(oldest);
        }
    }

    /// Reserves room for the rounds that are due in this block, before anything else takes it.
    /// Returns the weight of the room and of reading the agenda.
    ///
    /// Reserves nothing for rounds that a message of this block may complete. Hardly any block
    /// completes one, and a round of 500 agents would take most of every block while it is open.
    pub(crate) fn reserve() -> Weight {
        let agenda = Agenda::<T>::get();
        let now = Self::now();
        let room = agenda.iter().take_while(|due| due.at <= now).fold(
            Room::default(),
            |Room {
                 transitions,
                 agents,
             },
             due| Room {
                transitions: transitions.saturating_add(1).min(T::MaxTransitions::get()),
                agents: agents
                    .saturating_add(due.agents)
                    .min(T::MaxTransitionAgents::get()),
            },
        );
        let open = u32::try_from(agenda.len()).unwrap_or(u32::MAX);
        let base = T::WeightInfo::on_initialize(open, T::MaxAuthorities::get());
        if room == Room::default() {
            return base;
        }
        Reserved::<T>::put(room);
        base.saturating_add(Self::weight_of(room))
    }

    /// Runs the transitions that are due in this block, in the order of (deadline, round): at most
    /// `MaxTransitions`, of at most `MaxTransitionAgents` agents together, within the available
    /// room. The others stay on the agenda, messages for their phases remain valid, and the next
    /// block reserves room for them.
    pub(crate) fn run_agenda() {
        let now = Self::now();
        let mut authored = None;
        let mut reserved = Reserved::<T>::take();
        let mut agents = T::MaxTransitionAgents::get();
        for _ in 0..T::MaxTransitions::get() {
            let agenda = Agenda::<T>::get();
            let mut due = agenda.iter().take_while(|due| due.at <= now);
            let Some(due) = due.find(|due| match due.since {
                None => true,
                Some(since) => authored
                    .get_or_insert_with(Self::authored)
                    .is_past(now, due.at, since),
            }) else {
                return;
            };
            let Some(rest) = agents.checked_sub(due.agents) else {
                return;
            };
            reserved = match reserved.without(due.agents) {
                Some(rest) => rest,
                None if Self::claim(due.agents) => reserved,
                None => return,
            };
            agents = rest;
            Self::advance(due.round);
        }
    }

    /// Claims the weight of the transition of a round with `agents` agents from the rest of the
    /// block's first half. The transitions of a block never take more than that.
    fn claim(agents: u32) -> bool {
        let weight = Self::weight_of_transition(agents);
        let used = frame_system::Pallet::<T>::block_weight().total();
        let fits = used
            .saturating_add(weight)
            .all_lte(T::BlockWeights::get().max_block.div(2));
        if fits {
            frame_system::Pallet::<T>::register_extra_weight_unchecked(
                weight,
                DispatchClass::Mandatory,
            );
        }
        fits
    }

    /// The weight of the transitions that fit into `room`.
    pub(crate) fn weight_of(room: Room) -> Weight {
        Self::weight_of_transition(0)
            .saturating_mul(room.transitions.into())
            .saturating_add(Self::weight_of_transition(room.agents))
    }

    /// The weight of the heaviest transition of a round with `agents` agents.
    pub(crate) fn weight_of_transition(agents: u32) -> Weight {
        T::WeightInfo::begin_revealing(agents)
            .max(T::WeightInfo::assign(agents))
            .max(T::WeightInfo::settle(agents))
            .max(T::WeightInfo::rate(agents))
    }

    /// The weight of the end of a round in its first phase, with as many commits as there may be.
    pub fn weight_of_ending() -> Weight {
        T::WeightInfo::settle(T::MaxResponses::get())
    }

    /// Stores the randomness after the last block in the rounds that wait for it.
    pub(crate) fn note_randomness() {
        let waiting = Undrawn::<T>::take();
        if waiting.is_empty() {
            return;
        }
        let value = T::Randomness::value();
        for id in waiting {
            Rounds::<T>::mutate_extant(id, |round| match round.phase {
                Phase::Committing => round.request_randomness = Some(value),
                _ => round.commit_randomness = Some(value),
            });
        }
    }

    /// Records the author of this block. If there is no room, the author whose last block is oldest
    /// is forgotten.
    pub(crate) fn do_note_author(author: T::AccountId) {
        let at = Self::now();
        Authors::<T>::mutate(|authors| {
            if let Some(known) = authors.iter_mut().find(|known| known.author == author) {
                known.at = at;
                return;
            }
            if authors.is_full() {
                let oldest = authors.iter().enumerate().min_by_key(|(_, known)| known.at);
                if let Some(place) = oldest.map(|(place, _)| place) {
                    authors.swap_remove(place);
                }
            }
            let _ = authors.try_push(Authored { author, at });
        });
    }

    fn authored() -> LastBlocks {
        let authors: BTreeMap<_, _> = Authors::<T>::get()
            .into_iter()
            .map(|known| (known.author, known.at))
            .collect();
        let authorities = T::Authorities::validators();
        let blocks = authorities
            .iter()
            .filter_map(|authority| authors.get(authority).copied());
        LastBlocks {
            blocks: blocks.collect(),
            authorities: u32::try_from(authorities.len()).unwrap_or(u32::MAX),
        }
    }
}

/// The last blocks of the present authorities.
struct LastBlocks {
    blocks: Vec<BlockNumber>,
    authorities: u32,
}

impl LastBlocks {
    /// Whether the deadline of a phase that began with the end of `since` counts.
    fn is_past(&self, now: BlockNumber, at: BlockNumber, since: BlockNumber) -> bool {
        let authored = self.blocks.iter().filter(|block| **block > since).count();
        let authored = u32::try_from(authored).unwrap_or(u32::MAX);
        deadline::passed(now, at, authored, self.authorities)
    }
}
