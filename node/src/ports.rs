// SPDX-License-Identifier: Apache-2.0
//! Checks before the node starts that its addresses are free.
//!
//! Otherwise its parts would react differently: the RPC server takes another port, metrics are
//! disabled, and the network goes without that address.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener},
};

use sc_network::{multiaddr::Protocol, Multiaddr};
use sc_service::{Configuration, Error};

/// Fails if an address that `config` names is taken. Port 0 asks for a free one, so it never is.
pub(crate) fn ensure_free(config: &Configuration) -> Result<(), Error> {
    let network = config
        .network
        .listen_addresses
        .iter()
        .filter_map(tcp_address);
    for address in network {
        ensure_address_free(address, "--port or --listen-addr")?;
    }
    for endpoint in config.rpc.addr.iter().flatten() {
        ensure_address_free(endpoint.listen_addr, "--rpc-port")?;
    }
    if let Some(prometheus) = &config.prometheus_config {
        ensure_address_free(prometheus.port, "--prometheus-port")?;
    }
    Ok(())
}

fn ensure_address_free(address: SocketAddr, option: &str) -> Result<(), Error> {
    match TcpListener::bind(address) {
        // Other failures, such as a machine without IPv6, are left to the part that needs the
        // address.
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Error::Other(format!(
            "{address} is in use by another program; choose another port with {option}"
        ))),
        _ => Ok(()),
    }
}

fn tcp_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}
