//! The server's schedule. The table of jobs is [`crate::model::job::JobName`]; here they are run. A job is a name and
//! one run over the service, which can be repeated at any time and be cut short anywhere.
//!
//! [`keep`] runs those that run all the time, [`Scheduler`] those that run at times.

mod database;
mod notify;
mod own_certificate;
mod prune;
mod publish_crls;
mod scans;
mod scheduler;
mod settle_feed;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

pub use database::KeepDatabase;
pub use notify::{
    Channel, CommandChannel, Deliver, HttpChannel, HttpForm, SmtpChannel, SmtpPlan, SmtpTls, Target,
    TargetError,
};
pub use own_certificate::{OwnCertificateFile, RenewOwnCertificate};
pub use prune::Prune;
pub use publish_crls::PublishCrls;
pub use scans::Scan;
pub use scheduler::Scheduler;
pub use settle_feed::SettleFeed;

use crate::model::job::{JobCause, JobName, JobOutcome, JobRun};
use crate::service::Service;

/// Why a run failed; goes to the log and to the list of jobs.
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
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// Something the server does by itself.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// Which one.
    fn name(&self) -> JobName;
    /// Does it, if there is anything to do. Gives what it did, in a few words.
    async fn run(&self) -> Result<String, JobError>;
}

/// A job that runs all the time.
#[async_trait]
pub trait AlwaysJob: Job {
    /// How long between the end of a run and the next one.
    fn every(&self) -> Duration;
    /// Ends when there is something to do earlier.
    async fn woken(&self) {
        std::future::pending().await
    }
}

/// How long a run may go on when the server ends; then it is cut short.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What a run says that had nothing to do.
const NOTHING: &str = "nothing to do";

/// Runs a job all the time, until `stop`: first at once. A run that fails is tried again at the next interval.
pub async fn keep(job: Arc<dyn AlwaysJob>, service: Arc<Service>, stop: CancellationToken) {
    let name = job.name();
    let mut cause = JobCause::Schedule;
    loop {
        let started_at = service.clock().now();
        let cut = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        let result = tokio::select! {
            result = job.run() => result,
            () = cut => return,
        };
        if let Err(error) = &result {
            tracing::error!(job = %name, %error, "a job failed; it is tried again");
        }
        let (outcome, detail) = ended(result);
        let ended_at = service.clock().now();
        let run = JobRun {
            started_at,
            ended_at,
            cause,
            outcome,
            detail,
        };
        service.note_run(name, run);
        cause = JobCause::Schedule;
        tokio::select! {
            () = tokio::time::sleep(job.every()) => {}
            () = job.woken() => {}
            () = service.job_asked(name) => cause = JobCause::Asked,
            () = stop.cancelled() => return,
        }
    }
}

fn ended(result: Result<String, JobError>) -> (JobOutcome, String) {
    match result {
        Ok(did) => (JobOutcome::Ok, did),
        Err(error) => (JobOutcome::Failed, error.to_string()),
    }
}
