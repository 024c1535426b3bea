//! `GET /v1/certificates` and `GET /v1/certificates/{serial}`.

use serde::{Deserialize, Serialize};

use super::RevokedView;
use crate::base::Timestamp;
use crate::model::{CertificateStatus, IdentityKind, IssuerKind};
use crate::pki::Serial;

/// Filters of the list; all given ones must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct CertificateQuery {
    /// Comma-separated: valid, superseded, expired, revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Expiring within this time: `30d`, `12h`, `90m`, `45s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_within: Option<String>,
    /// `host` or `client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// An identity's name, or a name or address in the certificate, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A serial in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The certificates of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Page size, 1 to 1000; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One certificate in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CertificateView {
    /// Hex.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub serial: Serial,
    /// Whose it is.
    pub name: String,
    /// Host or client.
    pub profile: IdentityKind,
    /// Where it stands now.
    pub status: CertificateStatus,
    /// Subject alternative names.
    pub sans: Vec<String>,
    /// Start of validity.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub not_before: Timestamp,
    /// End of validity.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub not_after: Timestamp,
    /// When the server suggests renewing.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub renew_after: Timestamp,
}

/// A page of certificates, soonest expiry first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CertificateList {
    /// The page.
    pub items: Vec<CertificateView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One certificate with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CertificateDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub view: CertificateView,
    /// Which CA signed it.
    pub issuer: IssuerKind,
    /// When.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub issued_at: Timestamp,
    /// SHA-256 of the certificate, hex.
    pub fingerprint_sha256: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo), hex.
    pub spki_sha256: String,
    /// The certificate, PEM.
    pub pem: String,
    /// The certificate it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>))]
    pub renewed_from: Option<Serial>,
    /// The certificate that replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>))]
    pub renewed_by: Option<Serial>,
    /// When, why and by whom it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevokedView>,
    /// The join token spent on it, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}
