// SPDX-License-Identifier: Apache-2.0
//! Memory after sessions have ended. This test runs in a process of its own, whose memory it
//! measures.

#[path = "../../../engine/src/fixtures.rs"]
#[allow(dead_code)]
mod fixtures;
#[path = "../pipeline/swarm.rs"]
#[allow(dead_code)]
mod swarm;

use candle_core::quantized::GgmlDType;
use starling_engine::{config::Architecture, Sequence, Trunk};

use crate::{
    fixtures::LAYERS,
    swarm::{config, eventually, extend, Swarm, MODEL},
};

/// For `fixtures`, which is the engine's.
mod config {
    pub use starling_engine::config::Architecture;
}

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn two_hundred_sessions_leave_nothing_behind() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let servers = [swarm.server(0..2), swarm.server(2..LAYERS)];
    let user = swarm.node();
    let tokens: Vec<u32> = (0..90).collect();
    let ends = swarm.ends();
    let use_one = || {
        let pipeline = user.service.pipeline(MODEL, ends.clone(), config());
        let mut session = pipeline.session();
        extend(&pipeline, &mut session, &tokens).unwrap();
        let mut fork = session.fork();
        fork.truncate(40);
        extend(&pipeline, &mut fork, &[1, 2, 3]).unwrap();
        assert!(servers
            .iter()
            .all(|server| server.service.metrics().positions.get() > 0.0));
    };
    let gone = || {
        servers.iter().all(|server| {
            let metrics = server.service.metrics();
            metrics.sessions.get() == 0.0 && metrics.positions.get() == 0.0
        })
    };
    for _ in 0..20 {
        use_one();
    }
    eventually("an empty server", gone);
    let before = resident();
    for _ in 0..200 {
        use_one();
    }
    eventually("an empty server", gone);
    // The caches of one session alone are 90 positions · 256 bytes · 4 layers.
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
}
