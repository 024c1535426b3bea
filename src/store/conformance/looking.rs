//! What people look through.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::CertificateStatus::{Revoked, Superseded, Valid};
use crate::model::{
    Certificate, CertificateStatus, Condition, ConditionKind, ConditionStatus, Health, IdentityKind,
    SeenCertificate,
};
use crate::store::{
    CertificateWalk, ExpiryCounts, HostCounts, HostRow, HostStatus, PruneOrder, SerialStart, Store, WalkOrder,
};

super::on_every_store!(
    a_search_finds_every_name_that_begins_so_and_each_certificate_once_on_a_page,
    certificates_are_walked_by_name_and_newest_first,
    a_walk_keeps_to_its_filters,
    the_first_digits_of_a_serial_find_it,
    hosts_are_found_by_the_beginning_of_their_name,
    certificates_in_use_are_counted_between_two_times,
    what_was_to_be_renewed_and_was_not_is_late,
    counts_follow_what_is_issued_replaced_revoked_and_removed,
    the_newest_certificates_of_an_identity_are_found_however_many_it_has,
    hosts_are_counted_by_how_they_are_and_those_in_trouble_are_found,
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

/// What a walk through all certificates counts.
async fn counted(store: &dyn Store, edges: &[Timestamp]) -> (Vec<u64>, Vec<u64>) {
    let everything = walk(100, |page| {
        store.walk_certificates(walk_of(WalkOrder::Newest), hour(0), page)
    });
    let mut in_use = everything.await;
    in_use.retain(|c| c.superseded_by.is_none() && c.revoked_at.is_none());
    let between = |time: fn(&Certificate) -> Timestamp| {
        let count = |pair: &[Timestamp]| {
            let fits = |c: &&Certificate| time(c) >= pair[0] && time(c) < pair[1];
            in_use.iter().filter(fits).count() as u64
        };
        edges.windows(2).map(count).collect::<Vec<u64>>()
    };
    (between(|c| c.not_after), between(|c| c.renew_after))
}

async fn counts_follow_what_is_issued_replaced_revoked_and_removed(store: Arc<dyn Store>) {
    fill(&*store).await;
    // On the hour, within one, just before and after a certificate's end, and far away.
    let minutes = |count: u32| Duration::from_secs(u64::from(count) * 60);
    let mut edges = vec![Timestamp::EPOCH, hour(18), hour(18) + minutes(30), hour(25)];
    edges.extend([
        hour(26) + minutes(59),
        hour(27) + minutes(1),
        hour(44),
        hour(44) + minutes(1),
    ]);
    edges.push(Timestamp::from_millis(i64::MAX));
    let agree = async |when: &str| {
        let (ends, due) = counted(&*store, &edges).await;
        let found = store.expiry_counts(edges.clone()).await.unwrap();
        let [hosts, clients] = &found[..] else {
            panic!("{found:?}")
        };
        let both = hosts.counts.iter().zip(&clients.counts).map(|(a, b)| a + b);
        assert_eq!(both.collect::<Vec<_>>(), ends, "ends, {when}");
        assert_eq!(store.due_counts(edges.clone()).await.unwrap(), due, "due, {when}");
        ends.iter().sum::<u64>()
    };
    assert_eq!(agree("at first").await, 3);
    let odd = enroll_fresh(&*store, 60, "odd.fleet.internal", hour(2) + minutes(30)).await;
    assert_eq!(agree("one more, within an hour").await, 4);
    store
        .renew(renewal(61, &odd, 61, hour(20) + minutes(1)))
        .await
        .unwrap();
    assert_eq!(agree("renewed").await, 4);
    revoke(&*store, 61, hour(21)).await;
    revoke(&*store, 60, hour(21)).await;
    revoke(&*store, 2, hour(21)).await;
    assert_eq!(agree("revoked").await, 2);
    let order = PruneOrder {
        certificates: Some(hour(28)),
        tokens: None,
        audit: None,
        problems: None,
        limit: 100,
        now: hour(100),
    };
    store.prune(order).await.unwrap();
    assert_eq!(agree("removed").await, 1);
}

async fn the_newest_certificates_of_an_identity_are_found_however_many_it_has(store: Arc<dyn Store>) {
    fill(&*store).await;
    let mut last = enroll_fresh(&*store, 200, "often.fleet.internal", hour(0)).await;
    for number in 201..=230 {
        let next = renewal(number, &last, number, hour(number - 200));
        store.renew(next.clone()).await.unwrap();
        last = next.certificate;
    }
    let newest = store.newest_of(id(200), 3).await.unwrap();
    let serials: Vec<_> = newest.iter().map(|c| c.serial.clone()).collect();
    assert_eq!(serials, [serial(230), serial(229), serial(228)]);
    assert_eq!(newest[1].superseded_by, Some(serial(230)));
    assert_eq!(store.newest_of(id(200), 100).await.unwrap().len(), 31);
    assert_eq!(store.newest_of(id(1), 100).await.unwrap().len(), 2);
    assert!(store.newest_of(id(999), 100).await.unwrap().is_empty());
}

/// What a host says of itself when it is so.
fn report_of(host: u32, health: Health, at: Timestamp) -> HostStatus {
    let mut status = status(id(host), 1, at);
    let seen = |number| SeenCertificate {
        serial: serial(number),
        not_after: hour(100),
    };
    status.report.issued = Some(seen(host));
    status.report.served = Some(seen(if health == Health::Behind { host + 1 } else { host }));
    if health != Health::Well {
        status.report.conditions.push(Condition {
            kind: ConditionKind::ConfigApplied,
            status: ConditionStatus::False,
            reason: "Window".to_owned(),
            message: String::new(),
            since: at,
        });
    }
    assert_eq!(status.report.health(), health);
    status
}

async fn hosts_are_counted_by_how_they_are_and_those_in_trouble_are_found(store: Arc<dyn Store>) {
    let own = "server".parse().unwrap();
    enroll_fresh(&*store, 99, "server", hour(0)).await;
    for number in 1..=9 {
        enroll_fresh(&*store, number, &format!("web-{number}.fleet.internal"), hour(0)).await;
    }
    let silent = hour(1);
    for (host, health, at) in [
        (1, Health::Unhealthy, hour(2)),
        (2, Health::Well, hour(2)),
        (3, Health::Behind, hour(2)),
        (4, Health::Well, silent),
        (5, Health::Unhealthy, silent + Duration::from_secs(1)),
        (6, Health::Unhealthy, hour(2)),
        (7, Health::Behind, hour(2)),
        (8, Health::Behind, hour(2)),
        // It recovers.
        (8, Health::Well, hour(3)),
    ] {
        store.put_host_status(report_of(host, health, at)).await.unwrap();
    }
    let counts = store.host_counts(hour(2), &own).await.unwrap();
    let expected = HostCounts {
        joined: 9,
        well: 2,
        unhealthy: 2,
        behind: 2,
        silent: 2,
    };
    assert_eq!(counts, expected);
    let nobody = "nobody".parse().unwrap();
    assert_eq!(store.host_counts(hour(2), &nobody).await.unwrap().joined, 10);
    let names = |rows: Vec<HostRow>| {
        let names = rows.iter().map(|row| row.identity.name.to_string());
        names.map(|name| name[4..5].to_owned()).collect::<Vec<_>>()
    };
    let with = async |health, limit| names(store.hosts_with(health, hour(2), limit).await.unwrap());
    assert_eq!(with(Health::Unhealthy, 8).await, ["1", "6"]);
    assert_eq!(with(Health::Behind, 8).await, ["3", "7"]);
    assert_eq!(with(Health::Behind, 1).await, ["3"]);
    assert_eq!(with(Health::Well, 8).await, ["2", "8"]);
    let lost = async |limit| names(store.silent_hosts(hour(2), limit).await.unwrap());
    assert_eq!(lost(8).await, ["5", "4"]);
    assert_eq!(lost(1).await, ["5"]);
    let row = &store.silent_hosts(hour(2), 1).await.unwrap()[0];
    assert_eq!(
        row.certificate.as_ref().map(|c| c.serial.clone()),
        Some(serial(5))
    );
    assert_eq!(
        row.status,
        Some(report_of(5, Health::Unhealthy, silent + Duration::from_secs(1)))
    );
}
