//! One pass: observe, check, plan, execute, verify, report. What failed is remembered as a setback, which the next
//! plan looks at; nothing else is carried from pass to pass.

use std::time::Duration;

use super::World;
use super::conditions::conditions;
use super::desired::Desired;
use super::execute::{StepError, execute, remember};
use super::observe::observe;
use super::observed::{AwaitingApproval, Failure, Observed, RefusedNames, Setbacks};
use super::pair::PairError;
use super::plan::{Held, Plan, plan};
use super::records::{Journal, Status};
use super::step::{OnFailure, PlannedStep, Served, Step};
use crate::base::{Backoff, Timestamp};
use crate::client;
use crate::model::{Condition, ConditionStatus, HostReport, SeenCertificate};
use crate::sys::{FileError, Lock};
use crate::wire::{Code, StatusAnswer};

/// A pass begins at least this often.
const PASS_EVERY: Duration = Duration::from_secs(30);
/// And at most this often.
const PASS_NOT_BEFORE: Duration = Duration::from_millis(200);
/// The server hears of this host at least this often, jitter included.
const REPORT_EVERY: std::ops::Range<f64> = 40.0..60.0;
/// How long the server may make an enrolment wait that an operator has to approve.
const APPROVAL_WAIT: std::ops::RangeInclusive<u32> = 1..=600;
/// Draws of the backoff that still widen it.
const BACKOFF_ATTEMPTS_MAX: u32 = 12;

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
    lock: Option<Lock>,
}

