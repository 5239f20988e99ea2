// SPDX-License-Identifier: Apache-2.0
//! Servers that die, stall, slow down or lie in the middle of a sequence.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};

use candle_core::quantized::GgmlDType;
use parking_lot::Mutex;
use starling_engine::{config::Architecture, Error, Sequence, Trunk};
use starling_evidence::Fault;
use starling_shards::{
    auth::Directory,
    integrity::{check, judge},
    message::{self, Done, Message, Output, Refusal},
    simulated_network::Agent,
    transport::Peer,
    LinkError, Pipeline, PipelineConfig, PipelineError, ServiceConfig,
};

use crate::{
    fixtures::{self, Fixture, LAYERS},
    swarm::{config, eventually, extend, greedy, Node, Swarm},
};

const PROMPT: [u32; 12] = [9, 8, 7, 6, 5, 4, 3, 2, 1, 50, 51, 52];
const TOKENS: usize = 40;

/// The layers that two nodes hold each.
const CUT: usize = 2;

struct Scene {
    swarm: Swarm,
    servers: Vec<Node>,
    user: Node,
    expected: Vec<u32>,
    _fixture: Fixture,
}

impl Scene {
    /// A scene in which `holders` nodes hold the first layers, and as many the others.
    fn new(holders: usize) -> Self {
        let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
        let mut swarm = Swarm::new(&fixture.path);
        let expected = greedy(&swarm.whole(), &PROMPT, TOKENS, |_| {}).unwrap();
        let mut servers = vec![];
        for _ in 0..holders {
            servers.push(swarm.server(0..CUT));
            servers.push(swarm.server(CUT..LAYERS));
        }
        Self {
            user: swarm.node(),
            swarm,
            servers,
            expected,
            _fixture: fixture,
        }
    }

    /// Generates tokens. At each of `at`, strikes the server of the stage with the same index.
    fn strike(
        &self,
        pipeline: &Pipeline,
        at: &[(usize, usize)],
        strike: impl Fn(&Peer),
    ) -> starling_engine::Result<Vec<u32>> {
        greedy(pipeline, &PROMPT, TOKENS, |token| {
            // A struck server is no longer on the route.
            let route = pipeline.route();
            for (_, stage) in at.iter().filter(|(when, _)| *when == token) {
                strike(&route[*stage].1);
            }
        })
    }

    /// Makes servers wait longer for a stuck peer than clients wait for an answer.
    fn wait_long_to_send(&self) {
        for server in &self.servers {
            server.service.configure(ServiceConfig {
                send_timeout: Duration::from_secs(60),
                requests_per_second: 1e6,
                messages_per_second: 1e6,
                ..ServiceConfig::default()
            });
        }
    }

    fn failures(&self, cause: &str) -> f64 {
        let metrics = self.user.service.metrics();
        metrics.failures.with_label_values(&[cause]).get()
    }

    /// Sum over all servers.
    fn pushes(&self, outcome: &str) -> f64 {
        let of = |node: &Node| {
            let metrics = node.service.metrics();
            metrics.pushes.with_label_values(&[outcome]).get()
        };
        self.servers.iter().map(of).sum()
    }

    /// Number of times that the user gave up relying on pushes.
    fn given_up(&self) -> f64 {
        let metrics = self.user.service.metrics();
        metrics.pushes.with_label_values(&["given_up"]).get()
    }

    fn recoveries(&self) -> u64 {
        let metrics = self.user.service.metrics();
        metrics.recovery_seconds.get_sample_count()
    }
}

#[test]
fn killed_servers_are_replaced_and_the_tokens_are_the_same() {
    for push_from in [Duration::MAX, Duration::ZERO] {
        killed_servers_are_replaced(push_from);
    }
}

