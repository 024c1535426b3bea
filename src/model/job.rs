//! What the server does by itself: the one table of jobs, when each runs, and what is remembered of its runs.
//!
//! A job runs once for everything it missed, never beside itself, and again when it was cut short: every job can be
//! repeated. What decides here is pure: the state that was kept, the plan that was configured, the time.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Random, Schedule, Timestamp, Zone};

/// Something the server does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum JobName {
    /// `own-certificate`; [`JobName::about`] says what each does.
    OwnCertificate,
    /// `crl`.
    Crl,
    /// `root-crl`.
    RootCrl,
    /// `feed-settle`.
    FeedSettle,
    /// `notify`.
    Notify,
    /// `renewal-scan`.
    RenewalScan,
    /// `expiry-scan`.
    ExpiryScan,
    /// `server-scan`.
    ServerScan,
    /// `prune`.
    Prune,
    /// `database`.
    Database,
    /// `backup`.
    Backup,
}

/// When a job runs unless something else is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usual {
    /// All the time, as soon as there is something to do; cannot be configured.
    Always,
    /// At these times.
    At(&'static str),
}

impl JobName {
    /// All of them, in the order of lists.
    pub const ALL: [JobName; 11] = [
        Self::OwnCertificate,
        Self::Crl,
        Self::RootCrl,
        Self::FeedSettle,
        Self::Notify,
        Self::RenewalScan,
        Self::ExpiryScan,
        Self::ServerScan,
        Self::Prune,
        Self::Database,
        Self::Backup,
    ];

