//! Enrolling: spending, repeating, names.

use std::sync::Arc;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::enrollment::IDEMPOTENCY_WINDOW;
use crate::model::{IdentityKind, TokenProblem};
use crate::store::{Enrolled, Enrollment, Store, StoreError};

super::on_every_store!(
    an_enrolment_stores_identity_certificate_and_use_together,
    parallel_enrolments_spend_exactly_the_uses_there_are,
    the_same_key_gets_the_same_bytes_and_spends_nothing,
    the_same_key_in_parallel_gets_one_certificate,
    a_lost_answer_is_repeated_when_the_token_is_spent_and_expired_but_not_after_the_window,
    a_token_that_cannot_be_spent_is_refused_with_its_reason,
    a_spent_token_with_a_new_key_is_recorded_as_a_possible_leak,
    a_name_that_a_live_identity_holds_is_refused,
    two_that_want_the_same_new_name_at_once_do_not_both_get_it,
    a_name_whose_certificates_expired_is_free_again,
    the_old_key_may_rejoin_under_its_name,
    a_replacing_token_takes_the_name_over_with_its_own_rules,
    another_hosts_name_among_the_alternative_names_is_refused,
    hosts_and_clients_do_not_share_names,
    a_serial_is_issued_once,
);

fn issued(enrolled: &Enrolled) -> bool {
    matches!(enrolled, Enrolled::Issued { .. })
}

async fn an_enrolment_stores_identity_certificate_and_use_together(store: Arc<dyn Store>) {
    store.create_token(token(1, 2), alice(), None).await.unwrap();
    let enrollment = enrollment(5, 1, "web-1.fleet.internal", 5, hour(0));
    let enrolled = store.enroll(enrollment.clone()).await.unwrap();
    assert_eq!(enrolled, Enrolled::Issued { uses_left: 1 });
    let identity = enrollment.identity.clone();
    assert_eq!(
        store.identity_by_id(identity.id).await.unwrap(),
        Some(identity.clone())
    );
    let found = store.identity(IdentityKind::Host, &identity.name).await.unwrap();
    assert_eq!(found, Some(identity));
    let certificate = stored(&enrollment);
    assert_eq!(
        store.certificate(&certificate.serial).await.unwrap(),
        Some(certificate.clone())
    );
    assert_eq!(
        store.certificate_by_key(id(1), key(5)).await.unwrap(),
        Some(certificate)
    );
    assert_eq!(store.certificate_by_key(id(1), key(6)).await.unwrap(), None);
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 1);
    assert_eq!(
        actions(&*store).await,
        ["token.create ok", "certificate.issue ok"]
    );
}

async fn all_at_once(store: &Arc<dyn Store>, enrollments: Vec<Enrollment>) -> Vec<Enrolled> {
    let mut running = tokio::task::JoinSet::new();
    for enrollment in enrollments {
        let store = store.clone();
        running.spawn(async move { store.enroll(enrollment).await.unwrap() });
    }
    running.join_all().await
}

async fn parallel_enrolments_spend_exactly_the_uses_there_are(store: Arc<dyn Store>) {
    store.create_token(token(1, 10), alice(), None).await.unwrap();
    let wanted = (100..164).map(|n| enrollment(n, 1, &format!("web-{n}.fleet.internal"), n, t0()));
    let answers = all_at_once(&store, wanted.collect()).await;
    assert_eq!(answers.iter().filter(|enrolled| issued(enrolled)).count(), 10);
    let refused = answers
        .iter()
        .filter(|e| **e == Enrolled::TokenRefused(TokenProblem::Spent));
    assert_eq!(refused.count(), 54);
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 0);
    assert_eq!(certificates(&*store, Default::default(), t0()).await.len(), 10);
}

async fn the_same_key_gets_the_same_bytes_and_spends_nothing(store: Arc<dyn Store>) {
    store.create_token(token(1, 5), alice(), None).await.unwrap();
    let first = enrollment(1, 1, "web-1.fleet.internal", 7, t0());
    assert!(issued(&store.enroll(first.clone()).await.unwrap()));
    let again = enrollment(2, 1, "web-1.fleet.internal", 7, hour(1));
    let repeated = store.enroll(again).await.unwrap();
    assert_eq!(repeated, Enrolled::Repeated(Box::new(stored(&first))));
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 4);
    assert_eq!(store.certificate(&serial(2)).await.unwrap(), None);
    assert_eq!(actions(&*store).await.len(), 2, "a repetition leaves no record");
}

