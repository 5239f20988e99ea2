// SPDX-License-Identifier: Apache-2.0
//! Starting the node's binary.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{anyhow, bail, ensure, Context, Result};
use subxt::{
    config::RpcConfigFor,
    rpcs::{LegacyRpcMethods, RpcClient},
    SubstrateConfig,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::Api;

/// Far longer than a node needs to start or to give up, so that a busy machine fails no test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running node. It is killed when this is dropped, also by a test that fails.
pub struct Node {
    url: String,
    process: Child,
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
        let mut process = command()?
            .args(args)
            .arg("--base-path")
            .arg(base)
            .args([
                "--rpc-port=0",
                "--listen-addr=/ip4/127.0.0.1/tcp/0",
                "--no-mdns",
                "--no-prometheus",
                "--no-telemetry",
            ])
            .spawn()?;
        let stderr = process
            .stderr
            .take()
            .context("the node's log is not piped")?;
        let mut log = BufReader::new(stderr).lines();
        let url = timeout(PATIENCE, rpc_url(&mut log))
            .await
            .context("the node did not open its RPC port in time")??;
        tokio::spawn(forward(log));
        Ok(Self {
            url,
            process,
            _base: None,
        })
    }

    /// Ends the node as an operator would, and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.process.id().context("the node has ended already")?;
        let status = Command::new("kill")
            .arg("-INT")
            .arg(pid.to_string())
            .status()
            .await?;
        ensure!(status.success(), "cannot signal the node");
        let status = timeout(PATIENCE, self.process.wait()).await??;
        ensure!(status.success(), "the node ended with {status}");
        Ok(())
    }

    /// Where the node answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the node without a warning, as a power cut would.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// A connection for calls by name.
    pub async fn rpc(&self) -> Result<RpcClient> {
        Ok(RpcClient::from_url(&self.url).await?)
    }

    /// A connection for the calls that every Substrate node knows.
    pub async fn methods(&self) -> Result<LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>> {
        Ok(LegacyRpcMethods::new(self.rpc().await?))
    }

    /// A connection that knows the chain's metadata.
    pub async fn api(&self) -> Result<Api> {
        self.api_with(SubstrateConfig::new()).await
    }

    /// A connection that believes what `config` says of the chain.
    pub async fn api_with(&self, config: SubstrateConfig) -> Result<Api> {
        Ok(Api::from_rpc_client_with_config(config, self.rpc().await?).await?)
    }
}

/// What a command that ends by itself leaves behind.
pub struct Outcome {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// What the command says besides its log, if that is one line and the command failed.
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

fn command() -> Result<Command> {
    command_of("STARLING_NODE", "starling-node")
}

/// A command without input that dies with its owner: what the environment variable names, or else
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

/// Reads the log until it tells where the node answers.
async fn rpc_url(log: &mut Lines<BufReader<ChildStderr>>) -> Result<String> {
    while let Some(line) = log.next_line().await? {
        eprintln!("{line}");
        if let Some((_, address)) = line.split_once("Running JSON-RPC server: addr=") {
            let address = address.split(',').next().unwrap_or_default();
            return Ok(format!("ws://{address}"));
        }
    }
    bail!("the node ended before it opened its RPC port")
}

/// Shows the log as the test's own output, which test runners show of a test that fails.
async fn forward(mut log: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = log.next_line().await {
        eprintln!("{line}");
    }
}

/// Whether `line` starts as a log line does: with a date.
fn is_log(line: &str) -> bool {
    let date = line.as_bytes().get(..10).unwrap_or_default();
    date.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    }) && !date.is_empty()
}
