//! What is wrong with a host, a client or a CA: pure functions of what the server knows. No agent has to notice.
//!
//! Times are shares of a certificate's life, so that they mean the same for an hour and for a year.

use std::time::Duration;

use super::{Finding, ProblemKind, Severity};
use crate::base::{Span, Timestamp};
use crate::model::{Certificate, ConditionStatus, HostReport, Serving};

/// From when on something is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRules {
    /// The share of its life after which a certificate that was not renewed is late, 0 to 1.
    pub warn_at: f64,
    /// The share after which it is critical.
    pub critical_at: f64,
    /// How long the agent of a host may be silent.
    pub silent_after: Duration,
    /// How far a host's clock may be off.
    pub clock_off: Duration,
    /// How long something may be wrong by a host's own word, or a new certificate not be served.
    pub unwell_after: Duration,
    /// How long an enrolment may wait for approval.
    pub waiting_after: Duration,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self {
            warn_at: 0.8,
            critical_at: 0.9,
            silent_after: Duration::from_secs(900),
            clock_off: Duration::from_secs(60),
            unwell_after: Duration::from_secs(900),
            waiting_after: Duration::from_secs(3600),
        }
    }
}

/// What a look at something gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing is wrong.
    Well,
    /// Something is.
    Wrong(Finding),
    /// That cannot be said yet: the server has not listened for long enough. What is known of this key stays as it is.
    Unsure(String),
}

/// An identity whose certificate ended this long ago is not missed any more.
const GONE_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// The same of a client: people leave, and nothing else tells of it.
const CLIENT_GONE_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// What the server knows of a host.
#[derive(Clone, Copy, Debug)]
pub struct HostFacts<'f> {
    /// Its name.
    pub name: &'f str,
    /// Its newest certificate that is not revoked.
    pub certificate: Option<&'f Certificate>,
    /// Its last report, and when it came. A host without an agent has none.
    pub report: Option<(Timestamp, &'f HostReport)>,
    /// Since when it could have been heard: a server that was away heard nobody.
    pub listening_since: Timestamp,
}

impl AlertRules {
    fn severity(&self, share: f64) -> Severity {
        match share >= self.critical_at {
            true => Severity::Critical,
            false => Severity::Warning,
        }
    }
}

/// The share of a certificate's life that is over; more than 1 after its end.
fn share(certificate: &Certificate, now: Timestamp) -> f64 {
    let life = certificate.not_after.since(certificate.issued_at).as_secs_f64();
    now.since(certificate.issued_at).as_secs_f64() / life.max(1.0)
}

fn days(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 172_800.. => format!("{} d", seconds / 86_400),
        seconds @ 7200.. => format!("{} h", seconds / 3600),
        seconds => format!("{} min", seconds / 60),
    }
}

fn ends(not_after: Timestamp, now: Timestamp) -> String {
    match not_after > now {
        true => format!("ends in {}", days(not_after.since(now))),
        false => format!("ended {} ago", days(now.since(not_after))),
    }
}

/// What is wrong with a host: the first of the checks that hold says what, the worst of them says how bad.
///
/// A server that was away, and has not listened for as long since as a host may be silent, calls nobody silent or late;
/// but it does not say either that a host is well that it has not heard.
pub fn look_at_host(facts: HostFacts<'_>, rules: &AlertRules, now: Timestamp) -> Look {
    let Some(certificate) = facts.certificate.filter(|c| now < c.not_after + GONE_AFTER) else {
        return Look::Well;
    };
    let late = late(facts.name, certificate, rules, now);
    let is_back = now.since(facts.listening_since) < rules.silent_after;
    let unheard = facts.report.is_some_and(|(at, _)| at < facts.listening_since);
    let unsure = is_back && (unheard || late.is_some());
    let late = late.filter(|_| !is_back);
    match (finding(facts, late, certificate, rules, now), unsure) {
        (Some(found), _) => Look::Wrong(found),
        (None, true) => Look::Unsure(host_key(facts.name)),
        (None, false) => Look::Well,
    }
}

fn host_key(name: &str) -> String {
    format!("host/{name}")
}

fn finding(
    facts: HostFacts<'_>,
    late: Check,
    certificate: &Certificate,
    rules: &AlertRules,
    now: Timestamp,
) -> Option<Finding> {
    let silent = silence(facts, rules, certificate, now);
    let heard = facts.report.filter(|_| silent.is_none());
    let checks = match heard {
        Some((_, report)) => vec![
            clock(facts.name, report, rules),
            late,
            serving(facts.name, report, certificate, rules, now),
            condition(facts.name, report, rules, now),
        ],
        None => vec![silent, late],
    };
    let worst = checks.iter().flatten().map(|(_, severity, _)| *severity).max()?;
    let mut found = checks.into_iter().flatten();
    let (kind, _, mut message) = found.next()?;
    for (_, _, also) in found {
        message.push_str("; ");
        message.push_str(&also);
    }
    Some(Finding {
        key: host_key(facts.name),
        kind,
        severity: worst,
        subject: facts.name.to_owned(),
        message,
    })
}

type Check = Option<(ProblemKind, Severity, String)>;

fn late(name: &str, certificate: &Certificate, rules: &AlertRules, now: Timestamp) -> Check {
    let share = share(certificate, now);
    (share >= rules.warn_at).then(|| {
        let end = ends(certificate.not_after, now);
        let text = format!("{name} should have renewed by now and did not: its certificate {end}");
        (ProblemKind::RenewalMissed, rules.severity(share), text)
    })
}

