// SPDX-License-Identifier: Apache-2.0
//! Runs the tasks of the command line.

use std::{error::Error as _, path::PathBuf};

use sc_cli::{SharedParams, SubstrateCli};
use sc_network::config::NetworkBackendType;
use sc_service::PartialComponents;
use starling_chain_spec::Chain;
use starling_runtime::opaque::Block;

use crate::{
    cli::{Cli, Subcommand},
    endpoints,
    finality::ExportFinalityForksCmd,
    service,
};

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Starling Node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        env!("CARGO_PKG_AUTHORS").into()
    }

    fn support_url() -> String {
        "the issue tracker of this repository".into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        let id = if id.is_empty() {
            Chain::Local.name()
        } else {
            id
        };
        if let Some(chain) = Chain::from_name(id) {
            return Ok(Box::new(chain.specification()?));
        }
        let path = PathBuf::from(id);
        if !path.exists() {
            let known = Chain::ALL.map(Chain::name).join(", ");
            return Err(format!(
                "unknown chain '{id}': neither one of {known} nor the path of a chain specification"
            ));
        }
        let spec = starling_chain_spec::from_file(&path)
            .map_err(|error| format!("cannot read the chain specification '{id}': {error}"))?;
        Ok(Box::new(spec))
    }
}

/// A one-line description of an error: its message and its causes, without repetition.
pub fn explain(error: &sc_cli::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Parses the command line and runs its task.
pub fn run() -> sc_cli::Result<()> {
    let mut cli = Cli::from_args();

    match &cli.subcommand {
        Some(Subcommand::Agent(cmd)) => cmd.run(),
        Some(Subcommand::Key(cmd)) => cmd.run(&cli),
        Some(Subcommand::Quote(cmd)) => cmd.run(),
        Some(Subcommand::ExportChainSpec(cmd)) => cmd.run(cli.load_spec(&cmd.chain)?),
        Some(Subcommand::BuildSpec(cmd)) => cli
            .create_runner(cmd)?
            .sync_run(|config| cmd.run(config.chain_spec, config.network)),
        Some(Subcommand::CheckBlock(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let PartialComponents {
                client,
                task_manager,
                import_queue,
                ..
            } = service::new_partial(&config, None)?;
            Ok((cmd.run(client, import_queue), task_manager))
        }),
        Some(Subcommand::ExportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let PartialComponents {
                client,
                task_manager,
                ..
            } = service::new_partial(&config, None)?;
            Ok((cmd.run(client, config.database), task_manager))
        }),
        Some(Subcommand::ExportState(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let PartialComponents {
                client,
                task_manager,
                ..
            } = service::new_partial(&config, None)?;
            Ok((cmd.run(client, config.chain_spec), task_manager))
        }),
        Some(Subcommand::ExportFinalityForks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let PartialComponents {
                client,
                task_manager,
                other: (finality, _),
                ..
            } = service::new_partial(&config, None)?;
            let forks = finality.forks(&client)?;
            Ok((ExportFinalityForksCmd::run(forks), task_manager))
        }),
        Some(Subcommand::ImportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let PartialComponents {
                client,
                task_manager,
                import_queue,
                ..
            } = service::new_partial(&config, None)?;
            Ok((cmd.run(client, import_queue), task_manager))
        }),
        Some(Subcommand::PurgeChain(cmd)) => cli
            .create_runner(cmd)?
            .sync_run(|config| cmd.run(config.database)),
        Some(Subcommand::Revert(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let PartialComponents {
                client,
                task_manager,
                backend,
                ..
            } = service::new_partial(&config, None)?;
            let revert_finality = Box::new(|client, _, blocks| {
                sc_consensus_grandpa::revert(client, blocks)?;
                Ok(())
            });
            Ok((
                cmd.run(client, backend, Some(revert_finality)),
                task_manager,
            ))
        }),
        Some(Subcommand::ChainInfo(cmd)) => cli
            .create_runner(cmd)?
            .sync_run(|config| cmd.run::<Block>(&config)),
        None => {
            let SharedParams { chain, dev, .. } = &cli.run.shared_params;
            if cli.run.validator && chain.is_none() && !dev {
                return Err(sc_cli::Error::Input(format!(
                    "a validator names its chain: add --chain. Without it the chain is '{}', whose \
                     keys everybody knows",
                    Chain::Local.name()
                )));
            }
            // First, so that what the operator asks for comes after it.
            let log = &mut cli.run.shared_params.log;
            log.insert(0, endpoints::QUIET.into());
            let (agent, cache) = (cli.agent.clone(), cli.runtime_cache.as_deref());
            cli.create_runner(&cli.run)?
                .run_node_until_exit(|config| async move {
                    starling_conduct::ensure_free(&config)?;
                    match config.network.network_backend {
                        NetworkBackendType::Litep2p => {
                            service::new_full::<sc_network::Litep2pNetworkBackend>(
                                config, cache, agent,
                            )
                        },
                        NetworkBackendType::Libp2p => {
                            service::new_full::<
                                sc_network::NetworkWorker<Block, starling_runtime::Hash>,
                            >(config, cache, agent)
                        },
                    }
                    .map_err(sc_cli::Error::Service)
                })
        },
    }
}
