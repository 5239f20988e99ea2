// SPDX-License-Identifier: Apache-2.0
//! Runs the node's binary.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::fs::symlink,
    path::{absolute, Path, PathBuf},
    process::Stdio,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{anyhow, bail, ensure, Context, Result};
use serde_json::Value;
use subxt::{
    config::RpcConfigFor,
    rpcs::{LegacyRpcMethods, RpcClient},
    SubstrateConfig,
};
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    sync::watch,
    task::spawn_blocking,
    time::timeout,
};

use crate::Api;

/// Far longer than a node needs to start or to give up, so that a busy machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running node. It is killed when dropped, even if the test fails.
pub struct Node {
    url: String,
    process: Child,
    log: watch::Receiver<Vec<String>>,
    _base: Option<TempDir>,
}

impl Node {
    /// Starts a chain of one validator, Alice, on a free port and with a database of its own.
    pub async fn dev() -> Result<Self> {
        let base = tempfile::tempdir()?;
        let mut node = Self::start(base.path(), ["--dev"]).await?;
        node._base = Some(base);
        Ok(node)
    }

    /// Starts a node with `args` and its database under `base`.
    pub async fn start<Arg: AsRef<OsStr>>(
        base: &Path,
        args: impl IntoIterator<Item = Arg>,
    ) -> Result<Self> {
        Self::start_with(base, args, &[]).await
    }

    /// As [`Self::start`], with these variables in its environment.
    pub async fn start_with<Arg: AsRef<OsStr>>(
        base: &Path,
        args: impl IntoIterator<Item = Arg>,
        variables: &[(&str, OsString)],
    ) -> Result<Self> {
        let mut process = command()?
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .args(on_raw_specification(args).await?)
            .arg("--base-path")
            .arg(base)
            .arg("--runtime-cache")
            .arg(runtime_cache()?)
            .args([
                "--rpc-port=0",
                "--listen-addr=/ip4/127.0.0.1/tcp/0",
                "--no-mdns",
                "--prometheus-port=0",
                "--no-telemetry",
            ])
            .spawn()?;
        let stderr = process
            .stderr
            .take()
            .context("the node's log is not piped")?;
        let (written, log) = watch::channel(vec![]);
        tokio::spawn(forward(BufReader::new(stderr).lines(), written));
        let mut node = Self {
            url: String::new(),
            process,
            log,
            _base: None,
        };
        let line = node.logged(&["Running JSON-RPC server: addr="]).await?;
        node.url = rpc_url(&line).context("the node does not say where it answers")?;
        Ok(node)
    }

