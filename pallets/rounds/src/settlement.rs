// SPDX-License-Identifier: Apache-2.0
//! The settlement of a round, to the last unit. Never fails.

use alloc::{collections::BTreeMap, vec::Vec};
use frame_support::traits::{
    fungible::hold::{Balanced as _, Mutate as _},
    tokens::{imbalance::Imbalance, Precision},
    Get,
};
use starling_primitives::{
    agreement, rating, rewards,
    selection::Tally,
    traits::{AgentRegistry, Rewards as _, Tickets},
    Balance, Position, RoundId,
};

use crate::{
    Config, CreditOf, Entries, Event, Failure, HoldReason, Pallet, ParticipantOf, Participants,
    Phase, Ranking, Response, RoundOf, Settlement, LOG_TARGET,
};

impl<T: Config> Pallet<T> {
    /// Makes all payments of a finished round. Returns the spread of its responses' means.
    pub(crate) fn settle(id: RoundId, round: &RoundOf<T>) -> u64 {
        let tallies: BTreeMap<Position, Tally> = Entries::<T>::iter_prefix(id)
            .map(|(place, entry)| (place, entry.tally))
            .collect();
        let mut settlement = Settlement::default();
        let mut forfeits = CreditOf::<T>::zero();
        let mut slashes = CreditOf::<T>::zero();
        let (mut delivered, mut rankers) = (Vec::new(), Vec::new());
        for (agent, participant) in Participants::<T>::iter_prefix(id) {
            if Self::has_delivered(round, &participant) {
                T::Agents::release(&agent, round.terms.slash);
                delivered.push(agent.clone());
            } else {
                slashes.subsume(T::Agents::slash_reserved(&agent, round.terms.slash));
            }
            let part = Self::forfeited_part(round, &agent, &participant);
            if part == 0 {
                T::Tickets::give_back(&agent, round.terms.ticket);
            } else {
                let forfeit = T::Tickets::forfeit(&agent, round.terms.ticket, part);
                settlement.forfeited = settlement.forfeited.saturating_add(forfeit.peek());
                forfeits.subsume(forfeit);
            }
            let points = Self::points(&participant, &tallies);
            if points > 0 {
                rankers.push((agent, points));
            }
        }
        settlement.slashed = slashes.peek();
        let losses = (forfeits, slashes);
        let settlement = Self::pay(round, settlement, losses, &delivered, &rankers);
        Self::deposit_event(Event::Settled {
            round: id,
            phase: round.phase,
            winner: round.winner.clone(),
            settlement,
        });
        rating::spread(tallies.values())
    }

    /// Splits the fee and the agents' losses, tickets and bonds, according to the outcome.
    fn pay(
        round: &RoundOf<T>,
        mut settlement: Settlement,
        (forfeits, slashes): (CreditOf<T>, CreditOf<T>),
        delivered: &[T::AccountId],
        rankers: &[(T::AccountId, u64)],
    ) -> Settlement {
        let fee = round.terms.fee;
        settlement.refunded = match round.phase {
            Phase::Done => 0,
            Phase::Failed(Failure::Outbid) => fee,
            Phase::Failed(Failure::TooFewCommits) => {
                fee.saturating_sub(T::CommitShare::get().mul_floor(fee))
            },
            Phase::Failed(Failure::TooFewReveals | Failure::NoRankings) => {
                Self::refund_if_withheld(fee, slashes.peek().saturating_add(forfeits.peek()))
            },
            _ => T::Rewards::failure_refund(fee).min(fee),
        };
        Self::return_to(&round.requester, HoldReason::Fee, settlement.refunded);
        let rest = Self::collect_fee(&round.requester, fee.saturating_sub(settlement.refunded));
        let paid = match (&round.winner, round.phase) {
            (Some(winner), _) => {
                T::Rewards::keep(slashes);
                T::Rewards::pay_winner(rest, forfeits, winner, rankers)
            },
            (None, Phase::Failed(Failure::BelowThreshold)) => {
                T::Rewards::keep(slashes);
                T::Rewards::pay_rankers(fee, rest, forfeits, rankers)
            },
            (None, Phase::Failed(Failure::Outbid)) => Default::default(),
            (None, _) => T::Rewards::pay_delivered(fee, rest, forfeits, slashes, delivered),
        };
        settlement.with(paid)
    }

    /// The part of a fee that goes back if agents that withheld keys or scores lost `lost`.
    pub(crate) fn refund_if_withheld(fee: Balance, lost: Balance) -> Balance {
        rewards::refund_if_withheld(T::Rewards::failure_refund(fee).min(fee), lost)
    }

    /// Whether an agent sent all that it owed: a valid response, and the assigned scores.
    fn has_delivered(round: &RoundOf<T>, participant: &ParticipantOf<T>) -> bool {
        let assigned = round.seed.is_some();
        match (round.phase, &participant.response) {
            (Phase::Failed(Failure::TooFewCommits | Failure::Outbid), _) => true,
            (_, Response::Sealed | Response::Spoiled) => false,
            (_, Response::Valid { .. }) => {
                !assigned || matches!(participant.ranking, Ranking::Disclosed(_))
            },
        }
    }

    /// The part of its ticket that an agent loses.
    fn forfeited_part(
        round: &RoundOf<T>,
        agent: &T::AccountId,
        participant: &ParticipantOf<T>,
    ) -> Balance {
        let ticket = round.terms.ticket;
        match (round.phase, &participant.response) {
            (Phase::Failed(Failure::TooFewCommits | Failure::Outbid), _) => 0,
            (_, Response::Sealed | Response::Spoiled) => ticket,
            (_, Response::Valid { .. }) if round.winner.as_ref() == Some(agent) => 0,
            (Phase::Done | Phase::Failed(Failure::BelowThreshold), Response::Valid { .. }) => {
                T::Rewards::loser_part(ticket).min(ticket)
            },
            (_, Response::Valid { .. }) => 0,
        }
    }

    /// Points of a ranker: `Rating · max(0, 2c − 1)`; 0 if it has no weight or disclosed nothing.
    fn points(participant: &ParticipantOf<T>, tallies: &BTreeMap<Position, Tally>) -> u64 {
        let (Response::Valid { rating, weight, .. }, Ranking::Disclosed(scores)) =
            (&participant.response, &participant.ranking)
        else {
            return 0;
        };
        if *weight == 0 {
            return 0;
        }
        let scored: Vec<_> = scores
            .iter()
            .filter_map(|(response, score)| Some((*score, *tallies.get(response)?)))
            .collect();
        agreement::points(*rating, agreement::agreement(*weight, &scored))
    }

    /// Takes a part of the fee that is on hold.
    fn collect_fee(requester: &T::AccountId, amount: Balance) -> CreditOf<T> {
        let (credit, missing) = T::Currency::slash(&HoldReason::Fee.into(), requester, amount);
        if missing > 0 {
            log::error!(target: LOG_TARGET, "a fee on hold lacks {missing}");
        }
        credit
    }

    /// Gives back a held amount.
    pub(crate) fn return_to(who: &T::AccountId, reason: HoldReason, amount: Balance) {
        let released = T::Currency::release(&reason.into(), who, amount, Precision::Exact);
        if let Err(error) = released {
            log::error!(target: LOG_TARGET, "{amount} on hold cannot be released: {error:?}");
        }
    }
}
