// SPDX-License-Identifier: Apache-2.0

//! Layers of models that the node computes for other agents.

use std::{num::NonZeroUsize, ops::Range, path::Path};

use schemars::JsonSchema;
use serde::{de, Deserialize, Deserializer};
use starling_engine::ActivationBits;

use super::{model::Weights, schema, values::Size};

/// Part of a model that the node computes for other agents.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// The model.
    #[serde(flatten)]
    pub weights: Weights,
    /// Layers of it.
    #[serde(flatten)]
    pub layers: Layers,
    /// Memory for the key-value caches of the sessions of others.
    pub cache: Option<Size>,
    /// Bits of the activations that quantised weights are multiplied with, 16 by default; 8 read a
    /// prompt faster and are as honest.
    #[serde(default, deserialize_with = "activation_bits")]
    #[schemars(schema_with = "schema::activation_bits")]
    pub activation_bits: Option<ActivationBits>,
}

impl Serve {
    /// Name in logs and metrics.
    pub fn name(&self) -> String {
        self.weights.name()
    }

    pub(super) fn relative_to(&mut self, folder: &Path) {
        self.weights.relative_to(folder);
    }
}

/// Bits of activations by their number.
fn activation_bits<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ActivationBits>, D::Error> {
    let bits = u8::deserialize(deserializer)?.to_string();
    bits.parse().map(Some).map_err(de::Error::custom)
}

/// Layers that a node serves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Fields")]
#[schemars(with = "Fields")]
pub enum Layers {
    /// Those that raise the swarm's weakest layers most.
    Auto {
        /// The most that the node takes; all of the model's if absent.
        max: Option<NonZeroUsize>,
    },
    /// From the first, up to the end.
    Span(Range<usize>),
}

#[derive(Deserialize, JsonSchema)]
struct Fields {
    /// "auto" takes the layers that raise the swarm's weakest ones most; "0..15" takes the layers
    /// 0 to 14.
    #[schemars(regex(pattern = r"^(auto|\d+ *\.\. *\d+)$"))]
    layers: Option<String>,
    /// The most layers that "auto" takes; all of the model's by default.
    max_layers: Option<NonZeroUsize>,
}

impl TryFrom<Fields> for Layers {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        match (fields.layers.as_deref(), fields.max_layers) {
            (None | Some("auto"), max) => Ok(Self::Auto { max }),
            (Some(span), None) => Ok(Self::Span(parse(span)?)),
            (Some(_), Some(_)) => Err("max_layers goes with layers = \"auto\" only".into()),
        }
    }
}

fn parse(text: &str) -> Result<Range<usize>, String> {
    let span = text.split_once("..").and_then(|(start, end)| {
        let span = start.trim().parse().ok()?..end.trim().parse().ok()?;
        (!span.is_empty()).then_some(span)
    });
    span.ok_or_else(|| {
        format!(
            "layers = {text:?} is neither \"auto\" nor a first layer and an end as in \"0..15\""
        )
    })
}
