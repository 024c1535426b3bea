//! The part of the store that keeps itself and the schedule: what is remembered of jobs, and what is removed when it
//! is old.

use std::net::IpAddr;

use async_trait::async_trait;

use super::StoreError;
use crate::base::Timestamp;
use crate::model::audit::{Actor, Checkpoint};
use crate::model::job::{JobCause, JobName, JobOutcome, JobState, NextRun};

/// A change of what is remembered of a job.
#[derive(Clone, Debug)]
pub struct JobOrder {
    /// Which job.
    pub job: JobName,
    /// What.
    pub change: JobChange,
    /// When.
    pub now: Timestamp,
}

/// What changes of a job.
#[derive(Clone, Debug)]
pub enum JobChange {
    /// `job.plan`: when it runs next, and for which plan that was drawn.
    Plan {
        /// The plan.
        plan: String,
        /// When.
        next: NextRun,
    },
    /// `job.ask`: somebody wants it to run now. Audited.
    Ask {
        /// Who.
        actor: Actor,
        /// From where.
        source: Option<IpAddr>,
    },
    /// `job.begin`: a run begins.
    Begin {
        /// Why.
        cause: JobCause,
    },
    /// `job.end`: the run that is under way ended.
    End {
        /// How.
        outcome: JobOutcome,
        /// What it did, or why it could not.
        detail: String,
        /// When it runs again.
        next: NextRun,
    },
}

/// What is removed, each kind when it is given. May be repeated until there is no more.
#[derive(Clone, Debug)]
pub struct PruneOrder {
    /// Certificates that ended before this.
    pub certificates: Option<Timestamp>,
    /// Tokens that ended before this, with the requests that waited under them.
    pub tokens: Option<Timestamp>,
    /// The oldest audit records, as far as they are from before this. The newest record always stays.
    pub audit: Option<Timestamp>,
    /// Problems that were over before this, and notifications that were delivered before this. What was not delivered
    /// always stays.
    pub problems: Option<Timestamp>,
    /// Of each kind at most this many.
    pub limit: u32,
    /// When.
    pub now: Timestamp,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Certificates.
    pub certificates: u64,
    /// Tokens.
    pub tokens: u64,
    /// Audit records.
    pub audit: u64,
    /// Problems.
    pub problems: u64,
    /// Notifications.
    pub notifications: u64,
}

impl Pruned {
    /// The most of one kind.
    pub fn most(&self) -> u64 {
        let told = self.problems.max(self.notifications);
        self.certificates.max(self.tokens).max(self.audit).max(told)
    }
}

impl std::ops::AddAssign for Pruned {
    fn add_assign(&mut self, other: Self) {
        self.certificates += other.certificates;
        self.tokens += other.tokens;
        self.audit += other.audit;
        self.problems += other.problems;
        self.notifications += other.notifications;
    }
}

/// What a database is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseSize {
    /// Bytes it takes, its log included.
    pub bytes: u64,
    /// Bytes of these that are free, and used before it grows.
    pub free_bytes: u64,
}

/// Jobs, and what is old. As with [`super::Store`], each write method is one transaction, answered after the commit.
#[async_trait]
pub trait UpkeepStore: Send + Sync + 'static {
    /// `job.plan`, `job.ask`, `job.begin`, `job.end`. Gives the state after it.
    async fn change_job(&self, order: JobOrder) -> Result<JobState, StoreError>;
    /// `prune`: removes what is old. When audit records go, the last of them becomes the checkpoint that the chain
    /// begins after, and a record says so.
    async fn prune(&self, order: PruneOrder) -> Result<Pruned, StoreError>;

    /// What is remembered of jobs, by name.
    async fn jobs(&self) -> Result<Vec<JobState>, StoreError>;
    /// After which record the chain of audit records begins; `None` when none was ever removed.
    async fn audit_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError>;
    /// How large the database is.
    async fn size(&self) -> Result<DatabaseSize, StoreError>;
    /// Makes it quick again, without holding up who writes for long.
    async fn tune(&self) -> Result<(), StoreError>;
}
