// SPDX-License-Identifier: Apache-2.0
//! The lanes of this node: members answer in them, and requesters ask through it.

use std::sync::Arc;

use sc_service::{error::Error, Configuration};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use starling_network::LaneProtocol;
use starling_runtime::opaque::Block;
use starling_worker::{
    lanes::{
        chain::LaneClient,
        desk::{Desk, Nobody},
        Lanes,
    },
    Accounts,
};

use crate::agent::{Parts, Running};

/// Starts the lanes. Without an agent the node serves its requesters alone. `slot_ms` is the time
/// between two blocks.
pub(crate) fn start(
    protocol: LaneProtocol,
    agent: Option<Running>,
    config: &Configuration,
    parts: Parts<'_>,
    slot_ms: u64,
) -> Result<Lanes, Error> {
    let registry = config.prometheus_registry();
    let (transport, driver) = protocol
        .connect(parts.network, registry)
        .map_err(|error| Error::Other(error.to_string()))?;
    let spawner = parts.task_manager.spawn_handle();
    spawner.spawn("lane-network", "agent", driver.run());
    let chain = Arc::new(LaneClient::<Block, _>::new(
        parts.client.clone(),
        parts.keystore,
        OffchainTransactionPoolFactory::new(parts.pool),
        slot_ms,
    ));
    let (desk, accounts, file): (Arc<dyn Desk>, _, _) = match agent {
        Some(running) => {
            let file = running.vault.with_file_name("lanes.redb");
            (running.desk, running.accounts, file)
        },
        None => {
            let chain = config.base_path.config_dir(config.chain_spec.id());
            (
                Arc::new(Nobody),
                Accounts::default(),
                chain.join("lanes.redb"),
            )
        },
    };
    let lanes = Lanes::start(transport, chain, desk, accounts, &file, registry)
        .map_err(|error| Error::Other(error.to_string()))?;
    let follow = lanes.clone().follow::<Block, _>(parts.client);
    spawner.spawn("lanes", "agent", follow);
    Ok(lanes)
}
