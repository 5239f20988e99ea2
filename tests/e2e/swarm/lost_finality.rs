// SPDX-License-Identifier: Apache-2.0
//! Half of the validators are gone for good, and with them finality. The committee brings it back,
//! pays from the treasury and upgrades the runtime, without any key that is root. With the change
//! in the specification, a new node starts from finality proofs.

use std::{fs, path::Path, time::Duration};

use anyhow::{ensure, Context, Result};
use serde_json::Value as Json;
use sp_io::hashing::blake2_256;
use starling_runtime::UNIT;
use starling_tests::{
    chain::{account_id, balance_of, call, contains, raw_value, AtBlock},
    governance::Committee,
    node::{raw_specification, run, Node},
};
use subxt::{
    dynamic::{storage, Value},
    utils::AccountId32,
};
use subxt_signer::sr25519::{
    dev::{charlie, dave, ferdie},
    Keypair,
};
use tokio::time::timeout;

use super::{address, keys, Swarm};

const CHARLIE: usize = 2;
const DAVE: usize = 3;
/// Three sessions at half of the usual speed, on a busy machine.
const DRILL: Duration = Duration::from_secs(900);
/// Blocks between the start of the session and the change of GRANDPA's set.
const DELAY: u128 = 5;
const BOND: u128 = 1_000 * UNIT;

#[tokio::test]
async fn a_committee_restores_finality_pays_and_upgrades_without_sudo() -> Result<()> {
    timeout(DRILL, drill()).await?
}

async fn drill() -> Result<()> {
    let mut swarm = Swarm::start([None::<String>, None, None, None]).await?;
    let all = keys();
    // Three of four members. Their accounts need no node.
    let (members, _) = all.split_at(3);

    swarm.kill(CHARLIE).await?;
    swarm.kill(DAVE).await?;
    let committee = Committee::new(members, swarm.node()?).await?;
    let stopped = lost_finality(&committee).await?;

    // The dead lose their bonds, and with them their seats.
    for dead in [charlie(), dave()] {
        committee
            .decide(call("Agents", "slash", vec![id(&dead), Value::u128(BOND)]))
            .await?;
    }
    let [charlie, dave] = [charlie(), dave()].map(|key| account_id(&key).0);
    committee
        .until(async |at| {
            let queued = raw_value(at, "Session", "QueuedKeys").await?;
            Ok(!contains(&queued, &charlie) && !contains(&queued, &dave))
        })
        .await?;
    let final_block = Value::u128(stopped.into());
    let note_stalled = vec![Value::u128(DELAY), final_block];
    committee
        .as_root(call("Grandpa", "note_stalled", note_stalled))
        .await?;

    let voters = 2;
    let changed = committee
        .until(async |at| Ok(validators(at).await? == voters))
        .await?;
    let goal = changed.block_number() + u64::try_from(DELAY)? + 10;
    committee
        .until(async |_| Ok(committee.finalised().await? >= goal))
        .await?;
    // The runtime counts GRANDPA's sets as the nodes do, and takes votes of the new one.
    committee.until(voted).await?;

    // The treasury has the bonds.
    let paid = ferdie();
    let before = balance_of(&committee.best().await?, account_id(&paid)).await?;
    committee
        .decide(call("Rewards", "spend", vec![id(&paid), Value::u128(UNIT)]))
        .await?;
    let after = balance_of(&committee.best().await?, account_id(&paid)).await?;
    assert_eq!(after, before + UNIT);

    // The committee authorizes a hash, and anybody brings the code.
    let code = starling_runtime::WASM_BINARY.context("the tests were built without the runtime")?;
    let hash = Value::from_bytes(blake2_256(code));
    let authorize = call("System", "authorize_upgrade_without_checks", vec![hash]);
    committee.as_root(authorize).await?;
    assert!(authorized(&committee.best().await?).await?);
    let apply = call(
        "System",
        "apply_authorized_upgrade",
        vec![Value::from_bytes(code)],
    );
    committee.send(&apply, &paid).await?;
    assert!(!authorized(&committee.best().await?).await?);

    // Who comes back late, and who comes for the first time, see the same final chain.
    let goal = committee.finalised().await? + 10;
    swarm.restart(DAVE).await?;
    let back = swarm.validators.get(DAVE).context("no such validator")?;
    follows(back.node()?, &committee, goal).await?;
    let folder = tempfile::tempdir()?;
    let boot = format!("--bootnodes={}", address(swarm.node()?).await?);
    let args = ["--chain=local", "--unsafe-force-node-key-generation", &boot];
    let new = Node::start(folder.path(), args).await?;
    follows(&new, &committee, goal).await?;
    new.stop().await?;
    starts_from_proofs(&swarm, folder.path(), &committee, stopped).await
}

