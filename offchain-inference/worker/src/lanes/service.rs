// SPDX-License-Identifier: Apache-2.0

//! All lanes of a node: takes messages, the ends of jobs and news of the chain, one at a time.

mod asking;
mod settling;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{mpsc::SyncSender, Arc},
};

use codec::Encode;
use futures::channel::oneshot;
use parking_lot::Mutex;
use serde::Serialize;
use sp_core::crypto::Ss58Codec;
use starling_lane::{
    book::Evidence,
    timing::Time,
    transport::{Peer, Transport},
    wire::{Packet, Place, Refused},
};
use starling_lane_primitives::{certificate::Signature, messages::Ask, Hash, Member};
use starling_primitives::api::lanes::{Epoch, LaneId, LaneView, ProgressView};

use super::{
    chain::LaneChain,
    desk::{Desk, Done, Work},
    ledger::{self, Ledger},
    look::{Accused, Ahead, Found, Ready, Shown, View},
    metrics::Metrics,
    play::{Do, Play, Stage},
    progress::{hex, Board},
    room::{is_signed, Room, Seat},
    store::Store,
};
use crate::{agent::Signals, AccountId, LOG_TARGET};

/// Lies after which a peer is cut off.
const MOST_LIES: u32 = 16;

/// The time for which it is cut off, in microseconds.
const CUT_OFF: Time = 3_600_000_000;

/// The time in which a peer is told once of requests that are over, in microseconds.
const TELL_AGAIN: Time = 60_000_000;

/// The most messages that wait for their asks.
const MOST_EARLY: usize = 512;

/// An event of the lanes of a node.
pub enum Event {
    /// The link to a peer was opened.
    Opened(Peer),
    /// A message came from a peer.
    Message(Peer, Vec<u8>),
    /// The chain has a new best block.
    View(Box<View>),
    /// A job has ended.
    Done(Place, Done),
    /// A requester asks this node.
    Ask(Box<Asked>),
    /// A requester wants to know whether it can ask this node.
    Status(LaneId, Option<Box<Found>>, oneshot::Sender<Status>),
    /// The node ends.
    End,
}

/// A request of a requester at this node.
pub struct Asked {
    /// The request.
    pub ask: Ask,
    /// Its signature.
    pub signature: Signature,
    /// The lane and its committee, if there is one.
    pub found: Option<Found>,
    /// Takes the answer.
    pub reply: oneshot::Sender<Result<Hash, AskError>>,
}

/// The reason why a node does not take an ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The request breaks a rule.
    #[error("the ask is refused: {0}")]
    Refused(String),
    /// This node has no part in the lane.
    #[error(
        "this node takes no asks of this lane: it runs no member of its committee, and the lane's \
         terms do not name it as the requester's node"
    )]
    NotHere,
    /// The node cannot take more.
    #[error("the node is busy: ask again")]
    Busy,
}

/// The state of a lane at a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The lane.
    pub lane: LaneId,
    /// The present epoch.
    pub epoch: Epoch,
    /// The next number of a request in it, as far as this node has seen.
    pub next: u32,
    /// The size of the committee; 0 if the lane rests.
    pub members: usize,
    /// The members with an open link, and this node's own.
    pub connected: usize,
    /// Whether this node takes asks of the lane.
    pub takes_asks: bool,
}

/// The parts of a node that its lanes use.
#[derive(Clone)]
pub struct Parts {
    /// The network.
    pub transport: Arc<dyn Transport>,
    /// The chain.
    pub chain: Arc<dyn LaneChain>,
    /// The agent.
    pub desk: Arc<dyn Desk>,
    /// The store of all that must not be forgotten.
    pub store: Arc<Store>,
    /// The metrics.
    pub metrics: Metrics,
    /// The progress that requesters see.
    pub board: Arc<Board>,
    /// Checkpoints that are ready for the chain.
    pub ready: Arc<Mutex<Ready>>,
    /// Evidence that is ready for the chain.
    pub accused: Arc<Mutex<Accused>>,
    /// Certificates of escalated requests that are ready for the chain.
    pub shown: Arc<Mutex<Shown>>,
    /// The lanes whose requesters use this node, and the epochs in which they did last.
    pub watched: Arc<Mutex<BTreeMap<LaneId, Epoch>>>,
    /// The blocks whose escalations the look at the chain reads.
    pub ahead: Arc<Mutex<Ahead>>,
}

