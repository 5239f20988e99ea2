// SPDX-License-Identifier: Apache-2.0

//! One request at this node: the machine with its signatures, its seals and its times.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use starling_lane::{
    book::{Book, Evidence, Signer},
    broadcast::Settled,
    cipher::{Ordered, Sealed},
    request::{Action, Event, Message, Request},
    timing::Time,
    wire::{self, Item, Packet, Place, Refused},
};
use starling_lane_primitives::{
    certificate::Signature, messages, messages::Ask, seal::Seal, Certificate, Hash, Member, Phase,
    Secret,
};
use starling_primitives::{lane_value, Score};

use super::{
    judge::{Judged, Responses, Verdict},
    room::Room,
    value,
};
use crate::LOG_TARGET;

/// The most messages of a member that it keeps for those who were not there.
const MOST_SAID: usize = 64;

/// Something that the node is to do for a request.
#[derive(Debug)]
pub enum Do {
    /// Send the packet to one member.
    Send(Member, Packet),
    /// Send the packet to all members and the requester.
    Broadcast(Packet),
    /// Have the agent rank these responses.
    Rank(Vec<String>),
    /// The request has come so far.
    Changed(Stage),
    /// A member has signed two things of which it may sign one.
    Report(Box<Evidence>),
}

/// The progress of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It was asked.
    Asked,
    /// The responses are open.
    Preview,
    /// The scores are open: no other outcome can be certified.
    Soft,
    /// A quorum has voted for the outcome.
    Certified,
    /// There will be no certificate.
    Expired,
}

/// A request.
pub struct Play {
    room: Arc<Room>,
    ask: Ask,
    id: Hash,
    /// The requester's signature.
    signature: Signature,
    began: Time,
    machine: Request<Sealed, Verdict>,
    verdict: Arc<Verdict>,
    book: Book,
    signer: Arc<dyn Signer>,
    random: fn() -> Result<[u8; 32], String>,
    /// This node's member. It looks on if it may have taken part before a crash.
    me: Option<Member>,
    said: Vec<Packet>,
    own: String,
    votes: BTreeMap<Member, (Hash, Signature)>,
    wakes: BTreeSet<Time>,
    stage: Stage,
    soft: Option<Time>,
    certified: Option<Time>,
}

impl Play {
    /// A request that came now. `takes_part` says whether this node's member may sign for it.
    pub fn new(
        room: Arc<Room>,
        ask: Ask,
        signature: Signature,
        signer: Arc<dyn Signer>,
        takes_part: bool,
        now: Time,
    ) -> Self {
        let verdict = Arc::new(Verdict::new(room.clone(), ask.clone()));
        let me = room.me().filter(|_| takes_part);
        let setting = Arc::new(room.setting(ask.seq, me, now));
        let id = ask.hash();
        let machine = Request::new(setting, Arc::new(room.cipher(me)), verdict.clone());
        Self {
            id,
            signature,
            began: now,
            machine,
            verdict,
            book: room.book(ask.seq, id, me),
            signer,
            random,
            me,
            said: vec![],
            own: String::new(),
            votes: BTreeMap::new(),
            wakes: BTreeSet::new(),
            stage: Stage::Asked,
            soft: None,
            certified: None,
            room,
            ask,
        }
    }

    /// The committee.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The request.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// The hash of the request.
    pub fn id(&self) -> Hash {
        self.id
    }

    /// The request as it came.
    pub fn packet(&self) -> Packet {
        Packet::Ask {
            ask: self.ask.clone(),
            signature: self.signature,
        }
    }

    /// The progress of the request.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether this node's member takes part.
    pub fn takes_part(&self) -> bool {
        self.me.is_some()
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.stage >= Stage::Certified
    }

    /// The times from the ask to the soft answer and to the certificate, in microseconds.
    pub fn times(&self) -> [Option<Time>; 2] {
        [self.soft, self.certified].map(|at| Some(at?.saturating_sub(self.began)))
    }

    /// The open responses.
    pub fn responses(&self) -> Option<&Responses> {
        self.verdict.given()
    }

    /// The own response.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// The judgement.
    pub fn judged(&self) -> Option<Judged> {
        self.verdict.found()
    }

