//! Where the server is: `https://host[:port]`, nothing more.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::ServerName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The address of a dockwarden server. Always HTTPS.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    host: String,
    port: u16,
}

/// Why a server's address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Plain HTTP: everything on the way could read the join token or answer in the server's place.
    #[error(
        "{0} is plain HTTP: join tokens and certificates travel over HTTPS only; use the server's https:// address (port 8443 unless it was changed)"
    )]
    PlainHttp(String),
    /// Something else that is no such address.
    #[error(
        "{0:?} is not a server address: write https://HOST or https://HOST:PORT, such as https://ca.fleet.internal:8443"
    )]
    Shape(String),
}

impl ServerUrl {
    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, for the `Host` header: an IPv6 address in brackets, 443 left out.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == 443 {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    pub(super) fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.host.clone()).expect("parsing has checked it")
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let excerpt = || {
            text.chars()
                .filter(|c| !c.is_control())
                .take(80)
                .collect::<String>()
        };
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("http://") {
            return Err(UrlError::PlainHttp(excerpt()));
        }
        let rest = lower
            .strip_prefix("https://")
            .ok_or_else(|| UrlError::Shape(excerpt()))?;
        let (host, port) =
            split(rest.strip_suffix('/').unwrap_or(rest)).ok_or_else(|| UrlError::Shape(excerpt()))?;
        ServerName::try_from(host.to_owned()).map_err(|_| UrlError::Shape(excerpt()))?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

fn split(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|p| *p > 0)?
        }
        Some(_) => return None,
        None if port.is_empty() => 443,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ServerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_survives_its_text_form() {
        for (text, host, port) in [
            ("https://ca.fleet.internal:8443", "ca.fleet.internal", 8443),
            ("HTTPS://CA.Fleet.Internal", "ca.fleet.internal", 443),
            ("https://127.0.0.1:1/", "127.0.0.1", 1),
            ("https://[::1]:65535", "::1", 65535),
            ("https://[2001:db8::7]", "2001:db8::7", 443),
        ] {
            let url: ServerUrl = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
    }

    #[test]
    fn plain_http_is_refused_and_says_what_to_use() {
        for text in ["http://ca.fleet.internal:8080", "HTTP://ca", " http://127.0.0.1"] {
            let error = text.parse::<ServerUrl>().unwrap_err();
            assert!(matches!(error, UrlError::PlainHttp(_)), "{text}");
            assert!(error.to_string().contains("https://"), "{error}");
        }
    }

    #[test]
    fn anything_but_scheme_host_and_port_is_refused() {
        for text in [
            "",
            "ca.fleet.internal",
            "https://",
            "https://:8443",
            "https://ca:",
            "https://ca:0",
            "https://ca:65536",
            "https://ca:+1",
            "https://ca/api",
            "https://ca?x",
            "https://u:p@ca",
            "https://[::1",
            "https://[ca]:1",
            "https://::1",
            "ftp://ca",
            "https://ca\r\nx: y",
            "https://ca#f",
            "https://a b",
            "unix:///run/x",
        ] {
            assert!(
                matches!(text.parse::<ServerUrl>(), Err(UrlError::Shape(_))),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_never_lets_a_header_through(text in "(https?://)?\\PC{0,60}[\\r\\n]?") {
            if let Ok(url) = text.parse::<ServerUrl>() {
                prop_assert!(!url.authority().contains(|c: char| c.is_control() || c == ' ' || c == '/'));
            }
        }
    }
}
