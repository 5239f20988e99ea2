// SPDX-License-Identifier: Apache-2.0
//! The links of lanes between nodes of `sc-network` on the loopback, with both of its backends.

use std::sync::{mpsc, Arc};

use sc_network::NetworkBackend;
use sp_core::H256;
use starling_lane::transport::{Inbox, Peer, Transport, MAX_MESSAGE};
use starling_network::{LaneNetwork, LaneProtocol};

use crate::base::{wait, with_both_backends, Block, Host, PATIENCE};

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
    host: Host,
    transport: Arc<LaneNetwork>,
    events: mpsc::Receiver<Event>,
    _inbox: Arc<dyn Inbox>,
}

impl Node {
    fn start<N: NetworkBackend<Block, H256>>() -> Self {
        let (host, protocol) = Host::start::<N, _>(None, |network, genesis, metrics| {
            LaneProtocol::register::<Block, N>(network, genesis, None, metrics)
        });
        let (transport, driver) = protocol.connect(host.network.clone(), None).unwrap();
        let (sender, events) = mpsc::channel();
        let inbox: Arc<dyn Inbox> = Arc::new(Record(sender));
        transport.attach(Arc::downgrade(&inbox));
        host.spawn(driver.run());
        Self {
            host,
            transport,
            events,
            _inbox: inbox,
        }
    }

    /// Two nodes that know each other's addresses.
    fn pair<N: NetworkBackend<Block, H256>>() -> [Self; 2] {
        let [one, other] = [Self::start::<N>(), Self::start::<N>()];
        one.meet(&other);
        other.meet(&one);
        [one, other]
    }

    /// Learns the address of another node.
    fn meet(&self, other: &Self) {
        let (id, address) = (other.host.network.local_peer_id(), other.host.address());
        self.host.network.add_known_address(id, address);
    }

    fn peer(&self) -> Peer {
        self.transport.local().unwrap()
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }
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
    member.meet(&third);
    stranger.transport.reserve([member.peer()].into());
    // A link that does open shows that the member has long seen the stranger.
    third.transport.reserve([member.peer()].into());
    member.transport.reserve([third.peer()].into());
    assert_eq!(member.next(), Event::Opened(third.peer()));
    assert_eq!(third.next(), Event::Opened(member.peer()));
    // The stranger may take its link for open until it hears of the refusal. Nothing of it is
    // heard.
    let _ = stranger.transport.send(&member.peer(), vec![1]);
    assert!(third.transport.send(&member.peer(), vec![2]));
    assert!(member.next() == Event::Message(third.peer(), vec![2]));
    assert!(!member.transport.is_open(&stranger.peer()));
}
