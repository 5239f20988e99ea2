// SPDX-License-Identifier: Apache-2.0
//! A validator whose keys are on two nodes, of which one votes: both make a block in its slots.

use std::time::Duration;

use anyhow::Result;
use sp_io::hashing::{twox_128, twox_64};
use starling_tests::{
    chain::{account_id, contains, raw_value},
    governance::Committee,
    rounds::agent,
    Node,
};
use subxt_signer::sr25519::{
    dev::{alice, bob},
    Keypair,
};
use tokio::time::timeout;

use super::{account, address, count_keys, Swarm};

/// Two sessions at a third of the usual speed, on a busy machine.
const DEED: Duration = Duration::from_secs(900);

/// The kinds of offences: two blocks in a slot, and two votes in a round.
pub(super) const BLOCKS: &[u8; 16] = b"aura:equivocatio";
pub(super) const VOTES: &[u8; 16] = b"grandpa:equivoca";

#[tokio::test]
async fn a_validator_with_two_nodes_loses_a_hundredth_and_its_seat() -> Result<()> {
    timeout(DEED, deed()).await?
}

async fn deed() -> Result<()> {
    let swarm = Swarm::start([None::<String>, None, None, None]).await?;
    let node = swarm.node()?;
    let nobody: [Keypair; 0] = [];
    let chain = Committee::new(&nobody, node).await?;
    let rpc = node.rpc().await?;
    let (offender, other) = (account(&bob()), account(&alice()));
    let start = chain.best().await?;
    let before = agent(&rpc, &start, &offender).await?.bond;
    let of_other = agent(&rpc, &start, &other).await?.bond;

    let folder = tempfile::tempdir()?;
    let boot = format!("--bootnodes={}", address(node).await?);
    let args = [
        "--chain=local",
        "--bob",
        // Contradicting votes would cost the same.
        "--no-grandpa",
        "--unsafe-force-node-key-generation",
        &boot,
    ];
    let twin = Node::start(folder.path(), args).await?;

    chain
        .until(async |at| Ok(agent(&rpc, at, &offender).await?.bond < before))
        .await?;
    node.logged(&["made two blocks in slot"]).await?;
    assert!(node.metric("starling_contradicting_blocks_total").await? > 0.0);

    let seat = account_id(&bob()).0;
    let left = chain
        .until(async |at| {
            let queued = raw_value(at, "Session", "QueuedKeys").await?;
            Ok(!contains(&queued, &seat))
        })
        .await?;
    let after = agent(&rpc, &left, &offender).await?;
    assert_eq!(after.bond, before / 100 * 99);
    assert!(!after.active);
    assert_eq!(agent(&rpc, &left, &other).await?.bond, of_other);
    // For its blocks, since it has not voted twice.
    assert!(slots(node, BLOCKS).await? > 0);
    assert_eq!(slots(node, VOTES).await?, 0);
    twin.kill().await
}

/// Number of slots for which offences of a kind are on chain.
pub(super) async fn slots(node: &Node, kind: &[u8; 16]) -> Result<usize> {
    let (pallet, index) = (twox_128(b"Offences"), twox_128(b"ConcurrentReportsIndex"));
    let prefix = [&pallet[..], &index, &twox_64(kind), kind].concat();
    count_keys(node, &prefix).await
}
