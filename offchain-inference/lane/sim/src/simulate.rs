// SPDX-License-Identifier: Apache-2.0
//! Random schedules of requests: delays, loss, crashes, liars.
//!
//! Each request has a committee, a requester who listens, and at most as many liars as the
//! committee bears. Delays are log-normal around a median. Time is that of the events, so a request
//! depends on its scenario, its seed and its number alone.

mod liar;
mod reading;
mod run;
mod summary;

use std::fmt;

use rayon::prelude::*;
use starling_lane::{
    rules::Rules,
    timing::{Duration, Time},
};
use starling_lane_primitives::Committee;

use crate::symbolic::Splits;

pub use liar::Habit;
pub use summary::{percentile, Example, Summary};

/// The number of requests that a thread plays before it takes others.
const CHUNK: u32 = 64;

/// The setting of a simulation.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The sizes of the committee.
    pub committee: Committee,
    /// The rules.
    pub rules: Rules,
    /// The polynomials of a key.
    pub splits: Splits,
    /// The median delay between two members, one way.
    pub delay: Duration,
    /// The deviation of the logarithm of a delay.
    pub jitter: f64,
    /// The time until which any message may be kept back.
    pub storm: Time,
    /// The chance of a message to be lost.
    pub loss: f64,
    /// The time that ranking takes.
    pub rank: Duration,
    /// The number of liars; each draws a habit for every request.
    pub liars: u8,
    /// The habits that liars draw from.
    pub habits: Vec<Habit>,
}

/// A request of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// The number of the request with this seed.
    pub request: u32,
}

/// Invariants of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Once liars can read a value, the set of that broadcast is fixed. While no liar signs two
    /// things.
    FixedBeforeRead,
    /// Honest members settle on one set in each broadcast.
    OneSet,
    /// Honest members vote for one outcome.
    OneOutcome,
    /// No two certificates.
    OneCertificate,
    /// No honest member is accused.
    NoneAccused,
    /// All honest members and the requester have a certificate, when delays have ended and no
    /// message was lost. While no liar signs two sets or seals bad shares.
    Live,
}

impl Invariant {
    /// All invariants.
    pub const ALL: [Self; 6] = [
        Self::FixedBeforeRead,
        Self::OneSet,
        Self::OneOutcome,
        Self::OneCertificate,
        Self::NoneAccused,
        Self::Live,
    ];
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::FixedBeforeRead => "the set is fixed before a value can be read",
            Self::OneSet => "honest members settle on one set",
            Self::OneOutcome => "honest members vote for one outcome",
            Self::OneCertificate => "a request has one certificate at most",
            Self::NoneAccused => "no honest member is accused",
            Self::Live => "everybody has a certificate in the end",
        })
    }
}

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// All honest members and the requester have a certificate.
    Certified,
    /// A liar signed two sets or sealed bad shares: its bond pays.
    StoppedWithProof,
    /// Messages were lost.
    StoppedByLoss,
    /// Nothing excuses it.
    Stopped,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Certified => "certified",
            Self::StoppedWithProof => "stopped, with proof of a lie",
            Self::StoppedByLoss => "stopped, with lost messages",
            Self::Stopped => "stopped, without an excuse",
        })
    }
}

/// The course of a request.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The end.
    pub end: End,
    /// Broken invariants, and how.
    pub broken: Vec<(Invariant, String)>,
    /// The liars and their habits, in words.
    pub liars: String,
    /// The number of broadcasts in which liars that sign two things read before the set was fixed.
    pub read_with_proof: u32,
    /// The time until the requester could compute the answer, since the first response was sealed.
    pub soft: Option<Time>,
    /// The time until the requester had a certificate.
    pub certificate: Option<Time>,
    /// Offences of which honest members accuse others.
    pub accused: Vec<String>,
    /// Messages that were sent.
    pub messages: u64,
}

/// Plays a request.
pub fn play(scenario: &Scenario, case: Case) -> Verdict {
    run::run(scenario, case, None)
}

/// Plays a request, and returns what members said, line by line.
pub fn trace(scenario: &Scenario, case: Case) -> (Verdict, Vec<String>) {
    let mut lines = Vec::new();
    let verdict = run::run(scenario, case, Some(&mut lines));
    (verdict, lines)
}

/// Plays requests `0 .. requests` with each of these seeds on all processors. `progress` gets the
/// number of requests that were played since it was called last.
pub fn simulate(
    scenario: &Scenario,
    seeds: std::ops::Range<u64>,
    requests: u32,
    progress: impl Fn(u64) + Sync,
) -> Summary {
    let chunks = requests.div_ceil(CHUNK);
    let chunk = |seed: u64, chunk: u32| {
        let first = chunk.saturating_mul(CHUNK);
        let mut summary = Summary::default();
        for request in first..first.saturating_add(CHUNK).min(requests) {
            let case = Case { seed, request };
            summary.add(case, play(scenario, case));
        }
        progress(summary.requests);
        summary
    };
    seeds
        .into_par_iter()
        .flat_map(|seed| (0..chunks).into_par_iter().map(move |one| (seed, one)))
        .map(|(seed, one)| chunk(seed, one))
        .reduce(Summary::default, Summary::merge)
}
