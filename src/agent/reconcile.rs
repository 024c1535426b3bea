//! One pass: observe, check, plan, execute, verify, report. What failed is remembered as a setback, which the next
//! plan looks at; nothing else is carried from pass to pass.

mod failures;
mod report;

use std::path::Path;
use std::time::Duration;

use super::World;
use super::daemon::observe::Recall;
use super::daemon::step::DaemonStep;
use super::desired::Desired;
use super::execute::{StepError, execute};
use super::observe::observe;
use super::observed::{Observed, Setbacks};
use super::plan::{Plan, plan};
use super::records::Journal;
use super::step::{OnFailure, PlannedStep, Step};
use crate::base::Timestamp;
use crate::model::{Condition, ConditionStatus, HostReport};
use crate::sys::{FileError, Lock};

/// A pass begins at least this often.
const PASS_EVERY: Duration = Duration::from_secs(30);
/// A dockerd that is being started is looked at again after so long.
const LOOK_SOON: Duration = Duration::from_secs(2);
/// And at most this often.
const PASS_NOT_BEFORE: Duration = Duration::from_millis(200);

/// What a pass came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// Every step that was run and failed, with why.
    pub failures: Vec<(Step, String)>,
    /// When the next pass should begin.
    pub next: Timestamp,
}

impl Verdict {
    /// Whether nothing failed and no condition is false.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.conditions.iter().all(|c| c.status != ConditionStatus::False)
    }
}

/// What a pass would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The plan.
    pub plan: Plan,
    /// What was found.
    pub observed: Observed,
}

/// The passes of one run of the agent.
pub struct Reconciler {
    world: World,
    setbacks: Setbacks,
    attempts: u32,
    hook_attempts: u32,
    /// The wanted names, and since when they are wanted.
    names: Option<(Vec<crate::pki::San>, Timestamp)>,
    conditions: Vec<Condition>,
    generation: u64,
    connected: Option<bool>,
    reported: Option<(HostReport, Timestamp)>,
    recall: Recall,
    /// Whether somebody asked for it now: windows are not waited for.
    asked_for: bool,
    lock: Option<Lock>,
}

impl Reconciler {
    /// Begins: takes the lock that keeps a second agent out, and removes what a killed one left.
    pub fn begin(world: World) -> Result<Self, FileError> {
        let lock = world.records().open()?;
        trust(&world);
        Ok(Self {
            lock: Some(lock),
            ..Self::looking(world)
        })
    }

    /// Only looks, for [`Reconciler::preview`]: an agent may be running beside it. What the last run said of the
    /// host is where "since" comes from.
    pub fn looking(world: World) -> Self {
        let last = world.records().status().ok().flatten();
        Self {
            conditions: last.map(|status| status.report.conditions).unwrap_or_default(),
            world,
            setbacks: Setbacks::default(),
            attempts: 0,
            hook_attempts: 0,
            names: None,
            generation: 0,
            connected: None,
            reported: None,
            recall: Recall::default(),
            asked_for: false,
            lock: None,
        }
    }

    /// What it works with.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The configuration of dockerd, which others write, too: a change of it is looked at soon.
    pub(super) fn watched_file(&self) -> Option<&Path> {
        self.recall.config_path()
    }

    fn desired(&self) -> Desired {
        let mut desired = Desired::derive(&self.world.config, &self.world.host.facts(), self.generation);
        if let Some(daemon) = &mut desired.daemon {
            daemon.now = self.asked_for;
        }
        desired
    }

    /// What a pass would do now. Changes nothing, on disk or elsewhere; does not wait for names to settle.
    pub async fn preview(&self) -> Preview {
        let desired = self.desired();
        let mut observed = observe(
            &self.world,
            &desired,
            Timestamp::EPOCH,
            &self.setbacks,
            &self.recall,
        )
        .await;
        if self.world.front.is_none() {
            // The gate runs in another process, if it runs: what it serves is what it was given.
            observed.published = observed.served.serial().cloned();
        }
        let now = self.world.clock.now();
        let mut todo = plan(&observed, &desired, now);
        if let Some(done) = observed.daemon.as_ref().filter(|_| todo.plugs()) {
            // What the same pass does then.
            let then = Observed {
                daemon: Some(done.once_plugged()),
                ..observed.clone()
            };
            let then = plan(&then, &desired, now);
            let later = then.steps.into_iter().filter(|step| !todo.steps.contains(step));
            let later: Vec<_> = later.collect();
            todo.steps.extend(later);
            todo.waits = then.waits;
        }
        Preview { plan: todo, observed }
    }

