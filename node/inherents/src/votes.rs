// SPDX-License-Identifier: Apache-2.0
//! The votes that made the newest block final here. A node that authors puts them into its blocks,
//! so that the chain knows who votes.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use pallet_votes::{Evidence, INHERENT_IDENTIFIER};
use parking_lot::Mutex;
use sc_consensus_grandpa::GrandpaJustificationStream;
use sp_inherents::{Error, InherentData, InherentDataProvider, InherentIdentifier};
use starling_runtime::{opaque::Block, BlockNumber, Hash};

/// Number of justifications that may wait before a warning.
const QUEUE: usize = 1_000;

/// The newest justification of this node. Clones share it.
#[derive(Clone, Default)]
pub struct Votes(Arc<Mutex<Option<Evidence<Hash, BlockNumber>>>>);

impl Votes {
    /// Keeps the newest of `justifications`, until the node ends.
    pub async fn follow(self, justifications: GrandpaJustificationStream<Block>) {
        let mut justifications = justifications.subscribe(QUEUE);
        while let Some(newest) = justifications.next().await {
            *self.0.lock() = Some(newest.justification.into());
        }
    }
}

#[async_trait]
impl InherentDataProvider for Votes {
    async fn provide_inherent_data(&self, data: &mut InherentData) -> Result<(), Error> {
        match &*self.0.lock() {
            Some(evidence) => data.put_data(INHERENT_IDENTIFIER, evidence),
            None => Ok(()),
        }
    }

    async fn try_handle_error(
        &self,
        _: &InherentIdentifier,
        _: &[u8],
    ) -> Option<Result<(), Error>> {
        None
    }
}
