// SPDX-License-Identifier: Apache-2.0
//! `starling-shards`: what models lose and gain when they are cut into spans, and who of those that
//! compute them was caught.

use clap::{Parser, Subcommand};
use starling_infer::{exit_code, StoreArgs};
use starling_shards_tool::{calibrate, evidence, recover, speed, wires, OutputArgs};
use std::process::ExitCode;

/// Measures models that are cut into spans: what wire formats change, how far honest servers are
/// apart, how fast pipelines of spans are, and how long they take to replace a server. Nodes are in one process; nothing goes over a network.
/// Shows what a node has kept of servers that contradict each other.
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
    /// Bytes, errors, changed tokens and task accuracy of each wire format.
    Wires(wires::Args),
    /// How far apart the outputs of honest and of cheating servers are, against the tolerances.
    Calibrate(calibrate::Args),
    /// Who signed outputs that contradict each other, and with a model whose are wrong.
    Evidence(evidence::Args),
    /// How long a pipeline takes to go on after one of its servers fails.
    Recover(recover::Args),
    /// Speed of pipelines of spans against the unsplit model, with and without delay between nodes.
    Speed(speed::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (store, output) = (&cli.store, &cli.output);
    exit_code(match cli.command {
        Command::Wires(args) => wires::run(store, output, args),
        Command::Calibrate(args) => calibrate::run(store, output, args),
        Command::Evidence(args) => evidence::run(store, output, args),
        Command::Recover(args) => recover::run(store, output, args),
        Command::Speed(args) => speed::run(store, output, args),
    })
}
