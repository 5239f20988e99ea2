// SPDX-License-Identifier: Apache-2.0

//! Committees whose members run in one process, with real seals and signatures, over a network that
//! delivers in order and at once. Time passes when nobody has anything more to say.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        mpsc::{sync_channel, Receiver},
        Arc, Weak,
    },
};

use codec::Encode;
use futures::{channel::oneshot, FutureExt};
use parking_lot::Mutex;
use sp_core::{sr25519, Pair, H256};
use sp_runtime::Permill;
use starling_lane::{
    book::Evidence,
    timing::Time,
    transport::{Inbox, Peer, Transport},
    wire::{Item, Packet, Place},
};
use starling_lane_primitives::{
    certificate::Signature,
    checkpoint::Checkpoint,
    messages::{self, Ask},
    seal::DecryptionKey,
    Certificate, Form, Hash, Phase, Terms,
};
use starling_primitives::{
    api::lanes::{
        CommitteeView, Epoch, EpochView, LaneId, LaneView, MemberView, ProgressView, RulesView,
        SeatView,
    },
    choice::{Capabilities, Choice},
    fixed::ONE,
    lane_value,
    round::BlockNumber,
    InferenceKey, Score,
};
use starling_worker::{
    agent::Signals,
    lanes::{
        chain::{InForce, Join, LaneChain},
        desk::{Desk, Done, Tell, Work},
        look::{Look, Ready, View},
        metrics::Metrics,
        play::{Play, Stage},
        progress::Board,
        room::Seat,
        service::{AskError, Asked, Core, Event, Parts},
        store::Store,
    },
    AccountId, Accounts,
};
use tempfile::TempDir;

const LANE: LaneId = 3;
const EPOCH: Epoch = 9;
const GENESIS: Hash = [5; 32];
const FEE: u128 = 1_000;
/// The number of the requester's node.
const REQUESTER: u8 = 200;

fn pair(id: u8) -> sr25519::Pair {
    sr25519::Pair::from_seed(&[id; 32])
}

fn account(id: u8) -> AccountId {
    [id; 32].into()
}

fn peer(id: u8) -> Peer {
    [id; 32]
}

fn secret(id: u8) -> [u8; 64] {
    [id.wrapping_add(1); 64]
}

fn rules() -> RulesView<AccountId> {
    RulesView {
        genesis: H256(GENESIS),
        treasury: account(250),
        min_committee: 4,
        min_fee: 1,
        min_deposit: 1,
        burnt: Permill::zero(),
        lane_bond: 1,
        dispute_window: 20,
        winner: Permill::from_percent(70),
        rankers: Permill::from_percent(20),
        min_rankings: 9,
        max_rankings: 16,
        approval_threshold: Permill::zero(),
    }
}

fn in_force() -> InForce {
    InForce {
        rules: rules(),
        weight_floor: 0,
        slot_ms: 1_000,
    }
}

fn lane(members: u8) -> LaneView<AccountId> {
    LaneView {
        id: LANE,
        requester: account(REQUESTER),
        terms: Terms {
            members,
            max_fee: FEE,
            max_tokens: 64,
            answer_ms: 1_000,
            rank_ms: 1_000,
            key: pair(REQUESTER).public().0,
            peer: Some(peer(REQUESTER)),
        },
        first_epoch: 1,
        last_epoch: None,
        reclaimable: None,
        deposited: 1_000_000,
        free: 1_000_000,
        pending: 0,
        paid: 0,
        burnt: 0,
        returned: 0,
        max_pending: 1_000_000,
    }
}

fn committee(members: u8) -> CommitteeView<AccountId> {
    let member = |id: u8| MemberView {
        agent: account(id),
        key: pair(id).public().into(),
        point: DecryptionKey::from_bytes(&secret(id)).public(),
        peer: peer(id),
        bond: 1,
        rating: ONE,
        known: Capabilities::default(),
    };
    CommitteeView {
        choice: Choice::Paper,
        members: (0..members).map(member).collect(),
    }
}

fn ask(seq: u32) -> Ask {
    Ask {
        genesis: GENESIS,
        lane: LANE,
        epoch: EPOCH,
        seq,
        prompt: b"What is the capital of France?".to_vec(),
        max_tokens: 16,
        form: Form::Free,
        fee: FEE,
        expiry: 105,
    }
}

fn view(members: u8, of: Option<u8>, best: BlockNumber, epoch: Epoch, next: u32) -> View {
    let seats = of.map(|id| {
        let seat = SeatView {
            lane: lane(members),
            committee: committee(members),
            member: id,
        };
        (EPOCH, account(id), seat)
    });
    let progress = ProgressView { next, escalated: 0 };
    View {
        best,
        epoch: EpochView {
            epoch,
            began: 100,
            ends: 110,
        },
        in_force: in_force(),
        seats: seats.into_iter().collect(),
        progress: [((LANE, EPOCH), progress)].into(),
        liable: [LANE].into(),
        escalated: [((LANE, EPOCH, 64), 0)].into(),
        found: vec![],
    }
}

