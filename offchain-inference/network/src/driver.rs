// SPDX-License-Identifier: Apache-2.0
//! Receives substreams, activations, requests, and news of the DHT.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{future::select_all, StreamExt};
use futures_timer::Delay;
use parking_lot::Mutex;
use sc_network::{
    config::OutgoingResponse,
    request_responses::IncomingRequest,
    service::traits::{NotificationEvent, ValidationResult},
    Event, NotificationService, PeerId,
};

use crate::{
    transport::{peer, Network},
    LOG_TARGET,
};

/// Maximum number of requests of one peer that are served at a time. Further ones are refused.
const REQUESTS_OF_A_PEER: usize = 8;

/// Time between two rounds of publishing records that were not stored and closing idle substreams.
const TICK: Duration = Duration::from_secs(1);

/// Drives a transport.
pub struct Driver {
    transport: Arc<Network>,
    activations: Box<dyn NotificationService>,
    requests: async_channel::Receiver<IncomingRequest>,
}

impl Driver {
    pub(crate) fn new(
        transport: Arc<Network>,
        activations: Box<dyn NotificationService>,
        requests: async_channel::Receiver<IncomingRequest>,
    ) -> Self {
        Self {
            transport,
            activations,
            requests,
        }
    }

    /// Runs until the network ends.
    pub async fn run(self) {
        let transport = &*self.transport;
        // Each runs in a future of its own, which is never dropped half way. Otherwise an event
        // that `next_event` has begun to read would be lost.
        let all: [Pin<Box<dyn Future<Output = ()> + Send + '_>>; 4] = [
            Box::pin(take_activations(transport, self.activations)),
            Box::pin(take_requests(transport, self.requests)),
            Box::pin(follow_dht(transport)),
            Box::pin(tick(transport)),
        ];
        select_all(all).await;
    }
}

async fn take_activations(transport: &Network, mut service: Box<dyn NotificationService>) {
    while let Some(event) = service.next_event().await {
        match event {
            NotificationEvent::ValidateInboundSubstream {
                peer: id,
                result_tx,
                ..
            } => {
                let result = if is_welcome(transport, &id) {
                    ValidationResult::Accept
                } else {
                    refuse(transport, "substream", &id);
                    ValidationResult::Reject
                };
                // If this fails, the peer has left meanwhile.
                let _ = result_tx.send(result);
            },
            NotificationEvent::NotificationStreamOpened { peer: id, .. } => {
                log::debug!(target: LOG_TARGET, "opened a substream with {id}");
                // The libp2p backend was seen to open a substream without asking.
                if !is_welcome(transport, &id) {
                    refuse(transport, "substream", &id);
                    transport.close(id);
                    continue;
                }
                if let Some(sink) = service.message_sink(&id) {
                    transport.links.opened(id, sink.into());
                }
                count(transport);
            },
            NotificationEvent::NotificationStreamClosed { peer: id } => {
                log::debug!(target: LOG_TARGET, "the substream with {id} has closed");
                let was_open = transport.links.closed(&id);
                if !transport.links.is_awaited(&id) {
                    transport.leave(id);
                }
                if let Some(inbox) = transport.inbox().filter(|_| was_open) {
                    inbox.disconnected(&peer(&id));
                }
                count(transport);
            },
            NotificationEvent::NotificationReceived {
                peer: id,
                notification,
            } => {
                if !transport.links.used(&id) {
                    // The message was on its way before the substream was closed.
                    refuse(transport, "message", &id);
                } else if let Some(inbox) = transport.inbox() {
                    inbox.message(peer(&id), notification);
                }
            },
        }
    }
}

/// Whether this node or its clients want a substream with a peer.
fn is_welcome(transport: &Network, id: &PeerId) -> bool {
    transport.links.is_awaited(id)
        || transport
            .inbox()
            .is_some_and(|inbox| inbox.welcome(&peer(id)))
}

async fn take_requests(transport: &Network, requests: async_channel::Receiver<IncomingRequest>) {
    let in_flight = Arc::new(InFlight::default());
    while let Ok(request) = requests.recv().await {
        let IncomingRequest {
            peer: id,
            payload,
            pending_response,
        } = request;
        let (Some(inbox), Some(place)) = (transport.inbox(), in_flight.enter(id)) else {
            // Dropping `pending_response` tells the sender.
            refuse(transport, "request", &id);
            continue;
        };
        let respond = Box::new(move |response| {
            let response = OutgoingResponse {
                result: Ok(response),
                reputation_changes: vec![],
                sent_feedback: None,
            };
            // If this fails, the peer no longer waits.
            let _ = pending_response.send(response);
            drop(place);
        });
        inbox.request(peer(&id), payload, respond);
    }
}

async fn follow_dht(transport: &Network) {
    let mut events = transport.network().event_stream("shards");
    while let Some(event) = events.next().await {
        if let Event::Dht(event) = event {
            transport.discover(|discovery| {
                discovery.on_event(event, Instant::now());
                ((), vec![])
            });
        }
    }
}

async fn tick(transport: &Network) {
    loop {
        Delay::new(TICK).await;
        let now = Instant::now();
        transport.discover(|discovery| ((), discovery.due(now)));
        for id in transport.links.idle(now) {
            log::debug!(target: LOG_TARGET, "closing the idle substream with {id}");
            transport.close(id);
        }
    }
}

fn refuse(transport: &Network, what: &str, id: &PeerId) {
    log::debug!(target: LOG_TARGET, "refused a {what} from {id}");
    transport.metrics.refused.with_label_values(&[what]).inc();
}

fn count(transport: &Network) {
    let open = transport.links.len();
    transport
        .metrics
        .links
        .set(open.try_into().unwrap_or(u64::MAX));
}

/// Number of open requests by peer.
#[derive(Default)]
struct InFlight(Mutex<BTreeMap<PeerId, usize>>);

/// An open request of a peer; counted until it is dropped.
struct Place {
    peer: PeerId,
    among: Arc<InFlight>,
}

impl InFlight {
    fn enter(self: &Arc<Self>, peer: PeerId) -> Option<Place> {
        let mut counts = self.0.lock();
        let count = counts.entry(peer).or_default();
        if *count >= REQUESTS_OF_A_PEER {
            return None;
        }
        *count += 1;
        Some(Place {
            peer,
            among: self.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.among.0.lock();
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_so_many_requests_in_flight_and_no_more() {
        let in_flight = Arc::new(InFlight::default());
        let [one, other] = [PeerId::random(), PeerId::random()];
        let mut places: Vec<_> = (0..REQUESTS_OF_A_PEER)
            .map(|_| in_flight.enter(one).unwrap())
            .collect();
        assert!(in_flight.enter(one).is_none());
        assert!(in_flight.enter(other).is_some());
        places.pop();
        assert!(in_flight.enter(one).is_some());
        places.clear();
        assert!(in_flight.0.lock().is_empty());
    }
}
