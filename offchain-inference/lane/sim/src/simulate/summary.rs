// SPDX-License-Identifier: Apache-2.0
//! The sum of many requests.

use std::collections::BTreeMap;

use starling_lane::timing::Time;

use super::{Case, End, Invariant, Verdict};

/// The examples of broken invariants that are kept.
const EXAMPLES: usize = 20;

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// The request.
    pub case: Case,
    /// The invariant.
    pub invariant: Invariant,
    /// The broken invariant, and the liars.
    pub text: String,
}

/// The result of many requests.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The number of requests.
    pub requests: u64,
    /// The number of requests by their end.
    pub ends: BTreeMap<End, u64>,
    /// Breaks of each invariant; none is missing that broke.
    pub broken: BTreeMap<Invariant, u64>,
    /// The first broken invariants, in the order of cases.
    pub examples: Vec<Example>,
    /// The number of broadcasts in which liars that sign two things read before the set was fixed.
    pub read_with_proof: u64,
    /// Times until the requester could compute the answer, since the first response was sealed.
    pub soft: Vec<Time>,
    /// Times until the requester had a certificate.
    pub certificate: Vec<Time>,
    /// Accusations by offence, one a member, offence and request.
    pub accused: BTreeMap<String, u64>,
    /// Messages that were sent.
    pub messages: u64,
}

impl Summary {
    /// Adds a request.
    pub fn add(&mut self, case: Case, verdict: Verdict) {
        increase(&mut self.requests, 1);
        increase(self.ends.entry(verdict.end).or_default(), 1);
        increase(&mut self.read_with_proof, verdict.read_with_proof.into());
        increase(&mut self.messages, verdict.messages);
        for offence in verdict.accused {
            increase(self.accused.entry(offence).or_default(), 1);
        }
        if verdict.end == End::Certified {
            self.soft.extend(verdict.soft);
            self.certificate.extend(verdict.certificate);
        }
        for (invariant, how) in verdict.broken {
            increase(self.broken.entry(invariant).or_default(), 1);
            self.examples.push(Example {
                case,
                invariant,
                text: format!("{how} (liars: {})", verdict.liars),
            });
        }
        self.keep_first();
    }

    /// The sum of both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        increase(&mut self.requests, other.requests);
        increase(&mut self.read_with_proof, other.read_with_proof);
        increase(&mut self.messages, other.messages);
        increase_all(&mut self.ends, other.ends);
        increase_all(&mut self.broken, other.broken);
        increase_all(&mut self.accused, other.accused);
        self.soft.extend(other.soft);
        self.certificate.extend(other.certificate);
        self.examples.extend(other.examples);
        self.keep_first();
        self
    }

    /// The number of requests with this end.
    pub fn ended(&self, end: End) -> u64 {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    fn keep_first(&mut self) {
        self.examples.sort();
        self.examples.truncate(EXAMPLES);
    }
}

fn increase(count: &mut u64, by: u64) {
    *count = count.saturating_add(by);
}

fn increase_all<K: Ord>(counts: &mut BTreeMap<K, u64>, by: BTreeMap<K, u64>) {
    for (key, more) in by {
        increase(counts.entry(key).or_default(), more);
    }
}

/// The value below which a share of the values lies, in percent; 0 without values.
pub fn percentile(values: &mut [Time], percent: usize) -> Time {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    let rank = last.saturating_mul(percent).div_ceil(100);
    values.get(rank).copied().unwrap_or(0)
}
