// SPDX-License-Identifier: Apache-2.0
//! Implementation of the calls.

use alloc::collections::BTreeSet;
use frame_support::pallet_prelude::*;
use sp_runtime::Permill;
use starling_primitives::{
    choice::{commitment, leaf, Form},
    traits::{Requests, Treasury},
    RoundId, Salt, H256,
};

use crate::{Config, Error, Event, Examiners, Pallet, Pool, Question, Questions, Traffic, Used};

impl<T: Config> Pallet<T> {
    /// Stores what a new round was asked with, and counts the requests of examiners.
    pub(crate) fn note_question(
        requester: &T::AccountId,
        round: RoundId,
        form: Form,
        commitment: H256,
    ) {
        Self::insert_question(round, form, commitment);
        if Examiners::<T>::get().contains(requester) {
            Traffic::<T>::mutate(requester, |traffic| *traffic = traffic.asking());
        }
    }

    /// Stores what a new round was asked with.
    pub(crate) fn insert_question(round: RoundId, form: Form, commitment: H256) {
        let question = Question {
            form,
            commitment,
            revealed: false,
        };
        Questions::<T>::insert(round, question);
        Self::deposit_event(Event::Asked { round, form });
    }

    /// Returns the number of responses of the round.
    pub(crate) fn do_reveal_answer(
        examiner: &T::AccountId,
        id: RoundId,
        index: u32,
        keys: &[H256],
        chance: Permill,
        salt: &Salt,
        proof: &[H256],
    ) -> Result<u32, DispatchError> {
        // The cheap checks come first, and the reading of all texts last.
        let is_examiner = Examiners::<T>::get().contains(examiner);
        ensure!(is_examiner, Error::<T>::NotExaminer);
        let question = Questions::<T>::get(id).ok_or(Error::<T>::UnknownQuestion)?;
        ensure!(!question.revealed, Error::<T>::AlreadyRevealed);
        ensure!(question.form.is_counted(), Error::<T>::FreeForm);
        let opened = commitment(Self::genesis(), examiner, index, keys, salt);
        ensure!(
            opened == question.commitment,
            Error::<T>::CommitmentMismatch
        );
        let traffic = Traffic::<T>::get(examiner)
            .revealing()
            .ok_or(Error::<T>::TooManyReveals)?;
        let pool = Pool::<T>::get().ok_or(Error::<T>::NoPool)?;
        let place = (pool.root, index);
        ensure!(!Used::<T>::contains_key(place), Error::<T>::QuestionUsed);
        let round = T::Requests::concluded(id).ok_or(Error::<T>::NotConcluded)?;
        ensure!(round.requester == *examiner, Error::<T>::NotRequester);
        let last = round.ended_at.saturating_add(T::AnswerWindow::get());
        ensure!(Self::now() <= last, Error::<T>::TooLate);
        let leaf = leaf(index, &round.prompt, question.form, chance, keys);
        ensure!(pool.has(index, leaf, proof), Error::<T>::WrongProof);

        Traffic::<T>::insert(examiner, traffic);
        Used::<T>::insert(place, ());
        let revealed = Question {
            revealed: true,
            ..question
        };
        Questions::<T>::insert(id, revealed);
        let agents = Self::learn(examiner, question.form, keys, chance, &round.answers);
        let refund = round.paid.min(T::MaxRefund::get());
        let owed = refund.saturating_add(T::Premium::get());
        let paid = T::Treasury::pay(examiner, owed);
        Self::deposit_event(Event::AnswerRevealed {
            round: id,
            examiner: examiner.clone(),
            index,
            agents,
            paid,
        });
        Ok(u32::try_from(round.answers.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn do_set_examiners(
        examiners: BoundedVec<T::AccountId, T::MaxExaminers>,
    ) -> DispatchResult {
        let distinct: BTreeSet<_> = examiners.iter().collect();
        ensure!(
            distinct.len() == examiners.len(),
            Error::<T>::DuplicateExaminer
        );
        for left in Examiners::<T>::get() {
            if !distinct.contains(&left) {
                Traffic::<T>::remove(&left);
            }
        }
        Examiners::<T>::put(&examiners);
        Self::deposit_event(Event::ExaminersSet { examiners });
        Ok(())
    }
}
