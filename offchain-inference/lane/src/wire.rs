// SPDX-License-Identifier: Apache-2.0
//! Messages as bytes, with all their signatures.
//!
//! Sets hold echoes, and echoes hold sets. Written as a tree they would grow with each view, so a
//! message is a list of items, each of which names earlier ones. The last one is the message.

use std::{collections::HashMap, sync::Arc};

use codec::{Decode, DecodeAll, Encode};
use starling_lane_primitives::{
    certificate::Signature,
    checkpoint::Checkpoint,
    messages::{self, Ask, Named},
    seal::Seal,
    Hash, Member, Phase, Way,
};

use crate::{
    book::{piece, said_by_echo, said_by_open, said_by_value, shown, Book, Signer},
    cipher::{Ordered, Piece, Sealed},
    contents::Contents,
    message::{Carried, Echo, Message, Open, Set, Signed, Word},
    transport::MAX_MESSAGE,
};

/// The most items of a message, each counted as often as it is reached. The machine walks over all
/// of them.
const MOST_REACHED: u32 = 1 << 16;

/// A packet from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Packet {
    /// A request, signed by the lane's key.
    #[codec(index = 0)]
    Ask {
        /// The request.
        ask: Ask,
        /// The signature under its hash.
        signature: Signature,
    },
    /// A message of one of the broadcasts of a request.
    #[codec(index = 1)]
    Of {
        /// The request.
        place: Place,
        /// The broadcast.
        phase: Phase,
        /// The message.
        items: Vec<Item>,
    },
    /// A vote.
    #[codec(index = 2)]
    Vote {
        /// The request.
        place: Place,
        /// The member.
        by: Member,
        /// The outcome that it votes for.
        outcome: Hash,
        /// The signature.
        signature: Signature,
    },
    /// A signature under a checkpoint.
    #[codec(index = 3)]
    Checkpoint {
        /// The checkpoint.
        checkpoint: Checkpoint,
        /// The member.
        by: Member,
        /// The signature.
        signature: Signature,
    },
}

/// The name of a request on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Place {
    /// The lane.
    pub lane: u64,
    /// The epoch.
    pub epoch: u32,
    /// The number of the request.
    pub seq: u32,
}

impl Packet {
    /// The packet in these bytes, if they are one to the last byte.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= MAX_MESSAGE)
            .then(|| Self::decode_all(&mut &*bytes).ok())
            .flatten()
    }

    /// The bytes; `None` if they are too many to be sent.
    pub fn write(&self) -> Option<Vec<u8>> {
        Some(self.encode()).filter(|bytes| bytes.len() <= MAX_MESSAGE)
    }
}

/// A part of a message. Numbers are those of earlier items.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Item {
    /// A seal or a pass.
    #[codec(index = 0)]
    Value {
        /// The member.
        by: Member,
        /// The seal.
        seal: Option<Box<Seal>>,
        /// The signature.
        signature: Signature,
    },
    /// An open.
    #[codec(index = 1)]
    Open {
        /// The member.
        by: Member,
        /// The way in which the set was fixed.
        way: Way,
        /// The set.
        set: Vec<Named>,
        /// The pieces.
        pieces: Vec<messages::Piece>,
        /// The signature.
        signature: Signature,
    },
    /// An echo.
    #[codec(index = 2)]
    Echo {
        /// The member.
        by: Member,
        /// The view.
        view: u8,
        /// The seals and passes that it has.
        named: Vec<Named>,
        /// The seals that it complains of.
        complaints: Vec<(Named, messages::Piece)>,
        /// The set that it opened last.
        opened: Option<Opened>,
        /// The signature.
        signature: Signature,
    },
    /// A set.
    #[codec(index = 3)]
    Set {
        /// The collector.
        by: Member,
        /// The view.
        view: u8,
        /// The contents.
        set: Vec<Named>,
        /// The echoes and opens from which it follows.
        words: Vec<u16>,
        /// The signature.
        signature: Signature,
    },
    /// The wish for a seal, unsigned.
    #[codec(index = 4)]
    Fetch(Named),
}

/// A set that a member has opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Opened {
    /// The full set with these contents.
    #[codec(index = 0)]
    Full(Vec<Named>),
    /// The set of a collector.
    #[codec(index = 1)]
    Set(u16),
}

/// The reason why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has no meaning.
    Malformed,
    /// A seal belongs to another request, phase or member.
    Misplaced,
    /// A seal answers another ask with the same number. Its member may be honest: the requester has
    /// asked twice.
    OtherAsk,
    /// A signature is wrong.
    Signature,
    /// This member has signed more than a member may. Whoever passes it on does not know.
    Full(Member),
}

