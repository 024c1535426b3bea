//! Who calls, and what they may do. A use case takes an [`Authorized`] value of the level it needs, and
//! only this file makes one, from the store's own record of the caller: a handler that forgot to ask
//! does not compile.

use std::marker::PhantomData;
use std::net::IpAddr;

use super::{Service, ServiceError};
use crate::base::Timestamp;
use crate::model::audit::Actor;
use crate::model::{Certificate, CertificateStatus, Identity, IdentityKind, Permission, Session};
use crate::pki::Serial;
use crate::pki::chain::{Purpose, VerifiedPeer};

/// What a TLS peer proved: the chain of its leaf (index 0), and the leaf itself.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The verified chain's leaf: name, serial, dates.
    pub verified: VerifiedPeer,
    /// The leaf, DER.
    pub leaf: Vec<u8>,
}

/// Why a caller was turned away.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The certificate is not accepted; the text says why and what to do.
    #[error("certificate {serial} of {name} is not accepted: {why}")]
    Refused {
        /// Short serial.
        serial: String,
        /// The name in the certificate.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Known and valid, but not allowed this.
    #[error("{name} may not do this: it needs {needs}; ask an admin")]
    Forbidden {
        /// Who.
        name: String,
        /// What is needed.
        needs: &'static str,
    },
    /// The store could not be asked.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// An identity that the store knows, holding a certificate that the store knows and did not revoke.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Identity,
    certificate: Certificate,
    source: Option<IpAddr>,
}

/// Levels of access. Sealed: the list below is all there is.
pub trait Level: sealed::Sealed + Send + Sync + 'static {
    /// What is needed, for the refusal.
    const NEEDS: &'static str;
    /// Whether an identity reaches it.
    fn reached_by(identity: &Identity) -> bool;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! level {
    ($(#[$doc:meta])* $name:ident, $needs:literal, $identity:ident => $reached:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl sealed::Sealed for $name {}
        impl Level for $name {
            const NEEDS: &'static str = $needs;
            fn reached_by($identity: &Identity) -> bool {
                $reached
            }
        }
    };
}

level!(
    /// Any identity with a valid certificate.
    Anyone, "a valid certificate", _identity => true
);
level!(
    /// A host, about itself.
    HostItself, "the certificate of a host", identity => identity.kind == IdentityKind::Host
);
level!(
    /// A client that may read.
    Viewer, "permission viewer", identity => has(identity, Permission::Viewer)
);
level!(
    /// A client that may approve, revoke and make tokens.
    Operator, "permission operator", identity => has(identity, Permission::Operator)
);
level!(
    /// A client that may do everything.
    Admin, "permission admin", identity => has(identity, Permission::Admin)
);

/// A host never has a permission, whatever its row says.
fn has(identity: &Identity, needed: Permission) -> bool {
    identity.kind == IdentityKind::Client && identity.permission.is_some_and(|p| p >= needed)
}

/// Proof that the caller reached level `L`.
#[derive(Clone, Debug)]
pub struct Authorized<L> {
    caller: Caller,
    level: PhantomData<L>,
}

impl<L: Level> Authorized<L> {
    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.caller.identity
    }

    /// The certificate it showed.
    pub fn certificate(&self) -> &Certificate {
        &self.caller.certificate
    }

    /// Where the call came from.
    pub fn source(&self) -> Option<IpAddr> {
        self.caller.source
    }

    /// Who it is, for the audit log.
    pub fn actor(&self) -> Actor {
        let name = self.caller.identity.name.to_string();
        match self.caller.identity.kind {
            IdentityKind::Host => Actor::Host(name),
            IdentityKind::Client => Actor::Client(name),
        }
    }

    /// The same caller at another level, if it reaches that one too.
    pub fn also<M: Level>(&self) -> Option<Authorized<M>> {
        self.reaches::<M>().then(|| Authorized {
            caller: self.caller.clone(),
            level: PhantomData,
        })
    }

    /// The same caller at the level that everybody reaches.
    pub fn anyone(&self) -> Authorized<Anyone> {
        Authorized {
            caller: self.caller.clone(),
            level: PhantomData,
        }
    }

    /// Whether it also reaches level `M`.
    pub fn reaches<M: Level>(&self) -> bool {
        M::reached_by(&self.caller.identity)
    }
}

impl Caller {
    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The serial of the certificate that speaks.
    pub fn serial(&self) -> &Serial {
        &self.certificate.serial
    }

    /// Grants level `L`, or says what is missing.
    pub fn authorize<L: Level>(self) -> Result<Authorized<L>, AccessError> {
        if L::reached_by(&self.identity) {
            Ok(Authorized {
                caller: self,
                level: PhantomData,
            })
        } else {
            Err(AccessError::Forbidden {
                name: self.identity.name.to_string(),
                needs: L::NEEDS,
            })
        }
    }
}

