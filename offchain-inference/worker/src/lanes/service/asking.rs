// SPDX-License-Identifier: Apache-2.0

//! Asks: who may ask here, and which rules an ask keeps.

use std::{collections::BTreeSet, sync::Arc};

use starling_lane::{timing::Time, transport::Peer, wire::Place};
use starling_lane_primitives::{certificate::Signature, messages::Ask, Hash};
use starling_primitives::{api::lanes::LaneId, Balance};

use super::{AskError, Core, Status};
use crate::{
    lanes::{
        desk::{Done, Work},
        ledger,
        look::Found,
        play::{Play, Stage},
        room::{is_signed, Hand, Room, Seat},
    },
    LOG_TARGET,
};

/// The most requests of a lane that are answered at a time.
const WINDOW: u32 = 8;

/// The most lanes that are watched for their requesters.
const MOST_WATCHED: usize = 64;

/// The longest prompt, in bytes.
const LONGEST_PROMPT: usize = 4_096;

impl Core {
    /// Takes an ask of a requester, and passes it on to the committee.
    pub(super) fn asked(
        &mut self,
        now: Time,
        ask: Ask,
        signature: Signature,
        found: Option<Found>,
    ) -> Result<Hash, AskError> {
        self.enter(found);
        self.watch(ask.lane);
        self.reserve();
        let room = self.rooms.get(&(ask.lane, ask.epoch)).cloned();
        let room = room.ok_or(AskError::NotHere)?;
        let local = self.local();
        if room.seat.is_none() && (local.is_none() || room.lane.terms.peer != local) {
            return Err(AskError::NotHere);
        }
        let place = room.place(ask.seq);
        let is_new = !self.plays.contains_key(&place);
        let id = self.ask(now, ask, signature).map_err(AskError::Refused)?;
        if is_new {
            let packet = self.plays.get(&place).map(Play::packet);
            if let Some(packet) = packet {
                self.broadcast(&room, &packet);
            }
        }
        Ok(id)
    }

    /// Enters the committee of a lane whose requester uses this node.
    pub(super) fn enter(&mut self, found: Option<Found>) {
        let (Some((lane, epoch, committee)), Some(view)) = (found, &self.view) else {
            return;
        };
        let key = (lane.id, epoch);
        let is_ours = lane.terms.peer.is_some() && lane.terms.peer == self.local();
        let is_near = epoch
            .checked_sub(view.epoch.epoch)
            .is_some_and(|ahead| ahead <= 1);
        if self.rooms.contains_key(&key) || !is_ours || !is_near {
            return;
        }
        let room = Room::new(lane, epoch, committee, view.in_force.clone(), None);
        if let Some(room) = room {
            self.rooms.insert(key, Arc::new(room));
        }
    }

    /// Watches a lane whose requester uses this node, until it has not done so for two epochs.
    pub(super) fn watch(&self, lane: LaneId) {
        let epoch = self.view.as_ref().map_or(0, |view| view.epoch.epoch);
        let local = self.local();
        let room = self.rooms.get(&(lane, epoch));
        let is_ours = room.is_some_and(|room| local.is_some() && room.lane.terms.peer == local);
        let mut watched = self.parts.watched.lock();
        if is_ours && (watched.len() < MOST_WATCHED || watched.contains_key(&lane)) {
            watched.insert(lane, epoch);
        }
    }

    /// Keeps links to all peers of all rooms open.
    pub(super) fn reserve(&self) {
        let peers = self.rooms.values().flat_map(|room| room.peers());
        let mut peers: BTreeSet<Peer> = peers.collect();
        if let Some(local) = self.local() {
            peers.remove(&local);
        }
        self.parts.transport.reserve(peers);
    }

    /// Takes an ask, if it keeps all rules.
    pub(super) fn ask(
        &mut self,
        now: Time,
        ask: Ask,
        signature: Signature,
    ) -> Result<Hash, String> {
        let key = (ask.lane, ask.epoch);
        let room = self.rooms.get(&key).cloned();
        let room = room.ok_or("the lane has no committee in this epoch")?;
        let place = room.place(ask.seq);
        let id = ask.hash();
        if let Some(play) = self.plays.get(&place) {
            let is_same = play.id() == id;
            return is_same
                .then_some(id)
                .ok_or_else(|| format!("another ask has the number {}", ask.seq));
        }
        self.check(&room, &ask)?;
        if !is_signed(&room.lane.terms.key, &id, &signature) {
            return Err("it is not signed by the key of the lane's terms".into());
        }
        let takes_part = match &room.seat {
            // The chain would not count a signature without a free bond, and nobody would pay for
            // it.
            Some(seat) => self.is_liable(&room) && self.may_sign(&room, seat, ask.seq),
            None => false,
        };
        self.parts.metrics.asks.inc();
        let hand = Arc::new(Hand::new(room.clone(), self.parts.chain.clone()));
        let work = Work::Respond {
            seq: ask.seq,
            prompt: String::from_utf8_lossy(&ask.prompt).into_owned(),
            max_tokens: ask.max_tokens,
            fee: ask.fee,
            form: ask.form,
        };
        let play = Play::new(room, ask, signature, hand, takes_part, now);
        self.parts.board.show(&play);
        self.plays.insert(place, play);
        if takes_part && !self.begin(place, work) {
            self.done(now, place, Done::Response(None));
        }
        self.replay(now, place);
        Ok(id)
    }

