//! A certificate chain with its key, as TLS shows it; replaceable while configurations hold it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::provider;

/// Why a chain and a key are no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPairError {
    /// No leaf.
    #[error("there is no certificate to go with the key: enrol again")]
    NoCertificate,
    /// The key cannot be used.
    #[error(
        "the private key cannot be used for TLS: it must be an unencrypted PKCS#8, SEC1 or PKCS#1 key (P-256, P-384, Ed25519, or RSA of 2048 bits and more)"
    )]
    Key,
    /// The key is another one's.
    #[error(
        "the private key does not belong to the certificate: key and certificate come from different enrolments; put the matching pair back, or enrol again"
    )]
    Mismatch,
}

/// What one side of a TLS connection shows. Replacing it affects the next handshake; connections that
/// stand keep what they have.
pub struct TlsIdentity(ArcSwap<CertifiedKey>);

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsIdentity({} certificates)", self.0.load().cert.len())
    }
}

impl TlsIdentity {
    /// Pairs a chain (leaf first) with the leaf's key.
    ///
    /// # Errors
    /// When they do not belong together, or the key is of no use for TLS.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, KeyPairError> {
        Ok(Self(ArcSwap::new(Self::pair(chain, key)?)))
    }

    /// The same check, without the cell around it.
    ///
    /// # Errors
    /// As [`TlsIdentity::new`].
    pub fn pair(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<CertifiedKey>, KeyPairError> {
        if chain.is_empty() {
            return Err(KeyPairError::NoCertificate);
        }
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| KeyPairError::Key)?;
        let pair = CertifiedKey::new(chain, key);
        pair.keys_match().map_err(|_| KeyPairError::Mismatch)?;
        Ok(Arc::new(pair))
    }

    /// Shows another pair from the next handshake on.
    ///
    /// # Errors
    /// As [`TlsIdentity::new`]; the old pair stays.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), KeyPairError> {
        self.0.store(Self::pair(chain, key)?);
        Ok(())
    }

    /// What is shown now.
    pub fn current(&self) -> Arc<CertifiedKey> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for TlsIdentity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
