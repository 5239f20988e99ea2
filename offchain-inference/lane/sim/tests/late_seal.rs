// SPDX-License-Identifier: Apache-2.0
//! The schedule by which a liar seals after it has read others' values, if sets of two views share
//! a polynomial, and why it fails if they do not.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use starling_lane::{
    broadcast::{Action, Broadcast, Event, Setting},
    message::{Echo, Message, Open, Set, Signed, Word},
    rules::Rules,
    timing::Timing,
};
use starling_lane_primitives::{messages::Named, Committee, Member, Way};
use starling_lane_sim::symbolic::{Piece, Seal, Splits, Symbolic};

/// The liar collects in view 1, the honest member 0 in view 0.
const LIAR: Member = 1;
const HONEST: [Member; 3] = [0, 2, 3];

fn seal(sealer: Member, variant: u8) -> Seal {
    Seal {
        sealer,
        variant,
        bad: 0,
    }
}

fn value(seal: Seal) -> Message<Symbolic> {
    Message::Value(Signed {
        by: seal.sealer,
        body: Some(seal),
    })
}

struct Schedule {
    splits: Splits,
    members: BTreeMap<Member, Broadcast<Symbolic>>,
    opens: Vec<Arc<Signed<Open<Piece>>>>,
    echoes: BTreeMap<(Member, u8), Arc<Signed<Echo<Piece>>>>,
}

impl Schedule {
    fn new(splits: Splits) -> Self {
        let committee = Committee::SMALLEST;
        let setting = |me| Setting {
            committee,
            me,
            seq: 0,
            sealers: committee.members().collect(),
            rules: Rules::of(committee),
            timing: Timing { delay: 0, rank: 0 },
            deadline: 0,
        };
        let member = |me| Broadcast::new(Arc::new(setting(me)), Arc::new(Symbolic { me, splits }));
        Self {
            splits,
            members: HONEST.map(|me| (me, member(me))).into(),
            opens: Vec::new(),
            echoes: BTreeMap::new(),
        }
    }

    fn give(&mut self, to: Member, event: Event<Symbolic>) {
        for action in self.members.get_mut(&to).unwrap().on(0, event) {
            match action {
                Action::Broadcast(Message::Open(open)) if open.by == to => self.opens.push(open),
                Action::Send(_, Message::Echo(echo)) | Action::Broadcast(Message::Echo(echo)) => {
                    self.echoes.insert((echo.by, echo.body.view), echo);
                },
                _ => (),
            }
        }
    }

    fn tell(&mut self, to: Member, message: Message<Symbolic>) {
        self.give(to, Event::Message(LIAR, message));
    }

    /// The set of view 1 that the liar fixes by the words of 2 and 3, and an echo with these seals.
    fn set(&self, seals: &[Seal]) -> Message<Symbolic> {
        let echo = Echo {
            view: 1,
            named: seals.iter().map(|seal| seal.named()).collect(),
            complaints: Vec::new(),
            opened: None,
        };
        let own = Word::Echo(Arc::new(Signed {
            by: LIAR,
            body: echo.clone(),
        }));
        let honest = [2, 3].map(|member| Word::Echo(self.echoes[&(member, 1)].clone()));
        Message::Set(Arc::new(Signed {
            by: LIAR,
            body: Set {
                view: 1,
                set: echo.named,
                words: honest.into_iter().chain([own]).collect(),
            },
        }))
    }

    /// Whether the liar has a quorum of shares of a seal: its own, and those of two others.
    fn can_read(&self, named: &Named) -> bool {
        let mut openers: BTreeMap<Way, BTreeSet<Member>> = BTreeMap::new();
        for open in self
            .opens
            .iter()
            .filter(|open| open.body.set.contains(named))
        {
            let polynomial = self.splits.polynomial(open.body.way);
            openers.entry(polynomial).or_default().insert(open.by);
        }
        openers.values().any(|members| members.len() >= 2)
    }
}

/// Plays the schedule. Returns whether the liar could read before it sealed, and whether members
/// settled on a set with its late seal.
fn play(splits: Splits) -> (bool, bool) {
    let mut schedule = Schedule::new(splits);
    // The honest members seal, and hear each other. The liar does not seal.
    for me in HONEST {
        schedule.give(me, Event::Own(Some(seal(me, 0))));
        for other in HONEST {
            schedule.tell(me, value(seal(other, 0)));
        }
    }
    // All echo in view 0. Member 0 fixes the set {0 2 3}, and opens it. The set is late at 2 and 3.
    for me in HONEST {
        schedule.give(me, Event::Wake);
    }
    for from in [2, 3] {
        let echo = schedule.echoes[&(from, 0)].clone();
        schedule.give(0, Event::Message(from, Message::Echo(echo)));
    }
    assert!(schedule.members[&0].has_proposed(0));
    assert_eq!(schedule.opens.len(), 1);
    // So 2 and 3 echo in view 1, without a set. The liar shows 2 a set of these echoes.
    for me in [2, 3] {
        schedule.give(me, Event::Wake);
    }
    let honest = HONEST.map(|member| seal(member, 0));
    let early = schedule.set(&honest);
    schedule.tell(2, early);
    assert_eq!(schedule.opens.len(), 2);
    let could_read = schedule.can_read(&seal(3, 0).named());
    // It makes its seal now, and shows 3 and 0 another set, which has it.
    let late = seal(LIAR, 2);
    let seals: Vec<Seal> = honest.into_iter().chain([late]).collect();
    let second = schedule.set(&seals);
    for member in [3, 0] {
        schedule.tell(member, second.clone());
        schedule.tell(member, value(late));
    }
    assert_eq!(schedule.opens.len(), 4);
    // Members 0 and 3 and the liar are a quorum.
    let opens: Vec<_> = schedule.opens[2..].to_vec();
    let own = opens[0].body.clone();
    let pieces = seals
        .iter()
        .map(|one| Piece::Share(*one, splits.polynomial(own.way), LIAR));
    let mut pieces: Vec<Piece> = pieces.collect();
    pieces.sort();
    let own = Arc::new(Signed {
        by: LIAR,
        body: Open { pieces, ..own },
    });
    for member in [3, 0] {
        for open in opens.iter().chain([&own]) {
            schedule.tell(member, Message::Open(open.clone()));
        }
    }
    let has_late = |member: Member| {
        let settled = schedule.members[&member].settled().unwrap();
        settled.set.contains(&late.named())
    };
    (could_read, has_late(3) && has_late(0))
}

#[test]
fn by_the_first_design_a_liar_reads_before_it_seals() {
    assert_eq!(play(Splits::One), (true, true));
    // One for the full set, one for all other sets.
    assert_eq!(play(Splits::FullAndSets), (true, true));
}

#[test]
fn with_a_polynomial_for_each_view_it_seals_before_it_reads() {
    // So its seal may be in the set.
    assert_eq!(play(Splits::PerWay), (false, true));
}
