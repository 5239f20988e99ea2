// SPDX-License-Identifier: Apache-2.0
//! The transport, as called by the engine's threads. They may block; the network's tasks may not.

use std::{
    collections::{BTreeSet, HashSet},
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use futures::{
    channel::oneshot,
    executor::block_on,
    future::{select, Either, FutureExt},
};
use futures_timer::Delay;
use parking_lot::Mutex;
use sc_network::{
    multiaddr::Protocol, service::traits::NetworkService, IfDisconnected, Multiaddr,
    OutboundFailure, PeerId, ProtocolName, RequestFailure,
};
use starling_shards::transport::{Inbox, ModelId, Peer, Transport, TransportError, MAX_MESSAGE};

use crate::{
    discovery::{Command, Discovery, SHARDS},
    links::Links,
    metrics::Metrics,
    LOG_TARGET,
};

/// The network of a Substrate node. Its calls block, so call them only from threads that may block.
pub struct Network {
    network: Arc<dyn NetworkService>,
    activations: ProtocolName,
    setup: ProtocolName,
    local: Peer,
    inbox: OnceLock<Weak<dyn Inbox>>,
    /// Peers to which the network keeps, or tries to keep, a substream open.
    wanted: Mutex<BTreeSet<PeerId>>,
    pub(crate) links: Links,
    discovery: Mutex<Discovery>,
    pub(crate) metrics: Metrics,
}

impl Network {
    pub(crate) fn new(
        network: Arc<dyn NetworkService>,
        activations: ProtocolName,
        setup: ProtocolName,
        metrics: Metrics,
    ) -> Self {
        Self {
            local: peer(&network.local_peer_id()),
            network,
            activations,
            setup,
            inbox: OnceLock::new(),
            wanted: Mutex::default(),
            links: Links::default(),
            discovery: Mutex::new(Discovery::new(SHARDS)),
            metrics,
        }
    }

    pub(crate) fn network(&self) -> &Arc<dyn NetworkService> {
        &self.network
    }

    /// The receiver of incoming messages, if there is one.
    pub(crate) fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.get()?.upgrade()
    }

    /// Runs `act` on the discovery, and sends its commands to the DHT.
    pub(crate) fn discover<T>(&self, act: impl FnOnce(&mut Discovery) -> (T, Vec<Command>)) -> T {
        let (result, commands) = act(&mut self.discovery.lock());
        for command in commands {
            command.send(SHARDS, &*self.network);
        }
        result
    }

    /// Asks the network to open a substream, and to keep trying.
    fn open(&self, peer: PeerId) {
        if !self.wanted.lock().insert(peer) {
            return;
        }
        let address = Multiaddr::empty().with(Protocol::P2p(peer.into()));
        let peers = HashSet::from([address]);
        let name = self.activations.clone();
        if let Err(error) = self.network.add_peers_to_reserved_set(name, peers) {
            log::debug!(target: LOG_TARGET, "cannot open a substream to {peer}: {error}");
        }
    }

    /// Stops the network from opening a substream to a peer, and closes one that this node opened.
    pub(crate) fn leave(&self, peer: PeerId) {
        if !self.wanted.lock().remove(&peer) {
            return;
        }
        let (name, peers) = (self.activations.clone(), vec![peer]);
        if let Err(error) = self.network.remove_peers_from_reserved_set(name, peers) {
            log::debug!(target: LOG_TARGET, "cannot leave {peer}: {error}");
        }
    }

    /// Closes a substream, whichever side opened it.
    pub(crate) fn close(&self, peer: PeerId) {
        self.leave(peer);
        self.network.disconnect_peer(peer, self.activations.clone());
    }

    /// Looks for the address of a peer that this node has never met, for the next request.
    fn locate(&self, peer: &Peer) {
        if let Ok(peer) = id(peer) {
            self.network.find_closest_peers(peer);
        }
    }

    fn failed(&self, what: &str, error: TransportError) -> TransportError {
        self.metrics.failed.with_label_values(&[what]).inc();
        log::debug!(target: LOG_TARGET, "{what}: {error}");
        error
    }

    fn request_within(
        &self,
        to: &Peer,
        payload: Vec<u8>,
        time: Duration,
    ) -> Result<Vec<u8>, TransportError> {
        let (sender, response) = oneshot::channel();
        self.network.start_request(
            id(to)?,
            self.setup.clone(),
            payload,
            None,
            sender,
            IfDisconnected::TryConnect,
        );
        match within(time, response) {
            None => Err(TransportError::Timeout(to.clone())),
            // The network is being shut down.
            Some(Err(_)) => Err(TransportError::Disconnected(to.clone())),
            Some(Ok(Err(failure))) => Err(failed(to, failure)),
            Some(Ok(Ok((response, _)))) => Ok(response),
        }
    }

    fn send_within(
        &self,
        to: &Peer,
        payload: Vec<u8>,
        time: Duration,
    ) -> Result<(), TransportError> {
        let (bytes, limit) = (payload.len(), MAX_MESSAGE);
        if bytes > limit {
            return Err(TransportError::TooLarge { bytes, limit });
        }
        let peer = id(to)?;
        let deadline = Instant::now() + time;
        let Some(sink) = self.links.to(&peer, deadline, || self.open(peer)) else {
            if !self.links.is_awaited(&peer) {
                self.leave(peer);
            }
            return Err(TransportError::Timeout(to.clone()));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match within(left, sink.send_async_notification(payload)) {
            None => Err(TransportError::Timeout(to.clone())),
            Some(Err(_)) => Err(TransportError::Disconnected(to.clone())),
            Some(Ok(())) => Ok(()),
        }
    }
}

impl Transport for Network {
    fn local(&self) -> Peer {
        self.local.clone()
    }

    fn attach(&self, inbox: Weak<dyn Inbox>) {
        if self.inbox.set(inbox).is_err() {
            log::error!(target: LOG_TARGET, "the transport already has an inbox");
        }
    }

    fn provide(&self, models: &[ModelId]) {
        self.discover(|discovery| ((), discovery.provide(models, Instant::now())));
    }

    fn providers(&self, model: &ModelId) -> Vec<Peer> {
        let peers = self.discover(|discovery| {
            let (peers, command) = discovery.providers(model, Instant::now());
            (peers, command.into_iter().collect())
        });
        let peers = peers.iter().map(peer);
        peers.filter(|peer| *peer != self.local).collect()
    }

    fn request(
        &self,
        to: &Peer,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, TransportError> {
        self.request_within(to, payload, timeout).map_err(|error| {
            if matches!(error, TransportError::Disconnected(_)) {
                self.locate(to);
            }
            self.failed("request", error)
        })
    }

    fn send(&self, to: &Peer, payload: Vec<u8>, timeout: Duration) -> Result<(), TransportError> {
        self.send_within(to, payload, timeout)
            .map_err(|error| self.failed("send", error))
    }

    fn try_send(&self, to: &Peer, payload: Vec<u8>) -> Result<(), Vec<u8>> {
        let open = id(to).ok().and_then(|peer| self.links.open(&peer));
        let Some(sink) = open.filter(|_| payload.len() <= MAX_MESSAGE) else {
            return Err(payload);
        };
        // Sends a copy, because a payload that is not sent is lost with its future.
        match sink.send_async_notification(payload.clone()).now_or_never() {
            Some(Ok(())) => Ok(()),
            _ => Err(payload),
        }
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

/// Result of `future`, if it is ready in this time. The future needs no runtime.
fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    // Most often the result is ready at once, and needs no timer.
    if let Some(output) = future.as_mut().now_or_never() {
        return Some(output);
    }
    match block_on(select(future, Delay::new(time))) {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// A network identity as a peer of shards.
pub(crate) fn peer(id: &PeerId) -> Peer {
    Peer::new(id.to_bytes())
}

/// A peer of shards as a network identity.
fn id(peer: &Peer) -> Result<PeerId, TransportError> {
    PeerId::from_bytes(peer.as_bytes()).map_err(|error| TransportError::Refused {
        peer: peer.clone(),
        reason: error.to_string(),
    })
}

fn failed(to: &Peer, failure: RequestFailure) -> TransportError {
    match failure {
        RequestFailure::NotConnected
        | RequestFailure::Network(
            OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed,
        ) => TransportError::Disconnected(to.clone()),
        RequestFailure::Network(OutboundFailure::Timeout) => TransportError::Timeout(to.clone()),
        other => TransportError::Refused {
            peer: to.clone(),
            reason: other.to_string(),
        },
    }
}