/// The proof of identity that a renewal needs: the own leaf, unrevoked, valid or inside the grace.
#[derive(Clone, Debug)]
pub struct Renewer(Caller);

impl Renewer {
    /// Whose certificate is renewed.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The certificate that authenticates the renewal.
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Where the call came from.
    pub fn source(&self) -> Option<IpAddr> {
        self.0.source
    }
}

impl Service {
    /// Who the peer is now: asked of the store on every request, because a certificate may have been
    /// revoked or have run out since the handshake.
    pub async fn identify(&self, peer: &Peer, source: Option<IpAddr>) -> Result<Caller, AccessError> {
        let now = self.clock.now();
        if !peer.verified.is_valid_at(now) {
            return Err(refused(peer, "it has expired: renew it, or enrol again"));
        }
        let caller = self.known(peer, source).await?;
        match caller.certificate.status(now) {
            CertificateStatus::Valid | CertificateStatus::Superseded => Ok(caller),
            CertificateStatus::Revoked => Err(refused(peer, REVOKED)),
            CertificateStatus::Expired => Err(refused(peer, "it has expired: renew it, or enrol again")),
        }
    }

    /// As [`Service::identify`], and also an expired leaf inside its profile's grace.
    pub async fn identify_for_renewal(
        &self,
        peer: &Peer,
        source: Option<IpAddr>,
    ) -> Result<Renewer, AccessError> {
        let now = self.clock.now();
        let caller = self.known(peer, source).await?;
        if caller.certificate.revoked_at.is_some() {
            return Err(refused(peer, REVOKED));
        }
        let grace = self.profile(caller.identity.kind).renew_grace;
        if now.trunc_secs() > last_moment(&caller.certificate, grace) {
            return Err(refused(
                peer,
                "it expired longer ago than its profile's renew_grace: enrol again with a new join token",
            ));
        }
        Ok(Renewer(caller))
    }

    /// The store's record of the peer. What the certificate says must be what the record says, byte for
    /// byte; anything else is not one of ours, whoever signed it.
    async fn known(&self, peer: &Peer, source: Option<IpAddr>) -> Result<Caller, AccessError> {
        let store = |e| AccessError::Service(ServiceError::from(e));
        let record = self.store.holder(peer.verified.serial()).await.map_err(store)?;
        let purpose = match peer.verified.purpose() {
            Purpose::HostServer => IdentityKind::Host,
            Purpose::Client => IdentityKind::Client,
        };
        let matches = |(identity, certificate): &(Identity, Certificate)| {
            certificate.der == peer.leaf && certificate.kind == purpose && identity.kind == purpose
        };
        let Some((identity, certificate)) = record.filter(matches) else {
            return Err(refused(peer, "this server does not know it: enrol again"));
        };
        Ok(Caller {
            identity,
            certificate,
            source,
        })
    }
}

impl Service {
    /// Who a session stands for, as their certificate and identity are now.
    pub(super) async fn holder(
        &self,
        session: &Session,
        source: Option<IpAddr>,
    ) -> Result<Caller, AccessError> {
        let store = |e| AccessError::Service(ServiceError::from(e));
        let refused = |why| AccessError::Refused {
            serial: session.serial.short(),
            name: session.name.to_string(),
            why,
        };
        let certificate = self.store.certificate(&session.serial).await.map_err(store)?;
        let certificate =
            certificate.filter(|c| c.identity == session.identity && c.kind == IdentityKind::Client);
        let certificate = certificate.ok_or_else(|| refused("this server does not know it any more"))?;
        match certificate.status(self.clock.now()) {
            CertificateStatus::Valid | CertificateStatus::Superseded => {}
            CertificateStatus::Revoked => {
                return Err(refused("it was revoked, and its sessions ended with it"));
            }
            CertificateStatus::Expired => {
                return Err(refused("it has expired, and its sessions ended with it"));
            }
        }
        let identity = self.store.identity_by_id(session.identity).await.map_err(store)?;
        let identity = identity.ok_or_else(|| refused("its identity was removed: enrol again"))?;
        Ok(Caller {
            identity,
            certificate,
            source,
        })
    }
}

const REVOKED: &str = "it was revoked; if that was a mistake, enrol again with a new join token";

fn last_moment(certificate: &Certificate, grace: std::time::Duration) -> Timestamp {
    certificate.not_after + grace
}

fn refused(peer: &Peer, why: &'static str) -> AccessError {
    AccessError::Refused {
        serial: peer.verified.serial().short(),
        name: peer.verified.name().to_string(),
        why,
    }
}
