// SPDX-License-Identifier: Apache-2.0
//! A server refuses invalid requests, reports the reason, and counts them.

use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{channel, Receiver, Sender},
        Arc, Weak,
    },
    time::Duration,
};

use candle_core::quantized::GgmlDType;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use starling_engine::{config::Architecture, Error};
use starling_shards::{
    auth::{Directory, Identity, Signed},
    integrity::{Claim, History},
    message::{
        self, Announcement, Done, Edit, Message, Next, Open, Opened, Output, Part, Push, Refusal,
        Request, Response, SessionId, Signatures, Span, Work,
    },
    seal::{Binding, Chains, Secret, VectorKey},
    simulated_network::{Agent, Endpoint},
    transport::{Inbox, Peer, Respond, Transport},
    wire::WireFormat,
    OpenError, PipelineConfig, PipelineError, ServiceConfig,
};

use crate::{
    fixtures::{self, Fixture, CONTEXT, LAYERS},
    swarm::{config, eventually, greedy, Node, Swarm, MODEL},
};

const WIDTH: usize = 96;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Keeps incoming answers and pushes.
struct Answers(Mutex<Sender<Done>>, Mutex<Option<Sender<Push>>>);

impl Inbox for Answers {
    fn request(&self, _: Peer, _: Vec<u8>, _: Respond) {}

    fn message(&self, _: Peer, payload: Vec<u8>) {
        match message::decode(&payload) {
            Ok(Message::Done(done)) => self.0.lock().send(done).unwrap(),
            Ok(Message::Push(push)) => {
                if let Some(pushes) = &*self.1.lock() {
                    pushes.send(push).unwrap();
                }
            },
            _ => {},
        }
    }

    fn disconnected(&self, _: &Peer) {}
}

/// A client that may send anything.
struct Client {
    endpoint: Arc<Endpoint>,
    server: Peer,
    agent: Agent,
    answers: Receiver<Done>,
    inbox: Arc<Answers>,
    /// Its keys, by session.
    seals: Mutex<HashMap<SessionId, Chains>>,
}

struct Scene {
    swarm: Swarm,
    server: Node,
    announced: Signed<Announcement>,
    _fixture: Fixture,
}

impl Scene {
    fn new(config: ServiceConfig) -> Self {
        let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
        let mut swarm = Swarm::new(&fixture.path);
        let server = swarm.node_with(config);
        Self::of(swarm, server, fixture)
    }

    /// The scene of a server, which serves the layers 1 and 2.
    fn of(swarm: Swarm, server: Node, fixture: Fixture) -> Self {
        swarm.serve(&server, 1..LAYERS);
        let asker = swarm.network.join("asker");
        // A peer without an inbox gets no answer.
        let (sender, _answers) = channel();
        let inbox = Arc::new(Answers(Mutex::new(sender), Mutex::default()));
        let weak: Weak<Answers> = Arc::downgrade(&inbox);
        asker.attach(weak);
        let describe = message::encode(&Request::Describe(MODEL));
        let response = asker.request(&server.peer, describe, TIMEOUT).unwrap();
        let Ok(Response::Announcement(announced)) = message::decode(&response) else {
            panic!("the server announces its span")
        };
        Self {
            swarm,
            server,
            announced,
            _fixture: fixture,
        }
    }

    /// A client with the agent of this number, known to the directory or not.
    fn client(&self, number: u8, known: bool) -> Client {
        let agent = Agent::new(number);
        if known {
            self.swarm.agents.insert(agent.record());
        }
        let endpoint = self.swarm.network.join(&format!("client {number}"));
        let (sender, answers) = channel();
        let inbox = Arc::new(Answers(Mutex::new(sender), Mutex::default()));
        let weak: Weak<Answers> = Arc::downgrade(&inbox);
        endpoint.attach(weak);
        Client {
            endpoint,
            server: self.server.peer.clone(),
            agent,
            answers,
            inbox,
            seals: Mutex::default(),
        }
    }

    fn open(&self) -> Open {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        Open {
            model: MODEL,
            layers: Span { start: 1, end: 3 },
            wire: WireFormat::F32,
            key: Secret::generate().unwrap().public(),
            server_key: self.announced.body.key,
            nonce,
            time: self.swarm.agents.now(),
        }
    }

    fn sign(&self, client: &Client, open: Open) -> Signed<Open> {
        let network = self.swarm.agents.network();
        let local = client.endpoint.local();
        Signed::new(open, &client.agent, &network, &local, Some(&client.server)).unwrap()
    }

    fn opened(&self, client: &Client) -> Opened {
        let secret = Secret::generate().unwrap();
        let open = Open {
            key: secret.public(),
            ..self.open()
        };
        let opened = match client.ask(&Request::Open(self.sign(client, open.clone()))) {
            Response::Opened(opened) => opened,
            other => panic!("{other:?}"),
        };
        let binding = Binding {
            network: self.swarm.agents.network(),
            client: client.endpoint.local(),
            client_account: client.agent.account().unwrap(),
            server: client.server.clone(),
            server_account: self.announced.account,
            model: open.model,
            layers: open.layers,
            wire: open.wire,
            session: opened.session,
            nonce: open.nonce,
        };
        let chains = Chains::of_client(&secret, &open.server_key, &opened.key, &binding);
        let mut seals = client.seals.lock();
        seals.insert(opened.session, chains.unwrap());
        opened
    }

