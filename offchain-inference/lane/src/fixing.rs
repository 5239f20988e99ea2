// SPDX-License-Identifier: Apache-2.0
//! The set that follows from what a quorum has said.
//!
//! 1. If echoes carry sets of earlier views, it is that of the highest view. Two of one view show
//!    that its collector signed two, and there is no set.
//! 2. Otherwise, if somebody has opened a full set, it is that.
//! 3. Otherwise it is the union of all seals named, without those that a member complains of.
//!
//! The order of 1 and 2 matters. A quorum that opened a set shares an honest member with every
//! quorum of echoes. If this member has opened the full set before that set, the set must count.
//!
//! # Members that sealed twice
//!
//! The words themselves show them: two seals of one member are named, and everybody checks the
//! seals behind all names. Their words do not count, and the union is without them. If others have
//! opened a full set, or several, rule 2 takes one only if it may have settled.
//!
//! Let `k ≥ 1` members be shown, of `f` liars at most. A full set settles by the opens of all
//! members but one. Those who have opened it say so from then on, but for liars. So if it has
//! settled, at most `1 + (f − k) ≤ f` of the words that count are not for it. Of `2f + 1` words
//! that is less than half: two full sets cannot both pass. If none passes, none has settled.

use std::collections::{BTreeMap, BTreeSet};

use starling_lane_primitives::{messages::Named, Committee, Member, Way};

use crate::{
    cipher::Cipher,
    contents::Contents,
    message::{Carried, Echo, Set, Signed, Word},
    rules::{Doubles, Rules},
};

/// A broadcast, as far as a set needs it.
#[derive(Clone, Copy)]
pub struct Frame<'a, C: Cipher> {
    /// The sizes of the committee.
    pub committee: Committee,
    /// The number of the request, which draws the collectors.
    pub seq: u32,
    /// The members that may seal.
    pub sealers: &'a BTreeSet<Member>,
    /// The rules.
    pub rules: Rules,
    /// The seals that are known by name.
    pub known: &'a BTreeMap<Named, Option<C::Seal>>,
    /// Judges complaints.
    pub cipher: &'a C,
}

/// The reason why there is no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Fewer than a quorum of members have said anything that counts.
    TooFew,
    /// Echoes carry two sets of one view, or two full sets were opened.
    Tie,
    /// A word or a carried set breaks a rule.
    Invalid,
}

