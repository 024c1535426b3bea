//! The client's side: which servers are ours. By anchors once enrolled; by pin before that.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::provider;
use crate::base::{Clock, encoding};
use crate::pki::chain::{self, Anchors, CHAIN_CERTS_MAX, ChainError, SharedAnchors};

/// What makes a server one of ours.
pub enum ServerTrust {
    /// Its chain leads to one of these roots, its leaf says serverAuth and carries the dialled name.
    Anchors(SharedAnchors),
    /// The same, with the roots taken from what it presents: those whose key is pinned.
    Pins(Pins),
}

/// SHA-256 of the SubjectPublicKeyInfo of each root that may be at the end of a server's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins(pub Vec<[u8; 32]>);

impl Pins {
    /// The presented certificates whose key is pinned and that are CA certificates, ready to be trusted.
    /// `None` when there is none.
    pub fn anchors_in(&self, chain: &[CertificateDer<'_>]) -> Option<Anchors> {
        let pinned = chain
            .iter()
            .take(CHAIN_CERTS_MAX)
            .filter(|der| spki_sha256(der).is_some_and(|presented| self.0.contains(&presented)));
        Anchors::parse(pinned).ok()
    }
}

/// The CA at the end of what a server presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedCa {
    /// Its common name, or its whole subject.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
}

/// The server is not the one that was pinned. Nothing was sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinMismatch {
    /// What its chain ends in; `None` when no certificate could be read.
    pub presented: Option<PresentedCa>,
    /// What was expected.
    pub pins: Vec<[u8; 32]>,
}

impl fmt::Display for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pins: Vec<String> = self.pins.iter().map(short).collect();
        match &self.presented {
            Some(ca) => write!(f, "its chain ends in {} (CN={})", short(&ca.spki_sha256), ca.name)?,
            None => f.write_str("it presented no certificate that can be read")?,
        }
        write!(
            f,
            ", the token expects {}; is there a TLS-inspecting proxy in between?",
            pins.join(" or ")
        )
    }
}

impl std::error::Error for PinMismatch {}

fn short(pin: &[u8; 32]) -> String {
    format!("{}…", encoding::hex(&pin[..8]))
}

/// The verifier for `trust`.
pub(super) fn verifier(trust: ServerTrust, clock: Arc<dyn Clock>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(ServerVerifier { trust, clock })
}

struct ServerVerifier {
    trust: ServerTrust,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trust {
            ServerTrust::Anchors(anchors) => f.debug_tuple("Anchors").field(&anchors.load()).finish(),
            ServerTrust::Pins(pins) => f.debug_tuple("Pins").field(&pins.0.len()).finish(),
        }
    }
}

fn refused(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(cause))))
}

impl ServerVerifier {
    fn verify_pinned(
        &self,
        pins: &Pins,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let mismatch = || {
            refused(PinMismatch {
                presented: last_of(chain),
                pins: pins.0.clone(),
            })
        };
        let anchors = pins.anchors_in(chain).ok_or_else(mismatch)?;
        // The pinned root is public: anybody can send it along. Only a path to it proves anything.
        chain::verify_server(chain, &anchors, name, self.clock.now()).map_err(|e| match e {
            ChainError::UnknownIssuer { .. }
            | ChainError::SelfSigned { .. }
            | ChainError::BadSignature { .. } => mismatch(),
            other => refused(other),
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .cloned()
            .collect();
        match &self.trust {
            ServerTrust::Anchors(anchors) => {
                chain::verify_server(&chain, &anchors.load(), server_name, self.clock.now())
                    .map_err(refused)?;
            }
            ServerTrust::Pins(pins) => self.verify_pinned(pins, &chain, server_name)?,
        }
        Ok(ServerCertVerified::assertion())
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

fn spki_sha256(der: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(encoding::sha256(cert.public_key().raw))
}

/// Follows issuer names from the leaf as far as the presented certificates reach.
fn last_of(chain: &[CertificateDer<'_>]) -> Option<PresentedCa> {
    let parsed: Vec<_> = chain
        .iter()
        .take(CHAIN_CERTS_MAX)
        .filter_map(|der| X509Certificate::from_der(der).ok().map(|(_, cert)| cert))
        .collect();
    let mut last = parsed.first()?;
    for _ in 0..parsed.len() {
        let above = parsed
            .iter()
            .find(|c| c.subject().as_raw() == last.issuer().as_raw() && c.public_key() != last.public_key());
        match above {
            Some(above) => last = above,
            None => break,
        }
    }
    let cn = last
        .subject()
        .iter_common_name()
        .next()
        .and_then(|cn| cn.as_str().ok());
    let name = cn.map_or_else(|| last.subject().to_string(), str::to_owned);
    Some(PresentedCa {
        name: name.chars().filter(|c| !c.is_control()).take(100).collect(),
        spki_sha256: encoding::sha256(last.public_key().raw),
    })
}