    fn counted(&self, refusal: &Refusal) -> f64 {
        let metrics = self.server.service.metrics();
        metrics.refused.with_label_values(&[refusal.name()]).get()
    }
}

impl Client {
    fn ask(&self, request: &Request) -> Response {
        self.ask_bytes(message::encode(request))
    }

    fn ask_bytes(&self, payload: Vec<u8>) -> Response {
        let response = self
            .endpoint
            .request(&self.server, payload, TIMEOUT)
            .unwrap();
        message::decode(&response).unwrap()
    }

    /// Receives the rows that are pushed to it from now on.
    fn pushes(&self) -> Receiver<Push> {
        let (sender, pushes) = channel();
        *self.inbox.1.lock() = Some(sender);
        pushes
    }

    /// Seals a message with the next keys of its session, if it has one.
    fn seal(&self, work: &mut Work, next: &VectorKey) -> Option<VectorKey> {
        let next = work.next.is_some().then_some(next);
        let mut seals = self.seals.lock();
        seals.get_mut(&work.session)?.up.seal_work(work, next)
    }

    /// Returns the key for its rows, if they are pushed.
    fn send(&self, work: Work) -> Option<VectorKey> {
        self.send_on(work, &a_key())
    }

    /// Sends a message whose output is sealed with `next` for another server.
    fn send_on(&self, mut work: Work, next: &VectorKey) -> Option<VectorKey> {
        let key = self.seal(&mut work, next);
        self.send_bytes(message::encode(&Message::Work(work)));
        key
    }

    fn send_bytes(&self, payload: Vec<u8>) {
        self.endpoint.send(&self.server, payload, TIMEOUT).unwrap();
    }

    /// The rows of the answer to `work`.
    fn done(&self, work: Work) -> Result<Vec<u8>, Refusal> {
        self.output(work).map(|output| output.data)
    }

    /// The answer to `work`.
    fn output(&self, work: Work) -> Result<Output, Refusal> {
        let (session, sequence) = (work.session, work.sequence);
        self.send(work);
        self.opened(session, sequence)
    }

    /// The rows of the answer to this message.
    fn answer(&self, session: SessionId, sequence: u64) -> Result<Vec<u8>, Refusal> {
        self.opened(session, sequence).map(|output| output.data)
    }

    /// The answer to this message, opened.
    fn opened(&self, session: SessionId, sequence: u64) -> Result<Output, Refusal> {
        let done = self.answers.recv_timeout(TIMEOUT).unwrap();
        assert_eq!((done.session, done.sequence), (session, sequence));
        let output = done.result?;
        let (held, signatures) = (output.held, output.signatures.clone());
        let mut seals = self.seals.lock();
        let down = &mut seals.get_mut(&session).unwrap().down;
        let data = down.open_output(session, sequence, output).unwrap();
        Ok(Output {
            held,
            signatures,
            data,
        })
    }
}

/// A key of no session here.
fn a_key() -> VectorKey {
    let [own, announced, fresh] = [0; 3].map(|_| Secret::generate().unwrap());
    let peer = || Peer::new(*b"nobody");
    let binding = Binding {
        network: [0; 32],
        client: peer(),
        client_account: [0; 32],
        server: peer(),
        server_account: [0; 32],
        model: MODEL,
        layers: Span { start: 0, end: 1 },
        wire: WireFormat::F32,
        session: 0,
        nonce: [0; 16],
    };
    let chains = Chains::of_client(&own, &announced.public(), &fresh.public(), &binding);
    let mut awaiting = work(0, 0, &[]);
    awaiting.pushed = true;
    chains.unwrap().up.seal_work(&mut awaiting, None).unwrap()
}

fn work(session: SessionId, sequence: u64, parts: &[(u32, u32, u32)]) -> Work {
    let rows: usize = parts.iter().map(|(_, _, rows)| *rows as usize).sum();
    let part = |&(branch, position, rows): &(u32, u32, u32)| Part {
        branch,
        position,
        rows,
    };
    Work {
        session,
        sequence,
        edits: vec![],
        parts: parts.iter().map(part).collect(),
        data: WireFormat::F32.encode(&vec![0.5; rows * WIDTH], WIDTH),
        pushed: false,
        next: None,
    }
}

/// Takes the rows out of `work`, so that another peer can push them.
fn to_push(work: &mut Work) -> Vec<u8> {
    work.pushed = true;
    std::mem::take(&mut work.data)
}

/// These rows as the upstream seals them.
fn push(key: &VectorKey, session: SessionId, sequence: u64, rows: Vec<u8>) -> Push {
    Push {
        session,
        sequence,
        data: key.seal_push(session, sequence, rows),
    }
}

/// Rates high enough for these tests.
fn unhurried() -> ServiceConfig {
    ServiceConfig {
        requests_per_second: 1e6,
        messages_per_second: 1e6,
        max_sessions: 1_000,
        max_sessions_per_agent: 1_000,
        ..ServiceConfig::default()
    }
}

