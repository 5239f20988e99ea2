// SPDX-License-Identifier: Apache-2.0

//! Primary modules: models, and patterns that answer without one.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{de, Deserialize, Deserializer};
use starling_engine::{adapter::Adapter, backend::Api, Device};
use starling_shards::wire::WireFormat;

use super::{
    accept::Accept,
    by_key::by_key,
    model::{stem, Draft, GenerationConfig, Weights},
    schema,
    values::{Pattern, Sha256, Size, Time, True},
    wire_format,
};

/// A primary module.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub struct Primary {
    /// Name in logs and metrics; by default the name of the model, or "patterns".
    pub name: Option<String>,
    /// Conditions of a request that the module answers.
    #[serde(default)]
    pub accept: Accept,
    /// Source of its answers.
    #[serde(flatten)]
    pub source: Source,
}

/// Source of a module's answers.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
#[schemars(untagged)]
pub enum Source {
    /// Patterns that answer without a model.
    #[serde(rename = "patterns")]
    Patterns(Patterns),
    /// A model whose layers other nodes compute.
    #[serde(rename = "shards")]
    Shards(Shards),
    /// A model behind an OpenAI-compatible endpoint.
    #[serde(rename = "url")]
    Endpoint(Endpoint),
    /// A model file that this node computes.
    #[serde(rename = "path")]
    File(File),
    /// A model of the store that this node computes.
    #[serde(rename = "model")]
    Store(Store),
}

by_key!(Source);

/// Patterns that answer without a model.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Patterns {
    /// The patterns, in the order in which they are tried.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(length(min = 1))]
    pub patterns: Vec<Reply>,
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Reply>, D::Error> {
    let patterns = Vec::deserialize(deserializer)?;
    if patterns.is_empty() {
        return Err(de::Error::custom("the list of patterns is empty"));
    }
    Ok(patterns)
}

/// The answer to prompts that match a pattern.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(remote = "Self", rename_all = "lowercase", deny_unknown_fields)]
#[schemars(untagged)]
pub enum Reply {
    /// A fixed text.
    Answer {
        /// Regular expression that the prompt matches.
        pattern: Pattern,
        /// The text; `$1` or `$name` stand for what a group of the pattern matched.
        answer: String,
    },
    /// The value of the arithmetic in the prompt.
    Arithmetic {
        /// Regular expression that the prompt matches.
        pattern: Pattern,
        /// Answers with the value of the arithmetic in the prompt.
        arithmetic: True,
    },
}

by_key!(Reply);

/// A model whose layers other nodes compute; only embedding and head are loaded here. The others see
/// hidden states, from which they can recover prompt and answer: `starling-shards invert` shows how
/// much of them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Shards {
    /// Has other nodes compute the layers.
    pub shards: True,
    /// The model.
    #[serde(flatten)]
    pub weights: Weights,
    /// Wire format of the hidden states; by default that of `[shards]`.
    #[serde(default, deserialize_with = "wire_format")]
    #[schemars(schema_with = "schema::wire_format")]
    pub wire: Option<WireFormat>,
    /// Number of the model's first layers that this node computes itself, fewer than it has. They
    /// make it dearer to recover a prompt, and do not prevent it.
    #[serde(default)]
    pub own_layers: usize,
    /// Memory for key-value caches of the layers that this node computes.
    pub cache: Option<Size>,
    /// Draft model with the same tokenizer, which this node computes: the name of a model of the
    /// store, or the path of a GGUF file.
    #[schemars(with = "Option<String>")]
    pub draft: Option<Draft>,
    /// Options of generation.
    #[serde(flatten)]
    pub generation: GenerationConfig,
}

/// A model behind an OpenAI-compatible endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Endpoint {
    /// The endpoint, up to and including `/v1`.
    pub url: String,
    /// Name of the model there.
    pub model: String,
    /// `completions`, or `chat` for an endpoint with chat completions alone, which cannot score the
    /// responses of others.
    #[serde(default)]
    #[schemars(schema_with = "schema::api")]
    pub api: Api,
    /// Environment variable that holds the key of the endpoint.
    pub api_key_env: Option<String>,
    /// File with the Jinja chat template of the model, for completions.
    pub chat_template: Option<PathBuf>,
    /// Context length of the model, in tokens.
    pub context: Option<usize>,
    /// Longest request.
    pub timeout: Option<Time>,
    /// Options of generation.
    #[serde(flatten)]
    pub generation: GenerationConfig,
}

impl Endpoint {
    fn check(&self) -> Result<(), String> {
        match (self.api, &self.chat_template) {
            (Api::Chat, Some(_)) => Err(
                "with `api = \"chat\"` the server applies its own template: leave \
                 `chat_template` out"
                    .into(),
            ),
            _ => Ok(()),
        }
    }
}