    /// Its name, what it does in a sentence, and when.
    const fn row(self) -> (&'static str, &'static str, Usual) {
        use Usual::{Always, At};
        match self {
            Self::OwnCertificate => (
                "own-certificate",
                "Renews the certificate that the server itself shows, and shows the new one.",
                Always,
            ),
            Self::Crl => (
                "crl",
                "Signs the lists of revoked certificates: at once after a revocation, and hourly.",
                Always,
            ),
            Self::RootCrl => (
                "root-crl",
                "Shows the root's list of revoked issuers as soon as somebody has brought a new one.",
                Always,
            ),
            Self::FeedSettle => (
                "feed-settle",
                "After a restoration: looks whether every host has given back what it knows.",
                Always,
            ),
            Self::Notify => (
                "notify",
                "Delivers what people are told: as soon as it is found, and again until it arrives.",
                Always,
            ),
            Self::RenewalScan => (
                "renewal-scan",
                "Finds hosts that should have renewed by now and did not, that are silent, or serve an old certificate.",
                At("*/5 * * * *"),
            ),
            Self::ExpiryScan => (
                "expiry-scan",
                "Finds clients whose certificate ends soon or has ended.",
                At("11 * * * *"),
            ),
            Self::ServerScan => (
                "server-scan",
                "Finds what is wrong with the server: CA certificates that end too soon, CRLs, jobs, channels.",
                At("*/5 * * * *"),
            ),
            Self::Prune => (
                "prune",
                "Removes certificates, tokens, requests, audit records, problems and notifications that are older than the retention.",
                At("17 3 * * *"),
            ),
            Self::Database => (
                "database",
                "Writes the log of the database back into it, and says how large it is.",
                At("47 3 * * *"),
            ),
            Self::Backup => (
                "backup",
                "Makes a backup in the configured directory, and removes the oldest ones.",
                At("29 2 * * *"),
            ),
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// What it does, in a sentence.
    pub const fn about(self) -> &'static str {
        self.row().1
    }

    /// When it runs unless something else is configured.
    pub const fn usual(self) -> Usual {
        self.row().2
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no job of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no job {0:?}: dockwarden job ls names them")]
pub struct NoSuchJob(String);

impl FromStr for JobName {
    type Err = NoSuchJob;
    fn from_str(text: &str) -> Result<Self, NoSuchJob> {
        let found = Self::ALL.into_iter().find(|job| job.as_str() == text);
        found.ok_or_else(|| NoSuchJob(text.chars().take(40).collect()))
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum JobOutcome {
    /// It did what there was to do.
    Ok,
    /// It could not; it is tried again soon.
    Failed,
    /// The server ended in the middle of it; it is done again.
    Interrupted,
}

/// Why a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum JobCause {
    /// It was time.
    Schedule,
    /// Its time passed while the server was down; once for all times that passed.
    Missed,
    /// The run before failed or was cut short.
    Retry,
    /// Somebody asked for it.
    Asked,
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct JobRun {
    /// When it began.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// When it ended, or was found to have been cut short.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub ended_at: Timestamp,
    /// Why it began.
    pub cause: JobCause,
    /// How it ended.
    pub outcome: JobOutcome,
    /// What it did, or why it could not.
    pub detail: String,
}

/// A run that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRunning {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub cause: JobCause,
}

/// Somebody wants a job to run now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAsked {
    /// Since when.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// What is remembered of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Which.
    pub name: JobName,
    /// The plan that `next_at` was drawn for, as [`JobPlan`] writes itself.
    pub plan: String,
    /// When it runs next; `None` when never.
    pub next_at: Option<Timestamp>,
    /// Whether `next_at` is the repetition of a run that did not succeed.
    pub retries: bool,
    /// Somebody wants it to run now.
    pub asked: Option<JobAsked>,
    /// The run that is under way.
    pub running: Option<JobRunning>,
    /// The last run that ended.
    pub last: Option<JobRun>,
    /// When a run last succeeded.
    pub succeeded_at: Option<Timestamp>,
    /// How many runs in a row did not.
    pub failures: u32,
}

/// The shortest time until a job that failed is tried again.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// A job that starts later than this after its time has missed it.
const LATE: Duration = Duration::from_secs(300);
/// Times of a schedule are put off by a share of the time to the one after, so that not everything happens on the
/// same second; this much at most.
const JITTER_MAX: Duration = Duration::from_secs(120);
/// One part in this many of the time between two runs.
const JITTER_SHARE: u32 = 20;

impl JobState {
    /// Of a job that never ran.
    pub fn new(name: JobName) -> Self {
        Self {
            name,
            plan: String::new(),
            next_at: None,
            retries: false,
            asked: None,
            running: None,
            last: None,
            succeeded_at: None,
            failures: 0,
        }
    }

    /// Why it should run at `now`, if it should. Never while it runs.
    pub fn is_due(&self, now: Timestamp) -> Option<JobCause> {
        if self.running.is_some() {
            return None;
        }
        if self.asked.is_some() {
            return Some(JobCause::Asked);
        }
        let at = self.next_at.filter(|at| *at <= now)?;
        Some(match (self.retries, now.since(at) > LATE) {
            (true, _) => JobCause::Retry,
            (false, true) => JobCause::Missed,
            (false, false) => JobCause::Schedule,
        })
    }

    /// A run begins.
    pub fn begin(&mut self, cause: JobCause, now: Timestamp) {
        self.asked = None;
        self.running = Some(JobRunning { since: now, cause });
    }

    /// The run that is under way ended; without one nothing changes.
    pub fn end(&mut self, outcome: JobOutcome, detail: String, next: NextRun, now: Timestamp) {
        let Some(running) = self.running.take() else {
            return;
        };
        match outcome {
            JobOutcome::Ok => {
                self.succeeded_at = Some(now);
                self.failures = 0;
            }
            JobOutcome::Failed | JobOutcome::Interrupted => self.failures = self.failures.saturating_add(1),
        }
        (self.next_at, self.retries) = (next.at, next.retries);
        self.last = Some(JobRun {
            started_at: running.since,
            ended_at: now,
            cause: running.cause,
            outcome,
            detail,
        });
    }
}

/// When a job runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// When; `None` when never.
    pub at: Option<Timestamp>,
    /// Whether that is the repetition of a run that did not succeed.
    pub retries: bool,
}

/// When a job runs, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlan {
    schedule: Option<Schedule>,
    zone: Zone,
}

impl fmt::Display for JobPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schedule {
            Some(schedule) => write!(f, "{schedule} {}", self.zone),
            None => f.write_str("off"),
        }
    }
}

