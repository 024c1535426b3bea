//! `/v1/tokens`, `/v1/requests`, `/v1/audit`, `/v1/whoami`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Id, Timestamp};
use crate::model::{Approval, IdentityKind, Permission};

/// Which page of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct PageQuery {
    /// Page size, 1 to 1000; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A token to make. Only an admin may give a permission.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TokenRequest {
    /// What it enrols.
    pub profile: IdentityKind,
    /// Name patterns it may claim; at least one.
    #[cfg_attr(feature = "server", schema(min_items = 1, max_items = 100))]
    pub names: Vec<String>,
    /// Address blocks it may claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
    /// Address blocks it may be used from; none: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// How many identities it may enrol, 1 to 100,000; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(minimum = 1, maximum = 100_000))]
    pub uses: Option<u32>,
    /// How long it is valid, seconds, 60 to 31,536,000; one hour when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(minimum = 60, maximum = 31_536_000))]
    pub expires_in: Option<u64>,
    /// Labels the identities get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Role the clients get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Permission on the server the clients get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
    /// Whether an operator must approve each enrolment.
    #[serde(default)]
    pub approval: Approval,
    /// Whether it may take over a name that a live identity holds.
    #[serde(default)]
    pub replace: bool,
    /// Why it is made; goes to the audit log.
    #[serde(default)]
    pub reason: String,
}

/// A token just made. The only answer that ever carries its secret.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct CreatedToken {
    /// The whole token, `dw1_...`: shown once.
    pub token: String,
    /// What the list shows.
    #[serde(flatten)]
    pub view: TokenView,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

/// A token in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TokenView {
    /// Its id.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub id: Id,
    /// What it enrols.
    pub profile: IdentityKind,
    /// Name patterns it may claim.
    pub names: Vec<String>,
    /// Address blocks it may claim.
    pub cidrs: Vec<String>,
    /// Address blocks it may be used from.
    pub sources: Vec<String>,
    /// How many it was made for.
    pub uses_max: u32,
    /// How many are left.
    pub uses_left: u32,
    /// Its end.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// Labels the identities get.
    pub labels: BTreeMap<String, String>,
    /// Role the clients get.
    pub role: Option<String>,
    /// Permission the clients get.
    pub permission: Option<Permission>,
    /// Whether an operator must approve.
    pub approval: Approval,
    /// Whether it may take over a name.
    pub replace: bool,
    /// When it was made.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub reason: String,
}

/// A page of tokens, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TokenList {
    /// The page.
    pub items: Vec<TokenView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An enrolment that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RequestView {
    /// What to approve or deny.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub id: Id,
    /// Host or client.
    pub profile: IdentityKind,
    /// The name it wants.
    pub name: String,
    /// The names and addresses it wants.
    pub sans: Vec<String>,
    /// SHA-256 of its public key, hex: compare with what the joining side prints.
    pub spki_sha256: String,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// pending, approved or denied.
    pub state: String,
}

/// A page of requests, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RequestList {
    /// The page.
    pub items: Vec<RequestView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct RequestQuery {
    /// Decided ones too; only those that wait when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Page size, 1 to 1000; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The state of a request after approving or denying it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Decided {
    /// pending, approved or denied.
    pub state: String,
}

/// Filters of the audit log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct AuditQuery {
    /// Records about this identity, serial or token, or done by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Records after this number, oldest first. Without it: the newest, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Page size, 1 to 1000; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// An audit record with all that is needed to check the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AuditView {
    /// 1, 2, 3, ... without gaps.
    pub seq: u64,
    /// When.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who: `client:alice`, `token:...`, `system`.
    pub actor: String,
    /// What: `certificate.issue`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// `ok`, or why not.
    pub outcome: String,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// More: JSON object text, exactly as hashed.
    pub detail: String,
    /// SHA-256 over the previous record's hash and this record, hex.
    pub hash: String,
}

/// The last of the audit records that were removed because they were old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AuditBegin {
    /// Its number: the log begins with the next one.
    pub seq: u64,
    /// Its time.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Its hash, hex: the next record follows it.
    pub hash: String,
}

/// A page of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AuditList {
    /// The page.
    pub items: Vec<AuditView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What the log begins after; absent when nothing was ever removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_after: Option<AuditBegin>,
}

/// Who the server takes the caller for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct WhoAmI {
    /// The identity's name.
    pub name: String,
    /// Host or client.
    pub profile: IdentityKind,
    /// What it may do to Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it may do to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`, `ready`, or `degraded`: it serves, but somebody should look at it.
    pub status: String,
    /// What somebody should look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}
