// SPDX-License-Identifier: Apache-2.0
//! Surveys between nodes of `sc-network` on the loopback, with both of its backends.

use std::sync::{Arc, OnceLock};

use sc_network::{config::MultiaddrWithPeerId, NetworkBackend};
use sp_core::H256;
use starling_network::{Network, Protocols};
use starling_shards::{
    auth::{Directory, Signed, Statement},
    message::{self, Announcement, Refusal, Request, Response, Span, Survey, SurveyV1, Surveyed},
    simulated_network::{Agent, Agents},
    transport::{Inbox, ModelId, Peer, Respond, Transport},
    Service, ServiceConfig,
};

use crate::base::{wait, with_both_backends, Block, Host, PATIENCE};

const MODEL: ModelId = [3; 32];

/// A node that consists of a network only. The network ends with the node.
struct Node {
    host: Host,
    transport: Arc<Network>,
}

impl Node {
    fn start<N: NetworkBackend<Block, H256>>(boot: Option<&Self>) -> Self {
        let boot = boot.map(|node| MultiaddrWithPeerId {
            multiaddr: node.host.address(),
            peer_id: node.host.network.local_peer_id(),
        });
        let (host, protocols) = Host::start::<N, _>(boot.clone(), |network, genesis, metrics| {
            Protocols::register::<Block, N>(network, genesis, None, metrics)
        });
        let (transport, driver) = protocols.connect(host.network.clone(), None).unwrap();
        host.spawn(driver.run());
        if let Some(MultiaddrWithPeerId { multiaddr, peer_id }) = boot {
            host.network.add_known_address(peer_id, multiaddr);
        }
        Self { host, transport }
    }
}

/// A node that announces a speed, and says anything of others.
struct Holder {
    agents: Arc<Agents>,
    agent: Agent,
    peer: Peer,
    throughput: f32,
    /// Not set where the node is of a release before surveys.
    rows: OnceLock<Vec<Surveyed>>,
}

impl Holder {
    fn signed<T: Statement>(&self, body: T) -> Signed<T> {
        Signed::new(body, &self.agent, &self.agents.network(), &self.peer, None).unwrap()
    }

    fn announcement(&self) -> Response {
        Response::Announcement(self.signed(Announcement {
            model: MODEL,
            layers: Span { start: 0, end: 8 },
            throughput: self.throughput,
            free_positions: 1,
            free_sessions: 1,
            wires: vec![],
            key: [1; 32],
            time: self.agents.now(),
        }))
    }

    fn survey(&self, rows: Vec<Surveyed>) -> Response {
        Response::Survey(self.signed(Survey::V1(SurveyV1 {
            model: MODEL,
            up_kbps: 0,
            down_kbps: 0,
            rows,
            time: self.agents.now(),
        })))
    }
}

impl Inbox for Holder {
    fn request(&self, _: Peer, payload: Vec<u8>, respond: Respond) {
        let response = match (message::decode(&payload), self.rows.get()) {
            (Ok(Request::Describe(_)), _) => self.announcement(),
            (Ok(Request::Survey(_)), Some(rows)) => self.survey(rows.clone()),
            (Ok(Request::Ping(nonce)), Some(_)) => Response::Pong(nonce),
            _ => Response::Refused(Refusal::Malformed),
        };
        respond(message::encode(&response));
    }

    fn message(&self, _: Peer, _: Vec<u8>) {}

    fn disconnected(&self, _: &Peer) {}
}

with_both_backends!(a_claim_counts_as_others_measured_and_nodes_of_before_stay,);

fn a_claim_counts_as_others_measured_and_nodes_of_before_stay<N: NetworkBackend<Block, H256>>() {
    let agents = Arc::new(Agents::default());
    let user = Node::start::<N>(None);
    // The first one lies, the next three have measured it, one is not on chain and vouches for it,
    // and the last one is old.
    let speeds = [1e6, 55.0, 55.0, 55.0, 55.0, 40.0];
    let nodes = speeds.map(|_| Node::start::<N>(Some(&user)));
    let holder = |(number, (node, throughput)): (usize, (&Node, f32))| {
        let agent = Agent::new(number as u8);
        if number != 4 {
            agents.insert(agent.record());
        }
        let holder = Arc::new(Holder {
            agents: agents.clone(),
            agent,
            peer: node.transport.local(),
            throughput,
            rows: OnceLock::new(),
        });
        let inbox: Arc<dyn Inbox> = holder.clone();
        node.transport.attach(Arc::downgrade(&inbox));
        node.transport.provide(&[MODEL]);
        holder
    };
    let holders = nodes.iter().zip(speeds).enumerate().map(holder);
    let holders: Vec<_> = holders.collect();
    for (holder, throughput) in holders.iter().zip([0, 50, 60, 70, 1_000_000]) {
        let rows = vec![Surveyed {
            peer: holders[0].peer.clone(),
            rtt: 1,
            throughput,
            kbps: 0,
            heard: 255,
        }];
        holder.rows.set(rows).unwrap();
    }

    let agent = Agent::new(9);
    agents.insert(agent.record());
    let (transport, config) = (user.transport.clone(), ServiceConfig::default());
    let service = Service::start(transport, agents, Arc::new(agent), config, None).unwrap();
    let speed = |number: usize| {
        let known = service.holders(&MODEL);
        let mut known = known.into_iter();
        let found = known.find(|known| known.peer == holders[number].peer);
        found.map(|known| known.throughput)
    };
    for holder in &holders {
        wait("for a connection", || {
            let ask = message::encode(&Request::Describe(MODEL));
            user.transport.request(&holder.peer, ask, PATIENCE).is_ok()
        });
    }
    wait("for all holders", || {
        user.transport.providers(&MODEL).len() == holders.len()
    });
    wait("for their surveys", || speed(0) == Some(60.0));
    wait("for the others", || {
        (1..5).all(|other| speed(other) == Some(55.0)) && speed(5) == Some(40.0)
    });
    let metrics = service.metrics();
    let surveys = |outcome: &str| metrics.surveys.with_label_values(&[outcome]).get();
    assert!(surveys("taken") >= 4.0 && surveys("refused") >= 1.0 && surveys("unknown") >= 1.0);
    assert!(metrics.rtt_seconds.get_sample_count() >= 4);
    assert!(
        metrics.bad_facts.get() >= 1.0,
        "the liar has a row about itself"
    );
}
