// SPDX-License-Identifier: Apache-2.0
//! The agent of this node: its options, its key, and its place among the other services.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use sc_client_api::Backend as _;
use sc_network::service::traits::NetworkService;
use sc_service::{error::Error, Configuration, TaskManager};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_keystore::KeystorePtr;
use starling_network::Protocols;
use starling_primitives::INFERENCE;
use starling_runtime::opaque::Block;
use starling_worker::{
    config::{schema, Config},
    lanes::desk::Desk,
    shards::{Layers, Members, Network},
    vault::Vault,
    Accounts, Client, Worker,
};

use crate::client::{FullBackend, FullClient, FullPool};

/// Options of the agent. Without a configuration, the node runs none.
#[derive(Clone, Debug, clap::Args)]
pub struct AgentOptions {
    /// Run an agent with this configuration file: its models, tasks and limits
    ///
    /// The file is read again after each change. `offchain-inference/worker/agent.example.toml` in
    /// the sources explains every field.
    #[arg(long = "agent-config", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// File for the agent's keys, sealed responses and scores, which it must not lose [default:
    /// chains/CHAIN/agent/vault.redb under the base path]
    #[arg(long = "agent-vault", value_name = "FILE", requires = "config")]
    pub vault: Option<PathBuf>,
}

/// Commands about agent configurations, for which no node runs.
#[derive(Debug, clap::Subcommand)]
pub enum AgentCommand {
    /// Check a configuration file.
    Check {
        /// The file.
        #[arg(value_name = "FILE")]
        config: PathBuf,
    },

    /// Print the JSON schema of the configuration file, for editors.
    Schema,
}

impl AgentCommand {
    /// Runs the command.
    pub fn run(&self) -> sc_cli::Result<()> {
        let mut output = io::stdout().lock();
        match self {
            Self::Check { config } => {
                Config::load(config).map_err(|error| sc_cli::Error::Input(error.to_string()))?;
                writeln!(output, "{} is valid", config.display())?;
            },
            Self::Schema => writeln!(output, "{:#}", schema())?,
        }
        Ok(())
    }
}

/// Parts of a node that its agent and its lanes use.
#[derive(Clone)]
pub(crate) struct Parts<'a> {
    pub(crate) client: Arc<FullClient>,
    pub(crate) backend: &'a FullBackend,
    pub(crate) pool: Arc<FullPool>,
    pub(crate) keystore: KeystorePtr,
    pub(crate) network: Arc<dyn NetworkService>,
    pub(crate) task_manager: &'a TaskManager,
}

/// Puts the inference key of a well-known validator (`--alice`) into the keystore, in memory only,
/// as `sc-service` does with its session keys.
pub(crate) fn insert_well_known_key(
    config: &Configuration,
    keystore: &KeystorePtr,
) -> Result<(), Error> {
    let Some(seed) = &config.dev_key_seed else {
        return Ok(());
    };
    match keystore.sr25519_generate_new(INFERENCE, Some(seed)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Other(format!(
            "the inference key of {seed}: {error}"
        ))),
    }
}

/// The parts of an agent that the lanes and the traces of its node use.
pub(crate) struct Running {
    pub(crate) layers: Layers,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) accounts: Accounts,
    pub(crate) vault: PathBuf,
    pub(crate) answers: Arc<Vault>,
}

/// Starts the agent if `options` ask for one. `shards` are registered with the network of a node
/// that runs an agent. Returns what the agent knows of the layers of others.
pub(crate) fn start(
    options: AgentOptions,
    shards: Option<Protocols>,
    config: &Configuration,
    parts: Parts<'_>,
) -> Result<Option<Running>, Error> {
    let (Some(file), Some(shards)) = (options.config, shards) else {
        return Ok(None);
    };
    let Parts {
        client,
        backend,
        pool,
        keystore,
        network,
        task_manager,
    } = parts;
    let storage = backend
        .offchain_storage()
        .ok_or_else(|| Error::Other("the database has no off-chain storage".into()))?;
    let vault = options.vault.unwrap_or_else(|| {
        let chain = config.base_path.config_dir(config.chain_spec.id());
        chain.join("agent").join("vault.redb")
    });
    let registry = config.prometheus_registry();
    let (transport, driver) = shards
        .connect(network, registry)
        .map_err(|error| Error::Other(error.to_string()))?;
    let spawner = task_manager.spawn_handle();
    spawner.spawn("shards", "agent", driver.run());
    let accounts = Accounts::default();
    let members = Arc::new(Members::<Block, _>::new(
        client.clone(),
        keystore.clone(),
        accounts.clone(),
    ));
    let network = Network {
        transport,
        directory: members.clone(),
        identity: members,
    };
    let chain = Arc::new(Client::<Block, _, _>::new(
        client.clone(),
        keystore,
        storage,
        OffchainTransactionPoolFactory::new(pool.clone()),
        config.role.is_authority(),
    ));
    let (worker, finished) = Worker::start(
        chain.clone(),
        Some(network),
        accounts.clone(),
        &file,
        &vault,
        registry,
    )
    .map_err(|error| Error::Other(error.to_string()))?;
    let running = Running {
        layers: worker.layers(),
        desk: Arc::new(worker.desk()),
        accounts,
        vault,
        answers: worker.vault().clone(),
    };
    spawner.spawn(
        "agent",
        "agent",
        starling_worker::run::<Block, _, _>(client, pool, chain, worker, finished),
    );
    Ok(Some(running))
}
