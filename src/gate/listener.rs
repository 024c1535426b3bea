//! Sockets, the accept loop, and the end of it all.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::connection;
use super::identity::GateIdentity;
use super::metrics::GateMetrics;
use super::permit::{EveryValidClient, Policy};
use super::registry::{CutReason, Registry};
use super::roles::Judge;
use super::shared::{Limits, Shared};
use super::upstream::Upstream;
use crate::base::{Clock, Timestamp};
use crate::model::Enforced;
use crate::model::role::RolesInForce;
use crate::model::role::learn::Learner;

/// Connections the kernel keeps for us while we are busy.
const BACKLOG: u32 = 1024;
/// How long accepting rests after an error that will not go away at once (no descriptors, no memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The clock is looked at this often at least, for expiry: a clock may be moved.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// How long cut connections may take to go, at the very end.
const CUT_TIMEOUT: Duration = Duration::from_secs(2);

/// A place to listen.
#[derive(Debug)]
pub enum Listen {
    /// Bind it. Port 0 picks one; see [`Gate::addresses`].
    Address(SocketAddr),
    /// A listening socket that exists already (systemd socket activation, a test).
    Prepared(std::net::TcpListener),
}

/// What a gate needs to know.
#[derive(Debug)]
pub struct GateConfig {
    /// Where clients connect.
    pub listen: Vec<Listen>,
    /// dockerd's socket.
    pub upstream: PathBuf,
    /// Bounds.
    pub limits: Limits,
}

/// The gate cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Nothing to listen on.
    #[error("the gate has no address to listen on: set one, such as 0.0.0.0:2376")]
    NoAddress,
    /// The address.
    #[error("the gate cannot listen on {address}: {source}; is dockerd or another gate using it (ss -ltnp)?")]
    Address {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A socket that was handed over.
    #[error("the socket handed to the gate is of no use: {0}; check ListenStream= of the socket unit")]
    Prepared(io::Error),
}

/// A bound gate. Nothing is accepted before [`Gate::run`].
pub struct Gate {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

impl Gate {
    /// Binds every address, or none. Must be called inside a tokio runtime.
    ///
    /// `published` carries what is served: send a new [`GateIdentity`] to swap it; connections stand.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(
        config: GateConfig,
        published: watch::Receiver<Arc<GateIdentity>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BindError> {
        if config.listen.is_empty() {
            return Err(BindError::NoAddress);
        }
        let wildcards = wildcard_ports(&config.listen);
        let listeners: Vec<TcpListener> = config
            .listen
            .into_iter()
            .map(|place| open(place, &wildcards))
            .collect::<Result<_, _>>()?;
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>();
        Ok(Self {
            addresses: addresses.map_err(BindError::Prepared)?,
            listeners,
            shared: Arc::new(Shared {
                published,
                clock,
                policy: Arc::new(EveryValidClient),
                judge: Judge::new(Arc::new(RolesInForce::not_enforced())),
                enforced: Arc::new(Enforced::nothing()),
                upstream: Upstream::new(config.upstream),
                slots: Arc::new(Semaphore::new(config.limits.connections_max)),
                limits: config.limits,
                metrics: Arc::default(),
                registry: Arc::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
        })
    }

    /// Asks `policy` about every request, besides what the certificate says.
    #[must_use]
    pub fn with_policy(mut self, policy: Arc<dyn Policy>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("nothing runs before run()");
        shared.policy = policy;
        self
    }

    /// Holds every request against the roles of whoever sends it. Who publishes others calls [`Registry::cut_clients`]
    /// next with those that lost one.
    #[must_use]
    pub fn with_roles(mut self, roles: Arc<RolesInForce>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("nothing runs before run()");
        shared.judge = Judge::new(roles);
        self
    }

    /// Says to `learner` what clients ask for, whether or not it is allowed. Call it after [`Gate::with_roles`]. Bodies that
    /// rules could look at are read, up to their limit, even where no rule has to see them.
    #[must_use]
    pub fn with_learner(mut self, learner: Arc<Learner>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("nothing runs before run()");
        shared.judge.learning(learner);
        self
    }

    /// Refuses whom `enforced` says, besides what the certificate says. Who adds a revocation there calls
    /// [`Registry::cut_revoked`] next, so that open connections end at once.
    #[must_use]
    pub fn with_enforced(mut self, enforced: Arc<Enforced>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("nothing runs before run()");
        shared.enforced = enforced;
        self
    }

    /// Counts in `metrics`, whose open connections are this gate's from now on.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<GateMetrics>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("nothing runs before run()");
        metrics.look_at(&shared.registry);
        shared.metrics = metrics;
        self
    }

    /// Where it listens, with the ports that were picked.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The open connections, and the switch that ends them.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.shared.registry)
    }

    /// Serves until `shutdown` is cancelled, then drains: idle connections are closed, requests and tunnels
    /// get [`Limits::drain_timeout`], and what is left is cut.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut loops = JoinSet::new();
        let handshakes = Arc::new(Semaphore::new(self.shared.limits.handshakes_max));
        for listener in self.listeners {
            loops.spawn(accept(
                Arc::clone(&self.shared),
                listener,
                Arc::clone(&handshakes),
            ));
        }
        loops.spawn(sweep(Arc::clone(&self.shared)));
        shutdown.cancelled().await;
        loops.shutdown().await;
        drain(&self.shared).await;
    }
}

