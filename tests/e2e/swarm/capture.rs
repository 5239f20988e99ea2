// SPDX-License-Identifier: Apache-2.0
//! Strangers with higher bonds than all validators: two with nodes that author and never vote, and
//! two without nodes. Finality goes on.
//!
//! Then eight equal bonds: less than a third of them does not stop finality, and more does.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{anyhow, ensure, Context, Result};
use serde_json::{json, Value as Json};
use sp_core::{
    crypto::{SecretStringError, Ss58Codec},
    ed25519, sr25519, Pair,
};
use starling_runtime::UNIT;
use starling_tests::{
    chain::{account_id, contains, raw_value, send, transfer},
    governance::Committee,
    node::{specification, Node},
};
use subxt_signer::sr25519::{
    dev::{eve, ferdie},
    Keypair,
};
use tokio::time::timeout;

use super::{
    address,
    lost_finality::{lost_finality, validators},
    Swarm, Validator,
};
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

/// The validators of eight that run a node.
const AWAKE: [&str; 6] = ["alice", "bob", "charlie", "dave", "eve", "ferdie"];
/// The nodes that join the four of the chain `local` in its genesis. The last two run no node.
const JOINING: [&str; 4] = ["//Eve", "//Ferdie", "//Alice//stash", "//Bob//stash"];
const FERDIE: usize = 5;

#[tokio::test]
#[ignore = "takes more than a quarter of an hour on two busy cores"]
async fn two_of_eight_bonds_do_not_stop_finality_and_three_do() -> Result<()> {
    timeout(ATTACK, a_third()).await?
}

async fn a_third() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let chain = eight_bonds(folder.path()).await?;
    let mut six = vec![];
    for name in AWAKE {
        let mut validator = Validator::new(name, None)?;
        validator.chain = chain.clone().into();
        six.push(validator);
    }
    let mut swarm = Swarm::of(six).await?;
    let nobody: [Keypair; 0] = [];
    let committee = Committee::new(&nobody, swarm.node()?).await?;
    committee
        .until(async |_| Ok(committee.finalised().await? >= LAG))
        .await?;
    ensure!(validators(&committee.best().await?).await? == 8);

    // With the third one, those that vote are five of eight.
    swarm.kill(FERDIE).await?;
    let stopped = lost_finality(&committee).await?;
    swarm.restart(FERDIE).await?;
    committee
        .until(async |_| Ok(committee.finalised().await? >= stopped + LAG))
        .await?;
    Ok(())
}

/// Writes the specification of the chain `local` with eight validators of equal bonds.
async fn eight_bonds(folder: &Path) -> Result<PathBuf> {
    let mut spec = specification("local").await?;
    let patch = spec.pointer_mut("/genesis/runtimeGenesis/patch");
    let patch = patch.context("the specification has no genesis")?;
    for uri in JOINING {
        let wrong = |error: SecretStringError| anyhow!("{uri}: {error:?}");
        let own = sr25519::Pair::from_string(uri, None).map_err(wrong)?;
        let own = own.public().to_ss58check();
        let votes = ed25519::Pair::from_string(uri, None).map_err(wrong)?;
        let votes = votes.public().to_ss58check();
        let keys = json!([own, own, { "aura": own, "grandpa": votes }]);
        push(patch, "/session/keys", keys)?;
        let mut agent = patch["agents"]["agents"][0].clone();
        agent["account"] = own.clone().into();
        agent["inferenceKey"] = own.into();
        push(patch, "/agents/agents", agent)?;
    }
    let path = folder.join("eight.json");
    fs::write(&path, spec.to_string())?;
    Ok(path)
}

/// Appends an item to a list of a specification.
fn push(patch: &mut Json, list: &str, item: Json) -> Result<()> {
    let list = patch.pointer_mut(list).and_then(Json::as_array_mut);
    list.context("the specification has no such list")?
        .push(item);
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
