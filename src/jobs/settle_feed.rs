//! After a restoration: looks whether every host has said what it knows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{AlwaysJob, Job, JobError, NOTHING};
use crate::model::job::JobName;
use crate::service::Service;

/// Settles a restoration when there is nobody left to hear.
pub struct SettleFeed {
    service: Arc<Service>,
    every: Duration,
}

impl SettleFeed {
    /// Looks every few seconds.
    pub fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            every: Duration::from_secs(5),
        }
    }

    /// With another interval than the usual one.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }
}

#[async_trait]
impl Job for SettleFeed {
    fn name(&self) -> JobName {
        JobName::FeedSettle
    }

    async fn run(&self) -> Result<String, JobError> {
        self.service.settle_when_heard().await?;
        Ok(NOTHING.to_owned())
    }
}

#[async_trait]
impl AlwaysJob for SettleFeed {
    fn every(&self) -> Duration {
        self.every
    }
}
