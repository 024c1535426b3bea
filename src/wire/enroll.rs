//! `POST /enroll` and `POST /v1/renew`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Id, Timestamp};
use crate::model::IdentityKind;
use crate::pki::Serial;

/// A request to join. The secret inside `token` never shows in `Debug` output.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct EnrollRequest {
    /// The join token, `dw1_...`.
    pub token: String,
    /// A PKCS#10 request, PEM. Only its public key and its requested names are used.
    pub csr: String,
    /// Names wanted besides those in the request. The first one names the identity when the request has
    /// no common name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Addresses wanted besides those in the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Labels; those of the token win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the joining side means to become. A token made for the other kind is then refused, instead of
    /// giving a certificate that is good for nothing there. Absent: whatever the token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<IdentityKind>,
}

impl std::fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollRequest")
            .field("names", &self.names)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// A request for the next certificate, authenticated by the current one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RenewRequest {
    /// A PKCS#10 request with a new key, PEM. Its names replace the old ones, inside the identity's rules;
    /// a request without any keeps them.
    pub csr: String,
}

/// A certificate with all that is needed to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Issued {
    /// The leaf, PEM.
    pub certificate: String,
    /// Leaf and issuer, PEM: what a TLS server or client presents.
    pub chain: String,
    /// The root, PEM: what goes into `ca.pem`.
    pub ca: String,
    /// The identity's name.
    pub name: String,
    /// The leaf's serial, hex.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub serial: Serial,
    /// Start of validity.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub not_before: Timestamp,
    /// End of validity.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub not_after: Timestamp,
    /// When to renew at the latest, unless told earlier.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub renew_after: Timestamp,
    /// Where the issuer's CRL is; absent when the server has no `public_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl_url: Option<String>,
    /// Uses left on the token after this enrolment, and how many it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_uses: Option<(u32, u32)>,
}

/// 202: an operator has to approve first. Ask again with the same token and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Pending {
    /// What the operator approves: `dockwarden host approve ID`.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub request: Id,
    /// SHA-256 of the requesting public key, hex; the operator sees the same.
    pub spki_sha256: String,
    /// Seconds to wait before asking again (also in `Retry-After`).
    pub retry_after: u32,
}
