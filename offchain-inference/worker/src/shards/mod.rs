// SPDX-License-Identifier: Apache-2.0

//! Blocks of models that this node computes for others, and that others compute for it.

mod members;
mod serving;

use std::sync::Arc;

use starling_shards::{
    auth::{Directory, Identity},
    transport::Transport,
    Service, ServiceError,
};
use substrate_prometheus_endpoint::Registry;

pub use members::Members;
use serving::{orders, Serving};

use crate::{config::Config, metrics::Metrics, problems::Problems};

/// What of a node its shards use.
pub struct Network {
    /// How they reach those of other nodes.
    pub transport: Arc<dyn Transport>,
    /// Who the others are.
    pub directory: Arc<dyn Directory>,
    /// Who this node is.
    pub identity: Arc<dyn Identity>,
}

/// The shards of a node.
pub struct Shards {
    service: Arc<Service>,
    serving: Serving,
}

impl Shards {
    /// Starts to serve what `config` says.
    pub fn start(
        network: Network,
        config: &Config,
        metrics: Metrics,
        problems: Arc<Problems>,
        registry: Option<&Registry>,
    ) -> Result<Self, ServiceError> {
        let Network {
            transport,
            directory,
            identity,
        } = network;
        let limits = config.shards.service();
        let service = Service::start(transport, directory, identity, limits, registry)?;
        let serving = Serving::start(service.clone(), orders(config), metrics, problems)
            .map_err(ServiceError::Thread)?;
        Ok(Self { service, serving })
    }

    /// What reaches the blocks that others hold.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Serves what `config` says from now on.
    pub fn configure(&self, config: &Config) {
        self.service.configure(config.shards.service());
        self.serving.order(orders(config));
    }
}
