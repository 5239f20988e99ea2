// SPDX-License-Identifier: Apache-2.0
//! Implementation of [`starling_primitives::api::CapabilitiesApi`].

use alloc::vec::Vec;
use frame_support::traits::Get;
use starling_primitives::{
    api::{CapabilityView, OutcomeView, QuestionView},
    choice::{Form, Votes, Weights},
    RoundId,
};

use crate::{Capabilities, Chosen, Config, Outcomes, Pallet, Questions, Record};

impl<T: Config> Pallet<T> {
    /// The question of a stored round.
    pub fn question(round: RoundId) -> Option<QuestionView> {
        let question = Questions::<T>::get(round)?;
        Some(QuestionView {
            form: question.form,
            commitment: question.commitment,
            revealed: question.revealed,
        })
    }

    /// The outcome of a stored round.
    pub fn outcome(round: RoundId) -> Option<OutcomeView> {
        let summary = Outcomes::<T>::get(round)?;
        Some(OutcomeView {
            is_voted: summary.is_voted,
            votes: summary.votes,
            responses: summary.responses,
            share_of_votes: summary.share_of_votes,
            share_of_weight: summary.share_of_weight,
        })
    }

    /// The record of an agent as of now. The weights are those of the present choice, or of the
    /// default one by votes where the chain chooses as the paper does.
    pub fn capabilities(who: &T::AccountId) -> Vec<CapabilityView> {
        let votes = Chosen::<T>::get().votes();
        let mut views: Vec<_> = Capabilities::<T>::iter_prefix(who)
            .map(|(form, record)| Self::view(form, &record, &votes))
            .collect();
        views.sort_unstable_by_key(|view| view.form);
        views
    }

    fn view(form: Form, record: &Record<T::AccountId>, votes: &Votes) -> CapabilityView {
        let capability = record.as_of(Self::now(), T::IdlePeriod::get());
        let Weights {
            ranker,
            author,
            is_proven,
        } = capability.weights(votes);
        CapabilityView {
            form,
            rounds: capability.rounds,
            right: capability.right,
            answers: capability.answers,
            ranker,
            author,
            is_proven,
        }
    }
}
