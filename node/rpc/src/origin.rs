// SPDX-License-Identifier: Apache-2.0

//! The pages that the operator trusts, by the origins that browsers name.

use std::net::IpAddr;

use http::uri::Authority;

/// The value of the header of a page whose origin the browser keeps to itself.
const OPAQUE: &str = "null";

/// An entry of `--rpc-cors` is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` in --rpc-cors is not an origin, such as https://example.org or http://localhost:*")]
pub struct InvalidOrigin(String);

/// The origins that `--rpc-cors` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    /// All, which makes no page trusted.
    All,
    /// These.
    Listed(Vec<Entry>),
}

impl Origins {
    /// Reads the list; without one, all pages may read.
    pub(crate) fn new(cors: Option<&[String]>) -> Result<Self, InvalidOrigin> {
        let Some(cors) = cors else {
            return Ok(Self::All);
        };
        if cors.iter().any(|entry| entry == "*" || entry == "all") {
            return Ok(Self::All);
        }
        let entries = cors.iter().map(|entry| {
            let parsed = Entry::parse(entry);
            parsed.ok_or_else(|| InvalidOrigin(entry.clone()))
        });
        Ok(Self::Listed(entries.collect::<Result<_, _>>()?))
    }

    /// Whether a page may read what the node answers over HTTP. CORS tells the browser.
    pub(crate) fn may_read(&self, origin: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(entries) if origin == OPAQUE => entries.contains(&Entry::Opaque),
            Self::Listed(_) => self.is_trusted(origin),
        }
    }

    /// Whether a page may do what the operator may: it comes from this machine, or is listed. Any
    /// page can make itself one of an opaque origin, so that none of these is trusted.
    pub(crate) fn is_trusted(&self, origin: &str) -> bool {
        let Some(place) = Place::parse(origin) else {
            return false;
        };
        let listed = match self {
            Self::All => false,
            Self::Listed(entries) => entries.iter().any(|entry| entry.matches(&place)),
        };
        listed || is_loopback(&place.host)
    }
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Pages of one origin.
    One(Place),
    /// Pages of one host, on any port.
    AnyPort(Place),
    /// Pages of opaque origins.
    Opaque,
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text == OPAQUE {
            return Some(Self::Opaque);
        }
        match text.strip_suffix(":*") {
            Some(host) => {
                let place = Place::parse(host)?;
                Some(Self::AnyPort(Place {
                    port: None,
                    ..place
                }))
            },
            None => Place::parse(text.trim_end_matches('/')).map(Self::One),
        }
    }

    fn matches(&self, place: &Place) -> bool {
        match self {
            Self::One(one) => one == place,
            Self::AnyPort(any) => (&any.scheme, &any.host) == (&place.scheme, &place.host),
            Self::Opaque => false,
        }
    }
}

/// An origin, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Place {
    fn parse(origin: &str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        // A browser names no user; the user of a forged origin could pass for its host.
        if scheme.is_empty() || authority.contains('@') {
            return None;
        }
        let authority: Authority = authority.parse().ok()?;
        let port = match authority.port() {
            Some(port) => Some(port.as_u16()),
            // What is left of the host is a port that is none.
            None if authority.as_str().len() > authority.host().len() => return None,
            None => None,
        };
        let scheme = scheme.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some(Self {
            host: authority.host().to_ascii_lowercase(),
            port: port.or(default),
            scheme,
        })
    }
}

/// Whether a name or address stands for this machine wherever it is resolved.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

/// The IP address that a host is, if it is one.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address: IpAddr = inner.unwrap_or(host).parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(cors: &[&str]) -> Origins {
        let cors: Vec<_> = cors.iter().map(ToString::to_string).collect();
        Origins::new(Some(&cors)).unwrap()
    }

    #[test]
    fn pages_of_this_machine_are_trusted() {
        for all in [Origins::All, origins(&[])] {
            for origin in [
                "http://localhost",
                "http://localhost:3000",
                "https://LOCALHOST:8443",
                "http://127.0.0.1:8080",
                "http://127.8.9.10",
                "http://[::1]:3000",
                "http://[::ffff:127.0.0.1]",
            ] {
                assert!(all.is_trusted(origin), "{origin}");
                assert!(all.may_read(origin), "{origin}");
            }
        }
    }

    #[test]
    fn pages_of_strangers_are_not() {
        let listed = origins(&["https://dapp.example"]);
        for origin in [
            "https://evil.example",
            "http://dapp.example",
            "https://dapp.example:444",
            "https://dapp.example.evil.example",
            "https://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example",
            "http://evil.example@localhost",
            "http://192.168.1.5:8080",
            "chrome-extension://abcdefghijklmnop",
            "file://",
            "null",
            "localhost",
            "://localhost",
            "http://localhost/evil",
            "http://localhost:port",
            "",
        ] {
            assert!(!listed.is_trusted(origin), "{origin}");
            assert!(!listed.may_read(origin), "{origin}");
            assert!(!Origins::All.is_trusted(origin), "{origin}");
            assert!(Origins::All.may_read(origin), "{origin}");
        }
    }

    #[test]
    fn listed_pages_are_trusted() {
        let listed = origins(&[
            "https://dapp.example",
            "http://lan.example:*",
            "chrome-extension://abcdefghijklmnop",
            "https://slash.example/",
        ]);
        for origin in [
            "https://dapp.example",
            "https://DAPP.example",
            "https://dapp.example:443",
            "http://lan.example",
            "http://lan.example:8080",
            "chrome-extension://abcdefghijklmnop",
            "https://slash.example",
        ] {
            assert!(listed.is_trusted(origin), "{origin}");
            assert!(listed.may_read(origin), "{origin}");
        }
        assert!(!listed.is_trusted("https://lan.example:8080"));
    }

    #[test]
    fn an_opaque_origin_may_read_where_it_is_listed_and_is_never_trusted() {
        let listed = origins(&["null"]);
        assert!(listed.may_read("null"));
        assert!(!listed.is_trusted("null"));
        assert!(!origins(&["https://dapp.example"]).may_read("null"));
    }

    #[test]
    fn a_list_with_a_star_is_no_list() {
        assert_eq!(origins(&["https://dapp.example", "*"]), Origins::All);
        assert_eq!(origins(&["all"]), Origins::All);
        assert_eq!(Origins::new(None), Ok(Origins::All));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in ["", "dapp.example", "https://", "https://a/b", "http://a:b"] {
            let error = Origins::new(Some(&[wrong.to_owned()])).unwrap_err();
            assert!(error.to_string().contains("https://example.org"), "{error}");
        }
    }
}
