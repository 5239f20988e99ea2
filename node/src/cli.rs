// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::path::PathBuf;

use crate::{
    agent::{AgentCommand, AgentOptions},
    finality::ExportFinalityForksCmd,
    key::KeyCommand,
    quote::QuoteCmd,
};

/// The parsed command line.
#[derive(Debug, clap::Parser)]
pub struct Cli {
    /// The subcommand; without one, the node runs.
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    /// Options for running the node.
    #[clap(flatten)]
    pub run: sc_cli::RunCmd,

    /// Folder for compiled runtimes, so that later starts need not compile again [default:
    /// `runtimes` beside the database].
    ///
    /// Nodes of one machine may share it. The node executes the files in it unchecked: let nobody
    /// else write there.
    #[arg(long, value_name = "DIR")]
    pub runtime_cache: Option<PathBuf>,

    /// The agent of this node.
    #[clap(flatten)]
    pub agent: AgentOptions,
}

/// Tasks of the binary besides running a node.
#[derive(Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)]
pub enum Subcommand {
    /// Check an agent configuration, or print its schema.
    #[command(subcommand)]
    Agent(AgentCommand),

    /// Generate, inspect and insert keys.
    #[command(subcommand)]
    Key(KeyCommand),

    /// Ask the hardware of this machine for a quote of the code that runs on it: of Intel TDX or
    /// AMD SEV-SNP.
    Quote(QuoteCmd),

    /// Print the chain specification of `--chain`, plain or raw.
    ExportChainSpec(sc_cli::ExportChainSpecCmd),

    /// Print a chain specification, as tools of other chains call it; see `export-chain-spec`.
    #[command(hide = true)]
    BuildSpec(sc_cli::BuildSpecCmd),

    /// Validate blocks.
    CheckBlock(sc_cli::CheckBlockCmd),

    /// Write blocks to a file.
    ExportBlocks(sc_cli::ExportBlocksCmd),

    /// Write the state of a block as a chain specification.
    ExportState(sc_cli::ExportStateCmd),

    /// Print the forced changes of GRANDPA's set in the database as a part of a chain
    /// specification.
    ///
    /// A specification with them lets new nodes start with `--sync warp`. The database has to be
    /// one that was synced in full, and no node may run on it.
    ExportFinalityForks(ExportFinalityForksCmd),

    /// Read blocks from a file.
    ImportBlocks(sc_cli::ImportBlocksCmd),

    /// Remove the whole database.
    PurgeChain(sc_cli::PurgeChainCmd),

    /// Revert the last blocks.
    Revert(sc_cli::RevertCmd),

    /// Print information about the chain's database.
    ChainInfo(sc_cli::ChainInfoCmd),
}
