// SPDX-License-Identifier: Apache-2.0

//! The agent configuration file: what an agent is made of, what it answers, and how.
//!
//! TOML. Fields that are not known are errors. Paths are relative to the file's folder.

use std::{
    fmt, fs, io,
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use regex::Regex;
use serde::{de, Deserialize, Deserializer};
use starling_engine::{
    rank::{Quantiles, RankerKind},
    sampling::Sampling,
    Device,
};
use starling_primitives::Balance;
use starling_shards::{wire::WireFormat, PipelineConfig, ServiceConfig};

use crate::file::ModelFile;

/// Why a configuration file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It is not TOML, or not of this format.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Box<toml::de::Error>,
    },
    /// What it says makes no sense.
    #[error("{path}: {reason}")]
    Meaning {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Jobs that are computed at a time.
    #[serde(default = "one")]
    pub workers: NonZeroUsize,
    /// Jobs that wait, at most.
    #[serde(default = "default_queue")]
    pub queue: NonZeroUsize,
    /// Threads of an embedded model; 0 for one a core.
    #[serde(default)]
    pub threads: usize,
    /// How much lower than block authoring the operating system ranks the worker's threads, 0 to 19.
    #[serde(default = "default_niceness")]
    pub niceness: u8,
    /// Folder of the model store; without it `$STARLING_MODELS`, or the user's data folder.
    pub store: Option<PathBuf>,
    /// Which requests are answered.
    #[serde(default)]
    pub accept: Accept,
    /// What happens to a prompt before the primary module sees it.
    #[serde(default)]
    pub before: Vec<Step>,
    /// The primary modules, asked in order.
    #[serde(default)]
    pub primary: Vec<Primary>,
    /// What happens to a response before it is sealed.
    #[serde(default)]
    pub after: Vec<Step>,
    /// How others' responses are scored.
    #[serde(default)]
    pub ranking: Ranking,
    /// Layers of models that this node computes for others.
    #[serde(default)]
    pub serve: Vec<Serve>,
    /// How nodes compute layers for each other.
    #[serde(default)]
    pub shards: Shards,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn default_queue() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(15)
}

fn default_niceness() -> u8 {
    10
}

/// Requests for which all of this holds are accepted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accept {
    /// Bytes that the prompt has at least.
    pub min_prompt_bytes: Option<usize>,
    /// Bytes that the prompt has at most.
    pub max_prompt_bytes: Option<usize>,
    /// The lowest fee, in the smallest unit.
    #[serde(deserialize_with = "amount")]
    pub min_fee: Option<Balance>,
    /// One of these matches the prompt; without any, all topics are accepted.
    pub topics: Vec<Pattern>,
    /// None of these matches the prompt.
    pub refuse: Vec<Pattern>,
}

/// Amounts are larger than TOML's integers: a string is accepted too.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Balance>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Amount {
        Number(u64),
        Text(String),
    }
    match Amount::deserialize(deserializer)? {
        Amount::Number(number) => Ok(Some(number.into())),
        Amount::Text(text) => text
            .replace('_', "")
            .parse()
            .map(Some)
            .map_err(|_| de::Error::custom(format!("{text:?} is not an amount"))),
    }
}

/// A regular expression, compiled when the file is read.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Self).map_err(de::Error::custom)
    }
}

/// One step of auxiliary processing. Exactly one of `template`, `trim`, `arithmetic`, `command`
/// and `url` says which.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Jinja template; `prompt`, `text` and `round` are its variables.
    pub template: Option<String>,
    /// Leaves out what is too much.
    pub trim: Option<Trim>,
    /// Computes the arithmetic in the text.
    pub arithmetic: bool,
    /// An external program with its arguments.
    pub command: Option<Vec<String>>,
    /// An HTTP hook.
    pub url: Option<String>,
    /// The longest that a program or hook may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The longest output of a program or hook, in bytes.
    pub max_bytes: Option<usize>,
}

