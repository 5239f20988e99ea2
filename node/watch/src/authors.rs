// SPDX-License-Identifier: Apache-2.0
//! Reports validators that have made two blocks in one slot. The SDK's own check keeps headers
//! without their seals, which prove nothing.

use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt;
use pallet_authoring::AuthoringApi;
use sc_client_api::BlockchainEvents;
use sc_consensus_aura::standalone::slot_author;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiError, ApiExt, ProvideRuntimeApi};
use sp_blockchain::HeaderBackend;
use sp_consensus_aura::{
    sr25519::{AuthorityId, AuthorityPair, AuthoritySignature},
    AuraApi, Slot,
};
use sp_consensus_slots::EquivocationProof;
use sp_core::{bytes::to_hex, ByteArray};
use starling_runtime::{opaque::Block, Header};
use substrate_prometheus_endpoint::{register, Counter, PrometheusError, Registry, U64};

const LOG_TARGET: &str = "starling::authors";

/// Number of slots whose blocks are remembered.
const KEPT: usize = 1_000;

type Proof = EquivocationProof<Header, AuthorityId>;

fn slot(header: &Header) -> Option<Slot> {
    sc_consensus_aura::find_pre_digest::<Block, AuthoritySignature>(header).ok()
}

/// A header without its seal. A block that was signed twice is one block.
fn unsealed(header: &Header) -> Header {
    let mut header = header.clone();
    header.digest.pop();
    header
}

/// The blocks of recent slots, one of each author.
#[derive(Default)]
struct Seen(BTreeMap<Slot, Vec<Header>>);

impl Seen {
    /// Notes a block, and returns a proof if its author has made another one in the same slot.
    /// `author` tells the author of a block.
    fn note(
        &mut self,
        header: &Header,
        author: impl Fn(&Header) -> Option<AuthorityId>,
    ) -> Option<Proof> {
        let slot = slot(header)?;
        let others = self.0.entry(slot).or_default();
        // Most slots have one block, whose author is not needed.
        let by = (!others.is_empty()).then(|| author(header)).flatten();
        let before = by.and_then(|by| {
            let mut others = others.iter();
            let first = others.find(|other| author(other).as_ref() == Some(&by))?;
            Some((by, first.clone()))
        });
        if before.is_none() {
            others.push(header.clone());
        }
        while self.0.len() > KEPT {
            self.0.pop_first();
        }
        let (offender, first_header) = before?;
        (unsealed(&first_header) != unsealed(header)).then(|| EquivocationProof {
            offender,
            slot,
            first_header,
            second_header: header.clone(),
        })
    }
}

/// The author of an imported block. `None` if the state that names it is gone.
fn author<C>(client: &C, header: &Header) -> Option<AuthorityId>
where
    C: ProvideRuntimeApi<Block>,
    C::Api: AuraApi<Block, AuthorityId>,
{
    let authorities = client.runtime_api().authorities(header.parent_hash).ok()?;
    slot_author::<AuthorityPair>(slot(header)?, &authorities).cloned()
}

/// Puts a report into the pool. Returns whether the pool took it.
fn report<C>(
    client: &C,
    pool: &OffchainTransactionPoolFactory<Block>,
    proof: Proof,
) -> Result<bool, ApiError>
where
    C: HeaderBackend<Block> + ProvideRuntimeApi<Block>,
    C::Api: AuthoringApi<Block>,
{
    // After the parent of the lower block those keys are in force with which it was made.
    let lower = if proof.first_header.number < proof.second_header.number {
        &proof.first_header
    } else {
        &proof.second_header
    };
    let ownership = client
        .runtime_api()
        .generate_key_ownership_proof(lower.parent_hash, proof.offender.clone())?;
    let Some(ownership) = ownership else {
        return Ok(false);
    };
    let best = client.info().best_hash;
    let mut api = client.runtime_api();
    api.register_extension(pool.offchain_transaction_pool(best));
    Ok(api
        .submit_report_equivocation(best, proof, ownership)?
        .is_some())
}

fn counter(registry: &Registry) -> Result<Counter<U64>, PrometheusError> {
    let counter = Counter::new(
        "starling_contradicting_blocks_total",
        "Pairs of blocks of one author in one slot that this node has seen",
    )?;
    register(counter, registry)
}

