// SPDX-License-Identifier: Apache-2.0
//! `starling model`: the engine's own commands.

use std::process::ExitCode;

use clap::Subcommand;
use starling_infer::{bench, evaluate, exit_code, models, StoreArgs};

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

pub fn run(json: bool, args: Args) -> ExitCode {
    if json && !matches!(args.command, Command::Store(_)) {
        eprintln!("error: --json: the tables of this command have no JSON");
        return ExitCode::from(2);
    }
    let store = &args.store;
    exit_code(match args.command {
        Command::Store(command) => models::run(store, json, command),
        Command::Bench(args) => bench::run(store, args),
        Command::Eval(args) => evaluate::run(store, args),
    })
}
