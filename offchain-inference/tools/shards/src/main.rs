// SPDX-License-Identifier: Apache-2.0
//! `starling-shards`: measures models that are cut into spans, and shows evidence about their
//! servers.

use clap::{Parser, Subcommand};
use starling_infer::{exit_code, StoreArgs};
use starling_shards_tool::{
    calibrate, evidence, guesses, invert, recover, speed, wires, OutputArgs,
};
use std::process::ExitCode;

/// Measures models that are cut into spans: the effects of wire formats, the distance of honest
/// servers, the speed of pipelines, the time to replace a server, and what a server learns of a
/// prompt. All nodes run in one process, and nothing goes over a network. Also shows the
/// contradictions between servers that a node has kept.
///
/// Exit status: 0 on success, 1 on failure, 2 on wrong usage, 130 when interrupted.
#[derive(Parser)]
#[command(name = "starling-shards", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure bytes, errors, changed tokens and task accuracy of each wire format.
    Wires(wires::Args),
    /// Measure the distance of honest and of cheating servers, against the tolerances.
    Calibrate(calibrate::Args),
    /// Show the signers of contradicting outputs and, with a model, the wrong one.
    Evidence(evidence::Args),
    /// Measure what guessed tokens save a pipeline with network delay.
    Guesses(guesses::Args),
    /// Recover prompts from the hidden states at a border between layers, as whoever computes the
    /// layers behind it can.
    ///
    /// Token after token, the attack computes the layers before the border for candidates on the
    /// prefix that it has recovered, and takes the candidate whose hidden state is nearest to the
    /// one that it was sent. It tries the tokens that the model finds most probable there, and at
    /// the first position and at border 0 those whose embeddings are nearest. It never sees the
    /// prompt.
    Invert(invert::Args),
    /// Measure the time that a pipeline needs to go on after a server fails.
    Recover(recover::Args),
    /// Measure the speed of pipelines against the unsplit model, with and without network delay,
    /// and the share of it that sealing takes.
    Speed(speed::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (store, output) = (&cli.store, &cli.output);
    exit_code(match cli.command {
        Command::Wires(args) => wires::run(store, output, args),
        Command::Calibrate(args) => calibrate::run(store, output, args),
        Command::Evidence(args) => evidence::run(store, output, args),
        Command::Guesses(args) => guesses::run(store, output, args),
        Command::Invert(args) => invert::run(store, output, args),
        Command::Recover(args) => recover::run(store, output, args),
        Command::Speed(args) => speed::run(store, output, args),
    })
}
