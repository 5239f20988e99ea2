// SPDX-License-Identifier: Apache-2.0

//! The metrics of the SDK's server, for this one.

use prometheus::IntCounter;
use sc_rpc_server::RpcMetrics;
use substrate_prometheus_endpoint::{PrometheusError, Registry};

/// Everything that [`RpcMetrics::new`] registers.
const NAMES: [&str; 10] = [
    "substrate_rpc_threads_total",
    "substrate_rpc_threads_alive",
    "substrate_rpc_calls_time",
    "substrate_rpc_calls_started",
    "substrate_rpc_calls_finished",
    "substrate_rpc_calls_rejected",
    "substrate_rpc_calls_retried",
    "substrate_rpc_sessions_opened",
    "substrate_rpc_sessions_closed",
    "substrate_rpc_sessions_time",
];

/// Takes the names of the metrics from the server of `sc-service`, which registered them and which
/// nobody calls, and registers them anew.
///
/// # Errors
/// If the server of this release registered others.
pub fn take_over(registry: &Registry) -> Result<Option<RpcMetrics>, PrometheusError> {
    for name in NAMES {
        // A registry knows a metric by its name.
        registry.unregister(Box::new(IntCounter::new(name, name)?))?;
    }
    RpcMetrics::new(Some(registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_of_the_other_server_are_replaced() {
        let registry = Registry::new();
        assert!(take_over(&registry).is_err(), "there are none");
        let _unused = RpcMetrics::new(Some(&registry)).unwrap();
        assert!(RpcMetrics::new(Some(&registry)).is_err());
        assert!(take_over(&registry).unwrap().is_some());
        let names: Vec<_> = registry
            .gather()
            .iter()
            .map(|one| one.get_name().to_owned())
            .collect();
        assert!(
            names.contains(&"substrate_rpc_sessions_opened".into()),
            "{names:?}"
        );
    }
}
