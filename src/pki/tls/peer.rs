//! The server's side: who may connect.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::provider;
use crate::base::Clock;
use crate::pki::chain::{self, ChainError, Purpose, SharedAnchors, VerifiedPeer};

/// Verifies client certificates against anchors that can be swapped, at our clock's time. Sends no list of
/// accepted CAs: some clients then send nothing at all when only their issuer is missing from the list.
pub struct PeerVerifier {
    anchors: SharedAnchors,
    accepts: Vec<Purpose>,
    mandatory: bool,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerVerifier")
            .field("anchors", &self.anchors.load())
            .field("accepts", &self.accepts)
            .field("mandatory", &self.mandatory)
            .finish_non_exhaustive()
    }
}

impl PeerVerifier {
    /// A handshake without a certificate fails.
    pub fn mandatory(anchors: SharedAnchors, accepts: &[Purpose], clock: Arc<dyn Clock>) -> Self {
        Self {
            anchors,
            accepts: accepts.to_vec(),
            mandatory: true,
            clock,
        }
    }

    /// A handshake without a certificate succeeds (routes decide); one with a bad certificate fails.
    pub fn optional(anchors: SharedAnchors, accepts: &[Purpose], clock: Arc<dyn Clock>) -> Self {
        Self {
            mandatory: false,
            ..Self::mandatory(anchors, accepts, clock)
        }
    }

    /// Verifies a chain, leaf first, for the accepted purposes in turn. Also after the handshake, on what
    /// `peer_certificates()` returns: anchors and time may have moved.
    ///
    /// # Errors
    /// The first cause that is not about the purpose.
    pub fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<VerifiedPeer, ChainError> {
        let (anchors, now) = (self.anchors.load(), self.clock.now());
        let mut refused = None;
        for purpose in &self.accepts {
            match chain::verify(chain, &anchors, *purpose, now) {
                Err(e @ ChainError::WrongPurpose { .. }) => {
                    refused.get_or_insert(e);
                }
                other => return other,
            }
        }
        Err(refused.unwrap_or(ChainError::Empty))
    }
}

fn collect<'a>(leaf: &CertificateDer<'a>, issuers: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
    std::iter::once(leaf).chain(issuers).cloned().collect()
}

/// The rustls error whose TLS alert tells the client most; our own words go to our own log.
fn alert(error: &ChainError) -> Error {
    use ChainError as C;
    Error::InvalidCertificate(match error {
        C::Expired { .. } => CertificateError::Expired,
        C::NotYetValid { .. } => CertificateError::NotValidYet,
        C::UnknownIssuer { .. } | C::SelfSigned { .. } | C::AnchorDates { .. } => {
            CertificateError::UnknownIssuer
        }
        C::WrongPurpose { .. } | C::IssuerPurpose { .. } | C::CaAsLeaf { .. } => {
            CertificateError::InvalidPurpose
        }
        C::BadSignature { .. } => CertificateError::BadSignature,
        C::Malformed { .. } => CertificateError::BadEncoding,
        C::Revoked { .. } => CertificateError::Revoked,
        other => CertificateError::Other(OtherError(Arc::new(other.clone()))),
    })
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.verify(&collect(end_entity, intermediates)) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(e) => Err(alert(&e)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Knows which certificates were revoked.
pub trait RevocationCheck: std::fmt::Debug + Send + Sync {
    /// Whether this peer's certificate was. Asked in the handshake: answer from memory.
    fn is_revoked(&self, peer: &VerifiedPeer) -> bool;
}

/// A verifier for one connection that remembers what it decided, so that the chain is verified once and
/// the peer used afterwards is the one that was verified.
#[derive(Debug)]
pub struct Recording {
    inner: Arc<PeerVerifier>,
    revoked: Option<Arc<dyn RevocationCheck>>,
    outcome: OnceLock<Result<VerifiedPeer, ChainError>>,
}

impl Recording {
    /// Around a shared verifier.
    pub fn new(inner: Arc<PeerVerifier>) -> Self {
        Self {
            inner,
            revoked: None,
            outcome: OnceLock::new(),
        }
    }

    /// The same, and who is revoked is told so in the handshake.
    #[must_use]
    pub fn refusing(self, revoked: Arc<dyn RevocationCheck>) -> Self {
        Self {
            revoked: Some(revoked),
            ..self
        }
    }

    fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<VerifiedPeer, ChainError> {
        let peer = self.inner.verify(chain)?;
        match &self.revoked {
            Some(revoked) if revoked.is_revoked(&peer) => Err(ChainError::Revoked {
                name: peer.name().to_string(),
                serial: peer.serial().clone(),
            }),
            _ => Ok(peer),
        }
    }

    /// What was decided; `None` while no certificate came. Trust it only once the handshake is complete:
    /// until then the peer has not proven that it holds the key.
    pub fn outcome(&self) -> Option<&Result<VerifiedPeer, ChainError>> {
        self.outcome.get()
    }
}

impl ClientCertVerifier for Recording {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let outcome = self.verify(&collect(end_entity, intermediates));
        let answer = outcome
            .as_ref()
            .map(|_| ClientCertVerified::assertion())
            .map_err(alert);
        // A connection carries one certificate; a second one would not be the peer that was verified.
        self.outcome
            .set(outcome)
            .map_err(|_| Error::General("a second client certificate on one connection".to_owned()))?;
        answer
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
