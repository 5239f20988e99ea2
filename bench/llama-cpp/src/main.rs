// SPDX-License-Identifier: Apache-2.0
//! Starling's engine beside llama.cpp, in one process, on one file, with the same number of
//! threads.

mod agree;
mod llama_cpp;
mod speed;
mod tokens;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use starling_engine::{gguf::Gguf, requantise, ActivationBits, LoadOptions, Model, WeightFormat};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Bits {
    /// Bits of our activations, 8 (as llama.cpp) or 16
    #[arg(long, value_delimiter = ',', default_values_t = [ActivationBits::Eight, ActivationBits::Sixteen], value_name = "BITS,…")]
    activation_bits: Vec<ActivationBits>,
}

#[derive(Subcommand)]
enum Command {
    /// Tokens per second of both, prefill and decode, in turns
    Speed {
        /// GGUF file
        #[arg(long)]
        model: PathBuf,
        /// Threads of either engine
        #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_name = "N,…")]
        threads: Vec<usize>,
        #[command(flatten)]
        bits: Bits,
        /// Turns; the median is shown
        #[arg(long, default_value_t = 11)]
        rounds: usize,
    },
    /// Peak memory of our engine alone, in a process of its own for each file and width of
    /// activations
    Memory {
        /// GGUF file
        #[arg(long)]
        model: PathBuf,
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// Bits of our activations
        #[arg(long, default_value_t)]
        activation_bits: ActivationBits,
    },
    /// Agreement of the two on the next token, and of llama.cpp with itself
    Agree {
        /// GGUF file of our engine
        #[arg(long)]
        model: PathBuf,
        /// GGUF file of llama.cpp [default: the same]
        #[arg(long)]
        llama_cpp_model: Option<PathBuf>,
        /// Text with paragraphs, or `.jsonl` with a `text` a line
        #[arg(long)]
        text: PathBuf,
        /// Tokens of a passage
        #[arg(long, default_value_t = 96)]
        length: usize,
        /// Positions to compare, at least
        #[arg(long, default_value_t = 600)]
        positions: usize,
        /// First position of a passage to compare
        #[arg(long, default_value_t = 0)]
        from: usize,
        /// Leave out llama.cpp compared with itself
        #[arg(long)]
        ours_only: bool,
        #[arg(long, default_value_t = 2)]
        threads: usize,
        #[command(flatten)]
        bits: Bits,
    },
    /// Writes llama.cpp's answers for the engine's tests
    Record {
        /// GGUF file of llama.cpp
        #[arg(long)]
        model: PathBuf,
        /// Text with paragraphs, or `.jsonl` with a `text` a line
        #[arg(long)]
        text: PathBuf,
        /// Tokens of each passage
        #[arg(long, value_delimiter = ',', default_values_t = [96, 700], value_name = "N,…")]
        lengths: Vec<usize>,
        /// Positions at the end of each passage to record
        #[arg(long, default_value_t = 90)]
        rows: usize,
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// File to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Writes llama.cpp's tokens for the engine's tests
    RecordTokens {
        /// GGUF file
        #[arg(long)]
        model: PathBuf,
        /// JSON array of strings
        #[arg(long)]
        texts: PathBuf,
        /// Folder of the evaluation data
        #[arg(long)]
        data: PathBuf,
        /// File to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Writes the weights of a file in another format
    Requantise {
        /// GGUF file
        #[arg(long)]
        model: PathBuf,
        /// f32, f16, q8_0 or q4_0
        #[arg(long, value_parser = format)]
        format: WeightFormat,
        /// File to write
        #[arg(long)]
        out: PathBuf,
    },
}

fn format(name: &str) -> Result<WeightFormat, String> {
    match name {
        "f32" => Ok(WeightFormat::F32),
        "f16" => Ok(WeightFormat::F16),
        "q8_0" => Ok(WeightFormat::Q8_0),
        "q4_0" => Ok(WeightFormat::Q4_0),
        _ => Err(format!("{name} is none of f32, f16, q8_0, q4_0")),
    }
}

fn main() -> Outcome<()> {
    match Arguments::parse().command {
        Command::Speed {
            model,
            threads,
            bits,
            rounds,
        } => speed::run(&model, &threads, &bits.activation_bits, rounds),
        Command::Memory {
            model,
            threads,
            activation_bits,
        } => speed::memory(&model, threads, activation_bits),
        Command::Agree {
            model,
            llama_cpp_model,
            text,
            length,
            positions,
            from,
            ours_only,
            threads,
            bits,
        } => {
            if from + 2 > length {
                return Err(
                    format!("position {from} is not in passages of {length} tokens").into(),
                );
            }
            let comparison = agree::Comparison {
                model: &model,
                llama_cpp_model: llama_cpp_model.as_ref().unwrap_or(&model),
                text: &text,
                length,
                positions,
                from,
                ours_only,
            };
            agree::run(&comparison, threads, &bits.activation_bits)
        },
        Command::Record {
            model,
            text,
            lengths,
            rows,
            threads,
            out,
        } => agree::record(&model, &text, &lengths, rows, threads, &out),
        Command::RecordTokens {
            model,
            texts,
            data,
            out,
        } => tokens::record(&model, &texts, &data, &out),
        Command::Requantise { model, format, out } => {
            Ok(requantise(&Gguf::open(&model)?, &out, format)?)
        },
    }
}

fn engine(path: &Path, threads: usize, activation_bits: ActivationBits) -> Outcome<Model> {
    let options = LoadOptions {
        threads,
        activation_bits,
        ..LoadOptions::default()
    };
    Ok(Model::load(path, &options)?)
}
