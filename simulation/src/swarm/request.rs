// SPDX-License-Identifier: Apache-2.0
//! The request, and the blocks that authors build.

use anyhow::{bail, Result};
use starling_primitives::{draw, quality, traits::Ratings as _};
use starling_runtime::{Ratings, Runtime, RuntimeCall, UncheckedExtrinsic};

use super::{Plot, Sent, Swarm, BOND};
use crate::chain::{Authoring, Block};

impl Swarm {
    pub(super) fn request(&mut self) -> Result<Block> {
        let rounds = &self.config.parameters.rounds;
        let max_responses = self
            .config
            .max_responses
            .unwrap_or(self.members.len() as u32)
            .min(rounds.max_responses);
        let call = RuntimeCall::Rounds(pallet_rounds::Call::request {
            prompt: b"What is the answer?".to_vec(),
            fee: self.config.fee,
            max_tokens: self.config.max_tokens,
            min_responses: rounds.min_responses,
            max_responses: max_responses.max(rounds.min_responses),
        });
        let request = self.chain.sign(&self.requester, call)?;
        self.pool.push((None, request));
        // The last block of a session has no room for transactions.
        for _ in 0..2 {
            let block = self.next_block()?;
            if let Some((_, rejection)) = block.rejected.first() {
                bail!("the request was rejected: {rejection:?}");
            }
            if block.extrinsics > 0 {
                return Ok(block);
            }
        }
        bail!("the request fits into no block")
    }

    /// Authors the next block, according to its author.
    pub(super) fn next_block(&mut self) -> Result<Block> {
        let authoring = Authoring {
            author: None,
            fill: self.config.fill,
            prove: self.config.prove,
        };
        let author = self.chain.next_author();
        let pool = std::mem::take(&mut self.pool);
        let (offered, left_out): (Vec<Sent>, Vec<Sent>) = match self.config.plot {
            Plot::Censor { validators } if author < validators => pool
                .into_iter()
                .partition(|(sender, _)| sender.is_none_or(|sender| self.group.contains(&sender))),
            _ => (pool, Vec::new()),
        };
        let senders: Vec<Option<usize>> = offered.iter().map(|(sender, _)| *sender).collect();
        let mut queue: Vec<_> = offered.into_iter().map(|(_, message)| message).collect();
        let block = match self.config.plot {
            // A block without a request draws nobody.
            Plot::Grind {
                validators,
                candidates,
            } if author < validators && senders.contains(&None) => {
                let row = if validators < self.config.validators {
                    candidates.min((validators - author) as u32)
                } else {
                    candidates
                };
                self.grind(&mut queue, authoring, row)?
            },
            _ => self.chain.author(&mut queue, authoring)?,
        };
        let taken = senders.len() - queue.len();
        self.pool = senders
            .into_iter()
            .skip(taken)
            .zip(queue)
            .chain(left_out)
            .collect();
        Ok(block)
    }

    /// Chooses the slot of a request's block. The randomness after it decides who gets into a full
    /// round.
    fn grind(
        &mut self,
        queue: &mut Vec<UncheckedExtrinsic>,
        authoring: Authoring,
        candidates: u32,
    ) -> Result<Block> {
        let round = self.chain.read(pallet_rounds::NextRound::<Runtime>::get);
        let seats = self.config.max_responses.unwrap_or(u32::MAX) as usize;
        let (accounts, group) = (&self.accounts, &self.group);
        let strength = |who| quality::strength(BOND, Ratings::quality(who));
        let strengths: Vec<_> = self.chain.read(|| accounts.iter().map(strength).collect());
        self.chain.grind(queue, authoring, candidates, |value| {
            let mut draws: Vec<_> = accounts
                .iter()
                .zip(&strengths)
                .enumerate()
                .map(|(index, (who, strength))| (draw::draw(value, round, who, *strength), index))
                .collect();
            draws.sort_unstable();
            let seated = draws.iter().take(seats);
            seated.filter(|(_, index)| group.contains(index)).count() as f64
        })
    }
}
