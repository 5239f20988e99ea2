// SPDX-License-Identifier: Apache-2.0
//! The RPC server of this node, in place of that of `sc-service`.
//!
//! `sc_service::spawn_tasks` makes the methods, and serves them itself without a look at the header
//! `Origin`. Here it gets an address that serves nobody, and `starling-rpc` serves the methods on
//! the addresses of the configuration.

use jsonrpsee::RpcModule;
use sc_service::{Configuration, Error, RpcHandlers};
use starling_rpc::{closed_endpoint, start, take_over, Config, RpcEndpoint, Server};
use substrate_prometheus_endpoint::Registry;

/// The log target whose only message is the address of the server that serves nobody.
pub(crate) const QUIET: &str = "sc_rpc_server=warn";

/// The addresses of the configuration, with what applies to all of them.
pub(crate) struct Endpoints {
    endpoints: Vec<RpcEndpoint>,
    auto_is_safe: bool,
    max_blocking: u32,
    log_limit: u32,
    registry: Option<Registry>,
}

impl Endpoints {
    /// Takes the addresses out of the configuration, which keeps one that serves nobody.
    pub(crate) fn take(config: &mut Configuration) -> Self {
        // Keys that everybody knows need no protection, and tests of their chains
        // insert others.
        let has_own_keys = config.role.is_authority() && config.dev_key_seed.is_none();
        let closed = vec![closed_endpoint()];
        Self {
            endpoints: config.rpc.addr.replace(closed).unwrap_or_default(),
            auto_is_safe: has_own_keys,
            max_blocking: config.rpc.max_connections,
            log_limit: config.rpc.request_logger_limit,
            registry: config.prometheus_registry().cloned(),
        }
    }

    /// Serves the methods on the addresses.
    pub(crate) fn serve(self, methods: &RpcHandlers) -> Result<Server, Error> {
        let metrics = self.registry.as_ref().map(take_over).transpose()?;
        let config = Config {
            endpoints: self.endpoints,
            methods: RpcModule::clone(&methods.handle()),
            auto_is_safe: self.auto_is_safe,
            metrics: metrics.flatten(),
            max_blocking: self.max_blocking,
            log_limit: self.log_limit,
        };
        start(config).map_err(|error| Error::Other(error.to_string()))
    }
}
