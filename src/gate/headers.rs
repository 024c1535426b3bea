//! Which header fields cross the gate.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

use super::rules::Protocol;

/// Fields that are about one hop (RFC 9110 §7.6.1) or that this hop answers itself.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    EXPECT,
];
const HOP_BY_HOP_BY_NAME: [&str; 3] = ["keep-alive", "proxy-connection", "http2-settings"];

/// Prepares a request's fields for dockerd.
pub fn toward_engine(headers: &mut HeaderMap, upgrade: Option<Protocol>) {
    let says_trailers = headers.get(TE).is_some_and(|v| v.as_bytes() == b"trailers");
    strip_hop(headers);
    headers.remove(TE);
    let identity: Vec<HeaderName> = headers.keys().filter(|n| claims_identity(n)).cloned().collect();
    for name in identity {
        headers.remove(name);
    }
    if says_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_static("docker"));
    }
    if let Some(protocol) = upgrade {
        set_upgrade(headers, HeaderValue::from_static(protocol.as_str()));
    }
}

/// Prepares a response's fields for the client. `closing` tells it not to send another request.
pub fn toward_client(headers: &mut HeaderMap, closing: bool) {
    strip_hop(headers);
    if closing {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Says that the connection becomes something else.
pub fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
}

fn strip_hop(headers: &mut HeaderMap) {
    let values = headers.get_all(CONNECTION).iter();
    let named: Vec<HeaderName> = values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|token| token.trim().parse().ok())
        // Naming these as hop-by-hop would change what the message is.
        .filter(|name: &HeaderName| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP_BY_NAME {
        headers.remove(name);
    }
}

/// Whether a field claims to say who the client is. The gate knows that from TLS; a claim from outside
/// must not reach anything behind it. Underscores count as hyphens, as in every CGI-like environment.
fn claims_identity(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    let after_x = name.strip_prefix("x-").unwrap_or(&name);
    let words: Vec<&str> = after_x.split('-').collect();
    match words.as_slice() {
        ["client", ..] | ["ssl", ..] | ["tls", ..] | ["forwarded", ..] | ["dockwarden", ..] => true,
        ["remote", "user" | "groups" | "name" | "email", ..] | ["real", "ip"] | ["auth", "request", ..] => {
            true
        }
        ["authenticated", ..] => true,
        words => name.starts_with("x-") && words.contains(&"client"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = fields
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        let mut headers = HeaderMap::new();
        pairs.for_each(|(n, v)| {
            headers.append(n, v);
        });
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_the_engine_reads_crosses_and_what_is_about_the_hop_does_not() {
        let mut headers = map(&[
            ("host", "web-01:2376"),
            ("x-registry-auth", "abc"),
            ("x-registry-config", "abc"),
            ("x-docker-expose-session-uuid", "1"),
            ("x-docker-expose-session-grpc-method", "1"),
            ("x-meta-a", "1"),
            ("content-type", "application/x-tar"),
            ("content-length", "3"),
            ("user-agent", "Docker-Client"),
            ("authorization", "Bearer x"),
            ("connection", "keep-alive, X-Hop, Content-Length, Host"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
        ]);
        toward_engine(&mut headers, None);
        assert_eq!(
            names(&headers),
            [
                "authorization",
                "content-length",
                "content-type",
                "host",
                "te",
                "trailer",
                "user-agent",
                "x-docker-expose-session-grpc-method",
                "x-docker-expose-session-uuid",
                "x-meta-a",
                "x-registry-auth",
                "x-registry-config",
            ]
        );
    }

    #[test]
    fn a_claim_to_be_somebody_never_crosses() {
        for name in [
            "x-client-cert",
            "x-client-dn",
            "x-ssl-client-verify",
            "x-ssl-client-s-dn",
            "ssl-client-cert",
            "client-cert",
            "client-cert-chain",
            "x-forwarded-client-cert",
            "x-forwarded-for",
            "x-forwarded-user",
            "forwarded",
            "x-forwarded-tls-client-cert",
            "x-remote-user",
            "remote-user",
            "x_client_cert",
            "x-ssl_client-cert",
            "x-dockwarden-identity",
            "x-auth-request-user",
            "x-amzn-mtls-client-cert",
            "x-authenticated-user",
            "x-real-ip",
        ] {
            let mut headers = map(&[(name, "admin"), (name, "root"), ("host", "x")]);
            toward_engine(&mut headers, None);
            assert_eq!(names(&headers), ["host"], "{name}");
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_in_our_own_words() {
        let mut headers = map(&[
            ("connection", "Upgrade, close"),
            ("upgrade", "TCP"),
            ("http2-settings", "A"),
        ]);
        toward_engine(&mut headers, Some(Protocol::Tcp));
        assert_eq!(headers[UPGRADE], "tcp");
        assert_eq!(headers[CONNECTION], "Upgrade");
        assert_eq!(headers[HOST], "docker");
        assert!(!headers.contains_key("http2-settings"));
    }
}
