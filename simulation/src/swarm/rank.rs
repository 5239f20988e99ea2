// SPDX-License-Identifier: Apache-2.0
//! Ranking and Disclosing: the agents score each other.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rand::Rng;
use starling_primitives::{assignment::Assignment, messages::Message, Position, RoundId, Score};
use starling_runtime::{Runtime, UncheckedExtrinsic};

use super::{any_owes, message, open, quality, Draft, Swarm};
use crate::behaviour::{Move, Seen};

impl Swarm {
    pub(super) fn rank(
        &mut self,
        id: RoundId,
        round: &pallet_rounds::RoundOf<Runtime>,
        drafts: &mut [Draft],
    ) -> Result<()> {
        if !any_owes(drafts, 2) {
            return Ok(());
        }
        let seed = round.seed.context("a round in Ranking has a seed")?;
        let assignment = Assignment::new(seed, round.counts.valid, round.rankings);
        let order = self.order(id);
        let place: BTreeMap<usize, Position> = order
            .iter()
            .map(|(position, index)| (*index, *position))
            .collect();
        for index in 0..drafts.len() {
            let (Some(position), true) = (place.get(&index), open(drafts[index].moves[2])) else {
                continue;
            };
            if drafts[index].scores.is_none() {
                let assigned = assignment.responses(*position);
                let seen: Vec<Seen> = assigned
                    .iter()
                    .map(|position| Seen {
                        author: order[position],
                        quality: quality(&drafts[order[position]]),
                    })
                    .collect();
                let scores = self.ask(index, |behaviour, me, rng| behaviour.score(me, &seen, rng));
                let scores = assigned
                    .into_iter()
                    .zip(scores.into_iter().map(score))
                    .collect();
                drafts[index].scores = Some((seed, scores, self.rng.random()));
            }
            let decided = self.ask(index, |behaviour, me, rng| behaviour.commit_scores(me, rng));
            drafts[index].moves[2] = Some(decided);
            if decided == Move::Send {
                let message = self.commit_scores(id, index, &drafts[index])?;
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    pub(super) fn disclose(&mut self, id: RoundId, drafts: &mut [Draft]) -> Result<()> {
        for (index, draft) in drafts.iter_mut().enumerate() {
            if draft.moves[2] != Some(Move::Send) || !open(draft.moves[3]) {
                continue;
            }
            let decided = self.ask(index, |behaviour, me, rng| behaviour.disclose(me, rng));
            draft.moves[3] = Some(decided);
            if decided == Move::Send {
                let message = self.disclosure(id, index, draft)?;
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    pub(super) fn commit_scores(
        &self,
        id: RoundId,
        index: usize,
        draft: &Draft,
    ) -> Result<UncheckedExtrinsic> {
        let (seed, scores, salt) = draft.scores.as_ref().context("there are scores")?;
        let commitment = self.slot(id, index).scores_commitment(*seed, scores, salt);
        let content = Message::CommitScores {
            seed: *seed,
            commitment,
        };
        Ok(message(pallet_rounds::Call::commit_scores {
            round: id,
            agent: self.accounts[index].clone(),
            seed: *seed,
            commitment,
            proof: self.sign(id, index, &content),
        }))
    }

    fn disclosure(
        &mut self,
        id: RoundId,
        index: usize,
        draft: &Draft,
    ) -> Result<UncheckedExtrinsic> {
        let (_, scores, salt) = draft.scores.as_ref().context("there are scores")?;
        let proof = self.sign(id, index, &Message::Disclose { scores, salt });
        // The state holds the maximum number of scores.
        let bounded: Option<pallet_rounds::ScoresOf<Runtime>> =
            self.chain.read(|| scores.clone().try_into().ok());
        Ok(message(pallet_rounds::Call::disclose {
            round: id,
            agent: self.accounts[index].clone(),
            scores: bounded.context("there are not too many scores")?,
            salt: *salt,
            proof: Some(proof),
        }))
    }

    /// The agent at each position.
    fn order(&mut self, id: RoundId) -> BTreeMap<Position, usize> {
        let places = self.places();
        self.chain.read(|| {
            pallet_rounds::Entries::<Runtime>::iter_prefix(id)
                .filter_map(|(position, entry)| Some((position, *places.get(&entry.agent)?)))
                .collect()
        })
    }
}

fn score(value: f64) -> Score {
    Score((value.clamp(0.0, 1.0) * f64::from(u16::MAX)).round() as u16)
}