#[test]
fn only_what_a_bonded_agent_signs_for_this_server_opens_a_session() {
    let scene = Scene::new(ServiceConfig {
        min_bond: 500,
        ..unhurried()
    });
    let client = scene.client(100, true);
    let refused = |open: Signed<Open>, refusal: Refusal| {
        let before = scene.counted(&refusal);
        assert_eq!(
            client.ask(&Request::Open(open)),
            Response::Refused(refusal.clone())
        );
        assert_eq!(scene.counted(&refusal), before + 1.0);
    };
    let sign = |change: &dyn Fn(&mut Open)| {
        let mut open = scene.open();
        change(&mut open);
        scene.sign(&client, open)
    };
    let good = sign(&|_| {});
    assert!(matches!(
        client.ask(&Request::Open(good.clone())),
        Response::Opened(_)
    ));
    refused(good.clone(), Refusal::Replayed);

    // A body that was changed after signing.
    let mut changed = good.clone();
    changed.body.nonce = [1; 16];
    refused(changed, Refusal::BadSignature);
    let other = scene.client(101, true);
    refused(scene.sign(&other, scene.open()), Refusal::BadSignature);
    let network = scene.swarm.agents.network();
    let to_other = |peer: &Peer, network: &[u8; 32]| {
        let local = client.endpoint.local();
        Signed::new(scene.open(), &client.agent, network, &local, Some(peer)).unwrap()
    };
    refused(
        to_other(&other.endpoint.local(), &network),
        Refusal::BadSignature,
    );
    refused(
        to_other(&scene.server.peer, &[8; 32]),
        Refusal::BadSignature,
    );

    // Agents without permission.
    let stranger = scene.client(102, false);
    let open = scene.sign(&stranger, scene.open());
    assert_eq!(
        stranger.ask(&Request::Open(open)),
        Response::Refused(Refusal::NotBonded)
    );
    let with_record = |change: &dyn Fn(&mut starling_shards::auth::AgentRecord)| {
        let mut record = client.agent.record();
        change(&mut record);
        scene.swarm.agents.insert(record);
    };
    with_record(&|record| record.active = false);
    refused(sign(&|_| {}), Refusal::NotBonded);
    with_record(&|record| record.bond = 499);
    refused(sign(&|_| {}), Refusal::NotBonded);
    with_record(&|record| record.key = [9; 32]);
    refused(sign(&|_| {}), Refusal::NotBonded);
    with_record(&|_| {});

    // Wrong times, and layers that are not held.
    refused(sign(&|open| open.time -= 61_000), Refusal::Stale);
    refused(sign(&|open| open.time += 61_000), Refusal::Stale);
    refused(sign(&|open| open.model = [9; 32]), Refusal::NotHeld);
    refused(sign(&|open| open.server_key = [9; 32]), Refusal::OtherKey);
    refused(sign(&|open| open.key = [0; 32]), Refusal::Malformed);
    for (start, end) in [(0, 2), (2, 5), (2, 2), (3, 1), (0, u32::MAX)] {
        refused(
            sign(&|open| open.layers = Span { start, end }),
            Refusal::NotHeld,
        );
    }
    assert_eq!(scene.server.service.metrics().sessions.get(), 1.0);
}

#[test]
fn anyone_may_open_a_session_if_the_configuration_says_so() {
    let scene = Scene::new(ServiceConfig {
        only_bonded: false,
        ..unhurried()
    });
    let stranger = scene.client(100, false);
    scene.opened(&stranger);
    let mut forged = scene.sign(&stranger, scene.open());
    forged.signature[5] ^= 1;
    assert_eq!(
        stranger.ask(&Request::Open(forged)),
        Response::Refused(Refusal::BadSignature)
    );
}

#[test]
fn sessions_are_limited_for_each_agent_and_for_all() {
    let scene = Scene::new(ServiceConfig {
        max_sessions: 3,
        max_sessions_per_agent: 2,
        ..unhurried()
    });
    let (one, two) = (scene.client(100, true), scene.client(101, true));
    let refused = |client: &Client| {
        let open = scene.sign(client, scene.open());
        assert_eq!(
            client.ask(&Request::Open(open)),
            Response::Refused(Refusal::TooManySessions)
        );
    };
    let first = scene.opened(&one);
    scene.opened(&one);
    refused(&one);
    scene.opened(&two);
    refused(&two);
    // Closing a session makes room.
    one.send_bytes(message::encode(&Message::Close(first.session)));
    let metrics = scene.server.service.metrics();
    eventually("the session's end", || metrics.sessions.get() == 2.0);
    scene.opened(&two);
    assert_eq!(scene.counted(&Refusal::TooManySessions), 2.0);
}

