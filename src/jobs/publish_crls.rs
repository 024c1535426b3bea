//! Keeps the published CRLs up to date: soon after a revocation, by schedule when nothing happens.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::{AlwaysJob, Job, JobError};
use crate::base::limits::{CRL_COALESCE, CRL_LOOK_EVERY};
use crate::model::IssuerKind;
use crate::model::job::JobName;
use crate::service::Service;

/// See [`JobName::Crl`]. A revocation that comes alone gets its list at once; those that come within a moment of the last
/// list share the next one.
pub struct PublishCrls {
    service: Arc<Service>,
    watch: Mutex<watch::Receiver<u64>>,
    /// The next list comes no sooner.
    not_before: Mutex<Instant>,
    every: Duration,
}

impl PublishCrls {
    /// Looks every few seconds, and when something was revoked.
    pub fn new(service: Arc<Service>) -> Self {
        let watch = Mutex::new(service.feed_watch());
        Self {
            service,
            watch,
            not_before: Mutex::new(moment_from_now()),
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
        *self.not_before.lock().await = moment_from_now();
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
            Ok(()) => tokio::time::sleep_until(*self.not_before.lock().await).await,
            // The store is closing.
            Err(_) => std::future::pending().await,
        }
    }
}

fn moment_from_now() -> Instant {
    tokio::time::sleep(CRL_COALESCE).deadline()
}