/// The items of a message. `None` if a signature is missing, or there are too many items.
pub fn write(
    book: &mut Book,
    signer: &dyn Signer,
    phase: Phase,
    message: &Message<Sealed>,
) -> Option<Vec<Item>> {
    let mut writer = Writer {
        book,
        signer,
        phase,
        items: Vec::new(),
        numbers: HashMap::new(),
        seen: HashMap::new(),
    };
    match message {
        Message::Value(value) => writer.value(value),
        Message::Open(open) => writer.open(open),
        Message::Echo(echo) => writer.echo(echo),
        Message::Set(set) => writer.set(set),
        Message::Fetch(named) => writer.push(Item::Fetch(*named)),
    }?;
    Some(writer.items)
}

struct Writer<'a> {
    book: &'a mut Book,
    signer: &'a dyn Signer,
    phase: Phase,
    items: Vec<Item>,
    /// The numbers of items, by their bytes.
    numbers: HashMap<Vec<u8>, u16>,
    /// The numbers of messages, by their addresses: a message may hold another one many times.
    seen: HashMap<usize, u16>,
}

impl Writer<'_> {
    fn push(&mut self, item: Item) -> Option<u16> {
        let bytes = item.encode();
        if let Some(number) = self.numbers.get(&bytes) {
            return Some(*number);
        }
        let number = u16::try_from(self.items.len()).ok()?;
        self.items.push(item);
        self.numbers.insert(bytes, number);
        Some(number)
    }

    fn sign(&mut self, by: Member, said: &messages::Message) -> Option<Signature> {
        let payload = self.book.payload(self.phase, by, said)?;
        self.book.signature(self.signer, by, payload)
    }

    /// The number of a message, which `write` writes if nobody has.
    fn once<T>(
        &mut self,
        message: &Arc<T>,
        write: impl FnOnce(&mut Self) -> Option<u16>,
    ) -> Option<u16> {
        let address = Arc::as_ptr(message) as usize;
        if let Some(number) = self.seen.get(&address) {
            return Some(*number);
        }
        let number = write(self)?;
        self.seen.insert(address, number);
        Some(number)
    }

    fn value(&mut self, value: &Signed<Option<Ordered>>) -> Option<u16> {
        let signature = self.sign(value.by, &said_by_value(value.body.as_ref()))?;
        self.push(Item::Value {
            by: value.by,
            seal: value.body.as_ref().map(|seal| Box::new(seal.0.clone())),
            signature,
        })
    }

    fn open(&mut self, open: &Arc<Signed<Open<Piece>>>) -> Option<u16> {
        self.once(open, |writer| {
            let signature = writer.sign(open.by, &said_by_open(open.by, &open.body))?;
            let pieces = open.body.pieces.iter();
            writer.push(Item::Open {
                by: open.by,
                way: open.body.way,
                set: open.body.set.iter().copied().collect(),
                pieces: pieces.map(|piece| shown(open.by, piece)).collect(),
                signature,
            })
        })
    }

    fn echo(&mut self, echo: &Arc<Signed<Echo<Piece>>>) -> Option<u16> {
        self.once(echo, |writer| {
            let opened = match &echo.body.opened {
                None => None,
                Some(Carried::Full(set)) => Some(Opened::Full(set.iter().copied().collect())),
                Some(Carried::Set(set)) => Some(Opened::Set(writer.set(set)?)),
            };
            let signature = writer.sign(echo.by, &said_by_echo(&echo.body))?;
            let complaints = echo.body.complaints.iter();
            writer.push(Item::Echo {
                by: echo.by,
                view: echo.body.view,
                named: echo.body.named.iter().copied().collect(),
                complaints: complaints
                    .map(|(named, piece)| (*named, shown(echo.by, piece)))
                    .collect(),
                opened,
                signature,
            })
        })
    }

    fn set(&mut self, set: &Arc<Signed<Set<Piece>>>) -> Option<u16> {
        self.once(set, |writer| {
            let words = set.body.words.iter().map(|word| match word {
                Word::Echo(echo) => writer.echo(echo),
                Word::Open(open) => writer.open(open),
            });
            let words = words.collect::<Option<Vec<u16>>>()?;
            let said = writer.book.said_by_set(writer.phase, &set.body)?;
            let signature = writer.sign(set.by, &said)?;
            writer.push(Item::Set {
                by: set.by,
                view: set.body.view,
                set: set.body.set.iter().copied().collect(),
                words,
                signature,
            })
        })
    }
}

/// The message of these items, after every signature in it was checked.
pub fn read(
    book: &mut Book,
    signer: &dyn Signer,
    phase: Phase,
    items: Vec<Item>,
) -> Result<Message<Sealed>, Refused> {
    let mut reader = Reader {
        book,
        signer,
        phase,
        messages: Vec::new(),
    };
    for item in items {
        let reached = reader.read(item)?;
        reader.messages.push(reached);
    }
    let last = reader.messages.pop().ok_or(Refused::Malformed)?;
    Ok(last.0)
}

