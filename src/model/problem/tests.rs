use std::time::Duration;

use super::*;
use crate::base::Id;
use crate::model::{
    Certificate, Condition, ConditionKind, ConditionStatus, HostReport, IdentityKind, IssuerKind, Mode,
    SeenCertificate,
};
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn t0() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// Thirty days from `t0`.
fn certificate() -> Certificate {
    Certificate {
        serial: "0b".parse().unwrap(),
        issuer: IssuerKind::Hosts,
        identity: Id::from_bytes([1; 16]),
        name: "web-1.fleet".parse().unwrap(),
        kind: IdentityKind::Host,
        sans: Vec::new(),
        not_before: t0() - MINUTE * 60,
        not_after: t0() + DAY * 30,
        issued_at: t0(),
        renew_after: t0() + DAY * 20,
        spki_sha256: [0; 32],
        token: None,
        renewed_from: None,
        superseded_by: None,
        revoked_at: None,
        der: Vec::new(),
    }
}

fn report() -> HostReport {
    let seen = SeenCertificate {
        serial: "0b".parse().unwrap(),
        not_after: t0() + DAY * 30,
    };
    HostReport {
        observed_generation: 1,
        mode: Mode::Gate,
        agent_version: "1".into(),
        engine_version: None,
        endpoints: Vec::new(),
        issued: Some(seen.clone()),
        served: Some(seen),
        renew_at: None,
        clock_offset_ms: Some(20),
        conditions: Vec::new(),
        revocations: None,
    }
}

fn look(report: Option<(Timestamp, &HostReport)>, now: Timestamp) -> Option<(ProblemKind, Severity)> {
    let certificate = certificate();
    let facts = HostFacts {
        name: "web-1.fleet",
        certificate: Some(&certificate),
        report,
        listening_since: t0() - DAY,
    };
    let found = match look_at_host(facts, &AlertRules::default(), now) {
        Look::Wrong(found) => found,
        Look::Well => return None,
        Look::Unsure(key) => panic!("{key}: the server was never away"),
    };
    assert!(found.message.contains("web-1.fleet") && found.key == "host/web-1.fleet");
    Some((found.kind, found.severity))
}

#[test]
fn each_way_for_a_host_to_be_broken_has_its_problem_and_a_good_host_has_none() {
    use ProblemKind::{ClockOff, HostCondition, HostSilent, NotServed, RenewalMissed};
    use Severity::{Critical, Warning};
    let good = report();
    let heard = |now| Some((now, &good));
    for day in 0..24 {
        let now = t0() + DAY * day;
        assert_eq!(look(heard(now), now), None, "day {day}");
    }
    let at = |day: f64| t0() + DAY.mul_f64(day);
    assert_eq!(look(heard(at(24.1)), at(24.1)), Some((RenewalMissed, Warning)));
    assert_eq!(look(heard(at(27.1)), at(27.1)), Some((RenewalMissed, Critical)));
    assert_eq!(
        look(None, at(24.1)),
        Some((RenewalMissed, Warning)),
        "no agent is needed"
    );
    assert_eq!(look(None, at(20.0)), None);
    assert_eq!(
        look(None, at(61.0)),
        None,
        "gone for a month: not missed any more"
    );
    let silent = Some((at(3.0), &good));
    assert_eq!(look(silent, at(3.0) + MINUTE * 14), None);
    assert_eq!(look(silent, at(3.0) + MINUTE * 16), Some((HostSilent, Warning)));
    assert_eq!(
        look(silent, at(28.0)),
        Some((HostSilent, Critical)),
        "silent, and nearly over"
    );

    let mut off = report();
    off.clock_offset_ms = Some(-90_000);
    assert_eq!(look(Some((at(1.0), &off)), at(1.0)), Some((ClockOff, Warning)));
    let mut old = report();
    old.served = Some(SeenCertificate {
        serial: "0a".parse().unwrap(),
        not_after: at(9.0),
    });
    assert_eq!(look(Some((at(0.001), &old)), at(0.001)), None, "give it a moment");
    assert_eq!(look(Some((at(1.0), &old)), at(1.0)), Some((NotServed, Warning)));
    assert_eq!(look(Some((at(8.0), &old)), at(8.0)), Some((NotServed, Critical)));
    old.mode = Mode::Daemon;
    assert_eq!(look(Some((at(1.0), &old)), at(1.0)), None, "a restart is planned");
    assert_eq!(look(Some((at(4.0), &old)), at(4.0)), Some((NotServed, Warning)));
    let mut unwell = report();
    unwell.conditions.push(Condition {
        kind: ConditionKind::RevocationFresh,
        status: ConditionStatus::False,
        reason: "Stale".into(),
        message: "the feed is not followed".into(),
        since: at(1.0),
    });
    assert_eq!(look(Some((at(1.0), &unwell)), at(1.0) + MINUTE), None);
    assert_eq!(
        look(Some((at(1.1), &unwell)), at(1.1)),
        Some((HostCondition, Warning))
    );
}

