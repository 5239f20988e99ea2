// SPDX-License-Identifier: Apache-2.0
//! The responses of a round or a lane as the choice by votes sees them.

use alloc::{collections::BTreeMap, vec::Vec};

use sp_core::H256;

use super::{log_odds, rankers, Evidence, Key, Response, Weights};
use crate::{selection::Tally, Position, Score};

/// An agent with its response and its scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter<AccountId> {
    /// The agent.
    pub agent: AccountId,
    /// The scores of its response by ratings.
    pub tally: Tally,
    /// The hash of its answer key.
    pub key: Option<H256>,
    /// Its weights from known answers.
    pub weights: Weights,
    /// The scores that it disclosed.
    pub scores: Option<Vec<(Position, Score)>>,
}

/// The agents with a valid response, by position.
pub type Voters<AccountId> = BTreeMap<Position, Voter<AccountId>>;

/// The hash of the answer key of a text.
pub fn key_of(text: &[u8]) -> Option<H256> {
    let text = core::str::from_utf8(text).ok()?;
    Key::of(text).map(|key| key.hash())
}

/// The responses with what the rankers say about them.
pub(super) fn responses<AccountId: Clone>(voters: &Voters<AccountId>) -> Vec<Response<AccountId>> {
    let mut evidence = evidence(voters, &weights(voters));
    voters
        .iter()
        .map(|(position, voter)| {
            let mut evidence = evidence.remove(position).unwrap_or_default();
            // Scores that were not disclosed make no response ineligible: one ranker can have most
            // of the weight from known answers, and would decide by silence.
            evidence.tally.assigned = evidence.tally.disclosed;
            Response {
                agent: voter.agent.clone(),
                tally: voter.tally,
                key: voter.key,
                weight: voter.weights.author,
                is_proven: voter.weights.is_proven,
                has_disclosed: voter.scores.is_some(),
                evidence,
            }
        })
        .collect()
}

/// The weights of the rankers that disclosed: equal ones if none of them has any.
fn weights<AccountId>(voters: &Voters<AccountId>) -> BTreeMap<Position, u64> {
    let heard = voters.iter().filter(|(_, voter)| voter.scores.is_some());
    let weights = heard.map(|(position, voter)| (*position, voter.weights.ranker));
    let (heard, mut weights): (Vec<Position>, Vec<u64>) = weights.unzip();
    rankers(&mut weights);
    heard.into_iter().zip(weights).collect()
}

/// Evidence of the disclosed scores for each response.
fn evidence<AccountId>(
    voters: &Voters<AccountId>,
    weights: &BTreeMap<Position, u64>,
) -> BTreeMap<Position, Evidence> {
    let mut evidence: BTreeMap<Position, Evidence> = BTreeMap::new();
    for (ranker, voter) in voters {
        let Some(scores) = &voter.scores else {
            continue;
        };
        let weight = weights.get(ranker).copied().unwrap_or_default();
        let given: Vec<Score> = scores.iter().map(|(_, score)| *score).collect();
        for ((author, score), odds) in scores.iter().zip(log_odds(&given)) {
            let key = voters.get(author).and_then(|author| author.key);
            let is_alike = key.is_some() && key == voter.key;
            let heard = evidence.entry(*author).or_default();
            heard.add(weight, *score, odds, is_alike);
        }
    }
    evidence
}