    /// Ends the node as an operator would, and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        self.signal("-INT").await?;
        let status = timeout(PATIENCE, self.process.wait()).await??;
        ensure!(status.success(), "the node ended with {status}");
        Ok(())
    }

    /// Stops the node's process, like a machine that is cut off or asleep.
    pub async fn pause(&self) -> Result<()> {
        self.signal("-STOP").await
    }

    /// Lets the node's process go on.
    pub async fn resume(&self) -> Result<()> {
        self.signal("-CONT").await
    }

    /// The number of its process.
    pub fn id(&self) -> Result<u32> {
        self.process.id().context("the node has ended already")
    }

    async fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill")
            .arg(signal)
            .arg(self.id()?.to_string())
            .status()
            .await?;
        ensure!(status.success(), "cannot signal the node");
        Ok(())
    }

    /// Waits for the first log line with all these words; earlier lines count, too.
    pub async fn logged(&self, words: &[&str]) -> Result<String> {
        self.logged_times(words, 1).await
    }

    /// As [`Self::logged`], for the `times`th such line.
    pub async fn logged_times(&self, words: &[&str], times: usize) -> Result<String> {
        let mut log = self.log.clone();
        let find = |lines: &Vec<String>| {
            let mut found = lines.iter().filter(|line| has(line, words));
            found.nth(times.saturating_sub(1)).cloned()
        };
        let lines = timeout(PATIENCE, log.wait_for(|lines| find(lines).is_some()))
            .await
            .with_context(|| format!("the node does not log {words:?} in time"))?
            .with_context(|| format!("the node ended before it logged {words:?}"))?;
        find(&lines).context("it was there")
    }

    /// Number of log lines with all these words so far.
    pub fn log_count(&self, words: &[&str]) -> usize {
        let lines = self.log.borrow();
        lines.iter().filter(|line| has(line, words)).count()
    }

    /// Address of the node's RPC server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills the node without a warning, like a power cut.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// A connection for calls by name.
    pub async fn rpc(&self) -> Result<RpcClient> {
        Ok(RpcClient::from_url(&self.url).await?)
    }

    /// A connection for the calls of every Substrate node.
    pub async fn methods(&self) -> Result<LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>> {
        Ok(LegacyRpcMethods::new(self.rpc().await?))
    }

    /// A connection that knows the chain's metadata.
    pub async fn api(&self) -> Result<Api> {
        self.api_with(SubstrateConfig::new()).await
    }

    /// A connection that takes the chain's properties from `config`.
    pub async fn api_with(&self, config: SubstrateConfig) -> Result<Api> {
        Ok(Api::from_rpc_client_with_config(config, self.rpc().await?).await?)
    }
}

/// Result of a command that ends by itself.
pub struct Outcome {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The single line that a failed command prints besides its log.
    pub fn refusal(&self) -> Result<&str> {
        ensure!(
            self.code.is_some_and(|code| code != 0),
            "exit code {:?}",
            self.code
        );
        let said: Vec<_> = self.stderr.lines().filter(|line| !is_log(line)).collect();
        let [line] = said[..] else {
            bail!("not one line but:\n{}", said.join("\n"))
        };
        Ok(line)
    }
}

/// Runs the node's binary with `args` to its end.
pub async fn run<Arg: AsRef<OsStr>>(args: impl IntoIterator<Item = Arg>) -> Result<Outcome> {
    run_to_end(command()?.args(args)).await
}

/// The specification of a chain, by its name.
pub async fn specification(chain: &str) -> Result<Value> {
    let exported = run(["export-chain-spec", "--chain", chain]).await?;
    ensure!(exported.code == Some(0), "{}", exported.stderr);
    Ok(serde_json::from_str(&exported.stdout)?)
}