#[test]
fn requests_and_messages_are_limited_in_rate() {
    let scene = Scene::new(ServiceConfig {
        requests_per_second: 1.0,
        messages_per_second: 5.0,
        ..unhurried()
    });
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    let describe = Request::Describe(MODEL);
    let refused = (0..20)
        .filter(|_| client.ask(&describe) == Response::Refused(Refusal::TooFast))
        .count();
    assert!(refused >= 10, "{refused}");
    for sequence in 0..60 {
        client.send(work(session, sequence, &[(0, 0, 1)]));
    }
    let mut refusals = (0..60).map(|_| client.answers.recv_timeout(TIMEOUT).unwrap().result);
    assert!(refusals.any(|result| result == Err(Refusal::TooFast)));
    let other = scene.client(101, true);
    scene.opened(&other);
}

#[test]
fn malformed_requests_and_messages_are_refused_and_the_server_goes_on() {
    let scene = Scene::new(unhurried());
    let client = scene.client(100, true);
    let good = message::encode(&Request::Open(scene.sign(&client, scene.open())));
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    let other_version = |bytes: &[u8]| [&[message::VERSION + 1], &bytes[1..]].concat();
    let broken = [
        vec![],
        vec![message::VERSION, 9, 9],
        cut(&good),
        longer(&good),
    ];
    for payload in &broken {
        assert_eq!(
            client.ask_bytes(payload.clone()),
            Response::Refused(Refusal::Malformed)
        );
    }
    // Whoever speaks another version is told so.
    assert_eq!(
        client.ask_bytes(other_version(&good)),
        Response::Refused(Refusal::OtherVersion)
    );
    let session = scene.opened(&client).session;
    let message = message::encode(&Message::Work(work(session, 0, &[(0, 0, 1)])));
    let messages = [
        vec![],
        vec![message::VERSION, 77],
        cut(&message),
        longer(&message),
    ];
    for payload in &messages {
        client.send_bytes(payload.clone());
    }
    client.send_bytes(other_version(&message));
    eventually("the counts", || {
        scene.counted(&Refusal::Malformed) == (broken.len() + messages.len()) as f64
            && scene.counted(&Refusal::OtherVersion) == 2.0
    });
    // None of these counted as the session's first.
    assert!(client.done(work(session, 0, &[(0, 0, 1)])).is_ok());
}