async fn drain(shared: &Shared) {
    shared.stopping.cancel();
    shared.tasks.close();
    if timeout(shared.limits.drain_timeout, shared.tasks.wait())
        .await
        .is_ok()
    {
        return;
    }
    let cut = shared.registry.cut_all(CutReason::Stopping);
    warn!(
        cut,
        "the drain is over: connections that were still busy were cut"
    );
    if timeout(CUT_TIMEOUT, shared.tasks.wait()).await.is_err() {
        warn!(
            left = shared.tasks.len(),
            "connections did not end after they were cut"
        );
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, handshakes: Arc<Semaphore>) {
    loop {
        let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        let (socket, remote) = persistently(|| listener.accept()).await;
        let serve = connection::serve(Arc::clone(&shared), socket, remote, handshake);
        shared.tasks.spawn(serve);
    }
}

/// The next connection. No error ends accepting: a client that left early is skipped, a machine out of
/// descriptors is given a moment.
async fn persistently<T, F: Future<Output = io::Result<T>>>(mut accept: impl FnMut() -> F) -> T {
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                warn!(%error, "accepting rests for a moment: raise the limit of open files if this repeats");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    )
}

/// Ends connections when their certificate runs out, when their root leaves the bundle, and when it can no longer be
/// known who was revoked.
async fn sweep(shared: Arc<Shared>) {
    let mut published = shared.published.clone();
    let mut publisher_lives = true;
    let mut was_stale = false;
    loop {
        let now = shared.clock.now();
        let next = shared.registry.cut_expired(now);
        // Whoever adds a revocation cuts at once; this finds what slipped in between.
        shared.registry.cut_revoked(&shared.enforced);
        let is_stale = shared.enforced.stale_since(now).is_some();
        // Once: who connects later is told why, request by request.
        if is_stale && !was_stale {
            let cut = shared.registry.cut_all(CutReason::Stale);
            warn!(
                cut,
                "the server was not heard of for too long: every remote client is refused"
            );
        }
        was_stale = is_stale;
        tokio::select! {
            () = sleep(until(next, now)) => {}
            changed = published.changed(), if publisher_lives => {
                publisher_lives = changed.is_ok();
                if publisher_lives {
                    adopt(&shared, &Arc::clone(&published.borrow_and_update()));
                }
            }
        }
    }
}

fn until(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = next.map_or(SWEEP_INTERVAL_MAX, |at| at.since(now));
    left.clamp(SWEEP_INTERVAL_MIN, SWEEP_INTERVAL_MAX)
}

fn adopt(shared: &Shared, identity: &Arc<GateIdentity>) {
    let cut = shared.registry.cut_untrusted(identity, shared.clock.now());
    info!(serial = %identity.serial(), not_after = %identity.host().not_after(), cut, "serving a new certificate");
}

/// Ports that IPv4 listens on for every address: an IPv6 listener for every address must then leave IPv4 alone.
fn wildcard_ports(listen: &[Listen]) -> Vec<u16> {
    let address = |place: &Listen| match place {
        Listen::Address(address) => Some(*address),
        Listen::Prepared(_) => None,
    };
    let wildcards = listen
        .iter()
        .filter_map(address)
        .filter(|a| a.ip() == IpAddr::from([0, 0, 0, 0]));
    wildcards.map(|a| a.port()).collect()
}

fn open(place: Listen, wildcards: &[u16]) -> Result<TcpListener, BindError> {
    match place {
        Listen::Address(address) => {
            bind(address, wildcards).map_err(|source| BindError::Address { address, source })
        }
        Listen::Prepared(socket) => socket
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(socket))
            .map_err(BindError::Prepared),
    }
}

fn bind(address: SocketAddr, wildcards: &[u16]) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() && wildcards.contains(&address.port()) {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_accept_error_ends_accepting() {
        const EMFILE: i32 = 24;
        let mut script = vec![
            Ok(7),
            Err(io::Error::from_raw_os_error(EMFILE)),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Err(io::Error::from_raw_os_error(EMFILE)),
        ];
        let accept = || std::future::ready(script.pop().expect("no more calls than outcomes"));
        let accepted = timeout(Duration::from_secs(5), persistently(accept)).await;
        assert!(matches!(accepted, Ok(7)));
    }

    #[test]
    fn only_an_ipv4_wildcard_on_the_same_port_narrows_an_ipv6_one() {
        let listen =
            ["0.0.0.0:2376", "127.0.0.1:2377", "[::]:2378"].map(|a| Listen::Address(a.parse().unwrap()));
        assert_eq!(wildcard_ports(&listen), [2376]);
    }

    #[test]
    fn the_clock_is_looked_at_soon_before_an_expiry_and_every_second_otherwise() {
        let now = Timestamp::from_secs(100);
        assert_eq!(until(None, now), SWEEP_INTERVAL_MAX);
        assert_eq!(until(Some(Timestamp::from_secs(9000)), now), SWEEP_INTERVAL_MAX);
        assert_eq!(
            until(Some(Timestamp::from_millis(100_250)), now),
            Duration::from_millis(250)
        );
        assert_eq!(until(Some(now), now), SWEEP_INTERVAL_MIN);
    }
}
