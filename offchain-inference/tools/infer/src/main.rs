// SPDX-License-Identifier: Apache-2.0
//! `starling-infer`: fetch models, generate, rank, evaluate and benchmark from the command line.

use clap::{Parser, Subcommand};
use starling_infer::{
    adapter, aids, bench, evaluate, exit_code, generate, head, injection, models, rank, sketches,
    tokenize, StoreArgs,
};
use std::process::ExitCode;

/// Runs language models on this machine: fetches them, generates text, ranks responses, evaluates
/// and benchmarks.
///
/// Exit status: 0 on success, 1 on failure, 2 on wrong usage, 130 when interrupted.
#[derive(Parser)]
#[command(name = "starling-infer", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List, fetch, inspect and remove models.
    #[command(subcommand)]
    Models(models::Command),
    /// Describe LoRA adapters, and convert them.
    #[command(subcommand)]
    Adapter(adapter::Command),
    /// Generate text.
    Generate(generate::Args),
    /// Score responses to a question.
    Rank(rank::Args),
    /// Record a ranker's scores of given responses as the reference for `rank --reference`.
    Calibrate(rank::CalibrateArgs),
    /// Measure how far apart sketches and tokens of honest kernels and of cheats are, and set the
    /// thresholds.
    CalibrateSketch(sketches::Args),
    /// Train private heads on rankings, score with them, and prove their scores.
    #[command(subcommand)]
    Head(head::Command),
    /// Evaluate models and rankers on HellaSwag, LAMBADA and BIG-Bench Hard.
    Eval(evaluate::Args),
    /// Measure the gain of aids to a model: arithmetic, a calculator, a knowledge base.
    Aids(aids::Args),
    /// Measure how far prompt injections move the rankers' scores.
    Injection(injection::Args),
    /// Measure the speed of prefill, decoding and ranking.
    Bench(bench::Args),
    /// Show how a text is tokenised.
    Tokenize(tokenize::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let store = &cli.store;
    exit_code(match cli.command {
        Command::Models(command) => models::run(store, false, command),
        Command::Adapter(command) => adapter::run(store, command),
        Command::Generate(args) => generate::run(store, args),
        Command::Rank(args) => rank::run(store, args),
        Command::Calibrate(args) => rank::calibrate(store, args),
        Command::CalibrateSketch(args) => sketches::run(store, args),
        Command::Head(command) => head::run(command),
        Command::Eval(args) => evaluate::run(store, args),
        Command::Aids(args) => aids::run(store, args),
        Command::Injection(args) => injection::run(store, args),
        Command::Bench(args) => bench::run(store, args),
        Command::Tokenize(args) => tokenize::run(store, args),
    })
}
