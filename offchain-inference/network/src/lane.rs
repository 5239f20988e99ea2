// SPDX-License-Identifier: Apache-2.0
//! The protocol of lanes: a notification protocol whose peers are those of the committees.
//!
//! Links are opened to reserved peers alone, and accepted from no other. Messages that the queue of
//! a link has no room for are lost; the lane is made for that.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, OnceLock, Weak},
};

use parking_lot::Mutex;
use sc_network::{
    config::FullNetworkConfiguration,
    multiaddr::Protocol,
    service::traits::{NetworkService, NotificationEvent, ValidationResult},
    Multiaddr, NetworkBackend, NotificationMetrics, NotificationService, PeerId, ProtocolName,
};
use sp_runtime::traits::Block as BlockT;
use starling_lane::transport::{Inbox, Peer, Transport, MAX_MESSAGE};
use substrate_prometheus_endpoint::{register, Counter, Gauge, PrometheusError, Registry, U64};

use crate::{
    links::Links,
    protocols::{name, notifications},
    LOG_TARGET,
};

/// Maximum number of peers that may hold a link open.
const MAX_INBOUND: u32 = 256;

/// The protocol, registered with a network that is not running yet.
pub struct LaneProtocol {
    service: Box<dyn NotificationService>,
}

impl LaneProtocol {
    /// Adds the protocol to `network`.
    pub fn register<B: BlockT, N: NetworkBackend<B, B::Hash>>(
        network: &mut FullNetworkConfiguration<B, B::Hash, N>,
        genesis: B::Hash,
        fork_id: Option<&str>,
        metrics: NotificationMetrics,
    ) -> Self {
        let name = name(genesis.as_ref(), fork_id, "lane", 1);
        Self {
            service: notifications(network, name, MAX_MESSAGE, MAX_INBOUND, metrics),
        }
    }

    /// Creates the transport over the running `network`, and its driver.
    pub fn connect(
        self,
        network: Arc<dyn NetworkService>,
        registry: Option<&Registry>,
    ) -> Result<(Arc<LaneNetwork>, LaneDriver), PrometheusError> {
        let metrics = Metrics::new(registry)?;
        let transport = Arc::new(LaneNetwork {
            local: network.local_peer_id().into_ed25519(),
            network,
            protocol: self.service.protocol().clone(),
            inbox: OnceLock::new(),
            reserved: Mutex::default(),
            links: Links::default(),
            metrics,
        });
        let driver = LaneDriver {
            transport: transport.clone(),
            service: self.service,
        };
        Ok((transport, driver))
    }
}

struct Metrics {
    links: Gauge<U64>,
    refused: Counter<U64>,
}

impl Metrics {
    fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let metrics = Self {
            links: Gauge::new("starling_network_lane_links", "Open links of lanes")?,
            refused: Counter::new(
                "starling_network_lane_refused_total",
                "Links and messages of lanes refused to peers",
            )?,
        };
        if let Some(registry) = registry {
            register(metrics.links.clone(), registry)?;
            register(metrics.refused.clone(), registry)?;
        }
        Ok(metrics)
    }
}

/// The links of a node to the peers of its committees.
pub struct LaneNetwork {
    network: Arc<dyn NetworkService>,
    protocol: ProtocolName,
    local: Option<Peer>,
    inbox: OnceLock<Weak<dyn Inbox>>,
    reserved: Mutex<BTreeSet<Peer>>,
    links: Links,
    metrics: Metrics,
}

