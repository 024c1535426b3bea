//! From what was found to what is reported: four conditions (the fifth is [`super::freshness`]), each with a word for programs and a sentence for people.

use std::time::Duration;

use super::checks::Reason;
use super::daemon;
use super::desired::Desired;
use super::execute::why_other;
use super::observed::{Observed, PairFacts};
use super::plan::{Held, Plan};
use super::step::Served;
use crate::base::{Span, Timestamp};
use crate::model::{Condition, ConditionKind, ConditionStatus, Mode};

/// A status with its reason and message, before it becomes a condition.
pub(super) type Finding = (ConditionStatus, String, String);

pub(super) fn finding(status: ConditionStatus, reason: &str, message: impl Into<String>) -> Finding {
    (status, reason.to_owned(), message.into())
}

/// Every condition, in order.
pub(super) fn conditions(
    observed: &Observed,
    desired: &Desired,
    plan: &Plan,
    now: Timestamp,
    previous: &[Condition],
) -> Vec<Condition> {
    let (applied, serves) = match (&observed.daemon, desired.dial) {
        (Some(sight), Some(address)) => (
            daemon::conditions::config_applied(observed, sight, plan, now),
            daemon::conditions::serving(observed, sight, plan, address.port()),
        ),
        _ => (config_applied(observed, desired), serving(observed, desired)),
    };
    let findings = [
        (ConditionKind::Enrolled, enrolled(observed, plan)),
        (
            ConditionKind::CertificateValid,
            certificate_valid(observed, desired, plan, now),
        ),
        (ConditionKind::ConfigApplied, applied),
        (ConditionKind::Serving, serves),
    ];
    let condition = |(kind, (status, reason, message))| {
        let condition = Condition {
            kind,
            status,
            reason,
            message,
            since: now,
        };
        condition.after(previous)
    };
    findings.into_iter().map(condition).collect()
}

fn enrolled(observed: &Observed, plan: &Plan) -> Finding {
    use ConditionStatus::{False, True};
    let setbacks = &observed.setbacks;
    if let Some(pair) = observed.pair() {
        if setbacks.refused_certificate.as_ref() == Some(&pair.serial) {
            let why = setbacks
                .failure
                .as_ref()
                .map_or("the server refused it", |f| f.message.as_str());
            return finding(False, "CertificateRefused", why);
        }
        return finding(True, "Enrolled", how_joined(observed, pair));
    }
    if observed.memory.joined.is_some() && plan.held.is_none() && setbacks.failure.is_none() {
        return finding(True, "Enrolled", "joined before");
    }
    if let Some(awaiting) = &setbacks.awaiting {
        let message = format!(
            "waits for an operator: dockwarden host approve {} (key SHA-256 {})",
            awaiting.request, awaiting.spki_sha256
        );
        return finding(False, "AwaitingApproval", message);
    }
    match (&plan.held, &setbacks.failure) {
        (Some(Held::NoToken(why)), _) => finding(False, "NoToken", why.as_str()),
        (Some(Held::NoName), _) => finding(False, "NoName", NO_NAME),
        (Some(Held::Unreadable(why)), _) => finding(False, "StateUnreadable", why.as_str()),
        (_, Some(failure)) => finding(False, failure.reason, with_retry(&failure.message, observed)),
        _ => finding(False, "NotEnrolled", "this host has not joined yet"),
    }
}

/// What to do on a machine without a name.
const NO_NAME: &str =
    "this machine has no name but localhost: set its hostname, or names in the configuration";

fn how_joined(observed: &Observed, pair: &PairFacts) -> String {
    match &observed.memory.joined {
        Some(joined) => {
            let id = joined.token.to_string();
            let uses = joined
                .uses
                .map(|(left, all)| format!(" ({} of {all})", all.saturating_sub(left)));
            format!("token {}… used{}", &id[..4], uses.unwrap_or_default())
        }
        None => format!("as {}", pair.name),
    }
}

fn with_retry(message: &str, observed: &Observed) -> String {
    with_next_try(message, observed.setbacks.retry_at)
}

fn with_next_try(message: &str, at: Option<Timestamp>) -> String {
    match at {
        Some(at) => format!("{message}\nNext try: {}", clock_time(at)),
        None => message.to_owned(),
    }
}

fn certificate_valid(observed: &Observed, desired: &Desired, plan: &Plan, now: Timestamp) -> Finding {
    use ConditionStatus::{False, True};
    let flawed = plan.because.iter().find(|reason| {
        let renewal = matches!(reason, Reason::RenewalDue { .. } | Reason::SansChanged { .. });
        reason.wants_certificate() && !renewal || matches!(reason, Reason::NotYetValid(_))
    });
    if let Some(reason) = flawed {
        let message = match &observed.setbacks.failure {
            Some(failure) => with_retry(&format!("{reason}; {}", failure.message), observed),
            None => reason.to_string(),
        };
        return finding(False, reason.word(), message);
    }
    let Some(pair) = observed.pair() else {
        return finding(False, "CertificateMissing", "there is no certificate yet");
    };
    let refused = observed.setbacks.refused_names.as_ref();
    if let Some(refused) = refused.filter(|_| observed.names_refused(desired, now)) {
        return finding(False, "NamesRefused", refused.message.as_str());
    }
    if let Some(reason) = plan
        .because
        .iter()
        .find(|r| matches!(r, Reason::SansChanged { .. }))
    {
        return finding(False, reason.word(), reason.to_string());
    }
    let message = validity(observed, pair, now);
    match &observed.setbacks.failure {
        Some(failure) => {
            let message = format!("{message}; renewing fails: {}", failure.message);
            finding(True, "RenewalFailing", with_retry(&message, observed))
        }
        None => finding(True, "Valid", message),
    }
}

