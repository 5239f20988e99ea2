// SPDX-License-Identifier: Apache-2.0
//! A request at one member: a broadcast of responses, one of scores, and a vote.
//!
//! A member votes once, for the outcome of the one set of responses and the one set of scores on
//! which it has settled. So two certificates of one request need `f + 1` members that vote twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use starling_lane_primitives::{Hash, Member, Phase};

use crate::{
    broadcast::{self, Broadcast, Offence, Setting, Settled},
    cipher::Cipher,
    message,
    timing::Time,
};

/// Computes the outcome of a request from all that has been opened.
pub trait Judge<C: Cipher> {
    /// The hash of the outcome.
    fn outcome(&self, responses: &Settled<C>, scores: &Settled<C>) -> Hash;
}

/// A message of a request.
#[derive(Debug)]
pub enum Message<C: Cipher> {
    /// A message of one of the broadcasts.
    Of(Phase, message::Message<C>),
    /// The sender's vote.
    Vote(Hash),
}

impl<C: Cipher> Clone for Message<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Of(phase, message) => Self::Of(*phase, message.clone()),
            Self::Vote(outcome) => Self::Vote(*outcome),
        }
    }
}

/// Something that happens to a member.
#[derive(Debug)]
pub enum Event<C: Cipher> {
    /// The member has sealed its response or its scores, or passes.
    Own(Phase, Option<C::Seal>),
    /// A message came from a member.
    Message(Member, Message<C>),
    /// The time that was asked for has come.
    Wake,
}

/// Something that the member is to do.
#[derive(Debug)]
pub enum Action<C: Cipher> {
    /// Send the message to one member.
    Send(Member, Message<C>),
    /// Send the message to all other members, and to the requester.
    Broadcast(Message<C>),
    /// Give [`Event::Wake`] at this time.
    WakeAt(Time),
    /// Open these responses, rank those that are assigned to this member, and give the sealed
    /// scores as [`Event::Own`].
    Rank(Settled<C>),
    /// A quorum has voted for this outcome.
    Certified(Hash),
    /// A member has signed two things of which it may sign one.
    Accuse(Member, Offence),
}

/// A request at one member.
pub struct Request<C: Cipher, J> {
    setting: Arc<Setting>,
    cipher: Arc<C>,
    judge: Arc<J>,
    responses: Broadcast<C>,
    scores: Option<Broadcast<C>>,
    /// Messages of the second broadcast that came before its sealers were known.
    early: Vec<(Member, message::Message<C>)>,
    wakes: BTreeMap<Phase, Time>,
    voted: Option<Hash>,
    votes: BTreeMap<Member, Hash>,
    certified: Option<Hash>,
}

type Actions<C> = Vec<Action<C>>;

impl<C: Cipher, J: Judge<C>> Request<C, J> {
    /// A request in which nothing has happened. The setting is that of the responses.
    pub fn new(setting: Arc<Setting>, cipher: Arc<C>, judge: Arc<J>) -> Self {
        Self {
            responses: Broadcast::new(setting.clone(), cipher.clone()),
            setting,
            cipher,
            judge,
            scores: None,
            early: Vec::new(),
            wakes: BTreeMap::new(),
            voted: None,
            votes: BTreeMap::new(),
            certified: None,
        }
    }

    /// Takes an event, and returns what is to be done, in this order.
    pub fn on(&mut self, now: Time, event: Event<C>) -> Actions<C> {
        let mut actions = Vec::new();
        match event {
            Event::Own(phase, value) => {
                self.give(now, phase, broadcast::Event::Own(value), &mut actions);
            },
            Event::Message(from, Message::Of(phase, message)) => {
                let event = broadcast::Event::Message(from, message);
                self.give(now, phase, event, &mut actions);
            },
            Event::Message(from, Message::Vote(outcome)) => {
                self.vote(from, outcome, &mut actions);
            },
            Event::Wake => {
                for phase in [Phase::Responses, Phase::Scores] {
                    if self.wakes.get(&phase).is_some_and(|at| *at <= now) {
                        self.wakes.remove(&phase);
                        self.give(now, phase, broadcast::Event::Wake, &mut actions);
                    }
                }
            },
        }
        actions
    }

