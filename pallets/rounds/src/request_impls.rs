// SPDX-License-Identifier: Apache-2.0
//! Requests by other pallets, and what they read of rounds.

use alloc::vec::Vec;
use frame_support::traits::Get;
use sp_runtime::DispatchError;
use starling_primitives::{
    traits::{self, Answered, Concluded, Rewards as _},
    Balance, Position, RoundId, Score,
};

use crate::{
    BlockNumber, Config, Entries, Entry, Failure, Pallet, Participants, Phase, Prompts, Ranking,
    Responses, Rounds, Undrawn,
};

impl<T: Config> Pallet<T> {
    /// The scores that an agent disclosed in a round; `None` if it disclosed none.
    pub(crate) fn disclosed_scores(
        id: RoundId,
        agent: &T::AccountId,
    ) -> Option<Vec<(Position, Score)>> {
        match Participants::<T>::get(id, agent)?.ranking {
            Ranking::Disclosed(scores) => Some(scores.into_inner()),
            Ranking::None | Ranking::Committed(_) | Ranking::Spoiled => None,
        }
    }

    /// The text of an agent's valid response in a round.
    pub(crate) fn text_of(id: RoundId, agent: &T::AccountId) -> Vec<u8> {
        let text = Responses::<T>::get(id, agent);
        text.unwrap_or_default().into_inner()
    }
}

impl<T: Config> traits::Requests<T::AccountId> for Pallet<T> {
    fn request(
        requester: T::AccountId,
        prompt: Vec<u8>,
        fee: Balance,
        max_tokens: u32,
        min_responses: u32,
        max_responses: u32,
    ) -> Result<RoundId, DispatchError> {
        Self::do_request(
            requester,
            prompt,
            fee,
            max_tokens,
            min_responses,
            max_responses,
        )
    }

    fn concluded(id: RoundId) -> Option<Concluded<T::AccountId>> {
        let round = Rounds::<T>::get(id)?;
        let fee = round.terms.fee;
        let paid = match round.phase {
            Phase::Done => fee,
            Phase::Failed(Failure::BelowThreshold) => {
                fee.saturating_sub(T::Rewards::failure_refund(fee))
            },
            _ => return None,
        };
        let answers = Entries::<T>::iter_prefix(id)
            .map(|(position, Entry { agent, .. })| Answered {
                position,
                text: Self::text_of(id, &agent),
                scores: Self::disclosed_scores(id, &agent).unwrap_or_default(),
                agent,
            })
            .collect();
        Some(Concluded {
            requester: round.requester,
            prompt: Prompts::<T>::get(id).unwrap_or_default().into_inner(),
            paid,
            ended_at: round.since,
            answers,
        })
    }

    fn is_committing(id: RoundId) -> bool {
        Self::round_in(id, Phase::Committing).is_ok()
    }

    fn withdraw(id: RoundId) -> bool {
        let Ok(round) = Self::round_in(id, Phase::Committing) else {
            return false;
        };
        Undrawn::<T>::mutate(|waiting| waiting.retain(|other| *other != id));
        Self::fail(id, round, Failure::TooFewCommits);
        Self::leave_committing(id);
        true
    }

    fn is_stored(id: RoundId) -> bool {
        Rounds::<T>::contains_key(id)
    }

    fn retention() -> BlockNumber {
        T::RetentionPeriod::get()
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn requester() -> (T::AccountId, Balance, u32) {
        crate::benchmarking::requester::<T>()
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn conclude(requester: &T::AccountId, prompt: Vec<u8>, answers: u32) -> RoundId {
        crate::benchmarking::conclude::<T>(requester, prompt, answers)
    }
}
