//! `/v1/jobs`.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::job::{JobName, JobRun};

/// A job, its last run and its next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct JobView {
    /// Its name.
    pub name: JobName,
    /// What it does, in a sentence.
    pub about: String,
    /// When it runs: a cron expression and its time zone, `always`, or `off`.
    pub schedule: String,
    /// Whether this server runs it: a backup, for example, needs a directory.
    pub configured: bool,
    /// When it runs next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub next_at: Option<Timestamp>,
    /// Who wants it to run now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// Since when a run is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub running_since: Option<Timestamp>,
    /// The last run that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<JobRun>,
    /// When a run last succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub succeeded_at: Option<Timestamp>,
    /// Runs in a row that did not succeed.
    pub failures: u32,
}

/// The schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct JobList {
    /// Every job.
    pub items: Vec<JobView>,
}
