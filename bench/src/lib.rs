// SPDX-License-Identifier: Apache-2.0
//! Measures a running network over RPC. `README.md` has the command of each published figure.

use anyhow::{Context, Result};
use starling_client::At;
use starling_console::variable;

pub mod block_times;
pub mod lane;
pub mod latency;
mod process;
pub mod soak;

/// The network to measure, as an argument.
#[derive(clap::Args)]
pub struct Network {
    /// WebSocket address of a node [default: $STARLING_URL, else ws://127.0.0.1:9944]
    #[arg(long)]
    url: Option<String>,
}

impl Network {
    /// The address of the node: the given one, `STARLING_URL`, or a node on this machine.
    pub fn url(self) -> String {
        self.url
            .or_else(|| variable("STARLING_URL"))
            .unwrap_or_else(|| starling_client::chain::DEFAULT_URL.into())
    }
}

/// The time of a block, in milliseconds since 1970.
async fn timestamp(at: &At) -> Result<u64> {
    let now = at.value("Timestamp", "Now").await?;
    now.with_context(|| format!("block {} has no timestamp", at.number()))
}
