// SPDX-License-Identifier: Apache-2.0

//! Prometheus metrics of the agent. `deploy/grafana.json` is their dashboard.

use std::time::Duration;

use substrate_prometheus_endpoint::{
    exponential_buckets, register, Counter, CounterVec, Gauge, GaugeVec, HistogramOpts,
    HistogramVec, Opts, PrometheusError, Registry, F64, U64,
};

/// The worker's metrics.
#[derive(Clone)]
pub struct Metrics {
    /// Jobs by `kind` (`respond`, `rank`) and `outcome` (`done`, `passed`, `failed`, `cancelled`,
    /// `refused` by a full queue).
    pub jobs: CounterVec<U64>,
    /// Waiting jobs.
    pub waiting: Gauge<U64>,
    /// Running jobs.
    pub running: Gauge<U64>,
    /// Tokens by `module` and `kind` (`prompt`, `response`).
    pub tokens: CounterVec<U64>,
    /// Guessed tokens of responses by `module` and `outcome` (`right`, `wasted`).
    pub guesses: CounterVec<U64>,
    /// Tokens per second of the last response.
    pub speed: Gauge<F64>,
    /// Durations in seconds, by `phase`.
    pub seconds: HistogramVec,
    /// Messages sent, by `message`.
    pub messages: CounterVec<U64>,
    /// Phases that this node's agents missed in rounds in which they took part, by `phase`.
    pub missed: CounterVec<U64>,
    /// Finished rounds, by `outcome` for this node's agents (`won`, `lost`, `failed`).
    pub rounds: CounterVec<U64>,
    /// Present problems.
    pub problems: Gauge<U64>,
    /// Rounds in the vault.
    pub stored: Gauge<U64>,
    /// Number of times that a changed configuration was read.
    pub reloads: Counter<U64>,
    /// Layers computed for other agents, by `model`.
    pub served: GaugeVec<U64>,
}

/// A part of the work whose duration is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting until the transaction pool knows the block.
    Pool,
    /// Running the runtime's off-chain worker.
    Hook,
    /// Signing and sending the messages that are due.
    Submit,
    /// Time of a job in the queue.
    Wait,
    /// Computing a response.
    Respond,
    /// Computing a set of scores.
    Rank,
    /// Writing to the vault, with fsync.
    Store,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Hook => "hook",
            Self::Submit => "submit",
            Self::Wait => "wait",
            Self::Respond => "respond",
            Self::Rank => "rank",
            Self::Store => "store",
        }
    }
}

/// The messages that an agent can miss.
pub const MISSED: [&str; 3] = ["commit", "reveal", "disclose"];

/// The outcomes of a round for an agent that took part.
pub const OUTCOMES: [&str; 3] = ["won", "lost", "failed"];

impl Metrics {
    /// Metrics, registered with `registry` if there is one.
    pub fn new(registry: Option<&Registry>) -> Result<Self, PrometheusError> {
        let metrics = Self::unregistered()?;
        if let Some(registry) = registry {
            metrics.clone().register(registry)?;
        }
        Ok(metrics)
    }

