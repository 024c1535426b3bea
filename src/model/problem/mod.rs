//! What somebody should look at: found by scans, one problem per thing, told once, and again only when it gets worse,
//! lasts, or is over.

mod facts;
mod told;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use facts::{AlertRules, CaFacts, HostFacts, Look, look_at_ca, look_at_client, look_at_host};
pub use told::{ChannelRule, Notification, NotificationEvent, Telling, tell};

use crate::base::Timestamp;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Severity {
    /// Somebody may want to know.
    Notice,
    /// Somebody has to act, in the next days.
    Warning,
    /// Somebody has to act now.
    Critical,
}

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum ProblemKind {
    /// The agent of a host is not heard of.
    HostSilent,
    /// A host's clock is off.
    ClockOff,
    /// A host should have renewed by now, and did not.
    RenewalMissed,
    /// A host was issued a certificate that it does not serve.
    NotServed,
    /// A host says of itself that something is wrong.
    HostCondition,
    /// An enrolment waits for approval.
    ApprovalWaiting,
    /// A client's certificate ends soon, or has ended.
    ClientExpiring,
    /// A certificate of the CA ends too soon for what it is to sign.
    CaExpiring,
    /// A CRL is not published, or the server's own certificate not renewed.
    ServerUpkeep,
    /// A job fails again and again.
    JobFailing,
    /// A channel of notifications does not take them.
    ChannelFailing,
}

/// Which scan looks for it: what a scan of an area does not find any more is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Hosts, and enrolments that wait.
    Hosts,
    /// Clients.
    Clients,
    /// The server itself.
    Server,
}

macro_rules! words {
    ($($name:ident: $($value:ident = $word:literal),+;)*) => {
        $(impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$(Self::$value),+];

            /// The word in the database, on the wire and on `/metrics`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                let found = Self::ALL.iter().copied().find(|value| value.as_str() == text);
                found.ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    UnknownWord(text.chars().take(40).collect(), words.join(", "))
                })
            }
        })*
    };
}
/// Not one of the words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of {1}")]
pub struct UnknownWord(String, String);

words! {
    Severity: Notice = "notice", Warning = "warning", Critical = "critical";
    ProblemKind: HostSilent = "host-silent", ClockOff = "clock-off", RenewalMissed = "renewal-missed",
        NotServed = "not-served", HostCondition = "host-condition", ApprovalWaiting = "approval-waiting",
        ClientExpiring = "client-expiring", CaExpiring = "ca-expiring", ServerUpkeep = "server-upkeep",
        JobFailing = "job-failing", ChannelFailing = "channel-failing";
    Area: Hosts = "hosts", Clients = "clients", Server = "server";
    NotificationEvent: Opened = "opened", Escalated = "escalated", Reminder = "reminder", Resolved = "resolved",
        Test = "test";
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Names the thing, `host/web-1.fleet`: one problem per thing.
    pub key: String,
    /// What is wrong with it.
    pub kind: ProblemKind,
    /// How bad it is.
    pub severity: Severity,
    /// Who or what has it, by name.
    pub subject: String,
    /// What happened, and what to do, for people.
    pub message: String,
}

/// A problem as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In order of their finding.
    pub number: u64,
    /// Which scan looks for it.
    pub area: Area,
    /// Names the thing.
    pub key: String,
    /// What is wrong with it.
    pub kind: ProblemKind,
    /// How bad it is, or was last.
    pub severity: Severity,
    /// Who or what has it.
    pub subject: String,
    /// What happened, and what to do.
    pub message: String,
    /// When it was first found.
    pub first_seen: Timestamp,
    /// When it was last found.
    pub last_seen: Timestamp,
    /// What people were told of it last: when, and the worst.
    pub told: Option<(Timestamp, Severity)>,
    /// When a scan first did not find it any more.
    pub resolved_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
