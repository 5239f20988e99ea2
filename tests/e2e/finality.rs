// SPDX-License-Identifier: Apache-2.0
//! Blocks become final.

use anyhow::{Context, Result};
use starling_tests::Node;
use subxt::{
    rpcs::{client::RpcSubscription, methods::legacy::Bytes, rpc_params},
    utils::H256,
};

#[tokio::test]
async fn finalised_blocks_form_one_chain() -> Result<()> {
    const BLOCKS: usize = 10;
    let node = Node::dev().await?;
    let (api, methods) = (node.api().await?, node.methods().await?);
    let mut blocks = api.stream_blocks().await?;
    let mut parent = blocks
        .next()
        .await
        .context("the node closed the connection")??;

    for _ in 0..BLOCKS {
        let block = blocks
            .next()
            .await
            .context("the node closed the connection")??;
        assert_eq!(block.number(), parent.number() + 1);
        assert_eq!(block.header().parent_hash, parent.hash());
        let by_height = methods
            .chain_get_block_hash(Some(block.number().into()))
            .await?;
        assert_eq!(by_height, Some(block.hash()));
        parent = block;
    }

    Ok(())
}

#[tokio::test]
async fn finality_is_justified_by_votes() -> Result<()> {
    let node = Node::dev().await?;
    let methods = node.methods().await?;
    // The subscription lives as long as its connection.
    let rpc = node.rpc().await?;
    let mut justifications: RpcSubscription<Bytes> = rpc
        .subscribe(
            "grandpa_subscribeJustifications",
            rpc_params![],
            "grandpa_unsubscribeJustifications",
        )
        .await?;

    for _ in 0..3 {
        let next = justifications.next().await;
        let justification = next.context("the node closed the connection")??;
        let (target, height) = target(&justification)?;
        let block = methods.chain_get_block_hash(Some(height.into())).await?;
        assert_eq!(block, Some(target));
    }
    Ok(())
}

/// The block that the votes of a justification are for. Its hash and its height come after the
/// round, which takes 8 bytes.
fn target(justification: &[u8]) -> Result<(H256, u32)> {
    let (hash, height) = justification
        .get(8..44)
        .and_then(|commit| commit.split_first_chunk::<32>())
        .context("the justification is too short")?;
    Ok((H256(*hash), u32::from_le_bytes(height.try_into()?)))
}