impl Step {
    /// The longest that a program or hook may take: `timeout_ms`, or two seconds.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(2_000))
    }

    /// The longest output of a program or hook: `max_bytes`, or 16 KiB.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes.unwrap_or(16 << 10)
    }

    fn check(&self) -> Result<(), String> {
        let kinds = [
            self.template.is_some(),
            self.trim.is_some(),
            self.arithmetic,
            self.command.is_some(),
            self.url.is_some(),
        ];
        if kinds.into_iter().filter(|set| *set).count() != 1 {
            return Err(
                "each step has one of template, trim, arithmetic, command and url".to_owned(),
            );
        }
        if self.command.as_ref().is_some_and(Vec::is_empty) {
            return Err("the command of a step is empty".into());
        }
        if let Some(template) = &self.template {
            minijinja::Environment::new()
                .template_from_str(template)
                .map_err(|error| format!("template of a step: {error:#}"))?;
        }
        Ok(())
    }
}

/// What trimming leaves out, besides white space at both ends.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trim {
    /// All but the first paragraph.
    pub paragraph: bool,
    /// A last sentence without an end, if there is a whole one before it.
    pub sentences: bool,
    /// What is beyond this many bytes.
    pub max_bytes: Option<usize>,
}

/// A primary module: `patterns`, or a model — embedded, or behind a `url`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primary {
    /// What logs and metrics call it.
    pub name: Option<String>,
    /// Which requests it answers.
    #[serde(default)]
    pub accept: Accept,
    /// An expert system.
    pub patterns: Option<Vec<Reply>>,
    /// A model of the store, or the model's name behind `url`.
    pub model: Option<String>,
    /// A model file.
    pub path: Option<PathBuf>,
    /// The model file's SHA-256.
    pub sha256: Option<String>,
    /// The SHA-256 of the whole model, where the file holds a part of it.
    pub of: Option<String>,
    /// OpenAI-compatible endpoint, up to and with `/v1`.
    pub url: Option<String>,
    /// Whether only the model's ends are loaded here, and other nodes compute its layers.
    #[serde(default)]
    pub shards: bool,
    /// Wire format of the hidden states that are sent to them; without it, that of `[shards]`.
    #[serde(default, deserialize_with = "wire_format")]
    pub wire: Option<WireFormat>,
    /// Environment variable with the endpoint's key.
    pub api_key_env: Option<String>,
    /// File with the Jinja chat template of the model behind `url`.
    pub chat_template: Option<PathBuf>,
    /// Tokens that the model behind `url` can attend to.
    pub context: Option<usize>,
    /// The longest request to `url`, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Where an embedded model is computed.
    #[serde(default)]
    pub device: Device,
    /// Memory for key-value caches, in MiB.
    pub cache_mib: Option<usize>,
    /// The longest response, in tokens, if the request allows it.
    pub max_tokens: Option<usize>,
    /// Texts that end a response.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Standing instructions.
    pub system: Option<String>,
    /// How tokens are drawn.
    #[serde(default)]
    pub sampling: SamplingConfig,
}

/// Part of a model that this node computes for others.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// A model of the store.
    pub model: Option<String>,
    /// A model file.
    pub path: Option<PathBuf>,
    /// The model file's SHA-256.
    pub sha256: Option<String>,
    /// The SHA-256 of the whole model, where the file holds a part of it.
    pub of: Option<String>,
    /// Which layers.
    #[serde(default)]
    pub layers: Layers,
    /// With `auto`, how many at most; without it, all of the model's.
    pub max_layers: Option<NonZeroUsize>,
    /// Memory for the key-value caches of others' sessions, in MiB.
    pub cache_mib: Option<usize>,
}

/// Layers that a node serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    /// Those that raise the swarm's weakest layers most.
    #[default]
    Auto,
    /// These.
    Span(Range<usize>),
}

