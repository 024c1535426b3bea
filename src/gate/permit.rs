//! `Peer -> Permit`: the one place where a request is allowed. Nothing is forwarded without a [`Permit`], and
//! [`Peer::permit`] is its only constructor; revocation and roles come in here, as a [`Policy`].

use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;

use super::denial::Denial;
use super::identity::GateIdentity;
use super::rules::Facts;
use crate::base::Timestamp;
use crate::model::{Enforced, kind_of};
use crate::pki::chain::{self, ChainError, Purpose, VerifiedPeer};

/// What else a request needs besides a valid certificate. Asked once per request, on the request's own
/// task: answer from memory.
pub trait Policy: Send + Sync + 'static {
    /// Whether `peer` may do what `request` says.
    ///
    /// # Errors
    /// [`Denial::Policy`], in words that say what is allowed and whom to ask.
    fn decide(&self, peer: &VerifiedPeer, request: &Facts) -> Result<(), Denial>;
}

/// Every client with a valid certificate may do everything: what the Engine itself does with `--tlsverify`.
#[derive(Clone, Copy, Debug, Default)]
pub struct EveryValidClient;

impl Policy for EveryValidClient {
    fn decide(&self, _peer: &VerifiedPeer, _request: &Facts) -> Result<(), Denial> {
        Ok(())
    }
}

/// The client at the other end of a connection: verified at the handshake, and re-verified whenever what it
/// was verified against is no longer what is published.
pub struct Peer {
    verified: VerifiedPeer,
    chain: Vec<CertificateDer<'static>>,
    against: Mutex<Arc<GateIdentity>>,
}

impl Peer {
    /// After a handshake with `identity` in which `verified` was found for `chain`.
    pub fn new(
        verified: VerifiedPeer,
        chain: Vec<CertificateDer<'static>>,
        identity: Arc<GateIdentity>,
    ) -> Self {
        Self {
            verified,
            chain,
            against: Mutex::new(identity),
        }
    }

    /// Who it is.
    pub fn verified(&self) -> &VerifiedPeer {
        &self.verified
    }

    /// Whether its chain leads to the anchors of `identity`; free when they are the ones it was verified
    /// against last.
    ///
    /// # Errors
    /// Why it does not.
    pub fn is_trusted_by(&self, identity: &Arc<GateIdentity>, now: Timestamp) -> Result<(), ChainError> {
        let mut against = self.against.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&against, identity) {
            return Ok(());
        }
        if against.anchors() != identity.anchors() {
            chain::verify(&self.chain, identity.anchors(), Purpose::Client, now)?;
        }
        *against = Arc::clone(identity);
        Ok(())
    }

    /// Whether its certificate is not known to be revoked.
    ///
    /// # Errors
    /// [`ChainError::Revoked`].
    pub fn is_not_revoked(&self, enforced: &Enforced) -> Result<(), ChainError> {
        is_not_revoked(&self.verified, enforced)
    }

    /// Decides about one request.
    ///
    /// # Errors
    /// The denial to answer with.
    pub fn permit(
        &self,
        identity: &Arc<GateIdentity>,
        enforced: &Enforced,
        policy: &dyn Policy,
        facts: Facts,
        now: Timestamp,
    ) -> Result<Permit, Denial> {
        let dates = self.verified.check_dates(now);
        dates
            .and_then(|()| self.is_trusted_by(identity, now))
            .map_err(Denial::Certificate)?;
        is_welcome(&self.verified, enforced, now)?;
        policy.decide(&self.verified, &facts)?;
        Ok(Permit { facts })
    }
}

fn is_not_revoked(peer: &VerifiedPeer, enforced: &Enforced) -> Result<(), ChainError> {
    match enforced.is_revoked(kind_of(peer), peer.serial()) {
        false => Ok(()),
        true => Err(ChainError::Revoked {
            name: peer.name().to_string(),
            serial: peer.serial().clone(),
        }),
    }
}

/// Whether a client whose certificate is good is let in, by what is known of revocations, and by how old that is.
///
/// # Errors
/// [`Denial::Certificate`] when it was revoked, [`Denial::Stale`] when nobody can know.
pub fn is_welcome(peer: &VerifiedPeer, enforced: &Enforced, now: Timestamp) -> Result<(), Denial> {
    is_not_revoked(peer, enforced).map_err(Denial::Certificate)?;
    match enforced.stale_since(now) {
        Some(_) => Err(Denial::Stale {
            contact: enforced.contact(),
        }),
        None => Ok(()),
    }
}

/// Leave to pass one request on.
#[derive(Debug)]
pub struct Permit {
    facts: Facts,
}

impl Permit {
    /// What may be passed on.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}