async fn the_same_key_in_parallel_gets_one_certificate(store: Arc<dyn Store>) {
    store.create_token(token(1, 64), alice(), None).await.unwrap();
    let wanted = (0..32).map(|n| enrollment(n, 1, "web-1.fleet.internal", 7, t0()));
    let answers = all_at_once(&store, wanted.collect()).await;
    assert_eq!(answers.iter().filter(|enrolled| issued(enrolled)).count(), 1);
    let certificate = store.certificate_by_key(id(1), key(7)).await.unwrap().unwrap();
    let repeated = Enrolled::Repeated(Box::new(certificate));
    assert_eq!(
        answers.iter().filter(|enrolled| **enrolled == repeated).count(),
        31
    );
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 63);
}

async fn a_lost_answer_is_repeated_when_the_token_is_spent_and_expired_but_not_after_the_window(
    store: Arc<dyn Store>,
) {
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    let first = enrollment(1, 1, "web-1.fleet.internal", 7, t0());
    store.enroll(first.clone()).await.unwrap();
    let repeated = Enrolled::Repeated(Box::new(stored(&first)));
    let last = hour(1) + IDEMPOTENCY_WINDOW;
    for now in [hour(0), hour(1), hour(2), last] {
        let again = store
            .enroll(enrollment(2, 1, "web-1.fleet.internal", 7, now))
            .await;
        assert_eq!(again.unwrap(), repeated, "at {now}");
    }
    let after = Timestamp::from_millis(last.as_millis() + 1);
    let late = store
        .enroll(enrollment(2, 1, "web-1.fleet.internal", 7, after))
        .await;
    assert_eq!(late.unwrap(), Enrolled::TokenRefused(TokenProblem::Expired));
}

async fn a_token_that_cannot_be_spent_is_refused_with_its_reason(store: Arc<dyn Store>) {
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    store.create_token(token(2, 1), alice(), None).await.unwrap();
    store.delete_token(id(2), alice(), t0()).await.unwrap();
    for (number, now, problem) in [
        (1, hour(2), TokenProblem::Expired),
        (2, t0(), TokenProblem::Deleted),
        (3, t0(), TokenProblem::Unknown),
    ] {
        let refused = store
            .enroll(enrollment(9, number, "web-9.fleet.internal", 9, now))
            .await;
        assert_eq!(refused.unwrap(), Enrolled::TokenRefused(problem));
        let last = actions(&*store).await.pop().unwrap();
        assert_eq!(last, format!("enroll.refused {}", problem.as_str()));
    }
    assert_eq!(certificates(&*store, Default::default(), t0()).await, []);
    assert_eq!(store.identity_by_id(id(9)).await.unwrap(), None);
}

async fn a_spent_token_with_a_new_key_is_recorded_as_a_possible_leak(store: Arc<dyn Store>) {
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    store
        .enroll(enrollment(1, 1, "web-1.fleet.internal", 1, t0()))
        .await
        .unwrap();
    let second = store
        .enroll(enrollment(2, 1, "web-2.fleet.internal", 2, t0()))
        .await;
    assert_eq!(second.unwrap(), Enrolled::TokenRefused(TokenProblem::Spent));
    let log = audit_log(&*store).await;
    let leaks: Vec<bool> = log.iter().map(|r| r.detail.contains("possible-leak")).collect();
    assert_eq!(leaks, [false, false, true]);
}

async fn a_name_that_a_live_identity_holds_is_refused(store: Arc<dyn Store>) {
    enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    store.create_token(token(2, 1), alice(), None).await.unwrap();
    let wanted = enrollment(2, 2, "web-1.fleet.internal", 2, hour(1));
    let refused = store.enroll(wanted.clone()).await.unwrap();
    assert_eq!(refused, Enrolled::NameTaken(wanted.identity.name));
    assert_eq!(
        store.token(id(2)).await.unwrap().unwrap().uses_left,
        1,
        "nothing is spent"
    );
    assert_eq!(
        actions(&*store).await.last().unwrap(),
        "enroll.refused name-taken"
    );
}

async fn two_that_want_the_same_new_name_at_once_do_not_both_get_it(store: Arc<dyn Store>) {
    store.create_token(token(1, 64), alice(), None).await.unwrap();
    let wanted = (1..17).map(|n| enrollment(n, 1, "web-1.fleet.internal", n, t0()));
    let answers = all_at_once(&store, wanted.collect()).await;
    assert_eq!(answers.iter().filter(|enrolled| issued(enrolled)).count(), 1);
    let taken = answers.iter().filter(|e| matches!(e, Enrolled::NameTaken(_)));
    assert_eq!(taken.count(), 15);
}

