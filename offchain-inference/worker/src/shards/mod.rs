// SPDX-License-Identifier: Apache-2.0

//! Layers of models that nodes compute for each other.

mod layers;
mod members;
mod serving;

use std::{path::PathBuf, sync::Arc};

use starling_shards::{
    auth::{Directory, Identity},
    integrity::{Archive, Case, Room},
    transport::Transport,
    Service, ServiceError,
};
use substrate_prometheus_endpoint::Registry;

pub use layers::Layers;
pub use members::Members;
use serving::{orders, Serving};

use crate::{config::Config, metrics::Metrics, problems::Problems, LOG_TARGET};

/// The parts of a node that its shards use.
pub struct Network {
    /// Connection to the shards of other nodes.
    pub transport: Arc<dyn Transport>,
    /// The agents of the chain.
    pub directory: Arc<dyn Directory>,
    /// The agent of this node.
    pub identity: Arc<dyn Identity>,
}

/// The shards of a node.
pub struct Shards {
    service: Arc<Service>,
    serving: Serving,
}

impl Shards {
    /// Starts to serve the layers of `config`. Proofs of a server's wrong computations are stored
    /// in the folder `evidence`.
    pub fn start(
        network: Network,
        config: &Config,
        evidence: PathBuf,
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
        let archive = Archive::new(evidence, Room::default());
        let noted = problems.clone();
        service.record_evidence(move |case| {
            let outcome = record(&archive, case);
            noted.note("storing evidence", outcome).is_some()
        });
        let serving = Serving::start(service.clone(), orders(config), metrics, problems)
            .map_err(ServiceError::Thread)?;
        Ok(Self { service, serving })
    }

    /// The service that reaches the layers of other nodes.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The view of the node of the layers of others.
    pub fn layers(&self) -> Layers {
        Layers::of(&self.service)
    }

    /// Takes over another configuration.
    pub fn configure(&self, config: &Config) {
        self.service.configure(config.shards.service());
        self.serving.order(orders(config));
    }
}

fn record(archive: &Archive, case: &Case) -> Result<(), String> {
    let folder = archive.folder().display();
    let path = archive
        .store(case)
        .map_err(|error| format!("{folder}: {error}"))?;
    let claim = &case.evidence.first.claim.body;
    let what = format!(
        "two agents sign different results of layers {}..{}",
        claim.layers.0, claim.layers.1
    );
    match path {
        Some(path) => log::warn!(
            target: LOG_TARGET,
            "{what}: {}; `starling-shards evidence` shows the agents",
            path.display()
        ),
        None => {
            log::info!(target: LOG_TARGET, "{what}: not stored, {folder} has too little room")
        },
    }
    Ok(())
}
