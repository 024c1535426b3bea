//! What is removed when it is old, and what keeps the database quick.

use std::time::Duration;

use super::{Service, ServiceError};
use crate::base::Timestamp;
use crate::base::limits::{PRUNE_BATCH, PRUNE_CLOCK_JUMP};
use crate::model::job::JobName;
use crate::store::{DatabaseSize, PruneOrder, Pruned};

/// How long what is over is kept; `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Certificates, after their end.
    pub certificates: Option<Duration>,
    /// Join tokens and the requests under them, after their end.
    pub tokens: Option<Duration>,
    /// Audit records.
    pub audit: Option<Duration>,
    /// Problems after their end, and notifications after their delivery.
    pub problems: Option<Duration>,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Retention {
    fn default() -> Self {
        Self {
            certificates: Some(DAY * 90),
            tokens: Some(DAY * 30),
            audit: Some(DAY * 400),
            problems: Some(DAY * 90),
        }
    }
}

impl Retention {
    fn order(&self, now: Timestamp) -> PruneOrder {
        let before = |kept: Option<Duration>| kept.map(|kept| now - kept);
        PruneOrder {
            certificates: before(self.certificates),
            tokens: before(self.tokens),
            audit: before(self.audit),
            problems: before(self.problems),
            limit: PRUNE_BATCH,
            now,
        }
    }
}

/// What came of looking for what is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneOutcome {
    /// This was removed.
    Removed(Pruned),
    /// Nothing was: the clock has moved this much since the last look, or there was none. It may be wrong, and what is
    /// removed is gone; the next look believes it.
    Waiting(Option<Duration>),
}

impl Service {
    /// Removes what is older than the retention, in transactions of [`PRUNE_BATCH`] rows of each kind.
    ///
    /// # Errors
    /// The store's; what was removed before stays removed.
    pub async fn prune(&self) -> Result<PruneOutcome, ServiceError> {
        let now = self.clock.now();
        let looked = self.job_state(JobName::Prune).and_then(|job| job.last);
        let looked = looked.map(|last| last.ended_at);
        let moved = looked.map(|at| now.since(at).max(at.since(now)));
        if moved.is_none_or(|moved| moved > PRUNE_CLOCK_JUMP) {
            return Ok(PruneOutcome::Waiting(moved));
        }
        let order = self.settings.retention.order(now);
        let mut total = Pruned::default();
        loop {
            let pruned = self.store.prune(order.clone()).await?;
            total += pruned;
            if pruned.most() < u64::from(PRUNE_BATCH) {
                return Ok(PruneOutcome::Removed(total));
            }
        }
    }

    /// Keeps the database quick. Gives its size.
    ///
    /// # Errors
    /// The store's.
    pub async fn tune_database(&self) -> Result<DatabaseSize, ServiceError> {
        self.store.tune().await?;
        Ok(self.store.size().await?)
    }
}
