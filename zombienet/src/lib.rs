// SPDX-License-Identifier: Apache-2.0
//! Networks of Starling nodes on this machine, through zombienet's native provider.
//!
//! The nodes die with the [`LocalNetwork`] that started them, also when a test panics: zombienet
//! holds them as children that are killed on drop. A test runner that kills a test kills its process
//! group, and they are in it.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};

use anyhow::{anyhow, bail, ensure, Context, Result};
use zombienet_sdk::{
    subxt::{
        backend::{legacy::LegacyRpcMethods, rpc::RpcClient},
        PolkadotConfig,
    },
    AddNodeOptions, Arg, LocalFileSystem, Network, NetworkConfig, NetworkConfigExt, NetworkNode,
};

/// Height of the last block that a node finalised, as it reports it to Prometheus.
const FINALIZED: &str = "substrate_block_height{status=\"finalized\"}";
/// Maximum time for a network to reach a height, in seconds. Far longer than it needs, so that a
/// busy machine fails no test.
const PATIENCE: u64 = 300;

/// The network of `networks/local.toml`: the validators alice, bob, charlie and dave.
pub struct LocalNetwork {
    network: Network<LocalFileSystem>,
    /// Arguments of every node.
    args: Vec<Arg>,
    /// Held while the network lives; see [`take_place`].
    _place: File,
}

impl LocalNetwork {
    /// Starts the network and returns when all of its nodes answer.
    ///
    /// Databases and logs are in a directory `starling-zombienet-N` among the temporary files, and
    /// stay there until another network takes its place.
    pub async fn spawn() -> Result<Self> {
        let command = node_command()?;
        let (place, base) = take_place()?;
        if base.exists() {
            fs::remove_dir_all(&base)
                .with_context(|| format!("cannot remove {}", base.display()))?;
        }
        let config = config(&command, &base)?;
        let args = config
            .relaychain()
            .default_args()
            .into_iter()
            .cloned()
            .collect();
        Ok(Self {
            network: config.spawn_native().await?,
            args,
            _place: place,
        })
    }

    /// The node called `name`.
    pub fn node(&self, name: &str) -> Result<&NetworkNode> {
        self.network.get_node(name)
    }

    /// All nodes.
    pub fn nodes(&self) -> Vec<&NetworkNode> {
        self.network.relaychain().nodes()
    }

    /// Adds a node that validates nothing, with `args` besides those of the other nodes.
    pub async fn add_full_node(&mut self, name: &str, args: &[&str]) -> Result<()> {
        let args = self
            .args
            .iter()
            .cloned()
            .chain(args.iter().copied().map(Arg::from))
            .collect();
        self.network
            .add_node(
                name,
                AddNodeOptions {
                    args,
                    ..Default::default()
                },
            )
            .await
    }
}

/// Waits until `node` has finalised the block at `height`.
pub async fn finalized(node: &NetworkNode, height: u64) -> Result<()> {
    node.wait_metric_with_timeout(FINALIZED, |seen| seen >= height as f64, PATIENCE)
        .await
        .with_context(|| format!("{} did not finalise block {height}", node.name()))
}

/// Height of the last block that `node` finalised.
pub async fn finalized_height(node: &NetworkNode) -> Result<u64> {
    node.assert_with(FINALIZED, |_| true).await?;
    Ok(node.reports(FINALIZED).await? as u64)
}

/// Fails unless `left` and `right` have the same block at `height`.
pub async fn ensure_agree(left: &NetworkNode, right: &NetworkNode, height: u64) -> Result<()> {
    let (ours, theirs) = (
        block_hash(left, height).await?,
        block_hash(right, height).await?,
    );
    ensure!(
        ours == theirs,
        "{} has {ours} at height {height}, {} has {theirs}",
        left.name(),
        right.name()
    );
    Ok(())
}

async fn block_hash(node: &NetworkNode, height: u64) -> Result<String> {
    let rpc = LegacyRpcMethods::<PolkadotConfig>::new(RpcClient::from_url(node.ws_uri()).await?);
    rpc.chain_get_block_hash(Some(height.into()))
        .await?
        .map(|hash| format!("{hash:?}"))
        .ok_or_else(|| anyhow!("{} has no block at height {height}", node.name()))
}

