// SPDX-License-Identifier: Apache-2.0
//! The forced changes in the database of a node.

use codec::{Decode, Encode};
use sc_consensus_grandpa::{find_forced_change, find_scheduled_change, AuthoritySetChanges};
use sp_blockchain::HeaderBackend;
use sp_consensus_grandpa::{AuthorityList, SetId};
use starling_chain_spec::finality::{FinalityFork, Place};
use starling_runtime::{opaque::Block, BlockNumber, Header};

/// A forced change: the height of its announcement, the number of blocks that it waits, and the
/// set.
type Announced = (BlockNumber, BlockNumber, AuthorityList);

/// The forced changes of a chain that a node has followed block by block: `changes` are the last
/// blocks of its sets.
///
/// # Errors
/// Fails if a block is missing, or if the latest change is not final yet.
pub fn forks(
    chain: &impl HeaderBackend<Block>,
    changes: &AuthoritySetChanges<BlockNumber>,
) -> Result<Vec<FinalityFork>, String> {
    let changes = Vec::<(SetId, BlockNumber)>::decode(&mut &changes.encode()[..])
        .map_err(|error| format!("the changes of GRANDPA's set: {error}"))?;
    let mut forks = vec![];
    let mut before = None;
    for (set, last) in changes {
        // A set whose last block was another one's, too, ended without finalising anything.
        let forced =
            before == Some(last) || find_scheduled_change::<Block>(&header(chain, last)?).is_none();
        before = Some(last);
        if forced {
            forks.push(fork(chain, set, last)?);
        }
    }
    Ok(forks)
}

/// The forced change that ended a set with this last final block.
fn fork(
    chain: &impl HeaderBackend<Block>,
    set: SetId,
    last_final: BlockNumber,
) -> Result<FinalityFork, String> {
    let last = chain.info().finalized_number;
    let mut later = last_final.saturating_add(1)..=last;
    let announced = later.find_map(|number| match header(chain, number) {
        Ok(header) => announced(&header, last_final).map(Ok),
        Err(error) => Some(Err(error)),
    });
    let Some((number, delay, authorities)) = announced.transpose()? else {
        return Err(format!(
            "the change that was forced after block {last_final} is not final: wait until finality is \
             past it"
        ));
    };
    let in_force = number.saturating_add(delay);
    if in_force > last {
        return Err(format!(
            "the change that was forced after block {last_final} comes into force with block {in_force}, \
             and finality is at {last}: wait until it is past that block"
        ));
    }
    Ok(FinalityFork {
        last_final: place(chain, last_final)?,
        in_force: place(chain, in_force)?,
        set_id: set.saturating_add(1),
        authorities,
    })
}

/// The forced change that a block announces, if it is one that names this block as the last final.
fn announced(header: &Header, last_final: BlockNumber) -> Option<Announced> {
    let (named, change) = find_forced_change::<Block>(header)?;
    (named == last_final).then_some((header.number, change.delay, change.next_authorities))
}

fn place(chain: &impl HeaderBackend<Block>, number: BlockNumber) -> Result<Place, String> {
    let hash = header(chain, number)?.hash();
    Ok(Place { number, hash })
}

/// The block of this height on the final chain.
fn header(chain: &impl HeaderBackend<Block>, number: BlockNumber) -> Result<Header, String> {
    let found = chain
        .hash(number)
        .and_then(|hash| hash.map_or(Ok(None), |hash| chain.header(hash)))
        .map_err(|error| format!("block {number}: {error}"))?;
    found.ok_or_else(|| {
        format!("block {number} is not in the database: take one of a node that synced in full")
    })
}
