//! From reasons to steps. Pure: everything that is to be decided is decided here, and can be printed before it is done.
//!
//! A plan picks up where an interrupted one stopped: a request that was kept is sent again, an answer that was kept is
//! not asked for again, a version that was written is not written again.

use super::checks::{Reason, reasons};
use super::daemon::plan::{Scene, Waits};
use super::desired::Desired;
use super::observed::{Current, Observed, PairFacts, RequestFacts, TokenState};
use super::records::Purpose;
use super::step::{OnFailure, PlannedStep, Step};
use crate::base::Timestamp;
use crate::model::Mode;
use crate::pki::{IdentityName, San};

/// Why something that should be done is not done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It failed, or an operator has to approve; it is tried again then.
    Until(Timestamp),
    /// A join token is needed; says where it was looked for.
    NoToken(String),
    /// The machine has no name to join under.
    NoName,
    /// What is remembered cannot be read; acting without it could spend a token twice.
    Unreadable(String),
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Why, in the order of the checks.
    pub because: Vec<Reason>,
    /// What, in order.
    pub steps: Vec<PlannedStep>,
    /// Why a certificate that is wanted is not asked for.
    pub held: Option<Held>,
    /// Why dockerd is not told, or not restarted, now: mode `daemon`.
    pub waits: Option<Waits>,
}

/// What to do about what was found.
pub fn plan(observed: &Observed, desired: &Desired, now: Timestamp) -> Plan {
    let because = reasons(observed, desired, now);
    let mut plan = Plan::default();
    // Whatever else is wrong: a gate without a certificate serves nobody.
    if because.contains(&Reason::NotPublished) {
        plan.push(Step::Publish, OnFailure::GoOn);
    }
    if let Some(why) = &observed.unreadable {
        plan.held = Some(Held::Unreadable(why.clone()));
        plan.because = because;
        return plan;
    }
    if let Some(scene) = Scene::of(observed, desired, now) {
        plan.for_daemon(scene, desired, &because);
        plan.because = because;
        return plan;
    }
    match because.iter().find(|reason| reason.wants_certificate()) {
        Some(reason) => {
            if let Some(target) = plan.replace_certificate(observed, desired, reason, now) {
                plan.swap_to(target, observed, desired);
            }
        }
        None => plan.tidy_up(observed, &because),
    }
    if !plan.swaps() {
        plan.run_hook(observed, desired, &because, now);
    }
    let unserved = because
        .iter()
        .any(|reason| matches!(reason, Reason::NotServed { .. }));
    if let Some(address) = desired.dial
        && (unserved || plan.swaps() || plan.steps.iter().any(|s| s.step == Step::Publish))
    {
        plan.push(Step::Dial { address }, OnFailure::Stop);
    }
    plan.because = because;
    plan
}

/// A version that is to be in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Which.
    pub(super) version: u64,
    /// Whether it answers the request that is kept.
    pub(super) new: bool,
}

/// A certificate that is to be got, with everything that was decided about it.
struct Wanted {
    purpose: Purpose,
    name: IdentityName,
    sans: Vec<San>,
}

impl Plan {
    pub(super) fn push(&mut self, step: Step, on_failure: OnFailure) {
        self.steps.push(PlannedStep { step, on_failure });
    }

    /// Whether it changes what is in use.
    pub fn swaps(&self) -> bool {
        self.steps.iter().any(|s| matches!(s.step, Step::Swap { .. }))
    }

    fn replace_certificate(
        &mut self,
        observed: &Observed,
        desired: &Desired,
        reason: &Reason,
        now: Timestamp,
    ) -> Option<Target> {
        if let Some(version) = usable_fallback(observed) {
            return Some(Target { version, new: false });
        }
        if let Some(at) = observed.setbacks.retry_at.filter(|at| now < *at) {
            self.held = Some(Held::Until(at));
            return None;
        }
        match wanted(observed, desired, reason, now) {
            Ok(wanted) => Some(self.get_certificate(observed, desired, wanted)),
            Err(held) => {
                self.held = Some(held);
                None
            }
        }
    }

    fn get_certificate(&mut self, observed: &Observed, desired: &Desired, wanted: Wanted) -> Target {
        let request = observed
            .request
            .as_ref()
            .filter(|request| serves(request, &wanted, observed));
        let Wanted { purpose, name, sans } = wanted;
        if request.is_none() {
            self.push(Step::MakeRequest { purpose, name, sans }, OnFailure::Stop);
        }
        if !request.is_some_and(|request| request.answered) {
            let server = desired.server.to_string();
            let ask = match purpose {
                Purpose::Enroll => Step::Enroll { server },
                Purpose::Renew => Step::Renew { server },
            };
            self.push(ask, OnFailure::Stop);
        }
        let next = observed
            .versions
            .last()
            .copied()
            .max(observed.version())
            .unwrap_or(0)
            + 1;
        let staged = request.and_then(|request| request.staged);
        let version = staged.unwrap_or(next);
        if staged.is_none() {
            self.push(Step::WriteVersion { version }, OnFailure::Stop);
        }
        Target { version, new: true }
    }

    fn swap_to(&mut self, target: Target, observed: &Observed, desired: &Desired) {
        let version = target.version;
        // Only a pair that served is worth going back to.
        let from = observed.pair().map(|pair| pair.version);
        self.push(Step::Swap { from, to: version }, OnFailure::Stop);
        match desired.mode {
            Mode::Gate if from.is_some() => self.push(Step::Publish, OnFailure::RollBack),
            Mode::Gate => self.push(Step::Publish, OnFailure::GoOn),
            Mode::Files | Mode::Daemon => {}
        }
        self.push(Step::DrawRenewal, OnFailure::GoOn);
        if desired.hook {
            self.push(Step::RunHook { version }, OnFailure::GoOn);
        }
        if target.new {
            self.push(Step::CleanUp, OnFailure::GoOn);
        }
    }

