// SPDX-License-Identifier: Apache-2.0
//! Finality proofs behind a forced change of GRANDPA's set.
//!
//! A node that starts with `--sync warp` follows a chain of justifications from the genesis: each
//! set finalises the block that announces the next one. A forced change (`grandpa.noteStalled`) is
//! announced in a block that the old set never finalised, and the SDK's proofs end there. Its list
//! of hard forks does not help: its verifier looks for them among the blocks of a proof, and its
//! generator stops before it puts one of a forced change into a proof.
//!
//! So the specification tells the forced changes ([`FinalityFork`]). [`Provider`] verifies proofs
//! from the latest of them on; any node of the network generates such proofs. [`PastForks`] imports
//! the history from before the changes, whose announcements may have no justifications. [`forks`]
//! finds the changes in the database of a node that has followed the chain.

mod history;
mod import;
mod proof;
#[cfg(test)]
mod tests;

pub use history::forks;
pub use import::PastForks;
pub use proof::Provider;

use sp_blockchain::HeaderBackend;
use starling_chain_spec::finality::FinalityFork;
use starling_runtime::opaque::Block;

/// Checks that the chain of a database goes through the blocks of these forks, as far as it has
/// got.
///
/// # Errors
/// Names the first block that is another one on this chain.
pub fn ensure_on_chain(
    chain: &impl HeaderBackend<Block>,
    forks: &[FinalityFork],
) -> Result<(), String> {
    let last = chain.info().finalized_number;
    let places = forks
        .iter()
        .flat_map(|fork| [fork.last_final, fork.in_force]);
    for place in places.filter(|place| place.number <= last) {
        let stored = chain
            .hash(place.number)
            .map_err(|error| format!("block {}: {error}", place.number))?;
        // History may still be on its way.
        if stored.is_some_and(|stored| stored != place.hash) {
            return Err(format!(
                "`finalityForks` of the chain specification names block {} as {:?}, and the database \
                 has another one there: take the specification of this chain",
                place.number, place.hash
            ));
        }
    }
    Ok(())
}
