//! One TLS connection to the server: found, dialled, verified; then HTTP/1.1 on it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{CONNECT_TIMEOUT, Error, ServerUrl};
use crate::pki::chain::ChainError;
use crate::pki::tls::{self, PinMismatch};

/// How long one address of several has before the next one is tried beside it (RFC 8305 §5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// An open connection; closed when dropped.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Dials the server. Nothing of a request is written before the server's chain is verified.
pub(super) async fn open(server: &ServerUrl, tls: &Arc<ClientConfig>) -> Result<Connection, Error> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, secure(server, tls)).await;
    let stream = stream.map_err(|_| Error::Timeout {
        server: server.clone(),
        doing: "connecting",
        after: CONNECT_TIMEOUT,
    })??;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(server, &e))?;
    // The outcome of the connection shows in the outcome of the request that is on it.
    let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    Ok(Connection { sender, task })
}

async fn secure(server: &ServerUrl, tls: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Error> {
    let tcp = dial(server)
        .await
        .map_err(|(address, e)| unreachable(server, address, &e))?;
    // A request is one small write followed by a wait: Nagle's algorithm could only delay it.
    drop(tcp.set_nodelay(true));
    let connector = TlsConnector::from(Arc::clone(tls));
    connector
        .connect(server.server_name(), tcp)
        .await
        .map_err(|e| handshake_failed(server, &e))
}

/// Tries every address of the host, each beside the ones before it; the first connection wins.
async fn dial(server: &ServerUrl) -> Result<TcpStream, (Option<SocketAddr>, io::Error)> {
    let found = tokio::net::lookup_host((server.host(), server.port())).await;
    let mut addresses = found.map_err(|e| (None, e))?;
    let mut attempts = FuturesUnordered::new();
    let mut failure = (
        None,
        io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
    );
    loop {
        match addresses.next() {
            Some(address) => attempts.push(async move { (address, TcpStream::connect(address).await) }),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        match tokio::time::timeout(NEXT_ADDRESS_AFTER, attempts.next()).await {
            Ok(Some((_, Ok(stream)))) => return Ok(stream),
            Ok(Some((address, Err(e)))) => failure = (Some(address), e),
            Ok(None) | Err(_) => {}
        }
    }
}

fn unreachable(server: &ServerUrl, address: Option<SocketAddr>, error: &io::Error) -> Error {
    let advice = match (address, error.kind()) {
        (None, _) => "Is the name spelled right, and does this machine's DNS know it?",
        (_, io::ErrorKind::ConnectionRefused) => {
            "Nothing listens there: is the server running (systemctl status dockwarden-server), and is the port right?"
        }
        _ => "Is there a route and no firewall between this machine and the server?",
    };
    let reason = match address {
        Some(address) => format!("{error} ({address})"),
        None => error.to_string(),
    };
    Error::Connect {
        server: server.clone(),
        reason,
        advice,
    }
}

fn handshake_failed(server: &ServerUrl, error: &io::Error) -> Error {
    let server = server.clone();
    if let Some(mismatch) = tls::cause::<PinMismatch>(error) {
        return Error::PinMismatch {
            server,
            mismatch: Box::new(mismatch.clone()),
        };
    }
    if let Some(chain) = tls::cause::<ChainError>(error) {
        return Error::Tls {
            server,
            reason: chain.to_string(),
        };
    }
    match rustls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => refused_or_tls(server, *alert),
        Some(rustls::Error::InvalidMessage(_)) => Error::Tls {
            server,
            reason: "it does not speak TLS on this port\n  The API is on the HTTPS port (8443 unless it was changed); 8080 is for CRLs.".into(),
        },
        Some(other) => Error::Tls { server, reason: other.to_string() },
        None => Error::Closed { server, reason: error.to_string() },
    }
}

/// An error of the HTTP layer, which may carry the alert that refuses our certificate.
pub(super) fn failed(server: &ServerUrl, error: &hyper::Error) -> Error {
    let server = server.clone();
    if let Some(rustls::Error::AlertReceived(alert)) = rustls_error(error) {
        return refused_or_tls(server, *alert);
    }
    if error.is_parse() {
        return Error::Protocol {
            server,
            what: format!("not HTTP/1.1 ({error})"),
        };
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    Error::Closed {
        server,
        reason: source.to_string(),
    }
}

fn refused_or_tls(server: ServerUrl, alert: rustls::AlertDescription) -> Error {
    use rustls::AlertDescription as A;
    match alert {
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::DecryptError
        | A::AccessDenied
        | A::CertificateRequired => Error::CertificateRefused { server, alert },
        other => Error::Tls {
            server,
            reason: format!("it ended the handshake with TLS alert {other:?}"),
        },
    }
}

/// The rustls error inside whatever carried it. An `io::Error` hides what it wraps from `source()`.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped
            .map(|e| e as &(dyn std::error::Error + 'static))
            .or_else(|| error.source());
    }
    None
}
