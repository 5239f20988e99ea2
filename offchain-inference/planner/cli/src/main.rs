// SPDX-License-Identifier: Apache-2.0
//! `starling-plan`: plans where the layers of a model go in a swarm, and compares ways to do it.

mod draw;
mod instance;
mod planning;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Plans where the layers of a model go in a swarm, and compares ways to do it.
///
/// Exit status: 0 on success, 1 on failure, 2 on wrong usage.
#[derive(Parser)]
#[command(name = "starling-plan", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plan a placement for an instance.
    Plan(planning::Args),
    /// Score a placement of an instance.
    Score(planning::ScoreArgs),
    /// Draw an instance from a topology.
    Draw(draw::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Plan(args) => args.run(),
        Command::Score(args) => args.run(),
        Command::Draw(args) => args.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        },
    }
}
