// SPDX-License-Identifier: Apache-2.0
//! Random schedules of requests: delays, loss, crashes, liars.
//!
//! Each request has a committee, a requester who listens, and at most as many liars as the
//! committee bears. Delays are log-normal around a median. Time is that of the events, so a run
//! depends on its seed alone.

mod liar;
mod run;

use std::collections::BTreeMap;

use starling_lane_primitives::Committee;

use crate::{
    rules::Rules,
    timing::{Duration, Time},
};

pub use liar::Habit;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The sizes of the committee.
    pub committee: Committee,
    /// The rules.
    pub rules: Rules,
    /// The number of requests.
    pub requests: u32,
    /// The seed of all chance.
    pub seed: u64,
    /// The median delay between two members, one way.
    pub delay: Duration,
    /// The deviation of the logarithm of a delay.
    pub jitter: f64,
    /// The chance of a message to be lost.
    pub loss: f64,
    /// The time that ranking takes.
    pub rank: Duration,
    /// The number of liars; each draws a habit for every request.
    pub liars: u8,
    /// The habits that liars draw from.
    pub habits: Vec<Habit>,
}

/// The result of many requests.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Requests that a quorum certified.
    pub certified: u32,
    /// Requests without a certificate in which a liar signed two things of which it may sign one,
    /// or sealed bad shares: its bond pays.
    pub failed_with_proof: u32,
    /// Requests without a certificate in which messages were lost.
    pub failed_by_loss: u32,
    /// Broken invariants: what and in which request, at most a few of them.
    pub broken: Vec<String>,
    /// The number of broken invariants.
    pub breaks: u32,
    /// Times until the requester could compute the answer, since the first response was sealed.
    pub soft: Vec<Time>,
    /// Times until the requester had a certificate.
    pub certificate: Vec<Time>,
    /// Accusations by offence.
    pub accused: BTreeMap<String, u32>,
    /// Messages that were sent.
    pub messages: u64,
}

/// The value below which a share of the values lies, in percent; 0 without values.
pub fn percentile(values: &mut [Time], percent: usize) -> Time {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    let rank = last.saturating_mul(percent).div_ceil(100);
    values.get(rank).copied().unwrap_or(0)
}

/// Simulates all requests of a scenario.
pub fn simulate(scenario: &Scenario) -> Summary {
    let mut summary = Summary::default();
    for request in 0..scenario.requests {
        run::run(scenario, request, &mut summary);
    }
    summary
}
