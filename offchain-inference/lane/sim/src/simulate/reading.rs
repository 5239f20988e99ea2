// SPDX-License-Identifier: Apache-2.0
//! Values that liars can read, and the time of it.

use std::collections::{BTreeMap, BTreeSet};

use starling_lane::{contents::Contents, message::Open};
use starling_lane_primitives::{Member, Phase, Way};

use crate::symbolic::{Piece, Splits};

/// The sets that honest members have opened, until liars can read the value of one of them. Liars
/// pool their shares, and those of all that honest members send.
pub(super) struct Reading {
    splits: Splits,
    liars: BTreeSet<Member>,
    /// The number of shares that liars lack.
    lacking: usize,
    opened: BTreeMap<(Phase, Way), Vec<(Member, Contents)>>,
    read: BTreeMap<Phase, BTreeSet<Contents>>,
}

impl Reading {
    pub(super) fn new(splits: Splits, liars: BTreeSet<Member>, quorum: u8) -> Self {
        Self {
            splits,
            lacking: usize::from(quorum).saturating_sub(liars.len()),
            liars,
            opened: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// Notes what a member opens in a phase.
    pub(super) fn note(&mut self, phase: Phase, by: Member, open: &Open<Piece>) {
        if self.liars.contains(&by) || self.read.contains_key(&phase) {
            return;
        }
        let polynomial = (phase, self.splits.polynomial(open.way));
        let opened = self.opened.entry(polynomial).or_default();
        opened.push((by, open.set.clone()));
        for named in open.set.iter() {
            if self.liars.contains(&named.member) {
                continue;
            }
            let of = opened.iter().filter(|(_, set)| set.contains(named));
            let openers: BTreeSet<Member> = of.clone().map(|(member, _)| *member).collect();
            if openers.len() >= self.lacking {
                let sets = of.map(|(_, set)| set.clone()).collect();
                self.read.insert(phase, sets);
                return;
            }
        }
    }

    /// Whether liars could read a value while the set was not the one of these.
    pub(super) fn was_early(&self, phase: Phase, settled: &BTreeSet<Contents>) -> bool {
        self.read.get(&phase).is_some_and(|opened| {
            opened.len() > 1 || !settled.iter().all(|set| opened.contains(set))
        })
    }
}
