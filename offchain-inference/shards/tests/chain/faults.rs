// SPDX-License-Identifier: Apache-2.0
//! Servers that die, stall, slow down or lie in the middle of a sequence.

use std::time::Duration;

use candle_core::quantized::GgmlDType;
use starling_engine::{config::Architecture, Error};
use starling_shards::{memory::Agent, transport::Peer, Chain, ChainConfig, ChainError};

use crate::{
    fixtures::{self, Fixture, BLOCKS},
    swarm::{config, eventually, greedy, Node, Swarm},
};

const PROMPT: [u32; 12] = [9, 8, 7, 6, 5, 4, 3, 2, 1, 50, 51, 52];
const TOKENS: usize = 40;

/// The blocks that two nodes hold each.
const CUT: usize = 2;

struct Scene {
    swarm: Swarm,
    servers: Vec<Node>,
    user: Node,
    expected: Vec<u32>,
    _fixture: Fixture,
}

impl Scene {
    /// `holders` nodes hold the first blocks, as many the others.
    fn new(holders: usize) -> Self {
        let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
        let mut swarm = Swarm::new(&fixture.path);
        let expected = greedy(&swarm.whole(), &PROMPT, TOKENS, |_| {}).unwrap();
        let mut servers = vec![];
        for _ in 0..holders {
            servers.push(swarm.server(0..CUT));
            servers.push(swarm.server(CUT..BLOCKS));
        }
        Self {
            user: swarm.node(),
            swarm,
            servers,
            expected,
            _fixture: fixture,
        }
    }

    /// Generates; at each of `at` the server of the stage of the same place is struck.
    fn strike(
        &self,
        chain: &Chain,
        at: &[(usize, usize)],
        strike: impl Fn(&Peer),
    ) -> starling_engine::Result<Vec<u32>> {
        greedy(chain, &PROMPT, TOKENS, |token| {
            // Who is struck is not on the route any more.
            let route = chain.route();
            for (_, stage) in at.iter().filter(|(when, _)| *when == token) {
                strike(&route[*stage].1);
            }
        })
    }

    fn failures(&self, cause: &str) -> f64 {
        let metrics = self.user.service.metrics();
        metrics.failures.with_label_values(&[cause]).get()
    }

    fn recoveries(&self) -> u64 {
        let metrics = self.user.service.metrics();
        metrics.recovery_seconds.get_sample_count()
    }
}

#[test]
fn killed_servers_are_replaced_and_the_tokens_are_the_same() {
    let scene = Scene::new(3);
    // On a busy machine a server may look like a straggler.
    let config = ChainConfig {
        replan: false,
        ..config()
    };
    let chain = scene.swarm.chain(&scene.user, config);
    let at = [(3, 0), (11, 1), (25, 0), (25, 1)];
    let tokens = scene.strike(&chain, &at, |peer| scene.swarm.network.kill(peer));
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(scene.failures("disconnected"), 4.0);
    assert_eq!(scene.recoveries(), 3, "two died at the same time");
    // What the replacements had to be told: all positions up to there.
    let (first, second, last) = (PROMPT.len() + 3, PROMPT.len() + 11, PROMPT.len() + 25);
    let replayed = scene.user.service.metrics().replayed_rows.get();
    assert_eq!(replayed, (first + second + 2 * last) as f64);
}

#[test]
fn a_paused_server_is_replaced_and_the_tokens_are_the_same() {
    let scene = Scene::new(2);
    let least_step_timeout = Duration::from_millis(300);
    let chain = scene.swarm.chain(
        &scene.user,
        ChainConfig {
            least_step_timeout,
            most_step_timeout: least_step_timeout,
            request_timeout: Duration::from_secs(2),
            ..config()
        },
    );
    let tokens = scene.strike(&chain, &[(7, 1)], |peer| scene.swarm.network.pause(peer));
    assert_eq!(tokens.unwrap(), scene.expected);
    // On a busy machine another answer may come late, too.
    assert!(scene.failures("timeout") >= 1.0);
    assert!(scene.recoveries() >= 1);
}

