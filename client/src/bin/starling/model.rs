// SPDX-License-Identifier: Apache-2.0
//! `starling model`: the engine's own commands.

use std::process::ExitCode;

use clap::Subcommand;
use starling_engine::cli::{bench, evaluate, is_interruption, models, StoreArgs};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Store(models::Command),
    /// Measure the speed of prefill, decoding and ranking.
    Bench(bench::Args),
    /// Evaluate models and rankers on HellaSwag, LAMBADA and BIG-Bench Hard.
    Eval(evaluate::Args),
}

pub fn run(args: Args) -> ExitCode {
    let store = &args.store;
    let done = match args.command {
        Command::Store(command) => models::run(store, command),
        Command::Bench(args) => bench::run(store, args),
        Command::Eval(args) => evaluate::run(store, args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if is_interruption(&failure) => {
            eprintln!("interrupted");
            ExitCode::from(130)
        },
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        },
    }
}