fn silence(facts: HostFacts<'_>, rules: &AlertRules, certificate: &Certificate, now: Timestamp) -> Check {
    let (reported_at, _) = facts.report?;
    let silent = now.since(reported_at.max(facts.listening_since));
    (silent >= rules.silent_after).then(|| {
        let (ago, end) = (days(now.since(reported_at)), ends(certificate.not_after, now));
        let text = format!(
            "the agent of {} has not been heard of for {ago}, and its certificate {end}: is the host up, is \
             dockwarden-agent running there, does it reach this server?",
            facts.name
        );
        (
            ProblemKind::HostSilent,
            rules.severity(share(certificate, now)),
            text,
        )
    })
}

fn clock(name: &str, report: &HostReport, rules: &AlertRules) -> Check {
    let offset = Duration::from_millis(report.clock_offset_ms?.unsigned_abs());
    (offset > rules.clock_off).then(|| {
        let text = format!(
            "the clock of {name} is off by {} s: certificates are refused when clocks differ; is its time \
             synchronisation running?",
            offset.as_secs()
        );
        (ProblemKind::ClockOff, Severity::Warning, text)
    })
}

/// A new certificate that is not served: at once when it should be, by plan only when the old one is nearly over.
fn serving(
    name: &str,
    report: &HostReport,
    certificate: &Certificate,
    rules: &AlertRules,
    now: Timestamp,
) -> Check {
    let serving = report.serving().filter(|serving| *serving != Serving::Current)?;
    let life = certificate.not_after.since(certificate.issued_at).as_secs_f64();
    let over = report.served.as_ref().map(|served| {
        let left = served.not_after.since(now).as_secs_f64();
        1.0 - left / life.max(1.0)
    });
    let planned = matches!(serving, Serving::RestartPending | Serving::ReloadPending);
    let is_late = match planned {
        true => over.is_some_and(|over| over >= rules.warn_at),
        false => now.since(certificate.issued_at) >= rules.unwell_after,
    };
    is_late.then(|| {
        let served = match &report.served {
            Some(served) => format!("what it serves instead {}", ends(served.not_after, now)),
            None => "nothing answers there".to_owned(),
        };
        let why = report
            .serving_reason()
            .map_or(String::new(), |why| format!(" ({why})"));
        let text = format!("{name} does not serve the certificate that it was issued{why}; {served}");
        (ProblemKind::NotServed, rules.severity(over.unwrap_or(0.0)), text)
    })
}

fn condition(name: &str, report: &HostReport, rules: &AlertRules, now: Timestamp) -> Check {
    let unwell = |since: Timestamp| now.since(since) >= rules.unwell_after;
    let wrong = report
        .conditions
        .iter()
        .find(|c| c.status == ConditionStatus::False && unwell(c.since))?;
    let text = format!(
        "{name} says of itself that {} does not hold: {}: {}",
        wrong.kind, wrong.reason, wrong.message
    );
    Some((ProblemKind::HostCondition, Severity::Warning, text))
}

/// Whether a client's certificate ends soon. That is a person's own business until it is late.
pub fn look_at_client(
    name: &str,
    certificate: Option<&Certificate>,
    rules: &AlertRules,
    now: Timestamp,
) -> Option<Finding> {
    let certificate = certificate.filter(|c| now < c.not_after + CLIENT_GONE_AFTER)?;
    let share = share(certificate, now);
    let severity = match share {
        share if share >= rules.critical_at => Severity::Warning,
        share if share >= rules.warn_at => Severity::Notice,
        _ => return None,
    };
    Some(Finding {
        key: format!("client/{name}"),
        kind: ProblemKind::ClientExpiring,
        severity,
        subject: name.to_owned(),
        message: format!(
            "the certificate of client {name} {}: dockwarden client renew renews it where it is kept",
            ends(certificate.not_after, now)
        ),
    })
}

/// What the server knows of a certificate of the CA.
#[derive(Clone, Copy, Debug)]
pub struct CaFacts<'f> {
    /// `root`, `hosts` or `clients`.
    pub name: &'f str,
    /// Its beginning.
    pub not_before: Timestamp,
    /// Its end.
    pub not_after: Timestamp,
    /// The longest life of what is issued under it.
    pub longest: Duration,
}

/// Whether a CA certificate lasts for what it signs: nothing may outlive it. Late when the longest profile fits in twice,
/// critical when it does not fit in any more.
pub fn look_at_ca(facts: CaFacts<'_>, rules: &AlertRules, now: Timestamp) -> Option<Finding> {
    let left = facts.not_after.since(now);
    let life = facts.not_after.since(facts.not_before).as_secs_f64();
    let share = now.since(facts.not_before).as_secs_f64() / life.max(1.0);
    let severity = if left < facts.longest {
        Severity::Critical
    } else if left < facts.longest * 2 || share >= rules.critical_at {
        Severity::Warning
    } else {
        return None;
    };
    Some(Finding {
        key: format!("ca/{}", facts.name),
        kind: ProblemKind::CaExpiring,
        severity,
        subject: facts.name.to_owned(),
        message: format!(
            "the CA certificate {} {}; what it signs lives up to {}, and nothing can outlive it: make a new one",
            facts.name,
            ends(facts.not_after, now),
            Span(facts.longest)
        ),
    })
}