#[test]
fn a_straggler_is_left_for_a_faster_holder_without_a_failure() {
    let scene = Scene::new(2);
    let chain = scene.swarm.chain(&scene.user, config());
    let slow = std::cell::RefCell::new(None);
    let tokens = scene.strike(&chain, &[(4, 0)], |peer| {
        scene.swarm.network.slow(peer, Duration::from_millis(250));
        *slow.borrow_mut() = Some(peer.clone());
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    let metrics = scene.user.service.metrics();
    assert!(metrics.replanned.get() >= 1.0);
    assert_eq!(scene.recoveries(), 0);
    let slow = slow.into_inner().unwrap();
    assert!(chain.route().iter().all(|(_, peer)| *peer != slow));
}

#[test]
fn garbage_is_noticed_and_the_tokens_are_the_same() {
    let scene = Scene::new(2);
    let config = ChainConfig {
        replan: false,
        ..config()
    };
    let chain = scene.swarm.chain(&scene.user, config);
    let tokens = scene.strike(&chain, &[(5, 0), (9, 1)], |peer| {
        // An infinite number in place of the last one.
        scene.swarm.network.corrupt(peer, |message| {
            let end = message.len() - 4;
            message[end..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        });
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(scene.failures("malformed_answer"), 2.0);
}

#[test]
fn what_is_no_message_at_all_is_counted_and_survived() {
    let scene = Scene::new(2);
    let chain = scene.swarm.chain(
        &scene.user,
        ChainConfig {
            least_step_timeout: Duration::from_millis(300),
            most_step_timeout: Duration::from_millis(300),
            ..config()
        },
    );
    let tokens = scene.strike(&chain, &[(5, 0)], |peer| {
        scene
            .swarm
            .network
            .corrupt(peer, |message| message.truncate(7));
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    let metrics = scene.user.service.metrics();
    assert!(metrics.refused.with_label_values(&["malformed"]).get() >= 1.0);
}

#[test]
fn a_cheap_copy_of_the_model_is_found_out_and_the_honest_keep_their_trust() {
    let mut scene = Scene::new(2);
    // A third holder, who tells which of two that differ is right.
    let honest = scene.swarm.server(0..CUT);
    let coarser = fixtures::model(Architecture::Llama, GgmlDType::Q4_0);
    let liar = scene.swarm.node();
    scene.swarm.serve_file(&liar, &coarser.path, 0..CUT);
    let config = ChainConfig {
        spot_check: 1.0,
        replan: false,
        ..config()
    };
    let service = &scene.user.service;
    let checks = |outcome: &str| {
        let metrics = service.metrics();
        metrics.checks.with_label_values(&[outcome]).get()
    };
    let evidence = std::cell::RefCell::new(vec![]);
    // The liar is on the route, or sooner or later one of those who are asked again.
    let chain = scene.swarm.chain(&scene.user, config);
    eventually("the liar's discovery", || {
        greedy(&chain, &PROMPT, 4, |_| {}).unwrap();
        evidence.borrow_mut().extend(service.evidence());
        service.trust(&liar.peer) < 0.5 && !evidence.borrow().is_empty()
    });
    for honest in scene.servers.iter().chain([&honest]) {
        assert!(service.trust(&honest.peer) > 0.5);
    }
    assert!(checks("differed") >= 1.0);
    eventually("agreement", || {
        greedy(&chain, &PROMPT, 4, |_| {}).unwrap();
        checks("agreed") >= 1.0
    });
    for (evidence, exhibit) in evidence.into_inner() {
        evidence.check(&*scene.swarm.agents).unwrap();
        assert!(!evidence.judge(&exhibit).unwrap().agrees);
        let account = Agent::new(7).record().account;
        let answers = [&evidence.first, &evidence.second];
        assert!(answers.iter().any(|answer| answer.claim.account == account));
    }
}

#[test]
fn without_another_holder_the_error_says_which_blocks_are_missing() {
    let scene = Scene::new(1);
    let chain = scene.swarm.chain(
        &scene.user,
        ChainConfig {
            patience: Duration::from_millis(400),
            ..config()
        },
    );
    let outcome = scene.strike(&chain, &[(6, 1)], |peer| scene.swarm.network.kill(peer));
    let Err(Error::Remote(error)) = outcome else {
        panic!("{outcome:?}");
    };
    match error.downcast_ref() {
        Some(ChainError::NoHolder { blocks, .. }) => assert_eq!(*blocks, CUT..BLOCKS),
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains("blocks 2..4"), "{error}");
}

#[test]
fn a_chain_goes_on_when_a_holder_comes_back() {
    let mut scene = Scene::new(1);
    let chain = scene.swarm.chain(&scene.user, config());
    assert_eq!(
        greedy(&chain, &PROMPT, TOKENS, |_| {}).unwrap(),
        scene.expected
    );
    scene.swarm.network.kill(&scene.servers[1].peer);
    // It is looked for while nobody holds the blocks.
    let replacement = scene.swarm.node();
    let swarm = &scene.swarm;
    std::thread::scope(|scope| {
        let generation = scope.spawn(|| greedy(&chain, &PROMPT, TOKENS, |_| {}).unwrap());
        swarm.serve(&replacement, CUT..BLOCKS);
        assert_eq!(generation.join().unwrap(), scene.expected);
    });
    assert_eq!(chain.route()[1].1, replacement.peer);
}

#[test]
fn blocks_that_move_to_other_borders_are_found() {
    let mut scene = Scene::new(1);
    // Everything that the two servers hold, cut at other places.
    let _others = [
        scene.swarm.server(0..1),
        scene.swarm.server(1..3),
        scene.swarm.server(3..4),
    ];
    let chain = scene.swarm.chain(&scene.user, config());
    let tokens = greedy(&chain, &PROMPT, TOKENS, |token| {
        if token == 10 {
            for server in &scene.servers {
                scene.swarm.network.kill(&server.peer);
            }
        }
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(chain.route().len(), 3);
}
