use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::agent::observed::{Engine, Flaw, RefusedNames, Setbacks};
use crate::agent::records::{Joined, Memory, RenewalPoint};
use crate::agent::step::Served;
use crate::base::Id;
use crate::model::SeenCertificate;
use crate::pki::Serial;

const NOW: i64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn serial(n: u8) -> Serial {
    Serial::from_bytes(&[0x40, n.saturating_add(1)]).unwrap()
}

fn names(n: u8) -> Vec<San> {
    ["web-07".parse().unwrap(), format!("10.0.0.{n}").parse().unwrap()].to_vec()
}

fn desired(mode: Mode, hook: bool, named: bool) -> Desired {
    Desired {
        name: named.then(|| "web-07".parse().unwrap()),
        sans: names(1),
        server: "https://ca:8443".parse().unwrap(),
        mode,
        dial: (mode == Mode::Gate).then(|| "127.0.0.1:2376".parse().unwrap()),
        hook: hook && mode == Mode::Files,
        endpoints: Vec::new(),
        generation: 1,
        daemon: None,
    }
}

fn pair(version: u64, n: u8, from: i64, to: i64, sans: u8) -> PairFacts {
    PairFacts {
        version,
        name: "web-07".parse().unwrap(),
        serial: serial(n),
        spki_sha256: format!("key-{n}"),
        sans: names(sans),
        not_before: Timestamp::from_secs(NOW + from),
        not_after: Timestamp::from_secs(NOW + to.max(from)),
    }
}

fn nothing() -> Observed {
    Observed {
        current: Current::Nothing,
        versions: Vec::new(),
        fallback: None,
        request: None,
        memory: Memory::default(),
        interrupted: None,
        unreadable: None,
        token: TokenState::Present(Id::from_bytes([1; 16])),
        published: None,
        served: Served::NotDialled,
        engine: Engine::default(),
        names_since: Timestamp::EPOCH,
        setbacks: Setbacks::default(),
        waiting: None,
        daemon: None,
    }
}

/// A host where nothing is wrong.
fn healthy() -> Observed {
    let current = pair(3, 1, -1000, 100_000, 1);
    let seen = SeenCertificate {
        serial: current.serial.clone(),
        not_after: current.not_after,
    };
    Observed {
        versions: vec![2, 3],
        memory: Memory {
            joined: Some(Joined {
                token: Id::from_bytes([1; 16]),
                uses: None,
                at: now(),
            }),
            renewal: Some(RenewalPoint {
                serial: current.serial.clone(),
                at: now() + Duration::from_secs(60_000),
            }),
            hook_ran_for: Some(3),
            crl_url: None,
        },
        published: Some(current.serial.clone()),
        served: Served::Certificate(seen.into()),
        current: Current::Pair(current),
        ..nothing()
    }
}

prop_compose! {
    fn any_pair()(version in 1u64..5, n in 0u8..3, from in -100_000i64..1000, to in -1000i64..100_000, sans in 0u8..3) -> PairFacts {
        pair(version, n, from, to, sans)
    }
}

fn any_current() -> impl Strategy<Value = Current> {
    let flaw = prop_oneof![
        Just(Flaw::KeyMismatch),
        Just(Flaw::Unreadable("x".into())),
        Just(Flaw::ChainInvalid("x".into())),
    ];
    prop_oneof![
        1 => Just(Current::Nothing),
        1 => (1u64..5, flaw).prop_map(|(version, flaw)| Current::Broken { version, flaw }),
        4 => any_pair().prop_map(Current::Pair),
    ]
}

fn any_request() -> impl Strategy<Value = Option<RequestFacts>> {
    let purpose = prop_oneof![Just(Purpose::Enroll), Just(Purpose::Renew)];
    let staged = prop_oneof![Just(None), (5u64..7).prop_map(Some)];
    let request = (purpose, 0u8..3, 0u8..4, any::<bool>(), staged);
    proptest::option::of(
        request.prop_map(|(purpose, sans, n, answered, staged)| RequestFacts {
            purpose,
            sans: names(sans),
            spki_sha256: format!("key-{n}"),
            answered,
            staged,
        }),
    )
}

prop_compose! {
    fn any_setbacks()(
        retry in proptest::option::of(-100i64..100),
        hook in proptest::option::of(-100i64..100),
        refused in proptest::option::of((0u8..3, -8000i64..0)),
        certificate in proptest::option::of(0u8..3),
        key in proptest::option::of(0u8..4),
    ) -> Setbacks {
        let at = |offset: i64| Timestamp::from_secs(NOW + offset);
        Setbacks {
            retry_at: retry.map(at),
            hook_retry_at: hook.map(at),
            refused_names: refused.map(|(n, offset)| RefusedNames { sans: names(n), at: at(offset), message: String::new() }),
            refused_certificate: certificate.map(serial),
            useless_key: key.map(|n| format!("key-{n}")),
            ..Setbacks::default()
        }
    }
}

