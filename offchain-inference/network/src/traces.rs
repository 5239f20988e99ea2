// SPDX-License-Identifier: Apache-2.0
//! The protocol of traces: anybody asks the nodes of an agent for the trace of a public answer.
//!
//! A node announces the agents whose traces it shows in the DHT, under their accounts. This crate
//! carries bytes: the [`Source`] makes answers, and whoever asks says which answer is good.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::{pin, Pin},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{
    future::{join_all, select, select_all, Either},
    StreamExt,
};
use futures_timer::Delay;
use parking_lot::Mutex;
use sc_network::{
    config::{FullNetworkConfiguration, OutgoingResponse},
    request_responses::IncomingRequest,
    service::traits::NetworkService,
    Event, IfDisconnected, NetworkBackend, PeerId, ProtocolName,
};
use sp_runtime::traits::Block as BlockT;
use substrate_prometheus_endpoint::{register, Counter, PrometheusError, Registry, U64};

use crate::{
    discovery::{Command, Discovery, TRACES},
    protocols::name,
    LOG_TARGET,
};

/// Maximum duration of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of waiting requests. Further ones are refused.
const QUEUE: usize = 16;

/// Maximum number of requests of one peer in a [`WINDOW`]. Further ones are refused.
const REQUESTS_OF_A_PEER: u32 = 16;

/// Maximum number of peers whose requests are served in a [`WINDOW`].
const PEERS: usize = 128;

/// The time in which requests are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Maximum duration of a search for a trace.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks at the providers that a search has found.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Maximum number of peers that a search asks. Anybody can announce an agent.
const MOST_ASKED: usize = 16;

/// Time between two looks at the agents of the source.
const TICK: Duration = Duration::from_secs(5);

/// The traces of this node. Its methods may block.
pub trait Source: Send + Sync + 'static {
    /// The accounts of the agents whose traces it shows.
    fn agents(&self) -> Vec<[u8; 32]>;

    /// The answer to a request; `None` refuses it.
    fn answer(&self, request: &[u8]) -> Option<Vec<u8>>;
}

/// The protocol, registered with a network that is not running yet.
pub struct TraceProtocol {
    name: ProtocolName,
    requests: async_channel::Receiver<IncomingRequest>,
}

impl TraceProtocol {
    /// Adds the protocol to `network`, with the largest sizes of a request and of an answer in bytes.
    pub fn register<B: BlockT, N: NetworkBackend<B, B::Hash>>(
        network: &mut FullNetworkConfiguration<B, B::Hash, N>,
        genesis: B::Hash,
        fork_id: Option<&str>,
        max_request: u64,
        max_answer: u64,
    ) -> Self {
        let name = name(genesis.as_ref(), fork_id, "starling/trace", 1);
        let (queue, requests) = async_channel::bounded(QUEUE);
        network.add_request_response_protocol(N::request_response_config(
            name.clone(),
            vec![],
            max_request,
            max_answer,
            REQUEST_TIMEOUT,
            Some(queue),
        ));
        Self { name, requests }
    }

    /// Creates the access to the traces of others over the running `network`, and the driver, which
    /// shows those of `source`.
    pub fn connect(
        self,
        network: Arc<dyn NetworkService>,
        source: Arc<dyn Source>,
        registry: Option<&Registry>,
    ) -> Result<(Arc<TraceNetwork>, TraceDriver), PrometheusError> {
        let traces = Arc::new(TraceNetwork {
            network,
            protocol: self.name,
            discovery: Mutex::new(Discovery::new(TRACES)),
        });
        let driver = TraceDriver {
            traces: traces.clone(),
            source,
            requests: self.requests,
            metrics: Metrics::new(registry)?,
        };
        Ok((traces, driver))
    }
}

struct Metrics {
    served: Counter<U64>,
    refused: Counter<U64>,
}

impl Metrics {
    fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let metrics = Self {
            served: Counter::new(
                "starling_network_traces_served_total",
                "Requests for traces that were answered",
            )?,
            refused: Counter::new(
                "starling_network_traces_refused_total",
                "Requests for traces refused to peers",
            )?,
        };
        if let Some(registry) = registry {
            register(metrics.served.clone(), registry)?;
            register(metrics.refused.clone(), registry)?;
        }
        Ok(metrics)
    }
}

/// The traces that other nodes show.
pub struct TraceNetwork {
    network: Arc<dyn NetworkService>,
    protocol: ProtocolName,
    discovery: Mutex<Discovery>,
}

impl TraceNetwork {
    /// Asks the nodes of an agent, as they are found, until `accept` makes something of an answer.
    pub async fn ask<T>(
        &self,
        agent: &[u8; 32],
        request: &[u8],
        accept: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let search = pin!(self.search(agent, request, accept));
        let found = match select(search, Delay::new(PATIENCE)).await {
            Either::Left((found, _)) => found,
            Either::Right(_) => None,
        };
        self.discovery.lock().forget(agent);
        found
    }

