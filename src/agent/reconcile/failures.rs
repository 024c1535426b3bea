//! What a failed step means: when to try again, and what the next plan has to know.

use std::time::Duration;

use super::super::conditions::span;
use super::super::daemon::attempt::WOULD_NOT_START;
use super::super::daemon::execute::note_failure;
use super::super::daemon::step::DaemonStep;
use super::super::execute::StepError;
use super::super::observed::{AwaitingApproval, Failure, Observed, RefusedNames, Setbacks};
use super::super::pair::PairError;
use super::super::step::Step;
use super::Reconciler;
use crate::base::{Backoff, Timestamp};
use crate::client;
use crate::wire::Code;

/// How long the server may make an enrolment wait that an operator has to approve, seconds.
const APPROVAL_WAIT: std::ops::RangeInclusive<u32> = 1..=600;
/// The longest wait that the server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Draws of the backoff that still widen it.
const BACKOFF_ATTEMPTS_MAX: u32 = 12;

impl Reconciler {
    /// Nothing is wanted any more: what failed on the way does not matter now.
    pub(super) fn forget_failure(&mut self) {
        self.setbacks.failure = None;
        self.setbacks.disk_failure = None;
        self.setbacks.retry_at = None;
        self.attempts = 0;
    }

    pub(super) fn succeeded(&mut self, step: &Step) {
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
                if self.world.config.dial.is_none() {
                    self.hook_attempts = 0;
                }
            }
            // Only now has the hook done what it is for.
            Step::Dial { .. } => {
                self.setbacks.hook_retry_at = None;
                self.hook_attempts = 0;
            }
            Step::MakeRequest { .. } => self.setbacks.useless_key = None,
            _ => {}
        }
    }

    pub(super) fn failed(&mut self, step: &Step, error: &StepError, observed: &Observed) {
        let now = self.world.clock.now();
        match (step, error) {
            (Step::RunHook { .. }, _) => {
                let delay = self.put_off_hook(now);
                self.setbacks.hook_failure = Some(error.to_string());
                tracing::warn!("{error}; next try in {}", span(delay));
            }
            (Step::Dial { .. }, _) if self.hook_was_in_vain() => {
                let delay = self.put_off_hook(now);
                tracing::warn!("not served: {error}; looking again in {}", span(delay));
            }
            (Step::Publish, _) => {
                self.setbacks.publish_failure = Some(error.to_string());
                self.put_off(error, observed, now);
            }
            (Step::Dial { .. }, _) => tracing::warn!("not served: {error}"),
            (Step::Daemon(step), _) => self.note_daemon_failure(step, error),
            _ => self.put_off(error, observed, now),
        }
    }

    /// Whether there is a hook that did not fail, so that what is served ought to be the certificate in use.
    fn hook_was_in_vain(&self) -> bool {
        self.world.config.hook.is_some() && self.setbacks.hook_failure.is_none()
    }

    /// Says when the hook may run again.
    fn put_off_hook(&mut self, now: Timestamp) -> Duration {
        let delay = self.delay(self.hook_attempts, Duration::MAX);
        self.hook_attempts += 1;
        self.setbacks.hook_retry_at = Some(now + delay);
        delay
    }

    /// What is under way is taken back, or tried again; what could not be begun is tried again later.
    fn note_daemon_failure(&mut self, step: &DaemonStep, error: &StepError) {
        tracing::warn!("could not {step}: {error}");
        if let DaemonStep::Plug(_) | DaemonStep::Unplug(_) = step {
            self.recall
                .note_plug(Err(error.to_string()), self.world.clock.now());
        }
        self.setbacks.disk_failure = match error {
            StepError::File(error) => Some(error.to_string()),
            _ => None,
        };
        if let (DaemonStep::Validate { version }, StepError::Invalid(_)) = (step, error) {
            let noted = note_failure(&self.world, *version, WOULD_NOT_START, error.to_string());
            if let Err(error) = noted {
                tracing::warn!("{error}");
            }
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
                delay = delay.max(error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX));
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
        let next = span(delay);
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
        StepError::Refused(_) => "Refused",
        StepError::Invalid(_) => "WouldNotStart",
        StepError::Dockerd(_) => "DockerdFailed",
        StepError::Plugin(_) => "NotPlugged",
        StepError::ChangedMeanwhile(_) => "ChangedMeanwhile",
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