    /// Takes names as settled, and waits for no window: for a pass that somebody asked for.
    pub fn settle(&mut self) {
        self.asked_for = true;
        self.names = Some((self.desired().sans, Timestamp::EPOCH));
    }

    /// One pass.
    ///
    /// # Panics
    /// When it only [looks](Reconciler::looking).
    pub async fn pass(&mut self) -> Verdict {
        assert!(
            self.lock.is_some(),
            "only the holder of the lock may change anything"
        );
        let desired = self.desired();
        let since = self.names_since(&desired);
        let mut observed = self.look(&desired, since).await;
        if let Some(journal) = &observed.interrupted {
            let step = journal.steps.get(journal.at).map(ToString::to_string);
            tracing::info!(step, "the last run was interrupted; continuing");
        }
        let mut todo = plan(&observed, &desired, self.world.clock.now());
        self.log_plan(&todo);
        let plugged = todo.plugs();
        let mut failures = self.run(&todo, &observed).await;
        if !todo.steps.is_empty() {
            observed = self.look(&desired, since).await;
            todo = plan(&observed, &desired, self.world.clock.now());
        }
        // At once, not in the next pass: what did not work is taken back; a dockerd that serves by now is told whom to ask, and
        // one that asks by now is given the port.
        let plugs = failures.is_empty() && (plugged || todo.plugs());
        if observed.is_going_back() || plugs {
            failures.extend(self.run(&todo, &observed).await);
            observed = self.look(&desired, since).await;
            todo = plan(&observed, &desired, self.world.clock.now());
        }
        self.recall.note_plan(&todo, self.world.clock.now());
        self.tell_enforcers(&observed);
        if !todo.because.iter().any(super::checks::Reason::wants_certificate) && failures.is_empty() {
            self.forget_failure();
        }
        let report = self.report(&observed, &desired, &todo);
        self.tell_server(&observed, &report).await;
        let next = self.next_pass(&observed, &desired);
        self.keep_status(&observed, &desired, report, &todo);
        Verdict {
            conditions: self.conditions.clone(),
            failures,
            next,
        }
    }

    async fn look(&mut self, desired: &Desired, since: Timestamp) -> Observed {
        let observed = observe(&self.world, desired, since, &self.setbacks, &self.recall).await;
        self.recall.note_observed(&observed, self.world.clock.now());
        observed
    }

    /// Whom to trust may have changed, and whether anybody asks.
    fn tell_enforcers(&self, observed: &Observed) {
        trust(&self.world);
        if let Some((sight, feed)) = observed.daemon.as_ref().zip(self.world.feed.as_ref()) {
            feed.set_refuses(sight.plug.refuses());
        }
    }

    fn names_since(&mut self, desired: &Desired) -> Timestamp {
        let now = self.world.clock.now();
        match &self.names {
            Some((sans, since)) if *sans == desired.sans => *since,
            _ => {
                self.names = Some((desired.sans.clone(), now));
                now
            }
        }
    }

    fn log_plan(&self, plan: &Plan) {
        if plan.steps.is_empty() {
            return;
        }
        for reason in &plan.because {
            match reason {
                super::checks::Reason::RenewalDue {
                    percent_used: 90.., ..
                } => tracing::error!("because {reason}"),
                super::checks::Reason::RenewalDue {
                    percent_used: 80.., ..
                } => tracing::warn!("because {reason}"),
                super::checks::Reason::NotServed { .. }
                | super::checks::Reason::FilesDiffer { down: Some(_), .. } => {
                    tracing::warn!("because {reason}")
                }
                _ => tracing::info!("because {reason}"),
            }
        }
    }