/// Follows all imported blocks, those of forks included, until the node ends. Its counter goes to
/// `registry`.
pub async fn run<C>(
    client: Arc<C>,
    pool: OffchainTransactionPoolFactory<Block>,
    registry: Option<Registry>,
) where
    C: BlockchainEvents<Block> + HeaderBackend<Block> + ProvideRuntimeApi<Block>,
    C::Api: AuraApi<Block, AuthorityId> + AuthoringApi<Block>,
{
    let counted = registry.as_ref().map(counter).transpose();
    let counted = counted.unwrap_or_else(|error| {
        log::warn!(target: LOG_TARGET, "no metric of contradicting blocks: {error}");
        None
    });
    let mut seen = Seen::default();
    let mut imported = client.every_import_notification_stream();
    while let Some(block) = imported.next().await {
        let author = |header: &Header| author(&*client, header);
        let Some(proof) = seen.note(&block.header, author) else {
            continue;
        };
        if let Some(counted) = &counted {
            counted.inc();
        }
        log::warn!(
            target: LOG_TARGET,
            "the author with the key {} made two blocks in slot {}, {:?} and {:?}: it is reported",
            to_hex(proof.offender.as_slice(), false),
            proof.slot,
            proof.first_header.hash(),
            proof.second_header.hash(),
        );
        match report(&*client, &pool, proof) {
            Ok(true) => {},
            Ok(false) => log::debug!(
                target: LOG_TARGET,
                "the pool does not take the report: it is on chain, or waits for it"
            ),
            Err(error) => log::warn!(target: LOG_TARGET, "the report cannot be made: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;
    use sp_consensus_aura::AURA_ENGINE_ID;
    use sp_core::{sr25519::Public, H256};
    use sp_runtime::{Digest, DigestItem};

    /// A block of an author; `fork` tells its blocks from each other, and `seal` its signatures.
    fn block(author: u8, slot: u64, fork: u8, seal: u8) -> Header {
        Header {
            parent_hash: H256::repeat_byte(fork),
            number: 1,
            state_root: H256::repeat_byte(author),
            extrinsics_root: H256::zero(),
            digest: Digest {
                logs: vec![
                    DigestItem::PreRuntime(AURA_ENGINE_ID, Slot::from(slot).encode()),
                    DigestItem::Seal(AURA_ENGINE_ID, vec![seal]),
                ],
            },
        }
    }

    fn id(header: &Header) -> Option<AuthorityId> {
        Some(Public::from_raw(header.state_root.0).into())
    }

    #[test]
    fn two_blocks_of_one_author_in_one_slot_are_a_proof() {
        let mut seen = Seen::default();
        let (first, second) = (block(1, 7, 1, 1), block(1, 7, 2, 1));
        assert_eq!(seen.note(&first, id), None);
        assert_eq!(seen.note(&block(1, 8, 2, 1), id), None, "another slot");
        assert_eq!(seen.note(&block(2, 7, 2, 1), id), None, "another author");
        let proof = seen.note(&second, id).unwrap();
        assert_eq!(Some(&proof.offender), id(&first).as_ref());
        assert_eq!(*proof.slot, 7);
        assert_eq!(proof.first_header, first);
        assert_eq!(proof.second_header, second);
        assert!(seen.note(&block(2, 7, 3, 1), id).is_some());
    }

    #[test]
    fn a_block_that_was_signed_twice_is_one_block() {
        let mut seen = Seen::default();
        assert_eq!(seen.note(&block(1, 7, 1, 1), id), None);
        assert_eq!(seen.note(&block(1, 7, 1, 2), id), None);
    }

    #[test]
    fn old_slots_are_forgotten_and_lone_blocks_are_not_looked_up() {
        let mut seen = Seen::default();
        let nobody = |_: &Header| -> Option<AuthorityId> { unreachable!("it is alone") };
        for slot in 0..=KEPT as u64 {
            assert_eq!(seen.note(&block(1, slot, 1, 1), nobody), None);
        }
        assert_eq!(seen.0.len(), KEPT);
        // Of the oldest slot nothing is left to contradict.
        assert_eq!(seen.note(&block(1, 0, 2, 1), nobody), None);
        assert!(seen.note(&block(1, 1, 2, 1), id).is_some());
    }
}
