// SPDX-License-Identifier: Apache-2.0
//! Messages come out of their bytes as they went in, and nothing comes out that was not signed.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::{collections::BTreeSet, sync::Arc};

use codec::{DecodeAll, Encode};
use starling_lane::{
    book::{said_by_echo, said_by_open, said_by_value, Book, Signer},
    cipher::{Ordered, Piece, Sealed},
    contents::Contents,
    message::{Carried, Echo, Message, Open, Set, Signed, Word},
    transport::MAX_MESSAGE,
    wire::{self, Item, Opened, Packet, Place, Refused},
};
use starling_lane_primitives::{
    certificate::Signature,
    hashing,
    messages::{self, is_equivocation, Named},
    seal::{self, DecryptionKey, Seal},
    Committee, Hash, Member, Phase, Slot, Way,
};

const SLOT: Slot = Slot {
    genesis: [1; 32],
    lane: 2,
    epoch: 3,
    seq: 4,
    phase: Phase::Responses,
};

const ASK: Hash = [7; 32];

/// Signs by a hash that names the member.
struct Pen(Member);

fn signed(by: Member, payload: &Hash) -> Signature {
    let hash = hashing::hash(&(by, payload));
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&hash);
    signature
}

impl Signer for Pen {
    fn is_signed(&self, by: Member, payload: &Hash, signature: &Signature) -> bool {
        signed(by, payload) == *signature
    }

    fn sign(&self, payload: &Hash) -> Option<Signature> {
        Some(signed(self.0, payload))
    }
}

fn book(me: Option<Member>) -> Book {
    let accounts = Committee::SMALLEST.members().map(|member| [member; 32]);
    Book::new(SLOT, ASK, me, accounts.collect())
}

fn seal(by: Member, slot: Slot) -> Ordered {
    seal_of(by, slot, ASK)
}

fn seal_of(by: Member, slot: Slot, ask: Hash) -> Ordered {
    let committee = Committee::SMALLEST;
    let key = |member| DecryptionKey::from_bytes(&[member + 1; 64]).public();
    let keys: Vec<_> = committee.members().map(key).collect();
    let views = committee.views();
    let place = seal::Place {
        slot,
        ask,
        sealer: [by; 32],
    };
    let seal = Seal::new(committee, place, &keys, views, &[by + 9; 32], b"x");
    Ordered(seal.unwrap())
}

fn named(member: Member, seal: Option<u8>) -> Named {
    Named {
        member,
        seal: seal.map(|seal| [seal; 32]),
    }
}

fn contents(seals: &[u8]) -> Contents {
    let members = Committee::SMALLEST.members();
    members
        .zip(seals)
        .map(|(member, seal)| named(member, Some(*seal)))
        .collect()
}

fn open(by: Member, way: Way) -> Arc<Signed<Open<Piece>>> {
    Arc::new(Signed {
        by,
        body: Open {
            way,
            set: contents(&[1, 2, 3, 4]),
            pieces: vec![Piece::Share([by; 32]), Piece::Complaint([[by; 32]; 3])],
        },
    })
}

fn echo(by: Member, view: u8, opened: Option<Carried<Piece>>) -> Arc<Signed<Echo<Piece>>> {
    Arc::new(Signed {
        by,
        body: Echo {
            view,
            named: contents(&[1, 2, 3]),
            complaints: vec![(named(2, Some(3)), Piece::Complaint([[by; 32]; 3]))],
            opened,
        },
    })
}

/// A set of a view, by echoes that carry the set of the view before.
fn set(view: u8) -> Arc<Signed<Set<Piece>>> {
    let before = view.checked_sub(1).map(|before| Carried::Set(set(before)));
    let carried = |by| match &before {
        Some(before) => Some(before.clone()),
        None => (by == 1).then(|| Carried::Full(contents(&[1, 2, 3, 4]))),
    };
    let mut words: Vec<_> = (0..3)
        .map(|by| Word::Echo(echo(by, view, carried(by))))
        .collect();
    words.push(Word::Open(open(3, Way::Full)));
    Arc::new(Signed {
        by: view % 4,
        body: Set {
            view,
            set: contents(&[1, 2]),
            words,
        },
    })
}

/// Signs a message in the name of all members, writes it, and reads it in a fresh book.
fn through(message: &Message<Sealed>) -> Result<Message<Sealed>, Refused> {
    wire::read(&mut book(None), &Pen(9), Phase::Responses, items(message))
}

fn items(message: &Message<Sealed>) -> Vec<Item> {
    let mut all = book(None);
    learn(&mut all, message, &mut BTreeSet::new());
    wire::write(&mut all, &Pen(9), Phase::Responses, message).unwrap()
}

