//! How far the hosts are.

use std::time::Duration;

use crate::base::limits::{APPLIED_LOOK_EVERY, APPLIED_MISSING_MAX, APPLIED_WAIT_MAX};
use crate::model::FeedApplied;
use crate::service::{Authorized, HostItself, OWN_NAME, RolesProgress, Service, ServiceError, Viewer};
use crate::store::{Acknowledgement, Progress, ProgressQuery, StoreError};

/// Why what a host says about itself is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AppliedError {
    /// Another feed, a number that is none of ours, or one with another content.
    #[error(
        "this server's feed has no number {number} with that seal: it was restored from a backup, or is another server. Follow the feed anew"
    )]
    NotOurs {
        /// The number.
        number: u64,
    },
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for AppliedError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

impl Service {
    /// Takes a host's word for how far it is, if it speaks of this feed.
    ///
    /// # Errors
    /// [`AppliedError`].
    pub async fn acknowledge(
        &self,
        host: &Authorized<HostItself>,
        applied: FeedApplied,
    ) -> Result<(), AppliedError> {
        let number = applied.number;
        let ours = match applied.seal {
            None => number == 0,
            Some(seal) => self.seal_of(number).await? == Some(seal),
        };
        if !ours || self.feed_origin().await?.feed != applied.feed {
            return Err(AppliedError::NotOurs { number });
        }
        let acknowledgement = Acknowledgement {
            identity: host.identity().id,
            applied,
            at: self.clock.now(),
        };
        self.store.acknowledge(acknowledgement).await?;
        self.feed.said.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Who has applied a number of the feed, the newest without one; as soon as all have, but after `wait` at the
    /// latest.
    ///
    /// # Errors
    /// The store's.
    pub async fn applied(
        &self,
        _viewer: &Authorized<Viewer>,
        number: Option<u64>,
        wait: Duration,
    ) -> Result<(u64, Progress), ServiceError> {
        let number = match number {
            Some(number) => number,
            None => self.store.feed_head().await?.number,
        };
        let mut said = self.feed.said.subscribe();
        let waiting = async {
            loop {
                said.mark_unchanged();
                let progress = self.progress(number).await?;
                if progress.applied == progress.hosts {
                    return Ok(progress);
                }
                // Many say it at the same time: looked at once for all of them.
                tokio::time::sleep(APPLIED_LOOK_EVERY).await;
                if said.changed().await.is_err() {
                    return Ok(progress);
                }
            }
        };
        match tokio::time::timeout(wait.min(APPLIED_WAIT_MAX), waiting).await {
            Ok(progress) => progress.map(|progress| (number, progress)),
            Err(_) => Ok((number, self.progress(number).await?)),
        }
    }

    /// Who enforces the roles that count now; as soon as all do, but after `wait` at the latest.
    ///
    /// # Errors
    /// The store's.
    pub async fn roles_applied(
        &self,
        _viewer: &Authorized<Viewer>,
        wait: Duration,
    ) -> Result<RolesProgress, ServiceError> {
        let mut said = self.feed.said.subscribe();
        let waiting = async {
            loop {
                said.mark_unchanged();
                let progress = self.roles_progress().await?;
                if progress.applied == progress.hosts {
                    return Ok(progress);
                }
                tokio::time::sleep(APPLIED_LOOK_EVERY).await;
                if said.changed().await.is_err() {
                    return Ok(progress);
                }
            }
        };
        match tokio::time::timeout(wait.min(APPLIED_WAIT_MAX), waiting).await {
            Ok(progress) => progress,
            Err(_) => self.roles_progress().await,
        }
    }

    /// Who has applied a number of the feed by now.
    ///
    /// # Errors
    /// The store's.
    pub async fn progress(&self, number: u64) -> Result<Progress, ServiceError> {
        let query = ProgressQuery {
            number,
            now: self.clock.now(),
            except: OWN_NAME.parse().expect("a name"),
            missing_max: APPLIED_MISSING_MAX,
        };
        Ok(self.store.progress(query).await?)
    }
}