/// Messages on their way.
#[derive(Default)]
struct Wires {
    messages: Mutex<VecDeque<(Peer, Peer, Vec<u8>)>>,
    /// Everything that nodes have sent.
    sent: Mutex<Vec<Vec<u8>>>,
}

struct Wire {
    local: Peer,
    wires: Arc<Wires>,
    reserved: Mutex<BTreeSet<Peer>>,
}

impl Transport for Wire {
    fn local(&self) -> Option<Peer> {
        Some(self.local)
    }

    fn reserve(&self, peers: BTreeSet<Peer>) {
        *self.reserved.lock() = peers;
    }

    fn is_open(&self, peer: &Peer) -> bool {
        self.reserved.lock().contains(peer)
    }

    fn send(&self, to: &Peer, message: Vec<u8>) -> bool {
        assert!(self.is_open(to), "nobody speaks to strangers");
        self.wires.sent.lock().push(message.clone());
        let mut messages = self.wires.messages.lock();
        messages.push_back((self.local, *to, message));
        true
    }

    fn attach(&self, _: Weak<dyn Inbox>) {}
}

/// The chain of one agent. It takes everything.
struct Fake {
    id: u8,
    members: u8,
    joined: Mutex<Vec<(Join, Signature)>>,
    settled: Mutex<Vec<(Checkpoint, Certificate)>>,
    shown: Mutex<Vec<(Place, Hash, Certificate)>>,
    /// The number of draws.
    draws: Mutex<u32>,
    reported: Mutex<Vec<Evidence>>,
}

impl Fake {
    fn new(id: u8, members: u8) -> Self {
        Self {
            id,
            members,
            joined: Mutex::default(),
            settled: Mutex::default(),
            shown: Mutex::default(),
            draws: Mutex::default(),
            reported: Mutex::default(),
        }
    }
}

impl LaneChain for Fake {
    fn now(&self) -> Result<Option<(BlockNumber, EpochView)>, String> {
        let view = view(self.members, None, 110, EPOCH + 1, 0);
        Ok(Some((view.best, view.epoch)))
    }

    fn in_force(&self) -> Result<InForce, String> {
        Ok(in_force())
    }

    fn lane(&self, _: LaneId) -> Result<Option<LaneView<AccountId>>, String> {
        Ok(Some(lane(self.members)))
    }

    fn committee(&self, _: LaneId, _: Epoch) -> Result<Option<CommitteeView<AccountId>>, String> {
        *self.draws.lock() += 1;
        Ok(Some(committee(self.members)))
    }

    fn agents(&self) -> Result<Vec<(AccountId, InferenceKey)>, String> {
        Ok(vec![(account(self.id), pair(self.id).public().into())])
    }

    fn seats(&self, agent: &AccountId, epoch: Epoch) -> Result<Vec<SeatView<AccountId>>, String> {
        *self.draws.lock() += 1;
        let seats = view(self.members, Some(self.id), 0, 0, 0).seats.into_iter();
        let own = seats.filter(|(of, who, _)| *of == epoch && who == agent);
        Ok(own.map(|(_, _, seat)| seat).collect())
    }

    fn has_joined(&self, _: &AccountId, epoch: Epoch) -> Result<bool, String> {
        let joined = self.joined.lock();
        Ok(joined.iter().any(|(join, _)| join.epoch == epoch))
    }

    fn progress(&self, _: LaneId, _: Epoch) -> Result<ProgressView, String> {
        Ok(ProgressView::default())
    }

    fn join(&self, join: Join, signature: Signature) -> Result<(), String> {
        self.joined.lock().push((join, signature));
        Ok(())
    }

    fn settle(&self, checkpoint: Checkpoint, certificate: Certificate) -> Result<(), String> {
        self.settled.lock().push((checkpoint, certificate));
        Ok(())
    }

    fn escalations(&self, _: LaneId, _: Epoch, _: u32) -> Result<u64, String> {
        Ok(0)
    }

    fn is_liable(&self, _: &AccountId, _: LaneId, _: Epoch) -> Result<bool, String> {
        Ok(true)
    }

    fn show(&self, place: Place, outcome: Hash, certificate: Certificate) -> Result<(), String> {
        self.shown.lock().push((place, outcome, certificate));
        Ok(())
    }

    fn report(&self, evidence: Evidence) -> Result<bool, String> {
        let mut reported = self.reported.lock();
        let is_new = !reported.contains(&evidence);
        reported.push(evidence);
        Ok(is_new)
    }

    fn sign(&self, key: &InferenceKey, payload: &Hash) -> Option<Signature> {
        let pair = pair(self.id);
        let is_own = *key == InferenceKey::from(pair.public());
        is_own.then(|| pair.sign(payload).0)
    }
}

/// An agent that answers with its number, and scores responses by their length.
struct Rule(u8);

impl Desk for Rule {
    fn is_willing(&self) -> bool {
        true
    }

