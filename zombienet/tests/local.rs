// SPDX-License-Identifier: Apache-2.0
//! Four validators on one machine, while one of them stops, dies or is late.

use std::process::Command;

use anyhow::{ensure, Context, Result};
use starling_zombienet::{ensure_agree, finalized, finalized_height, pid, LocalNetwork};

/// Number of blocks that the others go on while a node is away. It exceeds the gap that a node
/// bridges with its peers' announcements, so that the node has to sync.
const AWAY: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_author_and_finalise_one_chain() -> Result<()> {
    let network = LocalNetwork::spawn().await?;
    let alice = network.node("alice")?;
    ensure!(network.nodes().len() == 4);

    for node in network.nodes() {
        finalized(node, 12).await?;
        ensure_agree(alice, node, 12).await?;
        node.wait_metric_with_timeout(
            "substrate_proposer_block_constructed_count",
            |n| n > 0.0,
            60u64,
        )
        .await
        .with_context(|| format!("{} authored no block", node.name()))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_validator_catches_up_when_it_is_resumed() -> Result<()> {
    let network = LocalNetwork::spawn().await?;
    let (alice, dave) = (network.node("alice")?, network.node("dave")?);
    finalized(dave, 3).await?;

    dave.pause().await?;
    let missed = finalized_height(alice).await? + AWAY;
    finalized(alice, missed).await?;
    dave.resume().await?;

    finalized(dave, missed).await?;
    ensure_agree(alice, dave, missed).await?;
    finalized(alice, missed + AWAY).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_validator_catches_up_from_its_database() -> Result<()> {
    let network = LocalNetwork::spawn().await?;
    let (alice, dave) = (network.node("alice")?, network.node("dave")?);
    finalized(dave, 5).await?;

    kill(pid(dave)?)?;
    let missed = finalized_height(alice).await? + AWAY;
    finalized(alice, missed).await?;
    ensure!(
        !dave.is_responsive().await,
        "dave answers although it was killed"
    );
    dave.restart(None).await?;

    finalized(dave, missed).await?;
    ensure_agree(alice, dave, missed).await?;
    let known = highest_known_block_at_start(&dave.logs().await?)?;
    ensure!(
        (5..missed).contains(&known),
        "dave restarted with {known} blocks in its database"
    );
    finalized(alice, missed + AWAY).await
}

#[tokio::test(flavor = "multi_thread")]
async fn late_nodes_sync_in_full_and_by_warp() -> Result<()> {
    let mut network = LocalNetwork::spawn().await?;
    finalized(network.node("alice")?, AWAY).await?;

    for (name, args) in [("late", vec![]), ("warped", vec!["--sync=warp"])] {
        let height = finalized_height(network.node("alice")?).await?;
        network.add_full_node(name, &args).await?;
        let node = network.node(name)?;
        finalized(node, height).await?;
        ensure_agree(network.node("alice")?, node, height).await?;
    }
    network
        .node("warped")?
        .wait_log_line_count("*Warp sync is complete*", true, 1)
        .await
}

fn kill(pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .arg("-KILL")
        .arg(pid.to_string())
        .status()?;
    ensure!(status.success(), "cannot kill process {pid}");
    Ok(())
}

/// The block at which a node's database stood when it started last.
fn highest_known_block_at_start(log: &str) -> Result<u64> {
    let (_, after) = log
        .rsplit_once("Highest known block at #")
        .context("the log does not tell the highest known block")?;
    let digits = after
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    Ok(digits.parse()?)
}
