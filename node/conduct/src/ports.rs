// SPDX-License-Identifier: Apache-2.0
//! Checks before the node starts that its addresses are free, and afterwards that it listens.
//!
//! Otherwise its parts would react differently: the RPC server ends the node, metrics are disabled,
//! and the network goes without that address.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener},
};

use sc_network::{multiaddr::Protocol, Multiaddr};
use sc_service::{Configuration, Error};

/// Fails if an address that `config` names is taken. Port 0 asks for a free one, so it never is.
///
/// # Errors
///
/// The address and the option that names another.
pub fn ensure_free(config: &Configuration) -> Result<(), Error> {
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

/// Fails if the network was to listen on `named` addresses and listens nowhere. An address may be
/// taken after [`ensure_free`], or not be one of this machine.
///
/// # Errors
///
/// The addresses and the options that name others.
pub fn ensure_listening(named: &[Multiaddr], listening: &[Multiaddr]) -> Result<(), Error> {
    if named.is_empty() || !listening.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = named.iter().map(Multiaddr::to_string).collect();
    Err(Error::Other(format!(
        "the node can listen on none of its addresses ({}), so that nobody could reach it; choose \
         free ones of this machine with --port or --listen-addr",
        named.join(", ")
    )))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_can_listen_nowhere_does_not_go_on() {
        let [one, other] = ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"]
            .map(|address| address.parse::<Multiaddr>().unwrap());
        let named = [one.clone(), other.clone()];
        let error = ensure_listening(&named, &[]).unwrap_err().to_string();
        assert!(named
            .iter()
            .all(|address| error.contains(&address.to_string())));
        // One of several may be missing, as on a machine without IPv6.
        assert!(ensure_listening(&named, &[other]).is_ok());
        assert!(ensure_listening(&[], &[]).is_ok(), "nothing was asked for");
    }
}