    fn begin(&self, work: Work, _: Signals, tell: Tell) -> bool {
        tell(match work {
            Work::Respond { .. } => Done::Response(Some("x".repeat(usize::from(self.0) + 1))),
            Work::Rank { texts, .. } => {
                let score = |text: &String| Score(u16::try_from(text.len()).unwrap());
                Done::Scores(texts.iter().map(score).collect())
            },
        });
        true
    }
}

struct Node {
    core: Core,
    events: Receiver<Event>,
    chain: Arc<Fake>,
    ready: Arc<Mutex<Ready>>,
    parts: Parts,
}

struct Swarm {
    members: u8,
    nodes: BTreeMap<u8, Node>,
    wires: Arc<Wires>,
    folder: TempDir,
    now: Time,
}

impl Swarm {
    /// A committee of which these members are silent, and the requester's node.
    fn new(members: u8, silent: &[u8]) -> Self {
        let mut swarm = Self {
            members,
            nodes: BTreeMap::new(),
            wires: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            now: 0,
        };
        for id in (0..members).filter(|id| !silent.contains(id)) {
            swarm.start(id);
        }
        swarm.start(REQUESTER);
        swarm
    }

    /// Starts a node, perhaps again.
    fn start(&mut self, id: u8) {
        self.nodes.remove(&id);
        let store = Store::open(&self.folder.path().join(format!("{id}.redb"))).unwrap();
        store
            .secret(&account(id), EPOCH, || Ok(secret(id)))
            .unwrap();
        let chain = Arc::new(Fake::new(id, self.members));
        let ready = Arc::new(Mutex::new(Ready::default()));
        let parts = Parts {
            transport: Arc::new(Wire {
                local: peer(id),
                wires: self.wires.clone(),
                reserved: Mutex::default(),
            }),
            chain: chain.clone(),
            desk: Arc::new(Rule(id)),
            store: Arc::new(store),
            metrics: Metrics::new(None).unwrap(),
            board: Arc::new(Board::default()),
            ready: ready.clone(),
            accused: Arc::default(),
            shown: Arc::default(),
            watched: Arc::default(),
            ahead: Arc::default(),
        };
        let (sender, events) = sync_channel(4_096);
        let mut core = Core::new(parts.clone(), sender);
        let of = Some(id).filter(|id| *id < self.members);
        let seen = view(self.members, of, 100, EPOCH, 0);
        core.on(self.now, Event::View(Box::new(seen)));
        let node = Node {
            core,
            events,
            chain,
            ready,
            parts,
        };
        for other in self.nodes.values_mut() {
            other.core.on(self.now, Event::Opened(peer(id)));
        }
        self.nodes.insert(id, node);
    }

    fn node(&mut self, id: u8) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    /// A requester asks at a node.
    fn ask_at(&mut self, id: u8, ask: Ask) -> Result<Hash, AskError> {
        let signature = pair(REQUESTER).sign(&ask.hash()).0;
        self.ask_signed(id, ask, signature)
    }

    fn ask_signed(&mut self, id: u8, ask: Ask, signature: Signature) -> Result<Hash, AskError> {
        let (reply, answer) = oneshot::channel();
        let found = Some((lane(self.members), ask.epoch, committee(self.members)));
        let asked = Asked {
            ask,
            signature,
            found,
            reply,
        };
        let now = self.now;
        self.node(id).core.on(now, Event::Ask(Box::new(asked)));
        answer.now_or_never().unwrap().unwrap()
    }

    /// Delivers everything, and lets time pass, until nobody waits any more.
    fn settle(&mut self) {
        while self.step() {}
    }

    /// Delivers a message, or lets time pass. Returns false if nobody waits any more.
    fn step(&mut self) -> bool {
        let mut idle = true;
        for node in self.nodes.values_mut() {
            while let Ok(event) = node.events.try_recv() {
                idle = false;
                node.core.on(self.now, event);
            }
        }
        let message = self.wires.messages.lock().pop_front();
        if let Some((from, to, bytes)) = message {
            idle = false;
            if let Some(node) = self.nodes.get_mut(&to[0]) {
                node.core.on(self.now, Event::Message(from, bytes));
            }
        }
        if !idle {
            return true;
        }
        let wakes = self.nodes.values().filter_map(|node| node.core.next_wake());
        let Some(next) = wakes.min() else {
            return false;
        };
        self.now = self.now.max(next);
        for node in self.nodes.values_mut() {
            node.core.wake(self.now);
        }
        true
    }

