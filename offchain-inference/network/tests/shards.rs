// SPDX-License-Identifier: Apache-2.0
//! The transport between nodes of `sc-network` on the loopback, with both of its backends.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc, Arc,
    },
    thread,
    time::Duration,
};

use sc_network::{config::MultiaddrWithPeerId, NetworkBackend};
use sp_core::H256;
use starling_network::{Network, Protocols};
use starling_shards::transport::{Inbox, ModelId, Peer, Respond, Transport, TransportError};
use substrate_prometheus_endpoint::Registry;

use crate::base::{wait, with_both_backends, Block, Host, PATIENCE};

/// Records incoming messages, and sets the answers.
struct Record {
    welcome: AtomicBool,
    events: mpsc::Sender<Event>,
}

#[derive(Debug, PartialEq)]
enum Event {
    Message(Peer, Vec<u8>),
    Disconnected(Peer),
}

impl Inbox for Record {
    fn welcome(&self, _: &Peer) -> bool {
        self.welcome.load(Ordering::Relaxed)
    }

    /// Answers with the reversed bytes; does not answer an empty request.
    fn request(&self, _: Peer, mut payload: Vec<u8>, respond: Respond) {
        if !payload.is_empty() {
            payload.reverse();
            respond(payload);
        }
    }

    fn message(&self, from: Peer, payload: Vec<u8>) {
        let _ = self.events.send(Event::Message(from, payload));
    }

    fn disconnected(&self, peer: &Peer) {
        let _ = self.events.send(Event::Disconnected(peer.clone()));
    }
}

/// A node that consists of a network only. The network ends with the node.
struct Node {
    host: Host,
    transport: Arc<Network>,
    record: Arc<Record>,
    events: mpsc::Receiver<Event>,
    registry: Registry,
}

impl Node {
    fn start<N: NetworkBackend<Block, H256>>(boot: Option<&Node>) -> Self {
        let boot = boot.map(Self::address);
        let (host, protocols) = Host::start::<N, _>(boot.clone(), |network, genesis, metrics| {
            Protocols::register::<Block, N>(network, genesis, None, metrics)
        });
        let registry = Registry::new();
        let network = host.network.clone();
        let (transport, driver) = protocols.connect(network.clone(), Some(&registry)).unwrap();
        let (sender, events) = mpsc::channel();
        let record = Arc::new(Record {
            welcome: true.into(),
            events: sender,
        });
        let inbox: Arc<dyn Inbox> = record.clone();
        transport.attach(Arc::downgrade(&inbox));
        host.spawn(driver.run());
        if let Some(MultiaddrWithPeerId { multiaddr, peer_id }) = boot {
            network.add_known_address(peer_id, multiaddr);
        }
        Self {
            host,
            transport,
            record,
            events,
            registry,
        }
    }

    /// Two nodes; the second one knows the address of the first.
    fn pair<N: NetworkBackend<Block, H256>>() -> [Self; 2] {
        let first = Self::start::<N>(None);
        let second = Self::start::<N>(Some(&first));
        [first, second]
    }

    fn peer(&self) -> Peer {
        self.transport.local()
    }

    fn address(&self) -> MultiaddrWithPeerId {
        MultiaddrWithPeerId {
            multiaddr: self.host.address(),
            peer_id: self.host.network.local_peer_id(),
        }
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// Value of a metric, summed over its labels.
    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.get_name() == name);
        family.map_or(0.0, |family| {
            let metrics = family.get_metric().iter();
            metrics
                .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
                .sum()
        })
    }
}

with_both_backends!(
    activations_arrive_whole_and_in_order_both_ways,
    a_message_that_is_not_taken_at_once_comes_back_whole,
    requests_are_answered_or_refused,
    nothing_comes_in_from_who_is_not_welcome,
    holders_of_a_model_are_found,
    the_end_of_a_peer_is_told_and_its_return_noticed,
);

fn activations_arrive_whole_and_in_order_both_ways<N: NetworkBackend<Block, H256>>() {
    let [server, client] = Node::pair::<N>();
    // More than all buffers between them hold.
    let message = |i: u8| vec![i; 1 + (usize::from(i) << 18)];
    thread::scope(|scope| {
        let (from, to) = (client.transport.clone(), server.peer());
        scope.spawn(move || {
            for i in 0..32 {
                assert_eq!(from.send(&to, message(i), PATIENCE), Ok(()));
            }
        });
        for i in 0..32 {
            assert!(server.next() == Event::Message(client.peer(), message(i)));
        }
    });
    // The answers take the same substream, to a node that lets nobody else open one.
    client.record.welcome.store(false, Ordering::Relaxed);
    for i in 0..4 {
        let sent = server.transport.send(&client.peer(), message(i), PATIENCE);
        assert_eq!(sent, Ok(()));
        assert!(client.next() == Event::Message(server.peer(), message(i)));
    }
    for node in [&server, &client] {
        assert_eq!(node.metric("starling_network_links"), 1.0);
    }

    let limit = client.transport.max_message();
    let sent = client
        .transport
        .send(&server.peer(), vec![0; limit + 1], PATIENCE);
    let bytes = limit + 1;
    assert_eq!(sent, Err(TransportError::TooLarge { bytes, limit }));
    let largest = vec![5; limit];
    let sent = client
        .transport
        .send(&server.peer(), largest.clone(), PATIENCE);
    assert_eq!(sent, Ok(()));
    assert!(server.next() == Event::Message(client.peer(), largest));
}

