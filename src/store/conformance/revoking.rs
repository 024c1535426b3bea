//! Revoking.

use std::sync::Arc;

use super::fixture::*;
use crate::model::{CertificateStatus, TokenProblem};
use crate::pki::RevocationReason;
use crate::store::{Enrolled, Renewed, RevokeTarget, Store, Withdrawn};

super::on_every_store!(
    a_revoked_certificate_is_shown_as_such_and_renews_nothing,
    revoking_again_changes_nothing_and_gives_the_first_number,
    all_certificates_of_an_identity_that_could_still_be_used_are_revoked_at_once,
    an_unknown_serial_revokes_nothing,
    a_certificate_without_a_record_is_revoked_when_it_is_shown,
    a_shown_certificate_with_a_record_is_revoked_like_any_other,
    a_token_does_not_hand_out_a_revoked_certificate_again,
    a_revoked_key_gets_no_certificate_from_another_token_or_by_renewal,
    a_revoked_identity_joins_again_with_a_new_key,
);

const WEB_1: &str = "web-1.fleet.internal";

async fn a_revoked_certificate_is_shown_as_such_and_renews_nothing(store: Arc<dyn Store>) {
    let certificate = enroll_fresh(&*store, 1, WEB_1, t0()).await;
    let withdrawn = revoke(&*store, 1, hour(1)).await;
    let [revocation] = withdrawn.revocations.as_slice() else {
        panic!("{withdrawn:?}");
    };
    assert_eq!((withdrawn.fresh, revocation.feed), (1, 1));
    assert_eq!(revocation.identity, Some(certificate.identity));
    assert_eq!(revocation.not_after, certificate.not_after);
    assert_eq!(revocation.reason, RevocationReason::KeyCompromise);
    assert_eq!(revocation.by, "client:alice");
    let stored = store.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(stored.revoked_at, Some(hour(1)));
    assert_eq!(stored.status(hour(1)), CertificateStatus::Revoked);
    assert_eq!(
        store.revocation(&serial(1)).await.unwrap().as_ref(),
        Some(revocation)
    );
    let host = store.host(&certificate.name).await.unwrap().unwrap();
    assert_eq!(host.certificate, None);
    let renewed = store.renew(renewal(2, &certificate, 2, hour(2))).await.unwrap();
    assert_eq!(renewed, Renewed::Refused);
    let log = audit_log(&*store).await;
    let record = &log[log.len() - 2];
    assert_eq!(
        (record.action.as_str(), record.subject.as_str()),
        ("certificate.revoke", WEB_1)
    );
    assert!(record.detail.contains("\"feed\":\"1\""), "{}", record.detail);
}

async fn revoking_again_changes_nothing_and_gives_the_first_number(store: Arc<dyn Store>) {
    for number in 1..4 {
        enroll_fresh(&*store, number, &format!("web-{number}.fleet.internal"), t0()).await;
    }
    let first = revoke(&*store, 2, hour(1)).await;
    revoke(&*store, 3, hour(1)).await;
    let (records, feed) = (audit_log(&*store).await.len(), whole_feed(&*store).await);
    let mut again = order(RevokeTarget::Serial(serial(2)), hour(2));
    again.reason = RevocationReason::Superseded;
    let again = store.revoke(again).await.unwrap();
    assert_eq!((again.revocations, again.fresh), (first.revocations, 0));
    let identity = RevokeTarget::Identity {
        id: id(2),
        since: hour(2),
    };
    let again = store.revoke(order(identity, hour(2))).await.unwrap();
    assert_eq!((again.revocations[0].feed, again.fresh), (1, 0));
    assert_eq!(audit_log(&*store).await.len(), records);
    assert_eq!(whole_feed(&*store).await, feed);
}

async fn all_certificates_of_an_identity_that_could_still_be_used_are_revoked_at_once(store: Arc<dyn Store>) {
    let first = enroll_fresh(&*store, 1, WEB_1, t0()).await;
    store.renew(renewal(2, &first, 2, hour(15))).await.unwrap();
    let second = store.certificate(&serial(2)).await.unwrap().unwrap();
    store.renew(renewal(3, &second, 3, hour(30))).await.unwrap();
    enroll_fresh(&*store, 4, "web-4.fleet.internal", hour(30)).await;
    // The first ended at hour 24. It counts only where expired certificates may still renew.
    let target = |since| RevokeTarget::Identity { id: id(1), since };
    let withdrawn = store.revoke(order(target(hour(31)), hour(31))).await.unwrap();
    let serials: Vec<_> = withdrawn
        .revocations
        .iter()
        .map(|r| (r.feed, r.serial.clone()))
        .collect();
    assert_eq!(serials, [(1, serial(2)), (2, serial(3))]);
    let withdrawn = store.revoke(order(target(hour(20)), hour(31))).await.unwrap();
    let numbers: Vec<_> = withdrawn.revocations.iter().map(|r| r.feed).collect();
    assert_eq!((numbers, withdrawn.fresh), (vec![3, 1, 2], 1));
    let other = store.certificate(&serial(4)).await.unwrap().unwrap();
    assert_eq!(other.revoked_at, None);
}