    /// Checks that nobody has signed two things of which it may sign one.
    fn are_all_honest(&self) {
        let mut said: BTreeMap<_, Vec<u8>> = BTreeMap::new();
        let mut say = |key: (Place, Phase, u8, u8, u8), what: Vec<u8>| {
            let first = said.entry(key).or_insert_with(|| what.clone());
            assert_eq!(*first, what, "{key:?}");
        };
        for bytes in self.wires.sent.lock().iter() {
            match Packet::read(bytes).unwrap() {
                Packet::Of {
                    place,
                    phase,
                    items,
                } => {
                    for item in items {
                        match item {
                            Item::Value { by, seal, .. } => {
                                say((place, phase, by, 0, 0), seal.encode());
                            },
                            Item::Echo {
                                by, view, named, ..
                            } => say((place, phase, by, 1, view), named.encode()),
                            Item::Set { by, view, set, .. } => {
                                say((place, phase, by, 2, view), set.encode());
                            },
                            Item::Open { .. } | Item::Fetch(_) => {},
                        }
                    }
                },
                Packet::Vote {
                    place, by, outcome, ..
                } => say((place, Phase::Scores, by, 3, 0), outcome.to_vec()),
                Packet::Ask { .. } | Packet::Checkpoint { .. } => {},
            }
        }
    }

    /// All nodes see a block.
    fn see(&mut self, best: BlockNumber, epoch: Epoch) {
        let (members, now) = (self.members, self.now);
        for (id, node) in &mut self.nodes {
            let of = Some(*id).filter(|id| *id < members);
            let seen = view(members, of, best, epoch, 0);
            node.core.on(now, Event::View(Box::new(seen)));
        }
        self.settle();
    }

    fn play(&self, id: u8, seq: u32) -> &Play {
        &self.nodes[&id].core.plays()[&place(seq)]
    }

    fn stages(&self, seq: u32) -> BTreeSet<Stage> {
        let ids = self.nodes.keys();
        ids.map(|id| self.play(*id, seq).stage()).collect()
    }

    /// The text of the winner, on which all nodes agree.
    fn winner(&self, seq: u32) -> Option<String> {
        let judged = |id: &u8| self.play(*id, seq).judged().unwrap();
        let all: Vec<_> = self.nodes.keys().map(judged).collect();
        assert!(all.iter().all(|one| *one == all[0]));
        all[0].answer.clone().map(|answer| answer.text)
    }

    /// Plays a message of a liar to all.
    fn say(&self, from: u8, packet: &Packet) {
        let bytes = packet.write().unwrap();
        self.say_bytes(from, &bytes);
    }

    fn say_bytes(&self, from: u8, bytes: &[u8]) {
        let mut messages = self.wires.messages.lock();
        for to in self.nodes.keys() {
            messages.push_back((peer(from), peer(*to), bytes.to_vec()));
        }
    }
}

fn place(seq: u32) -> Place {
    Place {
        lane: LANE,
        epoch: EPOCH,
        seq,
    }
}

/// Checks a certificate as the chain does.
fn check(certificate: &Certificate, payload: impl Fn(u8) -> Hash, quorum: usize) {
    let signed = certificate.signed().unwrap();
    assert!(signed.len() >= quorum);
    for (member, signature) in signed {
        let signature = sr25519::Signature::from_raw(*signature);
        assert!(sr25519::Pair::verify(
            &signature,
            payload(member),
            &pair(member).public()
        ));
    }
}

fn check_votes(swarm: &Swarm, at: u8, seq: u32, quorum: usize) {
    let play = swarm.play(at, seq);
    let outcome = play.judged().unwrap().outcome().hash();
    let slot = starling_lane_primitives::Slot {
        genesis: GENESIS,
        lane: LANE,
        epoch: EPOCH,
        seq,
        phase: Phase::Scores,
    };
    let vote = messages::Message::Vote(outcome);
    let payload = |member: u8| messages::payload(&slot, &account(member).into(), &vote);
    check(&play.certificate().unwrap(), payload, quorum);
}

#[test]
fn an_ask_at_the_requester_s_node_is_answered_certified_and_settled() {
    let mut swarm = Swarm::new(7, &[]);
    for seq in 0..2 {
        let id = swarm.ask_at(REQUESTER, ask(seq)).unwrap();
        assert_eq!(id, ask(seq).hash());
        swarm.settle();
        assert_eq!(swarm.stages(seq), [Stage::Certified].into());
        // All agree that a longer response is a better one.
        assert_eq!(swarm.winner(seq), Some("x".repeat(7)));
        check_votes(&swarm, REQUESTER, seq, 5);
        let judged = swarm.play(REQUESTER, seq).judged().unwrap();
        let paid = judged.outcome().payouts.iter().map(|(_, amount)| amount);
        assert_eq!(paid.sum::<u128>(), FEE);
        // The requester need not believe its node.
        let (winner, value) = judged.proof.open(&ask(seq)).unwrap().unwrap();
        assert_eq!(judged.outcome().winner, Some(winner));
        let text = lane_value::text(&value, ask(seq).max_tokens);
        assert_eq!(text, Some("x".repeat(7)));
    }

    // The epoch ends, and members sign what they have certified.
    swarm.see(110, EPOCH + 1);
    for id in 0..7 {
        let ready = swarm.node(id).ready.lock().clone();
        let (checkpoint, certificate, _) = &ready[&(LANE, EPOCH)];
        assert_eq!((checkpoint.bitmap, checkpoint.fees), (3, 2 * FEE));
        assert!(checkpoint.is_well_formed());
        let hash = checkpoint.hash(&GENESIS);
        check(certificate, |_| hash, 5);
        let store = &swarm.node(id).parts.store;
        assert!(store.transcript(place(1)).unwrap().is_some());
    }
}

