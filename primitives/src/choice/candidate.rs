// SPDX-License-Identifier: Apache-2.0
//! Responses that give one answer, and the choice among answers.

use alloc::{collections::BTreeMap, vec::Vec};
use core::cmp::Reverse;

use codec::Encode;
use sp_core::H256;

use super::{Form, Odds, Response};
use crate::{
    fixed::{ln, ONE},
    selection::{best, tie_break},
};

/// Added to the weight of votes, so that an answer without any can win by its scores: 0.001.
const SMALL: u64 = ONE / 1_000;

/// Number of rankers of other answers from which on those with the answer itself do not count.
const OTHERS: u32 = 3;

/// The responses that give one answer.
pub struct Candidate<'a, AccountId>(Vec<&'a Response<AccountId>>);

/// A candidate and its response that would win.
pub type Chosen<'c, 'a, AccountId> = (&'c Candidate<'a, AccountId>, &'a Response<AccountId>);

/// One candidate for each key, and one for each response without a key. Answers in free form have
/// no keys.
pub fn candidates<AccountId>(
    form: Form,
    responses: &[Response<AccountId>],
) -> Vec<Candidate<'_, AccountId>> {
    let mut candidates: BTreeMap<_, Vec<&Response<AccountId>>> = BTreeMap::new();
    for (index, response) in responses.iter().enumerate() {
        let key = response.key.filter(|_| form.is_counted());
        let own = if key.is_some() { 0 } else { index };
        candidates.entry((key, own)).or_default().push(response);
    }
    candidates.into_values().map(Candidate).collect()
}

/// The response with the greatest weighted mean of scores by ratings, equation (3).
pub fn by_scores<'c, 'a, AccountId: Encode + PartialEq>(
    seed: H256,
    candidates: &'c [Candidate<'a, AccountId>],
) -> Option<Chosen<'c, 'a, AccountId>> {
    let mut all = candidates.iter().flat_map(|candidate| {
        let responses = candidate.0.iter();
        responses.map(move |response| (candidate, *response))
    });
    let scored = all
        .clone()
        .map(|(_, response)| (&response.agent, response.tally));
    let (winner, _) = best(seed, scored)?;
    all.find(|(_, response)| response.agent == *winner)
}

/// `argmax_a ln(V_a + 0.001) + S_a`, and of that answer the response with the greatest weighted
/// mean of scores. Only answers with an eligible response can win. Ties go to the lowest
/// [`tie_break`] of the responses.
pub fn by_votes<'c, 'a, AccountId: Encode + PartialEq>(
    seed: H256,
    counted: u32,
    candidates: &'c [Candidate<'a, AccountId>],
) -> Option<Chosen<'c, 'a, AccountId>> {
    candidates
        .iter()
        .filter_map(|candidate| {
            let response = candidate.best(seed)?;
            let hash = tie_break(seed, &response.agent);
            let rank = (candidate.support(counted), Reverse(hash));
            Some((rank, (candidate, response)))
        })
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, chosen)| chosen)
}

impl<AccountId> Candidate<'_, AccountId> {
    /// Number of its responses.
    pub fn votes(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// `V_a = Σ v_i`, over so many of the greatest weights.
    pub fn weight(&self, counted: u32) -> u64 {
        let mut weights: Vec<u64> = self.0.iter().map(|response| response.weight).collect();
        weights.sort_unstable_by_key(|weight| Reverse(*weight));
        let counted = usize::try_from(counted).unwrap_or(usize::MAX);
        weights
            .into_iter()
            .take(counted)
            .fold(0, u64::saturating_add)
    }

    /// `S_a = Σ_i Σ_j w_j · logit(x_ji) / Σ_i Σ_j w_j`, 32 fractional bits.
    ///
    /// Agents that gave this answer themselves count only where too few others ranked it: nobody is
    /// a witness for its own answer.
    fn odds(&self) -> i128 {
        let evidence = || self.0.iter().map(|response| &response.evidence);
        let has_others = evidence().any(|evidence| evidence.others.rankers >= OTHERS);
        let odds = evidence().fold(Odds::default(), |sum, evidence| {
            let sum = sum.and(&evidence.others);
            match has_others {
                true => sum,
                false => sum.and(&evidence.alike),
            }
        });
        odds.sum
            .checked_div_euclid(odds.weight.into())
            .unwrap_or_default()
    }

    /// `ln(V_a + 0.001) + S_a`, 32 fractional bits.
    fn support(&self, counted: u32) -> i128 {
        let weight = self.weight(counted).saturating_add(SMALL);
        i128::from(ln(weight)).saturating_add(self.odds())
    }
}

impl<'a, AccountId: Encode + PartialEq> Candidate<'a, AccountId> {
    /// Its eligible response with the greatest weighted mean of scores. An author that kept its
    /// scores of others to itself wins nothing: it could see theirs, and withhold its own to decide
    /// who is eligible.
    fn best(&self, seed: H256) -> Option<&'a Response<AccountId>> {
        let responses = || self.0.iter().copied().filter(|one| one.has_disclosed);
        let scored = responses().map(|response| (&response.agent, response.evidence.tally));
        let (winner, _) = best(seed, scored)?;
        responses().find(|response| response.agent == *winner)
    }
}
