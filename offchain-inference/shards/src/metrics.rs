// SPDX-License-Identifier: Apache-2.0
//! Prometheus metrics.

use std::time::Duration;

use prometheus::{
    exponential_buckets, Counter, CounterVec, Gauge, Histogram, HistogramOpts, Opts, Registry,
};

/// Metrics of serving and using spans.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Open sessions of other agents.
    pub sessions: Gauge,
    /// Positions in the caches of served spans.
    pub positions: Gauge,
    /// Memory of all messages that wait: work, pushed rows, and outgoing answers and rows.
    pub waiting_bytes: Gauge,
    /// Refusals sent to others, by `reason`.
    pub refused: CounterVec,
    /// Sessions that ended for want of messages.
    pub expired: Counter,
    /// Rows computed for others.
    pub served_rows: Counter,
    /// Rows of a pass: the number of sequences computed together.
    pub pass_rows: Histogram,
    /// Seconds of a pass.
    pub pass_seconds: Histogram,
    /// Bytes of hidden states and their headers, by `direction` (`sent`, `received`) and `role`
    /// (`server`, `client`).
    pub bytes: CounterVec,
    /// Seconds from a request to its answer, for one hop.
    pub hop_seconds: Histogram,
    /// Seconds of a hop outside the server.
    pub wire_seconds: Histogram,
    /// Spans that failed while in use, by `cause`.
    pub failures: CounterVec,
    /// Seconds from a failure to the first answer of the replacement.
    pub recovery_seconds: Histogram,
    /// Rows sent again to rebuild caches.
    pub replayed_rows: Counter,
    /// Changes to a much faster route.
    pub replanned: Counter,
    /// Spot checks, by `outcome` (`agreed`, `differed`, `failed`).
    pub checks: CounterVec,
    /// Outputs that servers pass on to each other, by `outcome`. Servers count `sent`, `failed` and
    /// `taken`; clients count `given_up` if the rows were lost or changed.
    pub pushes: CounterVec,
    /// Evidence from spot checks, by `outcome`: `found`, then `recorded`, or `lost` if too many
    /// cases waited.
    pub evidence: CounterVec,
    /// Surveys of other holders, by `outcome`: `taken`, `refused`, `unknown` to the node, `failed`.
    pub surveys: CounterVec,
    /// Numbers in surveys that made no sense.
    pub bad_facts: Counter,
    /// Seconds of a round trip to another holder: the least of three pings.
    pub rtt_seconds: Histogram,
    /// Answers without a waiter.
    pub stray: Counter,
}

impl Metrics {
    /// Creates the metrics and registers them with `registry`, if there is one.
    pub fn new(registry: Option<&Registry>) -> Result<Self, prometheus::Error> {
        let register = Register(registry);
        Ok(Self {
            sessions: register.gauge("sessions", "Open sessions of other agents")?,
            positions: register.gauge("positions", "Positions in caches of served spans")?,
            waiting_bytes: register.gauge("waiting_bytes", "Bytes of waiting messages")?,
            refused: register.counters("refused_total", "Refusals sent to others", &["reason"])?,
            expired: register.counter("expired_total", "Sessions ended for want of messages")?,
            served_rows: register.counter("served_rows_total", "Rows computed for others")?,
            pass_rows: register.histogram("pass_rows", "Rows of a pass", 1.0, 10)?,
            pass_seconds: register.histogram("pass_seconds", "Seconds of a pass", 0.000_5, 16)?,
            bytes: register.counters(
                "bytes_total",
                "Bytes of messages with hidden states",
                &["direction", "role"],
            )?,
            hop_seconds: register.histogram(
                "hop_seconds",
                "Seconds from a request to its answer, for one hop",
                0.000_5,
                16,
            )?,
            wire_seconds: register.histogram(
                "wire_seconds",
                "Seconds of a hop outside the server",
                0.000_05,
                18,
            )?,
            failures: register.counters(
                "failures_total",
                "Spans that failed while in use",
                &["cause"],
            )?,
            recovery_seconds: register.histogram(
                "recovery_seconds",
                "Seconds from a failure to the answer of the replacement",
                0.001,
                18,
            )?,
            replayed_rows: register
                .counter("replayed_rows_total", "Rows sent to rebuild caches")?,
            replanned: register.counter("replanned_total", "Changes to a much faster route")?,
            checks: register.counters("checks_total", "Spot checks", &["outcome"])?,
            pushes: register.counters(
                "pushes_total",
                "Outputs passed on from server to server",
                &["outcome"],
            )?,
            evidence: register.counters(
                "evidence_total",
                "Evidence that one of two servers computed wrongly",
                &["outcome"],
            )?,
            surveys: register.counters(
                "surveys_total",
                "Measurements asked of other holders",
                &["outcome"],
            )?,
            bad_facts: register
                .counter("bad_facts_total", "Numbers in surveys that made no sense")?,
            rtt_seconds: register.histogram(
                "rtt_seconds",
                "Seconds of a round trip to another holder",
                0.000_1,
                18,
            )?,
            stray: register.counter("stray_total", "Answers without a waiter")?,
        })
    }

    /// Counts a refusal.
    pub fn refuse(&self, refusal: &crate::message::Refusal) {
        self.refused.with_label_values(&[refusal.name()]).inc();
    }

    /// Counts the outcome of an output that was passed on.
    pub fn push(&self, outcome: &str) {
        self.pushes.with_label_values(&[outcome]).inc();
    }

    /// Counts the outcome of evidence.
    pub fn evidence(&self, outcome: &str) {
        self.evidence.with_label_values(&[outcome]).inc();
    }

    /// Counts the bytes of a message.
    pub fn count_bytes(&self, direction: &str, role: &str, bytes: usize) {
        let labels = [direction, role];
        self.bytes.with_label_values(&labels).inc_by(bytes as f64);
    }
}

/// Observes a duration in seconds.
pub fn observe(histogram: &Histogram, duration: Duration) {
    histogram.observe(duration.as_secs_f64());
}

struct Register<'a>(Option<&'a Registry>);

impl Register<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> Result<C, prometheus::Error> {
        if let Some(registry) = self.0 {
            registry.register(Box::new(collector.clone()))?;
        }
        Ok(collector)
    }

    fn name(name: &str) -> String {
        format!("starling_shards_{name}")
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::new(Self::name(name), help)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<Counter, prometheus::Error> {
        self.add(Counter::new(Self::name(name), help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, prometheus::Error> {
        self.add(CounterVec::new(Opts::new(Self::name(name), help), labels)?)
    }

    /// Buckets from `first` on, each twice as wide as the one before.
    fn histogram(
        &self,
        name: &str,
        help: &str,
        first: f64,
        buckets: usize,
    ) -> Result<Histogram, prometheus::Error> {
        let buckets = exponential_buckets(first, 2.0, buckets)?;
        let options = HistogramOpts::new(Self::name(name), help).buckets(buckets);
        self.add(Histogram::with_opts(options)?)
    }
}