/// The lanes of a node.
pub struct Core {
    parts: Parts,
    /// Takes the ends of jobs.
    events: SyncSender<Event>,
    view: Option<View>,
    rooms: BTreeMap<(LaneId, Epoch), Arc<Room>>,
    /// The lanes as of the last block.
    lanes: BTreeMap<LaneId, LaneView<AccountId>>,
    plays: BTreeMap<Place, Play>,
    jobs: BTreeMap<Place, Signals>,
    ledgers: BTreeMap<(LaneId, Epoch), Ledger>,
    /// The block of 64 requests that each committee answers and settles next.
    blocks: BTreeMap<(LaneId, Epoch), ProgressView>,
    /// The peers that were told votes of a committee since the last block.
    helped: BTreeSet<((LaneId, Epoch), Peer)>,
    /// The peers that were told of requests that are over, and when.
    told: HashMap<Peer, Time>,
    early: VecDeque<(Peer, Packet)>,
    lies: HashMap<Peer, (u32, Time)>,
}

impl Core {
    /// Lanes without a request.
    pub fn new(parts: Parts, events: SyncSender<Event>) -> Self {
        Self {
            parts,
            events,
            view: None,
            rooms: BTreeMap::new(),
            lanes: BTreeMap::new(),
            plays: BTreeMap::new(),
            jobs: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            blocks: BTreeMap::new(),
            helped: BTreeSet::new(),
            told: HashMap::new(),
            early: VecDeque::new(),
            lies: HashMap::new(),
        }
    }

    /// Takes an event.
    pub fn on(&mut self, now: Time, event: Event) {
        match event {
            Event::Opened(peer) => self.opened(now, &peer),
            Event::Message(from, bytes) => self.message(now, from, &bytes),
            Event::View(view) => self.view(now, *view),
            Event::Done(place, done) => self.done(now, place, done),
            Event::Ask(asked) => {
                let Asked {
                    ask,
                    signature,
                    found,
                    reply,
                } = *asked;
                // If this fails, nobody waits any more.
                let _ = reply.send(self.asked(now, ask, signature, found));
            },
            Event::Status(lane, found, reply) => {
                self.enter(found.map(|found| *found));
                self.watch(lane);
                self.reserve();
                let _ = reply.send(self.status(lane));
            },
            Event::End => {},
        }
    }

    /// The next time at which [`Self::wake`] has something to do.
    pub fn next_wake(&self) -> Option<Time> {
        self.plays.values().filter_map(Play::next_wake).min()
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Time) {
        let due = |play: &Play| play.next_wake().is_some_and(|at| at <= now);
        let places: Vec<Place> = self
            .plays
            .iter()
            .filter(|(_, play)| due(play))
            .map(|(place, _)| *place)
            .collect();
        for place in places {
            self.with(place, |play| play.wake(now));
        }
    }

    /// The requests that this node knows.
    pub fn plays(&self) -> &BTreeMap<Place, Play> {
        &self.plays
    }

    fn local(&self) -> Option<Peer> {
        self.parts.transport.local()
    }

    /// Lets a request act.
    fn with(&mut self, place: Place, act: impl FnOnce(&mut Play) -> Vec<Do>) {
        let Some(play) = self.plays.get_mut(&place) else {
            return;
        };
        let all = act(play);
        self.act(place, all);
    }

