// SPDX-License-Identifier: Apache-2.0
//! Measures block time, finality lag and peak memory over a number of blocks.

use std::{collections::HashMap, time::Instant};

use anyhow::{anyhow, Context, Result};
use clap::Parser;
use starling_zombienet::{peak_memory, pid, LocalNetwork};
use zombienet_sdk::subxt::{dynamic, utils::H256, OnlineClient, PolkadotConfig};

/// Measures block time, finality lag and peak memory of a network of Starling nodes.
///
/// Starts the four validators of networks/local.toml, unless it is given a node to attach to.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Finalised blocks to measure.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    blocks: u32,
    /// WebSocket address of a running node to observe instead of starting a network, such as
    /// ws://127.0.0.1:9944.
    #[arg(long)]
    url: Option<String>,
    /// Processes of the running network whose peak memory to report.
    #[arg(long, requires = "url", value_delimiter = ',')]
    pid: Vec<u32>,
}

/// A finalised block, as one node saw it.
struct Finalized {
    hash: H256,
    /// From its import to its finality, in milliseconds.
    lag: u64,
    /// From its height to that of the best block when it was finalised.
    lag_blocks: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let network = match cli.url {
        Some(_) => None,
        None => {
            eprintln!("starting four validators");
            Some(LocalNetwork::spawn().await?)
        },
    };
    let (url, pids) = match &network {
        Some(network) => (
            network.node("alice")?.ws_uri().to_string(),
            network
                .nodes()
                .into_iter()
                .map(pid)
                .collect::<Result<_>>()?,
        ),
        None => (cli.url.unwrap_or_default(), cli.pid),
    };

    let api = OnlineClient::<PolkadotConfig>::from_insecure_url(&url)
        .await
        .with_context(|| format!("cannot connect to {url}"))?;
    let blocks = observe(&api, cli.blocks).await?;
    let times = block_times(&api, &blocks).await?;
    let memory = pids
        .into_iter()
        .map(peak_memory)
        .collect::<Result<Vec<_>>>()?;

    println!("{} finalised blocks seen by {url}", cli.blocks);
    println!("{:<24}{:>12}{:>12}", "", "median", "maximum");
    row("block time", times, milliseconds);
    row(
        "finality lag",
        blocks.iter().skip(1).map(|block| block.lag).collect(),
        milliseconds,
    );
    row(
        "finality lag, in blocks",
        blocks
            .iter()
            .skip(1)
            .map(|block| block.lag_blocks)
            .collect(),
        |lag| lag.to_string(),
    );
    row("peak memory of a node", memory, |bytes| {
        format!("{} MiB", bytes >> 20)
    });
    Ok(())
}

/// Watches one block to start from, then `count` blocks, until each is finalised.
async fn observe(api: &OnlineClient<PolkadotConfig>, count: u32) -> Result<Vec<Finalized>> {
    let mut imports = api.blocks().subscribe_all().await?;
    let mut finality = api.blocks().subscribe_finalized().await?;
    let mut imported = HashMap::new();
    let mut best = 0;
    let mut blocks = vec![];

    while blocks.len() <= count as usize {
        tokio::select! {
            block = imports.next() => {
                let block = block.ok_or_else(|| anyhow!("the node closed the connection"))??;
                best = best.max(block.number());
                imported.insert(block.hash(), Instant::now());
            },
            block = finality.next() => {
                let block = block.ok_or_else(|| anyhow!("the node closed the connection"))??;
                // The first blocks to be finalised were imported before this began.
                let Some(import) = imported.remove(&block.hash()) else { continue };
                blocks.push(Finalized {
                    hash: block.hash(),
                    lag: import.elapsed().as_millis().try_into()?,
                    lag_blocks: u64::from(best.saturating_sub(block.number())),
                });
                if blocks.len() % 10 == 0 {
                    eprintln!("{} of {count} blocks", blocks.len());
                }
            },
        }
    }
    Ok(blocks)
}

/// Milliseconds between each block and the one before it, by the timestamps on chain.
async fn block_times(api: &OnlineClient<PolkadotConfig>, blocks: &[Finalized]) -> Result<Vec<u64>> {
    let now = dynamic::storage("Timestamp", "Now", ());
    let mut stamps = Vec::with_capacity(blocks.len());
    for block in blocks {
        let stamp = api
            .storage()
            .at(block.hash)
            .fetch(&now)
            .await?
            .ok_or_else(|| anyhow!("block {:?} has no timestamp", block.hash))?;
        stamps.push(stamp.as_type::<u64>()?);
    }
    Ok(stamps
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .collect())
}

fn row(name: &str, mut values: Vec<u64>, show: impl Fn(u64) -> String) {
    values.sort_unstable();
    if let (Some(median), Some(maximum)) = (values.get(values.len() / 2), values.last()) {
        println!("{name:<24}{:>12}{:>12}", show(*median), show(*maximum));
    }
}

fn milliseconds(value: u64) -> String {
    format!("{value} ms")
}
