//! The roots a chain may end in.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::{common_name, excerpt};
use super::path::{not_after, not_before};
use crate::base::{Timestamp, encoding};

/// The most roots in one bundle: one, or a few while roots rotate.
pub const ANCHORS_MAX: usize = 16;

/// Anchors that can be replaced while verifiers hold them.
pub type SharedAnchors = Arc<ArcSwap<Anchors>>;

/// Why a bundle cannot be trusted. Keep the last good one, or refuse to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The bundle holds nothing.
    #[error("the CA bundle is empty: nothing would be trusted; fetch it again from the server's /ca.pem")]
    Empty,
    /// More roots than anyone needs.
    #[error(
        "the CA bundle holds {0} certificates, more than {ANCHORS_MAX}: it should hold the fleet's root, and two while roots rotate"
    )]
    TooMany(usize),
    /// Not a certificate.
    #[error(
        "certificate {index} of the CA bundle cannot be read ({reason}): fetch it again from the server's /ca.pem"
    )]
    Malformed {
        /// Position, from 0.
        index: usize,
        /// What the parser said.
        reason: String,
    },
    /// A certificate that is no CA.
    #[error(
        "certificate {index} of the CA bundle (CN={name}) is not a CA: only the fleet's root belongs there"
    )]
    NotCa {
        /// Position, from 0.
        index: usize,
        /// Its common name.
        name: String,
    },
}

/// One root, with what webpki does not keep.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    pub(super) name: String,
    pub(super) spki_sha256: [u8; 32],
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Anchor {
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now.trunc_secs() <= self.not_after
    }
}

/// A bundle of roots: at least one, each a CA certificate. Dates are checked when a chain is, because a
/// bundle may hold a root that is about to be used or one that just ran out.
#[derive(Clone)]
pub struct Anchors {
    certificates: Vec<CertificateDer<'static>>,
    pub(super) meta: Vec<Anchor>,
    pub(super) trust: Vec<TrustAnchor<'static>>,
}

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.meta.iter().map(|a| &a.name)).finish()
    }
}

impl PartialEq for Anchors {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Anchors {
    /// Reads a bundle.
    ///
    /// # Errors
    /// [`AnchorError`]: nothing of a bundle is used when any part of it is bad.
    pub fn parse<'a>(bundle: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Result<Self, AnchorError> {
        let certificates: Vec<_> = bundle.into_iter().map(|c| c.clone().into_owned()).collect();
        match certificates.len() {
            0 => return Err(AnchorError::Empty),
            n if n > ANCHORS_MAX => return Err(AnchorError::TooMany(n)),
            _ => {}
        }
        let mut meta = Vec::with_capacity(certificates.len());
        let mut trust = Vec::with_capacity(certificates.len());
        for (index, der) in certificates.iter().enumerate() {
            meta.push(read_anchor(index, der)?);
            let anchor = webpki::anchor_from_trusted_cert(der).map_err(|e| malformed(index, e))?;
            trust.push(anchor.to_owned());
        }
        Ok(Self {
            certificates,
            meta,
            trust,
        })
    }

    /// The bundle, as it was given.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// SHA-256 of each root's SubjectPublicKeyInfo: what a join token pins.
    pub fn pins(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        self.meta.iter().map(|a| a.spki_sha256)
    }

    /// Their subjects, as DER without the outermost SEQUENCE's tag and length.
    pub fn subjects(&self) -> impl Iterator<Item = &[u8]> + '_ {
        self.trust.iter().map(|anchor| anchor.subject.as_ref())
    }

    /// Behind a pointer that can be swapped.
    pub fn shared(self) -> SharedAnchors {
        Arc::new(ArcSwap::from_pointee(self))
    }
}

fn malformed(index: usize, reason: impl std::fmt::Display) -> AnchorError {
    AnchorError::Malformed {
        index,
        reason: excerpt(&reason.to_string()),
    }
}

fn read_anchor(index: usize, der: &CertificateDer<'_>) -> Result<Anchor, AnchorError> {
    let (rest, cert) = X509Certificate::from_der(der).map_err(|e| malformed(index, e))?;
    if !rest.is_empty() {
        return Err(malformed(index, "bytes after the certificate"));
    }
    let name = common_name(&cert).map_or_else(|| excerpt(&cert.subject().to_string()), str::to_owned);
    let signs = cert
        .key_usage()
        .ok()
        .flatten()
        .is_none_or(|usage| usage.value.key_cert_sign());
    if !cert.is_ca() || !signs {
        return Err(AnchorError::NotCa { index, name });
    }
    Ok(Anchor {
        name,
        spki_sha256: encoding::sha256(cert.public_key().raw),
        not_before: not_before(&cert),
        not_after: not_after(&cert),
    })
}
