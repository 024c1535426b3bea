//! `/v1/problems`, `/v1/notifications`.

use serde::{Deserialize, Serialize};

use crate::base::{Id, Timestamp};
use crate::model::problem::{NotificationEvent, ProblemKind, Severity};

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProblemView {
    /// In order of their finding; the same for as long as it lasts.
    pub number: u64,
    /// Names the thing, `host/web-1.fleet`: there is one open problem per thing.
    pub key: String,
    /// What is wrong with it.
    pub kind: ProblemKind,
    /// How bad it is, or was last.
    pub severity: Severity,
    /// Who or what has it, by name.
    pub subject: String,
    /// What happened, and what to do.
    pub message: String,
    /// When it was first found.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub first_seen: Timestamp,
    /// When it was last found.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub last_seen: Timestamp,
    /// When it was found to be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub resolved_at: Option<Timestamp>,
}

/// A page of problems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ProblemList {
    /// The page.
    pub items: Vec<ProblemView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which problems.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct ProblemQuery {
    /// Those that are over too; only open ones when absent.
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

/// A message to a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct NotificationView {
    /// In order.
    pub number: u64,
    /// Names it to whoever gets it: the same however often it is sent.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub id: Id,
    /// To whom.
    pub channel: String,
    /// Why.
    pub event: NotificationEvent,
    /// The problem as it was.
    pub problem: ProblemView,
    /// When it was made.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// When it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub delivered_at: Option<Timestamp>,
    /// When it is sent, or sent again; absent once it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
    /// Attempts that failed.
    pub attempts: u32,
    /// Why the last of them did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A page of notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct NotificationList {
    /// The page.
    pub items: Vec<NotificationView>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which notifications.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct NotificationQuery {
    /// Only those that were not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<bool>,
    /// Page size, 1 to 1000; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(minimum = 1, maximum = 1000))]
    pub limit: Option<u32>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A test message that was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct QueuedTest {
    /// Its number in `/v1/notifications`.
    pub number: u64,
}
