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
    /// Whether they may not be those of yesterday, because the server was restored from a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RolesRestored>,
}

/// The server was restored from a backup: roles and bindings are as they stood in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RolesRestored {
    /// When, while there are hosts that have not said what they know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub at: Option<Timestamp>,
    /// Hosts that enforced other roles until they heard of this server again, by name.
    #[serde(default)]
    pub differed: Vec<String>,
}

/// How long to wait for hosts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct RolesAppliedQuery {
    /// Answer when all hosts enforce what counts now, or after this many seconds (at most 20), whichever is first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(maximum = 20))]
    pub wait: Option<u64>,
}

/// Which hosts enforce the roles that count now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RolesApplied {
    /// Hosts with a valid certificate, and roles.
    pub hosts: u64,
    /// Those of them that enforce what counts now, those included that nothing of it concerns.
    pub applied: u64,
    /// Hosts besides, that follow the feed and look at no roles: their mode has no gate, roles = "ignore", or an agent that is
    /// too old to say.
    pub without: u64,
    /// Those that have not heard of it yet, by name, at most 100.
    pub missing: Vec<HostBehind>,
}

/// A host that enforces other roles than those that count now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HostBehind {
    /// Its name.
    pub name: String,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub last_seen: Option<Timestamp>,
    /// From when on it refuses every remote client, unless it hears of the server before; absent: it goes on by what it knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub denies_from: Option<Timestamp>,
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