/// Runs `command` to its end.
pub async fn run_to_end(command: &mut Command) -> Result<Outcome> {
    let process = command.stdout(Stdio::piped()).spawn()?;
    let output = timeout(PATIENCE, process.wait_with_output())
        .await
        .context("the command did not end in time")??;
    Ok(Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// Folder for compiled runtimes, shared by all nodes of the tests.
pub fn runtime_cache() -> Result<PathBuf> {
    let folder = binary("STARLING_NODE", "starling-node")?;
    Ok(folder.with_file_name("runtimes"))
}

/// The file with the raw specification of a chain with a name, shared by all nodes of the tests, and
/// its runtime in [`runtime_cache`]. A node that starts by the name compiles the runtime without
/// that folder, to make the genesis.
pub async fn raw_specification(chain: &str) -> Result<PathBuf> {
    let node = binary("STARLING_NODE", "starling-node")?;
    let is = node.metadata()?;
    let built = is.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    let folder = node.with_file_name("specifications");
    let file = folder.join(format!("{chain}-{}-{built}.json", is.len()));
    if file.is_file() {
        return Ok(file);
    }
    fs::create_dir_all(&folder)?;
    // Tests start at the same time, in processes of their own. One of them makes the file and
    // compiles the runtime, and the others wait.
    let lock = File::create(folder.join("lock"))?;
    let _lock = spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if file.is_file() {
        return Ok(file);
    }
    let made = run(["export-chain-spec", "--raw", "--chain", chain]).await?;
    ensure!(made.code == Some(0), "{}", made.stderr);
    // Whole or not at all: another test may read it.
    let new = NamedTempFile::new_in(&folder)?;
    fs::write(new.path(), made.stdout)?;
    compile(new.path()).await?;
    new.persist(&file)?;
    Ok(file)
}

/// Puts the runtime of a raw specification into [`runtime_cache`].
async fn compile(specification: &Path) -> Result<()> {
    let base = tempfile::tempdir()?;
    let text = fs::read_to_string(specification)?;
    let id = serde_json::from_str::<Value>(&text)?["id"].clone();
    let chain = base.path().join("chains");
    let chain = chain.join(id.as_str().context("the specification has no id")?);
    // Where a command on a database keeps what it compiles.
    fs::create_dir_all(&chain)?;
    let compiled = absolute(runtime_cache()?)?;
    fs::create_dir_all(&compiled)?;
    symlink(&compiled, chain.join("runtimes"))?;
    let read = run([
        "export-state".as_ref(),
        "--chain".as_ref(),
        specification.as_os_str(),
        "--base-path".as_ref(),
        base.path().as_os_str(),
    ])
    .await?;
    ensure!(read.code == Some(0), "{}", read.stderr);
    Ok(())
}

/// `args` with the file of [`raw_specification`] for a chain that they name.
async fn on_raw_specification<Arg: AsRef<OsStr>>(
    args: impl IntoIterator<Item = Arg>,
) -> Result<Vec<OsString>> {
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
    let mut args: Vec<OsString> = args.collect();
    for arg in &mut args {
        if let Some(chain @ ("dev" | "local")) =
            arg.to_str().and_then(|arg| arg.strip_prefix(CHAIN))
        {
            *arg = raw_chain(chain).await?;
        }
    }
    if args.iter().any(|arg| arg == "--dev") {
        args.push(raw_chain("dev").await?);
    }
    Ok(args)
}

const CHAIN: &str = "--chain=";

async fn raw_chain(chain: &str) -> Result<OsString> {
    let mut option = OsString::from(CHAIN);
    option.push(raw_specification(chain).await?);
    Ok(option)
}

fn command() -> Result<Command> {
    command_of("STARLING_NODE", "starling-node")
}

/// A command without input that dies with its owner. It is named by the environment variable, or is
/// the binary of this name that was built with the tests.
pub fn command_of(variable: &str, name: &str) -> Result<Command> {
    let mut command = Command::new(binary(variable, name)?);
    command
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

fn binary(variable: &str, name: &str) -> Result<PathBuf> {
    let path = match env::var_os(variable) {
        Some(path) => path.into(),
        None => env::current_exe()?
            .ancestors()
            .nth(2)
            .ok_or_else(|| anyhow!("the test is not inside a target directory"))?
            .join(name),
    };
    ensure!(
        path.is_file(),
        "there is no {}: build it with `cargo build --release --workspace --bins`",
        path.display()
    );
    Ok(path)
}

/// Address of the node's RPC server, from the log line that names it.
fn rpc_url(line: &str) -> Option<String> {
    let (_, address) = line.split_once("addr=")?;
    let address = address.split(',').next()?;
    Some(format!("ws://{address}"))
}

/// Keeps the log, and prints it as the test's own output, which test runners show for failed tests.
async fn forward(mut log: Lines<BufReader<ChildStderr>>, written: watch::Sender<Vec<String>>) {
    while let Ok(Some(line)) = log.next_line().await {
        eprintln!("{line}");
        written.send_modify(|lines| lines.push(line));
    }
}

fn has(line: &str, words: &[&str]) -> bool {
    words.iter().all(|word| line.contains(word))
}

/// True if `line` begins like a log line: with a date.
fn is_log(line: &str) -> bool {
    let date = line.as_bytes().get(..10).unwrap_or_default();
    date.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    }) && !date.is_empty()
}
