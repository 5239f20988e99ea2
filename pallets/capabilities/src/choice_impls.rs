// SPDX-License-Identifier: Apache-2.0
//! The choice of a round's best response.

use frame_support::traits::Get;
use starling_primitives::{
    choice::{self, key_of, Capability, Form, Voter, Voters, Votes},
    selection::Tally,
    traits::{self, ChoiceInput},
    RoundId, H256,
};

use crate::{Capabilities, Chosen, Config, Event, Outcomes, Pallet, Questions, Summary};

impl<T: Config> traits::Choice<T::AccountId> for Pallet<T> {
    fn best(input: &ChoiceInput<T::AccountId>) -> Option<(T::AccountId, Tally)> {
        let counted = input.has_room.then(|| Self::counted_form(input.round));
        let (Some(form), choice::Choice::Votes(votes)) = (counted.flatten(), Chosen::<T>::get())
        else {
            return input.by_scores();
        };
        let voters = Self::voters(input, form, &votes);
        let outcome = choice::Choice::Votes(votes).of_voters(input.seed, form, &voters)?;
        let summary = Summary::from(&outcome);
        Outcomes::<T>::insert(input.round, summary);
        Self::deposit_event(Event::Chosen {
            round: input.round,
            best: outcome.winner.clone(),
            outcome: summary,
        });
        Some((outcome.winner, outcome.tally))
    }

    fn is_counted(round: RoundId) -> bool {
        Self::counted_form(round).is_some()
    }

    fn forget(round: RoundId) {
        Questions::<T>::remove(round);
        Outcomes::<T>::remove(round);
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn declare(round: RoundId, form: Form) {
        Chosen::<T>::put(choice::Choice::Votes(Votes {
            proof: 0,
            rankers: 0,
            authors: 0,
            ..Votes::default()
        }));
        let question = crate::Question {
            form,
            commitment: Default::default(),
            revealed: false,
        };
        Questions::<T>::insert(round, question);
    }
}

impl<T: Config> traits::KnownAnswers<T::AccountId> for Pallet<T> {
    fn choice() -> choice::Choice {
        Chosen::<T>::get()
    }

    fn known(who: &T::AccountId) -> choice::Capabilities {
        choice::Capabilities::read(|form| Self::known_in(who, form))
    }

    fn note(round: RoundId, form: Form, commitment: H256) {
        Self::insert_question(round, form, commitment);
    }
}

impl<T: Config> Pallet<T> {
    /// The form of a round's answers, if they are counted.
    fn counted_form(round: RoundId) -> Option<Form> {
        let form = Questions::<T>::get(round)?.form;
        form.is_counted().then_some(form)
    }

    fn voters(
        input: &ChoiceInput<T::AccountId>,
        form: Form,
        votes: &Votes,
    ) -> Voters<T::AccountId> {
        let voter = |ranked: &traits::Ranked<T::AccountId>| Voter {
            agent: ranked.agent.clone(),
            tally: ranked.tally,
            key: key_of(&(input.text)(&ranked.agent)),
            weights: Self::known_in(&ranked.agent, form).weights(votes),
            scores: (input.scores)(&ranked.agent),
        };
        let ranked = input.responses.iter();
        ranked.map(|it| (it.position, voter(it))).collect()
    }

    /// The record of an agent in a form as of now.
    fn known_in(who: &T::AccountId, form: Form) -> Capability {
        let record = Capabilities::<T>::get(who, form).unwrap_or_default();
        record.as_of(Self::now(), T::IdlePeriod::get())
    }
}
