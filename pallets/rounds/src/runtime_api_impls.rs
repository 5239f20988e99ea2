// SPDX-License-Identifier: Apache-2.0
//! Implementation of [`starling_primitives::api::RoundsApi`], except for `submit`.

use alloc::vec::Vec;
use starling_primitives::{
    api::{AgentView, Owed, ResponseView, RoundAnswer, RoundView, Task},
    assignment::Assignment,
    sealing::Format,
    traits::{AgentRegistry, Ratings, Rewards, Tickets},
    Balance, RoundId,
};

use crate::{
    Agenda, Config, Entries, Error, Pallet, ParticipantOf, Participants, Phase, Prompts, Ranking,
    Response, Responses, RoundOf, Rounds,
};

impl<T: Config> Pallet<T> {
    /// The open rounds; the next one to change its phase comes first.
    pub fn open_rounds() -> Vec<RoundId> {
        Agenda::<T>::get()
            .into_iter()
            .map(|due| due.round)
            .filter(|id| Rounds::<T>::get(id).is_some_and(|round| !round.phase.is_final()))
            .collect()
    }

    /// All public data about a stored round.
    pub fn round_view(id: RoundId) -> Option<RoundView<T::AccountId>> {
        let round = Rounds::<T>::get(id)?;
        let responses = Participants::<T>::iter_prefix(id)
            .map(|(agent, participant)| Self::response_view(id, agent, participant))
            .collect();
        let prompt = Prompts::<T>::get(id).unwrap_or_default().into_inner();
        Some(RoundView {
            id,
            prompt,
            round,
            responses,
        })
    }

    /// The tasks of an agent in all rounds.
    pub fn owed(agent: &T::AccountId) -> Vec<Owed<T::AccountId>> {
        Self::open_rounds()
            .into_iter()
            .filter_map(|id| {
                let round = Rounds::<T>::get(id)?;
                let task = Self::task(id, &round, agent)?;
                Some(Owed {
                    round: id,
                    deadline: round.deadline,
                    since: round.since,
                    task,
                })
            })
            .collect()
    }

    /// An agent's record on chain.
    pub fn agent_view(who: &T::AccountId) -> Option<AgentView> {
        let key = T::Agents::inference_key(who)?;
        let (open_rounds, reserved) = T::Agents::reservations(who);
        Some(AgentView {
            key,
            active: T::Agents::is_active(who),
            bond: T::Agents::bond(who),
            open_rounds,
            reserved,
            staked_tickets: T::Tickets::staked(who),
            rating: T::Ratings::rating(who),
            weight: T::Ratings::weight(who),
        })
    }

    /// The price of a ticket of a round with this fee.
    pub fn ticket_price(fee: Balance) -> Balance {
        T::Tickets::price(T::Rewards::reward(fee))
    }

    /// The costs of a request besides its fee: the burnt amount, at the present price of a slot,
    /// and the deposit.
    pub fn request_cost(max_responses: u32) -> (Balance, Balance) {
        (
            Self::request_fee(max_responses, T::Agents::active_count())
                .saturating_add(Self::slot_price()),
            Self::deposit_of(max_responses),
        )
    }

    /// The answer of a stored round.
    pub fn answer(id: RoundId) -> Option<RoundAnswer<T::AccountId>> {
        let round = Rounds::<T>::get(id)?;
        let text = round
            .winner
            .as_ref()
            .and_then(|winner| Responses::<T>::get(id, winner));
        Some(RoundAnswer {
            phase: round.phase,
            agent: round.winner,
            text: text.map(|text| text.into_inner()),
        })
    }

    /// The task of an agent in a round, if it has one.
    pub(crate) fn task(
        id: RoundId,
        round: &RoundOf<T>,
        agent: &T::AccountId,
    ) -> Option<Task<T::AccountId>> {
        let participant = Participants::<T>::get(id, agent);
        match (round.phase, participant) {
            (Phase::Committing, None) => {
                // Right after the block of the request it is too early for a commit, but not for
                // the work.
                if let Ok(_) | Err(Error::TooEarly) = Self::check_commit(id, agent, &[0]) {
                    return Some(Task::Respond {
                        prompt: Self::prompt(id),
                        max_tokens: round.terms.max_tokens,
                        fee: round.terms.fee,
                        slash: round.terms.slash,
                        max_bytes: Self::max_bytes_of(round),
                        format: Format::Padded,
                    });
                }
                Self::check_pass(id, agent).is_ok().then_some(Task::Pass)
            },
            (Phase::Revealing, Some(them)) => {
                (them.response == Response::Sealed).then_some(Task::Reveal)
            },
            (Phase::Ranking, Some(them)) => Self::rank_task(id, round, &them),
            (Phase::Disclosing, Some(them)) => match (them.ranking, round.seed) {
                (Ranking::Committed(_), Some(seed)) => Some(Task::Disclose { seed }),
                _ => None,
            },
            _ => None,
        }
    }

    fn rank_task(
        id: RoundId,
        round: &RoundOf<T>,
        participant: &ParticipantOf<T>,
    ) -> Option<Task<T::AccountId>> {
        let (Response::Valid { position, .. }, Ranking::None, Some(seed)) =
            (&participant.response, &participant.ranking, round.seed)
        else {
            return None;
        };
        let responses = Assignment::new(seed, round.counts.valid, round.rankings)
            .responses(*position)
            .into_iter()
            .filter_map(|place| {
                let agent = Entries::<T>::get(id, place)?.agent;
                let text = Responses::<T>::get(id, &agent)?.into_inner();
                Some((place, agent, text))
            })
            .collect();
        Some(Task::Rank {
            prompt: Self::prompt(id),
            seed,
            responses,
            max_tokens: round.terms.max_tokens,
        })
    }

    fn prompt(id: RoundId) -> Vec<u8> {
        Prompts::<T>::get(id).unwrap_or_default().into_inner()
    }

    fn response_view(
        id: RoundId,
        agent: T::AccountId,
        participant: ParticipantOf<T>,
    ) -> ResponseView<T::AccountId> {
        let assigned = Rounds::<T>::get(id).is_some_and(|round| round.seed.is_some());
        let (position, rating, weight) = match participant.response {
            Response::Valid {
                position,
                rating,
                weight,
                ..
            } if assigned => (Some(position), Some(rating), Some(weight)),
            _ => (None, None, None),
        };
        let entry = position.and_then(|position| Entries::<T>::get(id, position));
        ResponseView {
            text: Responses::<T>::get(id, &agent).map(|text| text.into_inner()),
            spoiled: participant.response == Response::Spoiled,
            position,
            rating,
            weight,
            tally: entry.map(|entry| entry.tally),
            scores: match participant.ranking {
                Ranking::Disclosed(scores) => Some(scores.into_inner()),
                _ => None,
            },
            agent,
        }
    }
}
