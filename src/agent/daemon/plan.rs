//! What is done with dockerd, and when: the plan of mode `daemon`. Pure.
//!
//! A change under way comes first: it is finished, or taken back, before anything else is begun. What is not done
//! now has a reason, which people see.

use std::net::SocketAddr;

use super::attempt::{Attempt, ProcessId, Stage};
use super::change::Change;
use super::facts::DaemonState;
use super::leaving::keeping_containers;
use super::sight::{DaemonSight, Opening};
use super::step::DaemonStep;
use crate::agent::desired::{DaemonDesired, Desired};
use crate::agent::observed::Observed;
use crate::agent::plan::{Plan, Target};
use crate::agent::step::{OnFailure, Step};
use crate::base::Timestamp;

/// Why dockerd is not told, or not restarted, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// It cannot be told anything here; says why.
    Refused(String),
    /// Somebody stopped it. The files are ready for when it is started.
    Stopped,
    /// It is being started.
    Starting,
    /// It does not run, and not through us; says what is known.
    Down(String),
    /// For the next window.
    Window {
        /// When it opens.
        at: Timestamp,
        /// All of them, in words.
        windows: String,
    },
    /// For pulls and builds to end, until then at most.
    Idle {
        /// What is under way.
        busy: Vec<String>,
        /// When the wait is over.
        until: Timestamp,
    },
    /// For the next try after a failure.
    Failed(Timestamp),
    /// Something else keeps changing our files; they are left alone until then.
    Contested(Timestamp),
}

/// Everything that a plan is made from.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What was found.
    pub observed: &'a Observed,
    /// What was found of dockerd.
    pub sight: &'a DaemonSight,
    /// What it is to do.
    pub desired: &'a DaemonDesired,
    /// Where it is dialled.
    pub dial: SocketAddr,
    /// The time.
    pub now: Timestamp,
}

impl Plan {
    pub(super) fn daemon(&mut self, step: DaemonStep, on_failure: OnFailure) {
        self.push(Step::Daemon(step), on_failure);
    }

    /// Goes on with the change under way.
    pub(in crate::agent) fn continue_change(&mut self, scene: Scene<'_>, attempt: &Attempt) {
        match &attempt.stage {
            Stage::Changing => self.continue_changing(scene, attempt),
            Stage::Restarting { process, .. } => self.continue_restart(scene, attempt, process.as_ref()),
            Stage::Returning { restarted, .. } => self.go_back(scene, attempt, *restarted),
            Stage::RestartingBack { process, .. } => self.restart_back(scene, attempt, process.as_ref()),
        }
    }

    /// Some files may be changed and others not. Nothing was restarted.
    fn continue_changing(&mut self, scene: Scene<'_>, attempt: &Attempt) {
        let sight = scene.sight;
        let closed = sight.runs() && !sight.serves(scene.observed) && scene.opening() != Opening::Now;
        match (&sight.facts.state, &sight.arrangement) {
            (DaemonState::Starting, _) => self.waits = Some(Waits::Starting),
            (DaemonState::Failed(why), _) => self.begin_return(scene, attempt, why.clone()),
            (DaemonState::Stopped, _) if !sight.knows_its_flags() => {
                self.begin_return(scene, attempt, "dockerd was stopped meanwhile".to_owned());
            }
            (_, Err(refusal)) => self.begin_return(scene, attempt, refusal.to_string()),
            _ if closed => {
                let why = "it was interrupted, and the window is over".to_owned();
                self.begin_return(scene, attempt, why);
            }
            _ => {
                let target = Target {
                    version: attempt.to,
                    new: false,
                };
                let swapped = scene.observed.version() == Some(attempt.to);
                self.change(scene, Some(target).filter(|_| !swapped));
            }
        }
    }

    /// Everything is written; `before` is the process that does not have it.
    fn continue_restart(&mut self, scene: Scene<'_>, attempt: &Attempt, before: Option<&ProcessId>) {
        let sight = scene.sight;
        match &sight.facts.state {
            DaemonState::Running if sight.serves(scene.observed) => self.commit(None),
            DaemonState::Running if sight.is_fresh(before) => self.verify(scene, None),
            DaemonState::Running if scene.opening() != Opening::Now => {
                let why = "it was interrupted, and the window is over".to_owned();
                self.begin_return(scene, attempt, why);
            }
            DaemonState::Running => self.restart(scene, None),
            DaemonState::Starting => self.verify(scene, None),
            // Where nobody knows who stopped it, it was us: one that was stopped before is no open change.
            DaemonState::Stopped => self.restart(scene, None),
            DaemonState::Failed(why) => self.begin_return(scene, attempt, why.clone()),
        }
    }

