//! The schedule as people see it, and what is written down of it. Running is done in `jobs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::{Authorized, Operator, Service, ServiceError, Viewer};
use crate::base::Timestamp;
use crate::base::metrics::{Counters, Page, Source};
use crate::model::audit::Event;
use crate::model::job::{JobCause, JobName, JobOutcome, JobPlan, JobPlans, JobRun, JobState, NextRun, Usual};
use crate::store::{JobChange, JobOrder};

/// Characters of what a run says about itself.
const DETAIL_CHARS_MAX: usize = 500;

/// Why a job was not asked to run.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It has nothing to work on here.
    #[error("job {0} does not run on this server: it is not configured (docs/operations.md)")]
    NotHere(JobName),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSeen {
    /// When it runs: an expression and its zone, `always`, or `off`.
    pub schedule: String,
    /// Whether this server runs it at all.
    pub configured: bool,
    /// What is remembered.
    pub state: JobState,
}

/// What is known of the jobs of this process.
#[derive(Debug)]
pub(super) struct Board {
    plans: JobPlans,
    known: Arc<Known>,
    asked: Arc<Notify>,
    wakes: BTreeMap<JobName, Arc<Notify>>,
    runs: Arc<Counters>,
}

/// The last known state of each job that runs here.
#[derive(Debug, Default)]
struct Known(Mutex<BTreeMap<JobName, JobState>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobName, JobState>> {
        self.0.lock().expect("no panic while the lock is held")
    }
}

impl Board {
    pub(super) fn new(plans: JobPlans) -> Self {
        let outcomes = [JobOutcome::Ok, JobOutcome::Failed, JobOutcome::Interrupted].map(word);
        let rows = JobName::ALL
            .into_iter()
            .flat_map(|job| outcomes.map(|outcome| vec![job.as_str(), outcome]));
        Self {
            plans,
            known: Arc::default(),
            asked: Arc::default(),
            wakes: JobName::ALL.map(|job| (job, Arc::default())).into(),
            runs: Counters::new(
                "dockwarden_job_runs_total",
                "Runs of jobs that ended since the start, by result.",
                &["name", "result"],
                rows,
            ),
        }
    }

    /// What it adds to `/metrics`.
    pub(super) fn sources(&self) -> [Arc<dyn Source>; 2] {
        [self.runs.clone(), self.known.clone()]
    }

    fn put(&self, state: JobState) {
        self.known.lock().insert(state.name, state);
    }
}

/// The value of `result` on `/metrics`.
fn word(outcome: JobOutcome) -> &'static str {
    match outcome {
        JobOutcome::Ok => "ok",
        JobOutcome::Failed => "failed",
        JobOutcome::Interrupted => "interrupted",
    }
}

impl Source for Known {
    fn write(&self, page: &mut Page) {
        let known = self.lock().clone();
        type Value = fn(&JobState) -> Option<Timestamp>;
        let times: [(&str, &str, Value); 3] = [
            (
                "dockwarden_job_last_success_timestamp_seconds",
                "When a run of the job last succeeded, seconds since 1970.",
                |job| job.succeeded_at,
            ),
            (
                "dockwarden_job_next_run_timestamp_seconds",
                "When the job runs next, seconds since 1970; absent for those that run all the time.",
                |job| job.next_at,
            ),
            (
                "dockwarden_job_running_since_timestamp_seconds",
                "Since when a run of the job is under way, seconds since 1970; absent when none is.",
                |job| job.running.map(|running| running.since),
            ),
        ];
        for (name, help, value) in times {
            let mut family = page.gauge(name, help);
            for (job, state) in &known {
                if let Some(time) = value(state) {
                    family.time(&[("name", job.as_str())], time);
                }
            }
        }
        let mut family = page.gauge(
            "dockwarden_job_failures",
            "Runs of the job in a row that did not succeed; 0 when the last one did.",
        );
        for (job, state) in &known {
            family.sample(&[("name", job.as_str())], f64::from(state.failures));
        }
    }
}

/// For people.
impl Service {
    /// Every job, in the order of the table.
    pub fn jobs(&self, _viewer: &Authorized<Viewer>) -> Vec<JobSeen> {
        let known = self.board.known.lock();
        let seen = |job: JobName| JobSeen {
            schedule: match self.board.plans.of(job) {
                Some(plan) => plan.to_string(),
                None => "always".to_owned(),
            },
            configured: known.contains_key(&job),
            state: known.get(&job).cloned().unwrap_or_else(|| JobState::new(job)),
        };
        JobName::ALL.into_iter().map(seen).collect()
    }

