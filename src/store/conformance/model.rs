//! Random operations give the same answers on every store, one by one on the one and in groups on the
//! other, and leave the same data behind.

use std::sync::Arc;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::audit::Actor;
use crate::model::enrollment::RequestState;
use crate::model::{Approval, CertificateFilter, CertificateStatus, ChangeKind, IdentityKind, IssuerKind};
use crate::pki::RevocationReason;
use crate::store::{AuditFilter, Given, ProgressQuery, Regain, RevocationRange, RevokeTarget, Store};

/// Few names, keys and tokens, so that operations get in each other's way.
const NAMES: [&str; 4] = ["web-1.fleet.internal", "web-2.fleet.internal", "bob", "localhost"];

/// An operation before it has its number and time.
#[derive(Clone, Debug)]
enum Step {
    Create {
        token: u32,
        uses: u32,
        hours: u32,
        replace: bool,
    },
    Delete {
        token: u32,
    },
    Enroll {
        token: u32,
        kind: IdentityKind,
        name: usize,
        key: u32,
        also: Option<usize>,
    },
    Renew {
        current: u32,
        of: u32,
        key: u32,
    },
    Adopt {
        kind: IdentityKind,
        name: usize,
        key: u32,
    },
    Submit {
        token: u32,
        key: u32,
    },
    Decide {
        request: u32,
        state: RequestState,
    },
    Report {
        host: u32,
    },
    Revoke {
        current: u32,
    },
    RevokeIdentity {
        of: u32,
        hours: u32,
    },
    RevokeShown {
        certificate: u32,
    },
    Acknowledge {
        host: u32,
        feed: u64,
    },
    ReserveCrl {
        issuer: usize,
    },
    Regain {
        certificates: Vec<(u32, u64)>,
    },
    Restored,
}

/// Operations that are under way at the same time, the hours that pass before them, and which of them
/// has a number that is taken.
#[derive(Clone, Debug)]
struct Group {
    hours: u32,
    steps: Vec<(Step, bool)>,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || prop_oneof![3 => Just(IdentityKind::Host), 1 => Just(IdentityKind::Client)];
    let state = prop_oneof![
        Just(RequestState::Approved),
        Just(RequestState::Denied),
        Just(RequestState::Pending)
    ];
    let create = (0..4u32, 0..4u32, 0..60u32, any::<bool>());
    let enroll = (
        0..5u32,
        kind(),
        0..NAMES.len(),
        0..6u32,
        proptest::option::of(0..NAMES.len()),
    );
    // Serials without a record are never issued: those of issued ones are counted from 100 on.
    let given = prop::collection::vec((30..90u32, 0..40u64), 0..4);
    prop_oneof![
        2 => create.prop_map(|(token, uses, hours, replace)| Step::Create { token, uses, hours, replace }),
        1 => (0..5u32).prop_map(|token| Step::Delete { token }),
        8 => enroll.prop_map(|(token, kind, name, key, also)| Step::Enroll { token, kind, name, key, also }),
        4 => (0..60u32, 0..60u32, 0..6u32).prop_map(|(current, of, key)| Step::Renew { current, of, key }),
        1 => (kind(), 0..NAMES.len(), 0..6u32).prop_map(|(kind, name, key)| Step::Adopt { kind, name, key }),
        1 => (0..4u32, 0..6u32).prop_map(|(token, key)| Step::Submit { token, key }),
        1 => (0..60u32, state).prop_map(|(request, state)| Step::Decide { request, state }),
        1 => (0..60u32).prop_map(|host| Step::Report { host }),
        2 => (0..60u32).prop_map(|current| Step::Revoke { current }),
        2 => (0..60u32, 0..40u32).prop_map(|(of, hours)| Step::RevokeIdentity { of, hours }),
        1 => (0..90u32).prop_map(|certificate| Step::RevokeShown { certificate }),
        1 => (90..130u32, 0..9u64).prop_map(|(host, feed)| Step::Acknowledge { host, feed }),
        1 => (0..2usize).prop_map(|issuer| Step::ReserveCrl { issuer }),
        1 => given.prop_map(|certificates| Step::Regain { certificates }),
        1 => Just(Step::Restored),
    ]
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let taken = prop_oneof![19 => Just(false), 1 => Just(true)];
    let steps = prop::collection::vec((step(), taken), 1..12);
    let group = (0..6u32, steps).prop_map(|(hours, steps)| Group { hours, steps });
    prop::collection::vec(group, 1..10)
}

