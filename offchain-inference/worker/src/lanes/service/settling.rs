// SPDX-License-Identifier: Apache-2.0

//! Checkpoints: made when a block of requests is over, signed by all, and given to the chain.

use std::{cmp::Ordering, collections::btree_map::Range};

use starling_lane::{
    timing::Time,
    transport::Peer,
    wire::{Packet, Place},
};
use starling_lane_primitives::{
    certificate::Signature, checkpoint::Checkpoint, Certificate, Hash, Member,
};
use starling_primitives::{api::lanes::ProgressView, crypto::has_signed};

use super::{speaker, Core};
use crate::{
    lanes::{
        judge,
        ledger::{self, Ledger, Settled},
        play::{Play, Stage},
        room::Room,
    },
    LOG_TARGET,
};

impl Core {
    /// The known requests of the block that begins with `first`.
    fn block(&self, room: &Room, first: u32) -> Range<'_, Place, Play> {
        let last = first.saturating_add(ledger::REQUESTS);
        self.plays.range(room.place(first)..room.place(last))
    }

    /// Whether all requests of a block are known, and `is_so` holds for each.
    fn are_all(&self, room: &Room, first: u32, is_so: impl Fn(&Play) -> bool) -> bool {
        let all = usize::try_from(ledger::REQUESTS).unwrap_or(usize::MAX);
        self.block(room, first)
            .filter(|(_, play)| is_so(play))
            .count()
            >= all
    }

    /// The certified requests of a committee that can be settled.
    fn certified(&self, room: &Room) -> Vec<Settled> {
        let all = self.plays.range(room.place(0)..=room.place(u32::MAX));
        all.filter_map(|(place, play)| {
            let judged = play.judged()?;
            let outcome = judged.outcome().hash();
            (play.stage() == Stage::Certified && play.certified() == Some(outcome)).then(|| {
                Settled {
                    seq: place.seq,
                    fee: play.ask().fee,
                    outcome,
                    payouts: judged.outcome().payouts.clone(),
                }
            })
        })
        .collect()
    }

    /// Goes on to the block of requests that is settled next. Blocks that are over without a
    /// certified request are never settled. The one behind them opens once its escalations are
    /// read, after the next block of the chain.
    pub(super) fn advance(&mut self, room: &Room) {
        let key = (room.lane.id, room.epoch);
        let Some(view) = &self.view else {
            return;
        };
        let Some(progress) = view.progress.get(&key).copied() else {
            return;
        };
        let mut next = progress.next;
        while self.is_void(room, next) {
            next = next.saturating_add(ledger::REQUESTS);
        }
        let mut ahead = self.parts.ahead.lock();
        if next == progress.next {
            ahead.remove(&key);
            self.blocks.insert(key, progress);
            return;
        }
        ahead.insert(key, next);
        if let Some(escalated) = view.escalated.get(&(key.0, key.1, next)).copied() {
            self.blocks.insert(key, ProgressView { next, escalated });
        }
    }

    /// Whether a block is over, and nobody is paid for it.
    fn is_void(&self, room: &Room, first: u32) -> bool {
        let last = first.saturating_add(ledger::REQUESTS);
        last < ledger::MOST && self.are_all(room, first, |play| play.stage() == Stage::Expired)
    }

    /// Has the certificates of escalated requests shown to the chain. All members take turns, so
    /// that not all do at once.
    pub(super) fn show(&self, room: &Room) {
        let key = (room.lane.id, room.epoch);
        let (Some(block), Some(view), Some(me)) = (self.blocks.get(&key), &self.view, room.me())
        else {
            return;
        };
        let n = u32::from(room.committee.n());
        let certified = self.escalated(room, *block);
        let mut shown = self.parts.shown.lock();
        shown.retain(|place, _| {
            (place.lane, place.epoch) != key || certified.iter().any(|(of, ..)| of == place)
        });
        for (place, outcome, certificate) in certified {
            let turn = place.seq.checked_rem(n).unwrap_or(0);
            let distance = u32::from(me).saturating_add(n).saturating_sub(turn);
            let from = view
                .best
                .saturating_add(distance.checked_rem(n).unwrap_or(0));
            shown.entry(place).or_insert((outcome, certificate, from));
        }
    }

    /// The certified requests of a block that were escalated, with their certificates.
    fn escalated(&self, room: &Room, block: ProgressView) -> Vec<(Place, Hash, Certificate)> {
        let all = self.block(room, block.next);
        let escalated = all.filter(|(place, _)| ledger::is_escalated(block, place.seq));
        escalated
            .filter_map(|(place, play)| Some((*place, play.certified()?, play.certificate()?)))
            .collect()
    }

    /// Makes and signs the next checkpoint of a committee, if it is due.
    pub(super) fn make(&mut self, room: &Room) {
        let key = (room.lane.id, room.epoch);
        let (Some(view), Some(me)) = (&self.view, room.me()) else {
            return;
        };
        let Some(progress) = self.blocks.get(&key).copied() else {
            return;
        };
        let best = view.best;
        let until = best
            .saturating_add(view.in_force.rules.dispute_window)
            .saturating_add(
                view.epoch
                    .ends
                    .saturating_sub(view.epoch.began)
                    .saturating_mul(2),
            );
        let is_full = self.are_all(room, progress.next, Play::is_over);
        if !is_full && view.epoch.epoch <= room.epoch {
            return;
        }
        // What is shown to the chain in time is settled with the others.
        let length = view.epoch.ends.saturating_sub(view.epoch.began);
        let half = view
            .epoch
            .began
            .saturating_add(length.checked_div(2).unwrap_or(0));
        let is_early = view.epoch.epoch <= room.epoch || best < half;
        if is_early && !self.escalated(room, progress).is_empty() {
            return;
        }
        let certified = self.certified(room);
        let made = ledger::checkpoint(room.lane.id, room.epoch, progress, &certified);
        let Some(checkpoint) = made else {
            return;
        };
        let known = self.ledgers.get(&key).and_then(Ledger::own);
        if known != Some(&checkpoint) {
            let kept: Vec<(Place, Vec<u8>)> = self.transcripts(&checkpoint, room);
            if let Err(error) = self.parts.store.keep(&kept, until) {
                log::error!(target: LOG_TARGET, "transcripts cannot be written down: {error}");
                return;
            }
            let hash = checkpoint.hash(&room.genesis);
            let view = room.member(me);
            let signature = view.and_then(|view| self.parts.chain.sign(&view.key, &hash));
            let Some(signature) = signature else {
                return;
            };
            let ledger = self.ledgers.entry(key).or_default();
            ledger.make(me, checkpoint, hash, signature, best);
        }
        self.offer(room, me);
        self.ready(room, me);
    }

    fn transcripts(&self, checkpoint: &Checkpoint, room: &Room) -> Vec<(Place, Vec<u8>)> {
        let all = self.plays.range(room.place(0)..=room.place(u32::MAX));
        all.filter(|(place, _)| checkpoint.covers(place.seq))
            .filter_map(|(place, play)| {
                let (judged, certificate) = (play.judged()?, play.certificate()?);
                let bytes = judge::transcript(play.ask(), judged.outcome(), &certificate);
                Some((*place, bytes))
            })
            .collect()
    }

    /// Sends the own checkpoint to the others, in each block until it is settled.
    fn offer(&self, room: &Room, me: Member) {
        let ledger = self.ledgers.get(&(room.lane.id, room.epoch));
        let offered = ledger.and_then(|ledger| Some((ledger.own()?, ledger.own_signature(me)?)));
        if let Some((checkpoint, signature)) = offered {
            let packet = Packet::Checkpoint {
                checkpoint: checkpoint.clone(),
                by: me,
                signature,
            };
            self.broadcast(room, &packet);
        }
    }

    /// Tells the look at the chain that a checkpoint has enough signatures.
    fn ready(&self, room: &Room, me: Member) {
        let key = (room.lane.id, room.epoch);
        let ledger = self.ledgers.get(&key);
        if let Some(ready) = ledger.and_then(|ledger| ledger.ready(room.committee, me)) {
            self.parts.ready.lock().insert(key, ready);
        }
    }

    /// Takes the signature of a member under a checkpoint.
    pub(super) fn checkpoint(
        &mut self,
        now: Time,
        from: Peer,
        checkpoint: &Checkpoint,
        by: Member,
        signature: Signature,
    ) {
        let key = (checkpoint.lane, checkpoint.epoch);
        let Some(room) = self.rooms.get(&key).cloned() else {
            return self.parts.metrics.refuse("unknown");
        };
        let (Some(me), Some(_)) = (room.me(), speaker(&room, &from)) else {
            return self.parts.metrics.refuse("sender");
        };
        let progress = self
            .view
            .as_ref()
            .and_then(|view| view.progress.get(&key).copied());
        if progress.is_some_and(|progress| checkpoint.first < progress.next) {
            return self.parts.metrics.refuse("settled");
        }
        let hash = checkpoint.hash(&room.genesis);
        let member = room.member(by);
        let is_good = member.is_some_and(|view| has_signed(&view.key, &hash, &signature));
        if !is_good {
            self.parts.metrics.refuse("lie");
            return self.lied(now, from);
        }
        let ledger = self.ledgers.entry(key).or_default();
        ledger.take(by, hash, signature);
        // Votes that the other lacks, so that it signs the same.
        let missing = ledger.own().map(|own| {
            let missing = match own.first.cmp(&checkpoint.first) {
                Ordering::Less => own.bitmap,
                Ordering::Equal => own.bitmap & !checkpoint.bitmap,
                Ordering::Greater => 0,
            };
            (own.first, missing)
        });
        // Each signature can be sent again by anybody: once a block is enough.
        if let Some((first, missing)) = missing.filter(|(_, missing)| *missing != 0) {
            if self.helped.insert((key, from)) {
                self.help(&from, &room, first, missing);
            }
        }
        self.ready(&room, me);
    }

    /// Sends the votes of certified requests to a peer.
    fn help(&self, to: &Peer, room: &Room, first: u32, missing: u64) {
        for place in 0..u64::BITS {
            let is_missing = missing.checked_shr(place).unwrap_or(0) & 1 == 1;
            let place = room.place(first.saturating_add(place));
            let play = self.plays.get(&place).filter(|_| is_missing);
            for packet in play.iter().flat_map(|play| play.votes()) {
                self.send(to, &packet);
            }
        }
    }
}
