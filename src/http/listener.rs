//! The accept loops. A connection that dawdles holds up nobody but itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, ConnectionInfo, Limits};
use super::tls::{Admission, Grace, Verifier};
use crate::base::Clock;
use crate::base::limits::PLAIN_CONNECTIONS_MAX;
use crate::base::metrics::{Counters, Page, Registry};
use crate::pki::Certificate;
use crate::pki::chain::SharedAnchors;
use crate::pki::tls::{ALPN_HTTP2, HANDSHAKE_FAILURES, TlsIdentity, handshake_failure, server_config};

/// How long to wait when the system cannot give us another connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the HTTPS listener needs.
#[derive(Clone)]
pub struct Tls {
    identity: Arc<TlsIdentity>,
    admission: Arc<Admission>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    router: Router,
    failures: Arc<Counters>,
}

impl Tls {
    /// Shows `identity`, lets in peers under `anchors`, and for a renewal also those whose leaf expired within `grace`.
    pub fn new(
        router: Router,
        identity: Arc<TlsIdentity>,
        anchors: SharedAnchors,
        grace: Grace,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let admission = Arc::new(Admission::new(anchors, grace, Arc::clone(&clock)));
        Self {
            identity,
            admission,
            clock,
            limits: Limits::default(),
            router,
            failures: Counters::new(
                "dockwarden_handshake_failures_total",
                "TLS handshakes with this server that came to nothing since the start, by cause.",
                &["cause"],
                HANDSHAKE_FAILURES.map(|cause| vec![cause]),
            ),
        }
    }

    /// Adds what it knows to the server's metrics.
    #[must_use]
    pub fn seen_by(self, registry: &Registry) -> Self {
        registry.add(self.failures.clone());
        let identity = Arc::clone(&self.identity);
        registry.add(Arc::new(move |page: &mut Page| own_end(page, &identity)));
        self
    }

    /// With other bounds than the usual ones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    async fn serve(self, accepted: Accepted, stop: CancellationToken) {
        let Accepted { stream, from, turn } = accepted;
        let verifier = Arc::new(Verifier::new(Arc::clone(&self.admission), self.clock.now()));
        let config = server_config(self.identity, Arc::clone(&verifier) as _, ALPN_HTTP2);
        let handshake = TlsAcceptor::from(Arc::new(config)).accept(stream);
        let handshake = in_turn(handshake, turn, self.limits.turn);
        let stream = match tokio::time::timeout(self.limits.handshake, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let refused = verifier.outcome().and_then(|outcome| outcome.as_ref().err());
                match refused {
                    Some(why) => tracing::info!(%from, %why, "client certificate refused"),
                    None => tracing::debug!(%from, %error, "TLS handshake failed"),
                }
                return self.failures.count(&[handshake_failure(refused, &error)]);
            }
            Err(_) => {
                tracing::debug!(%from, "TLS handshake took too long");
                return self.failures.count(&["timeout"]);
            }
        };
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let peer = verifier
            .outcome()
            .and_then(|outcome| outcome.as_ref().ok())
            .cloned();
        let info = ConnectionInfo {
            source: Some(from.ip().to_canonical()),
            peer,
        };
        connection::serve(stream, h2, self.router, info, self.limits, stop).await;
    }
}

fn own_end(page: &mut Page, identity: &TlsIdentity) {
    let shown = identity.current();
    let leaf = shown.cert.first().and_then(|leaf| Certificate::parse(leaf).ok());
    let mut family = page.gauge(
        "dockwarden_server_certificate_not_after_seconds",
        "When the certificate ends that this server shows, seconds since 1970.",
    );
    if let Some(leaf) = leaf {
        family.time(&[], leaf.not_after);
    }
}

/// A handshake that holds its turn until it is over, or has had its share of time: who says nothing keeps nobody out.
async fn in_turn<F: Future>(handshake: F, turn: OwnedSemaphorePermit, share: Duration) -> F::Output {
    let mut handshake = std::pin::pin!(handshake);
    match tokio::time::timeout(share, &mut handshake).await {
        Ok(done) => done,
        Err(_) => {
            drop(turn);
            handshake.await
        }
    }
}

/// Serves HTTPS until `stop`, then drains.
pub async fn serve_tls(listener: TcpListener, tls: Tls, stop: CancellationToken) {
    let limits = tls.limits;
    let serve = |accepted, stop| tls.clone().serve(accepted, stop);
    accept(listener, limits, stop, serve).await;
}

/// What the plain listener needs.
#[derive(Clone)]
pub struct Plain {
    limits: Limits,
    router: Router,
}

impl Plain {
    /// Serves `router`.
    pub fn new(router: Router) -> Self {
        Self {
            limits: Limits {
                connections_max: PLAIN_CONNECTIONS_MAX,
                ..Limits::default()
            },
            router,
        }
    }
}

/// Serves plain HTTP/1.1 until `stop`, then drains.
pub async fn serve_plain(listener: TcpListener, plain: Plain, stop: CancellationToken) {
    let limits = plain.limits;
    let serve = |accepted: Accepted, stop| {
        let info = ConnectionInfo {
            source: Some(accepted.from.ip().to_canonical()),
            peer: None,
        };
        connection::serve(accepted.stream, false, plain.router.clone(), info, limits, stop)
    };
    accept(listener, limits, stop, serve).await;
}

/// A connection, before its handshake.
struct Accepted {
    stream: TcpStream,
    from: SocketAddr,
    /// Held until the handshake is over, or [`Limits::turn`].
    turn: OwnedSemaphorePermit,
}

/// Accepts, one task per connection, as many as the limits allow. When a fleet comes back at once, the handshakes that
/// were begun are finished before more are: begun all together, they would all run out of time together.
async fn accept<F, S>(listener: TcpListener, limits: Limits, stop: CancellationToken, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(Accepted, CancellationToken) -> F,
{
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let turns = Arc::new(Semaphore::new(limits.handshakes_max));
    let connections = TaskTracker::new();
    while let Some((accepted, permit)) = next(&listener, &permits, &turns, &stop).await {
        let serving = serve(accepted, stop.clone());
        connections.spawn(async move {
            serving.await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    // Each connection cuts itself off after its drain; the handshakes among them time out as well.
    let longest = limits.drain + limits.handshake + limits.header;
    if tokio::time::timeout(longest, connections.wait()).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "connections were still open at the end of the drain"
        );
    }
}

async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    turns: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(Accepted, OwnedSemaphorePermit)> {
    let both = async {
        let permit = Arc::clone(permits).acquire_owned().await;
        (permit, Arc::clone(turns).acquire_owned().await)
    };
    let (permit, turn) = tokio::select! {
        (permit, turn) = both => (
            permit.expect("the semaphore is never closed"),
            turn.expect("the semaphore is never closed"),
        ),
        () = stop.cancelled() => return None,
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok((stream, from)) => {
                // Small answers go out at once; a failure here shows again on the first write.
                let _ = stream.set_nodelay(true);
                return Some((Accepted { stream, from, turn }, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