#[test]
fn no_request_leaves_a_block_behind_that_nobody_can_settle() {
    let mut swarm = Swarm::new(4, &[]);
    for seq in 0..64 {
        swarm.ask_at(0, ask(seq)).unwrap();
        // They come to an end, before anybody has answered.
        if seq % 8 == 7 {
            swarm.wires.messages.lock().clear();
            swarm
                .node(0)
                .core
                .on(0, Event::View(Box::new(view(4, Some(0), 105, EPOCH, 0))));
            swarm
                .node(0)
                .core
                .on(0, Event::View(Box::new(view(4, Some(0), 100, EPOCH, 0))));
        }
        // The next block is open when this one is over, and not before.
        let next = swarm.ask_at(0, ask(64 + seq));
        assert_eq!(next.is_ok(), seq == 63, "{seq}: {next:?}");
    }
    let told = swarm.ask_at(0, ask(128));
    assert!(matches!(told, Err(AskError::Refused(reason)) if reason.contains("not settled")));
    // The look at the chain reads what was escalated of it.
    let seen = look(swarm.node(0), 0).look().unwrap().unwrap();
    assert_eq!(seen.escalated, [((LANE, EPOCH, 64), 0)].into());
}

#[test]
fn who_says_much_too_early_takes_no_place_of_others() {
    let mut swarm = Swarm::new(7, &[]);
    swarm.ask_at(0, ask(0)).unwrap();
    // Member 6 hears of the ask after all that the others have said.
    let asked = swarm.play(0, 0).packet().write();
    let mut messages = std::mem::take(&mut *swarm.wires.messages.lock());
    messages.retain(|(_, to, bytes)| *to != peer(6) || Some(bytes) != asked.as_ref());
    *swarm.wires.messages.lock() = messages;
    for seq in 0..600u32 {
        let packet = Packet::Vote {
            place: place(1 + seq % 60),
            by: 4,
            outcome: [0; 32],
            signature: [0; 64],
        };
        let bytes = packet.write().unwrap();
        let now = swarm.now;
        swarm.node(6).core.on(now, Event::Message(peer(4), bytes));
    }
    swarm.settle();
    let refused = &swarm.node(6).parts.metrics.refused;
    assert!(refused.with_label_values(&["full"]).get() > 0);
    // The flood did not drop what the others have said.
    swarm.ask_at(6, ask(0)).unwrap();
    swarm.settle();
    assert_eq!(swarm.play(6, 0).stage(), Stage::Certified);
}

#[test]
fn asks_that_nobody_signed_are_lies() {
    let mut swarm = Swarm::new(4, &[]);
    let packet = Packet::Ask {
        ask: ask(0),
        signature: [1; 64],
    };
    swarm.say(2, &packet);
    swarm.settle();
    let refused = &swarm.node(0).parts.metrics.refused;
    assert_eq!(refused.with_label_values(&["lie"]).get(), 1);
    assert!(swarm.node(0).core.plays().is_empty());
}

#[test]
fn votes_that_a_member_lacks_are_told_once_a_block() {
    let mut swarm = Swarm::new(4, &[]);
    swarm.ask_at(0, ask(0)).unwrap();
    swarm.settle();
    swarm.see(110, EPOCH + 1);
    // Member 2 says that it has certified another request alone.
    let made = swarm.node(0).ready.lock()[&(LANE, EPOCH)].0.clone();
    let other = Checkpoint { bitmap: 2, ..made };
    let packet = Packet::Checkpoint {
        signature: pair(2).sign(&other.hash(&GENESIS)).0,
        checkpoint: other,
        by: 2,
    };
    let bytes = packet.write().unwrap();
    for told in [true, false, false] {
        let before = swarm.wires.sent.lock().len();
        let now = swarm.now;
        let message = Event::Message(peer(2), bytes.clone());
        swarm.node(0).core.on(now, message);
        let sent = swarm.wires.sent.lock().split_off(before);
        assert_eq!(!sent.is_empty(), told);
        for bytes in sent {
            let packet = Packet::read(&bytes);
            assert!(matches!(packet, Some(Packet::Vote { .. })));
        }
    }
}

#[test]
fn a_member_without_a_free_bond_looks_on() {
    let mut swarm = Swarm::new(7, &[]);
    let mut seen = view(7, Some(3), 100, EPOCH, 0);
    seen.liable.clear();
    swarm.node(3).core.on(0, Event::View(Box::new(seen)));
    swarm.ask_at(REQUESTER, ask(0)).unwrap();
    swarm.settle();
    assert!(!swarm.play(3, 0).takes_part());
    assert!(swarm.play(2, 0).takes_part());
    assert_eq!(swarm.stages(0), [Stage::Certified].into());
}