fn validity(observed: &Observed, pair: &PairFacts, now: Timestamp) -> String {
    let left = rounded(pair.not_after.since(now));
    let renewal = match observed
        .memory
        .renewal
        .as_ref()
        .filter(|point| point.serial == pair.serial)
    {
        Some(point) if pair.not_after.since(pair.not_before) > Duration::from_secs(3 * 86_400) => {
            format!(", renews about {}", date(point.at))
        }
        Some(point) => format!(", renews at {}", clock_time(point.at)),
        None => String::new(),
    };
    format!(
        "serial {}, until {} ({left}){renewal}",
        pair.serial.short(),
        date_and_time(pair.not_after)
    )
}

fn config_applied(observed: &Observed, desired: &Desired) -> Finding {
    use ConditionStatus::{False, True};
    let setbacks = &observed.setbacks;
    if let Some(why) = &setbacks.disk_failure {
        return finding(False, "DiskFailure", why.as_str());
    }
    let Some(pair) = observed.pair() else {
        return finding(False, "NoCertificate", "there is nothing to apply yet");
    };
    if desired.mode == Mode::Gate && observed.published.as_ref() != Some(&pair.serial) {
        let why = setbacks.publish_failure.as_deref();
        return finding(
            False,
            "NotPublished",
            why.unwrap_or("the gate does not have the certificate yet"),
        );
    }
    if desired.hook && observed.memory.hook_ran_for != Some(pair.version) {
        return match &setbacks.hook_failure {
            Some(why) => finding(False, "HookFailed", with_next_try(why, setbacks.hook_retry_at)),
            None => finding(
                False,
                "HookPending",
                format!("the hook has not run for version {}", pair.version),
            ),
        };
    }
    finding(True, "Applied", format!("version {}", pair.version))
}

fn serving(observed: &Observed, desired: &Desired) -> Finding {
    use ConditionStatus::{False, True, Unknown};
    let Some(address) = desired.dial else {
        return finding(
            Unknown,
            "NotDialled",
            "nothing is dialled: set dial in the configuration to have it checked",
        );
    };
    let Some(pair) = observed.pair() else {
        return finding(False, "NoCertificate", "there is nothing to serve yet");
    };
    match &observed.served {
        Served::Certificate(seen) if seen.serial == pair.serial => {
            let message = format!(":{} serves {}", address.port(), seen.serial.short());
            match observed
                .engine
                .error
                .as_ref()
                .filter(|_| desired.mode == Mode::Gate)
            {
                Some(error) => finding(True, "DockerUnreachable", format!("{message}, but {error}")),
                None => finding(True, "Serving", message),
            }
        }
        Served::Certificate(seen) => {
            let (served, issued) = (seen.serial.short(), pair.serial.short());
            let message = format!(
                ":{} serves {served}, not {issued}: {}",
                address.port(),
                why_other(desired.mode)
            );
            let again = observed.setbacks.hook_retry_at.filter(|_| desired.hook);
            finding(False, "OtherCertificate", with_next_try(&message, again))
        }
        Served::Failed(why) => finding(False, "NotServed", why.as_str()),
        Served::NotDialled => finding(Unknown, "NotDialled", "not dialled yet"),
    }
}

/// In the two longest units at most: `29 d`, `3 h`, `40 s`.
pub(super) fn rounded(left: Duration) -> String {
    let seconds = left.as_secs();
    let (size, unit) = match seconds {
        0..60 => (1, "s"),
        60..3600 => (60, "min"),
        3600..86_400 => (3600, "h"),
        _ => (86_400, "d"),
    };
    format!("{} {unit}", seconds / size)
}

fn formatted(time: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(time.as_millis()) {
        Ok(time) => time.strftime(format).to_string(),
        Err(_) => time.to_string(),
    }
}

fn date(time: Timestamp) -> String {
    formatted(time, "%-d %b")
}

pub(super) fn date_and_time(time: Timestamp) -> String {
    formatted(time, "%-d %b %H:%M")
}

pub(super) fn clock_time(time: Timestamp) -> String {
    formatted(time, "%H:%M:%S UTC")
}

/// `5s`, `10m`: for logs.
pub(super) fn span(duration: Duration) -> Span {
    Span(Duration::from_secs(duration.as_secs()))
}
