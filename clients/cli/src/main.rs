// SPDX-License-Identifier: Apache-2.0
//! `starling`: asks a swarm of language models and manages its agents, from the command line.

mod agent;
mod arguments;
mod ask;
mod attest;
mod audit;
mod console;
mod examine;
mod gateway;
mod key;
mod lane;
mod mcp;
mod model;
mod rounds;
mod session;
mod table;
mod tickets;
mod up;

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Termination},
};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use starling_client::{text::printable, Error, Result};
use starling_console::print_bytes;

use arguments::Connection;

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    another failure: a file, a model, or a reply of the node that cannot be decoded
  2    wrong usage
  3    no connection to the node
  4    the chain refused the transaction, or a lane the request
  5    the round or the request of a lane ended without an answer
  6    no such round, lane or agent
  7    longer than --timeout
  8    the audit found that the answer is not what its trace says
  9    the audit convicts nobody, and clears nobody
  130  interrupted

Environment (an empty variable counts as not set):
  STARLING_URL     RPC address of the node, if --url is not given
  STARLING_SURI    secret URI of the signer, if no signer is given
  STARLING_MODELS  folder of the model store";

/// Asks a swarm of language models on a Starling chain and manages its agents.
#[derive(Parser)]
#[command(name = "starling", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the swarm, follow the round, and print the answer.
    Ask(ask::Args),
    /// Register an agent and manage its bond.
    Agent(agent::Args),
    /// Buy, refund and list tickets; an agent stakes one in each round.
    Tickets(tickets::Args),
    /// Open lanes and ask them: many requests of one escrow, answered in less than a round takes.
    Lane(lane::Args),
    /// List, show and watch rounds.
    #[command(subcommand)]
    Rounds(rounds::Command),
    /// Ask questions with known answers, and reveal the answers: the work of an examiner.
    Examine(examine::Args),
    /// Compute a traced answer again, and check it
    ///
    /// The checks are printed in their order, and the first that does not hold ends them. The chain
    /// does not know traces yet: no slash follows from an audit.
    Audit(audit::Args),
    /// List, fetch, benchmark and evaluate models.
    Model(model::Args),
    /// Show that an agent's key lives in measured code, by a quote of its hardware.
    Attest(attest::Args),
    /// Generate and inspect keys, and write an inference key into the keystore of a node.
    #[command(subcommand)]
    Key(key::Command),
    /// Change the keys with which a validator authors and votes.
    Session(session::Args),
    /// Serve the swarm to programs for OpenAI's API and for MCP, over HTTP.
    Gateway(gateway::Args),
    /// Serve the swarm to an MCP host, on standard input and output.
    Mcp(mcp::Args),
    /// Run four validators with models on this machine, ask them, and stop them.
    Up(up::Args),
    /// Print the completion script of a shell.
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Write the manual pages, one for each command, into a folder.
    #[command(hide = true)]
    Man {
        /// Folder
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    // `starling rounds list | head` ends when `head` does, and does not panic.
    sigpipe::reset();
    let cli = Cli::parse();
    let connection = &cli.connection;
    match cli.command {
        Command::Ask(args) => online(ask::run(connection, args)),
        Command::Agent(args) => online(agent::run(connection, args)),
        Command::Tickets(args) => online(tickets::run(connection, args)),
        Command::Lane(args) => online(lane::run(connection, args)),
        Command::Rounds(command) => online(rounds::run(connection, command)),
        Command::Examine(args) => online(examine::run(connection, args)),
        Command::Audit(args) => online(audit::run(connection, args)),
        Command::Model(args) => model::run(connection.json, args),
        Command::Attest(args) => online(attest::run(connection, args)),
        Command::Key(command) => outcome(key::run(connection.json, command)),
        Command::Session(args) => online(session::run(connection, args)),
        Command::Gateway(args) => match args.command {
            Some(gateway::Command::Key(command)) => {
                outcome(gateway::run_key(connection.json, &command))
            },
            None => online(gateway::run(connection, args.serve)),
        },
        Command::Mcp(args) => online(mcp::run(connection, args)),
        Command::Up(args) => online(up::run(connection, args)),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let mut script = vec![];
            clap_complete::generate(shell, &mut command, "starling", &mut script);
            print_bytes(&script);
            ExitCode::SUCCESS
        },
        Command::Man { folder } => outcome(manual(&folder)),
    }
}

fn manual(folder: &Path) -> Result<()> {
    clap_mangen::generate_to(Cli::command(), folder).map_err(Error::io(folder.display()))
}

/// Runs a command that talks to a node, until it ends or Ctrl-C.
fn online<T: Termination>(work: impl std::future::Future<Output = Result<T>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return outcome::<()>(Err(Error::io("the runtime of tokio")(error))),
    };
    let done = runtime.block_on(async {
        tokio::select! {
            done = work => Some(done),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    // A task that still waits for the node must not keep the program alive.
    runtime.shutdown_background();
    done.map_or_else(
        || {
            eprintln!("interrupted");
            ExitCode::from(130)
        },
        outcome,
    )
}

fn outcome<T: Termination>(done: Result<T>) -> ExitCode {
    match done {
        Ok(value) => value.report(),
        Err(error) => {
            eprintln!("error: {}", words(&error));
            ExitCode::from(error.exit_code())
        },
    }
}

/// An error in words. Some of them are a node's.
fn words(error: &Error) -> String {
    printable(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_node_do_not_act_on_the_terminal() {
        let error = Error::Refused("no\u{1b}]0;x\u{7}\nnever".into());
        assert_eq!(
            words(&error),
            "the chain refused: no\u{fffd}]0;x\u{fffd}\nnever"
        );
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_command_has_a_manual_page() {
        let folder = tempfile::tempdir().unwrap();
        manual(folder.path()).unwrap();
        for page in ["starling.1", "starling-ask.1", "starling-rounds-show.1"] {
            let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}");
        }
        assert!(!folder.path().join("starling-man.1").exists());
        let missing = manual(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