fn killed_servers_are_replaced(push_from: Duration) {
    let scene = Scene::new(3);
    // On a busy machine a server may look like a straggler.
    let config = PipelineConfig {
        replan: false,
        push_from,
        ..config()
    };
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    let at = [(3, 0), (11, 1), (25, 0), (25, 1)];
    let tokens = scene.strike(&pipeline, &at, |peer| scene.swarm.network.kill(peer));
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(scene.failures("disconnected"), 4.0);
    assert_eq!(scene.recoveries(), 3, "two died at the same time");
    // Rows that the replacements had to be told: all positions up to there.
    let (first, second, last) = (PROMPT.len() + 3, PROMPT.len() + 11, PROMPT.len() + 25);
    let replayed = scene.user.service.metrics().replayed_rows.get();
    assert_eq!(replayed, (first + second + 2 * last) as f64);
    assert_eq!(scene.pushes("taken") > 0.0, push_from.is_zero());
}

#[test]
fn a_killed_server_is_replaced_behind_layers_of_this_node() {
    let scene = Scene::new(2);
    let config = PipelineConfig {
        replan: false,
        ..config()
    };
    let ends = scene.swarm.ends_with(1);
    let pipeline = scene.user.service.pipeline(scene.swarm.model, ends, config);
    let tokens = scene.strike(&pipeline, &[(9, 0)], |peer| scene.swarm.network.kill(peer));
    assert_eq!(tokens.unwrap(), scene.expected);
    let replayed = scene.user.service.metrics().replayed_rows.get();
    assert_eq!(replayed, (PROMPT.len() + 9) as f64);
}

/// A pipeline in which the first server passes everything on to the second one.
fn pushing(scene: &Scene, config: PipelineConfig) -> Pipeline {
    let config = PipelineConfig {
        push_from: Duration::ZERO,
        replan: false,
        ..config
    };
    scene.swarm.pipeline(&scene.user, config)
}

