// SPDX-License-Identifier: Apache-2.0
//! The two protocols, their names and their limits.

use std::{sync::Arc, time::Duration};

use sc_network::{
    config::{FullNetworkConfiguration, NonReservedPeerMode, SetConfig},
    request_responses::IncomingRequest,
    service::traits::NetworkService,
    NetworkBackend, NotificationMetrics, NotificationService, ProtocolName,
};
use sp_runtime::traits::Block as BlockT;
use starling_shards::transport::MAX_MESSAGE;
use substrate_prometheus_endpoint::{PrometheusError, Registry};

use crate::{driver::Driver, metrics::Metrics, transport::Network};

/// Version of the protocols of spans. Since 2 all rows are sealed: a node of an earlier release
/// finds no common protocol with this one, and its log says so.
const SHARDS: u8 = 2;

/// Maximum size of a set-up request or response, in bytes.
const MAX_SETUP: u64 = 1 << 20;

/// Maximum duration of a request, whatever timeout its sender asks for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum number of waiting requests. Further ones are refused.
const REQUEST_QUEUE: usize = 128;

/// Maximum number of peers that may hold a substream to this node open.
const MAX_INBOUND: u32 = 64;

/// The protocols, registered with a network that is not running yet.
pub struct Protocols {
    activations: Box<dyn NotificationService>,
    setup: ProtocolName,
    requests: async_channel::Receiver<IncomingRequest>,
}

impl Protocols {
    /// Adds the protocols to `network`.
    pub fn register<B: BlockT, N: NetworkBackend<B, B::Hash>>(
        network: &mut FullNetworkConfiguration<B, B::Hash, N>,
        genesis: B::Hash,
        fork_id: Option<&str>,
        metrics: NotificationMetrics,
    ) -> Self {
        let name = |protocol| name(genesis.as_ref(), fork_id, protocol, SHARDS);
        let shards = name("shards");
        let activations = notifications(network, shards, MAX_MESSAGE, MAX_INBOUND, metrics);
        let (queue, requests) = async_channel::bounded(REQUEST_QUEUE);
        let setup = name("shards-setup");
        network.add_request_response_protocol(N::request_response_config(
            setup.clone(),
            vec![],
            MAX_SETUP,
            MAX_SETUP,
            REQUEST_TIMEOUT,
            Some(queue),
        ));
        Self {
            activations,
            setup,
            requests,
        }
    }

    /// Creates the transport over the running `network`, and its driver.
    pub fn connect(
        self,
        network: Arc<dyn NetworkService>,
        registry: Option<&Registry>,
    ) -> Result<(Arc<Network>, Driver), PrometheusError> {
        let metrics = Metrics::new(registry)?;
        let activations = self.activations.protocol().clone();
        let transport = Arc::new(Network::new(network, activations, self.setup, metrics));
        let driver = Driver::new(transport.clone(), self.activations, self.requests);
        Ok((transport, driver))
    }
}

/// Adds a notification protocol to `network`. Its substreams are opened only to peers that this
/// node asks for, and at most `inbound` peers open one to this node.
pub(crate) fn notifications<B: BlockT, N: NetworkBackend<B, B::Hash>>(
    network: &mut FullNetworkConfiguration<B, B::Hash, N>,
    name: ProtocolName,
    max_message: usize,
    inbound: u32,
    metrics: NotificationMetrics,
) -> Box<dyn NotificationService> {
    let (config, service) = N::notification_config(
        name,
        vec![],
        max_message as u64,
        None,
        SetConfig {
            in_peers: inbound,
            out_peers: 0,
            reserved_nodes: vec![],
            non_reserved_mode: NonReservedPeerMode::Accept,
        },
        metrics,
        network.peer_store_handle(),
    );
    network.add_notification_protocol(config);
    service
}

/// Name of a protocol. Other chains, and other forks of this one, have names of their own.
pub(crate) fn name(
    genesis: &[u8],
    fork_id: Option<&str>,
    protocol: &str,
    version: u8,
) -> ProtocolName {
    let genesis: String = genesis.iter().map(|byte| format!("{byte:02x}")).collect();
    match fork_id {
        Some(fork) => format!("/{genesis}/{fork}/{protocol}/{version}"),
        None => format!("/{genesis}/{protocol}/{version}"),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_fork_and_version_has_a_name_of_its_own() {
        assert_eq!(&*name(&[0x0a, 0xff], None, "shards", 2), "/0aff/shards/2");
        let fork = name(&[0x0a, 0xff], Some("x"), "shards", 1);
        assert_eq!(&*fork, "/0aff/x/shards/1");
    }
}
