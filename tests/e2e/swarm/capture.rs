// SPDX-License-Identifier: Apache-2.0
//! Strangers with higher bonds than all validators: two with nodes that author and never vote, and
//! two without nodes. Finality goes on.

use std::{path::Path, time::Duration};

use anyhow::{ensure, Context, Result};
use starling_runtime::UNIT;
use starling_tests::{
    chain::{account_id, contains, raw_value, send, transfer},
    governance::Committee,
    Node,
};
use subxt_signer::sr25519::{
    dev::{eve, ferdie},
    Keypair,
};
use tokio::time::timeout;

use super::{address, Swarm};
use crate::{
    client::starling,
    session_keys::{make_keys, set_keys},
};

/// Four sessions at a third of the usual speed, on a busy machine.
const ATTACK: Duration = Duration::from_secs(900);
/// Number of blocks by which finality is never behind.
const LAG: u64 = 20;

#[tokio::test]
async fn bonds_of_nodes_that_never_vote_do_not_stop_finality() -> Result<()> {
    timeout(ATTACK, attack()).await?
}

async fn attack() -> Result<()> {
    let swarm = Swarm::start([None::<String>, None, None, None]).await?;
    let honest = swarm.node()?;
    let nobody: [Keypair; 0] = [];
    let chain = Committee::new(&nobody, honest).await?;

    let folder = tempfile::tempdir()?;
    let idle = ["//Mallory//1", "//Mallory//2"];
    // The highest bond is seated first.
    let attackers = [
        ("//Eve", eve(), "4000"),
        ("//Ferdie", ferdie(), "3000"),
        (idle[0], Keypair::from_uri(&idle[0].parse()?)?, "2000"),
        (idle[1], Keypair::from_uri(&idle[1].parse()?)?, "2000"),
    ];
    let mut nodes = vec![];
    for (uri, key, bond) in &attackers {
        let base = folder.path().join(uri.replace('/', "_"));
        enter(honest, &base, uri, key, bond).await?;
        if !idle.contains(uri) {
            nodes.push(silent_voter(&base, honest).await?);
        }
    }

    let first = account_id(&eve()).0;
    chain
        .until(async |at| {
            let final_block = chain.finalised().await?;
            ensure!(
                at.block_number() <= final_block + LAG,
                "block {} is the best and {final_block} the last final one",
                at.block_number()
            );
            let barred = raw_value(at, "Agents", "Barred").await?;
            Ok(contains(&barred, &first))
        })
        .await?;
    // It sat and authored, so that only its missing votes have told.
    let node = nodes.first().context("it runs")?;
    node.logged(&["Pre-sealed block for proposal"]).await?;

    let goal = chain.finalised().await? + LAG;
    chain
        .until(async |_| Ok(chain.finalised().await? >= goal))
        .await?;
    Ok(())
}

/// Makes an account an agent with this bond and session keys, whose seeds lie under `base`.
async fn enter(node: &Node, base: &Path, uri: &str, key: &Keypair, bond: &str) -> Result<()> {
    let api = node.api().await?;
    if key.public_key().0 != ferdie().public_key().0 {
        let funds = send(&api, &transfer(key, 5_000 * UNIT), &ferdie()).await?;
        funds.wait_for_success().await?;
    }
    register(node, uri, bond).await?;
    let keys = make_keys("local", base, key).await?;
    let announced = send(&api, &set_keys(&keys)?, key).await?;
    announced.wait_for_success().await?;
    Ok(())
}

/// Makes an account an agent with this bond.
pub(super) async fn register(node: &Node, uri: &str, bond: &str) -> Result<()> {
    let hash = "0".repeat(64);
    let register = [
        "agent",
        "register",
        "--suri",
        uri,
        "--inference-key",
        uri,
        "--bond",
        bond,
        "--model=patterns",
        "--model-hash",
        &hash,
    ];
    let registered = starling(node, &register).await?;
    ensure!(registered.code == Some(0), "{}", registered.stderr);
    Ok(())
}

/// A node with the session keys under `base` that authors and does not vote.
async fn silent_voter(base: &Path, of: &Node) -> Result<Node> {
    let boot = format!("--bootnodes={}", address(of).await?);
    let args = [
        "--chain=local",
        "--validator",
        "--no-grandpa",
        "--unsafe-force-node-key-generation",
        &boot,
    ];
    Node::start(base, args).await
}
