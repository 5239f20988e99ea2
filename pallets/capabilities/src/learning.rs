// SPDX-License-Identifier: Apache-2.0
//! Lessons of a known answer about the agents of its round.

use alloc::{collections::BTreeMap, vec::Vec};
use frame_support::traits::Get;
use sp_runtime::Permill;
use starling_primitives::{
    choice::{key_of, pairs, Form, Known},
    fixed::share,
    traits::Answered,
    Position, Score, H256,
};

use crate::{Capabilities, Config, Examiners, Pallet};

/// Lessons of an answer with these right keys about each agent of a round.
pub fn known<AccountId>(
    keys: &[H256],
    chance: Permill,
    answers: &[Answered<AccountId>],
) -> Vec<Known> {
    let chance = share(chance);
    let given: BTreeMap<Position, Option<H256>> = answers
        .iter()
        .map(|answer| (answer.position, key_of(&answer.text)))
        .collect();
    answers
        .iter()
        .map(|answer| {
            let own = given.get(&answer.position).copied().flatten();
            let scored: Vec<(Option<H256>, Score)> = answer
                .scores
                .iter()
                .filter_map(|(author, score)| Some((*given.get(author)?, *score)))
                .collect();
            Known {
                is_right: own.is_some_and(|own| keys.contains(&own)),
                chance,
                pairs: pairs(keys, &scored),
            }
        })
        .collect()
}

impl<T: Config> Pallet<T> {
    /// Lets the agents of a round learn from its known answer. Returns their number.
    ///
    /// Examiners' own agents learn nothing: they may know all answers. Neither do agents to which
    /// this examiner gave one of their last answers.
    pub(crate) fn learn(
        examiner: &T::AccountId,
        form: Form,
        keys: &[H256],
        chance: Permill,
        answers: &[Answered<T::AccountId>],
    ) -> u32 {
        let examiners = Examiners::<T>::get();
        let others = u32::try_from(examiners.len()).unwrap_or(u32::MAX);
        let spacing = T::Spacing::get().min(others.saturating_sub(1));
        let (now, idle) = (Self::now(), T::IdlePeriod::get());
        let mut agents: u32 = 0;
        for (answer, known) in answers.iter().zip(known(keys, chance, answers)) {
            if examiners.contains(&answer.agent) {
                continue;
            }
            let mut record = Capabilities::<T>::get(&answer.agent, form).unwrap_or_default();
            if record.is_recent(examiner, spacing) {
                continue;
            }
            record.learn(&known, examiner, now, idle);
            Capabilities::<T>::insert(&answer.agent, form, record);
            agents = agents.saturating_add(1);
        }
        agents
    }
}