#[test]
fn rows_that_are_not_passed_on_go_through_the_client() {
    let scene = Scene::new(1);
    let config = PipelineConfig {
        least_step_timeout: Duration::from_millis(500),
        most_step_timeout: Duration::from_millis(500),
        ..config()
    };
    let pipeline = pushing(&scene, config);
    let [first, second] = [0, 1].map(|i| &scene.servers[i].peer);
    let tokens = scene.strike(&pipeline, &[(9, 0)], |_| {
        assert!(scene.pushes("taken") > 0.0);
        scene.swarm.network.sever(first, second);
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert!(scene.given_up() >= 1.0);
    // No server was replaced, because there is no other one.
    assert_eq!(pipeline.route().len(), 2);
}

#[test]
fn rows_that_change_between_two_servers_go_through_the_client() {
    let scene = Scene::new(1);
    let pipeline = pushing(&scene, config());
    let tokens = scene.strike(&pipeline, &[(9, 0)], |peer| {
        scene.swarm.network.corrupt(peer, |bytes| {
            if let Ok(Message::Push(mut push)) = message::decode(bytes) {
                push.data[3] ^= 0x10;
                *bytes = message::encode(&Message::Push(push));
            }
        });
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert!(scene.given_up() >= 1.0);
    for server in &scene.servers {
        assert_eq!(scene.user.service.trust(&server.peer), 1.0);
    }
}

#[test]
fn garbage_that_is_passed_on_is_not_blamed_on_who_gets_it() {
    let scene = Scene::new(1);
    let pipeline = pushing(&scene, config());
    let tokens = scene.strike(&pipeline, &[(9, 0)], |peer| {
        scene.swarm.network.corrupt(peer, |bytes| {
            if let Ok(Message::Push(mut push)) = message::decode(bytes) {
                push.data.fill(0xff);
                *bytes = message::encode(&Message::Push(push));
            }
        });
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(scene.failures("bad_push"), 1.0);
    assert!(scene.given_up() >= 1.0);
}

#[test]
fn a_server_that_waits_for_a_dead_one_goes_on_with_its_replacement() {
    let scene = Scene::new(2);
    let pipeline = pushing(&scene, config());
    let tokens = scene.strike(&pipeline, &[(9, 0)], |peer| {
        // Dies of its next answer, which it passes on to nobody.
        let (network, dying) = (scene.swarm.network.clone(), peer.clone());
        scene.swarm.network.corrupt(peer, move |bytes| {
            bytes.clear();
            network.kill(&dying);
        });
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(scene.failures("disconnected"), 1.0);
    assert_eq!(scene.failures("timeout"), 0.0, "nobody waits in vain");
    // Only the dead server's layers are recomputed for the earlier positions.
    let replayed = scene.user.service.metrics().replayed_rows.get();
    assert_eq!(replayed, (PROMPT.len() + 9) as f64);
}

#[test]
fn a_paused_server_is_replaced_and_the_tokens_are_the_same() {
    let scene = Scene::new(2);
    let least_step_timeout = Duration::from_millis(300);
    let pipeline = scene.swarm.pipeline(
        &scene.user,
        PipelineConfig {
            least_step_timeout,
            most_step_timeout: least_step_timeout,
            request_timeout: Duration::from_secs(2),
            ..config()
        },
    );
    let tokens = scene.strike(&pipeline, &[(7, 1)], |peer| scene.swarm.network.pause(peer));
    assert_eq!(tokens.unwrap(), scene.expected);
    // On a busy machine another answer may come late, too.
    assert!(scene.failures("timeout") >= 1.0);
    assert!(scene.recoveries() >= 1);
}

#[test]
fn a_peer_that_takes_nothing_holds_up_nobody_else() {
    let mut scene = Scene::new(1);
    let config = PipelineConfig {
        least_step_timeout: Duration::from_secs(20),
        most_step_timeout: Duration::from_secs(20),
        patience: Duration::from_secs(1),
        ..config()
    };
    let pipeline = scene.swarm.pipeline(&scene.user, config.clone());
    let other = scene.swarm.node();
    let others = scene.swarm.pipeline(&other, config);
    let server = scene.servers[0].peer.clone();
    let network = scene.swarm.network.clone();
    let user = scene.user.peer.clone();
    scene.wait_long_to_send();
    greedy(&pipeline, &PROMPT, 3, |_| {}).unwrap();
    network.clog(&server, &user);
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| greedy(&pipeline, &PROMPT, 1, |_| {}));
        eventually("an answer that waits", || {
            scene.servers[0].service.metrics().served_rows.get() >= (2 * PROMPT.len() + 3) as f64
        });
        let tokens = greedy(&others, &PROMPT, TOKENS, |_| {}).unwrap();
        assert_eq!(tokens, scene.expected);
        let metrics = other.service.metrics();
        assert_eq!(metrics.failures.with_label_values(&["timeout"]).get(), 0.0);
        network.kill(&user);
        assert!(blocked.join().unwrap().is_err());
    });
}

#[test]
fn a_server_that_takes_nothing_that_is_passed_on_holds_up_no_answer() {
    let scene = Scene::new(1);
    scene.wait_long_to_send();
    let config = PipelineConfig {
        least_step_timeout: Duration::from_secs(3),
        most_step_timeout: Duration::from_secs(3),
        ..config()
    };
    let pipeline = pushing(&scene, config);
    let [first, second] = [0, 1].map(|i| &scene.servers[i].peer);
    let tokens = scene.strike(&pipeline, &[(9, 0)], |_| {
        assert!(scene.pushes("taken") > 0.0);
        scene.swarm.network.clog(first, second);
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(scene.given_up(), 1.0);
    assert_eq!(scene.failures("timeout"), 0.0, "the answers came");
}

#[test]
fn a_server_that_lags_behind_gets_by_way_of_the_client_what_it_needs() {
    let scene = Scene::new(2);
    let pipeline = pushing(&scene, config());
    // Long enough to be remembered.
    let first: Vec<u32> = (0..40).map(|i| i * 7 % 90).collect();
    let mut longer = first.clone();
    longer.extend([11, 12, 13]);
    let whole = scene.swarm.whole();
    let expected = extend(&whole, &mut whole.session(), &longer).unwrap();
    extend(&pipeline, &mut pipeline.session(), &first).unwrap();
    scene.swarm.network.kill(&pipeline.route()[1].1);
    // The replacement learns of its upstream by another sequence, and knows nothing of the first.
    let before = scene.pushes("taken");
    greedy(&pipeline, &PROMPT, 8, |_| {}).unwrap();
    assert!(scene.pushes("taken") > before);
    let mut session = pipeline.session_with_prefix(&longer);
    let known = session.len();
    assert_eq!(known, first.len());
    let again = extend(&pipeline, &mut session, &longer[known..]).unwrap();
    assert_eq!(again.last(), expected.last());
    assert_eq!(scene.failures("wrong_branch"), 0.0);
    assert_eq!(
        scene.failures("disconnected"),
        1.0,
        "the one that was killed"
    );
}

#[test]
fn no_row_is_replayed_twice_however_slow_a_replacement_is() {
    let scene = Scene::new(2);
    let config = PipelineConfig {
        replan: false,
        ..config()
    };
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    let network = &scene.swarm.network;
    let at = 9;
    let tokens = greedy(&pipeline, &PROMPT, TOKENS, |token| {
        if token != at {
            return;
        }
        let route = pipeline.route();
        let [first, second] = [0, 1].map(|stage| route[stage].1.clone());
        // The first one's replacement has to recompute everything, although its results are known
        // already and the pipeline could go on without it.
        for server in scene.servers.iter().step_by(2) {
            if server.peer != first {
                network.slow(&server.peer, Duration::from_millis(300));
            }
        }
        let (dying, killer) = (second.clone(), network.clone());
        network.corrupt(&second, move |bytes| {
            bytes.clear();
            killer.kill(&first);
            killer.kill(&dying);
        });
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    let replayed = scene.user.service.metrics().replayed_rows.get();
    assert_eq!(replayed, (2 * (PROMPT.len() + at)) as f64);
}

#[test]
fn a_straggler_is_left_for_a_faster_holder_without_a_failure() {
    a_straggler_is_left(Duration::MAX, 0);
    // Its rows are pushed.
    a_straggler_is_left(Duration::ZERO, 1);
}

fn a_straggler_is_left(push_from: Duration, stage: usize) {
    let scene = Scene::new(2);
    let config = PipelineConfig {
        push_from,
        ..config()
    };
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    let slow = std::cell::RefCell::new(None);
    let tokens = scene.strike(&pipeline, &[(4, stage)], |peer| {
        scene.swarm.network.slow(peer, Duration::from_millis(600));
        *slow.borrow_mut() = Some(peer.clone());
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    let metrics = scene.user.service.metrics();
    assert!(metrics.replanned.get() >= 1.0);
    assert_eq!(scene.recoveries(), 0);
    let slow = slow.into_inner().unwrap();
    assert!(pipeline.route().iter().all(|(_, peer)| *peer != slow));
    assert_eq!(scene.pushes("taken") > 0.0, push_from.is_zero());
}

#[test]
fn garbage_is_noticed_and_the_tokens_are_the_same() {
    let scene = Scene::new(2);
    let config = PipelineConfig {
        replan: false,
        ..config()
    };
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    let tokens = scene.strike(&pipeline, &[(5, 0), (9, 1)], |peer| {
        // Other bytes in place of the last ones of one answer: on a busy machine the next server may
        // look like a straggler, and this one is asked again.
        let is_spoilt = AtomicBool::new(false);
        scene.swarm.network.corrupt(peer, move |message| {
            if !is_spoilt.swap(true, Ordering::Relaxed) {
                let end = message.len() - 4;
                message[end..].copy_from_slice(&[0; 4]);
            }
        });
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    // The seal is broken before anyone reads the number.
    assert_eq!(scene.failures("unsealed"), 2.0);
}

#[test]
fn rows_are_never_used_without_their_servers_signature() {
    type Forgery = fn(&mut Output);
    let (unsigned, malformed) = (("unsigned_answer", 0.2), ("malformed_answer", 1.0));
    let other_signature: Forgery = |output| output.signatures.parts[0][7] ^= 1;
    let other_time: Forgery = |output| output.signatures.time += 1;
    let none: Forgery = |output| output.signatures.parts.clear();
    // The signature of somebody who is no agent says nothing about this one.
    let strangers: Forgery = |output| output.signatures.key = Agent::new(99).record().key;
    for (forge, (cause, trust)) in [
        (other_signature, unsigned),
        (other_time, unsigned),
        (none, malformed),
        (strangers, malformed),
    ] {
        unsigned_rows_are_not_used(Duration::MAX, forge, cause, trust);
    }
    // Nor is what the next server made of them. Rows that change on their way do not open at all.
    unsigned_rows_are_not_used(Duration::ZERO, other_signature, "unsigned_answer", 0.2);
}

fn unsigned_rows_are_not_used(
    push_from: Duration,
    forge: fn(&mut Output),
    cause: &str,
    trust: f64,
) {
    let scene = Scene::new(2);
    let config = PipelineConfig {
        replan: false,
        push_from,
        ..config()
    };
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    let struck = Mutex::new(vec![]);
    let tokens = scene.strike(&pipeline, &[(9, 0), (14, 1)], |peer| {
        struck.lock().push(peer.clone());
        scene.swarm.network.corrupt(peer, move |bytes| {
            let Ok(Message::Done(Done {
                session,
                sequence,
                result: Ok(mut output),
            })) = message::decode(bytes)
            else {
                return;
            };
            forge(&mut output);
            let result = Ok(output);
            let done = Done {
                session,
                sequence,
                result,
            };
            *bytes = message::encode(&Message::Done(done));
        });
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(scene.failures(cause), 2.0);
    let struck = struck.lock();
    for server in &scene.servers {
        let expected = if struck.contains(&server.peer) {
            trust
        } else {
            1.0
        };
        assert_eq!(scene.user.service.trust(&server.peer), expected);
    }
}

#[test]
fn bytes_that_are_no_message_are_counted_and_survived() {
    let scene = Scene::new(2);
    let pipeline = scene.swarm.pipeline(
        &scene.user,
        PipelineConfig {
            least_step_timeout: Duration::from_millis(300),
            most_step_timeout: Duration::from_millis(300),
            ..config()
        },
    );
    let tokens = scene.strike(&pipeline, &[(5, 0)], |peer| {
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
    // A third holder, which tells which of two differing servers is right.
    let honest = scene.swarm.server(0..CUT);
    let coarser = fixtures::model(Architecture::Llama, GgmlDType::Q4_0);
    let liar = scene.swarm.node();
    scene.swarm.serve_file(&liar, &coarser.path, 0..CUT);
    let config = PipelineConfig {
        spot_check: 1.0,
        replan: false,
        ..config()
    };
    let service = &scene.user.service;
    let checks = |outcome: &str| {
        let metrics = service.metrics();
        metrics.checks.with_label_values(&[outcome]).get()
    };
    // The first attempt to record a case fails, as on a full disk.
    let (full, recorded) = (AtomicBool::new(true), Arc::new(Mutex::new(vec![])));
    let cases = recorded.clone();
    service.record_evidence(move |case| {
        let works = !full.swap(false, Ordering::Relaxed);
        if works {
            cases.lock().push(case.clone());
        }
        works
    });
    let evidence = |outcome: &str| {
        let metrics = service.metrics();
        metrics.evidence.with_label_values(&[outcome]).get()
    };
    // The liar is on the route, or is asked for a check sooner or later.
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    eventually("the liar's discovery", || {
        greedy(&pipeline, &PROMPT, 4, |_| {}).unwrap();
        service.trust(&liar.peer) < 0.5 && evidence("recorded") >= 1.0
    });
    for honest in scene.servers.iter().chain([&honest]) {
        assert!(service.trust(&honest.peer) > 0.5);
    }
    assert!(checks("differed") >= 1.0);
    eventually("agreement", || {
        greedy(&pipeline, &PROMPT, 4, |_| {}).unwrap();
        checks("agreed") >= 1.0
    });
    // The last checks may still be under way.
    eventually("the record of all that was found", || {
        let kept = recorded.lock().len() as f64;
        evidence("found") == kept && evidence("recorded") == kept
    });
    assert_eq!(evidence("lost"), 0.0);
    let recorded = recorded.lock();
    for case in recorded.iter() {
        check(&case.evidence, &*scene.swarm.agents).unwrap();
        assert!(!judge(&case.evidence, &case.exhibit).unwrap().agrees);
        assert_eq!(case.network, scene.swarm.agents.network());
        let account = Agent::new(7).record().account;
        let answers = [&case.evidence.first, &case.evidence.second];
        assert!(answers.iter().any(|answer| answer.claim.account == account));
    }
}

#[test]
fn a_canary_names_its_tokens_and_its_exhibit_is_shown_to_whoever_asks() {
    let mut scene = Scene::new(1);
    let coarser = fixtures::model(Architecture::Llama, GgmlDType::Q4_0);
    let liar = scene.swarm.node();
    scene.swarm.serve_file(&liar, &coarser.path, 0..CUT);
    let service = &scene.user.service;
    let recorded = Arc::new(Mutex::new(vec![]));
    let cases = recorded.clone();
    service.record_evidence(move |case| {
        cases.lock().push(case.clone());
        true
    });
    let pipeline = scene.swarm.pipeline(
        &scene.user,
        PipelineConfig {
            spot_check: 0.0,
            replan: false,
            ..config()
        },
    );
    eventually("the liar's discovery", || {
        // A user's tokens are not checked here.
        greedy(&pipeline, &PROMPT, 2, |_| {}).unwrap();
        pipeline.canary(&PROMPT).unwrap();
        !recorded.lock().is_empty()
    });
    let case = recorded.lock()[0].clone();
    assert_eq!(case.exhibit.tokens, PROMPT);
    let executor = scene.swarm.node();
    let (peer, timeout) = (service.local(), Duration::from_secs(5));
    let shown = || executor.service.exhibit(&peer, &case.evidence, timeout);
    assert_eq!(shown(), Err(LinkError::Refused(Refusal::NotHeld)));
    service.show(&case.evidence, case.exhibit.clone()).unwrap();
    assert_eq!(shown(), Ok(case.exhibit.clone()));
    // It is long: nobody gets it without end.
    let refused = (0..10).find_map(|_| shown().err());
    assert_eq!(refused, Some(LinkError::Refused(Refusal::TooFast)));
    // The exhibit of a prompt names no tokens, and is shown to nobody.
    let mut private = case.exhibit.clone();
    private.tokens.clear();
    let refused = scene.servers[0].service.show(&case.evidence, private);
    assert_eq!(refused, Err(Fault::Tokens));
}

#[test]
fn canaries_have_a_use_once_a_pipeline_with_checks_is_in_use() {
    let scene = Scene::new(1);
    let service = &scene.user.service;
    for (spot_check, has_use) in [(0.0, false), (1e-9, true)] {
        let config = PipelineConfig {
            spot_check,
            ..config()
        };
        let pipeline = scene.swarm.pipeline(&scene.user, config);
        assert!(!service.has_use_for_canaries());
        greedy(&pipeline, &PROMPT, 1, |_| {}).unwrap();
        assert_eq!(service.has_use_for_canaries(), has_use);
    }
}

#[test]
fn two_nodes_of_one_agent_do_not_outvote_another() {
    let scene = Scene::new(1);
    let coarser = fixtures::model(Architecture::Llama, GgmlDType::Q4_0);
    scene.swarm.agents.insert(Agent::new(50).record());
    let liars = ["liar", "its double"].map(|name| {
        let limits = ServiceConfig {
            requests_per_second: 1e6,
            messages_per_second: 1e6,
            ..ServiceConfig::default()
        };
        let node = scene.swarm.node_called(name, Agent::new(50), limits);
        scene.swarm.serve_file(&node, &coarser.path, 0..CUT);
        node
    });
    let config = PipelineConfig {
        spot_check: 1.0,
        replan: false,
        patience: Duration::from_secs(1),
        ..config()
    };
    let service = &scene.user.service;
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    eventually("a difference", || {
        // Fails once all of them are excluded.
        let _ = greedy(&pipeline, &PROMPT, 1, |_| {});
        let metrics = service.metrics();
        metrics.checks.with_label_values(&["differed"]).get() >= 1.0
    });
    // Nobody can decide, so both agents lose the same; the double shares the liar's trust.
    eventually("equal trust", || {
        let [honest, one, two] =
            [&scene.servers[0], &liars[0], &liars[1]].map(|node| service.trust(&node.peer));
        honest < 0.5 && honest == one && one == two
    });
}

#[test]
fn without_another_holder_the_error_says_which_layers_are_missing() {
    let scene = Scene::new(1);
    let pipeline = scene.swarm.pipeline(
        &scene.user,
        PipelineConfig {
            patience: Duration::from_millis(400),
            ..config()
        },
    );
    let outcome = scene.strike(&pipeline, &[(6, 1)], |peer| scene.swarm.network.kill(peer));
    let Err(Error::Remote(error)) = outcome else {
        panic!("{outcome:?}");
    };
    match error.downcast_ref() {
        Some(PipelineError::NoHolder { layers, .. }) => assert_eq!(*layers, CUT..LAYERS),
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains("layers 2..4"), "{error}");
}

#[test]
fn a_pipeline_goes_on_when_a_holder_comes_back() {
    let mut scene = Scene::new(1);
    let pipeline = scene.swarm.pipeline(&scene.user, config());
    assert_eq!(
        greedy(&pipeline, &PROMPT, TOKENS, |_| {}).unwrap(),
        scene.expected
    );
    scene.swarm.network.kill(&scene.servers[1].peer);
    // The pipeline looks for it while nobody holds the layers.
    let replacement = scene.swarm.node();
    let swarm = &scene.swarm;
    std::thread::scope(|scope| {
        let generation = scope.spawn(|| greedy(&pipeline, &PROMPT, TOKENS, |_| {}).unwrap());
        swarm.serve(&replacement, CUT..LAYERS);
        assert_eq!(generation.join().unwrap(), scene.expected);
    });
    assert_eq!(pipeline.route()[1].1, replacement.peer);
}

#[test]
fn layers_that_move_to_other_borders_are_found() {
    let mut scene = Scene::new(1);
    // Everything that the two servers hold, cut at other places.
    let _others = [
        scene.swarm.server(0..1),
        scene.swarm.server(1..3),
        scene.swarm.server(3..4),
    ];
    // On a busy machine a server may look like a straggler.
    let config = PipelineConfig {
        replan: false,
        ..config()
    };
    let pipeline = scene.swarm.pipeline(&scene.user, config);
    let tokens = greedy(&pipeline, &PROMPT, TOKENS, |token| {
        if token == 10 {
            for server in &scene.servers {
                scene.swarm.network.kill(&server.peer);
            }
        }
    });
    assert_eq!(tokens.unwrap(), scene.expected);
    assert_eq!(pipeline.route().len(), 3);
}