    /// Runs the plan's steps in order, each durable one journalled before it begins.
    async fn run(&mut self, plan: &Plan, observed: &Observed) -> Vec<(Step, String)> {
        let mut failures = Vec::new();
        let mut done: Vec<&Step> = Vec::new();
        for (at, planned) in plan.steps.iter().enumerate() {
            let PlannedStep { step, on_failure } = planned;
            let result = match self.journal(plan, at) {
                Ok(()) => execute(&self.world, step).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => {
                    tracing::info!("{step}: done");
                    self.succeeded(step);
                    if let Step::Daemon(DaemonStep::Validate { version }) = step {
                        self.recall.note_validated(*version, observed);
                    }
                    if let Step::Daemon(DaemonStep::Plug(_) | DaemonStep::Unplug(_)) = step {
                        self.recall.note_plug(Ok(()), self.world.clock.now());
                    }
                    done.push(step);
                }
                Err(error) => {
                    failures.push((step.clone(), error.to_string()));
                    self.failed(step, &error, observed);
                    match on_failure {
                        OnFailure::GoOn => continue,
                        OnFailure::Stop => break,
                        OnFailure::RollBack => self.roll_back(&done, &error).await,
                    }
                    break;
                }
            }
        }
        if (plan.steps.iter().any(|planned| is_durable(&planned.step)) || observed.interrupted.is_some())
            && let Err(error) = self.world.records().close_journal()
        {
            tracing::warn!("{error}");
        }
        failures
    }

    fn journal(&self, plan: &Plan, at: usize) -> Result<(), StepError> {
        if !is_durable(&plan.steps[at].step) {
            return Ok(());
        }
        Ok(self.world.records().keep_journal(&Journal {
            because: plan.because.iter().map(ToString::to_string).collect(),
            steps: plan.steps.iter().map(|planned| planned.step.clone()).collect(),
            at,
            since: self.world.clock.now(),
        })?)
    }

    /// Takes back what was done, last step first.
    async fn roll_back(&self, done: &[&Step], error: &StepError) {
        if done.iter().any(|step| matches!(step, Step::Daemon(_))) || self.world.dockerd.is_some() {
            // A change of what dockerd is told is taken back by a plan of its own, which outlives this run.
            let note = Step::Daemon(DaemonStep::BeginReturn {
                why: error.to_string(),
            });
            if let Err(error) = execute(&self.world, &note).await {
                tracing::error!("{note}: {error}");
            }
            return;
        }
        for undo in done.iter().rev().filter_map(|step| step.undo()) {
            match execute(&self.world, &undo).await {
                Ok(()) => tracing::warn!("rolled back: {undo}"),
                Err(error) => return tracing::error!("rolling back failed at {undo}: {error}"),
            }
        }
    }

    fn next_pass(&mut self, observed: &Observed, desired: &Desired) -> Timestamp {
        let now = self.world.clock.now();
        let regular = now + PASS_EVERY.mul_f64(self.world.random.between(0.7..1.0));
        let renewal = self
            .world
            .records()
            .memory()
            .ok()
            .and_then(|memory| memory.renewal);
        let settled = observed
            .pair()
            .filter(|pair| !desired.matches(&pair.sans))
            .map(|_| {
                let since = observed.names_since;
                [
                    since + super::checks::NEW_NAMES_SETTLE,
                    since + super::checks::GONE_NAMES_SETTLE,
                ]
            });
        let wanted = [
            self.setbacks.retry_at,
            self.setbacks.hook_retry_at,
            renewal.map(|point| point.at),
        ];
        let soon = self.recall.looks_soon(observed).then_some(now + LOOK_SOON);
        let upcoming = wanted
            .into_iter()
            .flatten()
            .chain(settled.into_iter().flatten())
            .chain(soon)
            .filter(|at| *at > now);
        upcoming.fold(regular, Timestamp::min).max(now + PASS_NOT_BEFORE)
    }
}

/// Has the plugin let in whom the certificate in use leads to. One that cannot be read changes nothing.
fn trust(world: &World) {
    if let Some(plugin) = &world.plugin
        && let Ok(pair) = super::execute::current_pair(world)
    {
        plugin.trust(&pair);
    }
}

/// Whether a step leaves something behind that a later run has to know of.
fn is_durable(step: &Step) -> bool {
    match step {
        Step::Publish | Step::Dial { .. } | Step::RunHook { .. } => false,
        Step::Daemon(step) => step.is_durable(),
        _ => true,
    }
}