/// Takes the signatures of all members in a message. A book learns those of others by reading.
fn learn(all: &mut Book, message: &Message<Sealed>, seen: &mut BTreeSet<Hash>) {
    let phase = Phase::Responses;
    let (by, said) = match message {
        Message::Value(value) => (value.by, said_by_value(value.body.as_ref())),
        Message::Open(open) => (open.by, said_by_open(open.by, &open.body)),
        Message::Echo(echo) => (echo.by, said_by_echo(&echo.body)),
        Message::Set(set) => (set.by, all.said_by_set(phase, &set.body).unwrap()),
        Message::Fetch(_) => return,
    };
    let payload = all.payload(phase, by, &said).unwrap();
    let taken = all.take(&Pen(9), phase, by, &said, signed(by, &payload));
    assert_eq!(taken, Ok(()));
    if !seen.insert(payload) {
        return;
    }
    match message {
        Message::Echo(echo) => {
            if let Some(Carried::Set(set)) = &echo.body.opened {
                learn(all, &Message::Set(set.clone()), seen);
            }
        },
        Message::Set(set) => {
            for word in &set.body.words {
                let inner = match word {
                    Word::Echo(echo) => Message::Echo(echo.clone()),
                    Word::Open(open) => Message::Open(open.clone()),
                };
                learn(all, &inner, seen);
            }
        },
        Message::Value(_) | Message::Open(_) | Message::Fetch(_) => {},
    }
}

fn are_equal(left: &Message<Sealed>, right: &Message<Sealed>) -> bool {
    match (left, right) {
        (Message::Value(left), Message::Value(right)) => left == right,
        (Message::Open(left), Message::Open(right)) => left == right,
        (Message::Echo(left), Message::Echo(right)) => left == right,
        (Message::Set(left), Message::Set(right)) => left == right,
        (Message::Fetch(left), Message::Fetch(right)) => left == right,
        _ => false,
    }
}

fn all_messages() -> Vec<Message<Sealed>> {
    vec![
        Message::Value(Signed {
            by: 1,
            body: Some(seal(1, SLOT)),
        }),
        Message::Value(Signed { by: 2, body: None }),
        Message::Open(open(3, Way::View(1))),
        Message::Echo(echo(0, 0, None)),
        Message::Echo(echo(0, 2, Some(Carried::Set(set(1))))),
        Message::Set(set(2)),
        Message::Fetch(named(1, None)),
    ]
}

#[test]
fn messages_come_out_as_they_went_in() {
    for message in all_messages() {
        assert!(are_equal(&through(&message).unwrap(), &message));
        let packet = Packet::Of {
            place: Place {
                lane: 2,
                epoch: 3,
                seq: 4,
            },
            phase: Phase::Responses,
            items: items(&message),
        };
        let bytes = packet.write().unwrap();
        assert_eq!(Packet::read(&bytes), Some(packet));
        assert_eq!(Packet::read(&[&bytes[..], &[0]].concat()), None);
    }
}

#[test]
fn what_a_message_holds_many_times_is_written_once() {
    // Each set holds three echoes, an open, and the set before.
    assert_eq!(items(&Message::Set(set(2))).len(), 3 * 3 + 1 + 3);
}

#[test]
fn no_signature_may_be_wrong_wherever_it_is() {
    let items = items(&Message::Set(set(1)));
    for index in 0..items.len() {
        let mut forged = items.clone();
        match &mut forged[index] {
            Item::Value { signature, .. }
            | Item::Open { signature, .. }
            | Item::Echo { signature, .. }
            | Item::Set { signature, .. } => signature[0] ^= 1,
            Item::Fetch(_) => unreachable!(),
        }
        let read = wire::read(&mut book(None), &Pen(9), Phase::Responses, forged);
        assert_eq!(read.err(), Some(Refused::Signature));
    }
    // Nor may it be of another phase.
    let read = wire::read(&mut book(None), &Pen(9), Phase::Scores, items);
    assert_eq!(read.err(), Some(Refused::Signature));
}

#[test]
fn a_seal_of_another_place_is_refused() {
    let later = Slot { seq: 5, ..SLOT };
    for (by, body) in [(1, seal(1, later)), (2, seal(1, SLOT))] {
        let message = Message::Value(Signed {
            by,
            body: Some(body),
        });
        assert_eq!(through(&message).err(), Some(Refused::Misplaced));
    }
}

#[test]
fn seals_of_two_asks_do_not_mix() {
    let value = |ask| {
        Message::Value(Signed {
            by: 1,
            body: Some(seal_of(1, SLOT, ask)),
        })
    };
    assert!(through(&value(ASK)).is_ok());
    assert_eq!(through(&value([8; 32])).err(), Some(Refused::OtherAsk));

    // Who seals for both leaves evidence.
    let mut book = book(None);
    for ask in [ASK, [8; 32]] {
        assert_eq!(book.evidence(), []);
        // The second one is refused.
        let _ = wire::read(&mut book, &Pen(9), Phase::Responses, items(&value(ask)));
    }
    assert_eq!(book.evidence().len(), 1);
}

