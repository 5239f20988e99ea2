// SPDX-License-Identifier: Apache-2.0
//! Blocks become final.

use anyhow::{Context, Result};
use starling_tests::Node;
use subxt::rpcs::rpc_params;

#[tokio::test]
async fn finalised_blocks_form_one_chain_and_can_be_proved() -> Result<()> {
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

    let proof: Option<String> = node
        .rpc()
        .await?
        .request("grandpa_proveFinality", rpc_params![parent.number()])
        .await?;
    assert!(proof.is_some_and(|proof| proof.len() > 2));
    Ok(())
}