impl LaneNetwork {
    fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.get()?.upgrade()
    }

    /// The key of a peer, if it is reserved.
    fn welcome(&self, id: &PeerId) -> Option<Peer> {
        let peer = id.into_ed25519()?;
        self.reserved.lock().contains(&peer).then_some(peer)
    }

    fn refuse(&self, what: &str, id: &PeerId) {
        log::debug!(target: LOG_TARGET, "refused a {what} of lanes from {id}");
        self.metrics.refused.inc();
    }

    fn count(&self) {
        let open = self.links.len();
        self.metrics.links.set(open.try_into().unwrap_or(u64::MAX));
    }

    fn take(&self, event: NotificationEvent, sinks: &dyn NotificationService) {
        match event {
            NotificationEvent::ValidateInboundSubstream {
                peer: id,
                result_tx,
                ..
            } => {
                let result = match self.welcome(&id) {
                    Some(_) => ValidationResult::Accept,
                    None => {
                        self.refuse("link", &id);
                        ValidationResult::Reject
                    },
                };
                // If this fails, the peer has left meanwhile.
                let _ = result_tx.send(result);
            },
            NotificationEvent::NotificationStreamOpened { peer: id, .. } => {
                let Some(peer) = self.welcome(&id) else {
                    self.refuse("link", &id);
                    self.network.disconnect_peer(id, self.protocol.clone());
                    return;
                };
                log::debug!(target: LOG_TARGET, "opened a link of lanes with {id}");
                if let Some(sink) = sinks.message_sink(&id) {
                    self.links.opened(id, sink.into());
                    if let Some(inbox) = self.inbox() {
                        inbox.opened(peer);
                    }
                }
                self.count();
            },
            NotificationEvent::NotificationStreamClosed { peer: id } => {
                log::debug!(target: LOG_TARGET, "the link of lanes with {id} has closed");
                self.links.closed(&id);
                self.count();
            },
            NotificationEvent::NotificationReceived {
                peer: id,
                notification,
            } => {
                let taken = self.welcome(&id).zip(self.inbox());
                let taken = taken.is_some_and(|(peer, inbox)| inbox.message(peer, notification));
                if !taken {
                    self.refuse("message", &id);
                }
            },
        }
    }
}

fn address(id: PeerId) -> Multiaddr {
    Multiaddr::empty().with(Protocol::P2p(id.into()))
}

impl Transport for LaneNetwork {
    fn local(&self) -> Option<Peer> {
        self.local
    }

    fn reserve(&self, peers: BTreeSet<Peer>) {
        let (added, removed) = {
            let mut reserved = self.reserved.lock();
            let ids = |peers: Vec<&Peer>| -> Vec<PeerId> {
                peers.into_iter().filter_map(PeerId::from_ed25519).collect()
            };
            let added = ids(peers.difference(&reserved).collect());
            let removed = ids(reserved.difference(&peers).collect());
            *reserved = peers;
            (added, removed)
        };
        for id in &added {
            // The address of a peer that this node has never met is in the DHT.
            self.network.find_closest_peers(*id);
        }
        if !added.is_empty() {
            let added: HashSet<Multiaddr> = added.into_iter().map(address).collect();
            let name = self.protocol.clone();
            if let Err(error) = self.network.add_peers_to_reserved_set(name, added) {
                log::debug!(target: LOG_TARGET, "cannot open links of lanes: {error}");
            }
        }
        if !removed.is_empty() {
            let name = self.protocol.clone();
            let left = self
                .network
                .remove_peers_from_reserved_set(name, removed.clone());
            if let Err(error) = left {
                log::debug!(target: LOG_TARGET, "cannot close links of lanes: {error}");
            }
        }
        for id in removed {
            self.network.disconnect_peer(id, self.protocol.clone());
        }
    }

    fn is_open(&self, peer: &Peer) -> bool {
        PeerId::from_ed25519(peer).is_some_and(|id| self.links.open(&id).is_some())
    }

    fn send(&self, to: &Peer, message: Vec<u8>) -> bool {
        let link = PeerId::from_ed25519(to).and_then(|id| self.links.open(&id));
        match link.filter(|_| message.len() <= MAX_MESSAGE) {
            Some(sink) => {
                sink.send_sync_notification(message);
                true
            },
            None => false,
        }
    }

    fn attach(&self, inbox: Weak<dyn Inbox>) {
        if self.inbox.set(inbox).is_err() {
            log::error!(target: LOG_TARGET, "the transport of lanes already has an inbox");
        }
    }
}

/// Drives the transport of lanes.
pub struct LaneDriver {
    transport: Arc<LaneNetwork>,
    service: Box<dyn NotificationService>,
}

impl LaneDriver {
    /// Runs until the network ends.
    pub async fn run(mut self) {
        while let Some(event) = self.service.next_event().await {
            self.transport.take(event, &*self.service);
        }
    }
}
