// SPDX-License-Identifier: Apache-2.0
//! `starling-infer models`.

use crate::common::{cancel_on_interrupt, model_path, Failure, FetchBar, StoreArgs};
use clap::{Args, Subcommand};
use starling_engine::{config::Config, cut, gguf::Gguf, tokenizer::Tokenizer};
use starling_models::{sha256, Source, Store};
use std::{ops::Range, path::PathBuf};

#[derive(Subcommand)]
pub enum Command {
    /// List the known models and whether they are here.
    List,
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

pub fn run(args: &StoreArgs, command: Command) -> Result<(), Failure> {
    let store = args.open()?;
    match command {
        Command::List => list(&store),
        Command::Fetch(which) => {
            let cancel = cancel_on_interrupt()?;
            for name in which.names(&store) {
                let mut bar = FetchBar::new(&name, cancel.clone());
                let fetched = store.fetch(&name, &mut bar);
                bar.finish();
                println!("{}", fetched?.display());
            }
        },
        Command::Remove(which) => {
            for name in which.names(&store) {
                let removed = store.remove(&name)?;
                println!(
                    "{name}: {}",
                    if removed {
                        "removed"
                    } else {
                        "was not in the store"
                    }
                );
            }
        },
        Command::Info { model } => info(args, &store, &model)?,
        Command::Cut(part) => write_part(args, part)?,
    }
    Ok(())
}

fn list(store: &Store) {
    println!("store: {}", store.dir().display());
    for entry in store.manifest().entries() {
        println!(
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

fn info(args: &StoreArgs, store: &Store, model: &str) -> Result<(), Failure> {
    let path = model_path(args, model)?;
    if let Some(entry) = store.manifest().get(model) {
        println!("name:            {} ({})", entry.name, entry.description);
        println!("licence:         {}", entry.license);
        println!("sha256:          {} (verified)", entry.sha256);
        println!("default ranker:  {}", entry.ranker);
        match &entry.source {
            Source::Path { path } => println!("source:          {}", path.display()),
            Source::HuggingFace {
                repo,
                revision,
                file,
            } => {
                println!("source:          Hugging Face {repo}@{revision}, {file}");
            },
            Source::PyPi { parts } => {
                for part in parts {
                    println!(
                        "source:          {}=={}, {}",
                        part.package, part.version, part.member
                    );
                }
            },
        }
    }
    let gguf = Gguf::open(&path)?;
    println!("file:            {}", path.display());
    let config = Config::from_gguf(&gguf)?;
    println!("architecture:    {}", config.architecture.name());
    println!("layers:          {}", config.layers);
    println!("width:           {}", config.width);
    println!(
        "heads:           {} ({} for keys and values)",
        config.heads, config.kv_heads
    );
    println!("context:         {}", config.context);
    let tokenizer = Tokenizer::from_gguf(gguf.metadata())?;
    println!("vocabulary:      {}", tokenizer.len());
    let template = if tokenizer.chat_template().is_some() {
        "in the file"
    } else {
        "none"
    };
    println!("chat template:   {template}");
    Ok(())
}

/// Writes the part, and prints its agent configuration.
fn write_part(args: &StoreArgs, part: Cut) -> Result<(), Failure> {
    let path = model_path(args, &part.model)?;
    cut(&Gguf::open(&path)?, &part.output, part.layers, part.ends)?;
    println!("path = {:?}", part.output.display().to_string());
    println!("sha256 = {:?}", sha256(&part.output)?);
    println!("of = {:?}", sha256(&path)?);
    Ok(())
}
