// SPDX-License-Identifier: Apache-2.0
//! The signatures of one request, and the bytes that each of its messages is signed as.

use std::collections::HashMap;

use starling_lane_primitives::{
    certificate::Signature,
    complaint::Complaint,
    hashing,
    messages::{self, Named},
    Account, Hash, Member, Phase, Slot, Way,
};

use crate::{
    cipher::{Ordered, Piece},
    message::{Carried, Echo, Open, Set, Word},
};

const WORDS: &[u8] = b"starling/lane-words/1";

/// The most signatures of one request. Honest members make far fewer.
const MOST: usize = 4_096;

/// Makes and checks signatures of the members of one committee.
pub trait Signer: Send + Sync {
    /// Whether a member has signed this.
    fn is_signed(&self, by: Member, payload: &Hash, signature: &Signature) -> bool;

    /// The signature of this node's member.
    fn sign(&self, payload: &Hash) -> Option<Signature>;
}

/// The signatures that a node has seen or made in one request.
pub struct Book {
    slot: Slot,
    me: Option<Member>,
    accounts: Vec<Account>,
    signatures: HashMap<(Member, Hash), Signature>,
}

impl Book {
    /// A book without a signature, for a committee of these accounts in the order of draws. `slot`
    /// is that of the responses.
    pub fn new(slot: Slot, me: Option<Member>, accounts: Vec<Account>) -> Self {
        Self {
            slot,
            me,
            accounts,
            signatures: HashMap::new(),
        }
    }

    /// The slot of a phase.
    pub fn slot(&self, phase: Phase) -> Slot {
        Slot { phase, ..self.slot }
    }

    /// The account of a member.
    pub fn account(&self, member: Member) -> Option<Account> {
        self.accounts.get(usize::from(member)).copied()
    }

    /// The signed payload of what a member says.
    pub fn payload(&self, phase: Phase, by: Member, message: &messages::Message) -> Option<Hash> {
        let account = self.account(by)?;
        Some(messages::payload(&self.slot(phase), &account, message))
    }

    /// The signed payload of a set.
    pub fn payload_of_set(&self, phase: Phase, by: Member, set: &Set<Piece>) -> Option<Hash> {
        let words: Option<Vec<(Member, Hash)>> = set
            .words
            .iter()
            .map(|word| {
                let said = match word {
                    Word::Echo(echo) => said_by_echo(&echo.body),
                    Word::Open(open) => said_by_open(open.by, &open.body),
                };
                Some((word.by(), self.payload(phase, word.by(), &said)?))
            })
            .collect();
        let message = messages::Message::Set {
            view: set.view,
            set: set.set.root(),
            echoes: hashing::hash(&(WORDS, words?)),
        };
        self.payload(phase, by, &message)
    }

    /// The signature of a member, made now if it is this one's.
    pub fn signature(
        &mut self,
        signer: &dyn Signer,
        by: Member,
        payload: Hash,
    ) -> Option<Signature> {
        if let Some(known) = self.signatures.get(&(by, payload)) {
            return Some(*known);
        }
        if self.me != Some(by) {
            return None;
        }
        let made = signer.sign(&payload)?;
        self.signatures.insert((by, payload), made);
        Some(made)
    }

    /// Takes a signature if it is good, and there is room.
    pub fn take(
        &mut self,
        signer: &dyn Signer,
        by: Member,
        payload: Hash,
        signature: Signature,
    ) -> bool {
        if self.signatures.contains_key(&(by, payload)) {
            return true;
        }
        if self.signatures.len() >= MOST || !signer.is_signed(by, &payload, &signature) {
            return false;
        }
        self.signatures.insert((by, payload), signature);
        true
    }
}

/// What a seal or a pass says.
pub fn said_by_value(value: Option<&Ordered>) -> messages::Message {
    value.map_or(messages::Message::Pass, |seal| {
        messages::Message::Seal(seal.0.hash())
    })
}

/// What an open says.
pub fn said_by_open(by: Member, open: &Open<Piece>) -> messages::Message {
    messages::Message::Open {
        way: open.way,
        set: open.set.root(),
        pieces: open.pieces.iter().map(|piece| shown(by, piece)).collect(),
    }
}

/// What an echo says.
pub fn said_by_echo(echo: &Echo<Piece>) -> messages::Message {
    messages::Message::Echo {
        view: echo.view,
        named: echo.named.iter().copied().collect::<Vec<Named>>(),
        opened: echo.opened.as_ref().map(|opened| match opened {
            Carried::Full(set) => (Way::Full, set.root()),
            Carried::Set(set) => (Way::View(set.body.view), set.body.set.root()),
        }),
    }
}

/// A piece with the member that gives it.
pub(crate) fn shown(by: Member, piece: &Piece) -> messages::Piece {
    match piece {
        Piece::Share(share) => messages::Piece::Share(*share),
        Piece::Complaint([shared, challenge, response]) => messages::Piece::Complaint(Complaint {
            member: by,
            shared: *shared,
            challenge: *challenge,
            response: *response,
        }),
    }
}

/// The piece of a member; `None` if it is another's complaint.
pub(crate) fn piece(by: Member, shown: &messages::Piece) -> Option<Piece> {
    match shown {
        messages::Piece::Share(share) => Some(Piece::Share(*share)),
        messages::Piece::Complaint(complaint) => {
            (complaint.member == by).then_some(Piece::Complaint([
                complaint.shared,
                complaint.challenge,
                complaint.response,
            ]))
        },
    }
}