impl<C: Cipher> Frame<'_, C> {
    /// The least number of seals and passes that an echo names.
    pub fn least(&self) -> usize {
        let missing = usize::from(self.committee.n().saturating_sub(self.committee.quorum()));
        self.sealers.len().saturating_sub(missing)
    }

    /// Whether the contents are a seal or a pass of every sealer.
    pub fn is_full(&self, set: &Contents) -> bool {
        set.len() == self.sealers.len() && set.members() == *self.sealers
    }

    /// Whether a set follows from its words, and is signed by the collector of its view.
    pub fn is_valid(&self, set: &Signed<Set<C::Piece>>) -> bool {
        let Set {
            view,
            set: contents,
            words,
        } = &set.body;
        let speakers: BTreeSet<Member> = words.iter().map(Word::by).collect();
        *view < self.rules.views
            && set.by == self.signer(*view)
            && speakers.len() == words.len()
            && self.fix(*view, words).as_ref() == Ok(contents)
    }

    /// The collector of a view.
    pub fn signer(&self, view: u8) -> Member {
        self.committee.collector(self.seq, view)
    }

    /// The set of a view that follows from these words.
    pub fn fix(&self, view: u8, words: &[Word<C::Piece>]) -> Result<Contents, Refused> {
        let culprits = match self.rules.doubles {
            Doubles::Tie => BTreeSet::new(),
            Doubles::LeftOut => culprits(words),
        };
        let mut words: Vec<&Word<C::Piece>> = words.iter().collect();
        words.retain(|word| !culprits.contains(&word.by()));
        let quorum = usize::from(self.committee.quorum());
        if words.len() < quorum {
            return Err(Refused::TooFew);
        }
        if !words.iter().all(|word| self.counts(view, word)) {
            return Err(Refused::Invalid);
        }
        if let Some(carried) = carried(&words)? {
            return Ok(carried);
        }
        match self.full(&words, culprits.len())? {
            Some(full) => Ok(full),
            None => Ok(self.union(&words, &culprits)),
        }
    }

    /// The full set that must be taken by these words, of others than so many culprits.
    fn full(
        &self,
        words: &[&Word<C::Piece>],
        culprits: usize,
    ) -> Result<Option<Contents>, Refused> {
        let mut openers: BTreeMap<&Contents, usize> = BTreeMap::new();
        for set in words.iter().filter_map(|word| full_set(word)) {
            let count = openers.entry(set).or_default();
            *count = count.saturating_add(1);
        }
        let Some((set, count)) = openers.iter().max_by_key(|(_, count)| **count) else {
            return Ok(None);
        };
        if culprits == 0 {
            let is_only = openers.len() == 1;
            return is_only.then(|| Some((*set).clone())).ok_or(Refused::Tie);
        }
        let against = words.len().saturating_sub(*count);
        let may_have_settled = against <= self.most_against(culprits);
        Ok(may_have_settled.then(|| (*set).clone()))
    }

    /// The most words against a full set that has settled: those of members without whom it
    /// settles, and of liars that are not among the culprits.
    fn most_against(&self, culprits: usize) -> usize {
        let absent = self
            .committee
            .n()
            .saturating_sub(self.committee.opens(Way::Full));
        let hidden = usize::from(self.committee.f()).saturating_sub(culprits);
        hidden.saturating_add(absent.into())
    }

    /// Whether a word counts in a view.
    pub fn counts(&self, view: u8, word: &Word<C::Piece>) -> bool {
        match word {
            Word::Open(open) => {
                view == 0 && open.body.way == Way::Full && self.is_full(&open.body.set)
            },
            Word::Echo(echo) => echo.body.view == view && self.is_echo(&echo.body),
        }
    }

    fn is_echo(&self, echo: &Echo<C::Piece>) -> bool {
        let members = echo.named.members();
        let carried = match &echo.opened {
            None => true,
            Some(Carried::Full(set)) => self.is_full(set),
            Some(Carried::Set(set)) => set.body.view < echo.view && self.is_valid(set),
        };
        // Who has opened a set has said more by it than by names.
        let enough = echo.opened.is_some() || members.len() >= self.least();
        carried && enough && members.is_subset(self.sealers)
    }

    fn union(&self, words: &[&Word<C::Piece>], culprits: &BTreeSet<Member>) -> Contents {
        let echoes = || {
            words.iter().filter_map(|word| match word {
                Word::Echo(echo) => Some(echo),
                Word::Open(_) => None,
            })
        };
        let bad: BTreeSet<&Named> = echoes()
            .flat_map(|echo| {
                let justified = |complaint: &&(Named, C::Piece)| {
                    let (named, piece) = complaint;
                    self.known.get(named).is_some_and(|seal| {
                        seal.as_ref()
                            .is_some_and(|seal| self.cipher.complains(seal, echo.by, piece))
                    })
                };
                echo.body.complaints.iter().filter(justified)
            })
            .map(|(named, _)| named)
            .collect();
        let named: BTreeSet<&Named> = words.iter().flat_map(|word| named(word)).collect();
        let mut count: BTreeMap<Member, u32> = BTreeMap::new();
        for named in &named {
            let count = count.entry(named.member).or_default();
            *count = count.saturating_add(1);
        }
        named
            .into_iter()
            .filter(|named| !bad.contains(named) && count.get(&named.member) == Some(&1))
            .filter(|named| !culprits.contains(&named.member))
            .copied()
            .collect()
    }
}

/// The set of the highest view that echoes carry. Two of one view are a tie.
fn carried<Piece>(words: &[&Word<Piece>]) -> Result<Option<Contents>, Refused> {
    let carried: BTreeSet<(u8, &Contents)> = words
        .iter()
        .filter_map(|word| match word {
            Word::Echo(echo) => match &echo.body.opened {
                Some(Carried::Set(set)) => Some((set.body.view, &set.body.set)),
                _ => None,
            },
            Word::Open(_) => None,
        })
        .collect();
    let Some((highest, set)) = carried.last() else {
        return Ok(None);
    };
    let of_highest = carried.iter().filter(|(view, _)| view == highest);
    if of_highest.count() > 1 {
        return Err(Refused::Tie);
    }
    Ok(Some((*set).clone()))
}

/// The members that have sealed twice, by these words.
fn culprits<Piece>(words: &[Word<Piece>]) -> BTreeSet<Member> {
    let mut names: BTreeMap<Member, BTreeSet<&Named>> = BTreeMap::new();
    for one in words.iter().flat_map(named) {
        names.entry(one.member).or_default().insert(one);
    }
    let twice = names.into_iter().filter(|(_, names)| names.len() > 1);
    twice.map(|(member, _)| member).collect()
}

/// The full set that a member has opened, by its word.
fn full_set<Piece>(word: &Word<Piece>) -> Option<&Contents> {
    match word {
        Word::Open(open) => Some(&open.body.set),
        Word::Echo(echo) => match &echo.body.opened {
            Some(Carried::Full(set)) => Some(set),
            _ => None,
        },
    }
}

/// The seals and passes that a member has, by its word: those that it names, and those of the full
/// set that it has opened.
fn named<Piece>(word: &Word<Piece>) -> impl Iterator<Item = &Named> {
    let echoed = match word {
        Word::Echo(echo) => Some(&echo.body.named),
        Word::Open(_) => None,
    };
    echoed
        .into_iter()
        .chain(full_set(word))
        .flat_map(Contents::iter)
}
