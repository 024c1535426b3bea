//! One connection: hyper below, the router above, and the timers that keep a slow or silent peer from
//! holding it forever.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::Version;
use hyper::body::Incoming;
use hyper::header::EXPECT;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::rest::lend;
use crate::base::limits;
use crate::service::Peer;

/// What is known of a connection. A request's extensions hold it.
#[derive(Clone, Debug, Default)]
pub struct ConnectionInfo {
    /// The other end, as an IPv4 address if it can be one.
    pub source: Option<IpAddr>,
    /// Who proved to be there.
    pub peer: Option<Peer>,
}

/// Cancelled when the server drains: answers without end then end. A request's extensions hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct Draining(pub(super) CancellationToken);

/// Timeouts and bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Handshakes at a time; further ones wait in the kernel's queue.
    pub handshakes_max: usize,
    /// How long a handshake counts as one of them.
    pub turn: Duration,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a request's head, and for the first bytes of HTTP/2.
    pub header: Duration,
    /// Without a request in flight.
    pub idle: Duration,
    /// For requests in flight once the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_MAX,
            handshakes_max: limits::HANDSHAKES_MAX,
            turn: limits::HANDSHAKE_TURN,
            handshake: limits::HANDSHAKE_TIMEOUT,
            header: limits::HEADER_TIMEOUT,
            idle: limits::IDLE_TIMEOUT,
            drain: limits::DRAIN_TIMEOUT,
        }
    }
}

/// What a request's head may take, bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Flow-control windows of HTTP/2, bytes: bounds what one connection can make us buffer.
const H2_STREAM_WINDOW: u32 = 64 * 1024;
const H2_CONNECTION_WINDOW: u32 = 256 * 1024;
/// What is kept of an answer for a client that does not read, besides the piece that was just made, bytes.
const H2_SEND_BUFFER: usize = 32 * 1024;

/// Requests in flight, and how many there ever were.
#[derive(Debug, Default)]
struct Activity {
    started: AtomicU64,
    finished: AtomicU64,
}

/// One request in flight, until its answer's body is through.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn start(activity: &Arc<Activity>) -> Self {
        activity.started.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Ordering::SeqCst);
    }
}

impl Activity {
    /// The number of requests so far, if none is in flight.
    fn quiet(&self) -> Option<u64> {
        let finished = self.finished.load(Ordering::SeqCst);
        (self.started.load(Ordering::SeqCst) == finished).then_some(finished)
    }
}

/// Serves HTTP/1.1, or HTTP/2 when `h2` (decided by ALPN), until either side ends it, it stands idle, or
/// `stop` is cancelled and the requests in flight are answered.
pub(super) async fn serve<S>(
    mut stream: S,
    h2: bool,
    router: Router,
    info: ConnectionInfo,
    limits: Limits,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let info = Arc::new(info);
    let counted = Arc::clone(&activity);
    let draining = Draining(stop.clone());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(draining.clone());
        answer(
            router.clone(),
            Arc::clone(&info),
            InFlight::start(&counted),
            request,
        )
    });
    if !h2 {
        let mut http1 = hyper::server::conn::http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_buf_size(HEAD_BYTES_MAX);
        let connection = http1.serve_connection(TokioIo::new(stream), service);
        return drive(connection, |c| c.graceful_shutdown(), &activity, limits, stop).await;
    }
    // Hyper waits for the client's preface without end.
    let Ok(Some(first)) = tokio::time::timeout(limits.header, first_bytes(&mut stream)).await else {
        return;
    };
    let mut http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle / 4)
        .keep_alive_timeout(limits.header)
        .max_concurrent_streams(limits::STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER);
    let connection = http2.serve_connection(TokioIo::new(Prefixed { first, stream }), service);
    drive(connection, |c| c.graceful_shutdown(), &activity, limits, stop).await;
}

async fn answer(
    router: Router,
    info: Arc<ConnectionInfo>,
    in_flight: InFlight,
    request: hyper::Request<Incoming>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    // Who waits for 100 Continue sends nothing before it; a stream of HTTP/2 ends without its connection.
    let sends_anyway = request.version() < Version::HTTP_2 && !request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let (body, rest) = lend(body);
    let mut request = hyper::Request::from_parts(parts, Body::new(body));
    request.extensions_mut().insert(info);
    let response = router.oneshot(request).await?;
    if sends_anyway {
        rest.discard().await;
    }
    Ok(response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_the_body_is_dropped = &in_flight;
            frame
        }))
    }))
}

/// Polls a connection to its end; closes it gracefully when it is idle or the server stops, and abruptly
/// when the peer does not let itself be closed.
async fn drive<C, E>(
    connection: C,
    close: impl Fn(Pin<&mut C>),
    activity: &Activity,
    limits: Limits,
    stop: CancellationToken,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = std::pin::pin!(connection);
    let mut seen = None;
    loop {
        tokio::select! {
            result = &mut connection => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = stop.cancelled() => break,
            () = tokio::time::sleep(limits.idle) => {
                let quiet = activity.quiet();
                if quiet.is_some() && quiet == seen {
                    break;
                }
                seen = quiet;
            }
        }
    }
    close(connection.as_mut());
    if tokio::time::timeout(limits.drain, connection).await.is_err() {
        tracing::debug!("connection cut: the peer did not let it be closed");
    }
}

/// What a client says first, at least one byte; `None` at its end.
async fn first_bytes<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Bytes> {
    /// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n` (RFC 9113 §3.4).
    const PREFACE_BYTES: usize = 24;
    let mut first = [0; PREFACE_BYTES];
    stream.read_exact(&mut first).await.ok()?;
    Some(Bytes::copy_from_slice(&first))
}

/// A stream some bytes of which were read already.
struct Prefixed<S> {
    first: Bytes,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
