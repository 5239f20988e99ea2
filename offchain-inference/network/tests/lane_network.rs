// SPDX-License-Identifier: Apache-2.0
//! The links of lanes between nodes of `sc-network` on the loopback, with both of its backends.

use std::{
    sync::{mpsc, Arc},
    thread,
    time::{Duration, Instant},
};

use sc_network::{
    config::{
        FullNetworkConfiguration, NetworkConfiguration, NotificationHandshake, Params, ProtocolId,
        Role, SetConfig,
    },
    service::traits::{NetworkService, PeerStore},
    Litep2pNetworkBackend, NetworkBackend, NetworkWorker,
};
use sp_core::H256;
use sp_runtime::{generic, traits::BlakeTwo256, OpaqueExtrinsic};
use starling_lane::transport::{Inbox, Peer, Transport, MAX_MESSAGE};
use starling_network::{LaneNetwork, LaneProtocol};
use tokio::runtime::Runtime;

type Block = generic::Block<generic::Header<u32, BlakeTwo256>, OpaqueExtrinsic>;
type Libp2p = NetworkWorker<Block, H256>;
type Litep2p = Litep2pNetworkBackend;

/// Far longer than any step here takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, PartialEq)]
enum Event {
    Opened(Peer),
    Message(Peer, Vec<u8>),
}

struct Record(mpsc::Sender<Event>);

impl Inbox for Record {
    fn opened(&self, peer: Peer) {
        let _ = self.0.send(Event::Opened(peer));
    }

    fn message(&self, from: Peer, message: Vec<u8>) -> bool {
        self.0.send(Event::Message(from, message)).is_ok()
    }
}

/// A node that consists of a network only. The network ends with the node.
struct Node {
    runtime: Option<Runtime>,
    network: Arc<dyn NetworkService>,
    transport: Arc<LaneNetwork>,
    events: mpsc::Receiver<Event>,
    _inbox: Arc<dyn Inbox>,
}

impl Node {
    fn start<N: NetworkBackend<Block, H256>>() -> Self {
        let runtime = Runtime::new().unwrap();
        let guard = runtime.enter();
        let config = NetworkConfiguration::new_local();
        let mut full = FullNetworkConfiguration::<Block, H256, N>::new(&config, None);
        let metrics = N::register_notification_metrics(None);
        let genesis = H256::repeat_byte(7);
        let protocol =
            LaneProtocol::register::<Block, N>(&mut full, genesis, None, metrics.clone());
        let (block_announce_config, mut announcements) = N::notification_config(
            "/block-announces/1".into(),
            vec![],
            1024,
            Some(NotificationHandshake::from_bytes(vec![1])),
            SetConfig::default(),
            metrics.clone(),
            full.peer_store_handle(),
        );
        runtime.spawn(async move { while announcements.next_event().await.is_some() {} });
        runtime.spawn(full.take_peer_store().run());
        let backend = N::new(Params {
            role: Role::Full,
            executor: Box::new(|future| {
                tokio::spawn(future);
            }),
            network_config: full,
            protocol_id: ProtocolId::from("test"),
            genesis_hash: genesis,
            fork_id: None,
            metrics_registry: None,
            block_announce_config,
            ipfs_config: None,
            notification_metrics: metrics,
        })
        .unwrap();
        let network = backend.network_service();
        runtime.spawn(backend.run());
        let (transport, driver) = protocol.connect(network.clone(), None).unwrap();
        let (sender, events) = mpsc::channel();
        let inbox: Arc<dyn Inbox> = Arc::new(Record(sender));
        transport.attach(Arc::downgrade(&inbox));
        runtime.spawn(driver.run());
        drop(guard);
        Self {
            runtime: Some(runtime),
            network,
            transport,
            events,
            _inbox: inbox,
        }
    }

    /// Two nodes that know each other's addresses.
    fn pair<N: NetworkBackend<Block, H256>>() -> [Self; 2] {
        let nodes = [Self::start::<N>(), Self::start::<N>()];
        for (node, other) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
            let mut addresses = vec![];
            wait("for an address", || {
                addresses = other.network.listen_addresses();
                !addresses.is_empty()
            });
            let id = other.network.local_peer_id();
            for address in addresses {
                node.network.add_known_address(id, address);
            }
        }
        nodes
    }

    fn peer(&self) -> Peer {
        self.transport.local().unwrap()
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited {what} in vain");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a test with each backend.
macro_rules! with_both_backends {
    ($($test:ident),* $(,)?) => {
        mod litep2p {
            $(#[test] fn $test() { super::$test::<super::Litep2p>() })*
        }
        mod libp2p {
            $(#[test] fn $test() { super::$test::<super::Libp2p>() })*
        }
    };
}

with_both_backends!(
    members_of_a_committee_hear_each_other_in_order,
    a_peer_that_is_not_reserved_gets_no_link,
);

fn members_of_a_committee_hear_each_other_in_order<N: NetworkBackend<Block, H256>>() {
    let [one, other] = Node::pair::<N>();
    assert!(!one.transport.send(&other.peer(), vec![1]), "no link yet");
    one.transport.reserve([other.peer()].into());
    other.transport.reserve([one.peer()].into());
    assert_eq!(one.next(), Event::Opened(other.peer()));
    assert_eq!(other.next(), Event::Opened(one.peer()));
    for (from, to) in [(&one, &other), (&other, &one)] {
        assert!(from.transport.is_open(&to.peer()));
        for message in 0..20 {
            assert!(from.transport.send(&to.peer(), vec![message; 1000]));
        }
        for message in 0..20 {
            let expected = Event::Message(from.peer(), vec![message; 1000]);
            assert!(to.next() == expected);
        }
        let largest = vec![7; MAX_MESSAGE];
        assert!(from.transport.send(&to.peer(), largest.clone()));
        assert!(to.next() == Event::Message(from.peer(), largest));
        let too_long = vec![7; MAX_MESSAGE + 1];
        assert!(!from.transport.send(&to.peer(), too_long));
    }
    // The epoch of the committee is over.
    one.transport.reserve([].into());
    wait("for the end of the link", || {
        !other.transport.is_open(&one.peer())
    });
}

fn a_peer_that_is_not_reserved_gets_no_link<N: NetworkBackend<Block, H256>>() {
    let [stranger, member] = Node::pair::<N>();
    let third = Node::start::<N>();
    let address = {
        let mut addresses = vec![];
        wait("for an address", || {
            addresses = third.network.listen_addresses();
            !addresses.is_empty()
        });
        addresses.remove(0)
    };
    let id = third.network.local_peer_id();
    member.network.add_known_address(id, address);
    stranger.transport.reserve([member.peer()].into());
    // A link that does open shows that the member has long seen the stranger.
    third.transport.reserve([member.peer()].into());
    member.transport.reserve([third.peer()].into());
    assert_eq!(member.next(), Event::Opened(third.peer()));
    assert_eq!(third.next(), Event::Opened(member.peer()));
    // The stranger may take its link for open until it hears of the refusal. Nothing of it is heard.
    let _ = stranger.transport.send(&member.peer(), vec![1]);
    assert!(third.transport.send(&member.peer(), vec![2]));
    assert!(member.next() == Event::Message(third.peer(), vec![2]));
    assert!(!member.transport.is_open(&stranger.peer()));
}
