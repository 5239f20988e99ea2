// SPDX-License-Identifier: Apache-2.0
//! The traces of answers: those of this node's agents for others, and those of others for its
//! clients.

use std::sync::Arc;

use codec::Encode;
use sc_network::{config::FullNetworkConfiguration, NetworkBackend};
use sc_service::{error::Error, Configuration};
use starling_network::{Source, TraceNetwork, TraceProtocol};
use starling_runtime::{opaque::Block, Hash};
use starling_sketch::shown::{Ask, Shown, MAX_ASK, MAX_SHOWN};
use starling_worker::{shards::Members, traces::Traces, vault::Vault, Accounts};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::agent::Parts;

/// The most clients that search for a trace at a time.
const SEARCHES: usize = 8;

/// Adds the protocol to a network. A node without agents asks in it.
pub(crate) fn register<N: NetworkBackend<Block, Hash>>(
    network: &mut FullNetworkConfiguration<Block, Hash, N>,
    genesis: Hash,
    fork_id: Option<&str>,
) -> TraceProtocol {
    TraceProtocol::register(network, genesis, fork_id, MAX_ASK, MAX_SHOWN)
}

/// Shows the traces of this node.
struct Shelf(Traces);

impl Source for Shelf {
    fn agents(&self) -> Vec<[u8; 32]> {
        self.0.agents()
    }

    fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        self.0.answer(request)
    }
}

/// Starts the protocol, with the vault of the node's agents if it has some.
pub(crate) fn start(
    protocol: TraceProtocol,
    own: Option<(Arc<Vault>, Accounts)>,
    config: &Configuration,
    parts: Parts<'_>,
) -> Result<Desk, Error> {
    let accounts = own.as_ref().map(|(_, accounts)| accounts.clone());
    let members =
        Members::<Block, _>::new(parts.client, parts.keystore, accounts.unwrap_or_default());
    let traces = Traces::new(Arc::new(members), own);
    let source = Arc::new(Shelf(traces.clone()));
    let (network, driver) = protocol
        .connect(parts.network, source, config.prometheus_registry())
        .map_err(|error| Error::Other(error.to_string()))?;
    let spawner = parts.task_manager.spawn_handle();
    // It reads the vault and asks the runtime, which block.
    spawner.spawn_blocking("traces", "agent", driver.run());
    Ok(Desk {
        traces,
        network,
        searches: Arc::new(Semaphore::new(SEARCHES)),
    })
}

/// A client gets no trace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoTrace {
    /// No node that was found shows it.
    NotShown,
    /// The node searches for others.
    Busy,
}

/// The traces for this node's clients.
#[derive(Clone)]
pub(crate) struct Desk {
    traces: Traces,
    network: Arc<TraceNetwork>,
    searches: Arc<Semaphore>,
}

impl Desk {
    /// The trace of an answer: of this node's vault, or of the nodes of its author.
    pub(crate) async fn find(&self, ask: Ask) -> Result<Shown, NoTrace> {
        let _place = self.searches.try_acquire().map_err(|_| NoTrace::Busy)?;
        let traces = self.traces.clone();
        let own = spawn_blocking(move || traces.shown(&ask)).await;
        if let Ok(Some(shown)) = own {
            return Ok(shown);
        }
        let accept = |answer: &[u8]| self.traces.accept(&ask, answer);
        let found = self.network.ask(&ask.agent, &ask.encode(), accept).await;
        found.ok_or(NoTrace::NotShown)
    }
}
