// SPDX-License-Identifier: Apache-2.0
//! One sealed broadcast at one member: all publish a value each, and nobody can choose its value
//! after seeing another's.
//!
//! The machine has no clock, no socket and no randomness. [`Broadcast::on`] takes an event and
//! returns what is to be done. It never opens a value: when it is [settled](Action::Settled), the
//! pieces of a quorum are there.
//!
//! A member is *settled* as soon as it has [enough](Committee::opens) opens of one set, fixed in
//! one way. From then on it follows no other set. With at most `f` liars all that settle have the
//! same set.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    hash::{Hash, Hasher},
    sync::Arc,
};

use starling_lane_primitives::{messages::Named, Committee, Member, Way};

use crate::{
    cipher::{Cipher, Own},
    contents::Contents,
    fixing::Frame,
    message::{Carried, Echo, Message, Open, Set, Signed, Word},
    rules::Rules,
    timing::{Duration, Time, Timing},
};

/// The constants of a broadcast.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The sizes of the committee.
    pub committee: Committee,
    /// This member; a requester has a number above all members.
    pub me: Member,
    /// The number of the request.
    pub seq: u32,
    /// The members that may seal.
    pub sealers: BTreeSet<Member>,
    /// The rules.
    pub rules: Rules,
    /// Waiting times.
    pub timing: Timing,
    /// The time until which a member that has sealed nothing is not late.
    pub deadline: Time,
}

/// Something that happens to a member.
#[derive(Debug)]
pub enum Event<C: Cipher> {
    /// The member has sealed its own value, or passes.
    Own(Option<C::Seal>),
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
    /// Send the message to all other members.
    Broadcast(Message<C>),
    /// Give [`Event::Wake`] at this time, whatever was asked for before.
    WakeAt(Time),
    /// The set is fixed, and enough members have opened it.
    Settled(Settled<C>),
    /// A member has signed two things of which it may sign one.
    Accuse(Member, Offence),
}

/// A breach of the rules that signatures prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Two seals, or a seal and a pass.
    TwoValues,
    /// Two echoes of one view.
    TwoEchoes,
    /// Two sets of one view.
    TwoSets,
    /// Two votes in one request.
    TwoVotes,
}

/// A set that enough members have opened.
#[derive(Debug)]
pub struct Settled<C: Cipher> {
    /// The set.
    pub set: Contents,
    /// The way in which it was fixed.
    pub way: Way,
    /// Its seals.
    pub seals: Vec<(Member, C::Seal)>,
    /// The opens.
    pub opens: Vec<Arc<Signed<Open<C::Piece>>>>,
}

impl<C: Cipher> Clone for Settled<C> {
    fn clone(&self) -> Self {
        Self {
            set: self.set.clone(),
            way: self.way,
            seals: self.seals.clone(),
            opens: self.opens.clone(),
        }
    }
}

/// The sets that a member has opened, by the way in which each was fixed.
type Opened<C> = Vec<(Way, Carried<<C as Cipher>::Piece>)>;

/// Echoes by view and member.
type Echoes<C> = BTreeMap<(u8, Member), Arc<Signed<Echo<<C as Cipher>::Piece>>>>;

/// Opens of one set by member.
type Opens<C> = BTreeMap<Member, Arc<Signed<Open<<C as Cipher>::Piece>>>>;

/// A sealed broadcast at one member.
pub struct Broadcast<C: Cipher> {
    setting: Arc<Setting>,
    cipher: Arc<C>,
    /// All seals and passes that are known by name.
    known: BTreeMap<Named, Option<C::Seal>>,
    /// Those that came before the member waited no longer.
    heard: BTreeSet<Named>,
    /// The time at which they were enough for an echo.
    enough: Option<Time>,
    /// The view of the last echo.
    echoed: Option<u8>,
    opened: Opened<C>,
    /// Echoes of the views that this member collects.
    echoes: Echoes<C>,
    /// Opens, by way, set and member.
    opens: BTreeMap<(Way, Contents), Opens<C>>,
    /// The first set of each view, and whether it was followed.
    sets: BTreeMap<u8, Arc<Signed<Set<C::Piece>>>>,
    /// Sets that cannot be judged yet, since a seal that they name is missing: one a view.
    waiting: BTreeMap<u8, Arc<Signed<Set<C::Piece>>>>,
    proposed: BTreeSet<u8>,
    settled: Option<Settled<C>>,
}