impl FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let span = text.split_once("..").and_then(|(start, end)| {
            let span = start.trim().parse().ok()?..end.trim().parse().ok()?;
            (!span.is_empty()).then_some(span)
        });
        span.map(Self::Span).ok_or_else(|| {
            format!("layers are \"auto\", or first and end as in \"0..15\", and not {text:?}")
        })
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Span(Range { start, end }) => write!(f, "{start}..{end}"),
        }
    }
}

impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// How nodes compute layers for each other; what is left out is the default of `starling-shards`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shards {
    /// Wire format of hidden states on the way to other nodes and back.
    #[serde(deserialize_with = "wire_format")]
    pub wire: Option<WireFormat>,
    /// Whether only active agents may use this node's layers, and only theirs are used.
    pub only_bonded: Option<bool>,
    /// The least bond of an agent that may use this node's layers, in the smallest unit.
    #[serde(deserialize_with = "amount")]
    pub min_bond: Option<Balance>,
    /// Sessions of others that may be open.
    pub max_sessions: Option<usize>,
    /// Sessions of one agent that may be open.
    pub max_sessions_per_agent: Option<usize>,
    /// Share of what others compute that a second one computes too, for comparison.
    pub spot_check: Option<f64>,
    /// How long to look for nodes that hold missing layers, in milliseconds.
    pub patience_ms: Option<u64>,
    /// The least round-trip time, in milliseconds, of a node to which the one before passes rows on
    /// instead of sending them back here first; 0 has all of them pass on.
    pub push_from_ms: Option<u64>,
}

impl Shards {
    /// What others may do here.
    pub fn service(&self) -> ServiceConfig {
        let default = ServiceConfig::default();
        ServiceConfig {
            only_bonded: self.only_bonded.unwrap_or(default.only_bonded),
            min_bond: self.min_bond.unwrap_or(default.min_bond),
            max_sessions: self.max_sessions.unwrap_or(default.max_sessions),
            max_sessions_per_agent: self
                .max_sessions_per_agent
                .unwrap_or(default.max_sessions_per_agent),
            ..default
        }
    }

    /// How others' layers are used. `wire` takes the place of the format for all models.
    pub fn pipeline(&self, wire: Option<WireFormat>) -> PipelineConfig {
        let default = PipelineConfig::default();
        PipelineConfig {
            wire: wire.or(self.wire).unwrap_or(default.wire),
            only_bonded: self.only_bonded.unwrap_or(default.only_bonded),
            spot_check: self.spot_check.unwrap_or(default.spot_check),
            patience: self
                .patience_ms
                .map_or(default.patience, Duration::from_millis),
            push_from: self
                .push_from_ms
                .map_or(default.push_from, Duration::from_millis),
            ..default
        }
    }
}

/// A wire format by its name.
fn wire_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<WireFormat>, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map(Some).map_err(de::Error::custom)
}

/// How tokens are drawn; what is left out is the engine's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Divides the logits; 0 takes the most probable token always.
    pub temperature: Option<f32>,
    /// Only the k most probable tokens; 0 for all.
    pub top_k: Option<usize>,
    /// Only the most probable tokens that together reach this probability.
    pub top_p: Option<f32>,
    /// Only tokens at least this many times as probable as the most probable one.
    pub min_p: Option<f32>,
    /// Divides positive logits of recent tokens and multiplies negative ones.
    pub repetition_penalty: Option<f32>,
    /// How many of the last tokens the penalty looks at.
    pub repetition_window: Option<usize>,
    /// Makes the drawing reproducible; without it, every round draws a fresh seed.
    pub seed: Option<u64>,
}

impl SamplingConfig {
    /// With this seed.
    pub fn with_seed(&self, seed: u64) -> Sampling {
        let default = Sampling::default();
        Sampling {
            temperature: self.temperature.unwrap_or(default.temperature),
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repetition_penalty: self
                .repetition_penalty
                .unwrap_or(default.repetition_penalty),
            repetition_window: self.repetition_window.unwrap_or(default.repetition_window),
            seed,
        }
    }
}

