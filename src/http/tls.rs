//! Who may connect over TLS: anybody without a certificate, identities of ours with theirs, and hosts whose
//! leaf expired a short while ago, which are good for a renewal and nothing else.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::base::{Clock, Timestamp};
use crate::pki::Certificate;
use crate::pki::chain::{self, ChainError, Purpose, SharedAnchors, VerifiedPeer};
use crate::pki::tls::PeerVerifier;
use crate::service::Peer;

/// How long after the end of its leaf a peer may still come to renew it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grace {
    /// For hosts.
    pub host: Duration,
    /// For clients.
    pub client: Duration,
}

/// What every connection's verifier shares.
#[derive(Debug)]
pub(super) struct Admission {
    inner: PeerVerifier,
    anchors: SharedAnchors,
    grace: Grace,
}

impl Admission {
    pub(super) fn new(anchors: SharedAnchors, grace: Grace, clock: Arc<dyn Clock>) -> Self {
        let accepts = [Purpose::Client, Purpose::HostServer];
        Self {
            inner: PeerVerifier::optional(Arc::clone(&anchors), &accepts, clock),
            anchors,
            grace,
        }
    }

    /// Verifies a chain now; or, when its leaf has expired, as of its last moment. Who comes in that way is
    /// not valid now: `VerifiedPeer::is_valid_at` says so, and everything but renewal asks it.
    fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<VerifiedPeer, ChainError> {
        match self.inner.verify(chain) {
            Err(expired @ ChainError::Expired { .. }) => self.verify_late(chain, now).ok_or(expired),
            other => other,
        }
    }

    fn verify_late(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<VerifiedPeer> {
        let end = Certificate::parse(chain.first()?).ok()?.not_after;
        let late = now.trunc_secs().since(end);
        let anchors = self.anchors.load();
        [
            (Purpose::Client, self.grace.client),
            (Purpose::HostServer, self.grace.host),
        ]
        .into_iter()
        .filter(|(_, grace)| end <= now && late <= *grace)
        .find_map(|(purpose, _)| chain::verify(chain, &anchors, purpose, end).ok())
    }
}

/// The verifier of one connection: remembers whom it let in.
#[derive(Debug)]
pub(super) struct Verifier {
    admission: Arc<Admission>,
    /// Whose certificates are asked for. Browsers offer their person only what leads there, and send what lies between.
    roots: Vec<DistinguishedName>,
    now: Timestamp,
    outcome: OnceLock<Result<Peer, ChainError>>,
}

impl Verifier {
    pub(super) fn new(admission: Arc<Admission>, now: Timestamp) -> Self {
        let anchors = admission.anchors.load();
        let roots = anchors.subjects().map(DistinguishedName::in_sequence).collect();
        Self {
            admission,
            roots,
            now,
            outcome: OnceLock::new(),
        }
    }

    /// Whom it let in, or why not; `None` when no certificate came. To be trusted once the handshake is
    /// complete: only then the peer has proven that it holds the key.
    pub(super) fn outcome(&self) -> Option<&Result<Peer, ChainError>> {
        self.outcome.get()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.roots
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .cloned()
            .collect();
        let outcome = self.admission.verify(&chain, self.now);
        // INVARIANT: the leaf is index 0 of the verified chain, and nothing else is anybody's identity.
        let outcome = outcome.map(|verified| Peer {
            verified,
            leaf: end_entity.to_vec(),
        });
        let answer = match outcome {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            // Says it again in the words of TLS.
            Err(_) => self
                .admission
                .inner
                .verify_client_cert(end_entity, intermediates, now),
        };
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
        self.admission.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.admission.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.admission.inner.supported_verify_schemes()
    }
}
