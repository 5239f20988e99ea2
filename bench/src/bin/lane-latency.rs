// SPDX-License-Identifier: Apache-2.0
//! Measures the latency of a lane on a running network:
//!
//! ```sh
//! starling lane open 100 --dev eve --wait
//! cargo run --release --locked --bin lane-latency -- --lane 0
//! ```

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use starling_bench::{
    lane::{measure, Plan},
    Network,
};
use starling_console::outln;

/// Asks a lane of a development network, request after request.
///
/// Prints the times to the soft answer and to the certificate, at the node and at the requester. Eve
/// asks: the lane must be hers.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    network: Network,
    /// Number of the lane
    #[arg(long)]
    lane: u64,
    /// Number of requests
    #[arg(long, default_value_t = 50)]
    requests: usize,
    /// Maximum length of an answer, in tokens
    #[arg(long, default_value_t = 32)]
    max_tokens: u32,
    /// Fee of each request, in the smallest unit
    #[arg(long, default_value_t = 1_000_000_000_000)]
    fee: u128,
    /// Round trip between the nodes in milliseconds, for the last column
    #[arg(long)]
    round_trip: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let plan = Plan {
        lane: cli.lane,
        requests: cli.requests,
        max_tokens: cli.max_tokens,
        fee: cli.fee,
        round_trip: cli.round_trip.map(Duration::from_millis),
    };
    let table = measure(&cli.network.url(), plan).await?.to_string();
    outln!("{}", table.trim_end());
    Ok(())
}