    /// The outcome of which a quorum of votes was seen.
    pub fn certified(&self) -> Option<Hash> {
        self.machine.certified()
    }

    /// The votes for the outcome of which a quorum was seen.
    pub fn certificate(&self) -> Option<Certificate> {
        let outcome = self.machine.certified()?;
        let votes = self.votes.iter().filter(|(_, (vote, _))| *vote == outcome);
        let signed = votes.map(|(member, (_, signature))| (*member, *signature));
        let most = usize::from(self.room.committee.quorum());
        Some(Certificate::new(signed.take(most)))
    }

    /// All that this member has said, and all votes that it knows.
    pub fn said(&self) -> Vec<Packet> {
        self.said.iter().cloned().chain(self.votes()).collect()
    }

    /// All votes that this member knows.
    pub fn votes(&self) -> Vec<Packet> {
        let votes = self.votes.iter();
        votes
            .map(|(by, (outcome, signature))| self.vote_packet(*by, *outcome, *signature))
            .collect()
    }

    /// The next time at which the machine wants to be woken.
    pub fn next_wake(&self) -> Option<Time> {
        self.wakes.first().copied()
    }

    /// Wakes the machine if it is time.
    pub fn wake(&mut self, now: Time) -> Vec<Do> {
        let before = self.wakes.len();
        self.wakes.retain(|at| *at > now);
        if self.wakes.len() == before || self.stage == Stage::Expired {
            return vec![];
        }
        self.give(now, Event::Wake)
    }

    /// Ends the request: its time is over.
    pub fn expire(&mut self) -> Vec<Do> {
        if self.is_over() {
            return vec![];
        }
        self.stage = Stage::Expired;
        self.wakes.clear();
        vec![Do::Changed(Stage::Expired)]
    }

    /// Seals the own response, or passes.
    pub fn respond(&mut self, now: Time, text: Option<String>) -> Result<Vec<Do>, String> {
        let bytes = text
            .as_deref()
            .map(|text| lane_value::response(text, self.ask.max_tokens));
        self.own = text.unwrap_or_default();
        self.seal(now, Phase::Responses, bytes)
    }

    /// Seals the own scores, or passes.
    pub fn score(&mut self, now: Time, scores: Option<&[Score]>) -> Result<Vec<Do>, String> {
        self.seal(now, Phase::Scores, scores.map(value::scores))
    }

    fn seal(&mut self, now: Time, phase: Phase, bytes: Option<Vec<u8>>) -> Result<Vec<Do>, String> {
        let place = self.me.and_then(|me| self.book.place(phase, me));
        let Some(place) = place else {
            return Ok(vec![]);
        };
        let seal = match bytes {
            None => None,
            Some(bytes) => {
                let secret: Secret = (self.random)()?;
                let points: Vec<_> = self.room.members.iter().map(|view| view.point).collect();
                let committee = self.room.committee;
                let seal = Seal::new(
                    committee,
                    place,
                    &points,
                    committee.views(),
                    &secret,
                    &bytes,
                );
                Some(seal.ok_or("a member's point is none")?)
            },
        };
        Ok(self.give(now, Event::Own(phase, seal.map(Ordered))))
    }

    /// Takes a message of one of the broadcasts from a member.
    pub fn hear(
        &mut self,
        now: Time,
        from: Member,
        phase: Phase,
        items: Vec<Item>,
    ) -> Result<Vec<Do>, Refused> {
        if self.stage == Stage::Expired {
            return Ok(vec![]);
        }
        let read = wire::read(&mut self.book, &*self.signer, phase, items);
        let event = Event::Message(from, Message::Of(phase, read?));
        Ok(self.give(now, event))
    }

    /// Takes a vote.
    pub fn vote(
        &mut self,
        now: Time,
        by: Member,
        outcome: Hash,
        signature: Signature,
    ) -> Result<Vec<Do>, Refused> {
        let known = self.votes.get(&by).map(|(known, _)| *known);
        if self.stage == Stage::Certified || known == Some(outcome) {
            return Ok(vec![]);
        }
        let said = messages::Message::Vote(outcome);
        let phase = Phase::Scores;
        self.book.take(&*self.signer, phase, by, &said, signature)?;
        // The first one counts. The machine accuses who signs a second one.
        self.votes.entry(by).or_insert((outcome, signature));
        Ok(self.give(now, Event::Message(by, Message::Vote(outcome))))
    }

