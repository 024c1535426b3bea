//! What an agent reports about its host: Kubernetes' shape, conditions with status, reason, message, since.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FeedApplied;
use crate::base::Timestamp;
use crate::pki::Serial;

/// How a host exposes Docker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Mode {
    /// The agent's own mTLS proxy in front of docker.sock.
    #[default]
    Gate,
    /// dockerd listens itself.
    Daemon,
    /// Only files and a hook.
    Files,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gate => "gate",
            Self::Daemon => "daemon",
            Self::Files => "files",
        })
    }
}

/// The conditions of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum ConditionKind {
    /// The host has joined.
    Enrolled,
    /// It holds a certificate that is valid now and names what it should.
    CertificateValid,
    /// The newest version is the one in use.
    ConfigApplied,
    /// A TLS dial returns the certificate it should.
    Serving,
    /// It knows the current revocations.
    RevocationFresh,
}

impl fmt::Display for ConditionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

impl ConditionStatus {
    /// As samples of a metric, the way kube-state-metrics writes conditions: a label for each status, with 1 for
    /// this one and 0 for the others.
    pub fn samples(self) -> [(&'static str, f64); 3] {
        let holds = |status| f64::from(u8::from(self == status));
        [
            ("true", holds(Self::True)),
            ("false", holds(Self::False)),
            ("unknown", holds(Self::Unknown)),
        ]
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One line of a host's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One CamelCase word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Since when it has had this status.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
}

impl Condition {
    /// This condition, with `since` taken from `previous` when the status has not changed.
    #[must_use]
    pub fn after(mut self, previous: &[Condition]) -> Self {
        let before = previous
            .iter()
            .find(|c| c.kind == self.kind && c.status == self.status);
        if let Some(before) = before {
            self.since = before.since;
        }
        self
    }
}

/// A certificate somebody saw: issued to the host, or returned by a dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct SeenCertificate {
    /// Its serial.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub serial: Serial,
    /// Its end.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub not_after: Timestamp,
}

/// An agent's report: `PUT /v1/hosts/{name}/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct HostReport {
    /// The generation of the desired state this report is about.
    pub observed_generation: u64,
    /// How the host exposes Docker.
    pub mode: Mode,
    /// The agent's version.
    pub agent_version: String,
    /// The Docker Engine's version, when the socket answered.
    pub engine_version: Option<String>,
    /// Where clients reach Docker, one `tcp://host:port` per way, best first.
    pub endpoints: Vec<String>,
    /// The certificate on disk.
    pub issued: Option<SeenCertificate>,
    /// The certificate a dial returned.
    pub served: Option<SeenCertificate>,
    /// When the agent will renew.
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub renew_at: Option<Timestamp>,
    /// The host's clock minus the server's, milliseconds, as last seen.
    pub clock_offset_ms: Option<i64>,
    /// How far it has come with the feed; absent from agents that do not follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocations: Option<FeedApplied>,
    /// The conditions, each kind at most once.
    pub conditions: Vec<Condition>,
}