/// What to answer, without a model, to a prompt that matches.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// What the prompt matches.
    pub pattern: Pattern,
    /// The answer; `$1` or `$name` stand for what the pattern's groups matched.
    pub answer: Option<String>,
    /// The answer is the value of the arithmetic in the prompt.
    #[serde(default)]
    pub arithmetic: bool,
}

/// How others' responses are scored.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ranking {
    /// Name of the primary module whose model scores; without it, the first that has one.
    pub by: Option<String>,
    /// The ranker.
    pub ranker: Option<RankerName>,
    /// File with the ranker's scores of a reference set, as `starling-infer calibrate` writes it.
    pub reference: Option<PathBuf>,
}

/// The rankers that a configuration can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankerName {
    /// One of the engine's, with a model.
    Model(RankerKind),
    /// How similar a response is to the agent's own; needs no model.
    Similarity,
}

impl<'de> Deserialize<'de> for RankerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == "similarity" {
            return Ok(Self::Similarity);
        }
        name.parse().map(Self::Model).map_err(|_| {
            de::Error::custom(format!(
                "no ranker is called {name:?} (likelihood, lift, judge, pairwise, similarity)"
            ))
        })
    }
}

/// Raw scores of one ranker on one model, in the format of `starling-infer calibrate`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The model's name.
    pub model: String,
    /// The ranker.
    pub ranker: RankerKind,
    /// The scores.
    pub scores: Quantiles,
}

/// How a module or a span names its model file.
struct Named<'a> {
    model: &'a Option<String>,
    path: &'a Option<PathBuf>,
    sha256: &'a Option<String>,
    of: &'a Option<String>,
}

impl Named<'_> {
    fn check(&self) -> Result<(), &'static str> {
        let is_hash = |hash: &String| hash.len() == 64 && hex(hash);
        match (self.path, self.sha256) {
            (Some(_), _) if self.model.is_some() => Err("it has a model of the store and a path"),
            (Some(_), None) => Err("a path needs the file's sha256"),
            (None, Some(_)) => {
                Err("sha256 belongs to a path; the store knows the hashes of its models")
            },
            (None, None) if self.of.is_some() => Err("of belongs to a path"),
            _ if self.sha256.iter().chain(self.of).all(is_hash) => Ok(()),
            _ => Err("sha256 and of must have 64 hexadecimal digits"),
        }
    }

    /// The file, if one is named.
    fn file(&self, store: &Option<PathBuf>) -> Option<ModelFile> {
        match (self.model, self.path) {
            (Some(name), _) => Some(ModelFile::Store {
                name: name.clone(),
                folder: store.clone(),
            }),
            (None, Some(path)) => Some(ModelFile::File {
                path: path.clone(),
                sha256: self.sha256.clone().unwrap_or_default(),
                of: self.of.clone(),
            }),
            (None, None) => None,
        }
    }
}

fn hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Serve {
    /// What logs and metrics call it.
    pub fn name(&self) -> String {
        let file = || Some(self.path.as_ref()?.file_stem()?.to_string_lossy().into());
        self.model.clone().or_else(file).unwrap_or_default()
    }

    /// The model's file.
    pub fn file(&self, store: &Option<PathBuf>) -> Option<ModelFile> {
        self.named().file(store)
    }

    fn named(&self) -> Named<'_> {
        Named {
            model: &self.model,
            path: &self.path,
            sha256: &self.sha256,
            of: &self.of,
        }
    }

    fn check(&self) -> Result<(), String> {
        let bad = |what: &str| Err(format!("serve {:?}: {what}", self.name()));
        if self.model.is_none() && self.path.is_none() {
            return Err("serve: it has neither model nor path".into());
        }
        if let Err(what) = self.named().check() {
            return bad(what);
        }
        if self.max_layers.is_some() && self.layers != Layers::Auto {
            return bad("max_layers is for layers = \"auto\"");
        }
        Ok(())
    }
}

