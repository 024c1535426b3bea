//! The audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fixture::*;
use crate::base::encoding;
use crate::model::audit::{Actor, Event};
use crate::store::{AuditFilter, Store};

super::on_every_store!(
    records_are_numbered_without_gaps_and_read_both_ways,
    a_subject_finds_what_happened_to_it_and_what_it_did,
    an_event_is_read_back_as_it_was,
    no_secret_reaches_the_log,
);

fn event(number: u32) -> Event {
    Event {
        at: hour(number),
        actor: Actor::Anonymous,
        action: "server.start",
        subject: format!("subject {number}"),
        outcome: "ok".to_owned(),
        source: Some("2001:db8::1".parse().unwrap()),
        detail: BTreeMap::from([("version", format!("\"{number}\"\n"))]),
    }
}

async fn records_are_numbered_without_gaps_and_read_both_ways(store: Arc<dyn Store>) {
    let mut running = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = store.clone();
        running.spawn(async move { store.append_audit(event(number)).await.unwrap() });
    }
    running.join_all().await;
    let forward = audit_log(&*store).await;
    assert!(forward.iter().map(|record| record.seq).eq(1..=40));
    let mut backward = walk(7, |page| store.audit(AuditFilter::default(), page)).await;
    backward.reverse();
    assert_eq!(backward, forward);
    let filter = AuditFilter {
        after: Some(35),
        subject: None,
    };
    let tail = walk(2, |page| store.audit(filter.clone(), page)).await;
    assert_eq!(tail, forward[35..]);
}

async fn a_subject_finds_what_happened_to_it_and_what_it_did(store: Arc<dyn Store>) {
    let certificate = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    store.renew(renewal(2, &certificate, 2, hour(1))).await.unwrap();
    enroll_fresh(&*store, 3, "web-3.fleet.internal", t0()).await;
    let about = async |subject: &str| {
        let filter = AuditFilter {
            subject: Some(subject.to_owned()),
            after: Some(0),
        };
        let records = walk(1, |page| store.audit(filter.clone(), page)).await;
        records.iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    assert_eq!(about("web-1.fleet.internal").await, [2, 3]);
    assert_eq!(
        about(&id(10_001).to_string()).await,
        [1, 2],
        "a token: made, and used"
    );
    assert_eq!(about("alice").await, [1, 4]);
    assert_eq!(about("nobody").await, Vec::<u64>::new());
}

async fn an_event_is_read_back_as_it_was(store: Arc<dyn Store>) {
    store.append_audit(event(1)).await.unwrap();
    let log = audit_log(&*store).await;
    let record = &log[0];
    assert_eq!((record.at, record.actor.as_str()), (hour(1), "anonymous"));
    assert_eq!(
        (record.subject.as_str(), record.source.as_deref()),
        ("subject 1", Some("2001:db8::1"))
    );
    assert_eq!(record.detail, r#"{"version":"\"1\"\n"}"#);
}

async fn no_secret_reaches_the_log(store: Arc<dyn Store>) {
    let token = token(1, 1);
    store.create_token(token.clone(), alice(), None).await.unwrap();
    store
        .enroll(enrollment(1, 1, "web-1.fleet.internal", 1, t0()))
        .await
        .unwrap();
    store
        .enroll(enrollment(2, 1, "web-2.fleet.internal", 2, t0()))
        .await
        .unwrap();
    store
        .enroll(enrollment(3, 9, "web-3.fleet.internal", 3, t0()))
        .await
        .unwrap();
    store.delete_token(token.id, alice(), t0()).await.unwrap();
    let log = format!("{:?}", audit_log(&*store).await);
    let secret = token.secret_sha256;
    let bytes = format!("{secret:?}");
    for form in [encoding::hex(&secret), encoding::base32(&secret), bytes] {
        assert!(!log.contains(&form), "the hash of a secret is in the log");
    }
}