prop_compose! {
    fn any_memory()(joined: bool, renewal in proptest::option::of((0u8..3, -1000i64..1000)), hook in proptest::option::of(1u64..5)) -> Memory {
        Memory {
            joined: joined.then(|| healthy().memory.joined.unwrap()),
            renewal: renewal.map(|(n, offset)| RenewalPoint { serial: serial(n), at: Timestamp::from_secs(NOW + offset) }),
            hook_ran_for: hook,
            crl_url: None,
        }
    }
}

prop_compose! {
    fn any_observed()(
        current in any_current(),
        request in any_request(),
        memory in any_memory(),
        setbacks in any_setbacks(),
        (token, unreadable) in (any::<bool>(), proptest::bool::weighted(0.1)),
        fallback in proptest::option::of(1u64..5),
        (published, served) in (proptest::option::of(0u8..3), proptest::option::of(0u8..3)),
        since in -400i64..0,
    ) -> Observed {
        let in_use = match &current {
            Current::Nothing => None,
            Current::Broken { version, .. } => Some(*version),
            Current::Pair(pair) => Some(pair.version),
        };
        let staged = request.as_ref().and_then(|request| request.staged);
        let versions: BTreeSet<u64> = in_use.into_iter().chain(fallback).chain(staged).collect();
        Observed {
            current,
            versions: versions.into_iter().collect(),
            fallback: fallback.filter(|version| Some(*version) != in_use),
            request,
            memory,
            unreadable: unreadable.then(String::new),
            token: if token { nothing().token } else { TokenState::Absent(String::new()) },
            published: published.map(serial),
            served: served.map_or(Served::Failed(String::new()), |n| Served::Certificate(SeenCertificate { serial: serial(n), not_after: now() }.into())),
            names_since: Timestamp::from_secs(NOW + since),
            setbacks,
            ..nothing()
        }
    }
}

fn any_desired() -> impl Strategy<Value = Desired> {
    let mode = prop_oneof![Just(Mode::Gate), Just(Mode::Files)];
    (mode, any::<bool>(), proptest::bool::weighted(0.9))
        .prop_map(|(mode, hook, named)| desired(mode, hook, named))
}

fn position(plan: &Plan, find: impl Fn(&Step) -> bool) -> Option<usize> {
    plan.steps.iter().position(|planned| find(&planned.step))
}

