//! Removes what is older than the retention.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Job, JobError, NOTHING};
use crate::model::job::JobName;
use crate::service::{PruneOutcome, Service};

/// See [`JobName::Prune`].
pub struct Prune(Arc<Service>);

impl Prune {
    /// Of a service.
    pub fn new(service: Arc<Service>) -> Self {
        Self(service)
    }
}

#[async_trait]
impl Job for Prune {
    fn name(&self) -> JobName {
        JobName::Prune
    }

    async fn run(&self) -> Result<String, JobError> {
        Ok(match self.0.prune().await? {
            PruneOutcome::Waiting(None) => {
                "first look: nothing is removed before the next one, in case the clock is wrong".to_owned()
            }
            PruneOutcome::Waiting(Some(moved)) => format!(
                "the clock has moved by {} days since the last look: nothing is removed before the next one, in case \
                 it is wrong",
                moved.as_secs() / 86_400
            ),
            PruneOutcome::Removed(pruned) if pruned.most() == 0 => NOTHING.to_owned(),
            PruneOutcome::Removed(pruned) => format!(
                "removed {} certificates, {} tokens, {} audit records, {} problems, {} notifications",
                pruned.certificates, pruned.tokens, pruned.audit, pruned.problems, pruned.notifications
            ),
        })
    }
}
