// SPDX-License-Identifier: Apache-2.0
//! Invariants between blocks.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::DispatchError;
use starling_primitives::{
    traits::{AgentRegistry, Tickets},
    Balance, RoundId,
};

use crate::{
    Absent, Agenda, CommittingRounds, Config, Counts, Draws, Ended, EndedQueue, Entries,
    HoldReason, NextRound, Pallet, ParticipantOf, Participants, Phase, Prices, Prompts, Ranking,
    Requests, Response, Responses, Resting, RoundOf, Rounds, Sealed, Void, VoidQueue,
};

impl<T: Config> Pallet<T> {
    /// Checks the invariants of rounds between blocks. Native only.
    pub fn do_try_state() -> Result<(), DispatchError> {
        Self::try_agenda()?;
        Self::try_orphans()?;
        for (id, round) in Rounds::<T>::iter() {
            ensure!(id < NextRound::<T>::get(), "a round from the future");
            Self::try_round(id, &round)?;
        }
        Self::try_holds()?;
        Self::try_claims()?;
        ensure!(
            Resting::<T>::iter_keys().all(|who| T::Agents::is_active(&who)),
            "an agent rests that is not active"
        );
        Ok(())
    }

    /// Every stored round is once on the agenda or among the ended ones, and the lists are sorted.
    fn try_agenda() -> Result<(), DispatchError> {
        let agenda = Agenda::<T>::get();
        ensure!(
            agenda.windows(2).all(|two| matches!(two, [a, b] if a < b)),
            "unsorted agenda"
        );
        let open: BTreeSet<RoundId> = agenda.iter().map(|due| due.round).collect();
        ensure!(open.len() == agenda.len(), "a round is on the agenda twice");

        let queue = EndedQueue::<T>::get();
        let mut ended: Vec<RoundId> = (queue.head..queue.tail)
            .filter_map(Ended::<T>::get)
            .collect();
        ensure!(
            ended.len() as u64 == queue.len() && ended.len() == Ended::<T>::iter().count(),
            "the queue of ended rounds has holes"
        );
        let queue = VoidQueue::<T>::get();
        let void: Vec<RoundId> = (queue.head..queue.tail)
            .filter_map(Void::<T>::get)
            .collect();
        ensure!(
            void.len() as u64 == queue.len() && void.len() == Void::<T>::iter().count(),
            "the queue of void rounds has holes"
        );
        ended.extend(void);
        let stored: BTreeSet<RoundId> = Rounds::<T>::iter_keys().collect();
        let listed: BTreeSet<RoundId> = open.iter().chain(&ended).copied().collect();
        ensure!(stored == listed, "stored rounds and listed ones differ");
        ensure!(
            listed.len() == open.len().saturating_add(ended.len()),
            "a round is listed twice"
        );
        for id in ended {
            let over = Rounds::<T>::get(id).is_some_and(|round| round.phase.is_final());
            ensure!(over, "an open round has ended");
        }

        let committing: Vec<RoundId> = stored
            .into_iter()
            .filter(|id| Rounds::<T>::get(id).is_some_and(|it| it.phase == Phase::Committing))
            .collect();
        ensure!(
            CommittingRounds::<T>::get().into_inner() == committing,
            "the rounds in Committing are not those on the list"
        );
        ensure!(
            Prices::<T>::iter_keys().all(|id| committing.contains(&id)),
            "a payment of a round that is not in Committing"
        );
        Ok(())
    }

    /// Nothing belongs to a round that is not stored.
    fn try_orphans() -> Result<(), DispatchError> {
        let is_stored = |id: RoundId| Rounds::<T>::contains_key(id);
        ensure!(
            Prompts::<T>::iter_keys().all(is_stored),
            "a prompt without a round"
        );
        ensure!(
            Participants::<T>::iter_keys().all(|(id, _)| is_stored(id))
                && Absent::<T>::iter_keys().all(|(id, _)| is_stored(id))
                && Draws::<T>::iter_keys().all(|(id, _)| is_stored(id))
                && Sealed::<T>::iter_keys().all(|(id, _)| is_stored(id))
                && Responses::<T>::iter_keys().all(|(id, _)| is_stored(id))
                && Entries::<T>::iter_keys().all(|(id, _)| is_stored(id)),
            "an item without a round"
        );
        Ok(())
    }

