//! The list of certificates, and page cursors of all lists.

use std::sync::Arc;

use super::fixture::*;
use crate::base::limits::PAGE_MAX;
use crate::model::CertificateStatus::{Expired, Superseded, Valid};
use crate::model::{CertificateFilter, CertificateStatus, IdentityKind, PageRequest};
use crate::store::{AuditFilter, Store, StoreError};

super::on_every_store!(
    certificates_come_soonest_expiry_first_and_each_once,
    every_filter_leaves_what_it_should,
    a_name_finds_identities_and_alternative_names_exactly,
    expiring_soon_is_neither_expired_nor_later,
    a_foreign_cursor_is_refused_by_every_list,
    a_page_holds_at_least_one_and_at_most_the_limit,
    certificates_are_counted_as_the_list_shows_them,
);

/// Five hosts that expire in turn, of which the first was renewed, and a client.
async fn fill(store: &dyn Store) {
    for number in 1..6 {
        let name = format!("web-{number}.fleet.internal");
        let first = enroll_fresh(store, number, &name, hour(number)).await;
        if number == 1 {
            store.renew(renewal(100, &first, 100, hour(20))).await.unwrap();
        }
    }
    let bob = identity(50, IdentityKind::Client, "bob");
    store
        .adopt(bob.clone(), certificate(50, &bob, 50, hour(3)), alice())
        .await
        .unwrap();
}

async fn serials(store: &dyn Store, filter: CertificateFilter, hours: u32) -> Vec<u32> {
    let found = certificates(store, filter, hour(hours)).await;
    let number = |c: &crate::model::Certificate| {
        [1, 2, 3, 4, 5, 50, 100]
            .into_iter()
            .find(|n| serial(*n) == c.serial)
    };
    found.iter().map(|c| number(c).unwrap()).collect()
}

fn with_status(statuses: &[CertificateStatus]) -> CertificateFilter {
    CertificateFilter {
        statuses: statuses.to_vec(),
        ..Default::default()
    }
}

async fn certificates_come_soonest_expiry_first_and_each_once(store: Arc<dyn Store>) {
    fill(&*store).await;
    let all = serials(&*store, CertificateFilter::default(), 0).await;
    assert_eq!(all, [1, 2, 3, 50, 4, 5, 100]);
}

async fn every_filter_leaves_what_it_should(store: Arc<dyn Store>) {
    fill(&*store).await;
    for (statuses, hours, expected) in [
        (vec![Valid], 0, vec![2, 3, 50, 4, 5, 100]),
        (vec![Superseded], 0, vec![1]),
        (vec![Expired], 28, vec![1, 2, 3, 50]),
        (vec![Valid], 28, vec![4, 5, 100]),
        (vec![Superseded, Expired], 26, vec![1]),
        (vec![CertificateStatus::Revoked], 26, vec![]),
        (CertificateStatus::ALL.to_vec(), 26, vec![1, 2, 3, 50, 4, 5, 100]),
    ] {
        assert_eq!(
            serials(&*store, with_status(&statuses), hours).await,
            expected,
            "{statuses:?} at {hours}"
        );
    }
    let kind = |kind| CertificateFilter {
        kind: Some(kind),
        ..Default::default()
    };
    assert_eq!(serials(&*store, kind(IdentityKind::Client), 0).await, [50]);
    assert_eq!(
        serials(&*store, kind(IdentityKind::Host), 0).await,
        [1, 2, 3, 4, 5, 100]
    );
    let of = CertificateFilter {
        identity: Some(id(1)),
        ..Default::default()
    };
    assert_eq!(serials(&*store, of, 0).await, [1, 100]);
    let one = CertificateFilter {
        serial: Some(serial(4)),
        kind: Some(IdentityKind::Host),
        ..Default::default()
    };
    assert_eq!(serials(&*store, one.clone(), 0).await, [4]);
    let none = CertificateFilter {
        identity: Some(id(1)),
        ..one
    };
    assert_eq!(serials(&*store, none, 0).await, Vec::<u32>::new());
}

