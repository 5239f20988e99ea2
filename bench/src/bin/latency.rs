// SPDX-License-Identifier: Apache-2.0
//! Measures the duration of rounds on a running network:
//!
//! ```sh
//! scripts/swarm --run 'cargo run --release --locked --bin latency'
//! ```

use anyhow::Result;
use clap::Parser;
use starling_bench::{
    latency::{measure, Plan},
    Network,
};
use starling_console::outln;

/// Asks a development network round after round.
///
/// Prints the duration of each phase, the share of slots without a block, and the number of
/// messages that agents missed. Eve asks, and with --at-once 2 Ferdie as well.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    network: Network,
    /// Number of rounds
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Number of rounds that are open at the same time, 1 or 2
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Maximum length of an answer, in tokens
    #[arg(long, default_value_t = 32)]
    max_tokens: u32,
    /// Fee of each round, in the smallest unit
    #[arg(long, default_value_t = 1_000_000_000_000)]
    fee: u128,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let plan = Plan {
        rounds: cli.rounds,
        at_once: cli.at_once,
        max_tokens: cli.max_tokens,
        fee: cli.fee,
    };
    let table = measure(&cli.network.url(), plan).await?.to_string();
    outln!("{}", table.trim_end());
    Ok(())
}