#[test]
fn messages_at_odds_with_their_session_are_refused_and_end_it() {
    let scene = Scene::new(ServiceConfig {
        max_rows: 20,
        max_branches: 3,
        max_positions: 50,
        ..unhurried()
    });
    let client = scene.client(100, true);
    let refused = |refusal: Refusal, change: &dyn Fn(&mut Work)| {
        let session = scene.opened(&client).session;
        assert!(client.done(work(session, 0, &[(0, 0, 5)])).is_ok());
        let before = scene.counted(&refusal);
        let mut bad = work(session, 1, &[(0, 5, 2)]);
        change(&mut bad);
        let sequence = bad.sequence;
        assert_eq!(client.done(bad), Err(refusal.clone()));
        assert_eq!(scene.counted(&refusal), before + 1.0);
        // The session is over, for the next message and in memory.
        let next = client.done(work(session, sequence + 1, &[(0, 5, 1)]));
        assert_eq!(next, Err(Refusal::UnknownSession));
    };
    let parts = |list: &'static [(u32, u32, u32)]| {
        move |bad: &mut Work| {
            *bad = Work {
                edits: std::mem::take(&mut bad.edits),
                ..work(bad.session, bad.sequence, list)
            }
        }
    };
    refused(Refusal::OutOfOrder, &|bad| bad.sequence = 0);
    refused(Refusal::OutOfOrder, &|bad| bad.sequence = 2);
    refused(Refusal::TooLarge, &parts(&[(0, 5, 21)]));
    refused(Refusal::TooLarge, &|bad| bad.parts[0].rows = u32::MAX);
    refused(Refusal::Malformed, &|bad| bad.data.truncate(9));
    refused(Refusal::Malformed, &|bad| bad.data.push(0));
    refused(Refusal::Malformed, &parts(&[(0, 5, 0), (1, 0, 1)]));
    refused(Refusal::Malformed, &|bad| {
        bad.data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    refused(Refusal::WrongBranch, &parts(&[(0, 6, 1)]));
    refused(Refusal::WrongBranch, &parts(&[(0, u32::MAX, 1)]));
    refused(Refusal::WrongBranch, &parts(&[(1, 1, 1)]));
    refused(Refusal::WrongBranch, &parts(&[(0, 0, 1), (0, 0, 1)]));
    refused(Refusal::WrongBranch, &|bad| bad.edits.push(Edit::Drop(7)));
    let fork = |branch, parent, len| Edit::Fork {
        branch,
        parent,
        len,
    };
    refused(Refusal::WrongBranch, &|bad| bad.edits.push(fork(1, 0, 6)));
    refused(Refusal::WrongBranch, &|bad| bad.edits.push(fork(1, 9, 1)));
    refused(Refusal::WrongBranch, &|bad| bad.edits.push(fork(0, 0, 1)));
    refused(Refusal::TooLarge, &|bad| {
        bad.edits
            .extend([fork(1, 0, 5), fork(2, 0, 5), fork(3, 0, 5)]);
    });
    refused(Refusal::TooLarge, &|bad| bad.edits = vec![fork(1, 0, 1); 7]);
    // 5 positions and twice 5 more are held, and two times 20 arrive.
    refused(Refusal::CacheFull, &|bad| {
        bad.edits.extend([fork(1, 0, 5), fork(2, 0, 5)]);
        for (branch, sequence) in [(1, 1), (2, 2)] {
            let mut more = work(bad.session, sequence, &[(branch, 5, 17)]);
            more.edits = std::mem::take(&mut bad.edits);
            assert!(client.done(more).is_ok());
        }
        bad.sequence = 3;
    });
}

#[test]
fn a_session_is_its_peers_alone() {
    let scene = Scene::new(unhurried());
    let (owner, thief) = (scene.client(100, true), scene.client(101, true));
    let session = scene.opened(&owner).session;
    assert_eq!(
        thief.done(work(session, 0, &[(0, 0, 1)])),
        Err(Refusal::UnknownSession)
    );
    thief.send_bytes(message::encode(&Message::Close(session)));
    eventually("the count", || {
        scene.counted(&Refusal::UnknownSession) == 2.0
    });
    assert!(owner.done(work(session, 0, &[(0, 0, 1)])).is_ok());
}

#[test]
fn rows_are_pushed_by_whom_the_client_names_and_nobody_else() {
    let scene = Scene::new(unhurried());
    let (client, stranger) = (scene.client(100, true), scene.client(101, true));
    // A peer without an agent, since pushing needs none.
    let upstream = scene.client(102, false);
    let session = scene.opened(&client).session;
    let expected = client.done(work(session, 0, &[(0, 0, 2)])).unwrap();
    assert!(!scene.server.service.welcome(&upstream.endpoint.local()));
    let tell = |from: &Client, session, peer: &Peer| {
        from.send_bytes(message::encode(&Message::Upstream {
            session,
            peer: peer.clone(),
        }));
    };
    let counted = |refusal, by: f64, act: &dyn Fn()| {
        let before = scene.counted(&refusal);
        act();
        eventually("the count", || scene.counted(&refusal) == before + by);
    };
    let unknown = Refusal::UnknownSession;
    // No other peer may name the upstream.
    counted(unknown.clone(), 1.0, &|| {
        tell(&stranger, session, &stranger.endpoint.local());
    });
    tell(&client, session, &upstream.endpoint.local());
    let mut next = work(session, 1, &[(0, 0, 2)]);
    let rows = to_push(&mut next);
    let key = client.send(next).unwrap();
    let good = push(&key, session, 1, rows.clone());
    let encoded = message::encode(&Message::Push(good.clone()));
    counted(unknown.clone(), 2.0, &|| {
        stranger.send_bytes(encoded.clone());
        client.send_bytes(encoded.clone());
    });
    let mut long = good;
    long.data.push(0);
    counted(Refusal::BadPush, 1.0, &|| {
        upstream.send_bytes(message::encode(&Message::Push(long.clone())));
    });
    counted(Refusal::OutOfOrder, 1.0, &|| {
        upstream.send_bytes(encoded.clone());
        upstream.send_bytes(encoded.clone());
    });
    let digest = Sha256::digest(rows);
    let answer = client.answer(session, 1).unwrap();
    assert_eq!(answer, [&expected[..], &digest[..]].concat());
    assert!(scene.server.service.welcome(&upstream.endpoint.local()));
    // Rows of the right length that were sealed for another message, or changed, do not open.
    for sequence in [3, 2] {
        let session = scene.opened(&client).session;
        tell(&client, session, &upstream.endpoint.local());
        for sequence in 0..2 {
            let part = (0, sequence as u32, 1);
            assert!(client.done(work(session, sequence, &[part])).is_ok());
        }
        let mut next = work(session, 2, &[(0, 2, 1)]);
        let rows = to_push(&mut next);
        let key = client.send(next).unwrap();
        let mut bad = push(&key, session, sequence, rows);
        bad.data[5] ^= u8::from(sequence == 2);
        bad.sequence = 2;
        upstream.send_bytes(message::encode(&Message::Push(bad)));
        assert_eq!(client.answer(session, 2), Err(Refusal::BadPush));
    }
}

#[test]
fn what_changes_on_its_way_is_refused_by_name() {
    let scene = Scene::new(unhurried());
    let client = scene.client(100, true);
    let sealed = |session, sequence: u64| {
        let mut next = work(session, sequence, &[(0, sequence as u32, 1)]);
        client.seal(&mut next, &a_key());
        next
    };
    // The message that is sent instead of the second one, made of both.
    let refused = |refusal: Refusal, change: &dyn Fn(&Work, &mut Work)| {
        let session = scene.opened(&client).session;
        let (first, mut second) = (sealed(session, 0), sealed(session, 1));
        client.send_bytes(message::encode(&Message::Work(first.clone())));
        assert!(client.answer(session, 0).is_ok());
        let before = scene.counted(&refusal);
        change(&first, &mut second);
        let sequence = second.sequence;
        client.send_bytes(message::encode(&Message::Work(second)));
        assert_eq!(client.answer(session, sequence), Err(refusal.clone()));
        assert_eq!(scene.counted(&refusal), before + 1.0);
        let next = client.done(work(session, 2, &[(0, 1, 1)]));
        assert_eq!(next, Err(Refusal::UnknownSession));
    };
    refused(Refusal::Unsealed, &|_, second| second.data[7] ^= 4);
    refused(Refusal::Unsealed, &|_, second| second.parts[0].position = 0);
    refused(Refusal::Unsealed, &|_, second| {
        second.edits.push(Edit::Drop(0))
    });
    // Repeated as it was, and under the awaited number.
    refused(Refusal::OutOfOrder, &|first, second| {
        *second = first.clone()
    });
    refused(Refusal::Unsealed, &|first, second| {
        second.data = first.data.clone()
    });
    // Without its rows, and without its end.
    refused(Refusal::Malformed, &|_, second| second.data.clear());
    refused(Refusal::Malformed, &|_, second| second.data.truncate(20));
    // Out of another session.
    let other = scene.opened(&client).session;
    let [_, stolen] = [0, 1].map(|sequence| sealed(other, sequence));
    refused(Refusal::Unsealed, &|_, second| {
        second.data = stolen.data.clone()
    });
}

#[test]
fn a_peer_that_only_carries_the_rows_sees_none_of_them() {
    let scene = Scene::new(unhurried());
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    let mut first = work(session, 0, &[(0, 0, 2)]);
    let rows = first.data.clone();
    client.seal(&mut first, &a_key());
    let shows = |bytes: &[u8], row: &[u8]| {
        bytes
            .windows(8)
            .any(|some| row.windows(8).any(|x| x == some))
    };
    assert!(!shows(&first.data, &rows));
    client.send_bytes(message::encode(&Message::Work(first)));
    let done = client.answers.recv_timeout(TIMEOUT).unwrap();
    let output = done.result.unwrap();
    let mut seals = client.seals.lock();
    let down = &mut seals.get_mut(&session).unwrap().down;
    let opened = down.open_output(session, 0, output.clone()).unwrap();
    assert!(!shows(&output.data, &opened));
}

#[test]
fn an_output_goes_on_to_whom_the_client_names() {
    let scene = Scene::new(unhurried());
    let (client, next) = (scene.client(100, true), scene.client(101, true));
    let session = scene.opened(&client).session;
    let pushed = next.pushes();
    let mut first = work(session, 0, &[(0, 0, 2)]);
    first.next = Some(Next {
        peer: next.endpoint.local(),
        session: 77,
        sequence: 5,
    });
    let key = a_key();
    client.send_on(first, &key);
    let data = client.answer(session, 0).unwrap();
    let push = pushed.recv_timeout(TIMEOUT).unwrap();
    assert_eq!((push.session, push.sequence), (77, 5));
    assert_ne!(push.data, data, "it is sealed");
    assert_eq!(key.open_push(77, 5, push.data), Some(data));
    // A message of an unknown session costs only its rows.
    let mut second = work(session, 1, &[(0, 2, 1)]);
    second.next = Some(Next {
        peer: Peer::new(*b"nobody"),
        session: 77,
        sequence: 6,
    });
    assert!(client.done(second).is_ok());
    let failed = || {
        let metrics = scene.server.service.metrics();
        metrics.pushes.with_label_values(&["failed"]).get()
    };
    eventually("the count", || failed() == 1.0);
}

#[test]
fn a_skipped_message_leaves_the_session_in_order() {
    let scene = Scene::new(unhurried());
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    let mut awaiting = work(session, 0, &[(0, 0, 2), (1, 0, 1)]);
    to_push(&mut awaiting);
    client.send(awaiting);
    client.send_bytes(message::encode(&Message::Skip { session, before: 1 }));
    // Both branches exist, without rows.
    let mut next = work(session, 1, &[(0, 0, 2)]);
    next.edits.push(Edit::Drop(1));
    assert!(client.done(next).is_ok());
    let mut nothing = work(session, 2, &[]);
    to_push(&mut nothing);
    assert_eq!(client.done(nothing), Err(Refusal::Malformed));
}

#[test]
fn a_claim_is_about_the_sequence_as_it_is_after_a_rollback() {
    let scene = Scene::new(unhurried());
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    assert!(client.done(work(session, 0, &[(0, 0, 5)])).is_ok());
    let answer = client.output(work(session, 1, &[(0, 2, 1)])).unwrap();
    let mut history = History::default();
    history.push(&[0.5; 3 * WIDTH], WIDTH);
    let Signatures { key, time, parts } = answer.signatures;
    let claim = Claim {
        model: MODEL,
        layers: (1, 3),
        wire: WireFormat::F32.into(),
        positions: 2,
        rows: 1,
        before: history.digest_at(2).unwrap(),
        after: history.digest(),
        output: Sha256::digest(&answer.data).into(),
        time,
    };
    let signed = Signed {
        account: scene.swarm.agents.owner(&key).unwrap(),
        key,
        body: claim,
        signature: parts[0],
    };
    assert!(signed.is_genuine(&scene.swarm.agents.network(), &scene.server.peer, None));
}

#[test]
fn an_answer_has_one_signature_for_each_part_however_many_rows() {
    let scene = Scene::new(unhurried());
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    for (sequence, parts) in [
        vec![(0, 0, 1)],
        vec![(0, 1, 9)],
        vec![(0, 10, 1), (1, 0, 3)],
    ]
    .iter()
    .enumerate()
    {
        let answer = client
            .output(work(session, sequence as u64, parts))
            .unwrap();
        assert_eq!(answer.signatures.parts.len(), parts.len());
    }
}

#[test]
fn a_server_without_a_key_to_sign_with_ends_the_session() {
    /// An agent whose key may be gone for a while.
    struct Forgetful(Agent, AtomicBool);
    impl Identity for Forgetful {
        fn account(&self) -> Option<[u8; 32]> {
            self.0.account()
        }
        fn key(&self) -> Option<[u8; 32]> {
            self.0.key().filter(|_| self.1.load(Ordering::Relaxed))
        }
        fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
            self.key().and_then(|_| self.0.sign(message))
        }
    }
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let swarm = Swarm::new(&fixture.path);
    swarm.agents.insert(Agent::new(60).record());
    let identity = Arc::new(Forgetful(Agent::new(60), AtomicBool::new(true)));
    let endpoint = swarm.network.join("forgetful");
    let service = starling_shards::Service::start(
        endpoint.clone(),
        swarm.agents.clone(),
        identity.clone(),
        unhurried(),
        None,
    )
    .unwrap();
    let server = Node {
        service,
        peer: endpoint.local(),
    };
    let scene = Scene::of(swarm, server, fixture);
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    assert!(client.done(work(session, 0, &[(0, 0, 1)])).is_ok());
    identity.1.store(false, Ordering::Relaxed);
    assert_eq!(
        client.done(work(session, 1, &[(0, 1, 1)])),
        Err(Refusal::Closing)
    );
    identity.1.store(true, Ordering::Relaxed);
    assert_eq!(
        client.done(work(session, 2, &[(0, 2, 1)])),
        Err(Refusal::UnknownSession)
    );
}