/// Process of `node`.
pub fn pid(node: &NetworkNode) -> Result<u32> {
    serde_json::to_value(node)?
        .pointer("/inner/process_handle")
        .and_then(serde_json::Value::as_u64)
        .and_then(|pid| pid.try_into().ok())
        .ok_or_else(|| anyhow!("zombienet does not know the process of {}", node.name()))
}

/// A directory that no other network uses, and the lock that tells others so: tests run in parallel,
/// in threads or in processes.
fn take_place() -> Result<(File, PathBuf)> {
    for place in 0..u16::MAX {
        let base = env::temp_dir().join(format!("starling-zombienet-{place}"));
        let path = base.with_extension("lock");
        let file =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok((file, base)),
            Err(TryLockError::WouldBlock) => {},
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()))
            },
        }
    }
    bail!("no place is free")
}

/// The network of `networks/local.toml`, run by `command`, with its files under `base`. Its nodes
/// share what they compile, as those of the end-to-end tests do.
fn config(command: &Path, base: &Path) -> Result<NetworkConfig> {
    let mut file: toml::Table = include_str!("../networks/local.toml").parse()?;
    let settings = table(&mut file, "settings")?;
    settings.insert("base_dir".into(), base.display().to_string().into());

    let relaychain = table(&mut file, "relaychain")?;
    relaychain.insert(
        "default_command".into(),
        command.display().to_string().into(),
    );
    let specification = specification(command)?.display().to_string();
    let print = relaychain.get("chain_spec_command");
    let print = print.and_then(toml::Value::as_str);
    let print = print.context("networks/local.toml has no chain_spec_command")?;
    let print = print.replace("{{chainName}}", &specification);
    relaychain.insert("chain_spec_command".into(), print.into());
    let args = relaychain.get_mut("default_args");
    let args = args.and_then(toml::Value::as_array_mut);
    let args = args.context("networks/local.toml has no default_args")?;
    let compiled = command.with_file_name("runtimes");
    args.push(format!("--runtime-cache={}", compiled.display()).into());
    NetworkConfig::load_from_toml_string(&file.to_string())
}

fn table<'a>(file: &'a mut toml::Table, name: &str) -> Result<&'a mut toml::Table> {
    file.get_mut(name)
        .and_then(toml::Value::as_table_mut)
        .ok_or_else(|| anyhow!("networks/local.toml has no table {name}"))
}

/// The file with the raw specification of the chain `local`. It is made once for each build of the
/// node and kept beside it, where the end-to-end tests keep theirs: the node compiles the runtime to
/// make it.
fn specification(command: &Path) -> Result<PathBuf> {
    let is = command.metadata()?;
    let built = is.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    let folder = command.with_file_name("specifications");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Networks start at the same time, in processes of their own.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let file = folder.join(format!("local-{}-{built}.json", is.len()));
    if !file.is_file() {
        let new = file.with_extension("new");
        let made = Command::new(command)
            .args(["export-chain-spec", "--chain=local", "--raw", "--output"])
            .arg(&new)
            .output()?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::rename(&new, &file)?;
    }
    Ok(file)
}

/// The node to run: `$STARLING_NODE`, or else `starling-node` from `PATH`.
fn node_command() -> Result<PathBuf> {
    const ADVICE: &str = "build it with `cargo build --release -p starling-node` and set \
                          STARLING_NODE to target/release/starling-node";
    if let Some(path) = env::var_os("STARLING_NODE") {
        let path = PathBuf::from(path);
        return path
            .canonicalize()
            .with_context(|| format!("STARLING_NODE is {}: {ADVICE}", path.display()));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    match env::split_paths(&path)
        .map(|dir| dir.join("starling-node"))
        .find(|file| file.is_file())
    {
        Some(file) => Ok(file.canonicalize()?),
        None => bail!("there is no starling-node in PATH: {ADVICE}"),
    }
}
