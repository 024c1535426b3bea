//! Certificates as the server remembers them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::IdentityKind;
use crate::base::{Id, Timestamp};
use crate::pki::{IdentityName, San, Serial};

/// The two issuing CAs under the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum IssuerKind {
    /// EKU serverAuth.
    Hosts,
    /// EKU clientAuth.
    Clients,
}

impl IssuerKind {
    /// Both.
    pub const ALL: [IssuerKind; 2] = [Self::Hosts, Self::Clients];

    /// The word used in file names, in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Clients => "clients",
        }
    }
}

impl From<IdentityKind> for IssuerKind {
    fn from(kind: IdentityKind) -> Self {
        match kind {
            IdentityKind::Host => Self::Hosts,
            IdentityKind::Client => Self::Clients,
        }
    }
}

impl fmt::Display for IssuerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IssuerKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|k| k.as_str() == text)
            .ok_or_else(|| format!("unknown issuer {text:?}"))
    }
}

/// Where a certificate stands at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum CertificateStatus {
    /// In use: neither expired, revoked nor replaced.
    Valid,
    /// Still accepted, but the identity has renewed it.
    Superseded,
    /// Past notAfter.
    Expired,
    /// Withdrawn; refused wherever revocation is enforced.
    Revoked,
}

impl CertificateStatus {
    /// All of them.
    pub const ALL: [CertificateStatus; 4] = [Self::Valid, Self::Superseded, Self::Expired, Self::Revoked];

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CertificateStatus {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| format!("unknown status {text:?}: use valid, superseded, expired or revoked"))
    }
}

/// An issued leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Unique among all certificates of this server.
    pub serial: Serial,
    /// Which CA signed it.
    pub issuer: IssuerKind,
    /// Whose it is.
    pub identity: Id,
    /// The identity's name at issue: the CN.
    pub name: IdentityName,
    /// Host or client.
    pub kind: IdentityKind,
    /// Subject alternative names, in the order they stand in the certificate.
    pub sans: Vec<San>,
    /// Start of validity (backdated).
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When the server suggests renewing.
    pub renew_after: Timestamp,
    /// SHA-256 of the DER SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// The whole certificate.
    pub der: Vec<u8>,
    /// The token that was spent on it, for first certificates.
    pub token: Option<Id>,
    /// The certificate it replaced.
    pub renewed_from: Option<Serial>,
    /// The certificate that replaced it.
    pub superseded_by: Option<Serial>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Certificate {
    /// Where it stands at `now`.
    pub fn status(&self, now: Timestamp) -> CertificateStatus {
        if self.revoked_at.is_some() {
            CertificateStatus::Revoked
        } else if now > self.not_after {
            CertificateStatus::Expired
        } else if self.superseded_by.is_some() {
            CertificateStatus::Superseded
        } else {
            CertificateStatus::Valid
        }
    }
}

/// Which certificates a list holds; every given condition must be true. Sorted by expiry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFilter {
    /// Only these statuses; empty means any.
    pub statuses: Vec<CertificateStatus>,
    /// Expiring within this time from now (and not expired yet).
    pub expires_within: Option<Duration>,
    /// Only hosts or only clients.
    pub kind: Option<IdentityKind>,
    /// The identity's name, or a SAN, exactly.
    pub name: Option<String>,
    /// This serial.
    pub serial: Option<Serial>,
    /// Belonging to this identity.
    pub identity: Option<Id>,
}
