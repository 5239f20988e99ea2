// SPDX-License-Identifier: Apache-2.0
//! Habits of liars. A liar runs the honest machine, and changes what that sends.

use std::sync::Arc;

use rand::{seq::IndexedRandom, Rng};
use rand_chacha::ChaCha8Rng;
use starling_lane::{
    message::{self, Open, Set, Signed},
    request::Message,
    timing::Time,
};
use starling_lane_primitives::Member;

use crate::symbolic::{Piece, Seal, Symbolic};

/// A liar's habit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// It sends nothing.
    Silent,
    /// It stops at some time.
    Crash,
    /// It sends each message to some members alone.
    Partial,
    /// It seals one value for some members and another one for the others.
    TwoSeals,
    /// Its seal has bad shares for some members.
    BadShares,
    /// It gives pieces that do not fit.
    BadPieces,
    /// As a collector it shows a set to some members, and one without itself to the others.
    TwoSets,
    /// It votes for something else.
    BadVote,
}

impl Habit {
    /// All habits.
    pub const ALL: [Self; 8] = [
        Self::Silent,
        Self::Crash,
        Self::Partial,
        Self::TwoSeals,
        Self::BadShares,
        Self::BadPieces,
        Self::TwoSets,
        Self::BadVote,
    ];

    /// Whether the liar signs two things of which it may sign one.
    pub fn signs_two(self) -> bool {
        matches!(self, Self::TwoSeals | Self::TwoSets)
    }

    /// Whether the liar can stop a request, and leaves a proof.
    pub fn stops(self) -> bool {
        matches!(self, Self::BadShares | Self::TwoSets)
    }
}

/// A liar in one request.
pub(super) struct Liar {
    habit: Habit,
    /// Members that get one thing, while the others get another one: bit `i` for member `i`.
    side: u16,
    stops: Time,
}

impl Liar {
    pub(super) fn draw(habits: &[Habit], rng: &mut ChaCha8Rng) -> Self {
        Self {
            habit: habits.choose(rng).copied().unwrap_or(Habit::Silent),
            side: rng.random(),
            stops: rng.random_range(0..400_000),
        }
    }

    pub(super) fn habit(&self) -> Habit {
        self.habit
    }

    /// The seal of its value in a phase.
    pub(super) fn seal(&self, me: Member) -> Seal {
        Seal {
            sealer: me,
            variant: 0,
            bad: if self.habit == Habit::BadShares {
                self.side
            } else {
                0
            },
        }
    }

    /// Its message to a member in place of an honest one, if any.
    pub(super) fn change(
        &self,
        now: Time,
        me: Member,
        to: Member,
        message: Message<Symbolic>,
    ) -> Option<Message<Symbolic>> {
        let other_side = self.side.checked_shr(to.into()).unwrap_or(0) & 1 == 1;
        match (self.habit, message) {
            (Habit::Silent, _) => None,
            (Habit::Crash, _) if now > self.stops => None,
            (Habit::Partial, _) if other_side => None,
            (Habit::TwoSeals, Message::Of(phase, message)) if other_side => {
                Some(Message::Of(phase, second_seal(me, message)))
            },
            (Habit::BadPieces, Message::Of(phase, message)) => {
                Some(Message::Of(phase, bad_pieces(me, message)))
            },
            (Habit::TwoSets, Message::Of(phase, message)) if other_side => {
                Some(Message::Of(phase, second_set(message)))
            },
            (Habit::BadVote, Message::Vote(_)) => Some(Message::Vote([0xff; 32])),
            (_, message) => Some(message),
        }
    }
}

type Inner = message::Message<Symbolic>;

fn second_seal(me: Member, message: Inner) -> Inner {
    match message {
        Inner::Value(Signed {
            by,
            body: Some(seal),
        }) if by == me => Inner::Value(Signed {
            by,
            body: Some(Seal { variant: 1, ..seal }),
        }),
        other => other,
    }
}

fn bad_pieces(me: Member, message: Inner) -> Inner {
    match message {
        Inner::Open(open) if open.by == me => {
            let Open { way, set, pieces } = &open.body;
            Inner::Open(Arc::new(Signed {
                by: open.by,
                body: Open {
                    way: *way,
                    set: set.clone(),
                    pieces: pieces.iter().map(|_| Piece::Rubbish).collect(),
                },
            }))
        },
        other => other,
    }
}

/// A set of the same view from other words: those of the collector itself without its own seal. If
/// no other set follows, members refuse it.
fn second_set(message: Inner) -> Inner {
    let Inner::Set(set) = message else {
        return message;
    };
    let by = set.by;
    let words = set.body.words.iter().map(|word| match word {
        message::Word::Echo(echo) if echo.by == by => {
            let fewer = echo.body.named.iter().filter(|named| named.member != by);
            message::Word::Echo(Arc::new(Signed {
                by,
                body: message::Echo {
                    named: fewer.copied().collect(),
                    ..echo.body.clone()
                },
            }))
        },
        other => other.clone(),
    });
    let fewer = set.body.set.iter().filter(|named| named.member != by);
    Inner::Set(Arc::new(Signed {
        by,
        body: Set {
            view: set.body.view,
            set: fewer.copied().collect(),
            words: words.collect(),
        },
    }))
}
