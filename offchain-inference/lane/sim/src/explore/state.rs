// SPDX-License-Identifier: Apache-2.0
//! A state of the exploration, and the steps from it.

use std::{
    collections::{hash_map::DefaultHasher, BTreeMap, BTreeSet, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

use starling_lane::{
    broadcast::{Action, Broadcast, Event, Setting},
    contents::Contents,
    fixing::Frame,
    message::{Carried, Echo, Message, Open, Set, Signed, Word},
    timing::Timing,
};
use starling_lane_primitives::{messages::Named, Committee, Member, Way};

use super::{
    liar::{self, Said},
    Plan,
};
use crate::symbolic::{describe, describe_name, Piece, Seal, Symbolic};

type Machine = Broadcast<Symbolic>;
type Shared<T> = Arc<Signed<T>>;

/// A state: what each honest member has done, and what anybody has signed.
#[derive(Clone)]
pub(super) struct State {
    members: BTreeMap<Member, Machine>,
    prints: BTreeMap<Member, u64>,
    opens: BTreeMap<(Member, Way, Contents), Shared<Open<Piece>>>,
    echoes: BTreeMap<(u8, Member), Shared<Echo<Piece>>>,
    sets: BTreeMap<(u8, Contents), Shared<Set<Piece>>>,
    /// All seals by name, to judge complaints.
    known: Arc<BTreeMap<Named, Option<Seal>>>,
    judge: Symbolic,
    frame: Arc<Setting>,
    accused: BTreeSet<Member>,
    readable: bool,
    pub(super) said: Said,
}

/// A step with its description.
pub(super) type Step = (String, State);

impl State {
    /// The state in which the honest members have sealed.
    pub(super) fn new(plan: &Plan) -> Self {
        let committee = Committee::SMALLEST;
        let cipher = |me| Symbolic {
            me,
            splits: plan.splits,
        };
        let setting = |me| Setting {
            committee,
            me,
            seq: 0,
            sealers: committee.members().collect(),
            rules: plan.rules,
            timing: Timing { delay: 0, rank: 0 },
            deadline: 0,
        };
        let honest: Vec<Member> = committee
            .members()
            .filter(|one| *one != plan.liar)
            .collect();
        let mut members = BTreeMap::new();
        for me in honest {
            let cipher = Arc::new(cipher(me));
            let mut machine = Broadcast::new(Arc::new(setting(me)), cipher);
            machine.on(0, Event::Own(Some(first(me))));
            members.insert(me, machine);
        }
        let all = committee.members().flat_map(|member| {
            let bad = plan.bad_share.and_then(|one| 1u16.checked_shl(one.into()));
            [(0, 0), (1, 0), (1, bad.unwrap_or(0)), (2, 0)].map(|(variant, bad)| Seal {
                sealer: member,
                variant,
                bad,
            })
        });
        let known = all.map(|seal| (seal.named(), Some(seal))).collect();
        let mut state = Self {
            members,
            prints: BTreeMap::new(),
            opens: BTreeMap::new(),
            echoes: BTreeMap::new(),
            sets: BTreeMap::new(),
            known: Arc::new(known),
            judge: cipher(plan.liar),
            frame: Arc::new(setting(plan.liar)),
            accused: BTreeSet::new(),
            readable: false,
            said: Said::default(),
        };
        for member in state.members.clone().into_keys() {
            state.print(member);
        }
        state
    }

    fn print(&mut self, member: Member) {
        let mut hasher = DefaultHasher::new();
        self.members.get(&member).hash(&mut hasher);
        self.prints.insert(member, hasher.finish());
    }

    /// A name of this state. Two of different states are equal by chance alone.
    pub(super) fn fingerprint(&self) -> u128 {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            self.prints.hash(&mut hasher);
            for key in self.opens.keys() {
                key.hash(&mut hasher);
            }
            for (key, echo) in &self.echoes {
                (key, echo).hash(&mut hasher);
            }
            for key in self.sets.keys() {
                key.hash(&mut hasher);
            }
            self.readable.hash(&mut hasher);
            self.said.value.hash(&mut hasher);
            for (view, echo) in &self.said.echoes {
                (view, echo).hash(&mut hasher);
            }
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }

    /// The sets on which honest members have settled.
    pub(super) fn settled(&self) -> impl Iterator<Item = &Contents> {
        self.members
            .values()
            .filter_map(|machine| Some(&machine.settled()?.set))
    }

    /// Whether the liar can read the value of an honest member.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether somebody accuses an honest member.
    pub(super) fn accuses_honest(&self, plan: &Plan) -> bool {
        self.accused.iter().any(|member| *member != plan.liar)
    }

    pub(super) fn honest_names(&self) -> impl Iterator<Item = Named> + '_ {
        self.members.keys().map(|member| first(*member).named())
    }

    pub(super) fn collector(&self, view: u8) -> Member {
        self.frame().signer(view)
    }

    pub(super) fn frame(&self) -> Frame<'_, Symbolic> {
        Frame {
            committee: self.frame.committee,
            seq: self.frame.seq,
            sealers: &self.frame.sealers,
            rules: self.frame.rules,
            known: &self.known,
            cipher: &self.judge,
        }
    }

    /// The sets of a view that somebody has signed.
    pub(super) fn signed_sets(&self, view: u8) -> BTreeMap<Contents, Shared<Set<Piece>>> {
        self.sets
            .iter()
            .filter(|((of, _), _)| *of == view)
            .map(|((_, contents), set)| (contents.clone(), set.clone()))
            .collect()
    }

    /// Messages of honest members other than `except` about the set of a view.
    pub(super) fn honest_words(&self, view: u8, except: Option<Member>) -> Vec<Word<Piece>> {
        let echoes = self.echoes.values().filter(|echo| echo.body.view == view);
        let opens = self
            .opens
            .iter()
            .filter(|((_, way, _), _)| view == 0 && *way == Way::Full);
        echoes
            .map(|echo| Word::Echo(echo.clone()))
            .chain(opens.map(|(_, open)| Word::Open(open.clone())))
            .filter(|word| Some(word.by()) != except)
            .collect()
    }

    /// All steps from here.
    pub(super) fn steps(&self, plan: &Plan) -> Vec<Step> {
        let mut steps = Vec::new();
        let sets = liar::sets(plan, self);
        for (member, machine) in &self.members {
            if machine.settled().is_some() {
                continue;
            }
            if !machine.is_frozen() {
                self.full(plan, *member, &mut steps);
                self.first_echo(plan, *member, &mut steps);
            }
            self.next_echo(plan, *member, &mut steps);
            for (view, shown) in (0..).zip(&sets) {
                if self.collector(view) == *member && !machine.has_proposed(view) {
                    let lies = liar::words(plan, self, view, &sets);
                    self.fix(plan, *member, view, &lies, &mut steps);
                }
                for set in shown {
                    self.follow(plan, *member, set, &mut steps);
                }
            }
            self.settle(plan, *member, &mut steps);
        }
        steps
    }

    /// The member gets all seals, and opens the full set.
    fn full(&self, plan: &Plan, member: Member, steps: &mut Vec<Step>) {
        for seal in liar::seals(plan, self) {
            let mut next = self.clone();
            next.hear(plan, member, Some(seal));
            if next.has_opened(member) {
                next.print(member);
                steps.push((
                    format!("{member} opens all with {}", describe_name(&seal.named())),
                    next,
                ));
            }
        }
    }

    /// The member gets all honest seals, and these of the liar.
    fn hear(&mut self, plan: &Plan, member: Member, of_liar: Option<Seal>) {
        let seals: Vec<Seal> = self.members.keys().map(|one| first(*one)).collect();
        for seal in seals.into_iter().chain(of_liar) {
            self.deliver(plan, member, value(seal));
        }
    }

    /// The member gets some seals, waits no longer, and echoes.
    fn first_echo(&self, plan: &Plan, member: Member, steps: &mut Vec<Step>) {
        let others: Vec<Seal> = self
            .members
            .keys()
            .filter(|one| **one != member)
            .map(|one| first(*one))
            .collect();
        let of_liar = liar::seals(plan, self);
        for honest in liar::subsets(&others) {
            for lies in liar::subsets(&of_liar) {
                if plan.deniable && lies.len() > 1 {
                    continue;
                }
                let mut next = self.clone();
                for seal in honest.iter().chain(&lies) {
                    next.deliver(plan, member, value(*seal));
                }
                if next.has_opened(member) {
                    continue;
                }
                next.wake(plan, member, 0, steps);
            }
        }
    }

    /// The member's time is up: it echoes in the next view.
    fn next_echo(&self, plan: &Plan, member: Member, steps: &mut Vec<Step>) {
        let view = self
            .members
            .get(&member)
            .filter(|machine| machine.is_frozen())
            .and_then(Broadcast::next_view)
            .filter(|view| *view <= plan.last_view);
        if let Some(view) = view {
            self.clone().wake(plan, member, view, steps);
        }
    }

    fn wake(mut self, plan: &Plan, member: Member, view: u8, steps: &mut Vec<Step>) {
        self.event(plan, member, Event::Wake);
        let Some(echo) = self.echoes.get(&(view, member)) else {
            return;
        };
        let named = describe(&echo.body.named);
        let carried = match &echo.body.opened {
            None => String::new(),
            Some(Carried::Full(set)) => format!(", has opened the full {}", describe(set)),
            Some(Carried::Set(set)) => format!(
                ", has opened {} of view {}",
                describe(&set.body.set),
                set.body.view
            ),
        };
        let step = format!("{member} echoes {named} in view {view}{carried}");
        self.print(member);
        steps.push((step, self));
    }

    /// The member as a collector gets what others say, and fixes a set.
    fn fix(
        &self,
        plan: &Plan,
        member: Member,
        view: u8,
        lies: &[Word<Piece>],
        steps: &mut Vec<Step>,
    ) {
        let mut seen = BTreeSet::new();
        let honest = self.honest_words(view, Some(member));
        let lies: Vec<Option<&Word<Piece>>> = lies.iter().map(Some).chain([None]).collect();
        for some in liar::subsets(&honest) {
            for lie in &lies {
                let mut next = self.clone();
                for word in some.iter().chain(*lie) {
                    next.tell(plan, member, word);
                }
                let proposed = next
                    .members
                    .get(&member)
                    .is_some_and(|machine| machine.has_proposed(view));
                if !proposed {
                    continue;
                }
                if plan.deniable {
                    next.said.note(plan, lie.iter().copied());
                }
                next.print(member);
                if seen.insert(next.fingerprint()) {
                    let of = next.sets.keys().filter(|(of, _)| *of == view);
                    let sets: Vec<String> = of.map(|(_, set)| describe(set)).collect();
                    let step = format!("{member} collects {} in view {view}", sets.join(" "));
                    steps.push((step, next));
                }
            }
        }
    }

    /// The member gets a word with the seals that it names.
    fn tell(&mut self, plan: &Plan, member: Member, word: &Word<Piece>) {
        let message = match word {
            Word::Echo(echo) => Message::Echo(echo.clone()),
            Word::Open(open) => Message::Open(open.clone()),
        };
        self.deliver(plan, member, message);
        self.supply(plan, member, word.names());
    }

    /// The member gets the seals of these names that it lacks.
    fn supply(&mut self, plan: &Plan, member: Member, names: impl Iterator<Item = Named>) {
        let names: BTreeSet<Named> = names.collect();
        for seal in names.iter().filter_map(liar::seal_of) {
            self.deliver(plan, member, value(seal));
        }
    }

    /// The member gets a set with its seals, and opens it.
    fn follow(&self, plan: &Plan, member: Member, set: &liar::Shown, steps: &mut Vec<Step>) {
        let (view, contents) = (set.body.view, &set.body.set);
        let mut next = self.clone();
        next.deliver(plan, member, Message::Set(set.clone()));
        next.supply(plan, member, set.body.names());
        let key = (member, Way::View(view), contents.clone());
        if self.opens.contains_key(&key) || !next.opens.contains_key(&key) {
            return;
        }
        next.sets
            .entry((view, contents.clone()))
            .or_insert_with(|| set.clone());
        if plan.deniable {
            next.said.note(plan, set.body.words.iter());
            next.said.note_names(plan, contents.iter());
        }
        next.print(member);
        let step = format!("{member} opens {} of view {view}", describe(contents));
        steps.push((step, next));
    }

    /// The member gets the opens of a set from all who have opened it, and from the liar.
    fn settle(&self, plan: &Plan, member: Member, steps: &mut Vec<Step>) {
        let keys: BTreeSet<(Way, &Contents)> =
            self.opens.keys().map(|(_, way, set)| (*way, set)).collect();
        for (way, set) in keys {
            let of: Vec<_> = self
                .opens
                .values()
                .filter(|open| open.body.set == *set && open.body.way == way)
                .cloned()
                .collect();
            let mut next = self.clone();
            for open in of.into_iter().chain([liar::open(plan, way, set)]) {
                next.deliver(plan, member, Message::Open(open));
            }
            next.supply(plan, member, set.iter().copied());
            let machine = next.members.get(&member);
            if machine.is_some_and(|machine| machine.settled().is_some()) {
                next.print(member);
                steps.push((format!("{member} settles on {}", describe(set)), next));
            }
        }
    }

    fn has_opened(&self, member: Member) -> bool {
        self.members
            .get(&member)
            .is_some_and(|machine| !machine.opened().is_empty())
    }

    fn deliver(&mut self, plan: &Plan, member: Member, message: Message<Symbolic>) {
        if let (true, Message::Value(value)) = (plan.deniable, &message) {
            if let Some(seal) = value.body.filter(|seal| seal.sealer == plan.liar) {
                self.said.value = Some(seal.variant);
            }
        }
        self.event(plan, member, Event::Message(plan.liar, message));
    }

    /// Gives an event to a member, and notes what it says.
    fn event(&mut self, plan: &Plan, member: Member, event: Event<Symbolic>) {
        let Some(machine) = self.members.get_mut(&member) else {
            return;
        };
        let actions = machine.on(0, event);
        self.note(plan, member, actions);
    }

    fn note(&mut self, plan: &Plan, member: Member, actions: Vec<Action<Symbolic>>) {
        // A collector does not send its echo of view 0 to itself.
        let own = self.members.get(&member).and_then(Broadcast::own_echo);
        if let Some(echo) = own {
            self.echo(echo.clone());
        }
        for action in actions {
            match action {
                Action::Send(_, message) | Action::Broadcast(message) => {
                    self.say(plan, member, message);
                },
                Action::Accuse(accused, _) => {
                    self.accused.insert(accused);
                },
                Action::WakeAt(_) | Action::Settled(_) => (),
            }
        }
    }

    fn say(&mut self, plan: &Plan, member: Member, message: Message<Symbolic>) {
        match message {
            Message::Open(open) if open.by == member => {
                let key = (member, open.body.way, open.body.set.clone());
                self.opens.insert(key, open);
                self.readable |= self.can_read(plan);
            },
            Message::Echo(echo) if echo.by == member => self.echo(echo),
            Message::Set(set) if set.by == member => {
                let key = (set.body.view, set.body.set.clone());
                let others = self
                    .sets
                    .keys()
                    .any(|(view, contents)| *view == set.body.view && *contents != set.body.set);
                if others {
                    self.accused.insert(member);
                }
                self.sets.entry(key).or_insert(set);
            },
            _ => (),
        }
    }

    fn echo(&mut self, echo: Shared<Echo<Piece>>) {
        let key = (echo.body.view, echo.by);
        let other = self.echoes.get(&key).is_some_and(|known| *known != echo);
        if other {
            self.accused.insert(echo.by);
        }
        self.echoes.insert(key, echo);
    }

    /// Whether `f + 1` honest members have opened one seal of an honest member by one polynomial.
    fn can_read(&self, plan: &Plan) -> bool {
        self.honest_names().any(|named| {
            let mut openers: BTreeMap<Way, BTreeSet<Member>> = BTreeMap::new();
            for (member, way, set) in self.opens.keys() {
                if set.contains(&named) {
                    let polynomial = plan.splits.polynomial(*way);
                    openers.entry(polynomial).or_default().insert(*member);
                }
            }
            openers.values().any(|members| members.len() > 1)
        })
    }

    /// Whether all honest members settle in a calm view: everything that anybody has signed or
    /// heard is delivered, timers fire one after the other, and the liar says nothing more.
    pub(super) fn settles_in_calm(&self) -> bool {
        let mut calm = self.clone();
        let mut queue: VecDeque<(Member, Message<Symbolic>)> = VecDeque::new();
        for machine in self.members.values() {
            for named in machine.heard() {
                queue.extend(liar::seal_of(named).map(|seal| (seal.sealer, value(seal))));
            }
        }
        for open in self.opens.values() {
            queue.push_back((open.by, Message::Open(open.clone())));
        }
        for set in self.sets.values() {
            queue.push_back((set.by, Message::Set(set.clone())));
            for seal in set.body.set.iter().filter_map(liar::seal_of) {
                queue.push_back((seal.sealer, value(seal)));
            }
        }
        for echo in self.echoes.values() {
            queue.push_back((echo.by, Message::Echo(echo.clone())));
        }
        calm.drain(queue);
        // The members of the lowest view go on first, until all are in one.
        while let Some(view) = calm.lowest_view() {
            let mut queue = VecDeque::new();
            for (member, machine) in &mut calm.members {
                if machine.settled().is_none() && machine.next_view() == Some(view) {
                    for action in machine.on(0, Event::Wake) {
                        post(*member, action, &mut queue);
                    }
                }
            }
            calm.drain(queue);
        }
        calm.members
            .values()
            .all(|machine| machine.settled().is_some())
    }

    fn lowest_view(&self) -> Option<u8> {
        self.members
            .values()
            .filter(|machine| machine.settled().is_none())
            .filter_map(Broadcast::next_view)
            .min()
    }

    /// Delivers everything to everybody, until there is nothing left.
    fn drain(&mut self, mut queue: VecDeque<(Member, Message<Symbolic>)>) {
        while let Some((from, message)) = queue.pop_front() {
            for (member, machine) in &mut self.members {
                if *member == from {
                    continue;
                }
                for action in machine.on(0, Event::Message(from, message.clone())) {
                    post(*member, action, &mut queue);
                }
            }
        }
    }
}

/// Everybody gets what is sent to anybody, but for wishes.
fn post(
    member: Member,
    action: Action<Symbolic>,
    queue: &mut VecDeque<(Member, Message<Symbolic>)>,
) {
    match action {
        Action::Send(_, Message::Fetch(_)) => (),
        Action::Send(_, message) | Action::Broadcast(message) => {
            queue.push_back((member, message));
        },
        Action::WakeAt(_) | Action::Settled(_) | Action::Accuse(..) => (),
    }
}

/// The seal of an honest member.
fn first(sealer: Member) -> Seal {
    Seal {
        sealer,
        variant: 0,
        bad: 0,
    }
}

fn value(seal: Seal) -> Message<Symbolic> {
    Message::Value(Signed {
        by: seal.sealer,
        body: Some(seal),
    })
}
