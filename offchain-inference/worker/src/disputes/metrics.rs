// SPDX-License-Identifier: Apache-2.0

//! Prometheus metrics of disputes.

use substrate_prometheus_endpoint::{
    register, CounterVec, Gauge, Opts, PrometheusError, Registry, U64,
};

/// The outcome of a replay without a finding.
pub(super) const FAILED: &str = "failed";

/// The outcomes of replays.
const OUTCOMES: [&str; 4] = ["computed", "unavailable", "unnatural", FAILED];

/// The messages of agents.
const MESSAGES: [&str; 4] = ["hold", "commit", "reveal", "accuse"];

/// The metrics of disputes.
#[derive(Clone)]
pub struct Metrics {
    /// Replays, by `outcome` (`computed`, `unavailable`, `unnatural`, `failed`).
    pub replays: CounterVec<U64>,
    /// Messages given to the pool, by `message` (`hold`, `commit`, `reveal`, `accuse`).
    pub messages: CounterVec<U64>,
    /// Models that the agent holds for disputes.
    pub held: Gauge<U64>,
    /// Cases in which the agent owes something.
    pub duties: Gauge<U64>,
}

impl Metrics {
    /// Metrics, registered with `registry` if there is one.
    pub fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let counters = |name: &str, help: &str, label: &str| {
            CounterVec::new(
                Opts::new(format!("starling_disputes_{name}_total"), help),
                &[label],
            )
        };
        let metrics = Self {
            replays: counters("replays", "Disputed spans computed again", "outcome")?,
            messages: counters("messages", "Messages given to the pool", "message")?,
            held: Gauge::new(
                "starling_disputes_held",
                "Models that the agent holds for disputes",
            )?,
            duties: Gauge::new(
                "starling_disputes_duties",
                "Cases in which the agent owes something",
            )?,
        };
        // A series that begins at its first event shows no increase, and raises no alarm.
        for outcome in OUTCOMES {
            metrics.replays.with_label_values(&[outcome]).inc_by(0);
        }
        for message in MESSAGES {
            metrics.messages.with_label_values(&[message]).inc_by(0);
        }
        if let Some(registry) = registry {
            register(metrics.replays.clone(), registry)?;
            register(metrics.messages.clone(), registry)?;
            register(metrics.held.clone(), registry)?;
            register(metrics.duties.clone(), registry)?;
        }
        Ok(metrics)
    }

    pub(super) fn sent(&self, message: &str) {
        self.messages.with_label_values(&[message]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_are_there_before_their_first_event() {
        let registry = Registry::new();
        Metrics::new(Some(&registry)).unwrap();
        let families = registry.gather();
        let series = families.iter().map(|family| family.get_metric().len());
        assert_eq!(series.sum::<usize>(), OUTCOMES.len() + MESSAGES.len() + 2);
    }
}