/// A step with its number and time, and with what it refers to looked up.
async fn perform(
    store: Arc<dyn Store>,
    step: Step,
    number: u32,
    now: Timestamp,
    reference: Reference,
) -> String {
    match step {
        Step::Create {
            token: n,
            uses,
            hours,
            replace,
        } => {
            let mut token = token(n, uses);
            token.expires_at = now + HOUR * hours;
            token.replace = replace;
            token.approval = if replace { Approval::Manual } else { Approval::Auto };
            format!("{:?}", store.create_token(token, alice(), None).await)
        }
        Step::Delete { token } => format!("{:?}", store.delete_token(id(token), alice(), now).await),
        Step::Enroll {
            token,
            kind,
            name,
            key,
            also,
        } => {
            let mut enrollment = enrollment_of(number, token, kind, NAMES[name], key, now);
            let also = also.map(|also| NAMES[also].parse().unwrap());
            enrollment.certificate.sans.extend(also);
            format!("{:?}", store.enroll(enrollment).await)
        }
        Step::Renew { key, .. } => match reference.certificates {
            Some((current, of)) => {
                let mut renewal = renewal(number, &of, key, now);
                renewal.current = current.serial;
                format!("{:?}", store.renew(renewal).await)
            }
            None => String::new(),
        },
        Step::Adopt { kind, name, key } => {
            let identity = identity(number, kind, NAMES[name]);
            let certificate = certificate(number, &identity, key, now);
            format!("{:?}", store.adopt(identity, certificate, Actor::System).await)
        }
        Step::Submit { token, key } => {
            format!(
                "{:?}",
                store.submit_request(request(number, token, key, now)).await
            )
        }
        Step::Decide { request, state } => {
            format!(
                "{:?}",
                store.decide_request(id(request), state, alice(), now).await
            )
        }
        Step::Report { host } => format!("{:?}", store.put_host_status(status(id(host), 1, now)).await),
        other => perform_on_feed(&*store, other, now, reference).await,
    }
}

async fn perform_on_feed(store: &dyn Store, step: Step, now: Timestamp, reference: Reference) -> String {
    let target = match step {
        Step::Revoke { .. } => reference
            .certificates
            .map(|(c, _)| RevokeTarget::Serial(c.serial)),
        Step::RevokeIdentity { hours, .. } => reference.certificates.map(|(c, _)| RevokeTarget::Identity {
            id: c.identity,
            since: now - HOUR * hours,
        }),
        Step::RevokeShown { certificate } => {
            let mut shown = shown(certificate, now);
            // One time of three it has a record.
            if let (0..30, Some((recorded, _))) = (certificate, reference.certificates) {
                shown.serial = recorded.serial;
            }
            Some(RevokeTarget::Shown(Box::new(shown)))
        }
        Step::Acknowledge { host, feed } => {
            let said = acknowledgement(id(host), feed, now);
            return format!("{:?}", store.acknowledge(said).await);
        }
        Step::ReserveCrl { issuer } => {
            return format!("{:?}", store.reserve_crl(IssuerKind::ALL[issuer], now).await);
        }
        Step::Regain { certificates } => {
            let given = certificates.into_iter().map(|(certificate, number)| Given {
                number,
                at: now - HOUR,
                certificate: shown(certificate, now),
                reason: RevocationReason::Superseded,
            });
            let regain = Regain {
                given: given.collect(),
                actor: alice(),
                source: None,
                now,
            };
            return format!("{:?}", store.regain(regain).await);
        }
        Step::Restored => return format!("{:?}", store.restored(alice(), now).await),
        _ => None,
    };
    match target {
        Some(target) => format!("{:?}", store.revoke(order(target, now)).await),
        None => String::new(),
    }
}

/// Certificates that exist, for a step that renews.
#[derive(Clone, Default)]
struct Reference {
    certificates: Option<(crate::model::Certificate, crate::model::Certificate)>,
}

async fn look_up(store: &dyn Store, step: &Step) -> Reference {
    let (current, of) = match *step {
        Step::Renew { current, of, .. } => (current, of),
        Step::Revoke { current } => (current, current),
        Step::RevokeIdentity { of, .. } => (of, of),
        Step::RevokeShown { certificate } => (certificate, certificate),
        _ => return Reference::default(),
    };
    let all = certificates(store, CertificateFilter::default(), t0()).await;
    if all.is_empty() {
        return Reference::default();
    }
    let at = |n: u32| all[n as usize % all.len()].clone();
    // Three times of four a certificate renews itself.
    let of = if of % 4 == 0 { of } else { current };
    Reference {
        certificates: Some((at(current), at(of))),
    }
}

