// SPDX-License-Identifier: Apache-2.0
//! Nothing is left behind after use.

use std::time::Duration;

use candle_core::quantized::GgmlDType;
use starling_engine::{config::Architecture, Sequence, Trunk};
use starling_shards::ServiceConfig;

use crate::{
    fixtures::{self, LAYERS},
    swarm::{config, eventually, extend, Node, Swarm},
};

fn is_empty(server: &Node) -> bool {
    let metrics = server.service.metrics();
    metrics.sessions.get() == 0.0 && metrics.positions.get() == 0.0
}

#[test]
fn two_hundred_sequences_of_one_pipeline_leave_nothing_behind() {
    let fixture = fixtures::model(Architecture::Gemma3, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let server = swarm.server(0..LAYERS);
    let user = swarm.node();
    let pipeline = swarm.pipeline(&user, config());
    for _ in 0..200 {
        let mut session = pipeline.session();
        extend(&pipeline, &mut session, &[1, 2, 3]).unwrap();
        let mut forks = [session.fork(), session.fork()];
        drop(session);
        extend(&pipeline, &mut forks[1], &[4]).unwrap();
    }
    let metrics = server.service.metrics();
    eventually("empty caches", || metrics.positions.get() == 0.0);
    assert_eq!(
        metrics.sessions.get(),
        1.0,
        "the pipeline keeps its session"
    );
    drop(pipeline);
    eventually("an empty server", || is_empty(&server));
}

#[test]
fn a_session_that_nobody_uses_expires_and_the_pipeline_opens_another() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let server = swarm.node_with(ServiceConfig {
        idle: Duration::from_millis(100),
        ..ServiceConfig::default()
    });
    swarm.serve(&server, 0..LAYERS);
    let user = swarm.node();
    let pipeline = swarm.pipeline(&user, config());
    let mut session = pipeline.session();
    let first = extend(&pipeline, &mut session, &[1, 2, 3]).unwrap();
    let metrics = server.service.metrics();
    eventually("the session's end", || is_empty(&server));
    assert!(metrics.expired.get() >= 1.0);
    // Its earlier rows are computed again.
    let mut second = extend(&pipeline, &mut session, &[4, 5]).unwrap().into_vec();
    let mut both = first.into_vec();
    both.append(&mut second);
    let whole = swarm.whole();
    let expected = extend(&whole, &mut whole.session(), &[1, 2, 3, 4, 5]).unwrap();
    assert_eq!(both, expected.into_vec());
}

#[test]
fn a_peer_that_is_gone_leaves_nothing_behind() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let server = swarm.server(0..LAYERS);
    let user = swarm.node();
    let pipeline = swarm.pipeline(&user, config());
    let mut session = pipeline.session();
    extend(&pipeline, &mut session, &[1, 2, 3]).unwrap();
    swarm.network.kill(&user.peer);
    eventually("an empty server", || is_empty(&server));
}
