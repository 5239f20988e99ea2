// SPDX-License-Identifier: Apache-2.0
//! Starling's engine beside llama.cpp, in one process, on one file, with the same number of threads.
//!
//! ```text
//! cargo run --release -- speed  --model FILE [--threads 2] [--rounds 7]
//! cargo run --release -- agree  --model FILE --text lambada.jsonl [--positions 600]
//! cargo run --release -- record --model FILE --text lambada.jsonl --out FILE.json
//! ```

mod agree;
mod peer;
mod speed;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use starling_engine::{ActivationBits, LoadOptions, Model};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Common {
    /// GGUF file that both engines load.
    #[arg(long)]
    model: PathBuf,
    /// Threads of either engine.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Bits of our activations, 8 (as llama.cpp) or 16.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u8).range(8..=16))]
    activation_bits: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Tokens per second of both, prefill and decode, in turns.
    Speed {
        #[command(flatten)]
        common: Common,
        /// Turns; the best and the median of each engine are shown.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
    },
    /// How far the two agree on the next token.
    Agree {
        #[command(flatten)]
        common: Common,
        /// LAMBADA, one JSON object with a `text` a line.
        #[arg(long)]
        text: PathBuf,
        /// Positions to compare, at least.
        #[arg(long, default_value_t = 600)]
        positions: usize,
    },
    /// Writes llama.cpp's answers for the engine's tests.
    Record {
        #[command(flatten)]
        common: Common,
        /// LAMBADA, one JSON object with a `text` a line.
        #[arg(long)]
        text: PathBuf,
        /// Positions to record, at least.
        #[arg(long, default_value_t = 128)]
        positions: usize,
        /// Where to.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> Outcome<()> {
    match Arguments::parse().command {
        Command::Speed { common, rounds } => speed::run(&common, rounds),
        Command::Agree {
            common,
            text,
            positions,
        } => agree::run(&common, &text, positions),
        Command::Record {
            common,
            text,
            positions,
            out,
        } => agree::record(&common, &text, positions, &out),
    }
}

fn engine(common: &Common) -> Outcome<Model> {
    let activation_bits = match common.activation_bits {
        8 => ActivationBits::Eight,
        16 => ActivationBits::Sixteen,
        bits => return Err(format!("activations have 8 or 16 bits, not {bits}").into()),
    };
    let options = LoadOptions {
        threads: common.threads,
        activation_bits,
        ..LoadOptions::default()
    };
    Ok(Model::load(&common.model, &options)?)
}