impl Reconciler {
    /// Begins: takes the lock that keeps a second agent out, and removes what a killed one left.
    pub fn begin(world: World) -> Result<Self, FileError> {
        let lock = world.records().open()?;
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
            lock: None,
        }
    }

    /// What it works with.
    pub fn world(&self) -> &World {
        &self.world
    }

    fn desired(&self) -> Desired {
        Desired::derive(&self.world.config, &self.world.host.facts(), self.generation)
    }

    /// What a pass would do now. Changes nothing, on disk or elsewhere; does not wait for names to settle.
    pub async fn preview(&self) -> Preview {
        let desired = self.desired();
        let mut observed = observe(&self.world, &desired, Timestamp::EPOCH, &self.setbacks).await;
        if self.world.front.is_none() {
            // The gate runs in another process, if it runs: what it serves is what it was given.
            observed.published = observed.served.serial().cloned();
        }
        let plan = plan(&observed, &desired, self.world.clock.now());
        Preview { plan, observed }
    }

    /// Takes names as settled: for a pass that somebody asked for.
    pub fn settle(&mut self) {
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
        let mut observed = observe(&self.world, &desired, since, &self.setbacks).await;
        if let Some(journal) = &observed.interrupted {
            let step = journal.steps.get(journal.at).map(ToString::to_string);
            tracing::info!(step, "the last run was interrupted; continuing");
        }
        let mut todo = plan(&observed, &desired, self.world.clock.now());
        self.log_plan(&todo);
        let failures = self.run(&todo, &observed).await;
        if !todo.steps.is_empty() {
            observed = observe(&self.world, &desired, since, &self.setbacks).await;
            todo = plan(&observed, &desired, self.world.clock.now());
        }
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
                super::checks::Reason::NotServed { .. } => tracing::warn!("because {reason}"),
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
                    done.push(step);
                }
                Err(error) => {
                    failures.push((step.clone(), error.to_string()));
                    self.failed(step, &error, observed);
                    match on_failure {
                        OnFailure::GoOn => continue,
                        OnFailure::Stop => break,
                        OnFailure::RollBack => self.roll_back(&done).await,
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
    async fn roll_back(&self, done: &[&Step]) {
        for undo in done.iter().rev().filter_map(|step| step.undo()) {
            match execute(&self.world, &undo).await {
                Ok(()) => tracing::warn!("rolled back: {undo}"),
                Err(error) => return tracing::error!("rolling back failed at {undo}: {error}"),
            }
        }
    }

    /// Nothing is wanted any more: what failed on the way does not matter now.
    fn forget_failure(&mut self) {
        self.setbacks.failure = None;
        self.setbacks.disk_failure = None;
        self.setbacks.retry_at = None;
        self.attempts = 0;
    }

    fn succeeded(&mut self, step: &Step) {
        match step {
            Step::Swap { .. } => {
                let hook = (self.setbacks.hook_retry_at, self.setbacks.hook_failure.take());
                let refused_names = self.setbacks.refused_names.take();
                self.setbacks = Setbacks {
                    refused_names,
                    hook_retry_at: hook.0,
                    hook_failure: hook.1,
                    ..Setbacks::default()
                };
                self.attempts = 0;
            }
            Step::Publish => self.setbacks.publish_failure = None,
            Step::RunHook { .. } => {
                self.setbacks.hook_retry_at = None;
                self.setbacks.hook_failure = None;
                self.hook_attempts = 0;
            }
            Step::MakeRequest { .. } => self.setbacks.useless_key = None,
            _ => {}
        }
    }

    fn failed(&mut self, step: &Step, error: &StepError, observed: &Observed) {
        let now = self.world.clock.now();
        match (step, error) {
            (Step::RunHook { .. }, _) => {
                let delay = self.delay(self.hook_attempts, Duration::MAX);
                self.hook_attempts += 1;
                self.setbacks.hook_retry_at = Some(now + delay);
                self.setbacks.hook_failure = Some(error.to_string());
                tracing::warn!("{error}; next try in {}", super::conditions::span(delay));
            }
            (Step::Publish, _) => {
                self.setbacks.publish_failure = Some(error.to_string());
                self.put_off(error, observed, now);
            }
            (Step::Dial { .. }, _) => tracing::warn!("not served: {error}"),
            _ => self.put_off(error, observed, now),
        }
    }

    /// Notes why no certificate came of it, and when to try again.
    fn put_off(&mut self, error: &StepError, observed: &Observed, now: Timestamp) {
        let remaining = observed
            .pair()
            .map_or(Duration::ZERO, |pair| pair.not_after.since(now));
        // A host without a certificate is out of reach: it asks as one does whose certificate ends in 20 minutes.
        let remaining = if remaining.is_zero() {
            Duration::from_secs(1200)
        } else {
            remaining
        };
        let mut delay = self.delay(self.attempts, remaining);
        self.attempts += 1;
        self.setbacks.awaiting = None;
        self.setbacks.disk_failure = match error {
            StepError::File(error) => Some(error.to_string()),
            _ => None,
        };
        match error {
            StepError::Pending(pending) => {
                let wait = pending
                    .retry_after
                    .clamp(*APPROVAL_WAIT.start(), *APPROVAL_WAIT.end());
                delay = Duration::from_secs(wait.into());
                self.setbacks.awaiting = Some(AwaitingApproval {
                    request: pending.request,
                    spki_sha256: pending.spki_sha256.clone(),
                });
            }
            StepError::Server(error) => {
                delay = delay.max(
                    error
                        .retry_after()
                        .unwrap_or_default()
                        .min(Duration::from_secs(3600)),
                );
                self.note_refusal(error, observed, now);
            }
            StepError::Pair(PairError::Expired { .. } | PairError::NameMissing(_)) => {
                let request = self.world.records().request().ok().flatten();
                self.setbacks.useless_key = request.map(|request| request.spki_sha256);
            }
            _ => {}
        }
        self.setbacks.retry_at = Some(now + delay);
        self.setbacks.failure = Some(Failure {
            reason: word(error),
            message: error.to_string(),
        });
        self.log_failure(error, observed, now, delay);
    }

    fn log_failure(&self, error: &StepError, observed: &Observed, now: Timestamp, delay: Duration) {
        let percent = observed.pair().map_or(0, |pair| pair.percent_used(now));
        let next = super::conditions::span(delay);
        match percent {
            _ if matches!(error, StepError::Pending(_)) => tracing::info!("{error}; asking again in {next}"),
            90.. => tracing::error!(
                "{percent} % of the certificate's lifetime has passed: {error}; next try in {next}"
            ),
            80.. => tracing::warn!(
                "{percent} % of the certificate's lifetime has passed: {error}; next try in {next}"
            ),
            _ => tracing::warn!("{error}; next try in {next}"),
        }
    }

    fn note_refusal(&mut self, error: &client::Error, observed: &Observed, now: Timestamp) {
        let request = || self.world.records().request().ok().flatten();
        match (error.code(), error) {
            (Some(Code::NameNotAllowed | Code::NameTaken), _) => {
                self.setbacks.refused_names = request().map(|request| RefusedNames {
                    sans: request.sans,
                    at: now,
                    message: error.to_string(),
                });
            }
            (Some(Code::KeyNotAllowed | Code::BadCsr), _) => {
                self.setbacks.useless_key = request().map(|request| request.spki_sha256);
            }
            (Some(Code::CertificateRefused | Code::CertificateRequired), _)
            | (_, client::Error::CertificateRefused { .. }) => {
                self.setbacks.refused_certificate = observed.pair().map(|pair| pair.serial.clone());
            }
            _ => {}
        }
    }

    /// Full jitter, as [`Backoff::for_renewal`], for the `attempts`-th failure in a row.
    fn delay(&self, attempts: u32, remaining: Duration) -> Duration {
        let mut backoff = Backoff::for_renewal(remaining);
        for _ in 0..attempts.min(BACKOFF_ATTEMPTS_MAX) {
            backoff.next_delay(&*self.world.random);
        }
        backoff.next_delay(&*self.world.random)
    }

    fn report(&mut self, observed: &Observed, desired: &Desired, plan: &Plan) -> HostReport {
        let now = self.world.clock.now();
        self.conditions = conditions(observed, desired, plan, now, &self.conditions);
        let pair = observed.pair();
        let renewal = observed.memory.renewal.as_ref();
        HostReport {
            observed_generation: desired.generation,
            mode: desired.mode,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_version: observed.engine.version.clone(),
            endpoints: desired.endpoints.clone(),
            issued: pair.map(|pair| SeenCertificate {
                serial: pair.serial.clone(),
                not_after: pair.not_after,
            }),
            served: match &observed.served {
                Served::Certificate(seen) => Some(seen.clone()),
                Served::NotDialled | Served::Failed(_) => None,
            },
            renew_at: renewal
                .filter(|point| pair.is_some_and(|p| p.serial == point.serial))
                .map(|p| p.at),
            clock_offset_ms: self.world.server.clock_offset_ms(),
            conditions: self.conditions.clone(),
        }
    }

    /// Tells the server when something changed, and about once a minute when nothing did.
    async fn tell_server(&mut self, observed: &Observed, report: &HostReport) {
        let Some(version) = observed.pair().map(|pair| pair.version) else {
            return;
        };
        let now = self.world.clock.now();
        let due = match &self.reported {
            Some((last, at)) => !says_the_same(last, report) || now >= *at,
            None => true,
        };
        let Ok(pair) = super::observe::load(&self.world.versions(), version) else {
            return;
        };
        if !due || pair.verify(&[], now).is_err() {
            return;
        }
        match self.world.server.report(&pair, report).await {
            Ok(answer) => {
                let wait = Duration::from_secs_f64(self.world.random.between(REPORT_EVERY));
                self.reported = Some((report.clone(), now + wait));
                self.connected = Some(true);
                self.heed(observed, &answer);
            }
            Err(error) => {
                if self.connected != Some(false) {
                    tracing::warn!("the server could not be told how this host is: {error}");
                }
                self.connected = Some(false);
            }
        }
    }

    /// The server may move the renewal earlier, never later.
    fn heed(&mut self, observed: &Observed, answer: &StatusAnswer) {
        self.generation = answer.generation;
        let point = observed.memory.renewal.as_ref();
        if let Some((point, at)) = point.zip(answer.renew_at)
            && at < point.at
        {
            tracing::info!(%at, "the server wants this host to renew earlier");
            let serial = point.serial.clone();
            let moved = remember(&self.world, |memory| {
                if let Some(point) = memory.renewal.as_mut().filter(|point| point.serial == serial) {
                    point.at = point.at.min(at);
                }
            });
            if let Err(error) = moved {
                tracing::warn!("{error}");
            }
        }
    }

    fn next_pass(&self, observed: &Observed, desired: &Desired) -> Timestamp {
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
        let upcoming = wanted
            .into_iter()
            .flatten()
            .chain(settled.into_iter().flatten())
            .filter(|at| *at > now);
        upcoming.fold(regular, Timestamp::min).max(now + PASS_NOT_BEFORE)
    }

    fn keep_status(&self, observed: &Observed, desired: &Desired, report: HostReport, plan: &Plan) {
        let name = observed.pair().map(|pair| &pair.name).or(desired.name.as_ref());
        let status = Status {
            name: name.map_or_else(|| "(no name)".to_owned(), ToString::to_string),
            server: desired.server.to_string(),
            connected: self.connected,
            updated_at: self.world.clock.now(),
            next: next_in_words(plan),
            report,
        };
        if let Err(error) = self.world.records().keep_status(&status) {
            tracing::warn!("{error}");
        }
    }
}

fn next_in_words(plan: &Plan) -> Option<String> {
    let held = match plan.held.as_ref()? {
        Held::Until(at) => format!("waits until {at}"),
        Held::NoToken(why) | Held::Unreadable(why) => why.clone(),
        Held::NoName => "needs a name".to_owned(),
    };
    let reason = plan.because.iter().find(|reason| reason.wants_certificate())?;
    Some(format!("{reason}; {held}"))
}

/// Whether a step leaves something behind that a later run has to know of.
fn is_durable(step: &Step) -> bool {
    !matches!(step, Step::Publish | Step::Dial { .. } | Step::RunHook { .. })
}

/// Messages hold times that pass; everything else is compared.
fn says_the_same(one: &HostReport, other: &HostReport) -> bool {
    let without_words = |report: &HostReport| {
        let mut report = report.clone();
        report.clock_offset_ms = None;
        report
            .conditions
            .iter_mut()
            .for_each(|condition| condition.message.clear());
        report
    };
    without_words(one) == without_words(other)
}

/// One CamelCase word for why a certificate could not be got.
fn word(error: &StepError) -> &'static str {
    match error {
        StepError::File(_) => "DiskFailure",
        StepError::Pair(PairError::NotYetValid { .. }) => "ClockSkew",
        StepError::Pair(_) | StepError::Key(_) => "UnusableAnswer",
        StepError::Pending(_) => "AwaitingApproval",
        StepError::Token(_) => "NoToken",
        StepError::Front(_) => "GateRefused",
        StepError::Hook(_) => "HookFailed",
        StepError::Gone(_) | StepError::OtherVersion { .. } => "Interrupted",
        StepError::NotServed(_) => "NotServed",
        StepError::Server(error) => server_word(error),
    }
}

fn server_word(error: &client::Error) -> &'static str {
    match error {
        client::Error::Connect { .. } | client::Error::Timeout { .. } | client::Error::Closed { .. } => {
            "ServerUnreachable"
        }
        client::Error::PinMismatch { .. } => "WrongServer",
        client::Error::Tls { .. } => "UntrustedServer",
        client::Error::CertificateRefused { .. } => "CertificateRefused",
        client::Error::Protocol { .. } => "NotADockwardenServer",
        client::Error::Problem { problem, .. } => match problem.code {
            Code::TokenRefused => "TokenRefused",
            Code::NameNotAllowed => "NamesRefused",
            Code::NameTaken => "NameTaken",
            Code::RequestDenied => "RequestDenied",
            Code::KeyNotAllowed | Code::BadCsr => "KeyRefused",
            Code::CertificateRefused | Code::CertificateRequired => "CertificateRefused",
            Code::RateLimited | Code::Unavailable | Code::Internal => "ServerBusy",
            _ => "ServerRefused",
        },
    }
}