async fn a_name_finds_identities_and_alternative_names_exactly(store: Arc<dyn Store>) {
    fill(&*store).await;
    let named = |name: &str| CertificateFilter {
        name: Some(name.to_owned()),
        ..Default::default()
    };
    for (name, expected) in [
        ("web-1.fleet.internal", vec![1, 100]),
        ("WEB-2.Fleet.Internal", vec![2]),
        ("bob", vec![50]),
        ("10.20.0.7", vec![1, 2, 3, 50, 4, 5, 100]),
        ("web-1", vec![]),
        ("%", vec![]),
        ("' OR true --", vec![]),
    ] {
        assert_eq!(serials(&*store, named(name), 0).await, expected, "{name}");
    }
}

async fn expiring_soon_is_neither_expired_nor_later(store: Arc<dyn Store>) {
    fill(&*store).await;
    let soon = |hours| CertificateFilter {
        expires_within: Some(HOUR * hours),
        ..Default::default()
    };
    // Number 2 expires at hour 26 sharp.
    assert_eq!(serials(&*store, soon(2), 26).await, [2, 3, 50, 4]);
    assert_eq!(serials(&*store, soon(1), 25).await, [1, 2]);
    assert_eq!(serials(&*store, soon(0), 26).await, [2]);
    assert_eq!(serials(&*store, soon(2), 100).await, Vec::<u32>::new());
}

async fn a_foreign_cursor_is_refused_by_every_list(store: Arc<dyn Store>) {
    fill(&*store).await;
    let cursor = store.tokens(pages(1)).await.unwrap().next;
    assert!(cursor.is_some());
    for cursor in [cursor.clone(), Some("1".to_owned()), Some("x".repeat(10_000))] {
        let page = || PageRequest {
            limit: 1,
            cursor: cursor.clone(),
        };
        let refused = [
            store
                .certificates(CertificateFilter::default(), t0(), page())
                .await
                .err(),
            store.hosts(page()).await.err(),
            store.identities(IdentityKind::Host, page()).await.err(),
            store.requests(true, page()).await.err(),
            store.audit(AuditFilter::default(), page()).await.err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(StoreError::Cursor)), "{error:?}");
        }
    }
    let hosts = store.hosts(pages(1)).await.unwrap().next;
    let page = PageRequest {
        limit: 1,
        cursor: hosts,
    };
    assert!(matches!(store.tokens(page).await, Err(StoreError::Cursor)));
}

async fn a_page_holds_at_least_one_and_at_most_the_limit(store: Arc<dyn Store>) {
    fill(&*store).await;
    assert_eq!(store.hosts(pages(0)).await.unwrap().items.len(), 1);
    let page = store.hosts(pages(u32::MAX)).await.unwrap();
    assert_eq!((page.items.len(), page.next), (5, None));
    for number in 0..=PAGE_MAX {
        store
            .submit_request(super::fixture::request(number, number, number, t0()))
            .await
            .unwrap();
    }
    let page = store.requests(true, pages(u32::MAX)).await.unwrap();
    assert_eq!(page.items.len(), PAGE_MAX as usize);
    assert!(page.next.is_some());
}

async fn certificates_are_counted_as_the_list_shows_them(store: Arc<dyn Store>) {
    fill(&*store).await;
    for (number, kind) in [(60, IdentityKind::Client), (61, IdentityKind::Host)] {
        let who = identity(number, kind, &format!("gone-{number}"));
        let mut revoked = certificate(number, &who, number, hour(3));
        revoked.revoked_at = Some(hour(4));
        store.adopt(who, revoked, alice()).await.unwrap();
    }
    for hours in [0, 20, 26, 28, 100] {
        let counts = store.certificate_counts(hour(hours)).await.unwrap();
        let mut listed = std::collections::BTreeMap::new();
        for found in certificates(&*store, CertificateFilter::default(), hour(hours)).await {
            *listed.entry((found.kind, found.status(hour(hours)))).or_insert(0) += 1;
        }
        assert_eq!(counts, listed, "at {hours}");
    }
}
