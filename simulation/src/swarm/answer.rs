// SPDX-License-Identifier: Apache-2.0
//! Committing and Revealing: the agents answer.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rand::{seq::IndexedRandom, Rng};
use starling_primitives::{
    messages::Message,
    sealing::{max_bytes, Format},
    traits::Randomness as _,
    RoundId,
};
use starling_runtime::{configs::MAX_RESPONSE, Beacon, Runtime, UncheckedExtrinsic};

use super::{any_owes, message, open, Draft, Swarm};
use crate::behaviour::{Answer, Move, Revealing};

impl Swarm {
    pub(super) fn answer(&mut self, id: RoundId, drafts: &mut [Draft]) -> Result<()> {
        let mut copycats = Vec::new();
        for (index, draft) in drafts.iter_mut().enumerate() {
            if draft.answer.is_none() {
                let answer = self.ask(index, |behaviour, me, rng| behaviour.respond(me, rng));
                draft.answer = Some(answer);
                draft.key = self.rng.random();
                match answer {
                    Answer::Pass => {
                        let message = self.pass(id, index);
                        self.pool.push((Some(index), message));
                        draft.moves[0] = Some(Move::Never);
                        continue;
                    },
                    Answer::Silence => {
                        draft.moves[0] = Some(Move::Never);
                        continue;
                    },
                    Answer::Copy => copycats.push(index),
                    Answer::Quality(quality) => {
                        let text = self.text(index, quality);
                        // Agents that exceed what was asked for seal it, too.
                        let own = text.len().try_into().unwrap_or(MAX_RESPONSE);
                        let most = max_bytes(self.config.max_tokens, MAX_RESPONSE).max(own);
                        draft.sealed = self
                            .slot(id, index)
                            .seal(&draft.key, &text, most, Format::Padded)
                            .context("a response is sealed")?;
                    },
                }
            }
            if open(draft.moves[0]) && !draft.sealed.is_empty() {
                let decided = self.ask(index, |behaviour, me, rng| behaviour.commit(me, rng));
                draft.moves[0] = Some(decided);
                if decided == Move::Send {
                    let message = self.commit(id, index, draft);
                    self.pool.push((Some(index), message));
                }
            }
        }
        // Copying agents read the pool.
        let sealed: Vec<Vec<u8>> = drafts
            .iter()
            .filter(|draft| draft.moves[0] == Some(Move::Send))
            .map(|draft| draft.sealed.clone())
            .collect();
        for index in copycats {
            if let Some(copy) = sealed.choose(&mut self.rng) {
                drafts[index].sealed.clone_from(copy);
                drafts[index].moves[0] = Some(Move::Send);
                let message = self.commit(id, index, &drafts[index]);
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    pub(super) fn reveal(
        &mut self,
        id: RoundId,
        round: &pallet_rounds::RoundOf<Runtime>,
        drafts: &mut [Draft],
    ) -> Result<()> {
        if !any_owes(drafts, 1) {
            return Ok(());
        }
        let participants = self.participants(id);
        let has_revealed = |who: &usize| {
            matches!(
                participants[who].response,
                pallet_rounds::Response::Valid { .. } | pallet_rounds::Response::Spoiled
            )
        };
        let key_of = |who: usize, drafts: &[Draft]| (who, drafts[who].key);
        let accounts = self.accounts.clone();
        let state = Revealing {
            round: id,
            // Without it the round has just left Committing with the last block.
            commit_randomness: round
                .commit_randomness
                .unwrap_or_else(|| self.chain.read(Beacon::value)),
            accounts: &accounts,
            revealed: participants
                .keys()
                .copied()
                .filter(has_revealed)
                .map(|who| key_of(who, drafts))
                .collect(),
            committed: participants
                .keys()
                .map(|who| key_of(*who, drafts))
                .collect(),
            rankings: (
                self.config.parameters.rounds.min_rankings,
                self.config.parameters.rounds.max_rankings,
            ),
        };
        for (index, draft) in drafts.iter_mut().enumerate() {
            if !participants.contains_key(&index) || !open(draft.moves[1]) {
                continue;
            }
            let decided = self.ask(index, |behaviour, me, rng| {
                behaviour.reveal(me, &state, rng)
            });
            draft.moves[1] = Some(decided);
            if decided == Move::Send {
                let message = self.reveal_message(id, index, draft);
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    fn text(&self, index: usize, quality: f64) -> String {
        let mut text = format!("A response of quality {quality:.6} by agent {index}.");
        let own = self.members[index].behaviour.response_bytes();
        let length = own.unwrap_or(self.config.response_bytes);
        let missing = length.saturating_sub(text.len());
        text.extend(std::iter::repeat_n(' ', missing));
        text
    }

    pub(super) fn commit(&self, id: RoundId, index: usize, draft: &Draft) -> UncheckedExtrinsic {
        let key_commitment = self.slot(id, index).key_commitment(&draft.key);
        let proof = self.sign(
            id,
            index,
            &Message::Commit {
                sealed: &draft.sealed,
                key_commitment,
            },
        );
        message(pallet_rounds::Call::commit {
            round: id,
            agent: self.accounts[index].clone(),
            sealed: draft.sealed.clone(),
            key_commitment,
            proof,
        })
    }

    fn pass(&self, id: RoundId, index: usize) -> UncheckedExtrinsic {
        message(pallet_rounds::Call::pass {
            round: id,
            agent: self.accounts[index].clone(),
            proof: self.sign(id, index, &Message::Pass),
        })
    }

    pub(super) fn reveal_message(
        &self,
        id: RoundId,
        index: usize,
        draft: &Draft,
    ) -> UncheckedExtrinsic {
        message(pallet_rounds::Call::reveal {
            round: id,
            agent: self.accounts[index].clone(),
            key: draft.key,
            proof: Some(self.sign(id, index, &Message::Reveal { key: &draft.key })),
        })
    }

    fn participants(
        &mut self,
        id: RoundId,
    ) -> BTreeMap<usize, pallet_rounds::ParticipantOf<Runtime>> {
        let places = self.places();
        self.chain.read(|| {
            pallet_rounds::Participants::<Runtime>::iter_prefix(id)
                .filter_map(|(who, participant)| Some((*places.get(&who)?, participant)))
                .collect()
        })
    }
}
