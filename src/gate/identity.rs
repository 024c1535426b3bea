//! What the gate shows and whom it trusts: checked as a peer would check it, before anything can see it.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::base::Clock;
use crate::pki::Serial;
use crate::pki::chain::{self, Anchors, ChainError, Purpose, VerifiedPeer};
use crate::pki::tls::{KeyPairError, PeerVerifier, TlsIdentity};

/// Why a version of `current/` must not be served. The one served before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Key and certificate.
    #[error(transparent)]
    KeyPair(#[from] KeyPairError),
    /// A peer would refuse it.
    #[error("clients would refuse this host: {0}")]
    Chain(#[from] ChainError),
}

/// A host certificate with its key and the roots clients must lead to. [`GateIdentity::verify`] is the only
/// constructor: what can be published is what was verified.
pub struct GateIdentity {
    pub(super) pair: Arc<CertifiedKey>,
    pub(super) verifier: Arc<PeerVerifier>,
    anchors: Arc<Anchors>,
    host: VerifiedPeer,
}

impl std::fmt::Debug for GateIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "GateIdentity({}, serial {})",
            self.host.name(),
            self.host.serial()
        )
    }
}

impl GateIdentity {
    /// Checks that the key belongs to the leaf, and that the chain leads to an anchor, is made for
    /// serverAuth and is inside its dates.
    ///
    /// # Errors
    /// [`IdentityError`]; nothing is published.
    pub fn verify(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        anchors: Anchors,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, IdentityError> {
        let host = chain::verify(&chain, &anchors, Purpose::HostServer, clock.now())?;
        let pair = TlsIdentity::pair(chain, key)?;
        let verifier = PeerVerifier::mandatory(anchors.clone().shared(), &[Purpose::Client], clock);
        Ok(Arc::new(Self {
            pair,
            verifier: Arc::new(verifier),
            anchors: Arc::new(anchors),
            host,
        }))
    }

    /// The serial number that handshakes show.
    pub fn serial(&self) -> &Serial {
        self.host.serial()
    }

    /// The host certificate's verified facts.
    pub fn host(&self) -> &VerifiedPeer {
        &self.host
    }

    /// The roots clients must lead to.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}