/// Everything a store would show.
async fn everything(store: &dyn Store, now: Timestamp) -> Vec<String> {
    let mut seen = Vec::new();
    for number in 0..6 {
        seen.push(format!("{:?}", store.token(id(number)).await.unwrap()));
    }
    seen.push(format!("{:?}", walk(2, |page| store.tokens(page)).await));
    seen.push(format!("{:?}", walk(2, |page| store.hosts(page)).await));
    for kind in [IdentityKind::Host, IdentityKind::Client] {
        let identities = walk(2, |page| store.identities(kind, page)).await;
        seen.push(format!("{identities:?}"));
        for (identity, _) in identities {
            seen.push(format!("{:?}", store.newest_of(identity.id, 3).await));
        }
    }
    let edges: Vec<_> = (0..12).map(|count| now + HOUR * 5 * count / 2).collect();
    seen.push(format!("{:?}", store.expiry_counts(edges.clone()).await));
    seen.push(format!("{:?}", store.due_counts(edges).await));
    for all in [false, true] {
        seen.push(format!("{:?}", walk(2, |page| store.requests(all, page)).await));
    }
    for filter in filters() {
        seen.push(format!(
            "{filter:?} {:?}",
            certificates(store, filter.clone(), now).await
        ));
    }
    for subject in ["alice", "bob"] {
        let filter = AuditFilter {
            subject: Some(subject.to_owned()),
            after: None,
        };
        seen.push(format!(
            "{:?}",
            walk(2, |page| store.audit(filter.clone(), page)).await
        ));
    }
    seen.push(format!("{:?}", audit_log(store).await));
    seen.push(format!(
        "{:?} {:?}",
        store.feed_head().await,
        whole_feed(store).await
    ));
    let range = RevocationRange {
        issuer: Some(IssuerKind::Clients),
        after: 1,
        to: 20,
        since: now,
    };
    seen.push(format!("{:?}", store.revocations(range, 5).await));
    for number in [1, 5] {
        let query = ProgressQuery {
            number,
            now,
            except: NAMES[0].parse().unwrap(),
            missing_max: 2,
        };
        seen.push(format!("{:?}", store.progress(query).await));
    }
    seen
}

fn filters() -> Vec<CertificateFilter> {
    let all = CertificateFilter::default();
    let mut filters: Vec<_> = CertificateStatus::ALL
        .map(|status| CertificateFilter {
            statuses: vec![status],
            ..all.clone()
        })
        .to_vec();
    filters.push(CertificateFilter {
        statuses: vec![CertificateStatus::Valid, CertificateStatus::Expired],
        kind: Some(IdentityKind::Host),
        ..all.clone()
    });
    filters.push(CertificateFilter {
        expires_within: Some(HOUR * 12),
        ..all.clone()
    });
    for name in NAMES {
        filters.push(CertificateFilter {
            name: Some(name.to_owned()),
            ..all.clone()
        });
    }
    filters.push(all);
    filters
}

async fn compare(groups: Vec<Group>) -> Result<(), TestCaseError> {
    let (memory, sqlite) = (super::memory().await, super::sqlite().await);
    let (mut number, mut now) = (100, t0());
    for group in groups {
        now = now + HOUR * group.hours;
        let mut work = Vec::new();
        for (step, taken) in group.steps {
            number += u32::from(!taken);
            let reference = look_up(&*memory.store, &step).await;
            work.push((step, number, reference));
        }
        let mut expected = Vec::new();
        for (step, number, reference) in work.clone() {
            expected.push(perform(memory.store.clone(), step, number, now, reference).await);
        }
        // On one thread they queue up in order before the writer takes them, as one group.
        let answers =
            join_all(work.iter().cloned().map(|(step, number, reference)| {
                perform(sqlite.store.clone(), step, number, now, reference)
            }));
        for ((answer, expected), (step, ..)) in answers.await.iter().zip(&expected).zip(&work) {
            prop_assert_eq!(answer, expected, "to {:?}", step);
        }
    }
    for change in whole_feed(&*sqlite.store).await {
        if let ChangeKind::Revoked(revocation) = change.kind
            && let Some(certificate) = sqlite.store.certificate(&revocation.serial).await.unwrap()
        {
            prop_assert_eq!(
                certificate.revoked_at,
                Some(revocation.revoked_at),
                "revoked for good"
            );
        }
    }
    let expected = everything(&*memory.store, now).await;
    for (seen, expected) in everything(&*sqlite.store, now).await.iter().zip(&expected) {
        prop_assert_eq!(seen, expected);
    }
    assert_chain_is_whole(&*sqlite.store).await;
    sqlite.store.close().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn random_operations_have_the_same_answers_and_effects_on_every_store(groups in groups()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(groups))?;
    }
}
