// SPDX-License-Identifier: Apache-2.0
//! `starling-infer adapter`.

use crate::common::{model_path, Failure, StoreArgs};
use clap::{Args, Subcommand};
use starling_console::outln;
use starling_engine::{
    adapter::{Adapter, Pair},
    config::Config,
    gguf::Gguf,
};
use starling_models::sha256;
use std::{collections::BTreeSet, path::PathBuf};

#[derive(Subcommand)]
pub enum Command {
    /// Describe an adapter.
    Show {
        /// PEFT folder, or GGUF adapter of llama.cpp
        path: PathBuf,
    },
    /// Write an adapter as a PEFT folder in F32.
    Convert(Convert),
}

#[derive(Args)]
pub struct Convert {
    /// PEFT folder, or GGUF adapter of llama.cpp
    input: PathBuf,
    /// Folder to write, which must not exist
    output: PathBuf,
    /// The base model: a model of the store, or the path of a GGUF file. The adapter must fit it,
    /// and its SHA-256 is written into the new one. Needed for GGUF adapters of llama models
    #[arg(short, long)]
    model: Option<String>,
}

pub fn run(store: &StoreArgs, command: Command) -> Result<(), Failure> {
    match command {
        Command::Show { path } => {
            let adapter = Adapter::open(&path)?;
            for (name, value) in lines(&adapter) {
                outln!("{:13}{value}", format!("{name}:"));
            }
        },
        Command::Convert(convert) => {
            let adapter = match &convert.model {
                None => Adapter::open(&convert.input)?,
                Some(model) => {
                    let path = model_path(store, model)?;
                    let config = Config::from_gguf(&Gguf::open(&path)?)?;
                    Adapter::read(&convert.input, &config)?.with_base(&sha256(&path)?)?
                },
            };
            if adapter.needs_base() {
                return Err(format!(
                    "the rows of queries and keys in {} are in the order of the base model's file; \
                     name that model with --model",
                    convert.input.display()
                )
                .into());
            }
            adapter.write(&convert.output)?;
            outln!("{}", convert.output.display());
        },
    }
    Ok(())
}

/// A description, each line a name and a value.
fn lines(adapter: &Adapter) -> Vec<(&'static str, String)> {
    let origin = adapter.origin();
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "not named".into());
    let ranks = adapter.pairs().map(|(.., pair)| pair.rank().to_string());
    let scales = adapter
        .pairs()
        .map(|(.., pair)| adapter.scale(pair).to_string());
    let layers: BTreeSet<_> = adapter.pairs().map(|(layer, ..)| layer).collect();
    let targets: BTreeSet<_> = adapter.pairs().map(|(_, target, _)| target).collect();
    let parameters: usize = adapter
        .pairs()
        .map(|(.., pair): (_, _, &Pair)| pair.a().len() + pair.b().len())
        .sum();
    let mut lines = vec![
        ("rank", distinct(ranks)),
        ("scale", distinct(scales)),
        (
            "targets",
            distinct(targets.iter().map(|target| target.name().to_owned())),
        ),
        ("layers", distinct(layers.iter().map(usize::to_string))),
        ("parameters", parameters.to_string()),
        ("base model", or_none(&origin.base_model)),
        ("base sha256", or_none(&origin.base_sha256)),
    ];
    if let Some(job) = &origin.job {
        lines.push(("job", job.clone()));
    }
    if let Some(step) = origin.step {
        lines.push(("step", step.to_string()));
    }
    lines
}

/// The texts in their order, each once.
fn distinct(texts: impl Iterator<Item = String>) -> String {
    let mut found: Vec<String> = vec![];
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found.join(", ")
}
