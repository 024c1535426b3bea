//! A certificate with its key and the roots it leads to, and the peer's rules it must pass before anything is
//! swapped: key matches, chain, extended key usage, names, dates.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::base::Timestamp;
use crate::pki::chain::{self, AnchorError, Anchors, ChainError, Purpose};
use crate::pki::tls::{KeyPairError, TlsIdentity};
use crate::pki::{Certificate, CertificateError, LeafKey, PemError, PrivateKeyError, San, Serial, pem};

/// The names of a version's files.
pub const CA_FILE: &str = "ca.pem";
/// Leaf and issuer.
pub const CERTIFICATE_FILE: &str = "cert.pem";
/// The leaf's private key.
pub const KEY_FILE: &str = "key.pem";

/// Why files are no pair that a peer would accept.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// One of the files is not PEM of the right kind.
    #[error("{file} cannot be used: {source}")]
    Pem {
        /// Which file.
        file: &'static str,
        /// Why.
        source: PemError,
    },
    /// The leaf does not parse.
    #[error("{CERTIFICATE_FILE} cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// The key does not parse.
    #[error("{KEY_FILE} cannot be used: {0}")]
    Key(#[from] PrivateKeyError),
    /// The roots cannot be used.
    #[error("{CA_FILE} cannot be used: {0}")]
    Anchors(#[from] AnchorError),
    /// Key and certificate are not each other's.
    #[error("{KEY_FILE} does not belong to {CERTIFICATE_FILE}")]
    KeyMismatch,
    /// The chain does not lead to a root in `ca.pem`, or is not made for a host.
    #[error("the chain is not one a client would accept: {0}")]
    Chain(#[from] ChainError),
    /// No identity in the leaf.
    #[error("the certificate names no identity: enrol again")]
    NoName,
    /// The leaf is not valid yet.
    #[error(
        "the certificate is valid from {not_before} only, and it is {now} here: is this machine's clock right?"
    )]
    NotYetValid {
        /// Its first second.
        not_before: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// The leaf is not valid any more.
    #[error("the certificate expired at {not_after}, and it is {now} here")]
    Expired {
        /// Its last second.
        not_after: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// A name that was asked for is not in the certificate.
    #[error("the certificate does not name {0}, which was asked for")]
    NameMissing(San),
    /// None of the new roots is one that was trusted before.
    #[error("the CA in the answer is none that this host trusts: it was not installed")]
    StrangeCa,
    /// The certificate is for another key than the one that was sent.
    #[error(
        "the certificate in the answer is for another key than the one that was sent: it was not installed"
    )]
    StrangeKey,
}

/// The three files, parsed. That key and certificate match is part of being one; dates and chain are asked for
/// with [`Pair::verify`].
pub struct Pair {
    /// The leaf.
    pub leaf: Certificate,
    chain: Vec<CertificateDer<'static>>,
    anchors: Anchors,
    key: LeafKey,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({})", self.leaf.serial)
    }
}

impl Pair {
    /// Reads the three files' contents.
    pub fn parse(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let in_file = |file| move |source| PairError::Pem { file, source };
        let anchors = Anchors::parse(&pem::certificates(ca).map_err(in_file(CA_FILE))?)?;
        let chain = pem::certificates(certificate).map_err(in_file(CERTIFICATE_FILE))?;
        let leaf = Certificate::parse(&chain[0])?;
        let key = LeafKey::from_pem(key)?;
        if key.public_key().spki() != leaf.spki {
            return Err(PairError::KeyMismatch);
        }
        Ok(Self {
            leaf,
            chain,
            anchors,
            key,
        })
    }

    /// The leaf's serial number.
    pub fn serial(&self) -> &Serial {
        &self.leaf.serial
    }

    /// The roots.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// Leaf and issuers.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key, for TLS.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        self.key.to_pkcs8_der().into()
    }

    /// As a side of a TLS connection.
    pub fn tls_identity(&self) -> Result<Arc<TlsIdentity>, KeyPairError> {
        TlsIdentity::new(self.chain.clone(), self.private_key()).map(Arc::new)
    }

    /// Whether a client would accept the chain, apart from the leaf's own dates: it is checked at the moment inside
    /// them that is nearest to `now`.
    pub fn verify_chain(&self, now: Timestamp) -> Result<(), PairError> {
        let inside = now.clamp(
            self.leaf.not_before,
            self.leaf.not_after.max(self.leaf.not_before),
        );
        chain::verify(&self.chain, &self.anchors, Purpose::HostServer, inside)?;
        Ok(())
    }

    /// Whether a client would accept it at `now`, under each of the `names`.
    pub fn verify(&self, names: &[San], now: Timestamp) -> Result<(), PairError> {
        self.verify_chain(now)?;
        let (not_before, not_after) = (self.leaf.not_before, self.leaf.not_after);
        if now < not_before {
            return Err(PairError::NotYetValid { not_before, now });
        }
        if now.trunc_secs() > not_after {
            return Err(PairError::Expired { not_after, now });
        }
        match names.iter().find(|name| !self.leaf.sans.contains(name)) {
            Some(name) => Err(PairError::NameMissing(name.clone())),
            None => Ok(()),
        }
    }
}
