//! `GET /v1/hosts`, `GET /v1/hosts/{name}`, `PUT /v1/hosts/{name}/status`, `GET /v1/clients`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::{HostReport, Permission, Serving};
use crate::pki::Serial;

/// A host in a list. Clients without `viewer` see only the name and the endpoints of hosts they may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HostView {
    /// Its name.
    pub name: String,
    /// Where its Docker is reached: `tcp://host:port`, best first.
    pub endpoints: Vec<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it last reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub last_seen: Option<Timestamp>,
    /// Whether no condition in its last report was false; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// End of the certificate it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub issued_not_after: Option<Timestamp>,
    /// End of the certificate it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub served_not_after: Option<Timestamp>,
    /// Whether the certificate on its disk is the one it serves; absent when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// Why it is not, as its agent says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_reason: Option<String>,
}

/// A page of hosts, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HostList {
    /// The page.
    pub items: Vec<HostView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A host with its last report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HostDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub view: HostView,
    /// The generation of its desired state.
    pub generation: u64,
    /// Its last report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<HostReport>,
}

/// The answer to a status report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct StatusAnswer {
    /// The generation of the desired state.
    pub generation: u64,
    /// Renew no later than this: the server may move the agent's own point earlier, never later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub renew_at: Option<Timestamp>,
    /// The server's clock.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub now: Timestamp,
}

/// A client in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ClientView {
    /// Its name.
    pub name: String,
    /// What it may do to Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it may do to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its newest certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>))]
    pub serial: Option<Serial>,
    /// The end of that certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub not_after: Option<Timestamp>,
    /// When it first joined.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// A page of clients, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ClientList {
    /// The page.
    pub items: Vec<ClientView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