    fn unregistered() -> Result<Self, PrometheusError> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            CounterVec::new(Opts::new(format!("starling_agent_{name}"), help), labels)
        };
        let gauge = |name: &str, help: &str| Gauge::new(format!("starling_agent_{name}"), help);
        let metrics = Self {
            jobs: counters("jobs_total", "Jobs of the agent", &["kind", "outcome"])?,
            waiting: gauge("jobs_waiting", "Jobs in the queue")?,
            running: gauge("jobs_running", "Jobs being computed")?,
            tokens: counters("tokens_total", "Tokens computed", &["module", "kind"])?,
            guesses: counters("guesses_total", "Tokens guessed", &["module", "outcome"])?,
            speed: Gauge::new(
                "starling_agent_tokens_per_second",
                "Decoding speed of the last response",
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("starling_agent_seconds", "Seconds of the worker by phase")
                    .buckets(exponential_buckets(0.001, 2.0, 18)?),
                &["phase"],
            )?,
            messages: counters("messages_total", "Messages sent to the pool", &["message"])?,
            missed: counters("missed_phases_total", "Phases missed", &["phase"])?,
            rounds: counters("rounds_total", "Rounds taken part in", &["outcome"])?,
            problems: gauge("problems", "Present problems; the log names them")?,
            stored: gauge("stored_rounds", "Rounds in the vault")?,
            reloads: Counter::new(
                "starling_agent_reloads_total",
                "Number of times that a changed configuration was read",
            )?,
            served: GaugeVec::new(
                Opts::new(
                    "starling_agent_served_layers",
                    "Layers of models computed for other agents",
                ),
                &["model"],
            )?,
        };
        // A series that begins at its first event shows no increase, and raises no alarm.
        for phase in MISSED {
            metrics.missed.with_label_values(&[phase]).inc_by(0);
        }
        for outcome in OUTCOMES {
            metrics.rounds.with_label_values(&[outcome]).inc_by(0);
        }
        Ok(metrics)
    }

    fn register(self, registry: &Registry) -> Result<(), PrometheusError> {
        register(self.jobs, registry)?;
        register(self.waiting, registry)?;
        register(self.running, registry)?;
        register(self.tokens, registry)?;
        register(self.guesses, registry)?;
        register(self.speed, registry)?;
        register(self.seconds, registry)?;
        register(self.messages, registry)?;
        register(self.missed, registry)?;
        register(self.rounds, registry)?;
        register(self.problems, registry)?;
        register(self.stored, registry)?;
        register(self.reloads, registry)?;
        register(self.served, registry)?;
        Ok(())
    }

    /// Records a duration.
    pub fn took(&self, phase: Phase, time: Duration) {
        self.seconds
            .with_label_values(&[phase.name()])
            .observe(time.as_secs_f64());
    }

    /// Counts a generated response.
    pub fn generated(&self, module: &str, prompt: usize, response: usize, decode: Duration) {
        let count = |kind, tokens: usize| {
            self.tokens
                .with_label_values(&[module, kind])
                .inc_by(tokens.try_into().unwrap_or(u64::MAX));
        };
        count("prompt", prompt);
        count("response", response);
        if response > 1 && !decode.is_zero() {
            // The first token is the prefill's.
            self.speed.set((response - 1) as f64 / decode.as_secs_f64());
        }
    }

    /// Counts the guessed tokens of a response.
    pub fn guessed(&self, module: &str, guesses: usize, right: usize) {
        let wasted = guesses.saturating_sub(right);
        for (outcome, tokens) in [("right", right), ("wasted", wasted)] {
            self.guesses
                .with_label_values(&[module, outcome])
                .inc_by(tokens.try_into().unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_raises_an_alarm_is_there_at_zero_before_it_happens() {
        let registry = Registry::new();
        let _metrics = Metrics::new(Some(&registry)).unwrap();
        let families = registry.gather();
        for (name, values) in [("missed_phases_total", MISSED), ("rounds_total", OUTCOMES)] {
            let name = format!("starling_agent_{name}");
            let found = families.iter().find(|family| family.get_name() == name);
            let series = found.unwrap().get_metric();
            let at_zero = series
                .iter()
                .filter(|one| one.get_counter().get_value() == 0.0);
            assert_eq!(at_zero.count(), values.len(), "{name}");
        }
    }

    #[test]
    fn every_metric_of_the_dashboard_exists() {
        let registry = Registry::new();
        let metrics = Metrics::new(Some(&registry)).unwrap();
        metrics.took(Phase::Rank, Duration::from_millis(3));
        metrics.generated("m", 5, 11, Duration::from_secs(1));
        assert_eq!(metrics.speed.get(), 10.0);
        metrics.guessed("m", 7, 5);
        for (outcome, tokens) in [("right", 5), ("wasted", 2)] {
            let guesses = metrics.guesses.with_label_values(&["m", outcome]);
            assert_eq!(guesses.get(), tokens);
        }
        for vec in [&metrics.jobs, &metrics.tokens] {
            vec.with_label_values(&["a", "b"]).inc();
        }
        for vec in [&metrics.messages, &metrics.missed, &metrics.rounds] {
            vec.with_label_values(&["a"]).inc();
        }
        metrics.served.with_label_values(&["m"]).set(5);
        let names: Vec<_> = registry
            .gather()
            .iter()
            .map(|f| f.get_name().to_owned())
            .collect();
        assert_eq!(names.len(), 14);
        let dashboard = include_str!("../../../deploy/grafana.json");
        for name in &names {
            assert!(dashboard.contains(name.as_str()), "{name} is not shown");
        }
        let shown = regex::Regex::new("starling_agent_[a-z_]+").unwrap();
        for found in shown.find_iter(dashboard) {
            let base = found.as_str();
            let base = base.strip_suffix("_bucket").unwrap_or(base);
            let base = base.strip_suffix("_sum").unwrap_or(base);
            let base = base.strip_suffix("_count").unwrap_or(base);
            assert!(
                names.iter().any(|name| name == base),
                "{base} does not exist"
            );
        }
    }
}
