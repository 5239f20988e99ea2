// SPDX-License-Identifier: Apache-2.0
//! Four validators on one machine, while one of them stops, dies or is late.

use std::{env, process::Command};

use anyhow::{bail, ensure, Context, Result};
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

#[tokio::test(flavor = "multi_thread")]
async fn agents_with_models_answer_a_question() -> Result<()> {
    /// A swarm may find no answer good enough, which the client says by this exit code.
    const NO_ANSWER: i32 = 5;
    const TRIES: usize = 3;
    let names = ["alice", "bob", "charlie", "dave"];
    for model in ["smollm2-135m-instruct", "gemma-3-270m"] {
        starling(&["model", "fetch", model], 0)?;
    }
    let network = LocalNetwork::spawn_with_agents().await?;
    let alice = network.node("alice")?;
    finalized(alice, 1).await?;
    let url = ["--url", alice.ws_uri()];
    for name in names {
        let buy = ["tickets", "buy", "10", "--dev", name];
        starling(&[&url[..], &buy].concat(), 0)?;
    }
    let ask = ["--json", "ask", "--dev", "eve", "--max-tokens", "16"];
    let ask = [&url[..], &ask, &["Why is the sky blue?"]].concat();
    for _ in 0..TRIES {
        let Some(said) = starling(&ask, NO_ANSWER)? else {
            continue;
        };
        let report: serde_json::Value = serde_json::from_str(&said)?;
        let answer = report.pointer("/answer").and_then(|text| text.as_str());
        ensure!(answer.is_some_and(|text| !text.is_empty()), "{said}");
        return Ok(());
    }
    bail!("the swarm found no answer {TRIES} times")
}

/// The output of the client of `$STARLING_CLIENT`. `None` if it ends with the exit code `other`.
fn starling(arguments: &[&str], other: i32) -> Result<Option<String>> {
    let client = env::var("STARLING_CLIENT").context("STARLING_CLIENT names no client")?;
    let output = Command::new(client)
        .args(arguments)
        .env_remove("STARLING_SURI")
        .output()?;
    let failed = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(Some(String::from_utf8(output.stdout)?)),
        code if code == Some(other) => Ok(None),
        code => bail!("{arguments:?} ended with {code:?}: {failed}"),
    }
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
