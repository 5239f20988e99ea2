// SPDX-License-Identifier: Apache-2.0

//! Prometheus metrics of disputes.

use substrate_prometheus_endpoint::{
    register, CounterVec, Gauge, Opts, PrometheusError, Registry, U64,
};

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
