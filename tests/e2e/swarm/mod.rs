// SPDX-License-Identifier: Apache-2.0
//! Four validators with agents, on one machine.

mod ask;
mod capture;
mod clock;
mod deaths;
mod dishonest;
mod disputes;
mod gateway;
mod honest;
mod kills;
mod lane;
mod lane_latency;
mod late;
mod lost_finality;
mod models;
mod oracle;
mod shards;
mod silent;
mod soak;
mod split;
mod twenty;
mod twins;
mod up;
mod upgrade;
mod votes;

pub(crate) use models::engine;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use futures::future::try_join_all;
use serde_json::Value as Json;
use sp_core::bytes::to_hex;
use starling_primitives::{api::RoundView, round::Phase, Balance, RoundId};
use starling_runtime::{AccountId, MILLI_UNIT};
use starling_tests::{
    chain::{account_id, call, send, AtBlock},
    rounds::{agent, opened, request, round},
    Api, Node,
};
use subxt::{dynamic::Value, rpcs::rpc_params};
use subxt_signer::sr25519::{
    dev::{alice, bob, charlie, dave, eve},
    Keypair,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far longer than any round of these tests takes, so that a busy machine fails none.
const PATIENCE: Duration = Duration::from_secs(420);

/// The validators by the options that name them.
const NAMES: [&str; 4] = ["alice", "bob", "charlie", "dave"];

/// Number of stored keys with this prefix, at most 100.
async fn count_keys(node: &Node, prefix: &[u8]) -> Result<usize> {
    let rpc = node.rpc().await?;
    let params = rpc_params![to_hex(prefix, false), 100];
    let keys: Vec<String> = rpc.request("state_getKeysPaged", params).await?;
    Ok(keys.len())
}

/// The agents' keys in the same order.
fn keys() -> [Keypair; 4] {
    [alice(), bob(), charlie(), dave()]
}

fn account(key: &Keypair) -> AccountId {
    AccountId::new(account_id(key).0)
}

/// Patterns that give this answer to every prompt.
fn expert(answer: &str) -> String {
    format!("[[primary]]\n[[primary.patterns]]\npattern = '.'\nanswer = {answer:?}\n")
}

/// As [`expert`], after thinking for `seconds`.
fn slow_expert(answer: &str, seconds: u64) -> String {
    thinking_expert(answer, &format!("sleep {seconds}"))
}

/// As [`expert`], as soon as the file `sign` exists.
fn patient_expert(answer: &str, sign: &Path) -> String {
    let wait = format!("until [ -e '{}' ]; do sleep 0.1; done", sign.display());
    thinking_expert(answer, &wait)
}

fn thinking_expert(answer: &str, thinking: &str) -> String {
    let think = format!(
        "[[before]]\ncommand = [\"sh\", \"-c\", \"{thinking}; echo thought\"]\n\
         timeout = \"10m\"\n"
    );
    think + &expert(answer)
}

struct Validator {
    node: Option<Node>,
    folder: TempDir,
    name: &'static str,
    /// The chain by name, or the file with its specification.
    chain: OsString,
    /// True if its node runs an agent.
    agent: bool,
    /// Environment variables of its node.
    variables: Vec<(&'static str, OsString)>,
    /// More arguments of its node.
    arguments: Vec<OsString>,
}

impl Validator {
    /// A validator whose node is not started yet.
    fn new(name: &'static str, config: Option<String>) -> Result<Self> {
        let validator = Self {
            node: None,
            folder: tempfile::tempdir()?,
            name,
            chain: "local".into(),
            agent: config.is_some(),
            variables: vec![],
            arguments: vec![],
        };
        validator.configure(&config.unwrap_or_default())?;
        Ok(validator)
    }

    /// Gives its agent another configuration.
    fn configure(&self, config: &str) -> Result<()> {
        let accounts = format!("accounts = [{:?}]\n", self.name);
        Ok(fs::write(self.config(), accounts + config)?)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    async fn start(&mut self, boot: Option<&str>) -> Result<()> {
        let mut chain = OsString::from("--chain=");
        chain.push(&self.chain);
        let mut args: Vec<OsString> = vec![
            chain,
            "--unsafe-force-node-key-generation".into(),
            format!("--{}", self.name).into(),
        ];
        if self.agent {
            args.push(format!("--agent-config={}", self.config().display()).into());
        }
        args.extend(boot.map(|address| format!("--bootnodes={address}").into()));
        args.extend(self.arguments.iter().cloned());
        let node = Node::start_with(self.folder.path(), args, &self.variables);
        self.node = Some(node.await?);
        Ok(())
    }

    fn node(&self) -> Result<&Node> {
        self.node.as_ref().context("the node does not run")
    }
}

/// Alice, Bob, Charlie and Dave. Their nodes end when this is dropped.
struct Swarm {
    validators: Vec<Validator>,
}

impl Swarm {
    /// Starts four validators with these agent configurations, and a ticket for every round of a
    /// test. Without a configuration the node runs no agent, because the test plays it.
    async fn start(configs: [impl Into<Option<String>>; 4]) -> Result<Self> {
        Self::start_on(OsStr::new("local"), configs).await
    }

    /// As [`Self::start`], on another chain, by name or by the file with its specification.
    async fn start_on(chain: &OsStr, configs: [impl Into<Option<String>>; 4]) -> Result<Self> {
        let mut validators = vec![];
        for (name, config) in NAMES.into_iter().zip(configs) {
            let mut validator = Validator::new(name, config.into())?;
            validator.chain = chain.into();
            validators.push(validator);
        }
        let swarm = Self::of(validators).await?;
        swarm.buy_tickets(1_000 * MILLI_UNIT).await?;
        Ok(swarm)
    }

    /// Starts these validators: the first, and then all others with its address.
    async fn of(validators: Vec<Validator>) -> Result<Self> {
        let mut swarm = Self { validators };
        if let Some((first, others)) = swarm.validators.split_first_mut() {
            first.start(None).await?;
            let boot = address(first.node()?).await?;
            try_join_all(others.iter_mut().map(|one| one.start(Some(&boot)))).await?;
        }
        Ok(swarm)
    }

    /// Buys tickets of this amount for each agent.
    async fn buy_tickets(&self, amount: Balance) -> Result<()> {
        let api = self.api().await?;
        let tickets = call("Tickets", "buy", vec![Value::u128(amount)]);
        let keys = keys();
        let bought = keys.iter().map(|key| async {
            send(&api, &tickets, key).await?.wait_for_success().await?;
            anyhow::Ok(())
        });
        timeout(PATIENCE, try_join_all(bought)).await??;
        Ok(())
    }

    /// Any node that runs.
    fn node(&self) -> Result<&Node> {
        let running = self.validators.iter().find_map(|one| one.node.as_ref());
        running.context("no node runs")
    }

    /// The output of the client with `--json`, against any node that runs.
    async fn client(&self, arguments: &[&str]) -> Result<Json> {
        crate::client::json(self.node()?, arguments).await
    }

    async fn api(&self) -> Result<Api> {
        self.node()?.api().await
    }

    /// Kills a node without a warning.
    async fn kill(&mut self, index: usize) -> Result<()> {
        let validator = self
            .validators
            .get_mut(index)
            .context("no such validator")?;
        let node = validator.node.take().context("the node does not run")?;
        node.kill().await
    }

    /// Starts a killed node again.
    async fn restart(&mut self, index: usize) -> Result<()> {
        let boot = address(self.node()?).await?;
        let validator = self
            .validators
            .get_mut(index)
            .context("no such validator")?;
        validator.start(Some(&boot)).await
    }

    /// Eve asks. Returns the number of the round.
    async fn ask(&self, prompt: &str, fee: Balance) -> Result<RoundId> {
        let api = self.api().await?;
        let request = request(prompt, fee, 32);
        opened(&timeout(PATIENCE, send(&api, &request, &eve())).await??).await
    }

    /// Waits until a round has ended in a finalised block; returns that block.
    async fn ended(&self, id: RoundId) -> Result<(AtBlock, RoundView<AccountId>)> {
        let over = |view: &RoundView<AccountId>| view.round.phase.is_final();
        self.until(id, over).await
    }

    /// Waits for the first finalised block after which `condition` holds for a round.
    async fn until(
        &self,
        id: RoundId,
        condition: impl Fn(&RoundView<AccountId>) -> bool,
    ) -> Result<(AtBlock, RoundView<AccountId>)> {
        let api = self.api().await?;
        let rpc = self.node()?.rpc().await?;
        let mut number = None;
        let wait = async {
            let mut blocks = api.stream_blocks().await?;
            loop {
                let Ok(newest) = blocks.next().await.context("no more blocks")? else {
                    // A node that is short of time ends subscriptions, and with them what subxt
                    // asks it about their blocks.
                    blocks = api.stream_blocks().await?;
                    continue;
                };
                let newest = newest.number();
                // Finality comes in steps of several blocks, and rounds are quick.
                for number in number.unwrap_or(newest)..=newest {
                    let at = api.at_block(number).await?;
                    let view = round(&rpc, &at, id).await?;
                    if let Some(view) = view.filter(&condition) {
                        return anyhow::Ok((at, view));
                    }
                }
                number = Some(newest + 1);
            }
        };
        timeout(PATIENCE, wait)
            .await
            .with_context(|| format!("round {id} does not get so far"))?
    }

    /// Waits for the first block on the best chain after which `condition` holds for a round. The
    /// block may come a block or two late.
    async fn until_best(
        &self,
        id: RoundId,
        condition: impl Fn(&RoundView<AccountId>) -> bool,
    ) -> Result<(AtBlock, RoundView<AccountId>)> {
        until_best(self.node()?, id, 0, condition).await
    }

    /// Waits until the best chain has an agent's response, and the round is still in that phase.
    async fn committed(&self, id: RoundId, agent: &AccountId) -> Result<()> {
        let is_in = |view: &RoundView<AccountId>| {
            let mut responses = view.responses.iter();
            responses.any(|response| response.agent == *agent)
        };
        let condition =
            |view: &RoundView<AccountId>| view.round.phase != Phase::Committing || is_in(view);
        let (_, view) = self.until_best(id, condition).await?;
        let phase = view.round.phase;
        ensure!(phase == Phase::Committing, "too late: {phase:?}");
        Ok(())
    }
}

/// Ensures that a round has a winner, and that `agents` agents answered and ranked without a fault.
fn complete(view: &RoundView<AccountId>, agents: u32) -> Result<()> {
    let counts = &view.round.counts;
    let done = view.round.phase == Phase::Done;
    let all = [counts.commits, counts.valid, counts.disclosures] == [agents; 3];
    ensure!(done && all, "{view:?}");
    Ok(())
}

/// Waits for a best block of `node`, at least of this height, after which `condition` holds for a
/// round.
async fn until_best(
    node: &Node,
    id: RoundId,
    height: u64,
    condition: impl Fn(&RoundView<AccountId>) -> bool,
) -> Result<(AtBlock, RoundView<AccountId>)> {
    let (api, rpc) = (node.api().await?, node.rpc().await?);
    let wait = async {
        let mut blocks = api.stream_best_blocks().await?;
        loop {
            // The stream begins with the last final block.
            let block = blocks.next().await.context("no more blocks")??;
            if block.number() < height {
                continue;
            }
            let at = block.at().await?;
            let view = round(&rpc, &at, id).await?;
            if let Some(view) = view.filter(&condition) {
                return anyhow::Ok((at, view));
            }
        }
    };
    timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("round {id} does not get so far"))?
}

/// Address of a node for other nodes.
async fn address(node: &Node) -> Result<String> {
    let rpc = node.rpc().await?;
    let addresses: Vec<String> = rpc
        .request("system_localListenAddresses", rpc_params![])
        .await?;
    let loopback = addresses
        .into_iter()
        .find(|address| address.contains("/127.0.0.1/"));
    loopback.context("the node does not listen on the loopback")
}
