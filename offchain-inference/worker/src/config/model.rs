// SPDX-License-Identifier: Apache-2.0

//! Names of models, and options of generation.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use starling_engine::sampling::{Sampling, SamplingError};
use starling_models::is_path;
use starling_primitives::choice::Form;

use super::{by_key::by_key, values::Sha256};
use crate::file::ModelFile;

/// Temperature of answers that are counted, from agents that are not the first of their node.
const COUNTED: f32 = 0.3;

/// The file of a model, or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schemars(untagged)]
pub enum Weights {
    /// A file.
    #[serde(rename = "path")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// SHA-256 of the file.
        sha256: Sha256,
        /// SHA-256 of the whole model, if the file holds a part of it.
        of: Option<Sha256>,
    },
    /// A model of the store.
    #[serde(rename = "model")]
    Store {
        /// Name of the model in the store.
        model: String,
    },
}

by_key!(Weights, "path", "sha256", "of", "model");

/// A draft model. Its file needs no hash: no draft changes a text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Draft {
    /// A model of the store, by its name.
    Store(String),
    /// A GGUF file.
    File(PathBuf),
}

impl From<String> for Draft {
    fn from(name: String) -> Self {
        if is_path(Path::new(&name)) {
            Self::File(name.into())
        } else {
            Self::Store(name)
        }
    }
}

impl Draft {
    pub(super) fn relative_to(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&*path);
        }
    }
}

impl Weights {
    /// The name of the model, or of its file without the extension.
    pub fn name(&self) -> String {
        match self {
            Self::Store { model } => model.clone(),
            Self::File { path, .. } => stem(path),
        }
    }

    /// The file, where models are in the folder `store`.
    pub fn file(&self, store: Option<&Path>) -> ModelFile {
        match self.clone() {
            Self::Store { model } => ModelFile::Store {
                name: model,
                folder: store.map(Into::into),
            },
            Self::File { path, sha256, of } => ModelFile::File { path, sha256, of },
        }
    }

    pub(super) fn relative_to(&mut self, folder: &Path) {
        if let Self::File { path, .. } = self {
            *path = folder.join(&*path);
        }
    }
}

/// The name of a file without its extension.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into()
}

/// Options of generation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationConfig {
    /// Longest response, in tokens; the limit of the request applies too.
    pub max_tokens: Option<usize>,
    /// Texts that end a response.
    pub stop: Vec<String>,
    /// Standing instructions.
    pub system: Option<String>,
    /// Sampling of tokens.
    pub sampling: SamplingConfig,
}

/// Sampling of tokens, with values that the engine accepts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Fields")]
#[schemars(with = "Fields")]
pub struct SamplingConfig {
    sampling: Sampling,
    counted: Option<f32>,
    seed: Option<u64>,
}

impl SamplingConfig {
    /// The settings for answers of a form. Where equal answers are counted, the most probable one is
    /// right most often: the first agent of the node gives it, and others draw close to it.
    pub fn of_form(&self, form: Form, is_first: bool) -> Self {
        if !form.is_counted() {
            return self.clone();
        }
        let usual = match is_first {
            true => 0.0,
            false => self.sampling.temperature.min(COUNTED),
        };
        let temperature = self.counted.unwrap_or(usual);
        Self {
            sampling: Sampling {
                temperature,
                ..self.sampling.clone()
            },
            ..self.clone()
        }
    }

    /// The settings, with the seed that `fresh` makes of the configured one.
    pub fn with_seed(&self, fresh: impl FnOnce(Option<u64>) -> u64) -> Sampling {
        Sampling {
            seed: fresh(self.seed),
            ..self.sampling.clone()
        }
    }
}

/// Sampling of tokens; the engine has the defaults.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    /// Divides the logits, 0 to 100; 0 always takes the most probable token.
    temperature: f32,
    /// Temperature of answers that are a number, a choice or a few words; by default 0 for the first
    /// of the node's agents, and at most 0.3 for the others.
    counted_temperature: Option<f32>,
    /// Keeps the k most probable tokens; 0 keeps all.
    top_k: usize,
    /// Keeps the most probable tokens that together reach this probability, above 0 and at most 1.
    top_p: f32,
    /// Keeps the tokens at least this many times as probable as the most probable one, 0 to 1.
    min_p: f32,
    /// Divides positive logits of recent tokens and multiplies negative ones, 0.1 to 10.
    repetition_penalty: f32,
    /// Number of recent tokens to which the penalty applies.
    repetition_window: usize,
    /// Makes the drawing reproducible; by default each round draws a fresh seed.
    seed: Option<u64>,
}

impl Default for Fields {
    fn default() -> Self {
        let default = Sampling::default();
        Self {
            temperature: default.temperature,
            counted_temperature: None,
            top_k: default.top_k,
            top_p: default.top_p,
            min_p: default.min_p,
            repetition_penalty: default.repetition_penalty,
            repetition_window: default.repetition_window,
            seed: None,
        }
    }
}

impl TryFrom<Fields> for SamplingConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let sampling = Sampling {
            temperature: fields.temperature,
            top_k: fields.top_k,
            top_p: fields.top_p,
            min_p: fields.min_p,
            repetition_penalty: fields.repetition_penalty,
            repetition_window: fields.repetition_window,
            seed: 0,
        };
        sampling.validate().map_err(|error| error.to_string())?;
        let counted = Sampling {
            temperature: fields.counted_temperature.unwrap_or_default(),
            ..sampling.clone()
        };
        let wrong = |error: SamplingError| format!("counted_temperature: {error}");
        counted.validate().map_err(wrong)?;
        Ok(Self {
            sampling,
            counted: fields.counted_temperature,
            seed: fields.seed,
        })
    }
}
