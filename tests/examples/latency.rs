// SPDX-License-Identifier: Apache-2.0
//! Measures how long rounds take on a network that runs, as docs/latency.md shows:
//!
//! ```sh
//! scripts/swarm --run 'cargo run --release --locked --example latency'
//! ```

use anyhow::Result;
use clap::Parser;
use starling_tests::latency::{measure, Plan};

/// Asks a development network round after round, and says how long each phase takes, how many slots
/// stay without a block, and how many messages agents did not get in. Eve asks, and with
/// --at-once 2 Ferdie too.
#[derive(Parser)]
struct Cli {
    /// Where a node answers [default: STARLING_URL, else ws://127.0.0.1:9944]
    #[arg(long)]
    url: Option<String>,
    /// How many rounds
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How many of them are open at the same time, 1 or 2
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// The longest answer, in tokens
    #[arg(long, default_value_t = 32)]
    max_tokens: u32,
    /// What each answer is worth, in the smallest unit
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
    let url = cli.url.or_else(|| std::env::var("STARLING_URL").ok());
    let url = url.as_deref().unwrap_or("ws://127.0.0.1:9944");
    print!("{}", measure(url, plan).await?);
    Ok(())
}
