//! What people look through.

use std::sync::Arc;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::CertificateStatus::{Revoked, Superseded, Valid};
use crate::model::{Certificate, CertificateStatus, IdentityKind};
use crate::store::{CertificateWalk, ExpiryCounts, SerialStart, Store, WalkOrder};

super::on_every_store!(
    a_search_finds_every_name_that_begins_so_and_each_certificate_once_on_a_page,
    certificates_are_walked_by_name_and_newest_first,
    a_walk_keeps_to_its_filters,
    the_first_digits_of_a_serial_find_it,
    hosts_are_found_by_the_beginning_of_their_name,
    certificates_in_use_are_counted_between_two_times,
    what_was_to_be_renewed_and_was_not_is_late,
);

/// Three hosts, the first of them renewed, and a client that is revoked.
async fn fill(store: &dyn Store) {
    for (number, name) in [
        (1, "web-1.fleet.internal"),
        (2, "web-2.fleet.internal"),
        (3, "db-1.fleet.internal"),
    ] {
        let first = enroll_fresh(store, number, name, hour(number)).await;
        if number == 1 {
            store.renew(renewal(100, &first, 100, hour(20))).await.unwrap();
        }
    }
    let bob = identity(50, IdentityKind::Client, "bob");
    store
        .adopt(bob.clone(), certificate(50, &bob, 50, hour(3)), alice())
        .await
        .unwrap();
    revoke(store, 50, hour(21)).await;
}

fn walk_of(order: WalkOrder) -> CertificateWalk {
    CertificateWalk {
        order,
        statuses: Vec::new(),
        kind: None,
    }
}

async fn found(store: &dyn Store, asked: CertificateWalk, limit: u32) -> Vec<String> {
    let fetch = |page| store.walk_certificates(asked.clone(), hour(22), page);
    let all: Vec<Certificate> = walk(limit, fetch).await;
    all.iter()
        .map(|c| format!("{} {}", c.name, c.status(hour(22))))
        .collect()
}

async fn a_search_finds_every_name_that_begins_so_and_each_certificate_once_on_a_page(store: Arc<dyn Store>) {
    fill(&*store).await;
    let beginning = |text: &str| walk_of(WalkOrder::Beginning(text.to_owned()));
    assert_eq!(
        found(&*store, beginning("web-2"), 100).await,
        ["web-2.fleet.internal valid"]
    );
    let both = ["web-1.fleet.internal superseded", "web-1.fleet.internal valid"];
    assert_eq!(found(&*store, beginning("web-1"), 100).await, both);
    assert_eq!(found(&*store, beginning("web-1"), 1).await, both);
    assert_eq!(found(&*store, beginning("w"), 100).await.len(), 3);
    assert_eq!(found(&*store, beginning(""), 100).await.len(), 5);
    assert!(found(&*store, beginning("eb-1"), 100).await.is_empty());
}

async fn certificates_are_walked_by_name_and_newest_first(store: Arc<dyn Store>) {
    fill(&*store).await;
    let by_name = [
        "bob revoked",
        "db-1.fleet.internal valid",
        "web-1.fleet.internal superseded",
        "web-1.fleet.internal valid",
        "web-2.fleet.internal valid",
    ];
    let newest = [
        "bob revoked",
        "db-1.fleet.internal valid",
        "web-2.fleet.internal valid",
        "web-1.fleet.internal valid",
        "web-1.fleet.internal superseded",
    ];
    for limit in [1, 2, 100] {
        assert_eq!(found(&*store, walk_of(WalkOrder::Name), limit).await, by_name);
        assert_eq!(found(&*store, walk_of(WalkOrder::Newest), limit).await, newest);
    }
}

