// SPDX-License-Identifier: Apache-2.0
//! Holders of a model measure each other, and a client learns it.

use std::time::Duration;

use candle_core::quantized::GgmlDType;
use starling_engine::{config::Architecture, Trunk};
use starling_planner::Span;
use starling_shards::{transport::Peer, PipelineConfig, Seen};

use crate::{
    fixtures::{self, LAYERS},
    swarm::{config, extend, Swarm},
};

#[test]
fn holders_measure_each_other_and_a_client_learns_it() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let servers = [0..1, 1..LAYERS, 1..LAYERS].map(|layers| swarm.server(layers));
    let far = Duration::from_millis(30);
    swarm.network.slow(&servers[1].peer, far);
    let user = swarm.node();
    for server in &servers {
        server.service.holders(&swarm.model);
    }
    let pipeline = swarm.pipeline(
        &user,
        PipelineConfig {
            push_from: Duration::ZERO,
            ..config()
        },
    );
    assert_eq!(user.service.holders(&swarm.model).len(), 3);
    let shared = user.service.shared();
    let [shared] = &shared[..] else {
        panic!("one model")
    };
    let place = |peer: &Peer| {
        let mut holders = shared.holders.iter();
        holders.position(|seen| seen.holder.peer == *peer)
    };
    let places = servers
        .each_ref()
        .map(|server| place(&server.peer).unwrap());
    let rtt = |a: usize, b: usize| shared.rtts[places[a]][places[b]];
    for a in 0..3 {
        assert_eq!(rtt(a, a), Some(0.0));
        for b in 0..3 {
            assert_eq!(rtt(a, b), rtt(b, a));
        }
    }
    // What the slow one sends takes long, whoever measures it.
    assert!(rtt(0, 1).unwrap() >= far.as_secs_f64());
    assert!(rtt(1, 2).unwrap() >= far.as_secs_f64());
    assert!(rtt(0, 2).is_some());
    let beliefs = shared.holders.iter().map(|seen| seen.belief.unwrap());
    for belief in beliefs {
        assert!(belief.availability > 0.9 && belief.up_kbps > 0.0 && belief.down_kbps > 0.0);
        assert!(belief.throughput > 0.0 && belief.throughput <= belief.most_throughput);
    }
    let view = shared.view.as_ref().unwrap();
    let tenths = view.picture.rtt(places[0], places[1]);
    assert!(f64::from(tenths) >= (far.as_secs_f64() * 1e4).floor());
    let lengths: Vec<_> = view.placement.0.iter().map(Span::len).collect();
    let held = |seen: &Seen| seen.holder.layers.len() as u16;
    assert_eq!(lengths, shared.holders.iter().map(held).collect::<Vec<_>>());
    // Those that decide where to move have all holders in the picture, in one order.
    for server in &servers {
        let seen = server.service.swarm(&swarm.model).unwrap();
        let peers: Vec<_> = seen.holders.iter().map(|holder| &holder.peer).collect();
        assert!(peers.is_sorted() && peers.contains(&&server.peer));
        assert_eq!((peers.len(), seen.view.placement.0.len()), (3, 3));
    }
    let mut session = pipeline.session();
    assert!(extend(&pipeline, &mut session, &[1, 2, 3]).is_ok());
}