async fn a_name_whose_certificates_expired_is_free_again(store: Arc<dyn Store>) {
    let old = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    let mut late = token(2, 1);
    late.expires_at = hour(48);
    store.create_token(late, alice(), None).await.unwrap();
    let held = enrollment(2, 2, "web-1.fleet.internal", 2, old.not_after);
    assert!(matches!(
        store.enroll(held).await.unwrap(),
        Enrolled::NameTaken(_)
    ));
    let free = enrollment(2, 2, "web-1.fleet.internal", 2, hour(25));
    assert!(issued(&store.enroll(free).await.unwrap()));
    let new = store.certificate(&serial(2)).await.unwrap().unwrap();
    assert_eq!(
        new.identity, old.identity,
        "the identity is the one that had the name"
    );
}

async fn the_old_key_may_rejoin_under_its_name(store: Arc<dyn Store>) {
    let old = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    store.create_token(token(2, 1), alice(), None).await.unwrap();
    let rejoin = enrollment(2, 2, "web-1.fleet.internal", 1, hour(1));
    assert!(issued(&store.enroll(rejoin).await.unwrap()));
    let old = store.certificate(&old.serial).await.unwrap().unwrap();
    assert_eq!(old.superseded_by, Some(serial(2)));
    assert_eq!(
        store.identity_by_id(id(2)).await.unwrap(),
        None,
        "no second identity"
    );
}

async fn a_replacing_token_takes_the_name_over_with_its_own_rules(store: Arc<dyn Store>) {
    let old = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    let mut replacing = token(2, 1);
    replacing.replace = true;
    store.create_token(replacing, alice(), None).await.unwrap();
    let mut wanted = enrollment(2, 2, "web-1.fleet.internal", 2, hour(1));
    wanted.identity.rules.names = vec!["web-1.*.internal".parse().unwrap()];
    wanted.identity.role = Some("builder".to_owned());
    assert!(issued(&store.enroll(wanted.clone()).await.unwrap()));
    let identity = store.identity_by_id(old.identity).await.unwrap().unwrap();
    assert_eq!(identity.rules, wanted.identity.rules);
    assert_eq!(identity.role, wanted.identity.role);
    assert_eq!(identity.created_at, t0());
    let old = store.certificate(&old.serial).await.unwrap().unwrap();
    assert_eq!(old.superseded_by, Some(serial(2)));
    let log = audit_log(&*store).await;
    assert!(log.last().unwrap().detail.contains("rejoined"));
}

async fn another_hosts_name_among_the_alternative_names_is_refused(store: Arc<dyn Store>) {
    let owner = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    store.create_token(token(2, 1), alice(), None).await.unwrap();
    let mut wanted = enrollment(2, 2, "web-2.fleet.internal", 2, hour(1));
    wanted
        .certificate
        .sans
        .push("web-1.fleet.internal".parse().unwrap());
    let refused = store.enroll(wanted).await.unwrap();
    assert_eq!(refused, Enrolled::NameTaken(owner.name));
}

async fn hosts_and_clients_do_not_share_names(store: Arc<dyn Store>) {
    enroll_fresh(&*store, 1, "builder", t0()).await;
    store.create_token(token(2, 1), alice(), None).await.unwrap();
    let client = enrollment_of(2, 2, IdentityKind::Client, "builder", 2, t0());
    assert!(issued(&store.enroll(client).await.unwrap()));
    let name = "builder".parse().unwrap();
    let host = store.identity(IdentityKind::Host, &name).await.unwrap().unwrap();
    let client = store
        .identity(IdentityKind::Client, &name)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(host.id, client.id);
}

async fn a_serial_is_issued_once(store: Arc<dyn Store>) {
    enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    store.create_token(token(2, 1), alice(), None).await.unwrap();
    let mut wanted = enrollment(2, 2, "web-2.fleet.internal", 2, t0());
    wanted.certificate.serial = serial(1);
    let refused = store.enroll(wanted).await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Duplicate("a certificate with this serial"))
        ),
        "{refused:?}"
    );
    assert_eq!(store.token(id(2)).await.unwrap().unwrap().uses_left, 1);
    assert_eq!(store.identity_by_id(id(2)).await.unwrap(), None);
}
