//! Jobs, and what is removed when it is old.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::audit::{Actor, Chain};
use crate::model::job::{JobCause, JobName, JobOutcome, NextRun};
use crate::store::{AuditFilter, JobChange, JobOrder, PruneOrder, Pruned, Store};

super::on_every_store!(
    what_is_remembered_of_a_job_is_read_back,
    who_asks_for_a_job_is_written_down,
    what_ended_long_ago_is_removed_in_steps_and_the_rest_stays,
    requests_go_with_their_token,
    old_audit_records_go_and_the_chain_begins_after_them,
    the_newest_audit_record_always_stays,
);

const DAY: Duration = Duration::from_secs(86_400);

async fn change(store: &Arc<dyn Store>, job: JobName, change: JobChange, now: Timestamp) {
    store.change_job(JobOrder { job, change, now }).await.unwrap();
}

fn next(at: Timestamp) -> NextRun {
    NextRun {
        at: Some(at),
        retries: false,
    }
}

async fn what_is_remembered_of_a_job_is_read_back(store: Arc<dyn Store>) {
    assert_eq!(store.jobs().await.unwrap(), []);
    let plan = JobChange::Plan {
        plan: "17 3 * * * UTC".to_owned(),
        next: next(hour(3)),
    };
    change(&store, JobName::Prune, plan, t0()).await;
    let cause = JobCause::Schedule;
    change(&store, JobName::Prune, JobChange::Begin { cause }, hour(3)).await;
    let running = store.jobs().await.unwrap();
    assert_eq!(running[0].running.unwrap().since, hour(3));
    let end = JobChange::End {
        outcome: JobOutcome::Failed,
        detail: "no \"room\"".to_owned(),
        next: next(hour(4)),
    };
    change(&store, JobName::Prune, end, hour(3)).await;
    let [job] = &store.jobs().await.unwrap()[..] else {
        panic!("one job was changed")
    };
    let last = job.last.as_ref().unwrap();
    assert_eq!(
        (last.outcome, last.detail.as_str()),
        (JobOutcome::Failed, "no \"room\"")
    );
    assert_eq!((job.next_at, job.failures, job.running), (Some(hour(4)), 1, None));
}

async fn who_asks_for_a_job_is_written_down(store: Arc<dyn Store>) {
    let ask = |name: &str| JobChange::Ask {
        actor: Actor::Client(name.to_owned()),
        source: Some("10.0.0.7".parse().unwrap()),
    };
    change(&store, JobName::Backup, ask("alice"), hour(1)).await;
    change(&store, JobName::Backup, ask("bob"), hour(2)).await;
    let jobs = store.jobs().await.unwrap();
    assert_eq!(
        jobs[0].asked.as_ref().unwrap().by,
        "client:alice",
        "it runs once for both"
    );
    let log = audit_log(&*store).await;
    let seen: Vec<_> = log
        .iter()
        .map(|r| (r.action.as_str(), r.subject.as_str(), r.actor.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("job.run", "backup", "client:alice"),
            ("job.run", "backup", "client:bob")
        ]
    );
}

fn everything_before(before: Timestamp, now: Timestamp) -> PruneOrder {
    PruneOrder {
        certificates: Some(before),
        tokens: Some(before),
        audit: None,
        problems: None,
        limit: 2,
        now,
    }
}

