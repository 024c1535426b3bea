//! `/v1/roles`, `/v1/bindings`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::role::RoleSpec;

/// A role to write.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RoleRequest {
    /// Its name: 1 to 63 of a-z, 0-9 and '-'; none of a built-in role.
    pub name: String,
    /// What it allows.
    pub role: RoleSpec,
    /// Whether a role of this name that is there is replaced.
    #[serde(default)]
    pub replace: bool,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RoleView {
    /// Its name.
    pub name: String,
    /// Whether it comes with the program.
    pub built_in: bool,
    /// As it was written.
    pub role: RoleSpec,
    /// The names of the operations that it allows.
    pub operations: Vec<String>,
    /// How often it is bound.
    pub bindings: u64,
    /// When it was written last; absent for built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub changed_at: Option<Timestamp>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
}

/// Every role: the built-in ones first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RoleList {
    /// All of them.
    pub items: Vec<RoleView>,
}

/// Which client gets, or loses, which role where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct BindingRequest {
    /// The client; it is enrolled already.
    pub client: String,
    /// The role.
    pub role: String,
    /// A host must have all of these labels; none: every host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, String>,
}

/// Which binding is taken away.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct BindingQuery {
    /// The client.
    pub client: String,
    /// The role.
    pub role: String,
    /// The labels it was given with: `tier=web,zone=a`; none: for every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<String>,
}

/// A client has a role on some hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct BindingView {
    /// The client.
    pub client: String,
    /// The role.
    pub role: String,
    /// A host must have all of these labels; none: every host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, String>,
    /// Who made it; absent for a role that came with a join token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When; absent for a role that came with a join token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub created_at: Option<Timestamp>,
}

/// Every binding, by client and role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct BindingList {
    /// All of them.
    pub items: Vec<BindingView>,
}

/// What became of a role or binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RoleOutcome {
    /// Whether anything had to be changed.
    pub changed: bool,
}