    /// Mode `daemon`: a change under way first, then a certificate, then what dockerd is told.
    fn for_daemon(&mut self, scene: Scene<'_>, desired: &Desired, because: &[Reason]) {
        let Scene {
            observed, sight, now, ..
        } = scene;
        if let Some(attempt) = sight.open_attempt() {
            return self.continue_change(scene, attempt);
        }
        // A host that cannot be told anything is left as it was found: it does not even join.
        if let (Err(refusal), None) = (&sight.arrangement, observed.pair()) {
            self.waits = Some(Waits::Refused(refusal.to_string()));
            return;
        }
        if self.plug_first(scene) {
            return;
        }
        let target = match because.iter().find(|reason| reason.wants_certificate()) {
            Some(reason) => self.replace_certificate(observed, desired, reason, now),
            None => {
                self.tidy_up(observed, because);
                None
            }
        };
        self.put_in_use(scene, target);
        self.plug(scene);
    }

    fn tidy_up(&mut self, observed: &Observed, because: &[Reason]) {
        if because.contains(&Reason::RenewalNotDrawn) {
            self.push(Step::DrawRenewal, OnFailure::GoOn);
        }
        if because.contains(&Reason::RequestLeftOver) {
            let installed = observed.pair().zip(observed.request.as_ref());
            let done = installed.is_some_and(|(pair, request)| pair.spki_sha256 == request.spki_sha256);
            self.push(
                if done { Step::CleanUp } else { Step::ForgetRequest },
                OnFailure::GoOn,
            );
        }
    }

    fn run_hook(&mut self, observed: &Observed, desired: &Desired, because: &[Reason], now: Timestamp) {
        let pending = because.iter().find_map(|reason| match reason {
            Reason::HookPending(version) => Some(*version),
            // It said that it had succeeded, and what runs there still has the old files. A port that does not answer
            // at all is no matter for the hook: whatever is started there later reads the new ones.
            Reason::NotServed { served: Ok(_), .. } if desired.hook => observed.version(),
            _ => None,
        });
        let waits = observed.setbacks.hook_retry_at.is_some_and(|at| now < at);
        if let Some(version) = pending.filter(|_| !waits) {
            self.push(Step::RunHook { version }, OnFailure::GoOn);
        }
    }
}

/// An older version to go back to, when what is in use is no use to anybody.
fn usable_fallback(observed: &Observed) -> Option<u64> {
    match observed.current {
        Current::Nothing | Current::Broken { .. } => observed.fallback,
        Current::Pair(_) => None,
    }
}

/// How to ask for a certificate, and for which names; or why not now.
fn wanted(observed: &Observed, desired: &Desired, reason: &Reason, now: Timestamp) -> Result<Wanted, Held> {
    let renewable = observed.pair().filter(|pair| can_renew(pair, observed));
    match renewable {
        Some(pair) => Ok(Wanted {
            purpose: Purpose::Renew,
            name: pair.name.clone(),
            sans: renewal_sans(pair, observed, desired, reason, now),
        }),
        None => enrolment(observed, desired),
    }
}

/// With the certificate in use, unless the server refused it and there is a token to join with again.
fn can_renew(pair: &PairFacts, observed: &Observed) -> bool {
    let refused = observed.setbacks.refused_certificate.as_ref() == Some(&pair.serial);
    !(refused && matches!(observed.token, TokenState::Present(_)))
}

/// The wanted names; the old ones when the server has just refused those, so that a name too many does not cost the
/// host its certificate.
fn renewal_sans(
    pair: &PairFacts,
    observed: &Observed,
    desired: &Desired,
    reason: &Reason,
    now: Timestamp,
) -> Vec<San> {
    let keep = desired.name.is_none() || observed.names_refused(desired, now);
    match reason {
        Reason::SansChanged { .. } => desired.sans.clone(),
        _ if keep => pair.sans.clone(),
        _ => desired.sans.clone(),
    }
}

fn enrolment(observed: &Observed, desired: &Desired) -> Result<Wanted, Held> {
    match &observed.token {
        TokenState::Absent(why) | TokenState::Unusable(why) => return Err(Held::NoToken(why.clone())),
        TokenState::Present(_) => {}
    }
    let name = observed
        .pair()
        .map(|pair| pair.name.clone())
        .or_else(|| desired.name.clone());
    Ok(Wanted {
        purpose: Purpose::Enroll,
        name: name.ok_or(Held::NoName)?,
        sans: desired.sans.clone(),
    })
}

/// Whether the kept request is the one to send. An enrolment's is kept even when the names have changed since: its
/// token may be spent on it, and another key would be refused. Renewal then brings the new names.
fn serves(request: &RequestFacts, wanted: &Wanted, observed: &Observed) -> bool {
    let setbacks = &observed.setbacks;
    let useless = setbacks.useless_key.as_ref() == Some(&request.spki_sha256);
    let refused = setbacks
        .refused_names
        .as_ref()
        .is_some_and(|refused| refused.sans == request.sans);
    let same_names = request.sans == wanted.sans;
    let in_use = observed
        .pair()
        .is_some_and(|pair| pair.spki_sha256 == request.spki_sha256);
    request.purpose == wanted.purpose
        && !useless
        && !in_use
        && match wanted.purpose {
            Purpose::Renew => same_names,
            Purpose::Enroll => same_names || !refused,
        }
}

#[cfg(test)]
mod tests;