    fn vote_packet(&self, by: Member, outcome: Hash, signature: Signature) -> Packet {
        Packet::Vote {
            place: self.place(),
            by,
            outcome,
            signature,
        }
    }

    fn place(&self) -> Place {
        self.room.place(self.ask.seq)
    }

    fn give(&mut self, now: Time, event: Event<Sealed>) -> Vec<Do> {
        let actions = self.machine.on(now, event);
        let mut all = vec![];
        for action in actions {
            self.act(now, action, &mut all);
        }
        // Who looks on judges without a word.
        self.soften(now, &mut all);
        let evidence = self.book.evidence().into_iter().map(Box::new);
        all.extend(evidence.map(Do::Report));
        all
    }

    fn act(&mut self, now: Time, action: Action<Sealed>, all: &mut Vec<Do>) {
        match action {
            Action::Send(to, message) => {
                if let Some(packet) = self.write(&message) {
                    all.push(Do::Send(to, packet));
                }
            },
            Action::Broadcast(message) => {
                if let Some(packet) = self.write(&message) {
                    if self.said.len() < MOST_SAID {
                        self.said.push(packet.clone());
                    }
                    all.push(Do::Broadcast(packet));
                }
            },
            Action::WakeAt(at) => {
                self.wakes.insert(at);
            },
            Action::Rank(settled) => self.rank(now, &settled, all),
            Action::Certified(_) => {
                self.soften(now, all);
                self.certified = Some(now);
                self.stage = Stage::Certified;
                all.push(Do::Changed(Stage::Certified));
            },
            Action::Accuse(member, offence) => {
                log::debug!(
                    target: LOG_TARGET,
                    "lane {}, epoch {}, request {}: member {member} signed two things ({offence:?})",
                    self.ask.lane,
                    self.ask.epoch,
                    self.ask.seq,
                );
            },
        }
    }

    fn soften(&mut self, now: Time, all: &mut Vec<Do>) {
        let is_known = self.soft.is_some() || !self.verdict.is_found();
        if is_known || self.stage == Stage::Expired {
            return;
        }
        // Votes of the others may come before the own judgement.
        self.soft = Some(now);
        self.stage = self.stage.max(Stage::Soft);
        all.push(Do::Changed(Stage::Soft));
    }

    fn rank(&mut self, now: Time, settled: &Settled<Sealed>, all: &mut Vec<Do>) {
        let verdict = self.verdict.clone();
        let responses = verdict.open(settled);
        if self.stage < Stage::Preview {
            self.stage = Stage::Preview;
            all.push(Do::Changed(Stage::Preview));
        }
        // With too few rankers for each response there is only a preview.
        if let Some(me) = self.me.filter(|_| responses.are_enough()) {
            match responses.assigned(me) {
                Some(assigned) => {
                    let texts = assigned
                        .iter()
                        .filter_map(|by| responses.texts.get(by).cloned());
                    all.push(Do::Rank(texts.collect()));
                },
                None => all.extend(self.give(now, Event::Own(Phase::Scores, None))),
            }
        }
    }

    fn write(&mut self, message: &Message<Sealed>) -> Option<Packet> {
        match message {
            Message::Of(phase, message) => {
                let items = wire::write(&mut self.book, &*self.signer, *phase, message)?;
                Some(Packet::Of {
                    place: self.place(),
                    phase: *phase,
                    items,
                })
            },
            Message::Vote(outcome) => {
                let by = self.me?;
                let said = messages::Message::Vote(*outcome);
                let payload = self.book.payload(Phase::Scores, by, &said)?;
                let signature = self.book.signature(&*self.signer, by, payload)?;
                self.votes.insert(by, (*outcome, signature));
                Some(self.vote_packet(by, *outcome, signature))
            },
        }
    }
}

fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(format!("the system gives no randomness: {error}")),
    }
}