    fn restart(&mut self, scene: Scene<'_>, target: Option<Target>) {
        self.daemon(DaemonStep::Restart, OnFailure::RollBack);
        self.verify(scene, target);
    }

    fn verify(&mut self, scene: Scene<'_>, target: Option<Target>) {
        self.daemon(DaemonStep::Verify { address: scene.dial }, OnFailure::RollBack);
        self.commit(target);
    }

    /// The change has arrived: what came with a new certificate follows.
    fn commit(&mut self, target: Option<Target>) {
        self.daemon(DaemonStep::Commit, OnFailure::Stop);
        if target.is_some() {
            self.push(Step::DrawRenewal, OnFailure::GoOn);
        }
        if target.is_some_and(|target| target.new) {
            self.push(Step::CleanUp, OnFailure::GoOn);
        }
    }

    fn begin_return(&mut self, scene: Scene<'_>, attempt: &Attempt, why: String) {
        self.daemon(DaemonStep::BeginReturn { why }, OnFailure::Stop);
        self.go_back(scene, attempt, matches!(attempt.stage, Stage::Restarting { .. }));
    }

    /// Puts files and link back, last one first; restarts dockerd unless it never had the changes.
    fn go_back(&mut self, scene: Scene<'_>, attempt: &Attempt, restarted: bool) {
        let sight = scene.sight;
        let process = sight.facts.process.as_ref().filter(|_| sight.runs());
        let as_before =
            process.is_some_and(|process| attempt.process.as_ref().is_some_and(|id| id.is(process)));
        let left_alone = sight.is_stopped() && (sight.knows_who_stopped_it() || !restarted);
        let restarts = !as_before && !left_alone;
        for change in attempt.changes.iter().rev().cloned().map(Change::reversed) {
            let change = if restarts {
                keeping_containers(&change)
            } else {
                change
            };
            self.daemon(DaemonStep::Restore(change), OnFailure::Stop);
        }
        if let Some(from) = attempt.from.filter(|from| *from != attempt.to) {
            let back = Step::Swap {
                from: Some(attempt.to),
                to: from,
            };
            self.push(back, OnFailure::GoOn);
        }
        if restarts {
            self.daemon(DaemonStep::RestartBack, OnFailure::Stop);
            self.daemon(DaemonStep::VerifyBack { address: scene.dial }, OnFailure::Stop);
        }
        self.finish_return(attempt);
    }

    /// Everything is put back; `before` is the process that has it not.
    fn restart_back(&mut self, scene: Scene<'_>, attempt: &Attempt, before: Option<&ProcessId>) {
        let sight = scene.sight;
        let left_alone = sight.is_stopped() && sight.knows_who_stopped_it();
        if !left_alone {
            if !(sight.runs() && sight.is_fresh(before)) {
                self.daemon(DaemonStep::RestartBack, OnFailure::Stop);
            }
            self.daemon(DaemonStep::VerifyBack { address: scene.dial }, OnFailure::Stop);
        }
        self.finish_return(attempt);
    }

    /// live-restore stays on over the restart, so that containers outlive it, and is put back only then.
    fn finish_return(&mut self, attempt: &Attempt) {
        for exact in attempt.changes.iter().rev().cloned().map(Change::reversed) {
            let kept = keeping_containers(&exact);
            if kept != exact {
                let last = Change {
                    before: kept.after,
                    ..exact
                };
                self.daemon(DaemonStep::Restore(last), OnFailure::Stop);
            }
        }
        self.daemon(DaemonStep::CommitReturn, OnFailure::Stop);
    }

    /// Has `target`, or what is in use already, served by dockerd; or says why not now.
    pub(in crate::agent) fn put_in_use(&mut self, scene: Scene<'_>, target: Option<Target>) {
        let Scene { observed, sight, .. } = scene;
        let changes = sight.changes();
        let restarts = sight.runs() && (target.is_some() || !sight.serves(observed));
        if target.is_none() && !restarts && changes.is_empty() && sight.memory.broken.is_none() {
            return self.say_why_down(sight);
        }
        if let Err(refusal) = &sight.arrangement {
            self.waits = Some(Waits::Refused(refusal.to_string()));
            return;
        }
        if changes.is_empty() && sight.memory.broken.is_some() {
            self.daemon(DaemonStep::Start, OnFailure::Stop);
            return;
        }
        if !changes.is_empty() && sight.memory.served.is_some() && observed.pair().is_some() {
            return self.mend(scene, changes);
        }
        let Some(version) = target.map(|target| target.version).or(observed.version()) else {
            return;
        };
        if let Some(waits) = scene.waits_before() {
            self.waits = Some(waits);
            return;
        }
        if sight.validated != Some(version) {
            self.daemon(DaemonStep::Validate { version }, OnFailure::Stop);
        }
        match scene.waits_to_restart().filter(|_| restarts) {
            Some(waits) => {
                self.waits = Some(waits);
                self.lead_to_first(scene, target);
            }
            None => self.change(scene, target),
        }
        if sight.is_stopped() {
            self.waits = Some(Waits::Stopped);
        }
    }

