// SPDX-License-Identifier: Apache-2.0
//! Prometheus metrics. Sizes and numbers of messages are among the node's own metrics, by protocol.

use substrate_prometheus_endpoint::{
    register, CounterVec, Gauge, Opts, PrometheusError, Registry, U64,
};

/// The transport's metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Open substreams.
    pub(crate) links: Gauge<U64>,
    /// Refusals to peers, by kind: `substream`, `request`.
    pub(crate) refused: CounterVec<U64>,
    /// Failures of peers, by kind: `send`, `request`.
    pub(crate) failed: CounterVec<U64>,
}

impl Metrics {
    pub(crate) fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let counters = |name: &str, help: &str| {
            CounterVec::new(
                Opts::new(format!("starling_network_{name}"), help),
                &["what"],
            )
        };
        let metrics = Self {
            links: Gauge::new("starling_network_links", "Open substreams for activations")?,
            refused: counters("refused_total", "Substreams and requests refused to peers")?,
            failed: counters(
                "failed_total",
                "Messages and requests that peers did not take or answer",
            )?,
        };
        if let Some(registry) = registry {
            register(metrics.links.clone(), registry)?;
            register(metrics.refused.clone(), registry)?;
            register(metrics.failed.clone(), registry)?;
        }
        Ok(metrics)
    }
}
