// SPDX-License-Identifier: Apache-2.0
//! Rules for callers: `Host`, `Origin` and the type of a body.

use std::net::SocketAddr;

use crate::failure::Failure;

/// The doors that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    /// Opens the address that the gateway listens on, and the names of the configuration.
    pub fn new(listen: SocketAddr, hosts: &[String], origins: &[String]) -> Self {
        let port = listen.port();
        let mut open = vec![listen.to_string()];
        if listen.ip().is_loopback() {
            let own = ["localhost", "127.0.0.1", "[::1]"];
            open.extend(own.map(|name| format!("{name}:{port}")));
        }
        for host in hosts {
            // A name without a port is good with any, as behind a proxy.
            open.extend([
                host.to_lowercase(),
                format!("{}:{port}", host.to_lowercase()),
            ]);
        }
        Self {
            hosts: open,
            origins: origins.to_vec(),
        }
    }

    /// Checks the headers `Host` and `Origin`.
    ///
    /// The owner of a page can point its name at this machine, so that a browser takes the gateway
    /// for a part of the page. The browser still names the page's host.
    pub fn admit(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Failure> {
        let known = host.is_some_and(|host| self.hosts.contains(&host.to_lowercase()));
        if !known {
            return Err(Failure::Forbidden(
                "the header Host names neither the address of the gateway nor one of `hosts`",
            ));
        }
        match origin {
            Some(origin) if !self.is_own(origin) => Err(Failure::Forbidden(
                "pages of this origin may not call the gateway; `origins` lists those that may",
            )),
            _ => Ok(()),
        }
    }

    fn is_own(&self, origin: &str) -> bool {
        let own = ["http://", "https://"].iter().any(|scheme| {
            let host = origin.strip_prefix(scheme);
            host.is_some_and(|host| self.hosts.contains(&host.to_lowercase()))
        });
        own || self.origins.iter().any(|known| known == origin)
    }
}

/// Checks the header `Content-Type`. A page cannot send JSON to another origin unasked.
pub fn is_json(content_type: Option<&str>) -> Result<(), Failure> {
    let kind = content_type.and_then(|kind| kind.split(';').next());
    match kind.map(|kind| kind.trim().to_ascii_lowercase()).as_deref() {
        Some("application/json") => Ok(()),
        _ => Err(Failure::InvalidValue {
            param: "Content-Type".to_owned(),
            message: "the header Content-Type must be application/json".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let listen = "127.0.0.1:8042".parse().unwrap();
        let hosts = ["ai.example".to_owned()];
        Guard::new(listen, &hosts, &["https://chat.example".to_owned()])
    }

    #[test]
    fn own_addresses_and_named_hosts_are_admitted() {
        for host in [
            "127.0.0.1:8042",
            "localhost:8042",
            "LOCALHOST:8042",
            "[::1]:8042",
            "ai.example",
            "ai.example:8042",
        ] {
            assert!(guard().admit(Some(host), None).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_page_that_points_its_name_here_is_refused() {
        for host in [
            None,
            Some("evil.example:8042"),
            Some("127.0.0.1:80"),
            Some("localhost.evil.example:8042"),
            Some(""),
        ] {
            let refused = guard().admit(host, None).unwrap_err();
            assert_eq!(refused.status(), 403, "{host:?}");
        }
    }

    #[test]
    fn only_named_origins_and_the_own_one_are_admitted() {
        let from = |origin| guard().admit(Some("localhost:8042"), Some(origin));
        for origin in ["https://chat.example", "http://localhost:8042"] {
            assert!(from(origin).is_ok(), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "https://chat.example.evil",
            "http://localhost:3000",
        ] {
            assert!(from(origin).is_err(), "{origin}");
        }
    }

    #[test]
    fn a_body_must_be_declared_as_json() {
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(is_json(Some(kind)).is_ok(), "{kind}");
        }
        for kind in [
            None,
            Some("text/plain"),
            Some("application/jsonp"),
            Some(""),
        ] {
            assert!(is_json(kind).is_err(), "{kind:?}");
        }
    }
}
