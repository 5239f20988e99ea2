// SPDX-License-Identifier: Apache-2.0

//! Computation of layers for other nodes, and by them.

use schemars::JsonSchema;
use serde::Deserialize;
use starling_shards::{wire::WireFormat, PipelineConfig, ServiceConfig};

use super::{
    schema,
    values::{Amount, Share, Time},
    wire_format,
};

/// Computation of layers for other nodes, and by them; `starling-shards` has the defaults.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shards {
    /// Wire format of the hidden states between nodes.
    #[serde(deserialize_with = "wire_format")]
    #[schemars(schema_with = "schema::wire_format")]
    pub wire: Option<WireFormat>,
    /// Only active agents may use the layers of this node, and only theirs are used.
    pub only_bonded: bool,
    /// Least bond of an agent that may use the layers of this node, in the smallest unit.
    pub min_bond: Amount,
    /// Most sessions of others.
    pub max_sessions: usize,
    /// Most sessions of one agent.
    pub max_sessions_per_agent: usize,
    /// Share of the rows that a second node computes too, for comparison.
    pub spot_check: Share,
    /// Most guessed tokens that a pass verifies where round trips are long; 0 guesses none.
    pub guesses: usize,
    /// Longest search for nodes that hold missing layers.
    pub patience: Time,
    /// Least round-trip time of a node to which the one before it passes rows on, instead of
    /// sending them back here; "0s" has every node pass them on.
    pub push_from: Time,
    /// Bandwidth up of this node in kbit/s, told to others; 0 if unknown.
    pub up_kbps: u32,
    /// Bandwidth down of this node in kbit/s, told to others; 0 if unknown.
    pub down_kbps: u32,
}

impl Default for Shards {
    fn default() -> Self {
        let service = ServiceConfig::default();
        let pipeline = PipelineConfig::default();
        Self {
            wire: None,
            only_bonded: service.only_bonded,
            min_bond: Amount(service.min_bond),
            max_sessions: service.max_sessions,
            max_sessions_per_agent: service.max_sessions_per_agent,
            spot_check: Share(pipeline.spot_check),
            guesses: pipeline.guesses,
            patience: Time(pipeline.patience),
            push_from: Time(pipeline.push_from),
            up_kbps: service.up_kbps,
            down_kbps: service.down_kbps,
        }
    }
}

impl Shards {
    /// Limits of others on this node.
    pub fn service(&self) -> ServiceConfig {
        ServiceConfig {
            only_bonded: self.only_bonded,
            min_bond: self.min_bond.0,
            max_sessions: self.max_sessions,
            max_sessions_per_agent: self.max_sessions_per_agent,
            up_kbps: self.up_kbps,
            down_kbps: self.down_kbps,
            ..ServiceConfig::default()
        }
    }

    /// Use of the layers of others. `wire` replaces the format of this table.
    pub fn pipeline(&self, wire: Option<WireFormat>) -> PipelineConfig {
        PipelineConfig {
            wire: wire.or(self.wire).unwrap_or_default(),
            only_bonded: self.only_bonded,
            spot_check: self.spot_check.get(),
            guesses: self.guesses,
            patience: self.patience.0,
            push_from: self.push_from.0,
            ..PipelineConfig::default()
        }
    }
}
