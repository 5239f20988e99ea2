// SPDX-License-Identifier: Apache-2.0
//! `starling-plan`: places the layers of a model on a swarm, and compares methods.

mod compare;
mod draw;
mod instance;
mod planning;
mod route;
mod schemas;
mod svg;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Places the layers of a model on a swarm, and compares methods.
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
    /// Find the fastest pipeline of a node through a placement.
    Route(route::Args),
    /// Describe the swarm of an instance by its persistent homology.
    Fingerprint(schemas::FingerprintArgs),
    /// Make and verify libraries of schemas.
    #[command(subcommand)]
    Schemas(schemas::Schemas),
    /// Compare methods of placing layers, and print the page of results.
    Compare(compare::Args),
    /// Draw an instance from a topology.
    Draw(draw::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Plan(args) => args.run(),
        Command::Score(args) => args.run(),
        Command::Route(args) => args.run(),
        Command::Fingerprint(args) => args.run(),
        Command::Schemas(command) => command.run(),
        Command::Compare(args) => args.run(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_needs_an_instance_alone() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("starling-plan plan --instance a.json --evaluations 9 --json").is_ok());
        assert!(parse("starling-plan plan --evaluations 9").is_err());
        // A library comes with its chain and its publishers.
        assert!(parse("starling-plan plan --instance a.json --library b").is_err());
        let key = "7".repeat(64);
        let with = format!("--library b --genesis {key} --publisher {key}");
        assert!(parse(&format!("starling-plan plan --instance a.json {with}")).is_ok());
        assert!(parse(&format!("starling-plan schemas verify {with}")).is_ok());
    }
}
