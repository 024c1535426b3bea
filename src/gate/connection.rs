//! One connection: handshake, registration, requests until one of the two sides is done.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use super::access::Record;
use super::denial::Denial;
use super::engine::Rest;
use super::framing::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::guarded::{Guarded, Signals};
use super::identity::GateIdentity;
use super::permit::Peer;
use super::proxy::Exchange;
use super::registry::{CutReason, Entered};
use super::shared::Shared;
use super::tunnel::ClientStream;
use crate::pki::chain::VerifiedPeer;
use crate::pki::tls::{ALPN_HTTP1, Fixed, Recording, handshake_failure, server_config};

/// hyper's buffer: a whole head and some body.
const BUFFER_BYTES_MAX: usize = HEAD_BYTES_MAX + 16 * 1024;
/// How long a connection that was refused or cut while idle may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// When a silent peer is probed, how often, and how many times before it counts as gone: streams have no
/// other timeout.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// Serves one accepted socket to its end. `handshake` is given back once the client is known.
pub async fn serve(
    shared: Arc<Shared>,
    socket: TcpStream,
    remote: SocketAddr,
    handshake: OwnedSemaphorePermit,
) {
    set_options(&socket);
    let identity = shared.identity();
    let accepted = tokio::select! {
        // Boxed, so that its state does not stay part of the connection's for as long as that is open.
        accepted = Box::pin(shake_hands(&shared, &identity, socket, remote)) => accepted,
        () = shared.stopping.cancelled() => return,
    };
    let Some((stream, verified, chain)) = accepted else {
        return;
    };
    drop(handshake);
    let Ok(slot) = Arc::clone(&shared.slots).try_acquire_owned() else {
        let limit = shared.limits.connections_max;
        warn!(%remote, identity = %verified.name(), limit, "connection refused: the gate is full");
        let denial = Denial::Busy { limit };
        shared.metrics.denied(&denial);
        return Box::pin(close_with(stream, &denial)).await;
    };
    let peer = Peer::new(verified, chain, identity);
    let connection = Arc::new(shared.registry.enter(peer, remote, shared.clock.now(), slot));
    // What was published during the handshake went through the registry before this connection was in it.
    if let Err(why) = connection
        .peer
        .is_trusted_by(&shared.identity(), shared.clock.now())
    {
        debug!(%remote, %why, "the roots changed during the handshake");
        connection.cut(CutReason::Untrusted);
    }
    if connection.peer.is_not_revoked(&shared.enforced).is_err() {
        connection.cut(CutReason::Revoked);
    }
    debug!(connection = connection.number, %remote, identity = %connection.peer.verified().name(), "connected");
    Box::pin(drive(&shared, stream, &connection)).await;
    if let Some(reason) = connection.reason() {
        info!(connection = connection.number, %remote, identity = %connection.peer.verified().name(),
            serial = %connection.peer.verified().serial(), %reason, "connection cut");
    }
}

fn set_options(socket: &TcpStream) {
    let done = socket.set_nodelay(true).and_then(|()| {
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
        Ok(sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?)
    });
    if let Err(error) = done {
        debug!(%error, "socket options were not set");
    }
}

