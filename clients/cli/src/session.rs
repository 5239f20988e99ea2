// SPDX-License-Identifier: Apache-2.0
//! `starling session`.

use std::{path::PathBuf, process::Stdio};

use serde_json::json;
use sp_core::crypto::Ss58Codec;
use starling_client::{
    transaction::{self, SessionKeys},
    Error, Keypair, Result,
};
use starling_console::outln;
use tokio::process;

use crate::{
    arguments::{account_of, Connection, Signer},
    up::node,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    signer: Signer,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make session keys in the keystore of a validator's node, and announce them. Run it as the
    /// user of the node, which may run meanwhile.
    Rotate(Rotate),
}

#[derive(clap::Args)]
struct Rotate {
    /// Chain of the node: its name, or the file of its specification
    #[arg(long, value_name = "CHAIN")]
    chain: String,
    /// Base path of the node
    #[arg(long, value_name = "DIR")]
    base_path: PathBuf,
    /// The program `starling-node` [default: $STARLING_NODE, else the one beside this program, else
    /// that of PATH]
    #[arg(long, value_name = "FILE")]
    node: Option<PathBuf>,
}

pub async fn run(connection: &Connection, args: Args) -> Result<()> {
    let Command::Rotate(rotate) = args.command;
    let key = args.signer.required()?;
    connection
        .run(|chain| async move {
            // Before the chain hears of the keys: keys that only the chain knows would be lost.
            let call = transaction::set_session_keys(&rotate.make(&key).await?)?;
            let sent = transaction::send(&chain, &call, &key).await?;
            match connection.json {
                true => outln!("{}", json!({ "block": sent.block })),
                false => outln!(
                    "The keys are announced as of block {}. They are in force after two sessions; \
                     keep the old ones until then.",
                    sent.block
                ),
            }
            Ok(())
        })
        .await
}

impl Rotate {
    /// Has the node's own program make the keys, since it knows its keystore.
    async fn make(&self, owner: &Keypair) -> Result<SessionKeys> {
        let program = node::path(self.node.clone())?;
        let made = process::Command::new(&program)
            .args(["key", "session", "--json", "--chain", &self.chain])
            .arg("--base-path")
            .arg(&self.base_path)
            .args(["--owner", &account_of(owner).to_ss58check()])
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(Error::io(program.display()))?;
        if !made.status.success() {
            let words = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(Error::Protocol(format!(
                "the node cannot make keys: {}",
                words.trim()
            )));
        }
        serde_json::from_slice(&made.stdout)
            .map_err(|error| Error::Protocol(format!("the node's keys: {error}")))
    }
}