#[test]
fn a_sequence_longer_than_the_context_is_refused() {
    let scene = Scene::new(unhurried());
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    let context = CONTEXT as u32;
    assert!(client.done(work(session, 0, &[(0, 0, context)])).is_ok());
    assert_eq!(
        client.done(work(session, 1, &[(0, context, 1)])),
        Err(Refusal::ContextFull)
    );
}

#[test]
fn one_that_asks_too_much_does_not_make_others_fail() {
    let scene = Scene::new(unhurried());
    let (greedy, modest) = (scene.client(100, true), scene.client(101, true));
    let (a, b) = (scene.opened(&greedy).session, scene.opened(&modest).session);
    let context = CONTEXT as u32;
    greedy.send(work(a, 0, &[(0, 0, context)]));
    greedy.send(work(a, 1, &[(0, context, 1)]));
    for sequence in 0..20 {
        assert!(modest
            .done(work(b, sequence, &[(0, sequence as u32, 1)]))
            .is_ok());
    }
    let results: Vec<_> = (0..2)
        .map(|_| greedy.answers.recv_timeout(TIMEOUT).unwrap())
        .collect();
    assert!(results[0].result.is_ok());
    assert_eq!(results[1].result, Err(Refusal::ContextFull));
}

#[test]
fn a_user_whom_nobody_serves_is_told_why() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let _server = swarm.server(0..LAYERS);
    // Not in the table of agents.
    let user = swarm.node_of(Agent::new(77), ServiceConfig::default());
    let pipeline = swarm.pipeline(
        &user,
        PipelineConfig {
            patience: Duration::from_millis(300),
            ..config()
        },
    );
    let Err(Error::Remote(error)) = greedy(&pipeline, &[1], 1, |_| {}) else {
        panic!("a stranger is served");
    };
    assert!(error.to_string().contains("bonded"), "{error}");

    /// A node without an agent.
    struct Nobody;
    impl Identity for Nobody {
        fn account(&self) -> Option<[u8; 32]> {
            None
        }
        fn key(&self) -> Option<[u8; 32]> {
            None
        }
        fn sign(&self, _: &[u8]) -> Option<[u8; 64]> {
            None
        }
    }
    let service = starling_shards::Service::start(
        swarm.network.join("nobody"),
        swarm.agents.clone(),
        Arc::new(Nobody),
        ServiceConfig::default(),
        None,
    )
    .unwrap();
    let pipeline = service.pipeline(MODEL, swarm.ends(), config());
    let Err(Error::Remote(error)) = greedy(&pipeline, &[1], 1, |_| {}) else {
        panic!("nobody is served");
    };
    assert_eq!(
        error.downcast_ref(),
        Some(&PipelineError::Open(OpenError::NoAgent))
    );
}

