// SPDX-License-Identifier: Apache-2.0

//! The JSON-RPC server of a Starling node.
//!
//! It serves the methods, limits and metrics of `sc-rpc-server`, whose parts it uses. That server
//! answers every page that a browser of this machine shows: CORS does not bind WebSockets. This one
//! looks at the headers `Origin` and `Host` of each request, and strangers get safe methods only.
//! It also sends small answers at once (`TCP_NODELAY`).
//!
//! | module | content |
//! |---|---|
//! | `origin` | the pages that the operator trusts |
//! | `doors` | who may call unsafe methods |
//! | `limits` | the rate limit of a caller |
//! | `metrics` | the metrics of the SDK's server |
//! | `server` | sockets and connections |
//! | `swarm` | methods about the chain's specification, and layers that nodes hold |

mod doors;
mod limits;
mod metrics;
mod origin;
mod server;
mod swarm;

pub use metrics::take_over;
pub use origin::InvalidOrigin;
pub use sc_rpc_server::{BatchRequestConfig, RpcEndpoint, RpcMethods, RpcMetrics};
pub use server::{start, Config, Error, Server};
pub use swarm::{swarm_methods, Read};

use std::net::{Ipv4Addr, SocketAddr};

/// An endpoint that serves nobody, for code that insists on a server of its own. It listens on a
/// free port of loopback and refuses every connection.
pub fn closed_endpoint() -> RpcEndpoint {
    RpcEndpoint {
        listen_addr: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
        batch_config: BatchRequestConfig::Disabled,
        max_connections: 0,
        max_payload_in_mb: 0,
        max_payload_out_mb: 0,
        max_subscriptions_per_connection: 0,
        max_buffer_capacity_per_connection: 1,
        rate_limit: None,
        rate_limit_trust_proxy_headers: false,
        rate_limit_whitelisted_ips: vec![],
        cors: Some(vec![]),
        rpc_methods: RpcMethods::Safe,
        is_optional: false,
        retry_random_port: false,
    }
}
