// SPDX-License-Identifier: Apache-2.0
//! Limits of a node's service, and settings of a pipeline.

use std::time::Duration;

use crate::wire::WireFormat;

/// Limits on the service to other nodes, in sum over all served models.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// Accept sessions only from active agents with a bond of `min_bond`.
    pub only_bonded: bool,
    /// Minimum bond of such an agent, in the smallest unit of the currency.
    pub min_bond: u128,
    /// Maximum number of open sessions.
    pub max_sessions: usize,
    /// Maximum number of open sessions of one agent.
    pub max_sessions_per_agent: usize,
    /// Maximum number of branches of a session.
    pub max_branches: usize,
    /// Maximum number of positions of all branches of a session together.
    pub max_positions: usize,
    /// Maximum number of rows of one message, and of rows computed in one pass.
    pub max_rows: usize,
    /// Maximum number of waiting bytes of an agent's messages to one span, all sessions together;
    /// also of a session's answers, and of its rows to pass on.
    pub max_waiting_bytes: usize,
    /// Maximum number of waiting bytes of all agents together, of all these kinds.
    pub max_all_waiting_bytes: usize,
    /// Messages a second that a peer may send; bursts may be twice as large.
    pub messages_per_second: f64,
    /// Set-up requests a second that a peer may send; bursts may be four times as large.
    pub requests_per_second: f64,
    /// Time without a message after which a session ends.
    pub idle: Duration,
    /// Time without computed rows after which a session yields to a new one when all are taken.
    pub yield_after: Duration,
    /// Maximum difference between the clocks of two nodes.
    pub clock_skew: Duration,
    /// Time for a peer to accept an answer before its session ends.
    pub send_timeout: Duration,
    /// Bandwidth up that the node tells others, in kbit/s; 0 if it is unknown.
    pub up_kbps: u32,
    /// Bandwidth down that the node tells others, in kbit/s; 0 if it is unknown.
    pub down_kbps: u32,
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
            max_all_waiting_bytes: 48 << 20,
            messages_per_second: 2_000.0,
            requests_per_second: 10.0,
            idle: Duration::from_secs(120),
            yield_after: Duration::from_secs(10),
            clock_skew: Duration::from_secs(60),
            send_timeout: Duration::from_secs(2),
            up_kbps: 0,
            down_kbps: 0,
        }
    }
}

/// Settings of a pipeline of spans.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// Wire format of hidden states between nodes.
    pub wire: WireFormat,
    /// Use the spans of active, bonded agents only.
    pub only_bonded: bool,
    /// Share of the computed rows that a second holder recomputes for comparison, 0 to 1.
    pub spot_check: f64,
    /// Rows of a prefill message. Several messages are under way at once, so that the nodes of a
    /// pipeline work side by side.
    pub chunk_rows: usize,
    /// Minimum round-trip time of a server for the server before it to pass rows on directly.
    /// Nearer servers get their rows through this node: that is as fast and costs fewer messages.
    pub push_from: Duration,
    /// Maximum number of guessed tokens that a pass verifies. A guess saves a round trip where it
    /// is right; a pass takes no more of them than are computed within the round trips.
    pub guesses: usize,
    /// Number of past sequences whose caches are kept for later ones with the same prefix.
    pub remembered: usize,
    /// Time to look for holders of missing layers, and to go on without progress after a failure.
    pub patience: Duration,
    /// Timeout of a set-up request.
    pub request_timeout: Duration,
    /// Minimum time for an answer before its server is given up.
    pub least_step_timeout: Duration,
    /// Maximum time for an answer.
    pub most_step_timeout: Duration,
    /// Leave a route for a much faster one.
    pub replan: bool,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            wire: WireFormat::default(),
            only_bonded: true,
            spot_check: 0.02,
            chunk_rows: 64,
            push_from: Duration::from_millis(2),
            guesses: 16,
            remembered: 2,
            patience: Duration::from_secs(20),
            request_timeout: Duration::from_secs(3),
            least_step_timeout: Duration::from_secs(2),
            most_step_timeout: Duration::from_secs(30),
            replan: true,
        }
    }
}