#[test]
fn a_server_that_was_away_calls_nobody_silent_or_late_at_once() {
    let (certificate, report) = (certificate(), report());
    let back = t0() + DAY * 25;
    let facts = HostFacts {
        name: "web-1.fleet",
        certificate: Some(&certificate),
        report: Some((t0() + DAY, &report)),
        listening_since: back,
    };
    let rules = AlertRules::default();
    let unsure = Look::Unsure("host/web-1.fleet".into());
    assert_eq!(look_at_host(facts, &rules, back), unsure);
    assert_eq!(look_at_host(facts, &rules, back + MINUTE), unsure);
    let heard = HostFacts {
        report: Some((back + MINUTE, &report)),
        ..facts
    };
    assert_eq!(
        look_at_host(heard, &rules, back + MINUTE * 2),
        unsure,
        "it is there, and has a moment to renew"
    );
    let young = HostFacts {
        listening_since: t0() + DAY * 5,
        report: Some((t0() + DAY * 5, &report)),
        ..facts
    };
    assert_eq!(look_at_host(young, &rules, t0() + DAY * 5 + MINUTE), Look::Well);
    let Look::Wrong(later) = look_at_host(facts, &rules, back + rules.silent_after) else {
        panic!("it was not heard for long enough")
    };
    assert_eq!(later.kind, ProblemKind::HostSilent);
}

#[test]
fn a_client_is_noticed_warned_of_and_forgotten() {
    let certificate = certificate();
    let look = |day: f64| {
        let found = look_at_client(
            "bob",
            Some(&certificate),
            &AlertRules::default(),
            t0() + DAY.mul_f64(day),
        );
        found.map(|found| found.severity)
    };
    assert_eq!(look(23.9), None);
    assert_eq!(look(24.1), Some(Severity::Notice));
    assert_eq!(look(27.1), Some(Severity::Warning));
    assert_eq!((look(31.0), look(37.5)), (Some(Severity::Warning), None));
}

#[test]
fn a_ca_is_measured_by_what_it_signs() {
    let look = |days: u32| {
        let facts = CaFacts {
            name: "hosts",
            not_before: t0() - DAY * 1000,
            not_after: t0() + DAY * days,
            longest: DAY * 30,
        };
        look_at_ca(facts, &AlertRules::default(), t0()).map(|found| found.severity)
    };
    assert_eq!(look(1000), None);
    assert_eq!(
        look(100),
        Some(Severity::Warning),
        "nine tenths of its life are over"
    );
    assert_eq!(
        (look(59), look(29)),
        (Some(Severity::Warning), Some(Severity::Critical))
    );
}

fn finding(severity: Severity) -> Finding {
    Finding {
        key: "host/a".into(),
        kind: ProblemKind::RenewalMissed,
        severity,
        subject: "a".into(),
        message: "m".into(),
    }
}

fn telling(quiet_until: Option<Timestamp>) -> Telling {
    Telling {
        quiet_until,
        remind_every: DAY,
        escalate_after: None,
    }
}