#[test]
fn members_show_the_certificate_of_a_request_that_was_escalated() {
    let mut swarm = Swarm::new(4, &[]);
    for seq in 0..2 {
        swarm.ask_at(0, ask(seq)).unwrap();
        swarm.settle();
    }
    // Request 1 was escalated, and request 2 never asked.
    let escalated = |best| {
        let mut seen = view(4, Some(1), best, EPOCH, 0);
        let marks = ProgressView {
            next: 0,
            escalated: 0b110,
        };
        seen.progress.insert((LANE, EPOCH), marks);
        Event::View(Box::new(seen))
    };
    swarm.node(1).core.on(0, escalated(101));
    look(swarm.node(1), 1).look().unwrap();
    let shown = swarm.node(1).chain.shown.lock().clone();
    let [(at, outcome, certificate)] = &shown[..] else {
        panic!("{shown:?}");
    };
    let play = swarm.play(1, 1);
    assert_eq!((*at, Some(*outcome)), (place(1), play.certified()));
    assert_eq!(Some(certificate), play.certificate().as_ref());
    // A request that was escalated is not asked any more.
    let told = swarm.ask_at(1, ask(2));
    assert!(matches!(told, Err(AskError::Refused(reason)) if reason.contains("escalated")));

    // Once the chain has it, nobody shows it again.
    let seen = view(4, Some(1), 102, EPOCH, 0);
    swarm.node(1).core.on(0, Event::View(Box::new(seen)));
    assert!(swarm.node(1).parts.shown.lock().is_empty());
}

#[test]
fn two_asks_with_one_number_open_no_answer() {
    let mut swarm = Swarm::new(7, &[]);
    let other = Ask {
        fee: FEE - 1,
        ..ask(0)
    };
    for (id, asked) in [(0, ask(0)), (4, other)] {
        // Each member hears of one ask alone.
        for member in id..(id + 4).min(7) {
            swarm.ask_at(member, asked.clone()).unwrap();
        }
    }
    swarm.settle();
    for id in 0..7 {
        assert!(swarm.play(id, 0).responses().is_none(), "{id}");
        let lies = swarm
            .node(id)
            .parts
            .metrics
            .refused
            .with_label_values(&["lie"]);
        assert_eq!(lies.get(), 0);
        assert_eq!(swarm.node(id).parts.metrics.accused.get(), 0);
    }
}

/// The look of a node at the chain, for its agent.
fn look(node: &Node, id: u8) -> Look {
    let accounts = Accounts::default();
    let config = format!("accounts = [\"{}\"]", account(id));
    accounts.configure(&toml::from_str(&config).unwrap());
    Look {
        chain: node.chain.clone(),
        accounts,
        desk: node.parts.desk.clone(),
        store: node.parts.store.clone(),
        transport: node.parts.transport.clone(),
        ready: node.ready.clone(),
        accused: node.parts.accused.clone(),
        shown: node.parts.shown.clone(),
        watched: node.parts.watched.clone(),
        ahead: node.parts.ahead.clone(),
        metrics: node.parts.metrics.clone(),
        drawn: Mutex::default(),
        failures: Mutex::default(),
    }
}

#[test]
fn the_look_joins_once_and_gives_what_is_ready_to_the_chain() {
    let mut swarm = Swarm::new(4, &[]);
    swarm.ask_at(0, ask(0)).unwrap();
    swarm.settle();
    swarm.see(110, EPOCH + 1);
    let look = look(swarm.node(0), 0);
    let node = swarm.node(0);
    for _ in 0..2 {
        let view = look.look().unwrap().unwrap();
        assert_eq!(view.seats.len(), 1);
    }
    assert_eq!(*node.chain.draws.lock(), 3, "once for each of three epochs");
    let joined = node.chain.joined.lock();
    let [(join, signature)] = &joined[..] else {
        panic!("joined {} times", joined.len());
    };
    assert_eq!((join.epoch, join.peer), (EPOCH + 4, peer(0)));
    let payload = starling_lane_primitives::volunteer::join(
        &GENESIS,
        &account(0).into(),
        join.epoch,
        &join.point,
        &join.peer,
    );
    let signature = sr25519::Signature::from_raw(*signature);
    assert!(sr25519::Pair::verify(
        &signature,
        payload,
        &pair(0).public()
    ));
    let settled = node.chain.settled.lock();
    assert_eq!(settled.len(), 2, "until the chain has it");
    assert_eq!(settled[0].0.bitmap, 1);
}

#[test]
fn silent_members_cost_time_and_nothing_else() {
    for silent in [&[6][..], &[0, 3]] {
        let mut swarm = Swarm::new(7, silent);
        swarm.ask_at(REQUESTER, ask(0)).unwrap();
        swarm.settle();
        assert_eq!(swarm.stages(0), [Stage::Certified].into());
        let longest = (0..7).rev().find(|id| !silent.contains(id)).unwrap();
        assert_eq!(swarm.winner(0), Some("x".repeat(usize::from(longest) + 1)));
        check_votes(&swarm, REQUESTER, 0, 5);
        swarm.are_all_honest();
    }
}