type Accepted = (TlsStream<TcpStream>, VerifiedPeer, Vec<CertificateDer<'static>>);

/// Whether the peer ended the handshake by itself once it had seen our certificate, as the agent does to
/// learn which one is served: nothing to write down once a minute.
fn is_a_look(error: &std::io::Error) -> bool {
    let alert = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    matches!(
        alert,
        Some(rustls::Error::AlertReceived(
            rustls::AlertDescription::AccessDenied
        ))
    )
}

/// The handshake, with a verifier of its own so that what it decided about this client is what is used.
async fn shake_hands(
    shared: &Shared,
    identity: &GateIdentity,
    socket: TcpStream,
    remote: SocketAddr,
) -> Option<Accepted> {
    let recording = Recording::new(Arc::clone(&identity.verifier));
    let recording = Arc::new(recording.refusing(Arc::clone(&shared.enforced) as _));
    let shown = Arc::new(Fixed(Arc::clone(&identity.pair)));
    let config = server_config(shown, Arc::clone(&recording) as _, ALPN_HTTP1);
    let accept = TlsAcceptor::from(Arc::new(config)).accept(socket);
    let stream = match timeout(shared.limits.handshake_timeout, accept.into_fallible()).await {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, socket))) => {
            let refused = recording.outcome().and_then(|outcome| outcome.as_ref().err());
            match refused {
                Some(why) => info!(%remote, %why, "client refused"),
                None if is_a_look(&error) => debug!(%remote, "somebody looked at the certificate and left"),
                None => info!(%remote, %error, "handshake failed"),
            }
            if !is_a_look(&error) {
                shared
                    .metrics
                    .handshake_failed(handshake_failure(refused, &error));
            }
            let _ = timeout(CLOSE_TIMEOUT, let_read(socket)).await;
            return None;
        }
        Err(_) => {
            info!(%remote, "handshake took too long");
            shared.metrics.handshake_failed("timeout");
            return None;
        }
    };
    let chain = stream.get_ref().1.peer_certificates()?.to_vec();
    // INVARIANT: client authentication is mandatory, so a finished handshake has a verified peer.
    let verified = recording.outcome()?.as_ref().ok()?.clone();
    Some((stream, verified, chain))
}

/// Closes so that the client gets to read the alert: with TLS 1.3 its request is on the way already, and closing on
/// unread bytes would reset the connection under it.
async fn let_read(mut socket: TcpStream) -> std::io::Result<()> {
    socket.shutdown().await?;
    let mut dropped = [0; 1024];
    while socket.read(&mut dropped).await? > 0 {}
    Ok(())
}

/// Runs HTTP until the client is done, the gate stops, or the connection is cut.
async fn drive(shared: &Arc<Shared>, stream: TlsStream<TcpStream>, connection: &Arc<Entered>) {
    let signals = Arc::new(Signals::default());
    let exchange = Arc::new(Exchange {
        shared: Arc::clone(shared),
        connection: Arc::clone(connection),
        signals: Arc::clone(&signals),
        rest: Rest::default(),
    });
    let guarded = Guarded::new(stream, Arc::clone(&signals), shared.limits.head_timeout);
    let service = service_fn(move |request| Arc::clone(&exchange).answer(request));
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.idle_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(guarded), service)
        .with_upgrades();
    let mut stopping = false;
    let finished = loop {
        tokio::select! {
            biased;
            _ = connection.ended() => break None,
            () = shared.stopping.cancelled(), if !stopping => {
                stopping = true;
                Pin::new(&mut http).graceful_shutdown();
            }
            finished = &mut http => break Some(finished),
        }
    };
    if let Some(Err(error)) = &finished {
        debug!(connection = connection.number, %error, "connection broken off");
    }
    if finished.is_none() && !signals.is_busy() {
        // Nothing is being answered: an orderly end, after which clients simply connect again.
        Pin::new(&mut http).graceful_shutdown();
        if timeout(CLOSE_TIMEOUT, &mut http).await.is_ok() {
            return;
        }
    }
    let Some(parts) = http.into_parts() else {
        return;
    };
    let client: ClientStream = parts.io.into_inner();
    match (finished, client.refused()) {
        (None, _) => reset(&client),
        (Some(_), Some(refusal)) if !signals.is_busy() => {
            let denial = Denial::Framing(refusal);
            let mut record = Record::without_head(Arc::clone(connection), shared);
            record.set_denied(&denial);
            drop(record);
            Box::pin(close_with(client.into_inner(), &denial)).await;
        }
        _ => {}
    }
}

/// Ends the connection so that what was cut off cannot look complete.
fn reset(client: &ClientStream) {
    if let Err(error) = client.get_ref().get_ref().0.set_zero_linger() {
        debug!(%error, "a cut connection is closed without a reset");
    }
}

/// Says why, and closes so that the client gets to read it: closing on unread bytes would reset the
/// connection under the answer.
async fn close_with(mut stream: TlsStream<TcpStream>, denial: &Denial) {
    let closing = async {
        stream.write_all(&denial.raw_response()).await?;
        stream.shutdown().await?;
        let mut dropped = vec![0; 4096];
        while stream.read(&mut dropped).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, closing).await {
        debug!(%error, "the last answer was not taken");
    }
}
