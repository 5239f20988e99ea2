// SPDX-License-Identifier: Apache-2.0
//! The choice by votes and scores, with the scores of rounds in which the protocol chose.

use std::collections::{BTreeMap, BTreeSet};

use starling_primitives::{
    choice::{
        log_odds, pairs, rankers, Capability, Choice, Evidence, Form, Known, Response, Votes,
        Weights,
    },
    fixed::ONE,
    selection::Tally,
    Score, H256,
};

use crate::swarm::{Given, Played};

/// The answer that each agent gives, as a number. Agents with one number give the same answer.
pub type Keys = BTreeMap<usize, u64>;

/// Record of each agent of a swarm with known answers.
#[derive(Clone, Debug)]
pub struct Capabilities(Vec<Capability>);

impl Capabilities {
    /// Nothing is known of this number of agents.
    pub fn new(agents: usize) -> Self {
        Self(vec![Capability::default(); agents])
    }

    /// Learns from a question whose right answer has this number and is found by chance in a share
    /// `chance` of the cases.
    pub fn learn(&mut self, keys: &Keys, scores: &[Given], right: u64, chance: f64) {
        for (agent, capability) in self.0.iter_mut().enumerate() {
            let Some(own) = keys.get(&agent) else {
                continue;
            };
            let scored: Vec<(Option<H256>, Score)> = scores
                .iter()
                .filter(|given| given.ranker == agent)
                .map(|given| (keys.get(&given.author).map(hash), score(given)))
                .collect();
            capability.learn(&Known {
                is_right: *own == right,
                chance: fixed(chance),
                pairs: pairs(&[hash(&right)], &scored),
            });
        }
    }

    /// The winner of a round by votes and scores. Equation (3) decides as long as too little is
    /// known.
    ///
    /// A played round does not tell which scores are missing. A response counts as if all rankers
    /// that it was assigned to had disclosed.
    pub fn choose(&self, played: &Played, keys: &Keys) -> Option<usize> {
        let votes = Votes::default();
        let known = |agent: &usize| -> Weights {
            let capability = self.0.get(*agent).copied().unwrap_or_default();
            capability.weights(&votes)
        };
        let judges: BTreeSet<usize> = played.scores.iter().map(|given| given.ranker).collect();
        let mut by_known: Vec<u64> = judges.iter().map(|agent| known(agent).ranker).collect();
        rankers(&mut by_known);

        let mut responses: BTreeMap<usize, Response<u64>> = BTreeMap::new();
        for agent in played.qualities.keys() {
            let weights = known(agent);
            let response = Response {
                agent: *agent as u64,
                tally: Tally::default(),
                key: keys.get(agent).map(hash),
                weight: weights.author,
                is_proven: weights.is_proven,
                has_disclosed: judges.contains(agent),
                evidence: Evidence::default(),
            };
            responses.insert(*agent, response);
        }
        for (judge, by_known) in judges.iter().zip(by_known) {
            let given = played.scores.iter().filter(|given| given.ranker == *judge);
            let given: Vec<&Given> = given.collect();
            let scores: Vec<Score> = given.iter().map(|given| score(given)).collect();
            let by_ratings = played.weights.get(judge).copied().map_or(0, fixed);
            for ((given, score), odds) in given.iter().zip(&scores).zip(log_odds(&scores)) {
                let own = keys.get(judge);
                let is_alike = own.is_some() && own == keys.get(&given.author);
                if let Some(response) = responses.get_mut(&given.author) {
                    response.tally.add(by_ratings, *score);
                    response.evidence.add(by_known, *score, odds, is_alike);
                }
            }
        }
        let mut responses: Vec<Response<u64>> = responses.into_values().collect();
        for response in &mut responses {
            for tally in [&mut response.tally, &mut response.evidence.tally] {
                tally.assigned = tally.disclosed;
            }
        }
        let outcome = Choice::Votes(votes).best(hash(&played.id), Form::Short, &responses)?;
        usize::try_from(outcome.winner).ok()
    }
}

fn hash(number: &u64) -> H256 {
    H256::from_low_u64_be(*number)
}

fn fixed(value: f64) -> u64 {
    (value.max(0.0) * ONE as f64).round() as u64
}

fn score(given: &Given) -> Score {
    Score((given.score.clamp(0.0, 1.0) * f64::from(u16::MAX)).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight agents; the first three give the answer 1, which they praise. All others prefer 2.
    fn played(keys: &Keys) -> Played {
        let praise = |ranker: usize, author: usize| match (ranker < 3, keys[&author]) {
            (true, 1) => 1.0,
            (false, 2) => 0.8,
            _ => 0.1,
        };
        let given = |ranker, author| Given {
            ranker,
            author,
            score: praise(ranker, author),
        };
        let scores = keys.keys().flat_map(|ranker| {
            let authors = keys.keys().filter(move |author| *author != ranker);
            authors.map(move |author| given(*ranker, *author))
        });
        Played {
            id: 7,
            blocks: Vec::new(),
            done: true,
            winner: Some(0),
            qualities: keys.keys().map(|agent| (*agent, 0.5)).collect(),
            scores: scores.collect(),
            // The liars have the best ratings.
            weights: keys
                .keys()
                .map(|agent| (*agent, if *agent < 3 { 0.4 } else { 0.01 }))
                .collect(),
            rankings: 7,
            rejected: 0,
        }
    }

    #[test]
    fn what_is_known_decides_and_without_it_the_ratings_do() {
        let keys: Keys = [1, 1, 1, 2, 2, 3, 4, 5].into_iter().enumerate().collect();
        let played = played(&keys);
        let mut capabilities = Capabilities::new(8);
        assert!(capabilities.choose(&played, &keys) < Some(3));
        for _ in 0..9 {
            capabilities.learn(&keys, &played.scores, 2, 0.05);
        }
        assert!(
            capabilities.choose(&played, &keys) < Some(3),
            "nine are too few"
        );
        capabilities.learn(&keys, &played.scores, 2, 0.05);
        let winner = capabilities.choose(&played, &keys);
        assert!([Some(3), Some(4)].contains(&winner), "{winner:?}");
    }

    #[test]
    fn a_round_without_responses_has_no_winner() {
        let keys = Keys::new();
        let played = played(&keys);
        assert_eq!(Capabilities::new(8).choose(&played, &keys), None);
    }
}
