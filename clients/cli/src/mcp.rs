// SPDX-License-Identifier: Apache-2.0
//! `starling mcp`.

use starling_client::{Error, Result};
use starling_gateway::{config::Config, mcp, node::Node, store::Store};

use crate::{
    arguments::{Connection, Signer},
    gateway::open_gateway,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    signer: Signer,
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let signer = args.signer.required()?;
    let node = Node::connect(&connection.url(), connection.insecure).await?;
    // A host that starts the program again repeats no question, so nothing need be kept.
    let store = Store::in_memory().map_err(|fault| Error::Protocol(fault.to_string()))?;
    let config = Config::default();
    let gateway = open_gateway(&config, Some(signer), node, store).await?;
    mcp::stdio(gateway)
        .await
        .map_err(Error::io("standard output"))
}
