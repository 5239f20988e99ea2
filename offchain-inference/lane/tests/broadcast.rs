// SPDX-License-Identifier: Apache-2.0
//! One sealed broadcast, step by step, with real seals.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::{collections::VecDeque, sync::Arc};

use starling_lane::{
    broadcast::{Action, Broadcast, Event, Setting},
    cipher::{Ordered, Sealed},
    message::Message,
    rules::Rules,
    timing::Timing,
};
use starling_lane_primitives::{
    seal::{DecryptionKey, Place, Point, Seal},
    Committee, Member, Phase, Slot,
};

const COMMITTEE: Committee = Committee::SMALLEST;

fn key(member: Member) -> DecryptionKey {
    DecryptionKey::from_bytes(&[member + 1; 64])
}

fn publics() -> Vec<Point> {
    COMMITTEE
        .members()
        .map(|member| key(member).public())
        .collect()
}

fn seal(member: Member, value: &[u8]) -> Seal {
    let slot = Slot {
        genesis: [1; 32],
        lane: 2,
        epoch: 3,
        seq: 0,
        phase: Phase::Responses,
    };
    let secret = [member + 100; 32];
    let place = Place {
        slot,
        ask: [4; 32],
        sealer: [member; 32],
    };
    Seal::new(
        COMMITTEE,
        place,
        &publics(),
        COMMITTEE.views(),
        &secret,
        value,
    )
    .unwrap()
}

/// The members of a committee, and a network that delivers everything at once.
struct Swarm {
    members: Vec<Broadcast<Sealed>>,
    silent: Vec<Member>,
    queue: VecDeque<(Member, Member, Message<Sealed>)>,
    /// All broadcasts, as a requester hears them.
    heard: Vec<(Member, Message<Sealed>)>,
    accused: Vec<Member>,
}

/// The node of this number: a member, or the requester after all of them.
fn node(me: Member) -> Broadcast<Sealed> {
    let setting = Setting {
        committee: COMMITTEE,
        me,
        seq: 0,
        sealers: COMMITTEE.members().collect(),
        rules: Rules::of(COMMITTEE),
        timing: Timing { delay: 0, rank: 0 },
        deadline: 0,
    };
    let cipher = Sealed::new(COMMITTEE, me, key(me), publics(), COMMITTEE.views());
    Broadcast::new(Arc::new(setting), Arc::new(cipher))
}

/// The values that a node opens, spoiled ones left out.
fn opened(node: &Broadcast<Sealed>) -> Option<Vec<Vec<u8>>> {
    let settled = node.settled()?;
    let value = |index: usize, seal: &Seal| {
        let shares: Vec<_> = settled
            .opens
            .iter()
            .filter_map(|open| match open.body.pieces[index] {
                starling_lane::cipher::Piece::Share(share) => Some((open.by, share)),
                starling_lane::cipher::Piece::Complaint(_) => None,
            })
            .collect();
        seal.open(COMMITTEE, settled.way, &shares)
    };
    let values = settled.seals.iter().enumerate();
    let opened = values.filter_map(|(index, (_, seal))| value(index, &seal.0).ok());
    Some(opened.map(|opened| opened.value).collect())
}

impl Swarm {
    fn new(silent: &[Member]) -> Self {
        Self {
            members: COMMITTEE.members().map(node).collect(),
            silent: silent.to_vec(),
            queue: VecDeque::new(),
            heard: Vec::new(),
            accused: Vec::new(),
        }
    }

    fn give(&mut self, member: Member, event: Event<Sealed>) {
        if self.silent.contains(&member) {
            return;
        }
        for action in self.members[usize::from(member)].on(0, event) {
            match action {
                Action::Send(to, message) => self.queue.push_back((member, to, message)),
                Action::Broadcast(message) => {
                    self.heard.push((member, message.clone()));
                    for to in COMMITTEE.members().filter(|to| *to != member) {
                        self.queue.push_back((member, to, message.clone()));
                    }
                },
                Action::Accuse(member, _) => self.accused.push(member),
                Action::WakeAt(_) | Action::Settled(_) => (),
            }
        }
    }