#[test]
fn without_a_quorum_a_request_expires() {
    let mut swarm = Swarm::new(7, &[0, 1, 2]);
    swarm.ask_at(REQUESTER, ask(0)).unwrap();
    swarm.settle();
    assert!(!swarm.stages(0).contains(&Stage::Certified));
    swarm.see(105, EPOCH);
    assert_eq!(swarm.stages(0), [Stage::Expired].into());
}

#[test]
fn who_sends_garbage_is_not_heard_and_the_others_go_on() {
    let mut swarm = Swarm::new(7, &[4]);
    swarm.ask_at(REQUESTER, ask(0)).unwrap();
    for round in 0..40u8 {
        swarm.say_bytes(4, &[round; 50]);
        let outcome = [round; 32];
        swarm.say(
            4,
            &Packet::Vote {
                place: place(0),
                by: 2,
                outcome,
                signature: [round; 64],
            },
        );
        swarm.say(
            4,
            &Packet::Of {
                place: place(0),
                phase: Phase::Responses,
                items: vec![],
            },
        );
    }
    swarm.settle();
    assert_eq!(swarm.stages(0), [Stage::Certified].into());
    assert_eq!(swarm.winner(0), Some("x".repeat(7)));
    let refused = &swarm.node(0).parts.metrics.refused;
    assert!(refused.with_label_values(&["lie"]).get() > 16);

    // Strangers do not even get that far.
    swarm.say(
        99,
        &Packet::Ask {
            ask: ask(1),
            signature: pair(REQUESTER).sign(&ask(1).hash()).0,
        },
    );
    swarm.settle();
    assert!(!swarm.node(0).core.plays().contains_key(&place(1)));
}

#[test]
fn who_votes_twice_is_accused_and_stops_nothing() {
    let mut swarm = Swarm::new(7, &[4]);
    swarm.ask_at(REQUESTER, ask(0)).unwrap();
    for outcome in [[1; 32], [2; 32]] {
        let slot = starling_lane_primitives::Slot {
            genesis: GENESIS,
            lane: LANE,
            epoch: EPOCH,
            seq: 0,
            phase: Phase::Scores,
        };
        let vote = messages::Message::Vote(outcome);
        let payload = messages::payload(&slot, &account(4).into(), &vote);
        let packet = Packet::Vote {
            place: place(0),
            by: 4,
            outcome,
            signature: pair(4).sign(&payload).0,
        };
        swarm.say(4, &packet);
    }
    swarm.settle();
    assert_eq!(swarm.stages(0), [Stage::Certified].into());
    for id in [0, REQUESTER] {
        assert_eq!(swarm.node(id).parts.metrics.accused.get(), 1);
    }

    // All take turns to report it.
    let seat: (LaneId, Epoch, [u8; 32]) = (LANE, EPOCH, account(4).into());
    for (id, turn) in [(0, 0), (6, 6), (REQUESTER, 7)] {
        let accused = swarm.node(id).parts.accused.lock().clone();
        let (_, from) = &accused[&seat];
        assert_eq!(*from, 100 + turn);
    }
    // A node reports it until the chain knows.
    let look = look(swarm.node(0), 0);
    let node = swarm.node(0);
    for reports in [1, 2, 2] {
        look.look().unwrap();
        assert_eq!(node.chain.reported.lock().len(), reports);
    }
    assert!(node.parts.accused.lock().is_empty());
    let reported = node.chain.reported.lock();
    let Evidence { by, first, second } = &reported[0];
    assert_eq!(AccountId::from(*by), account(4));
    let (first, second) = ((&first.0, &first.1), (&second.0, &second.1));
    assert!(messages::is_equivocation(first, second));
}

#[test]
fn a_member_that_restarts_signs_nothing_again_and_comes_back() {
    let mut swarm = Swarm::new(7, &[]);
    swarm.ask_at(REQUESTER, ask(0)).unwrap();
    swarm.settle();
    let vote = |swarm: &Swarm| swarm.play(5, 0).takes_part();
    assert!(vote(&swarm));
    swarm.start(5);
    // The request comes once more, and another one in the block of 64 that it may have signed.
    for seq in [0, 1] {
        let again = swarm.play(REQUESTER, 0).ask().clone();
        let asked = Ask { seq, ..again };
        swarm.ask_at(5, asked).unwrap();
        swarm.settle();
        assert!(!swarm.play(5, seq).takes_part());
    }
    // The others certify without it, and it looks on.
    assert_eq!(swarm.play(5, 1).stage(), Stage::Certified);
    assert_eq!(swarm.winner(1), Some("x".repeat(7)));
}

#[test]
fn a_member_that_restarts_takes_the_asks_that_come_next() {
    let mut swarm = Swarm::new(7, &[]);
    for seq in 0..20 {
        swarm.ask_at(REQUESTER, ask(seq)).unwrap();
        swarm.settle();
    }
    // Nothing is settled on the chain yet, and the member knows of no request.
    swarm.start(5);
    swarm.wires.messages.lock().clear();
    assert_eq!(swarm.ask_at(5, ask(20)), Ok(ask(20).hash()));
    swarm.settle();
    assert_eq!(swarm.stages(20), [Stage::Certified].into());
}

