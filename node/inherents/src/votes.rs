// SPDX-License-Identifier: Apache-2.0
//! The votes that made the newest block final here. A node that authors puts them into its blocks,
//! so that the chain knows who votes.

use std::sync::Arc;

use futures::StreamExt;
use pallet_votes::{Evidence, INHERENT_IDENTIFIER};
use parking_lot::Mutex;
use sc_consensus_grandpa::GrandpaJustificationStream;
use starling_runtime::{opaque::Block, BlockNumber, Hash};

use crate::Given;

/// Number of justifications that may wait before a warning.
const QUEUE: usize = 1_000;

/// The newest justification of this node. Clones share it.
#[derive(Clone, Default)]
pub struct Votes(Arc<Mutex<Option<Evidence<Hash, BlockNumber>>>>);

impl Votes {
    /// The votes for a block that is built now.
    pub fn newest(&self) -> Given<Evidence<Hash, BlockNumber>> {
        Given {
            place: INHERENT_IDENTIFIER,
            value: self.0.lock().clone(),
        }
    }

    /// Keeps the newest of `justifications`, until the node ends.
    pub async fn follow(self, justifications: GrandpaJustificationStream<Block>) {
        let mut justifications = justifications.subscribe(QUEUE);
        while let Some(newest) = justifications.next().await {
            *self.0.lock() = Some(newest.justification.into());
        }
    }
}
