// SPDX-License-Identifier: Apache-2.0

//! The agent configuration file: how an agent is made, what it answers, and how.
//!
//! The format is TOML. Unknown keys are errors. Paths are relative to the folder of the file.

mod accept;
mod by_key;
mod model;
mod primary;
mod ranking;
mod renamed;
mod schema;
mod serve;
mod shards;
mod steps;
mod values;

use std::{
    collections::BTreeSet,
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{de, Deserialize, Deserializer};
use starling_shards::wire::WireFormat;

use crate::AccountId;

pub use accept::Accept;
pub use model::{Draft, GenerationConfig, SamplingConfig, Weights};
pub use primary::{Endpoint, File, Means, Patterns, Primary, Reply, Source, Store};
pub use ranking::{ModelRanking, Ranking, Reference};
pub use schema::schema;
pub use serve::{Layers, Serve};
pub use shards::Shards;
pub use steps::{Command, Limits, Lookup, Step, Template, Trim};
pub use values::{Account, Amount, Kind, Niceness, Pattern, Sha256, Share, Size, Time, True};

/// An error of a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not TOML, or has other keys or values than an agent configuration.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        source: Box<toml::de::Error>,
    },
    /// The parts of the file contradict each other.
    #[error("{path}: {reason}")]
    Meaning {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        reason: String,
    },
}

/// Configuration of an agent.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Starling agent", extend("required" = ["accounts"]))]
pub struct Config {
    /// Accounts of the agents that this node works for.
    // By default none, so that `check` and not the parser names the missing key.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub accounts: BTreeSet<Account>,
    /// Number of jobs that are computed at a time.
    #[serde(default = "one")]
    pub workers: NonZeroUsize,
    /// Most jobs that wait.
    #[serde(default = "default_queue")]
    pub queue: NonZeroUsize,
    /// Threads of an embedded model; 0 for one per core.
    #[serde(default)]
    pub threads: usize,
    /// Priority of the worker, in steps below that of block authoring.
    #[serde(default)]
    pub niceness: Niceness,
    /// Folder of the model store; by default `$STARLING_MODELS`, or the user's data folder.
    pub store: Option<PathBuf>,
    /// Conditions of a request that the agent answers.
    #[serde(default)]
    pub accept: Accept,
    /// Steps between the prompt and the primary module.
    #[serde(default)]
    pub before: Vec<Step>,
    /// The primary modules, asked in order.
    #[serde(default)]
    pub primary: Vec<Primary>,
    /// Steps between the primary module and the sealed response.
    #[serde(default)]
    pub after: Vec<Step>,
    /// Scoring of others' responses.
    #[serde(default)]
    pub ranking: Ranking,
    /// Whether the agents volunteer for the committees of lanes.
    #[serde(default)]
    pub lanes: bool,
    /// Whether tokens of answers are drawn by the chain's key, and their traces kept.
    #[serde(default)]
    pub traces: bool,
    /// Layers of models that this node computes for others.
    #[serde(default)]
    pub serve: Vec<Serve>,
    /// Computation of layers for other nodes, and by them.
    #[serde(default)]
    pub shards: Shards,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn default_queue() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(15)
}

/// A wire format by its name.
fn wire_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<WireFormat>, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map(Some).map_err(de::Error::custom)
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        let format = |source| ConfigError::Format {
            path: path.into(),
            source: Box::new(source),
        };
        let meaning = |reason| ConfigError::Meaning {
            path: path.into(),
            reason,
        };
        renamed::check(&text.parse().map_err(format)?).map_err(meaning)?;
        let mut config: Self = toml::from_str(&text).map_err(format)?;
        config.relative_to(path.parent().unwrap_or(Path::new("")));
        config.check().map_err(meaning)?;
        Ok(config)
    }

    fn relative_to(&mut self, folder: &Path) {
        if let Some(store) = &mut self.store {
            *store = folder.join(&*store);
        }
        let steps = self.before.iter_mut().chain(&mut self.after);
        steps.for_each(|step| step.relative_to(folder));
        let primaries = self.primary.iter_mut();
        primaries.for_each(|primary| primary.relative_to(folder));
        self.serve
            .iter_mut()
            .for_each(|serve| serve.relative_to(folder));
        self.ranking.relative_to(folder);
    }

    fn check(&self) -> Result<(), String> {
        if self.primary.is_empty() && self.serve.is_empty() {
            return Err(
                "the agent has no primary module ([[primary]]) and nothing to serve ([[serve]])"
                    .into(),
            );
        }
        if self.accounts.is_empty() {
            return Err(
                "the file names no account: list those of the agents that this node works for at \
                 its top, as in `accounts = [\"5F…\"]`"
                    .into(),
            );
        }
        if let Some(name) = twice(self.primary.iter().map(Primary::name)) {
            return Err(format!(
                "two primary modules are called {name:?}: give one of them another `name`"
            ));
        }
        if let Some(name) = twice(self.serve.iter().map(Serve::name)) {
            return Err(format!(
                "serve {name:?}: a node serves one span of a model, but there are two"
            ));
        }
        let is_knowledge = |step: &Step| matches!(step, Step::Knowledge { .. });
        if self.after.iter().any(is_knowledge) {
            return Err(
                "a step `knowledge` adds to the question: it belongs to [[before]], not to [[after]]"
                    .into(),
            );
        }
        self.primary.iter().try_for_each(Primary::check)?;
        self.ranked_by().map(drop)
    }

    /// Whether an account is the first of those that the node works for.
    pub fn is_first(&self, account: &AccountId) -> bool {
        self.accounts
            .first()
            .is_some_and(|first| first.0 == *account)
    }

    /// The primary module whose model scores responses, and how; `None` if no model does.
    pub fn ranked_by(&self) -> Result<Option<(&Primary, &ModelRanking)>, String> {
        let Ranking::Model(ranking) = &self.ranking else {
            return Ok(None);
        };
        let Some(name) = &ranking.by else {
            let first = self.primary.iter().find(|primary| primary.scores());
            return match (first, ranking.ranker) {
                (None, Some(ranker)) => Err(format!(
                    "ranking: the ranker {ranker} needs a primary module with a model, but not one \
                     with `api = \"chat\"`; `ranker = \"similarity\"` needs none"
                )),
                (first, _) => Ok(first.map(|first| (first, ranking))),
            };
        };
        let by = self.primary.iter().find(|primary| primary.name() == *name);
        match by {
            Some(by) if by.scores() => Ok(Some((by, ranking))),
            Some(by) if by.generation().is_some() => Err(format!(
                "ranking.by: the module {name:?} has `api = \"chat\"`, and chat completions do not \
                 score; name another module, or set `ranker = \"similarity\"` without `by`"
            )),
            Some(_) => Err(format!("ranking.by: the module {name:?} has no model")),
            None => Err(format!("ranking.by: there is no module {name:?}")),
        }
    }
}

/// A name that occurs twice.
fn twice(names: impl Iterator<Item = String>) -> Option<String> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let pair = names.array_windows().find(|[a, b]| a == b);
    pair.map(|[name, _]| name.clone())
}

#[cfg(test)]
mod tests;