impl<C: Cipher> Clone for Broadcast<C> {
    fn clone(&self) -> Self {
        Self {
            setting: self.setting.clone(),
            cipher: self.cipher.clone(),
            known: self.known.clone(),
            heard: self.heard.clone(),
            enough: self.enough,
            echoed: self.echoed,
            opened: self.opened.clone(),
            echoes: self.echoes.clone(),
            opens: self.opens.clone(),
            sets: self.sets.clone(),
            waiting: self.waiting.clone(),
            proposed: self.proposed.clone(),
            settled: self.settled.clone(),
        }
    }
}

/// Everything that decides what the member may still say. Seals that are known by name alone are
/// left out: they only save asking for them.
impl<C: Cipher> Hash for Broadcast<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.setting.me.hash(state);
        match &self.settled {
            Some(settled) => settled.set.hash(state),
            None => {
                self.heard.hash(state);
                self.echoed.hash(state);
                self.opened.hash(state);
                self.sets.hash(state);
            },
        }
        self.proposed.hash(state);
    }
}

type Actions<C> = Vec<Action<C>>;

impl<C: Cipher> Broadcast<C> {
    /// A broadcast in which nothing has happened.
    pub fn new(setting: Arc<Setting>, cipher: Arc<C>) -> Self {
        Self {
            setting,
            cipher,
            known: BTreeMap::new(),
            heard: BTreeSet::new(),
            enough: None,
            echoed: None,
            opened: Vec::new(),
            echoes: BTreeMap::new(),
            opens: BTreeMap::new(),
            sets: BTreeMap::new(),
            waiting: BTreeMap::new(),
            proposed: BTreeSet::new(),
            settled: None,
        }
    }

    /// Takes an event, and returns what is to be done, in this order.
    pub fn on(&mut self, now: Time, event: Event<C>) -> Actions<C> {
        let mut actions = Vec::new();
        match event {
            Event::Own(value) => self.seal(now, value, &mut actions),
            Event::Message(_, Message::Value(value)) => self.value(now, value, &mut actions),
            Event::Message(from, Message::Open(open)) => self.open(now, from, open, &mut actions),
            Event::Message(from, Message::Echo(echo)) => self.echo(now, from, echo, &mut actions),
            Event::Message(from, Message::Set(set)) => self.set(now, from, set, &mut actions),
            Event::Message(from, Message::Fetch(named)) => self.supply(from, &named, &mut actions),
            Event::Wake => self.wake(now, &mut actions),
        }
        actions
    }

    /// The set that enough members have opened.
    pub fn settled(&self) -> Option<&Settled<C>> {
        self.settled.as_ref()
    }

    /// The seals and passes that came before the member waited no longer.
    pub fn heard(&self) -> &BTreeSet<Named> {
        &self.heard
    }

    /// The view of the last echo.
    pub fn echoed(&self) -> Option<u8> {
        self.echoed
    }

    /// Whether the member takes no further seals into its echo, and opens no full set by itself. A
    /// requester, who is no member, never does.
    pub fn is_frozen(&self) -> bool {
        !self.is_member()
            || self.echoed.is_some()
            || !self.opened.is_empty()
            || self.settled.is_some()
    }

    /// The view of the echo that the member sends when its time is up. `None` if it has too few
    /// seals, or there was the last view.
    pub fn next_view(&self) -> Option<u8> {
        let opened = self.opened.iter().map(|(way, _)| match way {
            Way::Full => 0,
            Way::View(view) => *view,
        });
        match opened.max().max(self.echoed) {
            None => self.enough.map(|_| 0),
            Some(view) => view.checked_add(1),
        }
        .filter(|view| *view < self.setting.rules.views)
    }

    /// The member's own echo of a view that it collects.
    pub fn own_echo(&self) -> Option<&Arc<Signed<Echo<C::Piece>>>> {
        self.echoes.get(&(self.echoed?, self.setting.me))
    }