    /// The outcome for which the member has voted.
    pub fn voted(&self) -> Option<Hash> {
        self.voted
    }

    /// The outcome for which a quorum has voted.
    pub fn certified(&self) -> Option<Hash> {
        self.certified
    }

    /// The member's settled sets, of both broadcasts.
    pub fn settled(&self) -> [Option<&Settled<C>>; 2] {
        let scores = self.scores.as_ref();
        [
            self.responses.settled(),
            scores.and_then(|scores| scores.settled()),
        ]
    }

    fn give(
        &mut self,
        now: Time,
        phase: Phase,
        event: broadcast::Event<C>,
        actions: &mut Actions<C>,
    ) {
        let done = match (phase, &mut self.scores, event) {
            (Phase::Responses, _, event) => self.responses.on(now, event),
            (Phase::Scores, Some(scores), event) => scores.on(now, event),
            (Phase::Scores, None, broadcast::Event::Message(from, message)) => {
                self.keep(from, message);
                return;
            },
            (Phase::Scores, None, _) => return,
        };
        for action in done {
            self.pass(now, phase, action, actions);
        }
    }

    /// Keeps an early message. An honest member sends fewer than these before it can be understood.
    fn keep(&mut self, from: Member, message: message::Message<C>) {
        let views = usize::from(self.setting.rules.views);
        let most = views.saturating_mul(2).saturating_add(2);
        let of_sender = self.early.iter().filter(|(sender, _)| *sender == from);
        if of_sender.count() < most {
            self.early.push((from, message));
        }
    }

    fn pass(
        &mut self,
        now: Time,
        phase: Phase,
        action: broadcast::Action<C>,
        actions: &mut Actions<C>,
    ) {
        match action {
            broadcast::Action::Send(to, message) => {
                actions.push(Action::Send(to, Message::Of(phase, message)));
            },
            broadcast::Action::Broadcast(message) => {
                actions.push(Action::Broadcast(Message::Of(phase, message)));
            },
            broadcast::Action::WakeAt(at) => {
                self.wakes.insert(phase, at);
                actions.push(Action::WakeAt(at));
            },
            broadcast::Action::Accuse(member, offence) => {
                actions.push(Action::Accuse(member, offence));
            },
            broadcast::Action::Settled(settled) => match phase {
                Phase::Responses => self.rank(now, settled, actions),
                Phase::Scores => self.judge(&settled, actions),
            },
        }
    }

    fn rank(&mut self, now: Time, responses: Settled<C>, actions: &mut Actions<C>) {
        let sealers: BTreeSet<Member> = responses.seals.iter().map(|(member, _)| *member).collect();
        let setting = Setting {
            sealers,
            deadline: now.saturating_add(self.setting.timing.rank),
            ..Setting::clone(&self.setting)
        };
        self.scores = Some(Broadcast::new(Arc::new(setting), self.cipher.clone()));
        actions.push(Action::Rank(responses));
        for (from, message) in std::mem::take(&mut self.early) {
            let event = broadcast::Event::Message(from, message);
            self.give(now, Phase::Scores, event, actions);
        }
    }

    fn judge(&mut self, scores: &Settled<C>, actions: &mut Actions<C>) {
        let is_member = self.setting.me < self.setting.committee.n();
        let Some(responses) = self.responses.settled() else {
            return;
        };
        let outcome = self.judge.outcome(responses, scores);
        if self.voted.is_none() {
            self.voted = Some(outcome);
            if is_member {
                actions.push(Action::Broadcast(Message::Vote(outcome)));
                self.vote(self.setting.me, outcome, actions);
            }
        }
    }

    fn vote(&mut self, from: Member, outcome: Hash, actions: &mut Actions<C>) {
        match self.votes.get(&from) {
            Some(known) if *known != outcome => {
                actions.push(Action::Accuse(from, Offence::TwoVotes));
                return;
            },
            _ => self.votes.insert(from, outcome),
        };
        let equal = self.votes.values().filter(|vote| **vote == outcome).count();
        if equal >= usize::from(self.setting.committee.quorum()) && self.certified.is_none() {
            self.certified = Some(outcome);
            actions.push(Action::Certified(outcome));
        }
    }
}
