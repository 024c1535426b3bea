//! Verifying what a peer presented: from its leaf (index 0, nothing else is ever its identity) over the
//! issuers it sent to one of our anchors, for one purpose, at one time (RFC 5280 §6 through rustls-webpki).
//! Never falls back to system roots, never follows a URL, never checks revocation: the gate and the server
//! keep their own set of (issuer, serial).

mod anchors;
mod error;
mod path;

use std::fmt;

use rustls_pki_types::{CertificateDer, ServerName};

use super::{IdentityName, Serial};
use crate::base::{Timestamp, encoding};

pub use anchors::{AnchorError, Anchors, SharedAnchors};
pub use error::ChainError;

/// The most certificates a peer may send. Leaf, issuer and root are three; a root rotation with
/// cross-certificates in both directions makes five. The bound keeps path building cheap: within it there
/// are at most a few hundred partial paths, whatever the names and keys.
pub const CHAIN_CERTS_MAX: usize = 6;

/// What a leaf is used for. The leaf must say so in its extended key usage (none at all, or
/// `anyExtendedKeyUsage`, is not enough), and so must every issuer that carries the extension. Issuers
/// without it pass: a root that cross-signs its successor has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A host serving TLS: `serverAuth`.
    HostServer,
    /// A person or a CI job: `clientAuth`.
    Client,
}

impl Purpose {
    fn key_usage(self) -> webpki::KeyUsage {
        match self {
            Self::HostServer => webpki::KeyUsage::server_auth(),
            Self::Client => webpki::KeyUsage::client_auth(),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostServer => "serverAuth",
            Self::Client => "clientAuth",
        })
    }
}

/// Which key signed a certificate: SHA-256 of the issuer's SubjectPublicKeyInfo (DER).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerId(pub [u8; 32]);

impl fmt::Display for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::hex(&self.0))
    }
}

impl fmt::Debug for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What tells one certificate from every other: serial numbers alone repeat across issuers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId {
    /// Who signed it.
    pub issuer: IssuerId,
    /// Its serial number.
    pub serial: Serial,
}

/// A peer whose chain was verified. [`verify`] is the only constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPeer {
    purpose: Purpose,
    name: IdentityName,
    id: CertificateId,
    not_before: Timestamp,
    not_after: Timestamp,
    valid_from: Timestamp,
    valid_until: Timestamp,
}

impl VerifiedPeer {
    /// What the chain was verified for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The identity: the leaf's common name.
    pub fn name(&self) -> &IdentityName {
        &self.name
    }

    /// Which certificate it is.
    pub fn id(&self) -> &CertificateId {
        &self.id
    }

    /// The leaf's serial number.
    pub fn serial(&self) -> &Serial {
        &self.id.serial
    }

    /// The leaf's notBefore.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The leaf's notAfter.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The earliest notAfter on the verified path, anchor included: when the chain stops being valid.
    pub fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// Whether [`VerifiedPeer::check_dates`] finds nothing.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.check_dates(now).is_ok()
    }

    /// Whether every certificate of the verified path is inside its dates at `now`: what stays to be asked
    /// of a chain that was verified once and whose anchors did not change.
    ///
    /// # Errors
    /// [`ChainError::Expired`] or [`ChainError::NotYetValid`] (a clock was set back).
    pub fn check_dates(&self, now: Timestamp) -> Result<(), ChainError> {
        let name = || self.name.to_string();
        if now.trunc_secs() > self.valid_until {
            return Err(ChainError::Expired {
                name: name(),
                not_after: self.valid_until,
                now,
            });
        }
        if now < self.valid_from {
            return Err(ChainError::NotYetValid {
                name: name(),
                not_before: self.valid_from,
                now,
            });
        }
        Ok(())
    }
}

/// Verifies `chain` (leaf first, issuers in any order, the root may be among them) for `purpose` at `now`.
///
/// # Errors
/// One variant per cause; its text says what was presented and what to do.
pub fn verify(
    chain: &[CertificateDer<'_>],
    anchors: &Anchors,
    purpose: Purpose,
    now: Timestamp,
) -> Result<VerifiedPeer, ChainError> {
    let path = path::build(chain, anchors, purpose, now)?;
    let leaf = path.leaf;
    let name = error::common_name(&leaf).and_then(|cn| cn.parse().ok());
    Ok(VerifiedPeer {
        purpose,
        name: name.ok_or_else(|| ChainError::NoName {
            subject: error::excerpt(&leaf.subject().to_string()),
        })?,
        id: CertificateId {
            issuer: path.issuer,
            serial: path.serial,
        },
        not_before: path::not_before(&leaf),
        not_after: path::not_after(&leaf),
        valid_from: path.valid_from,
        valid_until: path.valid_until,
    })
}

/// Verifies the chain a server presented, and that its leaf is good for `name` (RFC 9525: subject
/// alternative names only, never the common name).
///
/// # Errors
/// As [`verify`], and [`ChainError::WrongServerName`].
pub fn verify_server(
    chain: &[CertificateDer<'_>],
    anchors: &Anchors,
    name: &ServerName<'_>,
    now: Timestamp,
) -> Result<(), ChainError> {
    let path = path::build(chain, anchors, Purpose::HostServer, now)?;
    let leaf = webpki::EndEntityCert::try_from(&chain[0]).map_err(|e| ChainError::malformed(0, &e))?;
    leaf.verify_is_valid_for_subject_name(name)
        .map_err(|_| ChainError::WrongServerName {
            wanted: name.to_str().into_owned(),
            presented: error::server_names(&path.leaf),
        })
}
