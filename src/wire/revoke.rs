//! `POST /v1/certificates/{serial}/revoke`, `POST /v1/certificates/revoke`, `POST /v1/identities/{name}/revoke`.

use serde::{Deserialize, Serialize};

use super::Applied;
use crate::base::Timestamp;
use crate::model::{IdentityKind, IssuerKind};
use crate::pki::{RevocationReason, Serial};

/// Why a certificate, or all of an identity, are revoked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RevokeRequest {
    /// RFC 5280 §5.3.1.
    #[serde(default)]
    pub reason: RevocationReason,
    /// With a name: whether the host or the client of that name. Needed only when there are both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<IdentityKind>,
}

/// A certificate named by its fingerprint, or shown. Exactly one of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RevokeShown {
    /// RFC 5280 §5.3.1.
    #[serde(default)]
    pub reason: RevocationReason,
    /// SHA-256 of the certificate, hex, with or without colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint_sha256: Option<String>,
    /// The certificate, PEM. This server's issuers must have signed it; it need not have a record of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// What was revoked: durable by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Revoked {
    /// The certificates; those that were revoked before stand here with their old numbers.
    pub revoked: Vec<RevokedView>,
    /// The greatest of their numbers in the feed.
    pub feed: u64,
    /// Whether all of them had been revoked before: nothing was changed.
    pub repeated: bool,
    /// Who has applied it by now.
    pub applied: Applied,
}

/// A revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RevokedView {
    /// Its serial.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub serial: Serial,
    /// Who signed it.
    pub issuer: IssuerKind,
    /// The name in it.
    pub name: String,
    /// Its end.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub not_after: Timestamp,
    /// When it was revoked.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// By whom.
    pub by: String,
    /// Its number in the feed.
    pub feed: u64,
}