    fn deliver(&mut self) {
        while let Some((from, to, message)) = self.queue.pop_front() {
            self.give(to, Event::Message(from, message));
        }
    }

    fn wake(&mut self) {
        for member in COMMITTEE.members() {
            self.give(member, Event::Wake);
        }
        self.deliver();
    }

    fn opened(&self, member: Member) -> Option<Vec<Vec<u8>>> {
        opened(&self.members[usize::from(member)])
    }
}

#[test]
fn with_all_members_there_all_values_are_opened_without_an_echo() {
    let mut swarm = Swarm::new(&[]);
    for member in COMMITTEE.members() {
        let seal = Ordered(seal(member, &[member]));
        swarm.give(member, Event::Own(Some(seal)));
    }
    swarm.deliver();
    for member in COMMITTEE.members() {
        assert_eq!(
            swarm.opened(member),
            Some(vec![vec![0], vec![1], vec![2], vec![3]])
        );
        assert_eq!(swarm.members[usize::from(member)].echoed(), None);
    }
    assert_eq!(swarm.accused, []);
}

#[test]
fn a_requester_without_a_share_opens_what_the_members_open() {
    let mut swarm = Swarm::new(&[]);
    for member in COMMITTEE.members() {
        let seal = Ordered(seal(member, &[member]));
        swarm.give(member, Event::Own(Some(seal)));
    }
    swarm.deliver();
    let mut requester = node(COMMITTEE.members().end);
    for (member, message) in swarm.heard.clone() {
        requester.on(0, Event::Message(member, message));
    }
    assert!(swarm.opened(0).is_some());
    assert_eq!(opened(&requester), swarm.opened(0));
}

#[test]
fn without_one_member_the_others_open_a_smaller_set() {
    let mut swarm = Swarm::new(&[3]);
    for member in COMMITTEE.members() {
        let seal = Ordered(seal(member, &[member]));
        swarm.give(member, Event::Own(Some(seal)));
    }
    swarm.deliver();
    assert_eq!(swarm.opened(0), None);
    swarm.wake();
    for member in 0..3 {
        assert_eq!(swarm.opened(member), Some(vec![vec![0], vec![1], vec![2]]));
    }
    assert_eq!(swarm.accused, []);
}

#[test]
fn a_silent_collector_is_replaced() {
    let mut swarm = Swarm::new(&[0]);
    for member in COMMITTEE.members() {
        let seal = Ordered(seal(member, &[member]));
        swarm.give(member, Event::Own(Some(seal)));
    }
    swarm.deliver();
    swarm.wake();
    assert_eq!(swarm.opened(1), None);
    swarm.wake();
    for member in 1..4 {
        assert_eq!(swarm.opened(member), Some(vec![vec![1], vec![2], vec![3]]));
    }
}

#[test]
fn a_bad_share_does_not_keep_its_victim_from_settling() {
    let mut swarm = Swarm::new(&[]);
    for member in COMMITTEE.members() {
        let mut seal = seal(member, &[member]);
        if member == 3 {
            seal.splits.full.shares[1][0] ^= 1;
        }
        swarm.give(member, Event::Own(Some(Ordered(seal))));
    }
    swarm.deliver();
    // The three others have opened the full set, which is enough for the victim, too.
    let opened = swarm.opened(0).unwrap();
    assert!(opened.len() >= 3, "{opened:?}");
    for member in COMMITTEE.members() {
        assert_eq!(swarm.opened(member), Some(opened.clone()));
    }
}

#[test]
fn a_second_seal_accuses_its_sealer() {
    let mut swarm = Swarm::new(&[2]);
    for value in [b"one", b"two"] {
        let mut second = seal(3, value);
        second.ciphertext[0] ^= value[0];
        let value = Message::Value(starling_lane::message::Signed {
            by: 3,
            body: Some(Ordered(second)),
        });
        swarm.give(0, Event::Message(3, value));
    }
    assert_eq!(swarm.accused, [3]);
}