    /// The sets that the member has opened, in this order.
    pub fn opened(&self) -> &[(Way, Carried<C::Piece>)] {
        &self.opened
    }

    /// Whether the member as a collector has fixed a set of this view.
    pub fn has_proposed(&self, view: u8) -> bool {
        self.proposed.contains(&view)
    }

    fn is_member(&self) -> bool {
        self.setting.me < self.setting.committee.n()
    }

    /// The inputs of the rule of sets.
    pub fn frame(&self) -> Frame<'_, C> {
        Frame {
            committee: self.setting.committee,
            seq: self.setting.seq,
            sealers: &self.setting.sealers,
            rules: self.setting.rules,
            known: &self.known,
            cipher: &self.cipher,
        }
    }

    fn seal(&mut self, now: Time, value: Option<C::Seal>, actions: &mut Actions<C>) {
        let me = self.setting.me;
        // A value that comes after others may be known here would be sealed too late.
        let again = self.heard.iter().any(|named| named.member == me);
        if again || self.is_frozen() || !self.setting.sealers.contains(&me) {
            return;
        }
        let value = Signed {
            by: me,
            body: value,
        };
        actions.push(Action::Broadcast(Message::Value(value.clone())));
        self.value(now, value, actions);
    }

    fn value(&mut self, now: Time, value: Signed<Option<C::Seal>>, actions: &mut Actions<C>) {
        let named = Named {
            member: value.by,
            seal: value.body.as_ref().map(|seal| self.cipher.name(seal)),
        };
        if !self.setting.sealers.contains(&value.by) || self.known.contains_key(&named) {
            return;
        }
        let malformed = |seal: &C::Seal| !self.cipher.is_well_formed(seal);
        if value.body.as_ref().is_some_and(malformed) {
            return;
        }
        let others = self.known.keys().filter(|known| known.member == value.by);
        // Two show the offence, and more would fill the memory. A set may still need one: that is
        // asked for, and there are as many as views.
        let others = others.count();
        if others > usize::from(self.setting.rules.views).saturating_add(1) {
            return;
        }
        if others > 0 {
            actions.push(Action::Accuse(value.by, Offence::TwoValues));
        }
        self.known.insert(named, value.body);
        if !self.is_frozen() {
            self.heard.insert(named);
            self.look(now, actions);
        }
        for set in std::mem::take(&mut self.waiting).into_values() {
            if self.names_known(&set) {
                self.judge(now, set, actions);
            } else {
                self.waiting.insert(set.body.view, set);
            }
        }
        let views: BTreeSet<u8> = self.echoes.keys().map(|(view, _)| *view).collect();
        for view in views {
            self.propose(now, view, actions);
        }
        self.follow(now, actions);
        self.settle(actions);
    }

    /// Looks whether all values are here, or enough for an echo.
    fn look(&mut self, now: Time, actions: &mut Actions<C>) {
        let good: Contents = self
            .heard
            .iter()
            .filter(|named| self.complaint(named).is_none())
            .copied()
            .collect();
        if self.can_settle_in_full() && self.frame().is_full(&good) {
            self.publish(now, Way::Full, Carried::Full(good), actions);
            return;
        }
        let is_enough = good.members().len() >= self.frame().least();
        if self.enough.is_none() && is_enough {
            self.enough = Some(now);
            let from = now.max(self.setting.deadline);
            actions.push(Action::WakeAt(
                from.saturating_add(self.setting.timing.patience()),
            ));
        }
        let heard: BTreeSet<Member> = self.heard.iter().map(|named| named.member).collect();
        if is_enough && heard == self.setting.sealers {
            // Somebody sealed twice or badly, or too few may seal: nobody is left to wait for.
            actions.push(Action::WakeAt(now));
        }
    }

    /// Whether enough members for a full set have a part in this broadcast. Those who sealed no
    /// response would have to open scores.
    fn can_settle_in_full(&self) -> bool {
        let enough = self.setting.committee.opens(Way::Full);
        self.setting.sealers.len() >= enough.into()
    }

    /// The complaint of this member about a seal.
    fn complaint(&self, named: &Named) -> Option<C::Piece> {
        let seal = self.known.get(named)?.as_ref()?;
        match self.cipher.own(seal, Way::Full) {
            Own::Complaint(piece) => Some(piece),
            Own::Share(_) | Own::Malformed => None,
        }
    }

    /// Sends the pieces of all seals of a set.
    fn publish(
        &mut self,
        now: Time,
        way: Way,
        carried: Carried<C::Piece>,
        actions: &mut Actions<C>,
    ) {
        let set = match &carried {
            Carried::Full(set) => set.clone(),
            Carried::Set(set) => set.body.set.clone(),
        };
        let pieces = set
            .iter()
            .filter_map(|named| self.known.get(named)?.as_ref())
            .filter_map(|seal| match self.cipher.own(seal, way) {
                Own::Share(piece) | Own::Complaint(piece) => Some(piece),
                Own::Malformed => None,
            })
            .collect();
        self.opened.push((way, carried));
        let open = Arc::new(Signed {
            by: self.setting.me,
            body: Open { way, set, pieces },
        });
        actions.push(Action::Broadcast(Message::Open(open.clone())));
        let view = match way {
            Way::Full => 0,
            Way::View(view) => view,
        };
        actions.push(Action::WakeAt(now.saturating_add(self.delay(view))));
        self.open(now, self.setting.me, open, actions);
    }

    /// The time in which a set of this view should come, and be opened.
    fn delay(&self, view: u8) -> Duration {
        self.setting.timing.of_view(view)
    }

    fn wake(&mut self, now: Time, actions: &mut Actions<C>) {
        if self.settled.is_some() {
            return;
        }
        let Some(view) = self.next_view() else {
            return;
        };
        let echo = Arc::new(Signed {
            by: self.setting.me,
            body: Echo {
                view,
                named: self.heard.iter().copied().collect(),
                complaints: self.complaints(),
                opened: self.opened.last().map(|(_, carried)| carried.clone()),
            },
        });
        self.echoed = Some(view);
        actions.push(Action::WakeAt(now.saturating_add(self.delay(view))));
        let message = Message::Echo(echo.clone());
        let collector = self.frame().signer(view);
        if view > 0 {
            // Those who have settled help.
            actions.push(Action::Broadcast(message));
        } else if collector != self.setting.me {
            actions.push(Action::Send(collector, message));
        }
        self.echo(now, self.setting.me, echo, actions);
    }

    fn complaints(&self) -> Vec<(Named, C::Piece)> {
        self.heard
            .iter()
            .filter_map(|named| Some((*named, self.complaint(named)?)))
            .collect()
    }

    fn echo(
        &mut self,
        now: Time,
        from: Member,
        echo: Arc<Signed<Echo<C::Piece>>>,
        actions: &mut Actions<C>,
    ) {
        if let Some(settled) = &self.settled {
            if from != self.setting.me {
                for open in &settled.opens {
                    actions.push(Action::Send(from, Message::Open(open.clone())));
                }
            }
            return;
        }
        let view = echo.body.view;
        if self.frame().signer(view) != self.setting.me || view >= self.setting.rules.views {
            return;
        }
        match self.echoes.get(&(view, echo.by)) {
            Some(known) if *known != echo => {
                actions.push(Action::Accuse(echo.by, Offence::TwoEchoes));
                return;
            },
            Some(_) => return,
            None => (),
        }
        let names: BTreeSet<Named> = Word::Echo(echo.clone()).names().collect();
        self.fetch(names.iter(), from, actions);
        self.echoes.insert((view, echo.by), echo);
        self.propose(now, view, actions);
    }

    fn fetch<'a>(
        &self,
        names: impl Iterator<Item = &'a Named>,
        from: Member,
        actions: &mut Actions<C>,
    ) {
        for named in names.filter(|named| !self.known.contains_key(named)) {
            actions.push(Action::Send(from, Message::Fetch(*named)));
        }
    }

    fn supply(&self, from: Member, named: &Named, actions: &mut Actions<C>) {
        if let Some(value) = self.known.get(named) {
            let value = Signed {
                by: named.member,
                body: value.clone(),
            };
            actions.push(Action::Send(from, Message::Value(value)));
        }
    }

    /// Fixes the set of a view, if this member collects it and a quorum has spoken.
    fn propose(&mut self, now: Time, view: u8, actions: &mut Actions<C>) {
        let done = self.settled.is_some() || self.proposed.contains(&view);
        if done || self.frame().signer(view) != self.setting.me {
            return;
        }
        let Some((set, words)) = self.gather(view) else {
            return;
        };
        self.proposed.insert(view);
        let set = Arc::new(Signed {
            by: self.setting.me,
            body: Set { view, set, words },
        });
        actions.push(Action::Broadcast(Message::Set(set.clone())));
        self.judge(now, set, actions);
    }

    /// The words of a view from which a set follows. All of them, or a quorum that has no tie.
    fn gather(&self, view: u8) -> Option<(Contents, Vec<Word<C::Piece>>)> {
        let frame = self.frame();
        let known =
            |word: &Word<C::Piece>| word.names().all(|named| self.known.contains_key(&named));
        let echoes = self.echoes.range((view, 0)..=(view, Member::MAX));
        let mut words: BTreeMap<Member, Word<C::Piece>> = BTreeMap::new();
        for opens in self.opens.values() {
            for (member, open) in opens {
                words.insert(*member, Word::Open(open.clone()));
            }
        }
        for ((_, member), echo) in echoes {
            words.insert(*member, Word::Echo(echo.clone()));
        }
        words.retain(|_, word| frame.counts(view, word) && known(word));
        let words: Vec<Word<C::Piece>> = words.into_values().collect();
        let quorum = usize::from(self.setting.committee.quorum());
        choose(&words, 0, quorum, &mut |words| frame.fix(view, words).ok())
    }

    fn set(
        &mut self,
        now: Time,
        from: Member,
        set: Arc<Signed<Set<C::Piece>>>,
        actions: &mut Actions<C>,
    ) {
        let view = set.body.view;
        let is_signed_well = view < self.setting.rules.views && set.by == self.frame().signer(view);
        if self.settled.is_some() || !is_signed_well {
            return;
        }
        // The rule counts who sealed twice, and judges complaints: nobody may name what a member
        // has not signed.
        if self.names_known(&set) {
            self.judge(now, set, actions);
            return;
        }
        // Whoever passes on a set has these seals. Its collector may keep them back.
        let names: BTreeSet<Named> = set.body.names().collect();
        self.fetch(names.iter(), from, actions);
        self.waiting.entry(view).or_insert(set);
    }

    fn names_known(&self, set: &Signed<Set<C::Piece>>) -> bool {
        let mut names = set.body.names();
        names.all(|named| self.known.contains_key(&named))
    }

    /// Takes a set whose names are known, if it is valid.
    fn judge(&mut self, now: Time, set: Arc<Signed<Set<C::Piece>>>, actions: &mut Actions<C>) {
        if self.settled.is_some() {
            return;
        }
        if !self.frame().is_valid(&set) {
            return;
        }
        let view = set.body.view;
        match self.sets.get(&view) {
            Some(known) if *known != set => {
                actions.push(Action::Accuse(set.by, Offence::TwoSets));
                return;
            },
            Some(_) => return,
            None => (),
        }
        self.sets.insert(view, set);
        self.follow(now, actions);
    }

    /// Opens the set of the highest view, if it is not older than what the member has said.
    fn follow(&mut self, now: Time, actions: &mut Actions<C>) {
        if self.settled.is_some() || !self.is_member() {
            return;
        }
        let Some((view, set)) = self.sets.last_key_value() else {
            return;
        };
        let newest = self.opened.iter().map(|(way, _)| *way).max();
        let is_old = self.echoed.is_some_and(|echoed| echoed > *view)
            || newest.is_some_and(|newest| newest >= Way::View(*view));
        let all_known = set
            .body
            .set
            .iter()
            .all(|named| self.known.contains_key(named));
        if is_old || !all_known {
            return;
        }
        let (view, set) = (*view, set.clone());
        // A liar may have shown it to few.
        actions.push(Action::Broadcast(Message::Set(set.clone())));
        self.publish(now, Way::View(view), Carried::Set(set), actions);
    }

    fn open(
        &mut self,
        now: Time,
        from: Member,
        open: Arc<Signed<Open<C::Piece>>>,
        actions: &mut Actions<C>,
    ) {
        if self.settled.is_some() {
            return;
        }
        let Open { way, set, .. } = &open.body;
        let key = (*way, set.clone());
        // An honest member opens the full set and one of each view.
        let of_sender = self
            .opens
            .values()
            .filter(|opens| opens.contains_key(&open.by));
        let most = usize::from(self.setting.rules.views).saturating_add(1);
        if of_sender.count() >= most || !set.members().is_subset(&self.setting.sealers) {
            return;
        }
        let is_full = *way == Way::Full;
        self.fetch(set.iter(), from, actions);
        // A liar may give pieces that fit to some members alone. They pass them on.
        let is_bad = |open: &Signed<Open<C::Piece>>| {
            let seals = self.seals(&open.body.set);
            seals.is_some_and(|seals| !self.holds(&seals, open.body.way, open))
        };
        let known = self.opens.get(&key).and_then(|opens| opens.get(&open.by));
        if is_bad(&open) || known.is_some_and(|known| !is_bad(known)) {
            return;
        }
        self.opens.entry(key).or_default().insert(open.by, open);
        self.settle(actions);
        // While nobody echoes, more opens will settle the full set without a collector.
        let has_echo = self.echoes.keys().any(|(view, _)| *view == 0);
        if is_full && has_echo {
            self.propose(now, 0, actions);
        }
    }

    /// Looks whether enough members have opened one set.
    fn settle(&mut self, actions: &mut Actions<C>) {
        if self.settled.is_some() {
            return;
        }
        let found = self.opens.iter().find_map(|((way, set), opens)| {
            let enough = usize::from(self.setting.committee.opens(*way));
            if opens.len() < enough {
                return None;
            }
            let seals = self.seals(set)?;
            let opens: Vec<_> = opens
                .values()
                .filter(|open| self.holds(&seals, *way, open))
                .cloned()
                .collect();
            (opens.len() >= enough).then(|| Settled {
                set: set.clone(),
                way: *way,
                seals,
                opens,
            })
        });
        if let Some(settled) = found {
            self.settled = Some(settled.clone());
            actions.push(Action::Settled(settled));
        }
    }

    /// The seals of a set, if all are known.
    fn seals(&self, set: &Contents) -> Option<Vec<(Member, C::Seal)>> {
        let values: Option<Vec<_>> = set
            .iter()
            .map(|named| Some((named.member, self.known.get(named)?)))
            .collect();
        let sealed = |(member, value): (Member, &Option<C::Seal>)| Some((member, value.clone()?));
        Some(values?.into_iter().filter_map(sealed).collect())
    }

    /// Whether all pieces of an open are fitting shares or justified complaints.
    fn holds(&self, seals: &[(Member, C::Seal)], way: Way, open: &Signed<Open<C::Piece>>) -> bool {
        let pieces = &open.body.pieces;
        seals.len() == pieces.len()
            && seals.iter().zip(pieces).all(|((_, seal), piece)| {
                self.cipher.fits(seal, way, open.by, piece)
                    || self.cipher.complains(seal, open.by, piece)
            })
    }
}

/// The result for the first of these that has one: all words, then `least` or more of them. Words
/// before `from` stay, so that none are tried twice.
fn choose<T: Clone, R>(
    words: &[T],
    from: usize,
    least: usize,
    judge: &mut impl FnMut(&[T]) -> Option<R>,
) -> Option<(R, Vec<T>)> {
    if let Some(result) = judge(words) {
        return Some((result, words.to_vec()));
    }
    if words.len() <= least {
        return None;
    }
    (from..words.len()).find_map(|without| {
        let mut fewer = words.to_vec();
        fewer.remove(without);
        choose(&fewer, without, least, judge)
    })
}
