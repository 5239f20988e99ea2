// SPDX-License-Identifier: Apache-2.0

//! Access to unsafe methods: those that change keys, peers and storage of the node.

use std::net::{IpAddr, SocketAddr};

use http::{header::ORIGIN, HeaderMap};
use jsonrpsee::server::{middleware::http::Authority, HttpRequest};
use sc_rpc_api::DenyUnsafe;
use sc_rpc_server::RpcMethods;

use crate::origin::{address, is_loopback, Origins};

/// The doors of one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    /// Pages that may read, and pages that are trusted.
    pub(crate) origins: Origins,
    /// Whether the endpoint offers unsafe methods at all.
    pub(crate) offers_unsafe: bool,
}

impl Doors {
    /// The policy for all calls of a request, or of the connection that it opens.
    pub(crate) fn policy<Body>(&self, request: &HttpRequest<Body>) -> DenyUnsafe {
        let page = Page::of(request.headers());
        let host = Authority::from_http_request(request);
        match self.are_open(page, host.as_ref().map(|host| host.host.as_str())) {
            true => DenyUnsafe::No,
            false => DenyUnsafe::Yes,
        }
    }

    fn are_open(&self, page: Page<'_>, host: Option<&str>) -> bool {
        let trusted = match page {
            Page::None => true,
            Page::Of(origin) => self.origins.is_trusted(origin),
            Page::Unclear => false,
        };
        self.offers_unsafe && trusted && host.is_some_and(is_own)
    }
}

/// The page that sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page<'a> {
    /// None: the request comes from a program that is no browser.
    None,
    /// A page of this origin.
    Of(&'a str),
    /// A page whose origin cannot be read.
    Unclear,
}

impl<'a> Page<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Self::None,
            (Some(origin), None) => origin.to_str().map_or(Self::Unclear, Self::Of),
            (Some(_), Some(_)) => Self::Unclear,
        }
    }
}

/// Whether `host` leads to this node for certain. A foreign name may be one that its owner points
/// at this machine, to make his page and the node one origin (DNS rebinding). An address cannot be
/// pointed anywhere.
fn is_own(host: &str) -> bool {
    is_loopback(host) || address(host).is_some()
}

/// Whether an endpoint offers unsafe methods. With `auto`, only this machine gets them, and nobody
/// where `auto_is_safe`.
pub(crate) fn offers_unsafe(methods: RpcMethods, listens_on: IpAddr, auto_is_safe: bool) -> bool {
    match methods {
        RpcMethods::Unsafe => true,
        RpcMethods::Safe => false,
        RpcMethods::Auto => listens_on.is_loopback() && !auto_is_safe,
    }
}

/// The hosts that an endpoint with a list of origins answers, as `sc-rpc-server` has it.
pub(crate) fn hosts(listens_on: SocketAddr) -> [String; 3] {
    ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{}", listens_on.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{header::HOST, HeaderValue};
    use std::net::Ipv4Addr;

    const EVIL: &str = "https://evil.example";

    fn doors() -> Doors {
        Doors {
            origins: Origins::All,
            offers_unsafe: true,
        }
    }

    #[test]
    fn a_program_of_this_machine_may_call_unsafe_methods() {
        for host in [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "[::1]",
            "192.168.1.5",
        ] {
            assert!(doors().are_open(Page::None, Some(host)), "{host}");
        }
    }

    #[test]
    fn a_page_may_if_it_is_trusted() {
        let host = Some("localhost");
        assert!(doors().are_open(Page::Of("http://localhost:3000"), host));
        assert!(!doors().are_open(Page::Of(EVIL), host));
        assert!(!doors().are_open(Page::Of("null"), host));
        assert!(!doors().are_open(Page::Unclear, host));
        let named = Doors {
            origins: Origins::new(Some(&["https://dapp.example".into()])).unwrap(),
            ..doors()
        };
        assert!(named.are_open(Page::Of("https://dapp.example"), host));
        assert!(!named.are_open(Page::Of(EVIL), host));
    }

    #[test]
    fn a_foreign_host_gets_safe_methods_only() {
        let foreign = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ];
        for host in foreign {
            assert!(!doors().are_open(Page::None, Some(host)), "{host}");
            // As one origin with the node, after its name was pointed here.
            assert!(!doors().are_open(Page::Of("http://evil.example:9944"), Some(host)));
        }
        assert!(!doors().are_open(Page::None, None), "no host at all");
    }

    #[test]
    fn an_endpoint_without_unsafe_methods_has_none_for_anybody() {
        let safe = Doors {
            offers_unsafe: false,
            ..doors()
        };
        assert!(!safe.are_open(Page::None, Some("localhost")));
        assert!(!safe.are_open(Page::Of("http://localhost"), Some("localhost")));
    }

    #[test]
    fn auto_means_unsafe_methods_for_this_machine_unless_it_is_safe() {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let everywhere = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        assert!(offers_unsafe(RpcMethods::Auto, loopback, false));
        assert!(!offers_unsafe(RpcMethods::Auto, loopback, true));
        assert!(!offers_unsafe(RpcMethods::Auto, everywhere, false));
        assert!(offers_unsafe(RpcMethods::Unsafe, everywhere, true));
        assert!(!offers_unsafe(RpcMethods::Safe, loopback, false));
    }

    #[test]
    fn a_request_says_where_it_comes_from() {
        let origin = |values: Vec<HeaderValue>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ORIGIN, value);
            }
            headers
        };
        let evil = HeaderValue::from_static(EVIL);
        let local = HeaderValue::from_static("http://localhost");
        let garbage = HeaderValue::from_bytes(b"http://localhost\xff").unwrap();
        assert_eq!(Page::of(&HeaderMap::new()), Page::None);
        assert_eq!(Page::of(&origin(vec![evil.clone()])), Page::Of(EVIL));
        assert_eq!(Page::of(&origin(vec![local, evil])), Page::Unclear);
        assert_eq!(Page::of(&origin(vec![garbage])), Page::Unclear);
    }

    #[test]
    fn the_policy_follows_the_headers() {
        let denies = |host: &str, origin: Option<&str>| {
            let mut request = HttpRequest::builder().header(HOST, host);
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            let request = request.body(()).unwrap();
            doors().policy(&request).check_if_safe().is_err()
        };
        assert!(!denies("127.0.0.1:9944", None));
        assert!(!denies("[::1]:9944", Some("http://localhost:3000")));
        assert!(denies("127.0.0.1:9944", Some(EVIL)));
        assert!(denies("evil.example:9944", None));
        assert!(denies("not a host", None));
    }
}
