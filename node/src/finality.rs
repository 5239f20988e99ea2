// SPDX-License-Identifier: Apache-2.0
//! Prints the forced changes of GRANDPA's set, for the chain specification.

use sc_cli::{CliConfiguration, DatabaseParams, PruningParams, SharedParams};
use starling_chain_spec::finality::{Extensions, FinalityFork};

/// The options of `export-finality-forks`.
#[derive(Debug, Clone, clap::Parser)]
pub struct ExportFinalityForksCmd {
    #[allow(missing_docs)]
    #[clap(flatten)]
    pub shared_params: SharedParams,

    #[allow(missing_docs)]
    #[clap(flatten)]
    pub pruning_params: PruningParams,

    #[allow(missing_docs)]
    #[clap(flatten)]
    pub database_params: DatabaseParams,
}

impl ExportFinalityForksCmd {
    /// Prints `forks` as a part of a chain specification.
    pub(crate) async fn run(finality_forks: Vec<FinalityFork>) -> sc_cli::Result<()> {
        let json = serde_json::to_string_pretty(&Extensions { finality_forks })
            .map_err(|error| sc_cli::Error::Input(error.to_string()))?;
        println!("{json}");
        Ok(())
    }
}

impl CliConfiguration for ExportFinalityForksCmd {
    fn shared_params(&self) -> &SharedParams {
        &self.shared_params
    }

    fn pruning_params(&self) -> Option<&PruningParams> {
        Some(&self.pruning_params)
    }

    fn database_params(&self) -> Option<&DatabaseParams> {
        Some(&self.database_params)
    }
}
