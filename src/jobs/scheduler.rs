//! Runs the jobs that run at times. What it knows stands in the store before it counts: that a run begins, how it ended,
//! when the next one is. After a crash the same table is read again, and a run that has no end is done again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Job, JobError, ended};
use crate::base::Timestamp;
use crate::base::limits::{JOB_LOOK_EVERY, JOB_TIMEOUT};
use crate::model::job::{JobName, JobOutcome};
use crate::service::{Service, ServiceError};

/// How a run ended: outcome, and what it says.
type Ended = (JobOutcome, String);

/// Runs jobs at their times.
pub struct Scheduler {
    service: Arc<Service>,
    jobs: BTreeMap<JobName, Arc<dyn Job>>,
    look_every: Duration,
    runs: JoinSet<Ended>,
    names: BTreeMap<Id, JobName>,
    /// Runs that ended, and of which that could not be written down yet.
    unwritten: Vec<(JobName, Ended)>,
}

impl Scheduler {
    /// Of these jobs.
    pub fn new(service: Arc<Service>, jobs: Vec<Arc<dyn Job>>) -> Self {
        Self {
            service,
            jobs: jobs.into_iter().map(|job| (job.name(), job)).collect(),
            look_every: JOB_LOOK_EVERY,
            runs: JoinSet::new(),
            names: BTreeMap::new(),
            unwritten: Vec::new(),
        }
    }

    /// With another time between looks at the clock than the usual one.
    #[must_use]
    pub fn look_every(self, look_every: Duration) -> Self {
        Self { look_every, ..self }
    }

    /// Runs them until `stop`. What is under way then is cut short, and done again at the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        let names: Vec<JobName> = self.jobs.keys().copied().collect();
        while let Err(error) = self.service.recover_jobs(&names).await {
            tracing::error!(%error, "the schedule cannot be read; it is tried again");
            tokio::select! {
                () = tokio::time::sleep(self.look_every) => {}
                () = stop.cancelled() => return,
            }
        }
        loop {
            let wait = match self.look(&stop).await {
                Ok(()) => self.wait(),
                Err(error) => {
                    tracing::error!(%error, "the schedule cannot be written; no job begins, and it is tried again");
                    self.look_every
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                () = self.service.jobs_asked() => {}
                Some(run) = self.runs.join_next_with_id() => self.take(run),
            }
        }
        while let Some(run) = self.runs.join_next_with_id().await {
            self.take(run);
        }
        if let Err(error) = self.write_ends().await {
            tracing::warn!(%error, "the end of a job could not be written down; it is done again");
        }
    }

    /// Writes down what has ended, and begins what is due.
    async fn look(&mut self, stop: &CancellationToken) -> Result<(), ServiceError> {
        self.write_ends().await?;
        for (name, job) in &self.jobs {
            self.service.plan_job(*name).await?;
            let state = self.service.job_state(*name);
            let Some(cause) = state.and_then(|state| state.is_due(self.service.clock().now())) else {
                continue;
            };
            self.service.begin_job(*name, cause).await?;
            tracing::debug!(job = %name, ?cause, "a job begins");
            let handle = self.runs.spawn(run(Arc::clone(job), stop.clone()));
            self.names.insert(handle.id(), *name);
        }
        Ok(())
    }

    /// INVARIANT: a run counts as under way until its end is written, so that it is not begun beside itself.
    async fn write_ends(&mut self) -> Result<(), ServiceError> {
        while let Some((name, (outcome, detail))) = self.unwritten.last().cloned() {
            self.service.end_job(name, outcome, detail).await?;
            self.unwritten.pop();
        }
        Ok(())
    }

    fn take(&mut self, run: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match run {
            Ok((id, ended)) => (id, ended),
            Err(error) => (error.id(), (JobOutcome::Failed, "it broke off".to_owned())),
        };
        let name = self.names.remove(&id).expect("every run was given a name");
        match ended.0 {
            JobOutcome::Ok => tracing::info!(job = %name, did = ended.1, "a job has run"),
            JobOutcome::Failed => {
                tracing::error!(job = %name, error = ended.1, "a job failed; it is tried again");
            }
            JobOutcome::Interrupted => tracing::info!(job = %name, "a job was cut short"),
        }
        self.unwritten.push((name, ended));
    }

    /// Until the next job is due; not so long that a clock that was set would be noticed late.
    fn wait(&self) -> Duration {
        let now = self.service.clock().now();
        let next = |name: &JobName| -> Option<Timestamp> {
            let state = self.service.job_state(*name)?;
            state.next_at.filter(|_| state.running.is_none())
        };
        let until = |at: Timestamp| at.since(now).max(Duration::from_millis(10));
        let first = self.jobs.keys().filter_map(next).map(until).min();
        first.map_or(self.look_every, |first| first.min(self.look_every))
    }
}

async fn run(job: Arc<dyn Job>, stop: CancellationToken) -> Ended {
    tokio::select! {
        result = tokio::time::timeout(JOB_TIMEOUT, job.run()) => {
            let late = |_| Err(JobError::Other(format!("it took longer than {} s", JOB_TIMEOUT.as_secs())));
            ended(result.unwrap_or_else(late))
        }
        () = stop.cancelled() => (JobOutcome::Interrupted, "the server was stopped in the middle of it".to_owned()),
    }
}
