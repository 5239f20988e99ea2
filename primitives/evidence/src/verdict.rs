// SPDX-License-Identifier: Apache-2.0
//! The verdict on the findings of a committee.
//!
//! The tolerance is that of the input itself: three times the median distance between each
//! executor's two numerics, and at least [`LEAST_TOLERANCE`]. So honest servers whose bits differ
//! are told from others even where an input makes all bits differ, and where executors do not agree
//! among themselves nobody is guilty. Distances are squared, in units of 2⁻³²
//! (`starling_sketch::distance`).

use alloc::{vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use starling_sketch::{distance::squared, Layout, Sketch};

use crate::{Finding, Sketches};

/// The square of the least tolerance, 0.03, in units of 2⁻³².
pub const LEAST_TOLERANCE: u64 = 3_865_471;

/// The square of the factor between the median distance of two numerics and the tolerance.
const SPREAD: u64 = 9;

/// The square of the factor between the tolerance and a distance that costs an executor its stake.
const FAR: u64 = 4;

/// The most by which two executors' values of one sketch of the same bytes differ: logarithms are
/// the platform's.
const ROUNDING: u16 = 1;

/// The verdict on one of the two agents.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Side {
    /// Its output is not that of the model.
    #[codec(index = 0)]
    Guilty,
    /// Its output is within the tolerance.
    #[codec(index = 1)]
    Cleared,
    /// Neither: nobody is convicted.
    #[codec(index = 2)]
    Unclear,
}

/// The end of a committee's work.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Ruling {
    /// A verdict on each agent.
    #[codec(index = 0)]
    Decided {
        /// On the first agent.
        first: Side,
        /// On the second agent.
        second: Side,
    },
    /// The exhibit was not shown.
    #[codec(index = 1)]
    Unavailable,
    /// The inputs do not follow from the tokens: out of scope.
    #[codec(index = 2)]
    Unnatural,
    /// The executors do not agree among themselves.
    #[codec(index = 3)]
    Unstable,
    /// Too few findings were revealed.
    #[codec(index = 4)]
    NoQuorum,
    /// Too few agents hold the model.
    #[codec(index = 5)]
    NoCommittee,
}

/// A ruling, and what follows for the executors. Executors are named by their places among the
/// findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The ruling.
    pub ruling: Ruling,
    /// The executors that agree, and are paid.
    pub agreeing: Vec<usize>,
    /// The executors that are far from those.
    pub far: Vec<usize>,
}

impl Judgement {
    fn of(ruling: Ruling, agreeing: Vec<usize>) -> Self {
        Self {
            ruling,
            agreeing,
            far: vec![],
        }
    }
}

/// Two thirds of a number, rounded up.
pub fn two_thirds(number: usize) -> usize {
    number.saturating_mul(2).div_ceil(3)
}

/// The judgement on the revealed findings of a committee of `size`, about sketches of `layout`.
pub fn judge(layout: Layout, size: usize, findings: &[&Finding]) -> Judgement {
    let quorum = two_thirds(size).max(1);
    if findings.len() < quorum {
        return Judgement::of(Ruling::NoQuorum, vec![]);
    }
    for (said, ruling) in [
        (Finding::Unavailable, Ruling::Unavailable),
        (Finding::Unnatural, Ruling::Unnatural),
    ] {
        let by = places(findings, |finding| *finding == said);
        if by.len() >= quorum {
            return Judgement::of(ruling, by);
        }
    }
    let computed: Vec<(usize, &Sketches)> = findings
        .iter()
        .enumerate()
        .filter_map(|(place, finding)| match finding {
            Finding::Computed(sketches) => Some((place, &**sketches)),
            Finding::Unavailable | Finding::Unnatural => None,
        })
        .collect();
    let Some((exhibit, seen)) = exhibit(&computed) else {
        return Judgement::of(Ruling::Unstable, vec![]);
    };
    if computed.len() < quorum {
        return Judgement::of(Ruling::Unstable, vec![]);
    }
    if seen.len() < quorum {
        // They were shown different bytes, though the digests are the same.
        return Judgement::of(Ruling::Unavailable, vec![]);
    }
    decide(layout, quorum, exhibit, &seen)
}