struct Reader<'a> {
    book: &'a mut Book,
    signer: &'a dyn Signer,
    phase: Phase,
    /// The messages so far, with the number of items that are reached from each.
    messages: Vec<(Message<Sealed>, u32)>,
}

impl Reader<'_> {
    fn read(&mut self, item: Item) -> Result<(Message<Sealed>, u32), Refused> {
        match item {
            Item::Value {
                by,
                seal,
                signature,
            } => {
                let place = self.book.place(self.phase, by);
                let place = place.ok_or(Refused::Malformed)?;
                let is_placed =
                    |seal: &Seal| seal.slot == place.slot && seal.sealer == place.sealer;
                if seal.as_deref().is_some_and(|seal| !is_placed(seal)) {
                    return Err(Refused::Misplaced);
                }
                let is_other = seal.as_deref().is_some_and(|seal| seal.ask != place.ask);
                let body = seal.map(|seal| Ordered(*seal));
                // A member that has sealed for two asks has signed two seals, and is reported.
                self.check(by, &said_by_value(body.as_ref()), signature)?;
                if is_other {
                    return Err(Refused::OtherAsk);
                }
                Ok((Message::Value(Signed { by, body }), 1))
            },
            Item::Open {
                by,
                way,
                set,
                pieces,
                signature,
            } => {
                let pieces: Option<Vec<Piece>> =
                    pieces.iter().map(|shown| piece(by, shown)).collect();
                let body = Open {
                    way,
                    set: set.into_iter().collect(),
                    pieces: pieces.ok_or(Refused::Malformed)?,
                };
                self.check(by, &said_by_open(by, &body), signature)?;
                Ok((Message::Open(Arc::new(Signed { by, body })), 1))
            },
            Item::Echo {
                by,
                view,
                named,
                complaints,
                opened,
                signature,
            } => self.echo(by, view, named, &complaints, opened, signature),
            Item::Set {
                by,
                view,
                set,
                words,
                signature,
            } => self.set(by, view, set, words, signature),
            Item::Fetch(named) => Ok((Message::Fetch(named), 1)),
        }
    }

    fn echo(
        &mut self,
        by: Member,
        view: u8,
        named: Vec<Named>,
        complaints: &[(Named, messages::Piece)],
        opened: Option<Opened>,
        signature: Signature,
    ) -> Result<(Message<Sealed>, u32), Refused> {
        let complaints: Option<Vec<(Named, Piece)>> = complaints
            .iter()
            .map(|(named, shown)| Some((*named, piece(by, shown)?)))
            .collect();
        let mut reached = 1;
        let opened = match opened {
            None => None,
            Some(Opened::Full(set)) => Some(Carried::Full(Contents::from_iter(set))),
            Some(Opened::Set(number)) => match self.messages.get(usize::from(number)) {
                Some((Message::Set(set), more)) if set.body.view < view => {
                    reached = more.saturating_add(1);
                    Some(Carried::Set(set.clone()))
                },
                _ => return Err(Refused::Malformed),
            },
        };
        let body = Echo {
            view,
            named: named.into_iter().collect(),
            complaints: complaints.ok_or(Refused::Malformed)?,
            opened,
        };
        self.check(by, &said_by_echo(&body), signature)?;
        Ok((Message::Echo(Arc::new(Signed { by, body })), reached))
    }

    fn set(
        &mut self,
        by: Member,
        view: u8,
        set: Vec<Named>,
        words: Vec<u16>,
        signature: Signature,
    ) -> Result<(Message<Sealed>, u32), Refused> {
        let mut reached = 1u32;
        let mut read = Vec::new();
        for number in words {
            let (message, more) = self
                .messages
                .get(usize::from(number))
                .ok_or(Refused::Malformed)?;
            reached = reached.saturating_add(*more);
            read.push(match message {
                Message::Echo(echo) if echo.body.view == view => Word::Echo(echo.clone()),
                Message::Open(open) => Word::Open(open.clone()),
                _ => return Err(Refused::Malformed),
            });
        }
        if reached > MOST_REACHED {
            return Err(Refused::Malformed);
        }
        let body = Set {
            view,
            set: set.into_iter().collect(),
            words: read,
        };
        let said = self.book.said_by_set(self.phase, &body);
        self.check(by, &said.ok_or(Refused::Malformed)?, signature)?;
        Ok((Message::Set(Arc::new(Signed { by, body })), reached))
    }

    fn check(
        &mut self,
        by: Member,
        said: &messages::Message,
        signature: Signature,
    ) -> Result<(), Refused> {
        if self.book.account(by).is_none() {
            return Err(Refused::Malformed);
        }
        self.book.take(self.signer, self.phase, by, said, signature)
    }
}
