// SPDX-License-Identifier: Apache-2.0
//! The import of history around forced changes.

use std::sync::Arc;

use sc_consensus::{BlockCheckParams, BlockImport, BlockImportParams, ImportResult};
use sp_blockchain::HeaderBackend;
use sp_consensus::Error as ConsensusError;
use starling_chain_spec::finality::FinalityFork;
use starling_runtime::{opaque::Block, BlockNumber};

/// GRANDPA's import, which takes history from before a forced change as it is.
///
/// A node that started from finality proofs fetches the blocks before them later. GRANDPA's import
/// refuses those that announce a set and have no justification. What was announced while finality
/// stood still never came into force, so there is none. Of the announcements before, it would make
/// a list of sets with a gap, and answer other nodes with proofs that lack the sets in the gap.
/// These blocks are final by what was proven after them.
pub struct PastForks<Import, Client> {
    import: Import,
    client: Arc<Client>,
    forks: Arc<[FinalityFork]>,
}

impl<Import, Client> PastForks<Import, Client> {
    /// Wraps GRANDPA's `import` over `client`.
    pub fn new(import: Import, client: Arc<Client>, forks: Arc<[FinalityFork]>) -> Self {
        Self {
            import,
            client,
            forks,
        }
    }
}

/// Whether a block of this height, when blocks up to `last_final` are final, is history from before
/// a forced change. Most chains have none, and are not asked for their last final block.
fn is_history(
    forks: &[FinalityFork],
    last_final: impl FnOnce() -> BlockNumber,
    number: BlockNumber,
) -> bool {
    let before = |fork: &FinalityFork| number <= fork.in_force.number;
    forks.iter().any(before) && number <= last_final()
}

#[async_trait::async_trait]
impl<Import, Client> BlockImport<Block> for PastForks<Import, Client>
where
    Import: BlockImport<Block, Error = ConsensusError> + Send + Sync,
    Client: HeaderBackend<Block> + Send + Sync,
    for<'a> &'a Client: BlockImport<Block, Error = ConsensusError>,
{
    type Error = ConsensusError;

    async fn check_block(
        &self,
        block: BlockCheckParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        self.import.check_block(block).await
    }

    async fn import_block(
        &self,
        block: BlockImportParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        let last_final = || self.client.info().finalized_number;
        if !block.with_state() && is_history(&self.forks, last_final, block.header.number) {
            return (&*self.client).import_block(block).await;
        }
        self.import.import_block(block).await
    }
}

#[cfg(test)]
mod tests {
    use starling_chain_spec::finality::Place;
    use starling_runtime::Hash;

    use super::*;

    #[test]
    fn only_history_from_before_a_fork_goes_past_grandpa() {
        let place = |number| Place {
            number,
            hash: Hash::zero(),
        };
        let forks = [FinalityFork {
            last_final: place(30),
            in_force: place(90),
            set_id: 2,
            authorities: vec![],
        }];
        let history = |last_final, number| is_history(&forks, || last_final, number);
        assert!(history(200, 1) && history(200, 31) && history(200, 90));
        assert!(!history(200, 91));
        // A node that follows the chain in full needs the announcements.
        assert!(!history(30, 31) && !history(30, 90));
        assert!(!is_history(
            &[],
            || unreachable!("no fork, no question"),
            31
        ));
    }
}