    /// The counts of an open round match its entries. The entries of a finished round may be purged
    /// in part.
    fn try_round(id: RoundId, round: &RoundOf<T>) -> Result<(), DispatchError> {
        if round.phase.is_final() {
            return Ok(());
        }
        ensure!(
            Prompts::<T>::contains_key(id),
            "an open round without a prompt"
        );
        let mut counts = Counts {
            heard: round.counts.heard,
            ..Default::default()
        };
        for (agent, participant) in Participants::<T>::iter_prefix(id) {
            ensure!(
                !Absent::<T>::contains_key(id, &agent),
                "both in the round and absent"
            );
            ensure!(
                agent != round.requester,
                "the requester is in its own round"
            );
            Self::try_participant(id, &agent, &participant, &mut counts)?;
        }
        ensure!(counts == round.counts, "the counts of a round are wrong");
        ensure!(
            counts.commits <= round.terms.max_responses,
            "more commits than places"
        );
        ensure!(
            Draws::<T>::iter_key_prefix(id).count() == counts.commits as usize,
            "a draw for each commit"
        );
        let entries = Entries::<T>::iter_prefix(id).count();
        let expected = if round.seed.is_some() {
            counts.valid as usize
        } else {
            0
        };
        ensure!(entries == expected, "an entry for each valid response");
        ensure!(
            round.seed.is_some() == (round.phase >= Phase::Ranking),
            "a seed from Ranking on"
        );
        Ok(())
    }

    fn try_participant(
        id: RoundId,
        agent: &T::AccountId,
        participant: &ParticipantOf<T>,
        counts: &mut Counts,
    ) -> Result<(), DispatchError> {
        counts.commits = counts.commits.saturating_add(1);
        let (sealed, open) = (
            Sealed::<T>::contains_key(id, agent),
            Responses::<T>::contains_key(id, agent),
        );
        let expected = match &participant.response {
            Response::Sealed => (true, false),
            Response::Spoiled => {
                counts.spoiled_responses = counts.spoiled_responses.saturating_add(1);
                (false, false)
            },
            Response::Valid { .. } => {
                counts.valid = counts.valid.saturating_add(1);
                (false, true)
            },
        };
        ensure!(
            (sealed, open) == expected,
            "a response is sealed, open or spoiled"
        );
        if participant.ranking != Ranking::None {
            counts.score_commits = counts.score_commits.saturating_add(1);
        }
        match participant.ranking {
            Ranking::None | Ranking::Committed(_) => {},
            Ranking::Spoiled => {
                counts.spoiled_scores = counts.spoiled_scores.saturating_add(1);
            },
            Ranking::Disclosed(_) => counts.disclosures = counts.disclosures.saturating_add(1),
        }
        Ok(())
    }

    /// The requesters' held funds match the rounds, and the fee of a finished round is gone.
    fn try_holds() -> Result<(), DispatchError> {
        let mut held: BTreeMap<T::AccountId, (Balance, Balance)> = BTreeMap::new();
        let mut open: BTreeMap<T::AccountId, u32> = BTreeMap::new();
        for round in Rounds::<T>::iter_values() {
            let requester = round.requester.clone();
            let (fee, deposit) = held.entry(round.requester).or_default();
            if !round.phase.is_final() {
                let count = open.entry(requester).or_default();
                *count = count.saturating_add(1);
                *fee = fee.saturating_add(round.terms.fee);
            }
            *deposit = deposit.saturating_add(round.terms.deposit);
        }
        ensure!(
            Requests::<T>::iter().collect::<BTreeMap<_, _>>() == open,
            "the counts of open rounds are wrong"
        );
        for (who, (fee, deposit)) in held {
            let on_hold = |reason: HoldReason| T::Currency::balance_on_hold(&reason.into(), &who);
            ensure!(
                on_hold(HoldReason::Fee) == fee,
                "fees on hold are not those of open rounds"
            );
            ensure!(
                on_hold(HoldReason::Deposit) == deposit,
                "deposits on hold are not those of stored rounds"
            );
        }
        Ok(())
    }

    /// The claims of open rounds on the agents' bonds and tickets match the reserved and staked
    /// amounts.
    fn try_claims() -> Result<(), DispatchError> {
        let mut claims: BTreeMap<T::AccountId, (u32, Balance, Balance)> = BTreeMap::new();
        for (id, agent) in Participants::<T>::iter_keys() {
            let Some(round) = Rounds::<T>::get(id) else {
                continue;
            };
            let (rounds, slash, tickets) = claims.entry(agent).or_default();
            if !round.phase.is_final() {
                *rounds = rounds.saturating_add(1);
                *slash = slash.saturating_add(round.terms.slash);
                *tickets = tickets.saturating_add(round.terms.ticket);
            }
        }
        for (agent, (rounds, slash, tickets)) in claims {
            ensure!(
                T::Agents::reservations(&agent) == (rounds, slash),
                "reservations without a claim, or claims without a reservation"
            );
            ensure!(
                T::Tickets::staked(&agent) == tickets,
                "staked tickets without a claim"
            );
        }
        Ok(())
    }
}