/// A model file that this node computes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct File {
    /// Path of the file.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// Device, memory and adapter of the model.
    #[serde(flatten)]
    pub means: Means,
    /// Options of generation.
    #[serde(flatten)]
    pub generation: GenerationConfig,
}

/// A model of the store that this node computes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Store {
    /// Name of the model in the store.
    pub model: String,
    /// Device, memory and adapter of the model.
    #[serde(flatten)]
    pub means: Means,
    /// Options of generation.
    #[serde(flatten)]
    pub generation: GenerationConfig,
}

/// Device, memory and adapter of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Means {
    /// `cpu`, or `cuda:0` for an NVIDIA GPU in a node built with the feature `cuda`.
    #[schemars(schema_with = "schema::device")]
    pub device: Device,
    /// Memory for key-value caches.
    pub cache: Option<Size>,
    /// LoRA adapter for the model: a PEFT folder, or a GGUF adapter of llama.cpp; on the device
    /// `cpu`.
    pub adapter: Option<PathBuf>,
    /// Takes an adapter that does not say which model it is for.
    pub base_unknown: bool,
}

impl Means {
    fn relative_to(&mut self, folder: &Path) {
        if let Some(path) = &mut self.adapter {
            *path = folder.join(&*path);
        }
    }

    /// Reads the adapter, without the model, which may not be there yet.
    fn check(&self) -> Result<(), String> {
        let Some(path) = &self.adapter else {
            return match self.base_unknown {
                true => Err("base_unknown is about an `adapter`, but there is none".into()),
                false => Ok(()),
            };
        };
        if self.device != Device::Cpu {
            return Err(format!(
                "an adapter runs on the device cpu, not on {}",
                self.device
            ));
        }
        let adapter = Adapter::open(path).map_err(|error| error.to_string())?;
        if adapter.origin().base_sha256.is_none() && !self.base_unknown {
            return Err(format!(
                "{} does not say which model it is for (starling.base_sha256); set `base_unknown = \
                 true` if you know that it is for this one",
                path.display()
            ));
        }
        Ok(())
    }
}

impl Primary {
    /// Name in logs and metrics.
    pub fn name(&self) -> String {
        let of_source = || match &self.source {
            Source::Patterns(_) => "patterns".into(),
            Source::Shards(shards) => shards.weights.name(),
            Source::Endpoint(endpoint) => endpoint.model.clone(),
            Source::File(file) => stem(&file.path),
            Source::Store(store) => store.model.clone(),
        };
        self.name.clone().unwrap_or_else(of_source)
    }

    /// Options of the module's model; `None` for patterns.
    pub fn generation(&self) -> Option<&GenerationConfig> {
        match &self.source {
            Source::Patterns(_) => None,
            Source::Shards(shards) => Some(&shards.generation),
            Source::Endpoint(endpoint) => Some(&endpoint.generation),
            Source::File(file) => Some(&file.generation),
            Source::Store(store) => Some(&store.generation),
        }
    }

    /// Whether the module has a model that scores responses. Chat completions tell nothing about a
    /// given text.
    pub fn scores(&self) -> bool {
        match &self.source {
            Source::Patterns(_) => false,
            Source::Endpoint(endpoint) => endpoint.api == Api::Completions,
            Source::Shards(_) | Source::File(_) | Source::Store(_) => true,
        }
    }

    /// Fails if the adapter of the model cannot be used, or settings of its endpoint contradict each
    /// other.
    pub(super) fn check(&self) -> Result<(), String> {
        let checked = match &self.source {
            Source::File(file) => file.means.check(),
            Source::Store(store) => store.means.check(),
            Source::Endpoint(endpoint) => endpoint.check(),
            Source::Patterns(_) | Source::Shards(_) => Ok(()),
        };
        checked.map_err(|reason| format!("the primary module {:?}: {reason}", self.name()))
    }

    pub(super) fn relative_to(&mut self, folder: &Path) {
        match &mut self.source {
            Source::Patterns(_) => {},
            Source::Store(store) => store.means.relative_to(folder),
            Source::Shards(shards) => {
                shards.weights.relative_to(folder);
                if let Some(draft) = &mut shards.draft {
                    draft.relative_to(folder);
                }
            },
            Source::File(file) => {
                file.path = folder.join(&file.path);
                file.means.relative_to(folder);
            },
            Source::Endpoint(endpoint) => {
                if let Some(path) = &mut endpoint.chat_template {
                    *path = folder.join(&*path);
                }
            },
        }
    }
}
