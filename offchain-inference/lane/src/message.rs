// SPDX-License-Identifier: Apache-2.0
//! The messages of one sealed broadcast.
//!
//! All signatures are checked before a message gets here, those of messages in messages too. So a
//! `Signed` was said by its member.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use starling_lane_primitives::{messages::Named, Member, Way};

use crate::{cipher::Cipher, contents::Contents};

/// Something that a member has signed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signed<T> {
    /// The member.
    pub by: Member,
    /// The signed content.
    pub body: T,
}

/// A message.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message<C: Cipher> {
    /// A seal, or a pass without one. Anyone may pass it on.
    Value(Signed<Option<C::Seal>>),
    /// The pieces that open a set. Anyone may pass it on.
    Open(Arc<Signed<Open<C::Piece>>>),
    /// The pieces of a member that waits no longer.
    Echo(Arc<Signed<Echo<C::Piece>>>),
    /// A set that the collector of its view has fixed.
    Set(Arc<Signed<Set<C::Piece>>>),
    /// The wish for a seal.
    Fetch(Named),
}

impl<C: Cipher> Clone for Message<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Value(value) => Self::Value(value.clone()),
            Self::Open(open) => Self::Open(open.clone()),
            Self::Echo(echo) => Self::Echo(echo.clone()),
            Self::Set(set) => Self::Set(set.clone()),
            Self::Fetch(named) => Self::Fetch(*named),
        }
    }
}

/// The pieces of a member that open all seals of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Open<Piece> {
    /// The way in which the set was fixed.
    pub way: Way,
    /// The set.
    pub set: Contents,
    /// A piece for each seal of the set, in its order.
    pub pieces: Vec<Piece>,
}

/// The pieces of a member that waits no longer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Echo<Piece> {
    /// The view.
    pub view: u8,
    /// The seals and passes that it has. Two of one member show that this member sealed twice.
    pub named: Contents,
    /// The seals that it complains of.
    pub complaints: Vec<(Named, Piece)>,
    /// The set that it opened last.
    pub opened: Option<Carried<Piece>>,
}

/// A set that a member has opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carried<Piece> {
    /// The full set with these contents.
    Full(Contents),
    /// The set of a collector.
    Set(Arc<Signed<Set<Piece>>>),
}

/// A set that the collector of a view has fixed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set<Piece> {
    /// The view.
    pub view: u8,
    /// The contents, which follow from the words.
    pub set: Contents,
    /// Words of a quorum of members.
    pub words: Vec<Word<Piece>>,
}

/// Two sets of one view with equal contents do the same to everybody, whatever the words.
impl<Piece> Hash for Set<Piece> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.view, &self.set).hash(state);
    }
}

/// A member's word about the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word<Piece> {
    /// An echo of the view.
    Echo(Arc<Signed<Echo<Piece>>>),
    /// It has opened a full set. That counts as an echo of view 0.
    Open(Arc<Signed<Open<Piece>>>),
}

impl<Piece> Word<Piece> {
    /// The member.
    pub fn by(&self) -> Member {
        match self {
            Self::Echo(echo) => echo.by,
            Self::Open(open) => open.by,
        }
    }

    /// All seals and passes that it names.
    pub fn names(&self) -> Box<dyn Iterator<Item = Named> + '_> {
        match self {
            Self::Open(open) => Box::new(open.body.set.iter().copied()),
            Self::Echo(echo) => {
                let complained = echo.body.complaints.iter().map(|(named, _)| *named);
                let opened = echo.body.opened.iter().flat_map(Carried::names);
                Box::new(
                    echo.body
                        .named
                        .iter()
                        .copied()
                        .chain(complained)
                        .chain(opened),
                )
            },
        }
    }
}

impl<Piece> Carried<Piece> {
    fn names(&self) -> Box<dyn Iterator<Item = Named> + '_> {
        match self {
            Self::Full(set) => Box::new(set.iter().copied()),
            Self::Set(set) => Box::new(set.body.names()),
        }
    }
}

impl<Piece> Set<Piece> {
    /// All seals and passes that its words name.
    pub fn names(&self) -> impl Iterator<Item = Named> + '_ {
        self.words.iter().flat_map(Word::names)
    }
}
