// SPDX-License-Identifier: Apache-2.0
//! Counters for Prometheus. Every label is there from the start, at 0.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The outcomes of a request that a key pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The round chose an answer.
    Answered,
    /// The round failed.
    Failed,
    /// The chain refused the request in a block.
    Refused,
    /// Nothing was paid.
    Unpaid,
}

const OUTCOMES: [(Ended, &str); 4] = [
    (Ended::Answered, "answered"),
    (Ended::Failed, "failed"),
    (Ended::Refused, "refused"),
    (Ended::Unpaid, "unpaid"),
];

/// The way of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A lane has answered it.
    Lane,
    /// It went to a round at once.
    Round,
    /// A lane was asked, and a round answers it.
    FallenBack,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Lane, "lane"),
    (Way::Round, "round"),
    (Way::FallenBack, "fallen_back"),
];

/// The endpoints with a counter.
pub const ENDPOINTS: [&str; 9] = [
    "chat_completions",
    "responses",
    "rounds",
    "models",
    "mcp",
    "swarm",
    "agents",
    "layers",
    "chain_spec",
];

/// The statuses with a counter.
const STATUSES: [u16; 10] = [200, 400, 401, 402, 403, 404, 424, 429, 500, 503];

/// The counters.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    rounds: IntCounterVec,
    ways: IntCounterVec,
    /// Requests that joined the round of an earlier one.
    pub repeated: IntCounter,
    /// Questions that are not over.
    pub open: IntGauge,
    /// 1 while questions go over a lane.
    pub lane: IntGauge,
}

impl Metrics {
    /// Counters at 0.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "starling_gateway_requests_total",
                "Requests over HTTP, by endpoint and status; a stream counts as its status line",
            ),
            &["endpoint", "status"],
        )?;
        let rounds = IntCounterVec::new(
            Opts::new(
                "starling_gateway_rounds_total",
                "Questions of callers that are over, by outcome",
            ),
            &["outcome"],
        )?;
        let ways = IntCounterVec::new(
            Opts::new(
                "starling_gateway_ways_total",
                "Questions of callers, by the way that answers them",
            ),
            &["way"],
        )?;
        let repeated = IntCounter::new(
            "starling_gateway_repeated_total",
            "Requests that joined the round of an earlier one, and paid nothing",
        )?;
        let open = IntGauge::new(
            "starling_gateway_open_rounds",
            "Questions of callers that are not over",
        )?;
        let lane = IntGauge::new(
            "starling_gateway_lane_open",
            "Whether the last question that fits a lane found one that takes it",
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(rounds.clone()))?;
        registry.register(Box::new(ways.clone()))?;
        registry.register(Box::new(lane.clone()))?;
        registry.register(Box::new(repeated.clone()))?;
        registry.register(Box::new(open.clone()))?;
        for endpoint in ENDPOINTS {
            for status in STATUSES {
                requests.with_label_values(&[endpoint, &status.to_string()]);
            }
        }
        for (_, name) in OUTCOMES {
            rounds.with_label_values(&[name]);
        }
        for (_, name) in WAYS {
            ways.with_label_values(&[name]);
        }
        Ok(Self {
            registry,
            requests,
            rounds,
            ways,
            repeated,
            open,
            lane,
        })
    }

    /// Counts a request.
    pub fn request(&self, endpoint: &str, status: u16) {
        self.requests
            .with_label_values(&[endpoint, &status.to_string()])
            .inc();
    }

    /// Counts the end of a question.
    pub fn ended(&self, how: Ended) {
        let named = OUTCOMES.iter().find(|(outcome, _)| *outcome == how);
        if let Some((_, name)) = named {
            self.rounds.with_label_values(&[name]).inc();
        }
    }

    /// Counts a question by its way.
    pub fn went(&self, way: Way) {
        let named = WAYS.iter().find(|(known, _)| *known == way);
        if let Some((_, name)) = named {
            self.ways.with_label_values(&[name]).inc();
        }
    }

    /// The counters in the format of Prometheus.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_there_at_zero() {
        let metrics = Metrics::new().unwrap();
        let text = metrics.text().unwrap();
        for line in [
            r#"starling_gateway_requests_total{endpoint="chat_completions",status="424"} 0"#,
            r#"starling_gateway_rounds_total{outcome="answered"} 0"#,
            "starling_gateway_repeated_total 0",
            "starling_gateway_open_rounds 0",
            r#"starling_gateway_ways_total{way="fallen_back"} 0"#,
            "starling_gateway_lane_open 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        metrics.ended(Ended::Failed);
        metrics.request("mcp", 200);
        metrics.went(Way::Lane);
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"{outcome="failed"} 1"#), "{text}");
        assert!(text.contains(r#"{way="lane"} 1"#), "{text}");
        assert!(
            text.contains(r#"{endpoint="mcp",status="200"} 1"#),
            "{text}"
        );
    }
}