#[test]
fn items_name_earlier_ones_of_the_right_kind() {
    let good = items(&Message::Set(set(1)));
    let mut forward = good.clone();
    let last = forward.len() - 1;
    let Item::Set { words, .. } = &mut forward[last] else {
        unreachable!();
    };
    words[0] = u16::try_from(last).unwrap();
    let mut endless = good.clone();
    for item in &mut endless {
        if let Item::Echo {
            opened: Some(Opened::Set(number)),
            ..
        } = item
        {
            *number = 0;
        }
    }
    for bad in [forward, endless, vec![]] {
        let read = wire::read(&mut book(None), &Pen(9), Phase::Responses, bad);
        assert_eq!(read.err(), Some(Refused::Malformed));
    }
}

#[test]
fn a_message_that_reaches_too_much_is_refused() {
    // Few bytes, but each set reaches the one before three times.
    let carrying = |view| Message::Echo(echo(0, view + 1, Some(Carried::Set(set(view)))));
    assert_eq!(through(&carrying(8)).err(), None);
    assert_eq!(through(&carrying(9)).err(), Some(Refused::Malformed));
}

#[test]
fn a_long_packet_is_not_read() {
    let value = Packet::Of {
        place: Place {
            lane: 0,
            epoch: 0,
            seq: 0,
        },
        phase: Phase::Scores,
        items: vec![Item::Fetch(named(0, None)); MAX_MESSAGE],
    };
    assert_eq!(value.write(), None);
    assert_eq!(Packet::read(&value.encode()), None);
    assert_eq!(Packet::decode_all(&mut &value.encode()[..]), Ok(value));
}

#[test]
fn who_signs_two_things_leaves_evidence() {
    let mut book = book(None);
    let mut hear = |message: &Message<Sealed>| {
        let read = wire::read(&mut book, &Pen(9), Phase::Responses, items(message));
        assert!(read.is_ok());
        book.evidence()
    };
    let pass = Message::Value(Signed { by: 1, body: None });
    let value = Message::Value(Signed {
        by: 1,
        body: Some(seal(1, SLOT)),
    });
    let others = [
        Message::Open(open(1, Way::Full)),
        Message::Open(open(1, Way::View(0))),
        Message::Echo(echo(1, 0, None)),
        Message::Echo(echo(1, 1, None)),
        Message::Value(Signed { by: 2, body: None }),
    ];
    for honest in others.iter().chain([&pass, &pass]) {
        assert_eq!(hear(honest), []);
    }
    let found = hear(&value);
    let [evidence] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(evidence.by, [1; 32]);
    let (first, second) = (&evidence.first, &evidence.second);
    assert!(is_equivocation(
        (&first.0, &first.1),
        (&second.0, &second.1)
    ));
    for (slot, message, signature) in [first, second] {
        let payload = messages::payload(slot, &evidence.by, message);
        assert!(Pen(9).is_signed(1, &payload, signature));
    }
    assert_eq!(hear(&value), [], "it is known");
}

#[test]
fn who_says_too_much_takes_no_place_of_others() {
    let mut book = book(None);
    let mut open = |by: Member, round: u8| {
        let body = Open {
            way: Way::Full,
            set: contents(&[1, 2, 3, 4]),
            pieces: vec![Piece::Share([round; 32])],
        };
        let message = Message::Open(Arc::new(Signed { by, body }));
        let read = wire::read(&mut book, &Pen(9), Phase::Responses, items(&message));
        read.map(|_| ())
    };
    let told: Vec<_> = (0..=u8::MAX).map(|round| open(1, round)).collect();
    assert_eq!(told.first(), Some(&Ok(())));
    assert_eq!(told.last(), Some(&Err(Refused::Full(1))));
    assert_eq!(open(1, 0), Ok(()), "it is known");
    assert_eq!(open(2, 0), Ok(()), "the others are heard");
    // A flood of opens does not silence its own sender, which others wait for.
    let echoed = items(&Message::Echo(echo(1, 0, None)));
    let read = wire::read(&mut book, &Pen(9), Phase::Responses, echoed);
    assert!(read.is_ok());
}

#[test]
fn nobody_signs_for_another() {
    let mut own = book(Some(1));
    let pass = |by| Message::Value(Signed { by, body: None });
    let phase = Phase::Responses;
    assert!(wire::write(&mut own, &Pen(1), phase, &pass(1)).is_some());
    assert!(wire::write(&mut own, &Pen(1), phase, &pass(2)).is_none());
}
