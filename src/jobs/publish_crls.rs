//! Keeps the published CRLs up to date: soon after a revocation, by schedule when nothing happens.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};

use super::{AlwaysJob, Job, JobError};
use crate::base::limits::{CRL_COALESCE, CRL_LOOK_EVERY};
use crate::model::IssuerKind;
use crate::model::job::JobName;
use crate::service::Service;

/// See [`JobName::Crl`]. Revocations that come together share a list: it is signed a moment after the first of them.
pub struct PublishCrls {
    service: Arc<Service>,
    watch: Mutex<watch::Receiver<u64>>,
    every: Duration,
}

impl PublishCrls {
    /// Looks every few seconds, and when something was revoked.
    pub fn new(service: Arc<Service>) -> Self {
        let watch = Mutex::new(service.feed_watch());
        Self {
            service,
            watch,
            every: CRL_LOOK_EVERY,
        }
    }

    /// With another interval than the usual one.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }
}

#[async_trait]
impl Job for PublishCrls {
    fn name(&self) -> JobName {
        JobName::Crl
    }

    /// A list that could not be published is audited and logged by the service, and fails the run.
    async fn run(&self) -> Result<String, JobError> {
        self.watch.lock().await.mark_unchanged();
        self.service.publish_crls().await?;
        let trouble = IssuerKind::ALL.into_iter().find_map(|issuer| {
            let why = self.service.crl_trouble(issuer)?;
            Some(format!("{issuer}: {why}"))
        });
        if let Some(why) = trouble {
            return Err(JobError::Other(why));
        }
        let numbers = IssuerKind::ALL.into_iter().filter_map(|issuer| {
            let published = self.service.crl(issuer)?;
            Some(format!("{issuer} {}", published.crl.number))
        });
        Ok(format!("published: {}", numbers.collect::<Vec<_>>().join(", ")))
    }
}

#[async_trait]
impl AlwaysJob for PublishCrls {
    fn every(&self) -> Duration {
        self.every
    }

    async fn woken(&self) {
        match self.watch.lock().await.changed().await {
            Ok(()) => tokio::time::sleep(CRL_COALESCE).await,
            // The store is closing.
            Err(_) => std::future::pending().await,
        }
    }
}
