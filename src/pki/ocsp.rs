//! The Online Certificate Status Protocol (RFC 6960, profiled by RFC 9919): requests read, answers built. An answer is
//! built from what the caller found in the table; nothing here decides what is revoked.

mod get;
mod request;
#[cfg(any(test, feature = "server"))]
mod response;

use std::fmt;

use aws_lc_rs::digest;

use super::{Certificate, PublicKeyError, RevocationReason, Serial};
use crate::base::Timestamp;
use crate::base::encoding::hex;

pub use get::decode_get;
#[cfg(any(test, feature = "server"))]
pub use response::{Content, UnsignedResponse};

/// Why a request gets no answer, as OCSPResponseStatus says it (RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// Not an OCSPRequest within our bounds.
    #[error("the request is not a well-formed OCSP request")]
    MalformedRequest,
    /// Something broke here.
    #[error("the responder failed; its log says why")]
    InternalError,
    /// Come back later.
    #[error("the responder cannot answer now; ask again later")]
    TryLater,
    /// About certificates of a CA that is not ours.
    #[error("the request is about certificates of another CA: take the responder that the certificate names")]
    Unauthorized,
}

impl OcspError {
    /// The whole response, DER: unsigned, because anybody could refuse.
    pub fn response(self) -> [u8; 5] {
        let status = match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::Unauthorized => 6,
        };
        [0x30, 3, 0x0a, 1, status]
    }
}

/// What is asked in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    /// The certificates, in order: 1 to [`OCSP_CERT_IDS_MAX`](crate::base::limits::OCSP_CERT_IDS_MAX).
    pub cert_ids: Vec<CertId>,
    /// The nonce, 1 to 128 bytes (RFC 9654 §2.1): asks for an answer made for this request.
    pub nonce: Option<Vec<u8>>,
}

/// The digest of a [`CertId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertIdHash {
    /// What most clients use, OpenSSL among them. It names an issuer here; nothing is signed with it.
    Sha1,
    /// What RFC 9919 asks for.
    Sha256,
}

/// Which certificate is meant.
#[derive(Clone, PartialEq, Eq)]
pub struct CertId {
    /// As it arrived, DER: the answer repeats it byte for byte.
    raw: Vec<u8>,
    hash: Option<CertIdHash>,
    issuer_name_hash: Vec<u8>,
    issuer_key_hash: Vec<u8>,
    /// The serial number; `None` for one that no certificate can have.
    pub serial: Option<Serial>,
}

impl CertId {
    /// As it arrived, DER.
    pub fn der(&self) -> &[u8] {
        &self.raw
    }

    /// The digest it names the issuer with; `None` for one we do not know.
    pub fn hash(&self) -> Option<CertIdHash> {
        self.hash
    }
}

impl fmt::Debug for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CertId({:?} of key {}, serial {:?})",
            self.hash,
            hex(&self.issuer_key_hash),
            self.serial
        )
    }
}

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// Issued, and not revoked. Expired ones are good, too: the date is the reader's to check.
    Good,
    /// Revoked for good.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// Never issued here, or by an issuer this answer cannot speak for.
    Unknown,
}

/// How requests name an issuer: digests of its name and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerId {
    sha1: [Vec<u8>; 2],
    sha256: [Vec<u8>; 2],
}

impl IssuerId {
    /// Of the CA with this certificate.
    ///
    /// # Errors
    /// When its key is of a kind we do not use.
    pub fn of(certificate: &Certificate) -> Result<Self, PublicKeyError> {
        let key = certificate.public_key()?;
        let both = |algorithm| {
            [certificate.subject.as_slice(), key.key_bytes()]
                .map(|bytes| digest::digest(algorithm, bytes).as_ref().to_vec())
        };
        Ok(Self {
            sha1: both(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: both(&digest::SHA256),
        })
    }

    /// Whether `id` is about a certificate of this issuer.
    pub fn is_issuer_of(&self, id: &CertId) -> bool {
        let [name, key] = match id.hash {
            Some(CertIdHash::Sha1) => &self.sha1,
            Some(CertIdHash::Sha256) => &self.sha256,
            None => return false,
        };
        *name == id.issuer_name_hash && *key == id.issuer_key_hash
    }
}

#[cfg(test)]
mod tests;
