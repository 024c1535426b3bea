//! Renewing.

use std::sync::Arc;

use super::fixture::*;
use crate::store::{Renewed, Store};

super::on_every_store!(
    a_renewal_supersedes_the_current_certificate,
    a_lost_answer_to_a_renewal_is_repeated,
    a_renewal_that_was_lost_with_its_key_is_superseded_too,
    an_unknown_certificate_renews_nothing,
    a_certificate_renews_only_its_own_identity,
    an_expired_certificate_is_not_repeated,
);

async fn a_renewal_supersedes_the_current_certificate(store: Arc<dyn Store>) {
    let first = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    let wanted = renewal(2, &first, 2, hour(15));
    assert_eq!(store.renew(wanted.clone()).await.unwrap(), Renewed::Issued);
    let second = store.certificate(&serial(2)).await.unwrap().unwrap();
    assert_eq!(second.renewed_from, Some(serial(1)));
    assert_eq!(second.der, wanted.certificate.der);
    assert_eq!(second.token, None);
    let first = store.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(first.superseded_by, Some(serial(2)));
    let host = store.host(&second.name).await.unwrap().unwrap();
    assert_eq!(host.certificate, Some(second));
    let log = audit_log(&*store).await;
    let last = log.last().unwrap();
    let (actor, action) = (last.actor.as_str(), last.action.as_str());
    assert_eq!(
        (actor, action),
        ("host:web-1.fleet.internal", "certificate.renew")
    );
}

async fn a_lost_answer_to_a_renewal_is_repeated(store: Arc<dyn Store>) {
    let first = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    store.renew(renewal(2, &first, 2, hour(15))).await.unwrap();
    let second = store.certificate(&serial(2)).await.unwrap().unwrap();
    let repeated = store.renew(renewal(3, &first, 2, hour(16))).await.unwrap();
    assert_eq!(repeated, Renewed::Repeated(Box::new(second.clone())));
    let with_the_new_one = store.renew(renewal(4, &second, 2, hour(16))).await.unwrap();
    assert_eq!(with_the_new_one, Renewed::Repeated(Box::new(second)));
    assert_eq!(certificates(&*store, Default::default(), t0()).await.len(), 2);
}

async fn a_renewal_that_was_lost_with_its_key_is_superseded_too(store: Arc<dyn Store>) {
    let first = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    for number in [2, 3] {
        let renewed = store.renew(renewal(number, &first, number, hour(15))).await;
        assert_eq!(renewed.unwrap(), Renewed::Issued);
    }
    let successor = async |number| {
        store
            .certificate(&serial(number))
            .await
            .unwrap()
            .unwrap()
            .superseded_by
    };
    assert_eq!(successor(1).await, Some(serial(2)));
    assert_eq!(successor(2).await, Some(serial(3)));
    assert_eq!(successor(3).await, None);
}

async fn an_unknown_certificate_renews_nothing(store: Arc<dyn Store>) {
    let mut unknown = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    unknown.serial = serial(9);
    let refused = store.renew(renewal(2, &unknown, 2, hour(1))).await.unwrap();
    assert_eq!(refused, Renewed::Refused);
    assert_eq!(store.certificate(&serial(2)).await.unwrap(), None);
    assert_eq!(
        actions(&*store).await.last().unwrap(),
        "renew.refused unknown-certificate"
    );
}

async fn a_certificate_renews_only_its_own_identity(store: Arc<dyn Store>) {
    let mine = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    let theirs = enroll_fresh(&*store, 2, "web-2.fleet.internal", t0()).await;
    let mut wanted = renewal(3, &theirs, 3, hour(1));
    wanted.current = mine.serial;
    assert_eq!(store.renew(wanted).await.unwrap(), Renewed::Refused);
    assert_eq!(
        actions(&*store).await.last().unwrap(),
        "renew.refused wrong-identity"
    );
}

async fn an_expired_certificate_is_not_repeated(store: Arc<dyn Store>) {
    let first = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    let late = store.renew(renewal(2, &first, 1, hour(25))).await.unwrap();
    assert_eq!(
        late,
        Renewed::Issued,
        "in the grace after expiry, with the old key"
    );
}
