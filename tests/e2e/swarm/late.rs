// SPDX-License-Identifier: Apache-2.0
//! A node that joins late.

use anyhow::{Context, Result};
use starling_runtime::{MILLI_UNIT, UNIT};
use starling_tests::{
    chain::{call, send},
    rounds::round,
};
use subxt::dynamic::Value;
use subxt_signer::sr25519::dev::ferdie;

use super::{
    address, complete, expert,
    honest::{experts, texts, FEE},
    Swarm, Validator,
};
use crate::played::Played;

const ANSWER: &str = "A starling is whatever the others say it is.";

/// Ferdie is no validator: an agent need not be one.
#[tokio::test]
async fn a_node_that_comes_late_syncs_and_takes_part() -> Result<()> {
    let swarm = Swarm::start(experts()).await?;
    // Its node has to execute a round that it did not see, and that still goes on.
    let first = swarm.ask("What is a starling?", FEE).await?;
    let mut late = Validator::new("ferdie", Some(expert(ANSWER)))?;
    late.start(Some(&address(swarm.node()?).await?)).await?;

    let synced = late.node()?.api().await?;
    let agent = Played::new(&synced, "//Ferdie")?;
    let (key, proof) = agent.registration();
    let model = Value::named_composite([
        ("name", Value::from_bytes("patterns")),
        ("hash", Value::from_bytes([0; 32])),
    ]);
    let (ended, view) = swarm.ended(first).await?;
    // Its node has to keep step with the others from here on.
    let mut blocks = synced.stream_blocks().await?;
    while blocks.next().await.context("no more blocks")??.number() < ended.block_number() {}
    let same = synced.at_block(ended.block_number()).await?;
    assert_eq!(same.block_hash(), ended.block_hash());
    let rpc = late.node()?.rpc().await?;
    assert_eq!(round(&rpc, &same, first).await?, Some(view));
    let api = swarm.api().await?;
    for call in [
        call(
            "Agents",
            "register",
            vec![
                Value::from_bytes(key),
                Value::from_bytes(proof),
                model,
                Value::u128(200 * UNIT),
            ],
        ),
        call("Tickets", "buy", vec![Value::u128(1_000 * MILLI_UNIT)]),
    ] {
        let sent = send(&api, &call, &ferdie()).await?;
        sent.wait_for_success().await?;
    }

    let second = swarm.ask("What is a murmuration?", FEE).await?;
    let (_, view) = swarm.ended(second).await?;
    assert_eq!(texts(&view)[&agent.account], ANSWER);
    complete(&view, 5)
}
