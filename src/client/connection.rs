//! One TLS connection to the server: found, dialled, verified; then HTTP/1.1 on it, or HTTP/2 where several requests are
//! to share it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
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

/// Sends one request at a time.
pub(super) type OneByOne = http1::SendRequest<Full<Bytes>>;
/// Sends any number at a time; its clones share the connection, and none of them keeps it open.
pub(super) type Sharing = http2::SendRequest<Full<Bytes>>;

/// An open connection; closed when dropped.
pub(super) struct Connection<S = OneByOne> {
    pub(super) sender: S,
    task: AbortHandle,
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection that lasts, in the version that the server chose.
pub(super) enum Lasting {
    Alone(Connection),
    Shared(Connection<Sharing>),
}

impl Lasting {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        server: &ServerUrl,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Alone(connection) => connection.sender.send_request(request).await,
            Self::Shared(connection) => connection.sender.send_request(for_http2(server, request)).await,
        }
    }

    /// What further requests can be sent with, beside the first.
    pub(super) fn sharing(&self) -> Option<Sharing> {
        match self {
            Self::Alone(_) => None,
            Self::Shared(connection) => Some(connection.sender.clone()),
        }
    }
}

/// A request of HTTP/1.1 as one of HTTP/2: its authority stands in the target (RFC 9113 §8.3.1).
pub(super) fn for_http2(server: &ServerUrl, request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("https://{}{}", server.authority(), parts.uri)
        .parse()
        .expect("the authority was parsed, and so was the path");
    parts.headers.remove(header::HOST);
    parts.version = Version::HTTP_2;
    Request::from_parts(parts, body)
}

/// Dials the server, for HTTP/1.1. Nothing of a request is written before the server's chain is verified.
pub(super) async fn open(server: &ServerUrl, tls: &Arc<ClientConfig>) -> Result<Connection, Error> {
    over_http1(server, dial_in_time(server, tls).await?).await
}

/// The same for a connection that lasts. `tls` offers HTTP/2 too.
pub(super) async fn open_lasting(server: &ServerUrl, tls: &Arc<ClientConfig>) -> Result<Lasting, Error> {
    let stream = dial_in_time(server, tls).await?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return over_http1(server, stream).await.map(Lasting::Alone);
    }
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|e| failed(server, &e))?;
    let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    Ok(Lasting::Shared(Connection { sender, task }))
}

async fn over_http1(server: &ServerUrl, stream: TlsStream<TcpStream>) -> Result<Connection, Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(server, &e))?;
    // The outcome of the connection shows in the outcome of the request that is on it.
    let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    Ok(Connection { sender, task })
}

async fn dial_in_time(server: &ServerUrl, tls: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Error> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, secure(server, tls)).await;
    stream.map_err(|_| Error::Timeout {
        server: server.clone(),
        doing: "connecting",
        after: CONNECT_TIMEOUT,
    })?
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
            what: format!("not HTTP ({error})"),
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
