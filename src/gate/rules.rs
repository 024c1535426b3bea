//! What a request is, once: method, normalised path, upgrade. Later decisions read this and nothing else.

use http::header::{CONNECTION, HOST, HeaderMap, UPGRADE};
use http::{Method, Request, Uri, Version};

use super::denial::Denial;
use crate::model::role::path;

/// What a connection may be upgraded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A raw stream: attach, exec.
    Tcp,
    /// HTTP/2 without TLS: BuildKit's session and gRPC.
    H2c,
    /// attach over a websocket.
    WebSocket,
}

impl Protocol {
    /// Its name in the `Upgrade` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::H2c => "h2c",
            Self::WebSocket => "websocket",
        }
    }
}

/// A request as it is judged and passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The method.
    pub method: Method,
    /// The path, decoded and normalised, API version included.
    pub path: String,
    /// The query, untouched. May hold secrets: never logged.
    pub query: Option<String>,
    /// What it asks to be upgraded to.
    pub upgrade: Option<Protocol>,
    /// Bytes after it might be a raw stream, so no further request may be read from the connection.
    pub is_last: bool,
}

impl Facts {
    /// The path without its API version.
    pub fn operation_path(&self) -> &str {
        path::without_version(&self.path)
    }

    /// The request target that is passed on.
    pub fn target(&self) -> Uri {
        let path = path::encode(&self.path);
        let target = match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        target
            .parse()
            .expect("an escaped path and a query that was already parsed form a URI")
    }
}

/// Reads the facts off a request.
///
/// # Errors
/// What no Engine client sends, or what two readers could understand in two ways.
pub fn classify<B>(request: &Request<B>) -> Result<Facts, Denial> {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Denial::Form("CONNECT and TRACE are not part of the Engine's API"));
    }
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Err(Denial::Form("the request line must hold a path, not a whole URL"));
    }
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(Denial::Form("there is more than one Host header"));
    }
    let mut facts = Facts {
        method: method.clone(),
        path: path::normalise(uri.path())?,
        query: uri.query().map(str::to_owned),
        upgrade: None,
        is_last: false,
    };
    facts.upgrade = upgrade(headers, request.version(), &facts)?;
    facts.is_last = facts.upgrade.is_some() || may_hijack(&facts)?;
    Ok(facts)
}

fn upgrade(headers: &HeaderMap, version: Version, facts: &Facts) -> Result<Option<Protocol>, Denial> {
    let mut wanted = headers.get_all(UPGRADE).iter();
    let Some(value) = wanted.next() else {
        return Ok(None);
    };
    let asked = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let refused = || Denial::Upgrade {
        protocol: asked.chars().take(80).collect(),
    };
    if wanted.next().is_some() || version != Version::HTTP_11 || !connection_says_upgrade(headers) {
        return Err(refused());
    }
    let all = [Protocol::Tcp, Protocol::H2c, Protocol::WebSocket];
    let protocol = all
        .into_iter()
        .find(|p| p.as_str() == asked)
        .ok_or_else(refused)?;
    match is_offered(protocol, facts) {
        true => Ok(Some(protocol)),
        false => Err(refused()),
    }
}

fn connection_says_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// Where the Engine upgrades, and to what. Anywhere else an upgrade would be a way past every rule.
fn is_offered(protocol: Protocol, facts: &Facts) -> bool {
    let path = facts.operation_path();
    match protocol {
        Protocol::Tcp => facts.method == Method::POST && (is_attach(path) || is_exec_start(path)),
        Protocol::H2c => facts.method == Method::POST && matches!(path, "/session" | "/grpc"),
        Protocol::WebSocket => {
            facts.method == Method::GET && path.starts_with("/containers/") && path.ends_with("/attach/ws")
        }
    }
}

fn is_attach(path: &str) -> bool {
    path.starts_with("/containers/") && path.ends_with("/attach")
}

fn is_exec_start(path: &str) -> bool {
    path.starts_with("/exec/") && path.ends_with("/start")
}

/// attach and exec start take the connection over even without `Upgrade` (clients from before Docker
/// 1.10): output is passed on, but what such a client writes could be mistaken for requests.
fn may_hijack(facts: &Facts) -> Result<bool, Denial> {
    let path = facts.operation_path();
    let attach = is_attach(path);
    if facts.method != Method::POST || !(attach || is_exec_start(path)) {
        return Ok(false);
    }
    if attach && asks_for_stdin(facts.query.as_deref().unwrap_or_default()) {
        return Err(Denial::RawHijack);
    }
    Ok(true)
}

/// As the Engine reads a boolean of the query: everything is true but these (`httputils.BoolValue`).
fn asks_for_stdin(query: &str) -> bool {
    let is_false = |value: &str| {
        let value = value.trim().to_ascii_lowercase();
        matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    };
    // An escaped name would be the Engine's "stdin" all the same; whoever escapes letters has a reason.
    query.split('&').any(|pair| match pair.split_once('=') {
        Some((name, value)) => (name.eq_ignore_ascii_case("stdin") || name.contains('%')) && !is_false(value),
        None => false,
    })
}

#[cfg(test)]
mod tests;