    fn is_liable(&self, room: &Room) -> bool {
        let view = self.view.as_ref();
        view.is_some_and(|view| view.liable.contains(&room.lane.id))
    }

    fn may_sign(&self, room: &Room, seat: &Seat, seq: u32) -> bool {
        let Some(view) = room.member(seat.member) else {
            return false;
        };
        let key = (view.agent.clone(), room.lane.id, room.epoch);
        match self.parts.store.may_sign(&key, seq) {
            Ok(may) => may,
            Err(error) => {
                log::error!(target: LOG_TARGET, "lanes cannot be written down: {error}");
                false
            },
        }
    }

    /// Whether an ask keeps the rules of its lane.
    fn check(&self, room: &Room, ask: &Ask) -> Result<(), String> {
        let view = self.view.as_ref().ok_or("the chain is not read yet")?;
        let lane = self.lanes.get(&ask.lane).unwrap_or(&room.lane);
        let (terms, rules, epoch) = (&lane.terms, &view.in_force.rules, &view.epoch);
        let key = (ask.lane, ask.epoch);
        let known = self.plays.range(room.place(0)..=room.place(u32::MAX));
        let settled = view.progress.get(&key).map_or(0, |progress| progress.next);
        let block = self.blocks.get(&key).copied().unwrap_or_default();
        let open = known.filter(|(_, play)| !play.is_over()).count();
        let window = usize::try_from(WINDOW).unwrap_or(usize::MAX);
        let outstanding: Balance = self
            .plays
            .iter()
            .filter(|(place, _)| place.lane == ask.lane && !self.is_settled(place))
            .fold(0, |sum: Balance, (_, play)| {
                sum.saturating_add(play.ask().fee)
            });
        // The committee of the next epoch knows none of these requests, and this one none of the
        // last epoch's. So each promises half of the escrow.
        let needed = outstanding.saturating_add(ask.fee).saturating_mul(2);
        // The requester's own node reads no settlements: the members look at the money.
        let is_free = room.seat.is_none();
        let rules = [
            (ask.genesis == room.genesis, "it is for another chain"),
            (ask.epoch == epoch.epoch, "it is for another epoch"),
            (
                ask.expiry > view.best && ask.expiry <= epoch.ends,
                "its expiry is not between the best block and the end of the epoch",
            ),
            (
                ask.expiry >= view.best.saturating_add(room.needed()),
                "its expiry leaves too little time for answers and rankings",
            ),
            (ask.seq >= settled, "its number is settled"),
            (ask.seq < ledger::MOST, "an epoch has no such number"),
            (
                is_free || ask.seq < block.next.saturating_add(ledger::REQUESTS),
                "the block of 64 before it is not settled",
            ),
            (
                !ledger::is_escalated(block, ask.seq),
                "it was escalated to a round",
            ),
            (open < window, "too many requests of this lane are open"),
            (
                (1..=LONGEST_PROMPT).contains(&ask.prompt.len()),
                "its prompt is empty or too long",
            ),
            (
                (1..=terms.max_tokens).contains(&ask.max_tokens),
                "its number of tokens is not one of the lane's terms",
            ),
            (
                ask.fee >= rules.min_fee && ask.fee <= terms.max_fee,
                "its fee is below the least of the chain or above that of the lane's terms",
            ),
            (
                is_free || needed <= lane.free,
                "half of the lane's escrow does not cover it",
            ),
            (
                is_free || needed.saturating_add(lane.pending) <= lane.max_pending,
                "too much of the lane waits for its dispute windows",
            ),
        ];
        let broken = rules.into_iter().find(|(keeps, _)| !keeps);
        broken.map_or(Ok(()), |(_, reason)| Err(reason.into()))
    }

    /// Whether a request costs nothing more: it is settled, or never will be.
    fn is_settled(&self, place: &Place) -> bool {
        let progress = self.view.as_ref().and_then(|view| {
            let key = (place.lane, place.epoch);
            view.progress.get(&key)
        });
        let expired = self
            .plays
            .get(place)
            .is_some_and(|play| play.stage() == Stage::Expired);
        expired || progress.is_some_and(|progress| place.seq < progress.next)
    }

    /// The state of a lane at this node.
    pub(super) fn status(&self, lane: LaneId) -> Status {
        let epoch = self.view.as_ref().map_or(0, |view| view.epoch.epoch);
        let room = self.rooms.get(&(lane, epoch));
        let local = self.local();
        let settled = self
            .view
            .as_ref()
            .and_then(|view| view.progress.get(&(lane, epoch)));
        let seen = room.and_then(|room| {
            let mut known = self.plays.range(room.place(0)..=room.place(u32::MAX));
            known
                .next_back()
                .map(|(place, _)| place.seq.saturating_add(1))
        });
        let next = settled.map_or(0, |progress| progress.next);
        let is_there = |peer: &Peer| Some(*peer) == local || self.parts.transport.is_open(peer);
        let members = room.map(|room| room.members.as_slice()).unwrap_or_default();
        Status {
            lane,
            epoch,
            next: seen.unwrap_or(0).max(next),
            members: members.len(),
            connected: members.iter().filter(|view| is_there(&view.peer)).count(),
            takes_asks: room.is_some_and(|room| {
                room.seat.is_some() || (local.is_some() && room.lane.terms.peer == local)
            }),
        }
    }
}