    /// A first certificate, or one that stands in for files that are broken, is linked before dockerd uses it: the
    /// host can speak to the server with it.
    fn lead_to_first(&mut self, scene: Scene<'_>, target: Option<Target>) {
        let Some(Target { version, new }) = target.filter(|_| scene.observed.pair().is_none()) else {
            return;
        };
        let swap = Step::Swap {
            from: None,
            to: version,
        };
        self.push(swap, OnFailure::Stop);
        self.push(Step::DrawRenewal, OnFailure::GoOn);
        if new {
            self.push(Step::CleanUp, OnFailure::GoOn);
        }
    }

    fn say_why_down(&mut self, sight: &DaemonSight) {
        self.waits = match (&sight.arrangement, &sight.facts.state) {
            (Err(refusal), _) => Some(Waits::Refused(refusal.to_string())),
            (_, DaemonState::Stopped) => Some(Waits::Stopped),
            (_, DaemonState::Starting) => Some(Waits::Starting),
            (_, DaemonState::Failed(why)) => Some(Waits::Down(why.clone())),
            (_, DaemonState::Running) => None,
        };
    }

    /// Link first: the files name what it leads to. Then the files in their order: dockerd can be started after each.
    fn change(&mut self, scene: Scene<'_>, target: Option<Target>) {
        let Scene { observed, sight, .. } = scene;
        let from = observed.pair().map(|pair| pair.version);
        let Some(to) = target.map(|target| target.version).or(observed.version()) else {
            return;
        };
        let restarts = sight.runs() && (target.is_some() || !sight.serves(observed));
        let keeping = sight.keeping.as_ref().filter(|_| restarts);
        let changes = keeping.cloned().unwrap_or_else(|| sight.changes_with_restart());
        let attempt = Attempt {
            from,
            to,
            served: observed.served.serial().cloned(),
            process: sight.facts.process.as_ref().map(ProcessId::from),
            began: scene.now,
            changes: changes.clone(),
            stage: Stage::Changing,
        };
        self.daemon(DaemonStep::Begin(attempt), OnFailure::Stop);
        if target.is_some() {
            self.push(Step::Swap { from, to }, OnFailure::RollBack);
        }
        let reloads = changes.iter().any(|change| change.reload_units);
        for change in changes {
            self.daemon(DaemonStep::Change(change), OnFailure::RollBack);
        }
        if !reloads && sight.facts.unit.as_ref().is_some_and(|unit| unit.needs_reload) {
            self.daemon(DaemonStep::ReloadUnits, OnFailure::RollBack);
        }
        if !sight.runs() {
            return self.daemon(DaemonStep::Leave, OnFailure::Stop);
        }
        if !restarts {
            return self.commit(None);
        }
        if keeping.is_some() {
            self.daemon(DaemonStep::KeepContainers, OnFailure::RollBack);
        }
        self.restart(scene, target);
    }
}

impl<'a> Scene<'a> {
    /// In mode `daemon`, once dockerd was looked at.
    pub(in crate::agent) fn of(observed: &'a Observed, desired: &'a Desired, now: Timestamp) -> Option<Self> {
        Some(Self {
            sight: observed.daemon.as_ref()?,
            desired: desired.daemon.as_ref()?,
            dial: desired.dial?,
            observed,
            now,
        })
    }

    fn opening(&self) -> Opening {
        self.sight.opening(self.observed, self.desired, self.now)
    }

    /// What keeps anything from being changed.
    fn waits_before(&self) -> Option<Waits> {
        let Scene { sight, now, .. } = *self;
        let retry_at = sight.retry_at(self.observed, self.desired);
        match &sight.facts.state {
            DaemonState::Starting => Some(Waits::Starting),
            DaemonState::Failed(why) => Some(Waits::Down(why.clone())),
            DaemonState::Stopped if !sight.knows_its_flags() => Some(Waits::Stopped),
            DaemonState::Running | DaemonState::Stopped => retry_at.filter(|at| now < *at).map(Waits::Failed),
        }
    }

    /// What keeps dockerd from being restarted.
    fn waits_to_restart(&self) -> Option<Waits> {
        if let Opening::At(at) = self.opening() {
            let windows = self.desired.windows.to_string();
            return Some(Waits::Window { at, windows });
        }
        let until = self.sight.waits_for_idle(self.desired, self.now)?;
        let busy = self.sight.busy.clone();
        Some(Waits::Idle { busy, until })
    }
}