/// Sends a gibibyte of the worst that one client with a session may send, straight to the server.
#[test]
fn a_client_at_its_worst_makes_the_server_hold_little() {
    const SENT: usize = 1 << 30;
    const MOST: f64 = (64u32 << 20) as f64;
    let scene = Scene::new(ServiceConfig {
        max_sessions_per_agent: 8,
        ..unhurried()
    });
    let client = scene.client(100, true);
    let from = client.endpoint.local();
    let upstream = Peer::new(*b"upstream");
    let service = &scene.server.service;
    let metrics = service.metrics();
    let (mut sent, mut most) = (0, 0f64);
    let mut send = |from: &Peer, message: &Message| {
        let payload = message::encode(message);
        sent += payload.len();
        service.message(from.clone(), payload);
        most = most.max(metrics.waiting_bytes.get());
        sent
    };
    let key = a_key();
    // Rows that never come keep the work from being done.
    let stuck = || {
        let session = scene.opened(&client).session;
        service.message(
            from.clone(),
            message::encode(&Message::Upstream {
                session,
                peer: upstream.clone(),
            }),
        );
        let mut first = work(session, 0, &[(0, 0, 1)]);
        to_push(&mut first);
        client.seal(&mut first, &key);
        service.message(from.clone(), message::encode(&Message::Work(first)));
        session
    };
    let long = Peer::new(vec![7; 4 << 20]);
    for round in 0.. {
        let session = stuck();
        let mut edits = work(session, 1, &[(0, 0, 1)]);
        edits.edits = vec![Edit::Drop(1); 1_024];
        edits.next = Some(Next {
            peer: from.clone(),
            session,
            sequence: 0,
        });
        for sequence in 1..40 {
            edits.sequence = sequence;
            let mut sealed = edits.clone();
            client.seal(&mut sealed, &key);
            send(&from, &Message::Work(sealed));
        }
        for sequence in 40..50 {
            let data = vec![0; 4 << 20];
            let push = Push {
                session,
                sequence,
                data,
            };
            send(&upstream, &Message::Push(push));
        }
        let mut named = work(session, 40, &[(0, 0, 1)]);
        named.next = Some(Next {
            peer: long.clone(),
            session,
            sequence: 0,
        });
        send(&from, &Message::Work(named));
        let peer = long.clone();
        let sent = send(&from, &Message::Upstream { session, peer });
        if sent >= SENT {
            assert!(round > 0);
            break;
        }
        // The six oldest sessions stay; the newest makes room for the next attempt.
        if round >= 6 {
            send(&from, &Message::Close(session));
        }
    }
    assert!(most > 1e6 && most < MOST, "{most} bytes were held");
    assert!(scene.counted(&Refusal::Malformed) > 0.0 && scene.counted(&Refusal::Busy) > 0.0);
    service.disconnected(&from);
    eventually("the release", || metrics.waiting_bytes.get() == 0.0);
}

