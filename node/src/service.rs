// SPDX-License-Identifier: Apache-2.0
//! Wires the parts of a node: database, transaction pool, import queue, network, RPC, block
//! authoring (Aura) and finality (GRANDPA).

use std::{path::Path, sync::Arc, time::Duration};

use jsonrpsee::RpcModule;
use sc_chain_spec::{BuildGenesisBlock, GenesisBlockBuilder};
use sc_client_api::Backend;
use sc_consensus_aura::{ImportQueueParams, SlotProportion, StartAuraParams};
use sc_consensus_grandpa::{
    FinalityProofProvider, GrandpaApi, GrandpaBlockImport, LinkHalf, SharedVoterState,
    ThreeQuartersOfTheUnfinalizedChain, VotingRulesBuilder,
};
use sc_executor::{HeapAllocStrategy, WasmExecutor, DEFAULT_HEAP_ALLOC_STRATEGY};
use sc_network::{
    config::NetworkBackendType, service::traits::NetworkService, NetworkBackend,
    NotificationService,
};
use sc_network_sync::SyncingService;
use sc_rpc::SubscriptionTaskExecutor;
use sc_service::{
    error::Error as ServiceError, BuildNetworkParams, Configuration, PartialComponents,
    SpawnTasksParams, TaskManager, WarpSyncConfig,
};
use sc_telemetry::{Telemetry, TelemetryHandle, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_consensus_aura::{
    inherents::InherentDataProvider as SlotProvider,
    sr25519::{AuthorityId as AuraId, AuthorityPair as AuraPair},
    SlotDuration,
};
use sp_core::storage::Storage;
use sp_keystore::KeystorePtr;
use sp_runtime::traits::Block as _;
use sp_timestamp::InherentDataProvider as TimestampProvider;
use starling_chain_spec::finality::FinalityFork;
use starling_conduct::{ensure_listening, Pace};
use starling_guard::Guard;
use starling_inherents::{Author, Votes};
use starling_network::{LaneProtocol, Protocols};
use starling_runtime::{apis::RuntimeApi, opaque::Block, Hash};
use starling_warp::{ensure_on_chain, PastForks, Provider};
use starling_watch::{authors, rounds, Clock};
use starling_worker::{lanes::Lanes, shards::Layers};
use substrate_prometheus_endpoint::Registry;

use crate::{
    agent::{self, AgentOptions},
    client::{FullBackend, FullClient, FullPool, HostFunctions},
    endpoints::Endpoints,
    lanes, rpc, traces,
};

type FullSelectChain = sc_consensus::LongestChain<FullBackend, Block>;

/// Maximum number of blocks between two justifications that GRANDPA stores and serves.
const JUSTIFICATION_PERIOD: u32 = 512;

/// Time that GRANDPA allows a vote to reach every voter. A round prevotes after twice and
/// precommits after four times this long; with the usual 333 ms it would last longer than a slot. A
/// slower network stays safe, and finalises later.
///
/// Agents reveal keys and scores once the block that asks for them is final. If finality takes less
/// than a slot, the keys and scores are in the next block.
const GOSSIP_DURATION: Duration = Duration::from_millis(100);

/// The parts of a GRANDPA voter that the import queue already needs.
pub(crate) struct Finality {
    block_import: GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>,
    link: LinkHalf<Block, FullClient, FullSelectChain>,
}

impl Finality {
    /// The forced changes of GRANDPA's set on the chain of `client`, as far as it is final.
    pub(crate) fn forks(&self, client: &FullClient) -> Result<Vec<FinalityFork>, ServiceError> {
        let set = self.link.shared_authority_set();
        let forks = starling_warp::forks(client, &set.authority_set_changes())
            .map_err(ServiceError::Other)?;
        let last = client.chain_info().finalized_hash;
        let (own, counted) = (
            set.set_id(),
            client
                .runtime_api()
                .current_set_id(last)
                .map_err(|error| ServiceError::Other(error.to_string()))?,
        );
        if !forks.is_empty() && own != counted {
            return Err(ServiceError::Other(format!(
                "the runtime counts {counted} sets of GRANDPA's and the nodes count {own}, because its \
                 code was an older one at a forced change: nodes of this chain cannot start from finality \
                 proofs, and sync in full"
            )));
        }
        Ok(forks)
    }
}

type Partial = PartialComponents<
    FullClient,
    FullBackend,
    FullSelectChain,
    sc_consensus::DefaultImportQueue<Block>,
    FullPool,
    (Finality, Option<Telemetry>),
>;

/// Slot and time of a block that is authored or imported now.
fn inherent_data(slot_duration: SlotDuration) -> (SlotProvider, TimestampProvider) {
    let timestamp = TimestampProvider::from_system_time();
    let slot = SlotProvider::from_timestamp_and_slot_duration(*timestamp, slot_duration);
    (slot, timestamp)
}

fn handle(telemetry: &Option<Telemetry>) -> Option<TelemetryHandle> {
    telemetry.as_ref().map(Telemetry::handle)
}

/// [`sc_service::new_wasm_executor`] with a folder for compiled runtimes.
fn new_executor(
    config: &Configuration,
    cache: Option<&Path>,
) -> Result<WasmExecutor<HostFunctions>, ServiceError> {
    let cache = match cache {
        Some(cache) => std::path::absolute(cache)?,
        None => std::path::absolute(config.base_path.config_dir(config.chain_spec.id()))?
            .join("runtimes"),
    };
    let heap = match config.executor.default_heap_pages {
        Some(pages) => HeapAllocStrategy::Static {
            extra_pages: u32::try_from(pages).unwrap_or(u32::MAX),
        },
        None => DEFAULT_HEAP_ALLOC_STRATEGY,
    };
    Ok(WasmExecutor::builder()
        .with_execution_method(config.executor.wasm_method)
        .with_onchain_heap_alloc_strategy(heap)
        .with_offchain_heap_alloc_strategy(heap)
        .with_max_runtime_instances(config.executor.max_runtime_instances)
        .with_runtime_cache_size(config.executor.runtime_cache_size)
        .with_cache_path(cache)
        .build())
}

/// Fails if the database holds another chain than the one of `config`, whose genesis state is
/// `genesis`. The client would silently go on with the chain in the database.
fn ensure_same_chain(
    config: &Configuration,
    backend: &Arc<FullBackend>,
    executor: &WasmExecutor<HostFunctions>,
    genesis: &Storage,
) -> Result<(), ServiceError> {
    let stored = backend.blockchain().info().genesis_hash;
    if stored == Hash::default() {
        return Ok(());
    }
    let (block, _) = GenesisBlockBuilder::<Block, _, _>::new_with_storage(
        genesis.clone(),
        false,
        backend.clone(),
        executor.clone(),
    )?
    .build_genesis_block()?;
    let specified = block.hash();
    if stored == specified {
        return Ok(());
    }
    let path = config
        .database
        .path()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    Err(ServiceError::Other(format!(
        "the database in {path} belongs to another chain: its genesis block is {stored:?}, that of \
         the chain specification {specified:?}; choose another --base-path, or remove the database \
         with `purge-chain`"
    )))
}

/// The forced changes of GRANDPA's set that the chain specification tells.
fn finality_forks(config: &Configuration) -> &[FinalityFork] {
    sc_chain_spec::get_extension::<Vec<FinalityFork>>(config.chain_spec.extensions())
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Opens the database and builds the parts that a node, and each subcommand on the database, needs.
pub(crate) fn new_partial(
    config: &Configuration,
    runtime_cache: Option<&Path>,
) -> Result<Partial, ServiceError> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()?;

    let executor = new_executor(config, runtime_cache)?;
    let backend = sc_service::new_db_backend(config.db_config())?;
    let genesis = config
        .chain_spec
        .as_storage_builder()
        .build_storage()
        .map_err(sp_blockchain::Error::Storage)?;
    ensure_same_chain(config, &backend, &executor, &genesis)?;
    let (client, backend, keystore_container, task_manager) =
        sc_service::new_full_parts_with_genesis_builder::<Block, RuntimeApi, _, _>(
            config,
            telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
            executor.clone(),
            backend.clone(),
            GenesisBlockBuilder::new_with_storage(
                genesis,
                !config.no_genesis(),
                backend,
                executor,
            )?,
            false,
        )?;
    let client = Arc::new(client);
    let forks = finality_forks(config);
    ensure_on_chain(&*client, forks).map_err(ServiceError::Other)?;

    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager
            .spawn_handle()
            .spawn("telemetry", None, worker.run());
        telemetry
    });

    let select_chain = sc_consensus::LongestChain::new(backend.clone());

    let transaction_pool = Arc::from(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );

    let (block_import, link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        handle(&telemetry),
    )?;

    let slot_client = client.clone();
    let import_queue =
        sc_consensus_aura::import_queue::<AuraPair, _, _, _, _, _>(ImportQueueParams {
            block_import: PastForks::new(block_import.clone(), client.clone(), forks.into()),
            justification_import: Some(Box::new(block_import.clone())),
            client: client.clone(),
            create_inherent_data_providers: move |parent, ()| {
                let client = slot_client.clone();
                async move {
                    let duration =
                        sc_consensus_aura::standalone::slot_duration_at(&*client, parent)?;
                    Ok(inherent_data(duration))
                }
            },
            spawner: &task_manager.spawn_essential_handle(),
            registry: config.prometheus_registry(),
            check_for_equivocation: Default::default(),
            telemetry: handle(&telemetry),
            compatibility_mode: Default::default(),
        })?;

    Ok(PartialComponents {
        client,
        backend,
        task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (Finality { block_import, link }, telemetry),
    })
}

