// SPDX-License-Identifier: Apache-2.0
//! A server of layers whose weights are not those whose hash it announces: a canary finds it, an
//! agent accuses it, three others compute its layers again, and the chain slashes it.

use std::{fs, path::Path};

use anyhow::{ensure, Context, Result};
use serde_json::{json, Value as Json};
use starling_engine::{cut, gguf::Gguf};
use starling_models::sha256;
use starling_primitives::{
    api::{
        disputes::{CaseId, CaseView, Phase},
        AgentView,
    },
    H256,
};
use starling_runtime::{parameters::Preset, AccountId, UNIT};
use starling_tests::{
    chain::AtBlock,
    rounds::{agent, ask_runtime},
};
use subxt::rpcs::RpcClient;
use subxt_signer::sr25519::{
    dev::{ferdie, one},
    Keypair,
};
use tokio::time::timeout;

use super::{
    account, address, expert, keys,
    lane::{enrol, MORE},
    models::engine::{self, SMOLLM2},
    shards::client,
    Swarm, Validator, PATIENCE,
};

const FEE: u128 = 10 * UNIT;
const QUESTION: &str = "What is the capital of France?";

/// Serves the first half, with activations of 16 bits.
const ALICE: usize = 0;
/// Serves the second half, with activations of 8 bits.
const BOB: usize = 1;
/// Serves the second half with other weights.
const CHARLIE: usize = 2;
/// Asks the others for all layers.
const DAVE: usize = 3;
/// They serve the first half, and are no validators.
const OTHERS: [usize; 2] = [4, 5];

/// An agent with patterns whose node computes these layers of a model for others.
fn server(answer: &str, model: &str, layers: &str) -> String {
    let expert = expert(answer);
    format!("threads = 1\nniceness = 0\n{expert}[[serve]]\n{model}layers = {layers:?}\n")
}

fn whole(answer: &str, layers: &str) -> String {
    server(answer, &format!("model = {SMOLLM2:?}\n"), layers)
}

/// Writes the second half of the model into `folder`, of which the last quarter is zeros: its last
/// layers add nothing. Returns the configuration of an agent that serves it as the model's.
fn liar(answer: &str, folder: &Path) -> Result<String> {
    let (whole, path) = (engine::model(SMOLLM2), folder.join("damaged.gguf"));
    cut(&Gguf::open(&whole)?, &path, 15..30, false)?;
    let mut bytes = fs::read(&path)?;
    let kept = bytes.len() / 4 * 3;
    bytes.iter_mut().skip(kept).for_each(|byte| *byte = 0);
    fs::write(&path, bytes)?;
    let model = format!(
        "path = {path:?}\nsha256 = {:?}\nof = {:?}\n",
        sha256(&path)?,
        sha256(&whole)?
    );
    Ok(server(answer, &model, "15..30"))
}

/// The keys of all agents, in the order of their nodes.
fn all_keys() -> Vec<Keypair> {
    keys().into_iter().chain([ferdie(), one()]).collect()
}

/// Adds two nodes with agents that serve the first half.
async fn join(swarm: &mut Swarm) -> Result<()> {
    enrol(swarm.node()?, OTHERS.len()).await?;
    let boot = address(swarm.node()?).await?;
    for (name, _) in MORE.into_iter().take(OTHERS.len()) {
        let mut validator = Validator::new(name, Some(whole("It is in Paris.", "0..15")))?;
        validator.start(Some(&boot)).await?;
        swarm.validators.push(validator);
    }
    Ok(())
}

/// Follows the best chain until `look` finds something in a block.
async fn found<T>(
    swarm: &Swarm,
    what: &str,
    mut look: impl AsyncFnMut(&RpcClient, &AtBlock) -> Result<Option<T>>,
) -> Result<T> {
    let node = swarm.node()?;
    let (api, rpc) = (node.api().await?, node.rpc().await?);
    let wait = async {
        let mut blocks = api.stream_best_blocks().await?;
        loop {
            let at = blocks.next().await.context("no more blocks")??.at().await?;
            if let Some(found) = look(&rpc, &at).await? {
                return anyhow::Ok(found);
            }
        }
    };
    let outcome = timeout(PATIENCE, wait).await;
    outcome.with_context(|| format!("waited in vain for {what}"))?
}