#[test]
fn a_member_may_crash_at_any_step() {
    for step in [1, 10, 25, 50, 75, 100, 150, 200, 300] {
        let mut swarm = Swarm::new(7, &[]);
        swarm.ask_at(REQUESTER, ask(0)).unwrap();
        for _ in 0..step {
            swarm.step();
        }
        swarm.start(5);
        swarm.settle();
        assert_eq!(swarm.stages(0), [Stage::Certified].into(), "{step}");
        check_votes(&swarm, REQUESTER, 0, 5);
        swarm.are_all_honest();
    }
}

#[test]
fn an_ask_that_breaks_a_rule_is_refused_with_its_reason() {
    let mut swarm = Swarm::new(7, &[]);
    let good = ask(0);
    let refused = |swarm: &mut Swarm, ask: Ask| match swarm.ask_at(0, ask) {
        Err(AskError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let broken = [
        (
            Ask {
                genesis: [0; 32],
                ..good.clone()
            },
            "another chain",
        ),
        (
            Ask {
                fee: 0,
                ..good.clone()
            },
            "fee",
        ),
        (
            Ask {
                fee: FEE + 1,
                ..good.clone()
            },
            "fee",
        ),
        (
            Ask {
                max_tokens: 65,
                ..good.clone()
            },
            "tokens",
        ),
        (
            Ask {
                prompt: vec![],
                ..good.clone()
            },
            "prompt",
        ),
        (
            Ask {
                expiry: 100,
                ..good.clone()
            },
            "expiry",
        ),
        (
            Ask {
                expiry: 111,
                ..good.clone()
            },
            "expiry",
        ),
        (
            Ask {
                expiry: 102,
                ..good.clone()
            },
            "too little time",
        ),
        (
            Ask {
                seq: 64,
                ..good.clone()
            },
            "not settled",
        ),
    ];
    for (ask, reason) in broken {
        let told = refused(&mut swarm, ask);
        assert!(told.contains(reason), "{told}");
    }
    let forged = swarm.ask_signed(0, good.clone(), [1; 64]);
    assert!(matches!(forged, Err(AskError::Refused(reason)) if reason.contains("signed")));
    let id = swarm.ask_at(0, good.clone()).unwrap();
    assert_eq!(swarm.ask_at(0, good.clone()), Ok(id), "the same one again");
    let told = refused(
        &mut swarm,
        Ask {
            fee: 1,
            ..good.clone()
        },
    );
    assert!(told.contains("another ask"), "{told}");
    let elsewhere = Ask {
        epoch: EPOCH + 1,
        ..good
    };
    assert_eq!(swarm.ask_at(0, elsewhere), Err(AskError::NotHere));
}

#[test]
fn the_requester_s_node_opens_links_an_epoch_ahead() {
    let mut swarm = Swarm::new(4, &[]);
    let node = swarm.node(REQUESTER);
    let is_open = |node: &Node| node.parts.transport.is_open(&peer(0));
    assert!(!is_open(node));
    let found = (lane(4), EPOCH + 1, committee(4));
    let mut seen = view(4, None, 101, EPOCH, 0);
    seen.found = vec![found];
    node.core.on(0, Event::View(Box::new(seen)));
    assert!(is_open(node));
}

#[test]
fn a_node_looks_for_the_lanes_of_its_requesters_alone_and_not_for_ever() {
    let mut swarm = Swarm::new(4, &[]);
    swarm.ask_at(REQUESTER, ask(0)).unwrap();
    let is_watched = |swarm: &mut Swarm| {
        let watched = swarm.node(REQUESTER).parts.watched.lock();
        watched.contains_key(&LANE)
    };
    swarm.see(110, EPOCH + 1);
    assert!(is_watched(&mut swarm));
    let now = EpochView {
        epoch: EPOCH,
        began: 100,
        ends: 110,
    };
    for (id, expected) in [(REQUESTER, 1), (0, 0)] {
        let look = look(swarm.node(id), id);
        for _ in 0..2 {
            let found = look.find(105, &now, LANE, EPOCH).unwrap();
            assert_eq!(found.is_some(), expected == 1);
        }
        assert_eq!(*swarm.node(id).chain.draws.lock(), expected);
    }
    swarm.see(110, EPOCH + 2);
    assert!(!is_watched(&mut swarm));
}

#[test]
fn a_seat_without_its_secret_looks_on() {
    let seat = Seat {
        member: 1,
        secret: secret(1),
    };
    let room = |seat| {
        let (lane, members) = (lane(4), committee(4));
        starling_worker::lanes::room::Room::new(lane, EPOCH, members, in_force(), seat).unwrap()
    };
    assert_eq!(room(Some(seat)).me(), Some(1));
    assert_eq!(room(None).me(), None);
    assert_eq!(room(None).setting(0, None, 0).me, 4);
}
