// SPDX-License-Identifier: Apache-2.0
//! The matrices of a layer that an adapter can change.

use crate::config::{Architecture, Config};

/// A matrix of a layer, as the base model's training code has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// width → query width.
    Query,
    /// width → key-value width.
    Key,
    /// width → key-value width.
    Value,
    /// Queries, keys and values in one matrix, in this order; phi3's.
    QueryKeyValue,
    /// query width → width.
    Output,
    /// width → feed-forward width.
    Gate,
    /// width → feed-forward width.
    Up,
    /// Gate and up in one matrix, in this order; phi3's.
    GateUp,
    /// feed-forward width → width.
    Down,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::QueryKeyValue,
        Self::Output,
        Self::Gate,
        Self::Up,
        Self::GateUp,
        Self::Down,
    ];

    /// Its module within a layer, in PEFT's names.
    pub fn module(self) -> &'static str {
        match self {
            Self::Query => "self_attn.q_proj",
            Self::Key => "self_attn.k_proj",
            Self::Value => "self_attn.v_proj",
            Self::QueryKeyValue => "self_attn.qkv_proj",
            Self::Output => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::GateUp => "mlp.gate_up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// The last part of [`Target::module`].
    pub fn name(self) -> &'static str {
        let module = self.module();
        module.rsplit('.').next().unwrap_or(module)
    }

    /// The target of a tensor of a layer in GGUF's names. phi3 has gate and up under the name of
    /// up.
    pub(super) fn of_tensor(architecture: Architecture, tensor: &str) -> Option<Self> {
        Some(match tensor {
            "attn_q" => Self::Query,
            "attn_k" => Self::Key,
            "attn_v" => Self::Value,
            "attn_qkv" => Self::QueryKeyValue,
            "attn_output" => Self::Output,
            "ffn_gate" => Self::Gate,
            "ffn_up" if architecture == Architecture::Phi3 => Self::GateUp,
            "ffn_up" => Self::Up,
            "ffn_down" => Self::Down,
            _ => return None,
        })
    }

    /// Outputs and inputs of the matrix in a model; `None` if its layers have no such matrix. The
    /// matrices of experts cannot be changed.
    pub fn shape(self, config: &Config) -> Option<(usize, usize)> {
        let fused = config.architecture == Architecture::Phi3;
        let (width, feed_forward) = (config.width, config.feed_forward);
        let (query, kv) = (config.query_width(), config.kv_width());
        let shape = match self {
            Self::Query if !fused => (query, width),
            Self::Key | Self::Value if !fused => (kv, width),
            Self::QueryKeyValue if fused => (query.checked_add(kv.checked_mul(2)?)?, width),
            Self::Output => (width, query),
            _ if config.experts.is_some() => return None,
            Self::Gate | Self::Up if !fused => (feed_forward, width),
            Self::GateUp if fused => (feed_forward.checked_mul(2)?, width),
            Self::Down => (width, feed_forward),
            _ => return None,
        };
        Some(shape)
    }
}
