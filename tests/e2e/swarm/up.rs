// SPDX-License-Identifier: Apache-2.0
//! `starling up`: four validators from the installed programs, and nothing left of them.

use std::{net::TcpListener, path::Path, process::Stdio};

use anyhow::{Context, Result};
use starling_tests::node::{command_of, run_to_end};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::{engine, PATIENCE};

/// The first of eight ports that nobody uses.
fn ports() -> Result<u16> {
    loop {
        let free = TcpListener::bind("127.0.0.1:0")?;
        let first = free.local_addr()?.port();
        drop(free);
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first < u16::MAX - 8 && (first..first + 8).all(free) {
            return Ok(first);
        }
    }
}

fn up(rpc_port: u16, port: u16, run: &str) -> Result<Command> {
    let mut command = command_of("STARLING_CLIENT", "starling")?;
    command
        .arg("up")
        .args(["--rpc-port", &rpc_port.to_string()])
        .args(["--port", &port.to_string()])
        .args(["--run", run]);
    Ok(command)
}

/// Whether a process is there.
fn runs(id: &str) -> bool {
    Path::new("/proc").join(id).join("fd").exists()
}

#[tokio::test]
async fn the_nodes_of_up_end_with_its_command_and_with_ctrl_c() -> Result<()> {
    engine::model(engine::SMOLLM2);
    engine::model(engine::GEMMA3);

    // The exit code is that of the command's success, and the nodes are gone.
    let first = ports()?;
    let said = run_to_end(&mut up(first, first + 4, "echo $STARLING_PIDS; false")?).await?;
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let ids: Vec<_> = said.stdout.trim().split(',').collect();
    assert_eq!(ids.len(), 4, "{}", said.stdout);
    assert!(!ids.iter().any(|id| runs(id)), "{ids:?}");

    let first = ports()?;
    let mut command = up(first, first + 4, "echo $STARLING_PIDS; exec sleep 600")?;
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let output = process.stdout.take().context("it is piped")?;
    let mut lines = BufReader::new(output).lines();
    let ids = timeout(PATIENCE, lines.next_line()).await??;
    let ids = ids.context("the swarm runs")?;
    assert!(ids.split(',').all(runs), "{ids}");
    let id = process.id().context("it runs")?.to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await?;
    assert!(sent.success());
    let status = timeout(PATIENCE, process.wait()).await??;
    assert_eq!(status.code(), Some(130));
    assert!(!ids.split(',').any(runs), "{ids}");
    Ok(())
}

#[tokio::test]
async fn ports_that_overlap_or_are_taken_are_refused() -> Result<()> {
    let first = ports()?;
    let said = run_to_end(&mut up(first, first + 3, "true")?).await?;
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("overlap"), "{}", said.stderr);

    let taken = TcpListener::bind(("127.0.0.1", first + 5))?;
    let said = run_to_end(&mut up(first, first + 4, "true")?).await?;
    assert_eq!(said.code, Some(2));
    let port = format!("port {}", taken.local_addr()?.port());
    assert!(said.stderr.contains(&port), "{}", said.stderr);
    Ok(())
}
