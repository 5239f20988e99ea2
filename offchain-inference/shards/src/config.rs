// SPDX-License-Identifier: Apache-2.0
//! Limits of a node's service, and how a pipeline is used.

use std::time::Duration;

use crate::wire::WireFormat;

/// What a node lets others do, in sum over all models that it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// Whether only active agents with `min_bond` may open sessions.
    pub only_bonded: bool,
    /// The least bond of such an agent, in the smallest unit of the currency.
    pub min_bond: u128,
    /// Sessions that may be open.
    pub max_sessions: usize,
    /// Sessions that one agent may have open.
    pub max_sessions_per_agent: usize,
    /// Branches of a session.
    pub max_branches: usize,
    /// Positions of all branches of a session together.
    pub max_positions: usize,
    /// Rows of one message; also the rows that are computed in one pass.
    pub max_rows: usize,
    /// Bytes of a session that may wait: of its messages, of its answers, and of what is passed on.
    pub max_waiting_bytes: usize,
    /// Messages a second that a peer may send, twice as many at once.
    pub messages_per_second: f64,
    /// Requests of set-up a second that a peer may send, four times as many at once.
    pub requests_per_second: f64,
    /// A session without a message for so long ends.
    pub idle: Duration,
    /// How far the clocks of two nodes may be apart.
    pub clock_skew: Duration,
    /// How long a peer may take to accept an answer before its session ends.
    pub send_timeout: Duration,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            only_bonded: true,
            min_bond: 0,
            max_sessions: 64,
            max_sessions_per_agent: 8,
            max_branches: 512,
            max_positions: 65_536,
            max_rows: 256,
            max_waiting_bytes: 16 << 20,
            messages_per_second: 2_000.0,
            requests_per_second: 10.0,
            idle: Duration::from_secs(120),
            clock_skew: Duration::from_secs(60),
            send_timeout: Duration::from_secs(2),
        }
    }
}

/// How a pipeline of spans is used.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// Wire format of hidden states on the way.
    pub wire: WireFormat,
    /// Whether only the spans of active, bonded agents are used.
    pub only_bonded: bool,
    /// Share of the computed rows that a second holder computes too, for comparison; 0 to 1.
    pub spot_check: f64,
    /// Rows of a message of prefill. Several messages are under way at the same time, so that
    /// the nodes of a pipeline work side by side.
    pub chunk_rows: usize,
    /// The least round-trip time of a server to which the one before passes rows on, instead of
    /// sending them back to this node first: what is near is as fast the other way, which costs
    /// fewer messages.
    pub push_from: Duration,
    /// Sequences of the past whose caches are kept for later ones that begin alike.
    pub remembered: usize,
    /// How long to look for holders of missing layers, and to go on without progress after a
    /// failure.
    pub patience: Duration,
    /// How long a request of set-up may take.
    pub request_timeout: Duration,
    /// The least time that an answer may take before its server is given up.
    pub least_step_timeout: Duration,
    /// The most time that an answer may take.
    pub most_step_timeout: Duration,
    /// Whether a route is left for a much faster one.
    pub replan: bool,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            wire: WireFormat::default(),
            only_bonded: true,
            spot_check: 0.0,
            chunk_rows: 64,
            push_from: Duration::from_millis(2),
            remembered: 2,
            patience: Duration::from_secs(20),
            request_timeout: Duration::from_secs(3),
            least_step_timeout: Duration::from_secs(2),
            most_step_timeout: Duration::from_secs(30),
            replan: true,
        }
    }
}