/// What people are told when a scan an hour finds this, `None` for nothing, and whether it is quiet then.
fn told(scans: &[(Option<Severity>, bool)]) -> Vec<(usize, NotificationEvent)> {
    let (mut open, mut events): (Option<Problem>, Vec<_>) = (None, Vec::new());
    for (hour, (severity, quiet)) in scans.iter().enumerate() {
        let now = t0() + MINUTE * 60 * hour as u32;
        let found = severity.map(finding);
        let telling = telling(quiet.then_some(now));
        if let Some(told) = tell(open.as_ref(), found.as_ref(), 1, Area::Hosts, &telling, now) {
            events.extend(told.event.map(|event| (hour, event)));
            open = Some(told.problem).filter(|problem| problem.resolved_at.is_none());
        }
    }
    events
}

#[test]
fn a_problem_is_told_once_again_when_worse_daily_while_it_lasts_and_when_it_is_over() {
    use NotificationEvent::{Escalated, Opened, Reminder, Resolved};
    use Severity::{Critical, Warning};
    let (w, c, n) = ((Some(Warning), false), (Some(Critical), false), (None, false));
    assert_eq!(told(&[n, w, w, w, n]), [(1, Opened), (4, Resolved)]);
    assert_eq!(
        told(&[w, c, w, c]),
        [(0, Opened), (1, Escalated)],
        "worse only once"
    );
    let mut lasts = vec![w; 50];
    lasts.push(n);
    assert_eq!(
        told(&lasts),
        [(0, Opened), (24, Reminder), (48, Reminder), (50, Resolved)]
    );
    let q = (Some(Warning), true);
    assert_eq!(told(&[q, q, w]), [(2, Opened)], "told when the window closes");
    assert_eq!(told(&[q, q, (None, true), n]), [], "over before anybody was told");
    assert_eq!(told(&[w, (None, true)]), [(0, Opened), (1, Resolved)]);
}

#[test]
fn a_warning_that_is_left_alone_becomes_critical_when_that_is_configured() {
    let telling = Telling {
        escalate_after: Some(DAY * 2),
        ..telling(None)
    };
    let found = finding(Severity::Warning);
    let opened = tell(None, Some(&found), 1, Area::Hosts, &telling, t0())
        .unwrap()
        .problem;
    let later = tell(
        Some(&opened),
        Some(&found),
        1,
        Area::Hosts,
        &telling,
        t0() + DAY * 2,
    )
    .unwrap();
    assert_eq!(later.event, Some(NotificationEvent::Escalated));
    assert_eq!(later.problem.severity, Severity::Critical);
}

#[test]
fn who_was_told_of_the_worst_is_told_of_the_end() {
    let pager = ChannelRule {
        name: "pager".into(),
        least: Severity::Critical,
    };
    let found = finding(Severity::Warning);
    let mut problem = tell(None, Some(&found), 1, Area::Hosts, &telling(None), t0())
        .unwrap()
        .problem;
    assert!(!pager.takes(&problem, NotificationEvent::Opened));
    assert!(!pager.takes(&problem, NotificationEvent::Resolved));
    problem.told = Some((t0(), Severity::Critical));
    assert!(pager.takes(&problem, NotificationEvent::Resolved));
}

proptest! {
    /// Whatever is found when: a problem is opened once, resolved once and last, and never told of in between its end and
    /// its next beginning.
    #[test]
    fn beginnings_and_ends_take_turns(scans in prop::collection::vec((0..4u8, any::<bool>()), 1..80)) {
        let severity = |n: u8| Severity::ALL.get(usize::from(n)).copied();
        let scans: Vec<_> = scans.into_iter().map(|(n, quiet)| (severity(n), quiet)).collect();
        let mut open = false;
        for (_, event) in told(&scans) {
            match event {
                NotificationEvent::Opened => prop_assert!(!std::mem::replace(&mut open, true)),
                NotificationEvent::Resolved => prop_assert!(std::mem::replace(&mut open, false)),
                _ => prop_assert!(open),
            }
        }
    }
}