fn count(plan: &Plan, find: impl Fn(&Step) -> bool) -> usize {
    plan.steps.iter().filter(|planned| find(&planned.step)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_plan_asks_for_one_certificate_at_most_and_swaps_once_at_most(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        prop_assert!(count(&plan, Step::asks_for_certificate) <= 1, "{plan:?}");
        prop_assert!(count(&plan, |s| matches!(s, Step::Swap { .. })) <= 1, "{plan:?}");
        prop_assert!(count(&plan, |s| matches!(s, Step::MakeRequest { .. })) <= 1, "{plan:?}");
    }

    #[test]
    fn a_plan_never_removes_what_is_in_use_and_swaps_only_to_what_is_there(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        prop_assert_eq!(count(&plan, |s| matches!(s, Step::RemoveVersion { .. })), 0);
        let written = plan.steps.iter().find_map(|planned| match planned.step {
            Step::WriteVersion { version } => Some(version),
            _ => None,
        });
        for planned in &plan.steps {
            if let Step::Swap { from, to } = planned.step {
                prop_assert!(written == Some(to) || observed.versions.contains(&to), "{plan:?}");
                prop_assert_eq!(from, observed.pair().map(|pair| pair.version));
                prop_assert_ne!(Some(to), observed.version());
            }
        }
        prop_assert!(written.is_none_or(|v| !observed.versions.contains(&v)), "{plan:?}");
    }

    #[test]
    fn a_request_is_kept_before_it_is_sent_and_forgotten_only_after_the_swap(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        let ask = position(&plan, Step::asks_for_certificate);
        let make = position(&plan, |s| matches!(s, Step::MakeRequest { .. }));
        let swap = position(&plan, |s| matches!(s, Step::Swap { .. }));
        let forget = position(&plan, |s| matches!(s, Step::CleanUp | Step::ForgetRequest));
        prop_assert!(ask.is_none() || make < ask && (make.is_some() || observed.request.is_some()), "{plan:?}");
        prop_assert!(forget.is_none() || swap < forget, "{plan:?}");
        prop_assert!(ask.is_none() || swap > ask, "{plan:?}");
    }

    #[test]
    fn without_a_readable_memory_nothing_but_the_gate_is_touched(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        if observed.unreadable.is_some() {
            prop_assert!(plan.steps.iter().all(|planned| planned.step == Step::Publish), "{plan:?}");
        }
    }

    #[test]
    fn before_its_retry_time_nobody_is_asked(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        if observed.setbacks.retry_at.is_some_and(|at| now() < at) {
            prop_assert_eq!(count(&plan, Step::asks_for_certificate), 0);
        }
    }

    #[test]
    fn every_certificate_that_is_wanted_is_got_or_the_plan_says_why_not(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        let wanted = plan.because.iter().any(Reason::wants_certificate);
        prop_assert_eq!(wanted || observed.unreadable.is_some(), plan.swaps() || plan.held.is_some(), "{:?}", plan);
        prop_assert!(!(plan.swaps() && plan.held.is_some()), "{plan:?}");
    }

    #[test]
    fn a_usable_pair_that_the_gate_lacks_is_published_whatever_else_is_wrong(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        if plan.because.contains(&Reason::NotPublished) {
            prop_assert_eq!(position(&plan, |s| *s == Step::Publish), Some(0));
        }
    }

    #[test]
    fn every_step_and_every_reason_has_words(observed in any_observed(), desired in any_desired()) {
        let plan = plan(&observed, &desired, now());
        for planned in &plan.steps {
            prop_assert!(!planned.step.to_string().is_empty());
            prop_assert!(planned.step.undo() != Some(planned.step.clone()));
        }
    }
}

#[test]
fn nothing_is_planned_when_nothing_is_wrong() {
    for mode in [Mode::Gate, Mode::Files] {
        assert_eq!(
            plan(&healthy(), &desired(mode, true, true), now()),
            Plan::default()
        );
    }
}

type Change = fn(&mut Observed);

#[test]
fn every_reason_can_be_reached() {
    let gate = desired(Mode::Gate, false, true);
    let with = |change: Change| {
        let mut observed = healthy();
        change(&mut observed);
        let files = desired(Mode::Files, true, true);
        let mut all = super::reasons(&observed, &gate, now());
        all.extend(super::reasons(&observed, &files, now()));
        all.into_iter()
            .map(|reason| reason.word())
            .collect::<BTreeSet<_>>()
    };
    let rows: [(&str, Change); 14] = [
        ("NotEnrolled", |o| *o = nothing()),
        ("CertificateMissing", |o| o.current = Current::Nothing),
        ("CertificateUnreadable", |o| {
            o.current = Current::Broken {
                version: 3,
                flaw: Flaw::Unreadable("x".into()),
            }
        }),
        ("KeyMismatch", |o| {
            o.current = Current::Broken {
                version: 3,
                flaw: Flaw::KeyMismatch,
            }
        }),
        ("ChainInvalid", |o| {
            o.current = Current::Broken {
                version: 3,
                flaw: Flaw::ChainInvalid("x".into()),
            }
        }),
        ("NotYetValid", |o| {
            o.current = Current::Pair(pair(3, 1, 100, 1000, 1))
        }),
        ("Expired", |o| {
            o.current = Current::Pair(pair(3, 1, -1000, -10, 1))
        }),
        ("RenewalDue", |o| o.memory.renewal.as_mut().unwrap().at = now()),
        ("SansChanged", |o| {
            o.current = Current::Pair(pair(3, 1, -1000, 100_000, 2))
        }),
        ("RenewalNotDrawn", |o| o.memory.renewal = None),
        ("RequestLeftOver", |o| {
            o.request = Some(RequestFacts {
                purpose: Purpose::Renew,
                sans: names(1),
                spki_sha256: "key-1".into(),
                answered: true,
                staged: None,
            })
        }),
        ("NotPublished", |o| o.published = None),
        ("HookPending", |o| o.memory.hook_ran_for = Some(2)),
        ("NotServed", |o| o.served = Served::Failed("refused".into())),
    ];
    for (word, change) in rows {
        assert!(with(change).contains(word), "{word}: {:?}", with(change));
    }
}

#[test]
fn a_hook_without_effect_runs_again_when_its_time_has_come() {
    let desired = Desired {
        dial: Some("127.0.0.1:443".parse().unwrap()),
        ..desired(Mode::Files, true, true)
    };
    let mut observed = healthy();
    let steps = |observed: &Observed| -> Vec<Step> {
        let plan = plan(observed, &desired, now());
        plan.steps.into_iter().map(|planned| planned.step).collect()
    };
    let dial = Step::Dial {
        address: desired.dial.unwrap(),
    };
    assert_eq!(steps(&observed), []);
    observed.served = Served::Certificate(
        SeenCertificate {
            serial: serial(7),
            not_after: now(),
        }
        .into(),
    );
    assert_eq!(steps(&observed), [Step::RunHook { version: 3 }, dial.clone()]);
    observed.setbacks.hook_retry_at = Some(now() + Duration::from_secs(1));
    assert_eq!(steps(&observed), std::slice::from_ref(&dial));
    // Nobody listens: what is started there later reads the new files by itself.
    observed.setbacks.hook_retry_at = None;
    observed.served = Served::Failed("refused".into());
    assert_eq!(steps(&observed), [dial]);
}