    fn act(&mut self, place: Place, all: Vec<Do>) {
        for one in all {
            match one {
                Do::Send(to, packet) => {
                    let peer = self.plays.get(&place).and_then(|play| {
                        let room = play.room();
                        let member = room.member(to).map(|view| view.peer);
                        member.or(room.lane.terms.peer)
                    });
                    if let Some(peer) = peer {
                        self.send(&peer, &packet);
                    }
                },
                Do::Broadcast(packet) => {
                    let room = self.plays.get(&place).map(|play| play.room().clone());
                    if let Some(room) = room {
                        self.broadcast(&room, &packet);
                    }
                },
                Do::Rank(texts) => self.rank(place, texts),
                Do::Changed(stage) => self.changed(place, stage),
                Do::Report(evidence) => self.report(place, &evidence),
            }
        }
    }

    /// Has a member slashed. All who have the evidence take turns, one a block, so that not all
    /// report it at once.
    fn report(&self, place: Place, evidence: &Evidence) {
        self.parts.metrics.accused.inc();
        let Place { lane, epoch, seq } = place;
        let by = AccountId::from(evidence.by).to_ss58check();
        let arguments = (evidence.by, &evidence.first, &evidence.second).encode();
        log::warn!(
            target: LOG_TARGET,
            "lane {lane}, epoch {epoch}, request {seq}: {by} signed two things of which it may sign \
             one; this node reports it, and so can the call `Lanes.equivocation` with the arguments \
             {}",
            hex(&arguments),
        );
        let room = self.rooms.get(&(lane, epoch));
        let turn = room.map_or(0, |room| room.me().unwrap_or(room.committee.n()));
        let best = self.view.as_ref().map_or(0, |view| view.best);
        let from = best.saturating_add(turn.into());
        let mut accused = self.parts.accused.lock();
        accused
            .entry((lane, epoch, evidence.by))
            .or_insert_with(|| (evidence.clone(), from));
    }

    fn send(&self, to: &Peer, packet: &Packet) {
        match packet.write() {
            Some(bytes) => self.send_bytes(to, bytes),
            None => log::error!(target: LOG_TARGET, "a message of a lane is too long to be sent"),
        }
    }

    fn send_bytes(&self, to: &Peer, bytes: Vec<u8>) {
        let len = bytes.len();
        if self.parts.transport.send(to, bytes) {
            self.parts.metrics.count("out", len);
        } else {
            self.parts.metrics.refuse("lost");
        }
    }

    fn broadcast(&self, room: &Room, packet: &Packet) {
        let Some(bytes) = packet.write() else {
            log::error!(target: LOG_TARGET, "a message of a lane is too long to be sent");
            return;
        };
        let local = self.local();
        for peer in room.peers() {
            if Some(peer) != local {
                self.send_bytes(&peer, bytes.clone());
            }
        }
    }

    /// Tells a peer what it may have missed. What is over can be much, and a peer may open its link
    /// again and again.
    fn opened(&mut self, now: Time, peer: &Peer) {
        let mut packets = vec![];
        let last = self.told.get(peer);
        let is_late = last.is_none_or(|last| now.saturating_sub(*last) >= TELL_AGAIN);
        for play in self.plays.values() {
            let is_there = play.room().peers().contains(peer);
            let is_new = !play.is_over();
            if is_there && (is_new || (is_late && play.stage() == Stage::Certified)) {
                packets.push(play.packet());
                packets.extend(play.said());
                if !is_new {
                    self.told.insert(*peer, now);
                }
            }
        }
        for packet in packets {
            self.send(peer, &packet);
        }
    }

    fn message(&mut self, now: Time, from: Peer, bytes: &[u8]) {
        let lies = self.lies.get(&from).copied();
        if lies.is_some_and(|(count, until)| count >= MOST_LIES && now < until) {
            return self.parts.metrics.refuse("lie");
        }
        self.parts.metrics.count("in", bytes.len());
        match Packet::read(bytes) {
            Some(packet) => self.packet(now, from, packet),
            None => {
                self.parts.metrics.refuse("bytes");
                self.lied(now, from);
            },
        }
    }

