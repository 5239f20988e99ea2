// SPDX-License-Identifier: Apache-2.0
//! `starling gateway`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use directories::ProjectDirs;
use serde_json::json;
use starling_client::{Error, Keypair, Result};
use starling_console::outln;
use starling_gateway::{
    api_key, completion,
    config::Config,
    gateway::{Fault, Gateway},
    light::LightClient,
    node::Node,
    server,
    store::Store,
};
use tokio::net::TcpListener;

use crate::arguments::{Connection, Signer};

/// The address of a gateway that serves this machine alone.
const LISTEN: &str = "127.0.0.1:8042";

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: Serve,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// Manage API keys.
    #[command(subcommand)]
    Key(Key),
}

#[derive(clap::Subcommand)]
pub enum Key {
    /// Make an API key. Prints the key once, and its hash for the configuration.
    New,
}

#[derive(clap::Args)]
pub struct Serve {
    /// Address to listen on; without a `[[key]]` in the configuration only of this machine
    #[arg(long, default_value = LISTEN, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Configuration with keys, models, lane, hosts and origins
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for requests and spending [default: the data folder of the user]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the npm package `smoldot`, with which pages verify answers [default: `light_client`
    /// of the configuration, else the one installed with this program]
    #[arg(long, value_name = "DIR")]
    light_client: Option<PathBuf>,
    #[command(flatten)]
    signer: Signer,
}

pub async fn run(connection: &Connection, args: Serve) -> Result<()> {
    let config = match &args.config {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(Error::io(path.display()))?;
            Config::parse(&text)
                .map_err(|fault| Error::Usage(format!("{}: {fault}", path.display())))?
        },
        None => Config::default(),
    };
    let has_keys = !config.keys.is_empty();
    if !server::may_listen(args.listen, has_keys) {
        return Err(Error::Usage(format!(
            "{} can be reached from other machines: put a [[key]] into the configuration, or \
             listen on a loopback address",
            args.listen
        )));
    }
    let light = light_client(args.light_client.or_else(|| config.light_client.clone()))?;
    let local = args.signer.key()?;
    // Before the node is asked for anything: a second gateway ends here.
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(Error::io(args.listen))?;
    let address = listener.local_addr().map_err(Error::io(args.listen))?;
    let node = Node::connect(&connection.url(), connection.insecure).await?;
    let folder = folder(args.data.clone())?;
    let chain = completion::chain_name(&node.genesis().0);
    let store = open(&folder, &chain)?;
    let gateway = open_gateway(&config, local, node, store).await?;
    if connection.json {
        outln!("{}", json!({ "listen": address.to_string() }));
    } else {
        outln!("Listening on http://{address}");
    }
    server::serve(gateway, listener, &config, light)
        .await
        .map_err(Error::io(address))
}

/// The light client of a named folder, or the one that was installed with this program.
fn light_client(named: Option<PathBuf>) -> Result<LightClient> {
    match named.or_else(installed_light_client) {
        Some(folder) => LightClient::read(&folder).map_err(Error::io(folder.display())),
        None => Ok(LightClient::default()),
    }
}

/// `/usr/share/starling/light-client` of `/usr/bin/starling`, if it is there.
fn installed_light_client() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let prefix = program.parent()?.parent()?;
    let folder = prefix.join("share").join("starling").join("light-client");
    Some(folder).filter(|folder| folder.is_dir())
}

/// Opens a gateway over a connection.
pub async fn open_gateway(
    config: &Config,
    local: Option<Keypair>,
    node: Node,
    store: Store,
) -> Result<std::sync::Arc<Gateway>> {
    let currency = node.currency().await;
    Gateway::open(config, local, node, currency, store).map_err(|fault| match fault {
        Fault::Client(error) => error,
        Fault::Config(_) | Fault::Usage(_) => Error::Usage(fault.to_string()),
        Fault::Store(_) | Fault::Metrics(_) => Error::Protocol(fault.to_string()),
    })
}

pub fn run_key(json: bool, command: &Key) -> Result<()> {
    match command {
        Key::New => {
            let new = api_key::generate().map_err(Error::io("the system's randomness"))?;
            if json {
                outln!("{}", json!({ "key": new.key, "sha256": new.sha256 }));
            } else {
                outln!("key:     {}", new.key);
                outln!("sha256:  {}", new.sha256);
            }
        },
    }
    Ok(())
}

fn folder(given: Option<PathBuf>) -> Result<PathBuf> {
    let standard =
        || ProjectDirs::from("", "", "starling").map(|dirs| dirs.data_dir().join("gateway"));
    given
        .or_else(standard)
        .ok_or_else(|| Error::Usage("the user has no home folder: pass --data".into()))
}

/// The file of one chain: rounds of another one would be taken for its own.
fn open(folder: &Path, chain: &str) -> Result<Store> {
    fs::create_dir_all(folder).map_err(Error::io(folder.display()))?;
    let path = folder.join(format!("{chain}.redb"));
    Store::open(&path).map_err(|fault| {
        Error::Protocol(format!(
            "{}: {fault}; one gateway at a time can use it, others need another --data",
            path.display()
        ))
    })
}
