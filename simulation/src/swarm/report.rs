// SPDX-License-Identifier: Apache-2.0
//! The outcome of a round.

use std::collections::BTreeMap;

use anyhow::Result;
use starling_primitives::{api::RoundView, fixed::ONE, Position, RoundId};
use starling_runtime::{AccountId, Rounds};

use super::{quality, Draft, Swarm};
use crate::chain::Block;

/// A disclosed score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given {
    /// The agent that gave it.
    pub ranker: usize,
    /// The author of the scored response.
    pub author: usize,
    /// The score, in `[0, 1]`.
    pub score: f64,
}

/// A finished round.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its number.
    pub id: RoundId,
    /// The blocks from the request to the last rating.
    pub blocks: Vec<Block>,
    /// True if a response was chosen.
    pub done: bool,
    /// The winner, if there is one.
    pub winner: Option<usize>,
    /// True qualities of the valid responses, by agent.
    pub qualities: BTreeMap<usize, f64>,
    /// All disclosed scores.
    pub scores: Vec<Given>,
    /// Weights of the rankers at the assignment, by agent.
    pub weights: BTreeMap<usize, f64>,
    /// Number of responses that each agent had to rank.
    pub rankings: u32,
    /// Number of messages that the chain did not accept.
    pub rejected: usize,
}

impl Played {
    /// A round that nothing came of.
    fn void(id: RoundId, blocks: Vec<Block>, rejected: usize) -> Self {
        Self {
            id,
            blocks,
            done: false,
            winner: None,
            qualities: BTreeMap::new(),
            scores: Vec::new(),
            weights: BTreeMap::new(),
            rankings: 0,
            rejected,
        }
    }

    /// The agent with the best response.
    pub fn best(&self) -> Option<usize> {
        let best = self
            .qualities
            .iter()
            .max_by(|left, right| left.1.total_cmp(right.1));
        best.map(|(agent, _)| *agent)
    }
}

impl Swarm {
    pub(super) fn report(
        &mut self,
        id: RoundId,
        blocks: Vec<Block>,
        drafts: Vec<Draft>,
        rejected: usize,
    ) -> Result<Played> {
        let view: Option<RoundView<AccountId>> = self.chain.read(|| Rounds::round_view(id));
        let Some(view) = view else {
            // A round to which too few have committed is purged at once.
            return Ok(Played::void(id, blocks, rejected));
        };
        let places = self.places();
        let author: BTreeMap<Position, usize> = view
            .responses
            .iter()
            .filter_map(|response| Some((response.position?, *places.get(&response.agent)?)))
            .collect();
        let mut played = Played {
            done: view.round.phase == pallet_rounds::Phase::Done,
            winner: view
                .round
                .winner
                .as_ref()
                .and_then(|who| places.get(who).copied()),
            rankings: view.round.rankings,
            ..Played::void(id, blocks, rejected)
        };
        for response in view.responses {
            let Some(index) = places.get(&response.agent).copied() else {
                continue;
            };
            if response.text.is_some() {
                played.qualities.insert(index, quality(&drafts[index]));
            }
            if let Some(weight) = response.weight {
                played.weights.insert(index, weight as f64 / ONE as f64);
            }
            for (position, score) in response.scores.unwrap_or_default() {
                if let Some(author) = author.get(&position) {
                    played.scores.push(Given {
                        ranker: index,
                        author: *author,
                        score: f64::from(score.0) / f64::from(u16::MAX),
                    });
                }
            }
        }
        Ok(played)
    }
}
