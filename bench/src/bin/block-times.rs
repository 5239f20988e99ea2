// SPDX-License-Identifier: Apache-2.0
//! Measures block time, finality lag and peak memory of a running network:
//!
//! ```sh
//! scripts/swarm --run 'cargo run --release --locked --bin block-times -- --pid $STARLING_PIDS'
//! ```

use anyhow::Result;
use clap::Parser;
use starling_bench::{block_times::measure, Network};
use starling_console::outln;

/// Measures block time, finality lag and peak memory over a number of blocks.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    network: Network,
    /// Number of finalised blocks
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    blocks: u32,
    /// Processes of nodes whose peak memory to print, separated by commas
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let table = measure(&cli.network.url(), cli.blocks, &cli.pid)
        .await?
        .to_string();
    outln!("{}", table.trim_end());
    Ok(())
}