async fn what_ended_long_ago_is_removed_in_steps_and_the_rest_stays(store: Arc<dyn Store>) {
    for number in 1..=3 {
        enroll_fresh(&*store, number, &format!("web-{number}.fleet.internal"), t0()).await;
    }
    let late = enroll_fresh(&*store, 4, "web-4.fleet.internal", t0() + DAY * 60).await;
    let first = store.certificate(&serial(1)).await.unwrap().unwrap();
    let order = everything_before(first.not_after + DAY, late.not_after);
    let mut steps = Vec::new();
    for _ in 0..3 {
        let pruned = store.prune(order.clone()).await.unwrap();
        steps.push((pruned.certificates, pruned.tokens));
    }
    assert_eq!(steps, [(2, 2), (1, 1), (0, 0)]);
    assert_eq!(store.certificate(&serial(1)).await.unwrap(), None);
    assert!(store.certificate(&late.serial).await.unwrap().is_some());
    let left = walk(10, |page| store.certificates(Default::default(), t0(), page)).await;
    assert_eq!(left.len(), 1);
    let host = store
        .host(&"web-1.fleet.internal".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(host.certificate, None, "who it was is still known");
    let again = enroll_fresh(&*store, 9, "web-1.fleet.internal", late.not_after).await;
    let again = store.certificate(&again.serial).await.unwrap().unwrap();
    assert_eq!(again.identity, host.identity.id);
    let log = audit_log(&*store).await;
    assert_eq!(
        log.iter().filter(|record| record.action == "prune").count(),
        2,
        "each step that removed something"
    );
}

async fn requests_go_with_their_token(store: Arc<dyn Store>) {
    let token = token(1, 1);
    store.create_token(token.clone(), alice(), None).await.unwrap();
    let request = store
        .submit_request(request(1, 1, 1, t0()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(request.token, token.id);
    let order = everything_before(token.expires_at, token.expires_at + DAY);
    assert_eq!(store.prune(order).await.unwrap().tokens, 0, "not before its end");
    let order = everything_before(token.expires_at + DAY, token.expires_at + DAY);
    assert_eq!(store.prune(order).await.unwrap().tokens, 1);
    let left = walk(10, |page| store.requests(true, page)).await;
    assert_eq!(left, []);
    assert_eq!(store.token(token.id).await.unwrap(), None);
}

async fn note(store: &Arc<dyn Store>, number: u32) {
    let event = crate::model::audit::Event {
        at: hour(number),
        actor: Actor::System,
        action: "server.start",
        subject: number.to_string(),
        outcome: "ok".to_owned(),
        source: None,
        detail: Default::default(),
    };
    store.append_audit(event).await.unwrap();
}

fn audit_before(before: Timestamp, limit: u32) -> PruneOrder {
    PruneOrder {
        certificates: None,
        tokens: None,
        audit: Some(before),
        problems: None,
        limit,
        now: hour(1000),
    }
}

async fn old_audit_records_go_and_the_chain_begins_after_them(store: Arc<dyn Store>) {
    for number in 0..20 {
        note(&store, number).await;
    }
    assert_eq!(store.audit_checkpoint().await.unwrap(), None);
    let before = audit_log(&*store).await;
    let mut removed = Vec::new();
    for _ in 0..3 {
        removed.push(store.prune(audit_before(hour(10), 7)).await.unwrap().audit);
    }
    assert_eq!(removed, [7, 3, 0]);
    let checkpoint = store.audit_checkpoint().await.unwrap().unwrap();
    assert_eq!((checkpoint.seq, checkpoint.hash), (10, before[9].hash));
    let after = audit_log(&*store).await;
    assert!(
        after.iter().map(|record| record.seq).eq(11..=22),
        "ten stay, and two say what went"
    );
    let mut chain = Chain::after(&checkpoint);
    after.iter().for_each(|record| chain.check(record).unwrap());
    assert!(after.iter().any(|record| checkpoint.is_told_by(record)));
    assert!(Chain::default().check(&after[0]).is_err());
    let all = AuditFilter {
        after: Some(0),
        subject: None,
    };
    assert_eq!(walk(5, |page| store.audit(all.clone(), page)).await, after);
    note(&store, 40).await;
    assert_eq!(audit_log(&*store).await.last().unwrap().seq, 23);
}

async fn the_newest_audit_record_always_stays(store: Arc<dyn Store>) {
    let nothing = Pruned::default();
    assert_eq!(store.prune(audit_before(hour(99), 10)).await.unwrap(), nothing);
    note(&store, 1).await;
    assert_eq!(store.prune(audit_before(hour(99), 10)).await.unwrap(), nothing);
    note(&store, 2).await;
    assert_eq!(store.prune(audit_before(hour(99), 10)).await.unwrap().audit, 1);
    let log = audit_log(&*store).await;
    assert!(log.iter().map(|record| record.seq).eq([2, 3]));
}
