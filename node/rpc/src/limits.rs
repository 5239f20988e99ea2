// SPDX-License-Identifier: Apache-2.0

//! The rate limit of a caller.

use std::{net::IpAddr, num::NonZeroU32};

use forwarded_header_value::ForwardedHeaderValue;
use http::{header::FORWARDED, HeaderMap, HeaderName};
use sc_rpc_server::{IpNetwork, RpcEndpoint};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Limits of a caller's calls.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    calls_per_minute: Option<NonZeroU32>,
    exempt: Vec<IpNetwork>,
    trust_proxy: bool,
}

impl Limits {
    pub(crate) fn of(endpoint: &RpcEndpoint) -> Self {
        Self {
            calls_per_minute: endpoint.rate_limit,
            exempt: endpoint.rate_limit_whitelisted_ips.clone(),
            trust_proxy: endpoint.rate_limit_trust_proxy_headers,
        }
    }

    /// The calls a minute of one connection from `peer`.
    pub(crate) fn calls_per_minute(&self, peer: IpAddr, headers: &HeaderMap) -> Option<NonZeroU32> {
        let behind_proxy = self.trust_proxy.then(|| behind_proxy(headers)).flatten();
        let caller = behind_proxy.unwrap_or(peer);
        let exempt = self.exempt.iter().any(|network| network.contains(caller));
        self.calls_per_minute.filter(|_| !exempt)
    }
}

/// The caller that a proxy names.
fn behind_proxy(headers: &HeaderMap) -> Option<IpAddr> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    let forwarded = |value: ForwardedHeaderValue| value.remotest_forwarded_for_ip();
    let standard = || {
        let value = ForwardedHeaderValue::from_forwarded(text(&FORWARDED)?).ok();
        value.and_then(forwarded)
    };
    let common = || {
        let value = ForwardedHeaderValue::from_x_forwarded_for(text(&X_FORWARDED_FOR)?).ok();
        value.and_then(forwarded)
    };
    let simple = || text(&X_REAL_IP)?.parse().ok();
    standard().or_else(common).or_else(simple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_caller_of_an_exempt_network_has_no_limit() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let ten = NonZeroU32::new(10);
        let limits = |trust_proxy| Limits {
            calls_per_minute: ten,
            exempt: vec!["192.0.2.0/24".parse().unwrap()],
            trust_proxy,
        };
        let none = HeaderMap::new();
        assert_eq!(
            limits(false).calls_per_minute(ip("203.0.113.1"), &none),
            ten
        );
        assert_eq!(limits(false).calls_per_minute(ip("192.0.2.1"), &none), None);
        for proxied in [
            headers(FORWARDED, "for=192.0.2.60;proto=http"),
            headers(X_FORWARDED_FOR, "192.0.2.60,203.0.113.7"),
            headers(X_REAL_IP, "192.0.2.60"),
        ] {
            let proxy = ip("127.0.0.1");
            assert_eq!(limits(true).calls_per_minute(proxy, &proxied), None);
            assert_eq!(limits(false).calls_per_minute(proxy, &proxied), ten);
        }
        let garbage = headers(X_REAL_IP, "everybody");
        assert_eq!(
            limits(true).calls_per_minute(ip("192.0.2.1"), &garbage),
            None
        );
    }
}