fn a_message_that_is_not_taken_at_once_comes_back_whole<N: NetworkBackend<Block, H256>>() {
    let [server, client] = Node::pair::<N>();
    let (from, to) = (&client.transport, server.peer());
    assert_eq!(from.try_send(&to, vec![1]), Err(vec![1]), "nothing is open");
    assert_eq!(from.send(&to, vec![2], PATIENCE), Ok(()));
    assert_eq!(server.next(), Event::Message(client.peer(), vec![2]));
    // With or without room, all messages arrive once and in order.
    let message = |i: u8| vec![i; 1 << 18];
    for i in 0..64 {
        if let Err(back) = from.try_send(&to, message(i)) {
            assert!(back == message(i));
            assert_eq!(from.send(&to, back, PATIENCE), Ok(()));
        }
    }
    for i in 0..64 {
        assert!(server.next() == Event::Message(client.peer(), message(i)));
    }
    assert_eq!(client.metric("starling_network_failed_total"), 0.0);
    let too_large = vec![0; from.max_message() + 1];
    assert!(from.try_send(&to, too_large.clone()) == Err(too_large));
}

fn requests_are_answered_or_refused<N: NetworkBackend<Block, H256>>() {
    let [server, client] = Node::pair::<N>();
    let ask = |bytes: &[u8]| {
        client
            .transport
            .request(&server.peer(), bytes.to_vec(), PATIENCE)
    };
    wait("for a connection", || ask(b"star") == Ok(b"rats".to_vec()));
    let failed = || client.metric("starling_network_failed_total");
    let before = failed();
    assert!(matches!(ask(b""), Err(TransportError::Refused { .. })));
    assert!(ask(&vec![1; 2 << 20]).is_err());
    assert_eq!(ask(b"live"), Ok(b"evil".to_vec()));
    assert_eq!(failed() - before, 2.0);

    let nobody = Peer::new(sc_network::PeerId::random().to_bytes());
    let asked = client.transport.request(&nobody, vec![1], PATIENCE);
    assert!(asked.is_err(), "{asked:?}");
    let nonsense = Peer::new(*b"no peer");
    let asked = client.transport.request(&nonsense, vec![1], PATIENCE);
    assert!(matches!(asked, Err(TransportError::Refused { .. })));
}

fn nothing_comes_in_from_who_is_not_welcome<N: NetworkBackend<Block, H256>>() {
    let [server, client] = Node::pair::<N>();
    server.record.welcome.store(false, Ordering::Relaxed);
    let to = server.peer();
    // So that only the substream takes time.
    let ask = || client.transport.request(&to, vec![1], PATIENCE);
    wait("for a connection", || ask().is_ok());
    // One backend refuses the substream; the other opens it for a moment.
    let refused = || server.metric("starling_network_refused_total");
    wait("for the refusal", || {
        let _ = client.transport.send(&to, vec![1], Duration::from_secs(1));
        refused() >= 1.0
    });
    wait("for the substream's end", || {
        server.metric("starling_network_links") == 0.0
    });
    assert!(server.events.try_recv().is_err());
    server.record.welcome.store(true, Ordering::Relaxed);
    wait("for a message", || {
        let _ = client.transport.send(&to, vec![2], Duration::from_secs(1));
        let event = server.events.recv_timeout(Duration::from_secs(1));
        event == Ok(Event::Message(client.peer(), vec![2]))
    });
}

fn holders_of_a_model_are_found<N: NetworkBackend<Block, H256>>() {
    const MODEL: ModelId = [3; 32];
    let first = Node::start::<N>(None);
    // No peer is there yet that could keep the record.
    first.transport.provide(&[MODEL]);
    let [second, third] = [0, 1].map(|_| Node::start::<N>(Some(&first)));
    second.transport.provide(&[MODEL]);
    let expected = {
        let mut both = vec![first.peer(), second.peer()];
        both.sort();
        both
    };
    wait("for both holders", || {
        let mut found = third.transport.providers(&MODEL);
        found.sort();
        found == expected
    });
    // A holder finds the other one, but not itself.
    wait("for the other", || {
        second.transport.providers(&MODEL) == [first.peer()]
    });
    assert_eq!(third.transport.providers(&[4; 32]), []);
    // A found peer can be reached.
    let asked = third
        .transport
        .request(&second.peer(), b"ab".to_vec(), PATIENCE);
    assert_eq!(asked, Ok(b"ba".to_vec()));
}

fn the_end_of_a_peer_is_told_and_its_return_noticed<N: NetworkBackend<Block, H256>>() {
    let client = Node::start::<N>(None);
    let server = Node::start::<N>(Some(&client));
    let to = server.peer();
    let sent = server.transport.send(&client.peer(), vec![1], PATIENCE);
    assert_eq!(sent, Ok(()));
    assert_eq!(client.next(), Event::Message(to.clone(), vec![1]));
    drop(server);
    assert_eq!(client.next(), Event::Disconnected(to.clone()));
    wait("for the end to be counted", || {
        client.metric("starling_network_links") == 0.0
    });
    let sent = client.transport.send(&to, vec![2], Duration::from_secs(1));
    assert!(sent.is_err(), "{sent:?}");
    // The next server is another peer.
    let server = Node::start::<N>(Some(&client));
    let sent = server.transport.send(&client.peer(), vec![3], PATIENCE);
    assert_eq!(sent, Ok(()));
    assert_eq!(client.next(), Event::Message(server.peer(), vec![3]));
}