/// Starts a node, with an agent if `agent` asks for one. It runs until the task manager ends.
pub(crate) fn new_full<N: NetworkBackend<Block, Hash>>(
    mut config: Configuration,
    runtime_cache: Option<&Path>,
    agent: AgentOptions,
) -> Result<TaskManager, ServiceError> {
    let PartialComponents {
        client,
        backend,
        mut task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (Finality { block_import, link }, mut telemetry),
    } = new_partial(&config, runtime_cache)?;

    let mut net_config = sc_network::config::FullNetworkConfiguration::<Block, Hash, N>::new(
        &config.network,
        config.prometheus_registry().cloned(),
    );
    let metrics = N::register_notification_metrics(config.prometheus_registry());

    let grandpa_protocol = sc_consensus_grandpa::protocol_standard_name(
        &client.chain_info().genesis_hash,
        &config.chain_spec,
    );
    let (grandpa_protocol_config, grandpa_notifications) =
        sc_consensus_grandpa::grandpa_peers_set_config::<_, N>(
            grandpa_protocol.clone(),
            metrics.clone(),
            net_config.peer_store_handle(),
        );
    net_config.add_notification_protocol(grandpa_protocol_config);

    // Only agents compute for each other.
    let shards = agent.config.is_some().then(|| {
        Protocols::register(
            &mut net_config,
            client.chain_info().genesis_hash,
            config.chain_spec.fork_id(),
            metrics.clone(),
        )
    });

    // A requester's node has no agent, and is asked all the same.
    let lane_protocol = LaneProtocol::register(
        &mut net_config,
        client.chain_info().genesis_hash,
        config.chain_spec.fork_id(),
        metrics.clone(),
    );

    // Answers are public once they are revealed: a node without an agent asks for their traces, too.
    let trace_protocol = traces::register(
        &mut net_config,
        client.chain_info().genesis_hash,
        config.chain_spec.fork_id(),
    );

    let proofs = sc_consensus_grandpa::warp_proof::NetworkProvider::new(
        backend.clone(),
        link.shared_authority_set().clone(),
        Vec::new(),
    );
    let warp_sync = Arc::new(Provider::new(Arc::new(proofs), finality_forks(&config)));

    let slot_duration = sc_consensus_aura::standalone::slot_duration::<AuraId, _, _>(&*client)?;
    let clock = Clock::new(client.clone(), slot_duration, config.prometheus_registry())?;
    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: transaction_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: Some(Box::new(|_| Box::new(clock))),
            warp_sync_config: Some(WarpSyncConfig::WithProvider(warp_sync)),
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;
    // The other backend begins to listen later, and says so itself.
    if matches!(config.network.network_backend, NetworkBackendType::Litep2p) {
        ensure_listening(
            &config.network.listen_addresses,
            &network.listen_addresses(),
        )?;
    }

    let keystore = keystore_container.keystore();
    agent::insert_well_known_key(&config, &keystore)?;
    let parts = agent::Parts {
        client: client.clone(),
        backend: &backend,
        pool: transaction_pool.clone(),
        keystore,
        network: network.clone(),
        task_manager: &task_manager,
    };
    let agent = agent::start(agent, shards, &config, parts.clone())?;
    let layers = agent
        .as_ref()
        .map(|agent| agent.layers.clone())
        .unwrap_or_default();
    let own = agent
        .as_ref()
        .map(|agent| (agent.answers.clone(), agent.accounts.clone()));
    let traces = traces::start(trace_protocol, own, &config, parts.clone())?;
    let lanes = lanes::start(
        lane_protocol,
        agent,
        &config,
        parts,
        slot_duration.as_millis(),
    )?;

    let role = config.role;
    let base = config.base_path.config_dir(config.chain_spec.id());
    let force_authoring = config.force_authoring;
    let name = config.network.node_name.clone();
    let enable_grandpa = !config.disable_grandpa;
    let prometheus = config.prometheus_registry().cloned();
    if let Some(registry) = prometheus.clone() {
        let metrics = rounds::run(client.clone(), registry);
        let spawner = task_manager.spawn_handle();
        spawner.spawn("chain-metrics", Some("starling"), metrics);
    }
    let pool = OffchainTransactionPoolFactory::new(transaction_pool.clone());
    let watch = authors::run(client.clone(), pool, prometheus.clone());
    let spawner = task_manager.spawn_handle();
    // Calls of the runtime and of the pool block.
    spawner.spawn_blocking("author-watch", Some("starling"), watch);
    let voter_state = SharedVoterState::empty();

    let endpoints = Endpoints::take(&mut config);
    let swarm = swarm_methods(config.chain_spec.cloned_box(), layers)?;
    let methods = sc_service::spawn_tasks(SpawnTasksParams {
        config,
        client: client.clone(),
        backend: backend.clone(),
        task_manager: &mut task_manager,
        keystore: keystore_container.keystore(),
        transaction_pool: transaction_pool.clone(),
        rpc_builder: rpc_builder(
            client.clone(),
            transaction_pool.clone(),
            backend,
            &link,
            voter_state.clone(),
            (lanes, traces),
            swarm,
        ),
        network: network.clone(),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync_service.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;
    task_manager.keep_alive(endpoints.serve(&methods)?);

    let guard = match role.is_authority() && enable_grandpa {
        true => Some(guard(&mut task_manager, &base, voter_state.clone(), &link)?),
        false => None,
    };
    let running = Running {
        client,
        pool: transaction_pool,
        keystore: keystore_container.keystore(),
        network,
        sync: sync_service,
        task_manager: &task_manager,
        telemetry: handle(&telemetry),
        prometheus,
    };
    if role.is_authority() {
        let votes = Votes::default();
        let follow = votes.clone().follow(link.justification_stream());
        let spawner = task_manager.spawn_handle();
        spawner.spawn("votes", Some("starling"), follow);
        running.author(
            slot_duration,
            select_chain,
            block_import,
            votes,
            force_authoring,
        )?;
    }
    if enable_grandpa {
        let config = sc_consensus_grandpa::Config {
            gossip_duration: GOSSIP_DURATION,
            justification_generation_period: JUSTIFICATION_PERIOD,
            observer_enabled: false,
            local_role: role,
            name: Some(name),
            // A full node follows the votes but casts none.
            keystore: guard.map(|guard| guard.over(keystore_container.keystore())),
            telemetry: handle(&telemetry),
            protocol_name: grandpa_protocol,
        };
        running.vote(config, link, grandpa_notifications, voter_state)?;
    } else {
        // Its protocol is offered to peers: without a reader, litep2p ends each connection.
        task_manager.keep_alive(grandpa_notifications);
    }

    Ok(task_manager)
}

/// Keeps this node from contradicting votes that it has forgotten.
fn guard(
    task_manager: &mut TaskManager,
    base: &Path,
    voter_state: SharedVoterState,
    link: &LinkHalf<Block, FullClient, FullSelectChain>,
) -> Result<Arc<Guard>, ServiceError> {
    let guard = Guard::open(&base.join("last-vote"))
        .map_err(|error| ServiceError::Application(error.into()))?;
    let set = link.shared_authority_set().clone();
    let watch = guard.clone().watch(voter_state, move || set.set_id());
    let spawner = task_manager.spawn_handle();
    spawner.spawn("vote-guard", Some("starling"), watch);
    task_manager.keep_alive(guard.until_end());
    Ok(guard)
}

/// The RPC methods about the chain's specification, whose genesis state takes seconds to build, and
/// about the layers that nodes compute for each other.
fn swarm_methods(
    specification: Box<dyn sc_chain_spec::ChainSpec>,
    layers: Layers,
) -> Result<RpcModule<()>, ServiceError> {
    let raw = move || {
        let text = specification.as_json(true)?;
        serde_json::from_str::<serde_json::Value>(&text).map_err(|error| error.to_string())
    };
    let holders = move || Ok::<_, String>(layers.report());
    starling_rpc::swarm_methods(Arc::new(raw), Arc::new(holders))
        .map_err(|error| ServiceError::Application(error.into()))
}

/// Builds the RPC methods for each server.
#[allow(clippy::type_complexity)]
fn rpc_builder(
    client: Arc<FullClient>,
    pool: Arc<FullPool>,
    backend: Arc<FullBackend>,
    link: &LinkHalf<Block, FullClient, FullSelectChain>,
    voter_state: SharedVoterState,
    (lanes, traces): (Lanes, traces::Desk),
    swarm: RpcModule<()>,
) -> Box<dyn Fn(SubscriptionTaskExecutor) -> Result<RpcModule<()>, ServiceError>> {
    let authority_set = link.shared_authority_set().clone();
    let grandpa = rpc::GrandpaDeps {
        voter_state,
        authority_set: authority_set.clone(),
        justifications: link.justification_stream(),
        proofs: FinalityProofProvider::new_for_service(backend, Some(authority_set)),
    };
    Box::new(move |executor| {
        let deps = rpc::Deps {
            swarm: swarm.clone(),
            client: client.clone(),
            pool: pool.clone(),
            grandpa: grandpa.clone(),
            lanes: lanes.clone(),
            traces: traces.clone(),
        };
        rpc::methods(deps, executor).map_err(Into::into)
    })
}

/// The parts of a running node that authoring and finality use.
struct Running<'a> {
    client: Arc<FullClient>,
    pool: Arc<FullPool>,
    keystore: KeystorePtr,
    network: Arc<dyn NetworkService>,
    sync: Arc<SyncingService<Block>>,
    task_manager: &'a TaskManager,
    telemetry: Option<TelemetryHandle>,
    prometheus: Option<Registry>,
}

impl Running<'_> {
    /// Authors blocks with Aura, and brings `votes` on chain in them.
    fn author(
        &self,
        slot_duration: SlotDuration,
        select_chain: FullSelectChain,
        block_import: GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>,
        votes: Votes,
        force_authoring: bool,
    ) -> Result<(), ServiceError> {
        let proposer_factory = sc_basic_authorship::ProposerFactory::new(
            self.task_manager.spawn_handle(),
            self.client.clone(),
            self.pool.clone(),
            self.prometheus.as_ref(),
            self.telemetry.clone(),
        );
        let author = Author::new(self.client.clone(), self.keystore.clone());
        let aura = sc_consensus_aura::start_aura::<AuraPair, _, _, _, _, _, _, _, _, _, _>(
            StartAuraParams {
                slot_duration,
                client: self.client.clone(),
                select_chain,
                block_import,
                proposer_factory,
                sync_oracle: self.sync.clone(),
                justification_sync_link: self.sync.clone(),
                create_inherent_data_providers: move |parent, ()| {
                    let (author, votes) = (author.clone(), votes.clone());
                    async move {
                        let (slot, timestamp) = inherent_data(slot_duration);
                        let output = author.output(parent, *slot);
                        Ok((slot, timestamp, output, votes.newest()))
                    }
                },
                force_authoring,
                backoff_authoring_blocks: Some(Pace),
                keystore: self.keystore.clone(),
                block_proposal_slot_portion: SlotProportion::new(0.5),
                max_block_proposal_slot_portion: None,
                telemetry: self.telemetry.clone(),
                compatibility_mode: Default::default(),
            },
        )?;
        // A validator that cannot author is useless: if the task ends, so does the node.
        self.task_manager.spawn_essential_handle().spawn_blocking(
            "aura",
            Some("block-authoring"),
            aura,
        );
        Ok(())
    }

    /// Follows and casts the votes of GRANDPA.
    fn vote(
        &self,
        config: sc_consensus_grandpa::Config,
        link: LinkHalf<Block, FullClient, FullSelectChain>,
        notification_service: Box<dyn NotificationService>,
        shared_voter_state: SharedVoterState,
    ) -> Result<(), ServiceError> {
        let voter = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
            config,
            link,
            network: self.network.clone(),
            sync: self.sync.clone(),
            notification_service,
            // Votes may be for the best block itself. Votes for both sides of a fork at the tip
            // finalise their common part, and the next round decides.
            voting_rule: VotingRulesBuilder::new()
                .add(ThreeQuartersOfTheUnfinalizedChain)
                .build(),
            prometheus_registry: self.prometheus.clone(),
            shared_voter_state,
            telemetry: self.telemetry.clone(),
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(self.pool.clone()),
        })?;
        // Without finality the node would follow any fork: if the task ends, so does the node.
        self.task_manager
            .spawn_essential_handle()
            .spawn_blocking("grandpa-voter", None, voter);
        Ok(())
    }
}