    /// Has a job run now, or as soon as the run that is under way has ended.
    ///
    /// # Errors
    /// [`JobError::NotHere`]; the store's.
    pub async fn ask_job(&self, operator: &Authorized<Operator>, job: JobName) -> Result<(), JobError> {
        if !self.board.known.lock().contains_key(&job) {
            return Err(JobError::NotHere(job));
        }
        if job.usual() == Usual::Always {
            self.note_asked(operator, job).await?;
            self.board.wakes[&job].notify_one();
            return Ok(());
        }
        let change = JobChange::Ask {
            actor: operator.actor(),
            source: operator.source(),
        };
        self.change_job(job, change).await?;
        self.board.asked.notify_one();
        Ok(())
    }

    async fn note_asked(&self, operator: &Authorized<Operator>, job: JobName) -> Result<(), ServiceError> {
        let event = Event {
            at: self.clock.now(),
            actor: operator.actor(),
            action: "job.run",
            subject: job.to_string(),
            outcome: "ok".to_owned(),
            source: operator.source(),
            detail: BTreeMap::new(),
        };
        Ok(self.store.append_audit(event).await?)
    }
}

/// For whoever runs them.
impl Service {
    /// When a job runs; `None` when all the time.
    pub fn job_plan(&self, job: JobName) -> Option<&JobPlan> {
        self.board.plans.of(job)
    }

    /// What is remembered of a job that runs here.
    pub fn job_state(&self, job: JobName) -> Option<JobState> {
        self.board.known.lock().get(&job).cloned()
    }

    /// Reads what was remembered before this process; jobs that run here are known from then on. A run that was under
    /// way was cut short: only one process works on a database.
    ///
    /// # Errors
    /// The store's.
    pub async fn recover_jobs(&self, jobs: &[JobName]) -> Result<(), ServiceError> {
        let kept = self.store.jobs().await?;
        for job in jobs {
            let state = kept.iter().find(|state| state.name == *job).cloned();
            let state = state.unwrap_or_else(|| JobState::new(*job));
            let was_running = state.running.is_some();
            self.board.put(state);
            if was_running {
                tracing::warn!(%job, "a run was cut short when the server ended; it is done again");
                let why = "the server ended in the middle of it".to_owned();
                self.end_job(*job, JobOutcome::Interrupted, why).await?;
            }
        }
        Ok(())
    }

    /// Writes down when a job runs next, if that must be drawn anew.
    ///
    /// # Errors
    /// The store's.
    pub async fn plan_job(&self, job: JobName) -> Result<(), ServiceError> {
        let (Some(plan), Some(state)) = (self.board.plans.of(job), self.job_state(job)) else {
            return Ok(());
        };
        match plan.replan(&state, self.clock.now(), &*self.random) {
            None => Ok(()),
            Some(next) => {
                let plan = plan.to_string();
                self.change_job(job, JobChange::Plan { plan, next }).await
            }
        }
    }

    /// Writes down that a run begins.
    ///
    /// # Errors
    /// The store's: then it must not.
    pub async fn begin_job(&self, job: JobName, cause: JobCause) -> Result<(), ServiceError> {
        self.change_job(job, JobChange::Begin { cause }).await
    }

    /// Writes down how a run ended, and when the next one begins.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_job(
        &self,
        job: JobName,
        outcome: JobOutcome,
        detail: String,
    ) -> Result<(), ServiceError> {
        let failures = self.job_state(job).map_or(0, |state| state.failures);
        let next = match self.board.plans.of(job) {
            Some(plan) => plan.after(outcome, failures, self.clock.now(), &*self.random),
            None => NextRun {
                at: None,
                retries: false,
            },
        };
        let detail = detail.chars().take(DETAIL_CHARS_MAX).collect();
        let change = JobChange::End {
            outcome,
            detail,
            next,
        };
        self.change_job(job, change).await?;
        self.board.runs.count(&[job.as_str(), word(outcome)]);
        Ok(())
    }

    async fn change_job(&self, job: JobName, change: JobChange) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let state = self.store.change_job(JobOrder { job, change, now }).await?;
        self.board.put(state);
        Ok(())
    }

    /// Takes note of a run of a job that runs all the time. Nothing of it is kept: it runs again at the next start.
    pub fn note_run(&self, job: JobName, run: JobRun) {
        self.board.runs.count(&[job.as_str(), word(run.outcome)]);
        let mut known = self.board.known.lock();
        let state = known.entry(job).or_insert_with(|| JobState::new(job));
        match run.outcome {
            JobOutcome::Ok => {
                state.succeeded_at = Some(run.ended_at);
                state.failures = 0;
            }
            JobOutcome::Failed | JobOutcome::Interrupted => {
                state.failures = state.failures.saturating_add(1);
            }
        }
        state.last = Some(run);
    }

    /// Waits until somebody asks for a job that runs at times.
    pub async fn jobs_asked(&self) {
        self.board.asked.notified().await;
    }

    /// Waits until somebody asks for a job that runs all the time.
    pub async fn job_asked(&self, job: JobName) {
        self.board.wakes[&job].notified().await;
    }
}