    fn lied(&mut self, now: Time, peer: Peer) {
        let (count, until) = self.lies.entry(peer).or_default();
        if *until <= now && *count >= MOST_LIES {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *until = now.saturating_add(CUT_OFF);
        if *count == MOST_LIES {
            log::warn!(target: LOG_TARGET, "a peer of a lane sends nonsense: cut off for an hour");
        }
    }

    fn packet(&mut self, now: Time, from: Peer, packet: Packet) {
        match packet {
            Packet::Ask { ask, signature } => {
                if !self.is_known(&from, ask.lane, ask.epoch) {
                    return self.parts.metrics.refuse("sender");
                }
                let present = self.view.as_ref().map(|view| view.epoch.epoch);
                if present.is_some_and(|present| ask.epoch > present) {
                    // This node is a block behind.
                    let place = Place {
                        lane: ask.lane,
                        epoch: ask.epoch,
                        seq: ask.seq,
                    };
                    return self.wait(from, place, || Packet::Ask { ask, signature });
                }
                let key = (ask.lane, ask.epoch);
                let id = ask.hash();
                if let Err(reason) = self.ask(now, ask, signature) {
                    let room = self.rooms.get(&key);
                    let is_signed =
                        room.is_some_and(|room| is_signed(&room.lane.terms.key, &id, &signature));
                    if !is_signed {
                        self.parts.metrics.refuse("lie");
                        return self.lied(now, from);
                    }
                    self.parts.metrics.refuse("unknown");
                    log::debug!(target: LOG_TARGET, "an ask of a lane is refused: {reason}");
                }
            },
            Packet::Of {
                place,
                phase,
                items,
            } => {
                let Some(play) = self.plays.get_mut(&place) else {
                    return self.wait(from, place, || Packet::Of {
                        place,
                        phase,
                        items,
                    });
                };
                let Some(member) = speaker(play.room(), &from) else {
                    return self.parts.metrics.refuse("sender");
                };
                let heard = play.hear(now, member, phase, items);
                self.heard(now, from, place, heard);
            },
            Packet::Vote {
                place,
                by,
                outcome,
                signature,
            } => {
                let Some(play) = self.plays.get_mut(&place) else {
                    return self.wait(from, place, || Packet::Vote {
                        place,
                        by,
                        outcome,
                        signature,
                    });
                };
                if speaker(play.room(), &from).is_none() {
                    return self.parts.metrics.refuse("sender");
                }
                let heard = play.vote(now, by, outcome, signature);
                self.heard(now, from, place, heard);
            },
            Packet::Checkpoint {
                checkpoint,
                by,
                signature,
            } => self.checkpoint(now, from, &checkpoint, by, signature),
        }
    }

    /// Whether a peer has a part in a lane.
    fn is_known(&self, peer: &Peer, lane: LaneId, epoch: Epoch) -> bool {
        let room = self.rooms.get(&(lane, epoch));
        room.is_some_and(|room| speaker(room, peer).is_some())
    }

    /// Keeps a message until its ask comes.
    fn wait(&mut self, from: Peer, place: Place, packet: impl FnOnce() -> Packet) {
        if !self.is_known(&from, place.lane, place.epoch) {
            return self.parts.metrics.refuse("sender");
        }
        let block = self.blocks.get(&(place.lane, place.epoch));
        let last = block.copied().unwrap_or_default().next;
        let last = last.saturating_add(ledger::REQUESTS.saturating_mul(2));
        if place.seq >= last {
            return self.parts.metrics.refuse("full");
        }
        // Nobody takes the places of others.
        let peers = self.rooms.values().flat_map(|room| room.peers());
        let peers: BTreeSet<Peer> = peers.collect();
        let most = MOST_EARLY.checked_div(peers.len()).unwrap_or(0).max(1);
        let own = self.early.iter().filter(|(of, _)| *of == from).count();
        if own >= most {
            if let Some(oldest) = self.early.iter().position(|(of, _)| *of == from) {
                self.early.remove(oldest);
            }
            self.parts.metrics.refuse("full");
        }
        self.early.push_back((from, packet()));
    }

    fn heard(&mut self, now: Time, from: Peer, place: Place, heard: Result<Vec<Do>, Refused>) {
        match heard {
            Ok(all) => self.act(place, all),
            // The requester has asked twice.
            Err(Refused::OtherAsk) => self.parts.metrics.refuse("other ask"),
            // An honest member passes on what a liar has said, and does not know what else it has
            // said here.
            Err(Refused::Full(by)) if !self.is_at(place, by, &from) => {
                self.parts.metrics.refuse("full");
            },
            Err(reason) => {
                self.parts.metrics.refuse("lie");
                log::debug!(target: LOG_TARGET, "a message of a lane is refused: {reason:?}");
                self.lied(now, from);
            },
        }
    }

    /// Whether a member's node is this peer.
    fn is_at(&self, place: Place, member: Member, peer: &Peer) -> bool {
        let room = self.rooms.get(&(place.lane, place.epoch));
        let view = room.and_then(|room| room.member(member));
        view.is_some_and(|view| view.peer == *peer)
    }

    /// Gives the messages that came before the ask.
    fn replay(&mut self, now: Time, place: Place) {
        self.give_early(now, |packet| match packet {
            Packet::Of { place: of, .. } | Packet::Vote { place: of, .. } => *of == place,
            Packet::Ask { .. } | Packet::Checkpoint { .. } => false,
        });
    }

    /// Gives those of the messages that came too early.
    fn give_early(&mut self, now: Time, is_due: impl Fn(&Packet) -> bool) {
        let (early, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.early)
            .into_iter()
            .partition(|(_, packet)| is_due(packet));
        self.early = rest;
        for (from, packet) in early {
            self.packet(now, from, packet);
        }
    }

    /// Begins a job of the agent. Returns false if it has too many.
    fn begin(&mut self, place: Place, work: Work) -> bool {
        let signals = Signals::default();
        self.jobs.insert(place, signals.clone());
        let events = self.events.clone();
        let tell = Box::new(move |done| {
            // If this fails, the node ends.
            let _ = events.send(Event::Done(place, done));
        });
        let begun = self.parts.desk.begin(work, signals, tell);
        if !begun {
            log::warn!(target: LOG_TARGET, "the agent has too many jobs of lanes");
        }
        begun
    }

    fn rank(&mut self, place: Place, texts: Vec<String>) {
        let Some(play) = self.plays.get(&place) else {
            return;
        };
        let work = Work::Rank {
            prompt: String::from_utf8_lossy(&play.ask().prompt).into_owned(),
            own: play.own().to_owned(),
            texts,
            max_tokens: play.ask().max_tokens,
        };
        // Without a place the member gives no scores, as if it were slow.
        self.begin(place, work);
    }

    fn done(&mut self, now: Time, place: Place, done: Done) {
        self.jobs.remove(&place);
        let Some(play) = self.plays.get_mut(&place) else {
            return;
        };
        let sealed = match done {
            Done::Response(text) => play.respond(now, text),
            Done::Scores(scores) => play.score(now, Some(&scores)),
            Done::Failed(reason) => {
                log::warn!(target: LOG_TARGET, "a job of lane {} failed: {reason}", place.lane);
                match play.responses() {
                    None => play.respond(now, None),
                    Some(_) => play.score(now, None),
                }
            },
        };
        match sealed {
            Ok(all) => self.act(place, all),
            Err(reason) => log::error!(target: LOG_TARGET, "nothing can be sealed: {reason}"),
        }
    }

    fn changed(&self, place: Place, stage: Stage) {
        let Some(play) = self.plays.get(&place) else {
            return;
        };
        self.parts.board.show(play);
        let metrics = &self.parts.metrics;
        let [soft, certified] = play.times();
        let seconds = |micros: Time| micros as f64 / 1e6;
        let Place { lane, epoch, seq } = place;
        match stage {
            Stage::Soft => {
                metrics.soft.inc();
                if let Some(time) = soft.map(seconds) {
                    metrics.soft_seconds.observe(time);
                }
            },
            Stage::Certified => {
                metrics.certified.inc();
                if let Some(time) = certified.map(seconds) {
                    metrics.certified_seconds.observe(time);
                }
                log::info!(target: LOG_TARGET, "lane {lane}, epoch {epoch}: request {seq} certified");
            },
            Stage::Expired => {
                metrics.expired.inc();
                log::info!(target: LOG_TARGET, "lane {lane}, epoch {epoch}: request {seq} expired");
            },
            Stage::Asked | Stage::Preview => {},
        }
    }

    fn view(&mut self, now: Time, view: View) {
        for (epoch, agent, seat) in &view.seats {
            let key = (seat.lane.id, *epoch);
            self.lanes.insert(seat.lane.id, seat.lane.clone());
            let known = self.rooms.get(&key).is_some_and(|room| room.seat.is_some());
            if known {
                continue;
            }
            let secret = self.parts.store.known_secret(agent, *epoch);
            let secret = secret.unwrap_or_else(|error| {
                log::error!(target: LOG_TARGET, "lanes cannot be read: {error}");
                None
            });
            let own = secret.map(|secret| Seat {
                member: seat.member,
                secret,
            });
            let (lane, committee) = (seat.lane.clone(), seat.committee.clone());
            if let Some(room) = Room::new(lane, *epoch, committee, view.in_force.clone(), own) {
                self.rooms.insert(key, Arc::new(room));
            }
        }
        let seats = u64::try_from(view.seats.len()).unwrap_or(u64::MAX);
        self.parts.metrics.seats.set(seats);
        let oldest = view.epoch.epoch.saturating_sub(1);
        let (best, present) = (view.best, view.epoch.epoch);
        let found = view.found.clone();
        self.view = Some(view);
        self.helped.clear();
        self.told
            .retain(|_, last| now.saturating_sub(*last) < TELL_AGAIN);
        for found in found {
            self.enter(Some(found));
        }
        self.expire(best);
        self.forget(oldest);
        self.reserve();
        self.give_early(now, |packet| match packet {
            Packet::Ask { ask, .. } => ask.epoch <= present,
            _ => false,
        });
        let rooms: Vec<Arc<Room>> = self.rooms.values().cloned().collect();
        for room in rooms {
            self.advance(&room);
            self.show(&room);
            self.make(&room);
        }
    }

    fn expire(&mut self, best: u32) {
        let over = |play: &Play| play.ask().expiry <= best && !play.is_over();
        let places: Vec<Place> = self
            .plays
            .iter()
            .filter(|(_, play)| over(play))
            .map(|(place, _)| *place)
            .collect();
        for place in places {
            if let Some(signals) = self.jobs.remove(&place) {
                signals.cancel();
            }
            self.with(place, Play::expire);
        }
    }

    fn forget(&mut self, oldest: Epoch) {
        self.rooms.retain(|(_, epoch), _| *epoch >= oldest);
        self.ledgers.retain(|(_, epoch), _| *epoch >= oldest);
        self.blocks.retain(|(_, epoch), _| *epoch >= oldest);
        let mut watched = self.parts.watched.lock();
        watched.retain(|_, epoch| *epoch >= oldest);
        drop(watched);
        let mut shown = self.parts.shown.lock();
        shown.retain(|place, _| place.epoch >= oldest);
        drop(shown);
        let mut ahead = self.parts.ahead.lock();
        ahead.retain(|(_, epoch), _| *epoch >= oldest);
        drop(ahead);
        let is_old = |epoch: Epoch| epoch < oldest;
        self.early.retain(|(_, packet)| match packet {
            Packet::Of { place, .. } | Packet::Vote { place, .. } => !is_old(place.epoch),
            Packet::Ask { ask, .. } => !is_old(ask.epoch),
            Packet::Checkpoint { .. } => false,
        });
        let board = &self.parts.board;
        self.plays.retain(|place, play| {
            if is_old(place.epoch) {
                board.forget(&play.id());
            }
            !is_old(place.epoch)
        });
    }
}

/// The number of a peer in messages: that of its member, or one above all for the requester's
/// node.
fn speaker(room: &Room, peer: &Peer) -> Option<Member> {
    let member = room.members_at(peer).first().copied();
    let is_requester = room.lane.terms.peer == Some(*peer);
    member.or_else(|| is_requester.then(|| room.committee.n()))
}