impl Primary {
    /// The file of an embedded model.
    pub fn file(&self, store: &Option<PathBuf>) -> Option<ModelFile> {
        self.named().file(store)
    }

    fn named(&self) -> Named<'_> {
        Named {
            model: &self.model,
            path: &self.path,
            sha256: &self.sha256,
            of: &self.of,
        }
    }

    /// What logs and metrics call it.
    pub fn name(&self) -> String {
        let file = || Some(self.path.as_ref()?.file_stem()?.to_string_lossy().into());
        self.name
            .clone()
            .or_else(|| self.model.clone())
            .or_else(file)
            .unwrap_or_else(|| "patterns".into())
    }

    fn check(&self) -> Result<(), String> {
        let name = self.name();
        let bad = |what: &str| Err(format!("primary module {name:?}: {what}"));
        let has_model = self.model.is_some() || self.path.is_some();
        match (&self.patterns, has_model) {
            (Some(_), true) => return bad("it has patterns and a model; make it two modules"),
            (None, false) => return bad("it has neither patterns nor model nor path"),
            (Some(patterns), false) => {
                if patterns.is_empty() {
                    return bad("it has no patterns");
                }
                if patterns
                    .iter()
                    .any(|pattern| pattern.answer.is_some() == pattern.arithmetic)
                {
                    return bad("each pattern has either an answer or arithmetic = true");
                }
            },
            (None, true) => {},
        }
        if let Err(what) = self.named().check() {
            return bad(what);
        }
        if self.path.is_some() && self.url.is_some() {
            return bad("a model behind a url has a name (model) and no path");
        }
        if self.shards && (self.url.is_some() || !has_model) {
            return bad("shards are of a model of the store or of a path");
        }
        if (self.wire.is_some() || self.of.is_some()) && !self.shards {
            return bad("wire and of are for shards = true");
        }
        let whole = has_model && self.url.is_none() && !self.shards;
        if self.device != Device::Cpu && !whole {
            return bad("device is for a model that this node alone computes");
        }
        self.sampling
            .with_seed(0)
            .validate()
            .map_err(|error| format!("primary module {name:?}: {error}"))
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Format {
            path: path.into(),
            source: Box::new(source),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = config.relative_to(folder);
        config.check().map_err(|reason| ConfigError::Meaning {
            path: path.into(),
            reason,
        })?;
        Ok(config)
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        let primaries = self
            .primary
            .iter_mut()
            .flat_map(|primary| [&mut primary.path, &mut primary.chat_template]);
        let serve = self.serve.iter_mut().map(|serve| &mut serve.path);
        let paths = primaries
            .chain(serve)
            .chain([&mut self.store, &mut self.ranking.reference]);
        for path in paths.flatten() {
            *path = folder.join(&*path);
        }
        let commands = self.before.iter_mut().chain(&mut self.after);
        for program in commands.filter_map(|step| step.command.as_mut()?.first_mut()) {
            // A bare name is looked for in $PATH, as everywhere.
            if Path::new(program).components().count() > 1 {
                *program = folder.join(&*program).to_string_lossy().into();
            }
        }
        self
    }

    fn check(&self) -> Result<(), String> {
        if self.primary.is_empty() && self.serve.is_empty() {
            return Err(
                "there is no primary module ([[primary]]), and nothing to serve ([[serve]])".into(),
            );
        }
        if self.niceness > 19 {
            return Err(format!(
                "niceness is {}, but must be 0 to 19",
                self.niceness
            ));
        }
        self.before
            .iter()
            .chain(&self.after)
            .try_for_each(Step::check)?;
        self.primary.iter().try_for_each(Primary::check)?;
        let mut names: Vec<_> = self.primary.iter().map(Primary::name).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[a, b]| a == b) {
            return Err(format!("two primary modules are called {name:?}"));
        }
        self.serve.iter().try_for_each(Serve::check)?;
        let mut served: Vec<_> = self.serve.iter().map(Serve::name).collect();
        served.sort_unstable();
        if let Some([name, _]) = served.array_windows().find(|[a, b]| a == b) {
            return Err(format!("serve {name:?}: a node serves one span of a model"));
        }
        if let Some(share) = self.shards.spot_check {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("shards.spot_check is {share}, but must be 0 to 1"));
            }
        }
        self.ranked_by().map(drop)
    }

    /// The primary module whose model scores responses; `None` where similarity does.
    pub fn ranked_by(&self) -> Result<Option<&Primary>, String> {
        if self.ranking.ranker == Some(RankerName::Similarity) {
            return Ok(None);
        }
        let Some(name) = &self.ranking.by else {
            let first = self
                .primary
                .iter()
                .find(|primary| primary.patterns.is_none());
            return match (first, self.ranking.ranker) {
                (None, Some(_)) => Err("a ranker with a model needs a module with one".into()),
                (first, _) => Ok(first),
            };
        };
        let by = self.primary.iter().find(|primary| primary.name() == *name);
        match by {
            Some(by) if by.patterns.is_none() => Ok(Some(by)),
            Some(_) => Err(format!("ranking.by: module {name:?} has no model")),
            None => Err(format!("ranking.by: there is no module {name:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        Config::load(&path).map_err(|error| error.to_string())
    }

    const MODEL: &str = "[[primary]]\nmodel = \"m\"\n";

    #[test]
    fn a_model_name_is_enough() {
        let config = parse(MODEL).unwrap();
        assert_eq!(config.workers.get(), 1);
        assert_eq!(config.primary[0].name(), "m");
        assert_eq!(config.ranked_by().unwrap().unwrap().name(), "m");
    }

    #[test]
    fn the_agents_of_the_local_swarm_are_valid_and_differ() {
        let agents = [
            include_str!("../../../examples/agents/alice.toml"),
            include_str!("../../../examples/agents/bob.toml"),
            include_str!("../../../examples/agents/charlie.toml"),
            include_str!("../../../examples/agents/dave.toml"),
        ]
        .map(|toml| parse(toml).unwrap());
        for (index, agent) in agents.iter().enumerate() {
            assert!(agents.iter().skip(index + 1).all(|other| other != agent));
        }
    }

    #[test]
    fn the_documented_example_is_valid() {
        let config = parse(include_str!("../agent.example.toml")).unwrap();
        assert_eq!(config.accept.min_fee, Some(1_000_000_000_000));
        assert!(config.primary.len() >= 3);
    }

    #[test]
    fn a_node_may_serve_layers_and_answer_with_those_of_others() {
        let config = parse(
            "[shards]\nwire = \"f16\"\nmin_bond = \"5\"\npush_from_ms = 7\n[[serve]]\nmodel = \"m\"\nmax_layers = 4\n\
             [[serve]]\npath = \"n.gguf\"\nsha256 = \"HASH\"\nlayers = \"3..7\"\n[[primary]]\n\
             model = \"m\"\nshards = true\n[[primary]]\nmodel = \"o\"\nshards = true\n\
             wire = \"linear8\""
                .replace("HASH", &"0".repeat(64))
                .as_str(),
        )
        .unwrap();
        assert_eq!(config.serve[0].layers, Layers::Auto);
        assert_eq!(config.serve[1].layers, Layers::Span(3..7));
        assert_eq!(config.serve[1].layers.to_string(), "3..7");
        assert!(config.serve[1].path.as_ref().unwrap().is_absolute());
        assert_eq!(config.shards.service().min_bond, 5);
        let wire = |primary: &Primary| config.shards.pipeline(primary.wire).wire;
        assert_eq!(wire(&config.primary[0]), WireFormat::F16);
        let push_from = config.shards.pipeline(None).push_from;
        assert_eq!(push_from, Duration::from_millis(7));
        assert_eq!(wire(&config.primary[1]), WireFormat::Linear8);
        assert!(parse("[[serve]]\nmodel = \"m\"").is_ok());
        assert_eq!(Shards::default().service(), ServiceConfig::default());
        assert_eq!(Shards::default().chain(None), PipelineConfig::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("", "primary"),
            ("primary = []", "no primary module"),
            ("[[primary]]\nmodle = \"m\"", "modle"),
            ("[[primary]]\nname = \"x\"", "neither patterns nor model"),
            ("[[primary]]\npath = \"m.gguf\"", "sha256"),
            ("[[primary]]\npath = \"m.gguf\"\nsha256 = \"ab\"", "64"),
            ("[[primary]]\nmodel = \"m\"\n[primary.sampling]\ntemperature = -1.0", "temperature"),
            ("[[primary]]\nmodel = \"m\"\n[[primary]]\nmodel = \"m\"", "two primary modules"),
            ("[accept]\ntopics = ['(']\n[[primary]]\nmodel = \"m\"", "unclosed group"),
            ("[accept]\nmin_fee = \"1 DOT\"\n[[primary]]\nmodel = \"m\"", "not an amount"),
            ("[[before]]\n[[primary]]\nmodel = \"m\"", "one of template"),
            ("[[before]]\ntemplate = \"{% if %}\"\n[[primary]]\nmodel = \"m\"", "template"),
            ("niceness = 20\n[[primary]]\nmodel = \"m\"", "niceness"),
            ("workers = 0\n[[primary]]\nmodel = \"m\"", "nonzero"),
            ("[ranking]\nby = \"x\"\n[[primary]]\nmodel = \"m\"", "no module \"x\""),
            ("[ranking]\nranker = \"dice\"\n[[primary]]\nmodel = \"m\"", "dice"),
            ("[[primary]]\n[[primary.patterns]]\npattern = 'a'", "either an answer or arithmetic"),
            ("[[serve]]", "neither model nor path"),
            ("[[serve]]\npath = \"m\"", "sha256"),
            ("[[serve]]\nmodel = \"m\"\nof = \"ab\"", "of belongs to a path"),
            ("[[serve]]\nmodel = \"m\"\nlayers = \"5..5\"", "0..15"),
            ("[[serve]]\nmodel = \"m\"\nlayers = \"0..5\"\nmax_layers = 5", "max_layers"),
            ("[[serve]]\nmodel = \"m\"\nmax_layers = 0", "nonzero"),
            ("[[serve]]\nmodel = \"m\"\n[[serve]]\nmodel = \"m\"", "one span"),
            ("[shards]\nspot_check = 2\n[[serve]]\nmodel = \"m\"", "spot_check"),
            ("[shards]\nwire = \"f8\"\n[[serve]]\nmodel = \"m\"", "f8"),
            ("[[primary]]\nmodel = \"m\"\nwire = \"f16\"", "shards = true"),
            ("[[primary]]\nmodel = \"m\"\nshards = true\ndevice = \"cuda:0\"", "alone"),
            ("[[primary]]\nmodel = \"m\"\ndevice = \"gpu\"", "cuda:N"),
            ("[[primary]]\nmodel = \"m\"\nurl = \"http://x\"\nshards = true", "of the store"),
            (
                "[ranking]\nranker = \"judge\"\n[[primary]]\n[[primary.patterns]]\npattern = 'a'\nanswer = \"b\"",
                "needs a module with one",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
            assert!(error.contains("agent.toml"), "{error}");
        }
        let missing = Config::load(Path::new("/nowhere/agent.toml")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/agent.toml"));
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = parse(
            "store = \"models\"\n[[before]]\ncommand = [\"./a.sh\", \"b/c\"]\n[[before]]\n\
             command = [\"cat\"]\n[[primary]]\nmodel = \"m\"",
        )
        .unwrap();
        assert!(config.store.unwrap().is_absolute());
        let program = |i: usize| config.before[i].command.as_ref().unwrap().clone();
        assert!(Path::new(&program(0)[0]).is_absolute());
        assert_eq!(program(0)[1], "b/c");
        assert_eq!(program(1), ["cat"]);
    }
}
