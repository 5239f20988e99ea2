// SPDX-License-Identifier: Apache-2.0
//! All schedules of one broadcast of four members with one liar.
//!
//! # What is explored
//!
//! Three honest members have sealed. The network delivers any of their messages to anybody at any
//! time or never, and timers fire at any time: the scheduler is as bad as it can be. The liar says
//! to each member whatever it can sign: several seals, echoes that name any seals and carry any
//! valid set, opens of any set, and as a collector every set that follows from any words. It
//! chooses a seal *late* if it does so after it can read a value of an honest member.
//!
//! # Reduction
//!
//! A delivery after which a member says nothing changes nothing for the others. It can be put off
//! until just before the member speaks next, and left out if it never does. So a step of the
//! explorer is a member speaking, with the deliveries that make it speak: it opens the full set,
//! echoes, fixes a set, follows one, or settles. Deliveries that would be in no such step are in no
//! schedule. States in which all members may still say the same are one state.
//!
//! # What is checked
//!
//! [`Kind`] has the invariants. For [`Kind::Choice`] the explorer computes for each state which
//! sets can still settle: there must be one at most from the step on at which the liar can read.

mod liar;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use starling_lane::{contents::Contents, rules::Rules};
use starling_lane_primitives::Member;

use crate::symbolic::{describe, Splits};
use state::State;

/// The setting of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The rules.
    pub rules: Rules,
    /// The polynomials of a key.
    pub splits: Splits,
    /// The liar: a collector of view 0 is member 0, of view 1 member 1.
    pub liar: Member,
    /// The last view to which the scheduler drives members. Beyond it there is a calm view with an
    /// honest collector, to see whether there is progress.
    pub last_view: u8,
    /// Whether the liar signs nothing that proves its lie.
    pub deniable: bool,
    /// The member whose shares in the liar's second seal are bad.
    pub bad_share: Option<Member>,
    /// Whether progress is checked in each state.
    pub calm: bool,
    /// The most states to explore.
    pub most: usize,
}

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Two honest members settled on different sets.
    TwoSets,
    /// An honest member settled on a seal that the liar made after it could read others' values.
    Late,
    /// When the liar could read a value, two different sets could still settle.
    Choice,
    /// An honest member was accused, or signed two things of which it may sign one.
    Accused,
    /// In a calm view with an honest collector and a silent liar, not all honest members settled.
    NoProgress,
}

impl Kind {
    /// Whether this may happen in a plan: where the liar signs something that proves its lie, and
    /// pays for it. Two seals let it choose between sets, but stop nothing: that takes a collector
    /// with two sets of one view.
    pub fn is_allowed(self, plan: &Plan) -> bool {
        let collects = plan.liar <= plan.last_view;
        match self {
            Self::Choice => !plan.deniable,
            Self::NoProgress => !plan.deniable && collects,
            Self::TwoSets | Self::Late | Self::Accused => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::TwoSets => "two honest members settle on different sets",
            Self::Late => "a seal made after others could be read is in a settled set",
            Self::Choice => "when the liar can read a value, it can still choose the set",
            Self::Accused => "an honest member is accused",
            Self::NoProgress => "a calm view with an honest collector settles nothing",
        })
    }
}

/// The result of an exploration.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of different states.
    pub states: usize,
    /// The number of steps between them.
    pub steps: u64,
    /// Whether all states were explored.
    pub complete: bool,
    /// The sets that settled in some schedule.
    pub settled: usize,
    /// States that break an invariant, and the first schedule to one.
    pub broken: BTreeMap<Kind, (u64, Vec<String>)>,
}

/// Explores all schedules of a plan. `progress` gets the number of states so far.
pub fn explore(plan: &Plan, progress: impl Fn(usize)) -> Report {
    let mut search = Search {
        plan: *plan,
        progress: &progress,
        seen: HashMap::new(),
        sets: Vec::new(),
        trace: Vec::new(),
        report: Report {
            complete: true,
            ..Report::default()
        },
    };
    let start = State::new(plan);
    search.visit(&start);
    search.report.states = search.seen.len();
    search.report.settled = search.sets.len();
    search.report
}

/// Sets that can settle, as bits in the order in which they were found.
type Reachable = u64;

struct Search<'a> {
    plan: Plan,
    progress: &'a dyn Fn(usize),
    seen: HashMap<u128, Reachable>,
    sets: Vec<Contents>,
    trace: Vec<String>,
    report: Report,
}

