// SPDX-License-Identifier: Apache-2.0
//! Messages that the liar can send.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use starling_lane::{
    contents::Contents,
    message::{Carried, Echo, Open, Set, Signed, Word},
};
use starling_lane_primitives::{messages::Named, Member, Way};

use super::{state::State, Plan};
use crate::symbolic::{Piece, Seal, Symbolic};

/// The variant of a seal that the liar makes after it can read others' values.
const LATE: u8 = 2;

/// The seals that the liar can give to somebody in this state.
pub(super) fn seals(plan: &Plan, state: &State) -> Vec<Seal> {
    let bad = |variant| match plan.bad_share {
        Some(member) if variant == 1 => 1u16.checked_shl(member.into()).unwrap_or(0),
        _ => 0,
    };
    let late = state.is_readable().then_some(LATE);
    [0, 1]
        .into_iter()
        .chain(late)
        .filter(|variant| state.said.value.is_none_or(|said| said == *variant))
        .map(|variant| Seal {
            sealer: plan.liar,
            variant,
            bad: bad(variant),
        })
        .collect()
}

/// The entry of the late seal in a set.
pub(super) fn late(liar: Member) -> Named {
    Seal {
        sealer: liar,
        variant: LATE,
        bad: 0,
    }
    .named()
}

/// The pieces of the liar for the seals of a set: it has a fitting share of each.
pub(super) fn open(plan: &Plan, way: Way, set: &Contents) -> Arc<Signed<Open<Piece>>> {
    let cipher = Symbolic {
        me: plan.liar,
        splits: plan.splits,
    };
    let pieces = set
        .iter()
        .filter_map(seal_of)
        .map(|seal| cipher.share(seal, way, plan.liar))
        .collect();
    Arc::new(Signed {
        by: plan.liar,
        body: Open {
            way,
            set: set.clone(),
            pieces,
        },
    })
}

/// The seal behind a name.
pub(super) fn seal_of(named: &Named) -> Option<Seal> {
    let [sealer, variant, low, high, ..] = named.seal?;
    Some(Seal {
        sealer,
        variant,
        bad: u16::from_le_bytes([low, high]),
    })
}

/// The full set with this seal of the liar.
fn full(state: &State, seal: Seal) -> Contents {
    state.honest_names().chain([seal.named()]).collect()
}

/// The liar's possible messages about the set of a view.
///
/// `earlier` has the sets of all earlier views that it can carry.
pub(super) fn words(
    plan: &Plan,
    state: &State,
    view: u8,
    earlier: &[Vec<Shown>],
) -> Vec<Word<Piece>> {
    let seals = seals(plan, state);
    let mut words = Vec::new();
    if view == 0 {
        for seal in &seals {
            let set = full(state, *seal);
            words.push(Word::Open(open(plan, Way::Full, &set)));
        }
    }
    if let Some(said) = state.said.echoes.get(&view) {
        words.push(Word::Echo(said.clone()));
        return words;
    }
    let mut push = |named: Contents, opened| {
        words.push(Word::Echo(Arc::new(Signed {
            by: plan.liar,
            body: Echo {
                view,
                named,
                complaints: Vec::new(),
                opened,
            },
        })));
    };
    let honest: Vec<Named> = state.honest_names().collect();
    let all: Contents = honest.iter().copied().collect();
    push(all.clone(), None);
    for seal in &seals {
        push(full(state, *seal), None);
        for without in &honest {
            let fewer = honest.iter().filter(|named| *named != without).copied();
            push(fewer.chain([seal.named()]).collect(), None);
        }
    }
    if view > 0 {
        for seal in &seals {
            let opened = Carried::Full(full(state, *seal));
            push(all.clone(), Some(opened));
        }
        for set in earlier.iter().take(view.into()).flatten() {
            push(all.clone(), Some(Carried::Set(set.clone())));
        }
    }
    words
}

/// A set that somebody can be shown.
pub(super) type Shown = Arc<Signed<Set<Piece>>>;

/// The sets of all views that somebody can be shown: those signed already, and those that the liar
/// can sign as a collector.
pub(super) fn sets(plan: &Plan, state: &State) -> Vec<Vec<Shown>> {
    let mut all: Vec<Vec<Shown>> = Vec::new();
    for view in 0..=plan.last_view {
        let sets = sets_of(plan, state, view, &all);
        all.push(sets);
    }
    all
}

fn sets_of(plan: &Plan, state: &State, view: u8, earlier: &[Vec<Shown>]) -> Vec<Shown> {
    let mut sets: BTreeMap<Contents, Shown> = state.signed_sets(view);
    let collects = state.collector(view) == plan.liar;
    if !collects || (plan.deniable && !sets.is_empty()) {
        return sets.into_values().collect();
    }
    let frame = state.frame();
    let honest = state.honest_words(view, None);
    let own = words(plan, state, view, earlier);
    let own = own.into_iter().map(Some).chain([None]);
    let own: Vec<Option<Word<Piece>>> = own.collect();
    for some in subsets(&honest) {
        for word in &own {
            let words: Vec<Word<Piece>> = some.iter().cloned().chain(word.clone()).collect();
            let Ok(set) = frame.fix(view, &words) else {
                continue;
            };
            sets.entry(set.clone()).or_insert_with(|| {
                Arc::new(Signed {
                    by: plan.liar,
                    body: Set { view, set, words },
                })
            });
        }
    }
    sets.into_values().collect()
}

/// All subsets of a few things.
pub(super) fn subsets<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    let mut subsets = vec![Vec::new()];
    for one in all {
        let with: Vec<Vec<T>> = subsets
            .iter()
            .map(|some| some.iter().chain([one]).cloned().collect())
            .collect();
        subsets.extend(with);
    }
    subsets
}

/// The liar's signatures, where it signs each thing only once.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// The variant of its seal.
    pub(super) value: Option<u8>,
    /// Its echo of each view.
    pub(super) echoes: BTreeMap<u8, Arc<Signed<Echo<Piece>>>>,
}

impl Said {
    /// Notes what the liar said in a set.
    pub(super) fn note<'a>(&mut self, plan: &Plan, words: impl Iterator<Item = &'a Word<Piece>>) {
        for word in words {
            match word {
                Word::Echo(echo) => self.note_echo(plan, echo),
                Word::Open(open) => {
                    if open.by == plan.liar {
                        self.note_names(plan, open.body.set.iter());
                    }
                },
            }
        }
    }

    fn note_echo(&mut self, plan: &Plan, echo: &Arc<Signed<Echo<Piece>>>) {
        if echo.by != plan.liar {
            return;
        }
        self.note_names(plan, echo.body.named.iter());
        if let Some(Carried::Full(set)) = &echo.body.opened {
            self.note_names(plan, set.iter());
        }
        self.echoes.insert(echo.body.view, echo.clone());
    }

    /// Notes the liar's seal among these.
    pub(super) fn note_names<'a>(&mut self, plan: &Plan, names: impl Iterator<Item = &'a Named>) {
        let own: BTreeSet<u8> = names
            .filter(|named| named.member == plan.liar)
            .filter_map(|named| seal_of(named).map(|seal| seal.variant))
            .collect();
        if let Some(variant) = own.first() {
            self.value = Some(*variant);
        }
    }
}
