// SPDX-License-Identifier: Apache-2.0
//! Requests that want no answer: they take slots, or claims on bonds.

use anyhow::Result;
use starling_primitives::Balance;
use starling_runtime::RuntimeCall;

use super::Swarm;
use crate::chain::{Authoring, Rejection};

/// Result of such requests.
#[derive(Clone, Debug)]
pub struct Flood {
    /// Number of rounds that they opened.
    pub opened: usize,
    /// The chain's reason to refuse one; then no more were sent.
    pub refused: Option<Rejection>,
}

impl Swarm {
    /// Lets the attackers ask, all of them in turn, until `most` rounds are open or the chain
    /// refuses a request. They want `responses` answers, no more and no less.
    pub fn flood(&mut self, fee: Balance, responses: u32, most: usize) -> Result<Flood> {
        let request = RuntimeCall::Rounds(pallet_rounds::Call::request {
            prompt: b"Is anybody there?".to_vec(),
            fee,
            max_tokens: self.config.max_tokens,
            min_responses: responses,
            max_responses: responses,
        });
        let mut flood = Flood {
            opened: 0,
            refused: None,
        };
        while flood.opened < most && flood.refused.is_none() && !self.group.is_empty() {
            let mut queue = Vec::new();
            for index in self.group.iter().take(most - flood.opened) {
                let keys = &self.members[*index].keys;
                queue.push(self.chain.sign(keys, request.clone())?);
            }
            while !queue.is_empty() {
                let block = self.chain.author(&mut queue, Authoring::default())?;
                let included = |rejection: &Rejection| matches!(rejection, Rejection::Failed(_));
                let reasons = block.rejected.iter().map(|(_, reason)| reason);
                let failed = reasons.filter(|reason| included(reason)).count();
                flood.opened += block.extrinsics - failed;
                let first = block.rejected.into_iter().next();
                flood.refused = flood.refused.or(first.map(|(_, reason)| reason));
            }
        }
        Ok(flood)
    }
}