impl Search<'_> {
    fn visit(&mut self, state: &State) -> Reachable {
        let print = state.fingerprint();
        if let Some(reachable) = self.seen.get(&print) {
            return *reachable;
        }
        if self.seen.len() >= self.plan.most {
            self.report.complete = false;
            return 0;
        }
        // The steps lead to no earlier state, so this entry is only read after it is replaced.
        self.seen.insert(print, 0);
        (self.progress)(self.seen.len());
        if self.plan.calm && !state.settles_in_calm() {
            self.broken(Kind::NoProgress, &[]);
        }
        let mut reachable = self.settled(state);
        for (step, next) in state.steps(&self.plan) {
            self.report.steps = self.report.steps.saturating_add(1);
            self.trace.push(step);
            self.check(state, &next);
            let later = self.visit(&next);
            if next.is_readable() && !state.is_readable() && later.count_ones() > 1 {
                let ways = self.ways(&next, later);
                self.broken(Kind::Choice, &ways);
            }
            reachable |= later;
            self.trace.pop();
        }
        self.seen.insert(print, reachable);
        reachable
    }

    /// The bits of the sets on which members have settled.
    fn settled(&mut self, state: &State) -> Reachable {
        let mut bits = 0;
        for set in state.settled() {
            let index = self.sets.iter().position(|known| known == set);
            let index = index.unwrap_or_else(|| {
                self.sets.push(set.clone());
                self.sets.len().saturating_sub(1)
            });
            bits |= u32::try_from(index)
                .ok()
                .and_then(|index| 1u64.checked_shl(index))
                .unwrap_or(0);
        }
        bits
    }

    fn check(&mut self, before: &State, after: &State) {
        let settled: BTreeSet<&Contents> = after.settled().collect();
        let earlier: BTreeSet<&Contents> = before.settled().collect();
        if settled.len() > 1 && earlier.len() <= 1 {
            self.broken(Kind::TwoSets, &[]);
        }
        let late = |sets: &BTreeSet<&Contents>| {
            sets.iter()
                .any(|set| set.contains(&liar::late(self.plan.liar)))
        };
        if late(&settled) && !late(&earlier) {
            self.broken(Kind::Late, &[]);
        }
        if after.accuses_honest(&self.plan) && !before.accuses_honest(&self.plan) {
            self.broken(Kind::Accused, &[]);
        }
    }

    fn broken(&mut self, kind: Kind, more: &[String]) {
        let trace = || self.trace.iter().chain(more).cloned().collect();
        let entry = self
            .report
            .broken
            .entry(kind)
            .or_insert_with(|| (0, trace()));
        entry.0 = entry.0.saturating_add(1);
        // A short schedule says most.
        if kind != Kind::Choice && self.trace.len() < entry.1.len() {
            entry.1 = trace();
        }
    }

    /// A schedule to each of two sets that can settle.
    fn ways(&self, state: &State, reachable: Reachable) -> Vec<String> {
        if self.report.broken.contains_key(&Kind::Choice) {
            // One schedule is enough, and each takes a search.
            return Vec::new();
        }
        let mut lines = Vec::new();
        let sets = self.sets.iter().enumerate().filter(|(index, _)| {
            u32::try_from(*index)
                .ok()
                .and_then(|index| reachable.checked_shr(index))
                .is_some_and(|rest| rest & 1 == 1)
        });
        for (_, set) in sets.take(2) {
            lines.push(format!("from here {} can settle:", describe(set)));
            let mut steps = Vec::new();
            path(state, &self.plan, set, &mut BTreeSet::new(), &mut steps);
            lines.extend(steps.into_iter().map(|step| format!("  {step}")));
        }
        lines
    }
}

/// Finds steps after which a member has settled on this set.
fn path(
    state: &State,
    plan: &Plan,
    set: &Contents,
    seen: &mut BTreeSet<u128>,
    steps: &mut Vec<String>,
) -> bool {
    if state.settled().any(|settled| settled == set) {
        return true;
    }
    if !seen.insert(state.fingerprint()) {
        return false;
    }
    for (step, next) in state.steps(plan) {
        steps.push(step);
        if path(&next, plan, set, seen, steps) {
            return true;
        }
        steps.pop();
    }
    false
}