    async fn search<T>(
        &self,
        agent: &[u8; 32],
        request: &[u8],
        accept: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let mut asked = BTreeSet::new();
        while asked.len() < MOST_ASKED {
            let room = MOST_ASKED.saturating_sub(asked.len());
            let known = self.providers(agent).into_iter();
            let new: Vec<PeerId> = known
                .filter(|peer| !asked.contains(peer))
                .take(room)
                .collect();
            asked.extend(new.iter().copied());
            let answers = join_all(new.into_iter().map(|peer| self.request(peer, request))).await;
            if let Some(found) = answers.iter().flatten().find_map(|answer| accept(answer)) {
                return Some(found);
            }
            Delay::new(LOOK_AGAIN).await;
        }
        None
    }

    fn providers(&self, agent: &[u8; 32]) -> Vec<PeerId> {
        let mut peers = self.discover(|discovery| {
            let (peers, command) = discovery.providers(agent, Instant::now());
            (peers, command.into_iter().collect())
        });
        let local = self.network.local_peer_id();
        peers.retain(|peer| *peer != local);
        peers
    }

    async fn request(&self, peer: PeerId, request: &[u8]) -> Option<Vec<u8>> {
        let (protocol, connect) = (self.protocol.clone(), IfDisconnected::TryConnect);
        let asked = self
            .network
            .request(peer, protocol, request.to_vec(), None, connect);
        match asked.await {
            Ok((answer, _)) => Some(answer),
            Err(error) => {
                log::debug!(target: LOG_TARGET, "{peer} shows no trace: {error}");
                None
            },
        }
    }

    /// Runs `act` on the discovery, and sends its commands to the DHT.
    fn discover<T>(&self, act: impl FnOnce(&mut Discovery) -> (T, Vec<Command>)) -> T {
        let (result, commands) = act(&mut self.discovery.lock());
        for command in commands {
            command.send(TRACES, &*self.network);
        }
        result
    }
}

/// Drives the protocol. It blocks where the source does.
pub struct TraceDriver {
    traces: Arc<TraceNetwork>,
    source: Arc<dyn Source>,
    requests: async_channel::Receiver<IncomingRequest>,
    metrics: Metrics,
}

impl TraceDriver {
    /// Runs until the network ends.
    pub async fn run(self) {
        // Each runs in a future of its own, which is never dropped half way.
        let all: [Pin<Box<dyn Future<Output = ()> + Send + '_>>; 3] = [
            Box::pin(self.take_requests()),
            Box::pin(self.follow_dht()),
            Box::pin(self.tick()),
        ];
        select_all(all).await;
    }

    async fn take_requests(&self) {
        let mut rates = Rates::new(Instant::now());
        while let Ok(request) = self.requests.recv().await {
            let IncomingRequest {
                peer,
                payload,
                pending_response,
            } = request;
            let admitted = rates.admit(peer, Instant::now());
            let answer = admitted.then(|| self.source.answer(&payload)).flatten();
            let Some(answer) = answer else {
                // Dropping `pending_response` tells the sender.
                log::debug!(target: LOG_TARGET, "refused a request for a trace from {peer}");
                self.metrics.refused.inc();
                continue;
            };
            self.metrics.served.inc();
            let response = OutgoingResponse {
                result: Ok(answer),
                reputation_changes: vec![],
                sent_feedback: None,
            };
            // If this fails, the peer no longer waits.
            let _ = pending_response.send(response);
        }
    }

    async fn follow_dht(&self) {
        let mut events = self.traces.network.event_stream("traces");
        while let Some(event) = events.next().await {
            if let Event::Dht(event) = event {
                let mut discovery = self.traces.discovery.lock();
                discovery.on_event(event, Instant::now());
            }
        }
    }

    async fn tick(&self) {
        loop {
            let (agents, now) = (self.source.agents(), Instant::now());
            self.traces.discover(|discovery| {
                let mut commands = discovery.provide(&agents, now);
                commands.extend(discovery.due(now));
                ((), commands)
            });
            Delay::new(TICK).await;
        }
    }
}

/// The requests of each peer in the present window.
struct Rates {
    since: Instant,
    counts: BTreeMap<PeerId, u32>,
}

impl Rates {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            counts: BTreeMap::new(),
        }
    }

    /// Counts a request, if it is to be served.
    fn admit(&mut self, peer: PeerId, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self::new(now);
        }
        if self.counts.len() >= PEERS && !self.counts.contains_key(&peer) {
            return false;
        }
        let count = self.counts.entry(peer).or_default();
        *count = count.saturating_add(1);
        *count <= REQUESTS_OF_A_PEER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_so_many_requests_in_a_window_and_no_more() {
        let start = Instant::now();
        let mut rates = Rates::new(start);
        let [one, other] = [PeerId::random(), PeerId::random()];
        for _ in 0..REQUESTS_OF_A_PEER {
            assert!(rates.admit(one, start));
        }
        assert!(!rates.admit(one, start));
        assert!(rates.admit(other, start));
        assert!(rates.admit(one, start + WINDOW));
    }

    #[test]
    fn so_many_peers_are_served_in_a_window_and_no_more() {
        let start = Instant::now();
        let mut rates = Rates::new(start);
        let first = PeerId::random();
        assert!(rates.admit(first, start));
        for _ in 1..PEERS {
            assert!(rates.admit(PeerId::random(), start));
        }
        assert!(!rates.admit(PeerId::random(), start));
        assert!(rates.admit(first, start));
        assert_eq!(rates.counts.len(), PEERS);
    }
}