/// Starts a new node from finality proofs, with the specification that the database of a node under
/// `synced` amends. It arrives at the same final chain, and fetches the history from before.
async fn starts_from_proofs(
    swarm: &Swarm,
    synced: &Path,
    committee: &Committee<'_>,
    stopped: u64,
) -> Result<()> {
    let base = format!("--base-path={}", synced.display());
    let own = raw_specification("local").await?;
    let chain = format!("--chain={}", own.display());
    let forks = run(["export-finality-forks", &chain, &base]).await?;
    ensure!(forks.code == Some(0), "{}", forks.stderr);
    let forks: Json = serde_json::from_str(&forks.stdout)?;
    let last_final = forks.pointer("/finalityForks/0/lastFinal/number");
    ensure!(last_final == Some(&stopped.into()), "{forks}");
    let mut amended: Json = serde_json::from_str(&fs::read_to_string(own)?)?;
    amended["finalityForks"] = forks["finalityForks"].clone();
    let folder = tempfile::tempdir()?;
    let specification = folder.path().join("amended.json");
    fs::write(&specification, amended.to_string())?;

    let mut args = vec![
        format!("--chain={}", specification.display()),
        "--sync=warp".into(),
        "--unsafe-force-node-key-generation".into(),
    ];
    // It waits for three.
    for node in swarm.validators.iter().filter_map(|one| one.node.as_ref()) {
        args.push(format!("--bootnodes={}", address(node).await?));
    }
    let node = Node::start(&folder.path().join("node"), args).await?;
    node.logged(&["Warp sync is complete"]).await?;
    // It has no number of the blocks up to there before their history.
    let goal = committee.finalised().await? + 10;
    follows(&node, committee, goal).await?;
    node.logged(&["Block history download is complete"]).await?;
    let nobody: [Keypair; 0] = [];
    let other = Committee::new(&nobody, &node).await?;
    for height in [1, stopped, stopped + 1, goal] {
        ensure!(
            other.hash(height).await? == committee.hash(height).await?,
            "another block {height}"
        );
    }
    node.stop().await
}

/// Whether blocks of this session have brought votes.
async fn voted(at: &AtBlock) -> Result<bool> {
    let address = storage::<(), Value>("Votes", "Voters");
    Ok(at.storage().try_fetch(address, ()).await?.is_some())
}

/// Waits until the best chain has left the final one behind. Returns the height of the last final
/// block.
pub(super) async fn lost_finality(committee: &Committee<'_>) -> Result<u64> {
    // Votes on their way still count.
    let now = committee.best().await?.block_number();
    committee
        .until(async |at| Ok(at.block_number() >= now + 5))
        .await?;
    let stopped = committee.finalised().await?;
    committee
        .until(async |at| Ok(at.block_number() >= stopped + 15))
        .await?;
    ensure!(committee.finalised().await? == stopped, "too few finalise");
    Ok(stopped)
}

/// Waits until a node knows the same final block of this height as the committee's.
async fn follows(node: &Node, committee: &Committee<'_>, goal: u64) -> Result<()> {
    let nobody: [Keypair; 0] = [];
    let other = Committee::new(&nobody, node).await?;
    other
        .until(async |_| Ok(other.finalised().await? >= goal))
        .await?;
    committee
        .until(async |_| Ok(committee.finalised().await? >= goal))
        .await?;
    ensure!(
        other.hash(goal).await? == committee.hash(goal).await?,
        "another chain is final"
    );
    Ok(())
}

pub(super) async fn validators(at: &AtBlock) -> Result<usize> {
    let address = storage::<(), Vec<AccountId32>>("Session", "Validators");
    Ok(at.storage().fetch(address, ()).await?.decode()?.len())
}

async fn authorized(at: &AtBlock) -> Result<bool> {
    let address = storage::<(), Value>("System", "AuthorizedUpgrade");
    Ok(at.storage().try_fetch(address, ()).await?.is_some())
}

/// `key`'s account as an argument.
fn id(key: &Keypair) -> Value {
    Value::from_bytes(account_id(key).0)
}
