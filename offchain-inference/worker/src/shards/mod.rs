// SPDX-License-Identifier: Apache-2.0

//! Layers of models that this node computes for others, and that others compute for it.

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

pub use members::Members;
use serving::{orders, Serving};

use crate::{config::Config, metrics::Metrics, problems::Problems, LOG_TARGET};

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
    /// Starts to serve what `config` says. What proves that a server computed wrongly goes to the
    /// folder `evidence`.
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

    /// What reaches the layers that others hold.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Serves what `config` says from now on.
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
            "{what}: {}; `starling-shards evidence` shows who they are",
            path.display()
        ),
        None => log::info!(target: LOG_TARGET, "{what}: {folder} has enough of these two"),
    }
    Ok(())
}
