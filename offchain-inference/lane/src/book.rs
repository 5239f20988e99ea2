// SPDX-License-Identifier: Apache-2.0
//! The signatures of one request, and the bytes that each of its messages is signed as.

use std::collections::HashMap;

use starling_lane_primitives::{
    certificate::Signature,
    complaint::Complaint,
    hashing,
    messages::{self, Named},
    seal, Account, Hash, Member, Phase, Slot, Way,
};

use crate::{
    cipher::{Ordered, Piece},
    message::{Carried, Echo, Open, Set, Word},
    wire::Refused,
};

const WORDS: &[u8] = b"starling/lane-words/1";

/// The most signatures of a member under opens, and the most under all else, in one request. An
/// honest member of the largest committee makes fewer than half as many. Two budgets, so that a
/// flood of opens, which prove no lie, does not use up the place of echoes.
const MOST_OF_A_MEMBER: usize = 64;

/// The most messages of a member that are compared with its later ones.
const MOST_SAID: usize = 64;

/// A message with its slot and its signature.
pub type Said = (Slot, messages::Message, Signature);

/// Two things that a member has signed in one request, of which it may sign one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The member.
    pub by: Account,
    /// The first that it signed, as far as this node knows.
    pub first: Said,
    /// The others that it signed.
    pub second: Said,
}

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
    ask: Hash,
    me: Option<Member>,
    accounts: Vec<Account>,
    signatures: HashMap<(Member, Hash), Signature>,
    /// The numbers of others' signatures: of each member, under opens or not.
    counts: HashMap<(Member, bool), usize>,
    /// The words of others, opens left out.
    said: HashMap<Member, Vec<Said>>,
    evidence: Vec<Evidence>,
}

impl Book {
    /// A book without a signature, for a committee of these accounts in the order of draws. `slot`
    /// is that of the responses, and `ask` the hash of the ask that they answer.
    pub fn new(slot: Slot, ask: Hash, me: Option<Member>, accounts: Vec<Account>) -> Self {
        Self {
            slot,
            ask,
            me,
            accounts,
            signatures: HashMap::new(),
            counts: HashMap::new(),
            said: HashMap::new(),
            evidence: Vec::new(),
        }
    }

    /// The slot of a phase.
    pub fn slot(&self, phase: Phase) -> Slot {
        Slot { phase, ..self.slot }
    }

    /// The place that a member's seal belongs to.
    pub fn place(&self, phase: Phase, by: Member) -> Option<seal::Place> {
        Some(seal::Place {
            slot: self.slot(phase),
            ask: self.ask,
            sealer: self.account(by)?,
        })
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

    /// The words of a set.
    pub fn said_by_set(&self, phase: Phase, set: &Set<Piece>) -> Option<messages::Message> {
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
        Some(messages::Message::Set {
            view: set.view,
            set: set.set.root(),
            echoes: hashing::hash(&(WORDS, words?)),
        })
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

    /// Takes what a member has said if the signature is good, and the member has not said too much.
    pub fn take(
        &mut self,
        signer: &dyn Signer,
        phase: Phase,
        by: Member,
        message: &messages::Message,
        signature: Signature,
    ) -> Result<(), Refused> {
        let payload = self.payload(phase, by, message);
        let payload = payload.ok_or(Refused::Malformed)?;
        if self.signatures.contains_key(&(by, payload)) {
            return Ok(());
        }
        if !signer.is_signed(by, &payload, &signature) {
            return Err(Refused::Signature);
        }
        let count = self.counts.entry((by, is_open(message))).or_default();
        if *count >= MOST_OF_A_MEMBER {
            return Err(Refused::Full(by));
        }
        *count = count.saturating_add(1);
        self.signatures.insert((by, payload), signature);
        self.compare(phase, by, message, signature);
        Ok(())
    }

    /// The evidence that was found since the last call.
    pub fn evidence(&mut self) -> Vec<Evidence> {
        std::mem::take(&mut self.evidence)
    }

    /// Compares a message with the earlier ones of its member.
    fn compare(
        &mut self,
        phase: Phase,
        by: Member,
        message: &messages::Message,
        signature: Signature,
    ) {
        let (slot, account) = (self.slot(phase), self.account(by));
        let (Some(account), false) = (account, is_open(message)) else {
            return;
        };
        let known = self.said.entry(by).or_default();
        let second: Said = (slot, message.clone(), signature);
        let first = known
            .iter()
            .find(|(other, first, _)| messages::is_equivocation((other, first), (&slot, message)));
        if let Some(first) = first {
            self.evidence.push(Evidence {
                by: account,
                first: first.clone(),
                second: second.clone(),
            });
        }
        if known.len() < MOST_SAID {
            known.push(second);
        }
    }
}

fn is_open(message: &messages::Message) -> bool {
    matches!(message, messages::Message::Open { .. })
}

/// The words of a seal or a pass.
pub fn said_by_value(value: Option<&Ordered>) -> messages::Message {
    value.map_or(messages::Message::Pass, |seal| {
        messages::Message::Seal(seal.0.hash())
    })
}

/// The words of an open.
pub fn said_by_open(by: Member, open: &Open<Piece>) -> messages::Message {
    messages::Message::Open {
        way: open.way,
        set: open.set.root(),
        pieces: open.pieces.iter().map(|piece| shown(by, piece)).collect(),
    }
}

/// The words of an echo.
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