async fn a_walk_keeps_to_its_filters(store: Arc<dyn Store>) {
    fill(&*store).await;
    let rows: [(Vec<CertificateStatus>, Option<IdentityKind>, usize); 4] = [
        (vec![Valid], None, 3),
        (vec![Superseded], Some(IdentityKind::Host), 1),
        (vec![Revoked], Some(IdentityKind::Host), 0),
        (vec![Valid, Revoked], None, 4),
    ];
    for (statuses, kind, count) in rows {
        for order in [
            WalkOrder::Name,
            WalkOrder::Newest,
            WalkOrder::Beginning(String::new()),
        ] {
            let asked = CertificateWalk {
                order,
                statuses: statuses.clone(),
                kind,
            };
            assert_eq!(found(&*store, asked.clone(), 100).await.len(), count, "{asked:?}");
        }
    }
}

async fn the_first_digits_of_a_serial_find_it(store: Arc<dyn Store>) {
    fill(&*store).await;
    let whole = serial(2).to_string();
    for digits in [&whole[..], &whole[..whole.len() - 1]] {
        let start = SerialStart::parse(digits).unwrap();
        let found = store.serials_starting(start, 50).await.unwrap();
        assert!(found.iter().any(|c| c.serial == serial(2)), "{digits}");
        assert!(found.iter().all(|c| c.serial.to_string().starts_with(digits)));
    }
    let nothing = SerialStart::parse("ffff").unwrap();
    assert!(store.serials_starting(nothing, 50).await.unwrap().is_empty());
}

async fn hosts_are_found_by_the_beginning_of_their_name(store: Arc<dyn Store>) {
    fill(&*store).await;
    for (start, expected) in [
        ("web", vec!["web-1.fleet.internal", "web-2.fleet.internal"]),
        ("db-1.fleet.internal", vec!["db-1.fleet.internal"]),
        (
            "",
            vec![
                "db-1.fleet.internal",
                "web-1.fleet.internal",
                "web-2.fleet.internal",
            ],
        ),
        ("bob", vec![]),
    ] {
        let all = walk(1, |page| store.hosts_starting(start.to_owned(), page)).await;
        let names: Vec<&str> = all.iter().map(|row| row.identity.name.as_str()).collect();
        assert_eq!(names, expected, "{start}");
    }
}

async fn certificates_in_use_are_counted_between_two_times(store: Arc<dyn Store>) {
    fill(&*store).await;
    let ends: Vec<Timestamp> = certificates(&*store, Default::default(), hour(0))
        .await
        .iter()
        .filter(|c| c.status(hour(22)) == Valid)
        .map(|c| c.not_after)
        .collect();
    let edges = vec![Timestamp::EPOCH, ends[1], Timestamp::from_secs(1 << 40)];
    let counts = store.expiry_counts(edges).await.unwrap();
    let of = |kind, counts| ExpiryCounts { kind, counts };
    let expected = [
        of(IdentityKind::Host, vec![1, 2]),
        of(IdentityKind::Client, vec![0, 0]),
    ];
    assert_eq!(counts, expected);
    let all = vec![Timestamp::EPOCH, hour(2), Timestamp::from_secs(1 << 40)];
    assert_eq!(store.due_counts(all).await.unwrap(), [0, 3]);
    let soonest = async |now| store.soonest_ends(now).await.unwrap();
    assert_eq!(soonest(hour(0)).await, [(IdentityKind::Host, ends[0])]);
    assert_eq!(soonest(ends[0]).await, [(IdentityKind::Host, ends[0])]);
    let after = soonest(ends[0] + std::time::Duration::from_millis(1)).await;
    assert_eq!(after, [(IdentityKind::Host, ends[1])]);
    assert_eq!(soonest(Timestamp::from_secs(1 << 40)).await, []);
}

async fn what_was_to_be_renewed_and_was_not_is_late(store: Arc<dyn Store>) {
    fill(&*store).await;
    let late = |due, now| store.overdue(due, now, 1);
    assert_eq!(late(Timestamp::EPOCH, hour(0)).await.unwrap().count, 0);
    let all = late(Timestamp::from_secs(1 << 40), hour(0)).await.unwrap();
    assert_eq!((all.count, all.first.len()), (3, 1));
    assert_eq!(all.first[0].serial, serial(2));
    let ended = late(Timestamp::from_secs(1 << 40), Timestamp::from_secs(1 << 40));
    assert_eq!(ended.await.unwrap().count, 0);
}