#[test]
fn messages_that_compute_nothing_are_limited_in_rate_too() {
    let scene = Scene::new(ServiceConfig {
        messages_per_second: 5.0,
        ..unhurried()
    });
    let client = scene.client(100, true);
    let session = scene.opened(&client).session;
    for _ in 0..60 {
        client.send_bytes(message::encode(&Message::Skip { session, before: 0 }));
    }
    eventually("the refusal", || scene.counted(&Refusal::TooFast) > 0.0);
    let metrics = scene.server.service.metrics();
    eventually("the session's end", || metrics.sessions.get() == 0.0);
}

#[test]
fn a_session_that_computes_nothing_yields_to_a_new_one() {
    let scene = Scene::new(ServiceConfig {
        max_sessions: 2,
        yield_after: Duration::ZERO,
        ..unhurried()
    });
    let (hoarder, other) = (scene.client(100, true), scene.client(101, true));
    let [idle, busy] = [0, 1].map(|_| scene.opened(&hoarder).session);
    assert!(hoarder.done(work(busy, 0, &[(0, 0, 1)])).is_ok());
    // A message without rows makes a session no more useful; later messages show that it was taken.
    hoarder.send(work(idle, 0, &[]));
    assert!(hoarder.done(work(busy, 1, &[(0, 1, 1)])).is_ok());
    let new = scene.opened(&other).session;
    assert!(other.done(work(new, 0, &[(0, 0, 1)])).is_ok());
    assert!(hoarder.done(work(busy, 2, &[(0, 2, 1)])).is_ok());
    assert_eq!(
        hoarder.done(work(idle, 1, &[(0, 0, 1)])),
        Err(Refusal::UnknownSession)
    );
    assert_eq!(scene.counted(&Refusal::TooManySessions), 0.0);
}

#[test]
fn only_what_opens_a_session_uses_its_nonce_up() {
    let scene = Scene::new(ServiceConfig {
        max_sessions_per_agent: 1,
        ..unhurried()
    });
    let client = scene.client(100, true);
    let ask = |open: &Open| client.ask(&Request::Open(scene.sign(&client, open.clone())));
    let mut open = scene.open();
    open.model = [9; 32];
    assert_eq!(ask(&open), Response::Refused(Refusal::NotHeld));
    open.model = MODEL;
    let Response::Opened(first) = ask(&open) else {
        panic!("the nonce is unused");
    };
    let second = scene.open();
    assert_eq!(ask(&second), Response::Refused(Refusal::TooManySessions));
    client.send_bytes(message::encode(&Message::Close(first.session)));
    let metrics = scene.server.service.metrics();
    eventually("the session's end", || metrics.sessions.get() == 0.0);
    assert_eq!(ask(&open), Response::Refused(Refusal::Replayed));
    assert!(matches!(ask(&second), Response::Opened(_)));
}
