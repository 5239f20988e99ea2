// SPDX-License-Identifier: Apache-2.0

//! Prometheus metrics of lanes.

use substrate_prometheus_endpoint::{
    exponential_buckets, register, Counter, CounterVec, Gauge, Histogram, HistogramOpts, Opts,
    PrometheusError, Registry, U64,
};

/// The metrics of lanes.
#[derive(Clone)]
pub struct Metrics {
    /// Requests that came.
    pub asks: Counter<U64>,
    /// Soft answers.
    pub soft: Counter<U64>,
    /// Certificates.
    pub certified: Counter<U64>,
    /// Requests that expired.
    pub expired: Counter<U64>,
    /// Checkpoints given to the chain.
    pub settled: Counter<U64>,
    /// Bytes of messages by `way` (`in`, `out`).
    pub bytes: CounterVec<U64>,
    /// Messages that were refused or lost, by `why` (`bytes`, `sender`, `lie`, `unknown`, `full`,
    /// `lost`, `settled`, `other ask`).
    pub refused: CounterVec<U64>,
    /// Members that signed two things of which they may sign one.
    pub accused: Counter<U64>,
    /// Committees in which an agent of this node sits.
    pub seats: Gauge<U64>,
    /// Seconds from an ask to the soft answer.
    pub soft_seconds: Histogram,
    /// Seconds from an ask to the certificate.
    pub certified_seconds: Histogram,
}

impl Metrics {
    /// Metrics, registered with `registry` if there is one.
    pub fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let counter =
            |name: &str, help: &str| Counter::new(format!("starling_lane_{name}_total"), help);
        let counters = |name: &str, help: &str, label: &str| {
            CounterVec::new(
                Opts::new(format!("starling_lane_{name}_total"), help),
                &[label],
            )
        };
        let seconds = |name: &str, help: &str| -> Result<Histogram, PrometheusError> {
            let options = HistogramOpts::new(format!("starling_lane_{name}_seconds"), help);
            Histogram::with_opts(options.buckets(exponential_buckets(0.001, 2.0, 16)?))
        };
        let metrics = Self {
            asks: counter("asks", "Requests of lanes")?,
            soft: counter("soft", "Soft answers")?,
            certified: counter("certified", "Certified answers")?,
            expired: counter("expired", "Requests that expired without a certificate")?,
            settled: counter("settle_submitted", "Checkpoints given to the chain")?,
            bytes: counters("bytes", "Bytes of messages of lanes", "way")?,
            refused: counters("refused", "Messages of lanes refused or lost", "why")?,
            accused: counter("accused", "Pairs of signatures that a member may not make")?,
            seats: Gauge::new("starling_lane_seats", "Seats of this node's agents")?,
            soft_seconds: seconds("soft", "From an ask to the soft answer")?,
            certified_seconds: seconds("certified", "From an ask to the certificate")?,
        };
        if let Some(registry) = registry {
            metrics.clone().register(registry)?;
        }
        Ok(metrics)
    }

    fn register(self, registry: &Registry) -> Result<(), PrometheusError> {
        register(self.asks, registry)?;
        register(self.soft, registry)?;
        register(self.certified, registry)?;
        register(self.expired, registry)?;
        register(self.settled, registry)?;
        register(self.bytes, registry)?;
        register(self.refused, registry)?;
        register(self.accused, registry)?;
        register(self.seats, registry)?;
        register(self.soft_seconds, registry)?;
        register(self.certified_seconds, registry)?;
        Ok(())
    }

    pub(super) fn refuse(&self, why: &str) {
        self.refused.with_label_values(&[why]).inc();
    }

    pub(super) fn count(&self, way: &str, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.with_label_values(&[way]).inc_by(bytes);
    }
}
