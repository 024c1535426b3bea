//! The server's schedule. A job is a name, an interval and one run over the service; it can be repeated at
//! any time, and a run that fails is tried again at the next interval.

mod own_certificate;
mod publish_crls;
mod settle_feed;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

pub use own_certificate::{OwnCertificateFile, RenewOwnCertificate};
pub use publish_crls::{publish_crls, publish_crls_every};
pub use settle_feed::SettleFeed;

/// Why a run failed; goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The service could not do it.
    #[error(transparent)]
    Service(#[from] crate::service::ServiceError),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] crate::sys::FileError),
    /// A new certificate does not go with its key.
    #[error(transparent)]
    KeyPair(#[from] crate::pki::tls::KeyPairError),
}

/// Something the server does by itself.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// Its name in the log.
    fn name(&self) -> &'static str;
    /// How long between the end of a run and the next one.
    fn every(&self) -> Duration;
    /// Does it, if there is anything to do.
    async fn run(&self) -> Result<(), JobError>;
}

/// Runs a job until `stop`.
pub async fn run(job: Arc<dyn Job>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(job.every()) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = job.run().await {
            tracing::error!(job = job.name(), %error, "a job failed; it is tried again");
        }
    }
}
