//! Every open connection by the certificate that opened it, and the switch that ends it: tunnels and streams
//! included. The reason is kept for the log.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::identity::GateIdentity;
use super::permit::Peer;
use crate::base::Timestamp;
use crate::model::{Enforced, kind_of};
use crate::pki::chain::CertificateId;

/// Why a connection was ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutReason {
    /// A certificate of its chain ran out.
    #[error("the client's certificate expired")]
    Expired,
    /// Its root left the bundle.
    #[error("the client's root is no longer trusted")]
    Untrusted,
    /// The certificate was revoked.
    #[error("the client's certificate was revoked")]
    Revoked,
    /// The client lost a role, or one of its roles was changed.
    #[error("the client's roles were changed")]
    Role,
    /// The server was not heard of for too long, so nobody knows who is revoked.
    #[error("the server was not heard of for too long")]
    Stale,
    /// The gate stops and the drain is over.
    #[error("the gate is stopping")]
    Stopping,
}

/// One open connection.
pub struct Connection {
    /// A number for the log; never reused while the process lives.
    pub number: u64,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// When it was opened.
    pub opened: Timestamp,
    /// Who is at the other end.
    pub peer: Peer,
    cut: CancellationToken,
    reason: OnceLock<CutReason>,
}

impl Connection {
    /// Ends it, once. Returns whether this call did.
    pub fn cut(&self, reason: CutReason) -> bool {
        let first = self.reason.set(reason).is_ok();
        self.cut.cancel();
        first
    }

    /// Completes when it must end.
    pub async fn ended(&self) -> CutReason {
        self.cut.cancelled().await;
        self.reason.get().copied().unwrap_or(CutReason::Stopping)
    }

    /// Why it was ended, if it was.
    pub fn reason(&self) -> Option<CutReason> {
        self.reason.get().copied()
    }

    fn certificate(&self) -> &CertificateId {
        self.peer.verified().id()
    }
}

/// The open connections. Cheap to share; every method locks for as long as it takes to walk a map.
#[derive(Default)]
pub struct Registry {
    open: Mutex<HashMap<CertificateId, Vec<Arc<Connection>>>>,
    opened: AtomicU64,
}

impl Registry {
    /// Enters a connection; dropping the returned guard takes it out again.
    /// `slot` is what it counts against; it is given back with it.
    pub fn enter(
        self: &Arc<Self>,
        peer: Peer,
        remote: SocketAddr,
        now: Timestamp,
        slot: OwnedSemaphorePermit,
    ) -> Entered {
        let connection = Arc::new(Connection {
            number: self.opened.fetch_add(1, Ordering::Relaxed),
            remote,
            opened: now,
            peer,
            cut: CancellationToken::new(),
            reason: OnceLock::new(),
        });
        let of_certificate = connection.certificate().clone();
        let mut open = self.lock();
        open.entry(of_certificate)
            .or_default()
            .push(Arc::clone(&connection));
        Entered {
            registry: Arc::clone(self),
            connection,
            _slot: slot,
        }
    }

    /// How many connections are open, tunnels included.
    pub fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The open connections of one certificate.
    pub fn of(&self, certificate: &CertificateId) -> Vec<Arc<Connection>> {
        self.lock().get(certificate).cloned().unwrap_or_default()
    }

    /// Every open connection.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.lock().values().flatten().cloned().collect()
    }

    /// Ends every connection of one certificate. Returns how many this call ended.
    pub fn cut(&self, certificate: &CertificateId, reason: CutReason) -> usize {
        self.of(certificate).iter().filter(|c| c.cut(reason)).count()
    }

    /// Ends every connection of these clients. Returns how many this call ended.
    pub fn cut_clients(&self, names: &BTreeSet<String>, reason: CutReason) -> usize {
        let all = self.all().into_iter();
        let theirs = all.filter(|c| names.contains(c.peer.verified().name().as_str()));
        theirs.filter(|c| c.cut(reason)).count()
    }

    /// Ends every connection.
    pub fn cut_all(&self, reason: CutReason) -> usize {
        self.all().iter().filter(|c| c.cut(reason)).count()
    }

    /// Ends the connections whose chain ran out, and says when the next one will.
    pub fn cut_expired(&self, now: Timestamp) -> Option<Timestamp> {
        let (over, rest): (Vec<_>, Vec<_>) = self
            .all()
            .into_iter()
            .partition(|c| c.peer.verified().valid_until() <= now);
        for connection in over {
            connection.cut(CutReason::Expired);
        }
        rest.iter().map(|c| c.peer.verified().valid_until()).min()
    }

    /// Ends the connections whose certificate is revoked by now. Returns how many this call ended.
    pub fn cut_revoked(&self, enforced: &Enforced) -> usize {
        let revoked = |connection: &Arc<Connection>| {
            let peer = connection.peer.verified();
            enforced.is_revoked(kind_of(peer), peer.serial())
        };
        let all = self.all().into_iter().filter(revoked);
        all.filter(|c| c.cut(CutReason::Revoked)).count()
    }

    /// Ends the connections whose chain does not lead to the anchors of `identity`.
    pub fn cut_untrusted(&self, identity: &Arc<GateIdentity>, now: Timestamp) -> usize {
        let untrusted = |c: &Arc<Connection>| c.peer.is_trusted_by(identity, now).is_err();
        let all = self.all().into_iter().filter(untrusted);
        all.filter(|c| c.cut(CutReason::Untrusted)).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CertificateId, Vec<Arc<Connection>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection in the registry. Shared by the connection and its tunnel: it leaves with the last.
pub struct Entered {
    registry: Arc<Registry>,
    connection: Arc<Connection>,
    _slot: OwnedSemaphorePermit,
}

impl std::ops::Deref for Entered {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        let certificate = self.connection.certificate();
        if let Some(connections) = open.get_mut(certificate) {
            connections.retain(|c| !Arc::ptr_eq(c, &self.connection));
            if connections.is_empty() {
                open.remove(certificate);
            }
        }
    }
}