impl JobPlan {
    /// At the times of `schedule` in `zone`; without a schedule only when somebody asks.
    pub fn new(schedule: Option<Schedule>, zone: Zone) -> Self {
        Self { schedule, zone }
    }

    /// The next time after `after`, put off by a little that is drawn.
    pub fn next(&self, after: Timestamp, random: &dyn Random) -> Option<Timestamp> {
        let schedule = self.schedule.as_ref()?;
        let at = schedule.next(after, &self.zone)?;
        let then = schedule.next(at, &self.zone);
        let between = then.map_or(Duration::ZERO, |then| then.since(at));
        let most = (between / JITTER_SHARE).min(JITTER_MAX);
        Some(at + most.mul_f64(random.unit()))
    }

    /// When a job runs that was never planned, was planned for another schedule, or is planned for a time that the
    /// clock, set back meanwhile, is far from. `None` when its plan may stay.
    pub fn replan(&self, state: &JobState, now: Timestamp, random: &dyn Random) -> Option<NextRun> {
        let changed = state.plan != self.to_string();
        let next = || NextRun {
            at: self.next(now, random),
            retries: false,
        };
        if changed {
            return Some(next());
        }
        let at = state.next_at?;
        let latest = match self.next(now, random) {
            Some(next) => next + JITTER_MAX,
            None => now,
        };
        (at > latest.max(now + RETRY_MAX)).then(next)
    }

    /// When a job runs again after a run that ended at `now`: after one that did not succeed soon, and later with
    /// each further one, but never later than its next time. One that was cut short for the first time: at once.
    pub fn after(
        &self,
        outcome: JobOutcome,
        failures_before: u32,
        now: Timestamp,
        random: &dyn Random,
    ) -> NextRun {
        let next = self.next(now, random);
        let doubled = RETRY_MIN.saturating_mul(1 << failures_before.min(10));
        let retry = match (outcome, failures_before) {
            (JobOutcome::Ok, _) => {
                return NextRun {
                    at: next,
                    retries: false,
                };
            }
            (JobOutcome::Interrupted, 0) => now,
            _ => now + doubled.min(RETRY_MAX),
        };
        match next {
            Some(at) if at <= retry => NextRun {
                at: Some(at),
                retries: false,
            },
            _ => NextRun {
                at: Some(retry),
                retries: true,
            },
        }
    }
}

/// The plans of all jobs that run at times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlans(BTreeMap<JobName, JobPlan>);

impl Default for JobPlans {
    fn default() -> Self {
        Self::new(Zone::UTC)
    }
}

impl JobPlans {
    /// Everything at its usual time in `zone`.
    pub fn new(zone: Zone) -> Self {
        let usual = |job: JobName| match job.usual() {
            Usual::Always => None,
            Usual::At(text) => {
                let schedule = text.parse().expect("a test reads every usual time");
                Some((job, JobPlan::new(Some(schedule), zone.clone())))
            }
        };
        Self(JobName::ALL.into_iter().filter_map(usual).collect())
    }

    /// The plan of a job; `None` for one that runs all the time.
    pub fn of(&self, job: JobName) -> Option<&JobPlan> {
        self.0.get(&job)
    }

    /// With another schedule for a job; `None` turns it off.
    ///
    /// # Errors
    /// When the job runs all the time: there is nothing to configure.
    pub fn set(&mut self, job: JobName, schedule: Option<Schedule>) -> Result<(), JobPlanError> {
        let plan = self.0.get_mut(&job).ok_or(JobPlanError(job))?;
        plan.schedule = schedule;
        Ok(())
    }
}

/// A schedule for a job that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {0} runs all the time: it has no schedule to set")]
pub struct JobPlanError(JobName);

#[cfg(test)]
mod tests;