/// Waits until the honest servers hold the model on the chain for long enough to be drawn. Returns
/// the agents as of that block.
async fn can_be_drawn(swarm: &Swarm) -> Result<Vec<AgentView>> {
    let delay = u64::from(Preset::Dev.disputes().holder_delay);
    let all = all_keys();
    let executors = [ALICE, BOB].into_iter().chain(OTHERS);
    let executors: Vec<AccountId> = executors.map(|index| account(&all[index])).collect();
    let mut since = None;
    found(swarm, "executors", async |rpc, at| {
        for executor in &executors {
            let (models, _): (Vec<H256>, u32) =
                ask_runtime(rpc, at, "DisputesApi_held", executor).await?;
            if models.is_empty() {
                return Ok(None);
            }
        }
        let number = at.block_number();
        let since = *since.get_or_insert(number);
        match number > since + delay {
            true => Ok(Some(agents(rpc, at).await?)),
            false => Ok(None),
        }
    })
    .await
}

/// Waits until the first case is over; returns its number, and the agents after that.
async fn judged(swarm: &Swarm) -> Result<(CaseId, Vec<AgentView>)> {
    found(swarm, "a judged case", async |rpc, at| {
        let cases: Vec<CaseId> = ask_runtime(rpc, at, "DisputesApi_cases", ()).await?;
        let Some(first) = cases.last() else {
            return Ok(None);
        };
        let case: Option<CaseView<AccountId>> =
            ask_runtime(rpc, at, "DisputesApi_case", first).await?;
        if case.is_none_or(|case| case.phase != Phase::Closed) {
            return Ok(None);
        }
        Ok(Some((*first, agents(rpc, at).await?)))
    })
    .await
}

/// The agents, in the order of their nodes.
async fn agents(rpc: &RpcClient, at: &AtBlock) -> Result<Vec<AgentView>> {
    let mut agents = vec![];
    for key in all_keys() {
        agents.push(agent(rpc, at, &account(&key)).await?);
    }
    Ok(agents)
}

/// Checks the case as the client shows it: who accuses whom, the executors, and the ruling. Returns
/// what is locked of the liar.
fn check(case: &Json) -> Result<u128> {
    let address = |index: usize| account(&all_keys()[index]).to_string();
    assert_eq!(case["phase"], "closed", "{case}");
    assert_eq!(case["accuser"]["address"], address(DAVE), "{case}");
    assert_eq!(case["layers"], json!([15, 30]), "{case}");
    let accused = case["accused"].as_array().context("accused agents")?;
    let is_liar = |one: &Json| one["agent"]["address"] == address(CHARLIE);
    let place = accused.iter().position(is_liar);
    let place = place.with_context(|| format!("the liar is not accused: {case}"))?;
    let (liar, other) = (&accused[place], &accused[1 - place]);
    assert_eq!(other["agent"]["address"], address(BOB), "{case}");
    assert_eq!(liar["verdict"], "guilty", "{case}");
    assert_eq!(other["verdict"], "cleared", "{case}");

    let committee = case["committee"].as_array().context("a committee")?;
    let mut executors = vec![];
    for member in committee {
        assert_eq!(member["finding"], "computed the span again", "{case}");
        let address = member["agent"]["address"].as_str();
        executors.push(address.context("an address")?.to_owned());
    }
    executors.sort();
    let mut expected = [ALICE, OTHERS[0], OTHERS[1]].map(address);
    expected.sort();
    assert_eq!(
        executors, expected,
        "all that hold the model and are no party"
    );
    let stake = liar["stake"].as_str().context("a stake")?;
    Ok(stake.parse()?)
}

#[tokio::test]
async fn who_serves_other_weights_is_found_judged_and_slashed_and_nobody_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // User's rows are checked so rarely that the canary comes first.
    let client = client(&folder, "30s")? + "spot_check = 0.000001\n";
    let mut swarm = Swarm::start([
        whole("Paris is the capital of France.", "0..15"),
        whole("It is Paris.", "15..30") + "activation_bits = 8\n",
        liar("I do not know.", folder.path())?,
        client,
    ])
    .await?;
    join(&mut swarm).await?;
    swarm
        .serving(&[ALICE, BOB, CHARLIE, OTHERS[0], OTHERS[1]])
        .await?;
    let before = can_be_drawn(&swarm).await?;

    // Dave uses the layers of the others for his answer, and sends a canary along.
    swarm.ask(QUESTION, FEE).await?;
    let (case, after) = judged(&swarm).await?;
    let shown = swarm
        .client(&["disputes", "show", &case.to_string()])
        .await?;
    let stake = check(&shown)?;

    let slash = Preset::Dev.disputes().slash;
    assert_eq!(stake, slash.mul_floor(before[CHARLIE].bond));
    assert_eq!(after[CHARLIE].bond, before[CHARLIE].bond - stake);
    ensure!(!after[CHARLIE].active, "the liar is not chilled");
    for index in [ALICE, BOB, DAVE].into_iter().chain(OTHERS) {
        assert_eq!(after[index].bond, before[index].bond, "agent {index}");
        ensure!(after[index].active, "agent {index} is chilled");
    }
    Ok(())
}
