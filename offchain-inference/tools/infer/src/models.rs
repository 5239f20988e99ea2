// SPDX-License-Identifier: Apache-2.0
//! `starling-infer models`.

use crate::{
    common::{cancel_on_interrupt, model_path, Failure, FetchBar, StoreArgs},
    recommend,
};
use clap::{Args, Subcommand};
use serde_json::{json, Value};
use starling_console::outln;
use starling_engine::{config::Config, cut, gguf::Gguf, tokenizer::Tokenizer};
use starling_models::{sha256, Source, Store};
use std::{ops::Range, path::PathBuf};

#[derive(Subcommand)]
pub enum Command {
    /// List the known models and whether they are here.
    List,
    /// Show which known models fit the memory and the speed of this machine.
    Recommend,
    /// Fetch models. Valid files are kept.
    Fetch(Which),
    /// Remove models from the store.
    Remove(Which),
    /// Describe a model or a GGUF file.
    Info {
        /// Name in the store, or path of a file.
        model: String,
    },
    /// Write a part of a model as a file, for a node that computes some layers or the ends alone.
    Cut(Cut),
}

#[derive(Args)]
pub struct Cut {
    /// Name in the store, or path of a file.
    model: String,
    /// Layers from the first up to, but without, the last, as in 0..15
    #[arg(long, value_parser = span, default_value = "0..0", value_name = "FIRST..LAST")]
    layers: Range<usize>,
    /// Include embedding, final norm and head, which the answering node needs
    #[arg(long)]
    ends: bool,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

fn span(text: &str) -> Result<Range<usize>, String> {
    let span = text
        .split_once("..")
        .and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    span.ok_or_else(|| "the layers must be first and last, as in 0..15".into())
}

#[derive(Args)]
pub struct Which {
    /// Names of models.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// All known models.
    #[arg(long)]
    all: bool,
}

impl Which {
    fn names(self, store: &Store) -> Vec<String> {
        if self.all {
            store
                .manifest()
                .entries()
                .map(|entry| entry.name.clone())
                .collect()
        } else {
            self.names
        }
    }
}

/// Runs a command. `json` asks for output for programs.
pub fn run(args: &StoreArgs, json: bool, command: Command) -> Result<(), Failure> {
    let store = args.open()?;
    match command {
        Command::List => list(&store, json),
        Command::Recommend => recommend::run(&store, json),
        Command::Fetch(which) => {
            let cancel = cancel_on_interrupt()?;
            for name in which.names(&store) {
                let mut bar = FetchBar::new(&name, cancel.clone());
                let fetched = store.fetch(&name, &mut bar);
                bar.finish();
                let path = fetched?;
                if json {
                    outln!("{}", json!({ "name": name, "path": path }));
                } else {
                    outln!("{}", path.display());
                }
            }
        },
        Command::Remove(which) => {
            for name in which.names(&store) {
                let removed = store.remove(&name)?;
                let said = match removed {
                    true => "removed",
                    false => "was not in the store",
                };
                if json {
                    outln!("{}", json!({ "name": name, "removed": removed }));
                } else {
                    outln!("{name}: {said}");
                }
            }
        },
        Command::Info { model } => info(args, &store, json, &model)?,
        Command::Cut(part) => write_part(args, json, part)?,
    }
    Ok(())
}

fn list(store: &Store, json: bool) {
    if json {
        let models: Vec<_> = store
            .manifest()
            .entries()
            .map(|entry| {
                json!({
                    "name": entry.name,
                    "architecture": entry.architecture,
                    "bytes": entry.size,
                    "fetched": store.is_fetched(entry),
                    "licence": entry.license,
                    "ranker": entry.ranker.to_string(),
                    "description": entry.description,
                })
            })
            .collect();
        outln!("{}", json!({ "store": store.dir(), "models": models }));
        return;
    }
    outln!("store: {}", store.dir().display());
    for entry in store.manifest().entries() {
        outln!(
            "{:24} {:8} {:>7.1} MB  {:12} {:28} {:10} {}",
            entry.name,
            entry.architecture,
            entry.size as f64 / 1e6,
            if store.is_fetched(entry) {
                "fetched"
            } else {
                "not fetched"
            },
            entry.license,
            entry.ranker,
            entry.description,
        );
    }
}

fn describe(source: &Source) -> String {
    match source {
        Source::Path { path } => path.display().to_string(),
        Source::HuggingFace {
            repo,
            revision,
            file,
        } => format!("Hugging Face {repo}@{revision}, {file}"),
        Source::PyPi { parts } => {
            let parts = parts
                .iter()
                .map(|part| format!("{}=={}, {}", part.package, part.version, part.member));
            parts.collect::<Vec<_>>().join(" + ")
        },
    }
}

/// The lines of a description, each a name and a value.
fn info(args: &StoreArgs, store: &Store, json: bool, model: &str) -> Result<(), Failure> {
    let path = model_path(args, model)?;
    let mut lines: Vec<(&str, Value)> = vec![];
    if let Some(entry) = store.manifest().get(model) {
        let sources: Vec<_> = entry.sources.iter().map(describe).collect();
        lines.extend([
            ("name", json!(entry.name)),
            ("description", json!(entry.description)),
            ("licence", json!(entry.license)),
            ("sha256", json!(entry.sha256)),
            ("default ranker", json!(entry.ranker.to_string())),
            ("source", json!(sources.join("; else "))),
        ]);
    }
    let gguf = Gguf::open(&path)?;
    let config = Config::from_gguf(&gguf)?;
    let tokenizer = Tokenizer::from_gguf(gguf.metadata())?;
    lines.extend([
        ("file", json!(path)),
        ("architecture", json!(config.architecture.name())),
        ("layers", json!(config.layers)),
        ("width", json!(config.width)),
        ("heads", json!(config.heads)),
        ("heads for keys and values", json!(config.kv_heads)),
        ("context", json!(config.context)),
        ("vocabulary", json!(tokenizer.len())),
        ("chat template", json!(tokenizer.chat_template().is_some())),
    ]);
    if json {
        let keys = lines
            .into_iter()
            .map(|(name, value)| (name.replace(' ', "_"), value));
        outln!("{}", Value::Object(keys.collect()));
        return Ok(());
    }
    for (name, value) in lines {
        let value = match value {
            Value::String(text) => text,
            Value::Bool(true) => "in the file".into(),
            Value::Bool(false) => "none".into(),
            other => other.to_string(),
        };
        outln!("{:27}{value}", format!("{name}:"));
    }
    Ok(())
}

/// Writes the part, and prints its agent configuration.
fn write_part(args: &StoreArgs, json: bool, part: Cut) -> Result<(), Failure> {
    let path = model_path(args, &part.model)?;
    let of = sha256(&path)?;
    cut(&Gguf::open(&path)?, &part.output, part.layers, part.ends)?;
    let path = part.output.display().to_string();
    let sha256 = sha256(&part.output)?;
    if json {
        outln!("{}", json!({ "path": path, "sha256": sha256, "of": of }));
    } else {
        outln!("path = {path:?}\nsha256 = {sha256:?}\nof = {of:?}");
    }
    Ok(())
}