async fn an_unknown_serial_revokes_nothing(store: Arc<dyn Store>) {
    assert_eq!(revoke(&*store, 1, t0()).await, Withdrawn::default());
    let nobody = RevokeTarget::Identity {
        id: id(1),
        since: t0(),
    };
    assert_eq!(
        store.revoke(order(nobody, t0())).await.unwrap(),
        Withdrawn::default()
    );
    assert_eq!(store.feed_head().await.unwrap().number, 0);
    assert_eq!(audit_log(&*store).await.len(), 0);
}

async fn a_certificate_without_a_record_is_revoked_when_it_is_shown(store: Arc<dyn Store>) {
    let target = || RevokeTarget::Shown(Box::new(shown(1, t0())));
    let first = store.revoke(order(target(), hour(1))).await.unwrap();
    assert_eq!((first.fresh, first.revocations[0].feed), (1, 1));
    assert_eq!(first.revocations[0].identity, None);
    let again = store.revoke(order(target(), hour(2))).await.unwrap();
    assert_eq!((again.fresh, &again.revocations), (0, &first.revocations));
    let by_serial = revoke(&*store, 1, hour(3)).await;
    assert_eq!((by_serial.fresh, by_serial.revocations), (0, first.revocations));
}

async fn a_shown_certificate_with_a_record_is_revoked_like_any_other(store: Arc<dyn Store>) {
    let certificate = enroll_fresh(&*store, 1, WEB_1, t0()).await;
    let target = RevokeTarget::Shown(Box::new(shown(1, t0())));
    let withdrawn = store.revoke(order(target, hour(1))).await.unwrap();
    assert_eq!(withdrawn.revocations[0].identity, Some(certificate.identity));
    let stored = store.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(stored.revoked_at, Some(hour(1)));
}

async fn a_token_does_not_hand_out_a_revoked_certificate_again(store: Arc<dyn Store>) {
    store.create_token(token(1, 2), alice(), None).await.unwrap();
    let asked = enrollment(1, 1, WEB_1, 1, t0());
    store.enroll(asked.clone()).await.unwrap();
    assert!(matches!(
        store.enroll(asked.clone()).await.unwrap(),
        Enrolled::Repeated(_)
    ));
    revoke(&*store, 1, t0()).await;
    let refused = Enrolled::TokenRefused(TokenProblem::RevokedKey);
    assert_eq!(store.enroll(asked).await.unwrap(), refused);
    let anew = enrollment(2, 1, WEB_1, 1, t0());
    assert_eq!(store.enroll(anew).await.unwrap(), refused);
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 1);
    assert_eq!(
        actions(&*store).await.last().unwrap(),
        "enroll.refused revoked-key"
    );
}

async fn a_revoked_key_gets_no_certificate_from_another_token_or_by_renewal(store: Arc<dyn Store>) {
    let first = enroll_fresh(&*store, 1, WEB_1, t0()).await;
    store.renew(renewal(2, &first, 2, hour(1))).await.unwrap();
    revoke(&*store, 1, hour(2)).await;
    let second = store.certificate(&serial(2)).await.unwrap().unwrap();
    let with_the_old_key = renewal(3, &second, 1, hour(3));
    assert_eq!(store.renew(with_the_old_key).await.unwrap(), Renewed::Refused);
    revoke(&*store, 2, hour(3)).await;
    let mut token = token(2, 1);
    token.expires_at = hour(5);
    store.create_token(token, alice(), None).await.unwrap();
    let again = enrollment(4, 2, WEB_1, 2, hour(4));
    let refused = Enrolled::TokenRefused(TokenProblem::RevokedKey);
    assert_eq!(store.enroll(again).await.unwrap(), refused);
}

async fn a_revoked_identity_joins_again_with_a_new_key(store: Arc<dyn Store>) {
    enroll_fresh(&*store, 1, WEB_1, t0()).await;
    revoke(&*store, 1, t0()).await;
    let again = enroll_fresh(&*store, 2, WEB_1, hour(1)).await;
    let stored = store.certificate(&serial(2)).await.unwrap().unwrap();
    assert_eq!((stored.identity, stored.revoked_at), (id(1), None));
    assert_eq!(stored.spki_sha256, again.spki_sha256);
    let first = store.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(first.revoked_at, Some(t0()), "joining again does not un-revoke");
}