/// The ruling of executors that were shown the same exhibit.
fn decide(
    layout: Layout,
    quorum: usize,
    exhibit: &Sketches,
    seen: &[(usize, &Sketches)],
) -> Judgement {
    let tolerance = tolerance(layout, seen);
    let Some(medoid) = medoid(layout, seen) else {
        return Judgement::of(Ruling::Unstable, vec![]);
    };
    let from_medoid = |own: &Sketches| apart(layout, own, medoid);
    let agreeing: Vec<(usize, &Sketches)> = seen
        .iter()
        .filter(|(_, own)| from_medoid(own) <= tolerance)
        .copied()
        .collect();
    if agreeing.len() < quorum {
        return Judgement::of(Ruling::Unstable, vec![]);
    }
    let on = |output: Option<&Sketch>| side(layout, tolerance, output, &agreeing);
    Judgement {
        ruling: Ruling::Decided {
            first: on(exhibit.first.as_ref()),
            second: on(exhibit.second.as_ref()),
        },
        far: seen
            .iter()
            .filter(|(_, own)| from_medoid(own) > tolerance.saturating_mul(FAR))
            .map(|(place, _)| *place)
            .collect(),
        agreeing: agreeing.iter().map(|(place, _)| *place).collect(),
    }
}

/// The square of the tolerance of the input.
fn tolerance(layout: Layout, seen: &[(usize, &Sketches)]) -> u64 {
    let mut spreads: Vec<u64> = seen
        .iter()
        .map(|(_, own)| squared(layout, &own.own, &own.coarse))
        .collect();
    spreads.sort_unstable();
    let median = spreads.get(spreads.len() / 2).copied().unwrap_or(0);
    median.saturating_mul(SPREAD).max(LEAST_TOLERANCE)
}

/// The squared distance of two executors: behind the span or at the other border, the greater.
fn apart(layout: Layout, a: &Sketches, b: &Sketches) -> u64 {
    let behind = squared(layout, &a.own, &b.own);
    behind.max(squared(layout, &a.elsewhere, &b.elsewhere))
}

/// The executor with the least sum of distances from all others; among equals the first one.
fn medoid<'a>(layout: Layout, seen: &[(usize, &'a Sketches)]) -> Option<&'a Sketches> {
    let sum = |own: &Sketches| {
        seen.iter().fold(0u64, |sum, (_, other)| {
            sum.saturating_add(apart(layout, own, other).isqrt())
        })
    };
    let medoid = seen.iter().min_by_key(|(_, own)| sum(own))?;
    Some(medoid.1)
}

/// The verdict of the agreeing executors on an output.
fn side(
    layout: Layout,
    tolerance: u64,
    output: Option<&Sketch>,
    agreeing: &[(usize, &Sketches)],
) -> Side {
    let Some(output) = output else {
        return Side::Guilty;
    };
    let is_beyond = |own: &Sketches, rows: &Sketch| {
        let by_code = squared(layout, &own.own, &own.coded);
        squared(layout, output, rows).saturating_sub(by_code) > tolerance
    };
    let beyond = agreeing
        .iter()
        .filter(|(_, own)| is_beyond(own, &own.own) && is_beyond(own, &own.coarse))
        .count();
    let enough = two_thirds(agreeing.len());
    if beyond >= enough {
        Side::Guilty
    } else if agreeing.len().saturating_sub(beyond) >= enough {
        Side::Cleared
    } else {
        Side::Unclear
    }
}

/// The exhibit that most executors were shown, as one of them has it, and those executors. `None`
/// if nobody computed.
fn exhibit<'a>(
    computed: &[(usize, &'a Sketches)],
) -> Option<(&'a Sketches, Vec<(usize, &'a Sketches)>)> {
    let shown_as = |a: &Sketches| -> Vec<(usize, &'a Sketches)> {
        let is_same = |b: &Sketches| {
            are_same(a.first.as_ref(), b.first.as_ref())
                && are_same(a.second.as_ref(), b.second.as_ref())
        };
        let same = computed.iter().filter(|(_, b)| is_same(b));
        same.copied().collect()
    };
    let mut most: Option<(&'a Sketches, Vec<(usize, &'a Sketches)>)> = None;
    for &(_, own) in computed {
        let seen = shown_as(own);
        if most
            .as_ref()
            .is_none_or(|(_, best)| seen.len() > best.len())
        {
            most = Some((own, seen));
        }
    }
    most
}

/// Whether two sketches are of the same bytes.
fn are_same(a: Option<&Sketch>, b: Option<&Sketch>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let mut values = a.values().iter().zip(b.values());
            values.all(|(a, b)| a.abs_diff(*b) <= ROUNDING)
        },
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn places(findings: &[&Finding], is: impl Fn(&Finding) -> bool) -> Vec<usize> {
    let found = findings
        .iter()
        .enumerate()
        .filter(|(_, finding)| is(finding));
    found.map(|(place, _)| place).collect()
}
