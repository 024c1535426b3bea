//! Identities, hosts and their reports.

use std::sync::Arc;

use super::fixture::*;
use crate::model::IdentityKind;
use crate::store::Store;

super::on_every_store!(
    a_report_replaces_the_one_before,
    a_report_of_nobody_changes_nothing,
    hosts_and_identities_are_listed_by_name_with_their_newest_certificate,
);

async fn a_report_replaces_the_one_before(store: Arc<dyn Store>) {
    let host = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    for (generation, now) in [(1, hour(1)), (2, hour(2))] {
        let status = status(host.identity, generation, now);
        store.put_host_status(status.clone()).await.unwrap();
        let row = store.host(&host.name).await.unwrap().unwrap();
        assert_eq!(row.status, Some(status));
        assert_eq!(row.certificate.as_ref(), Some(&host));
    }
    assert_eq!(actions(&*store).await.len(), 2, "reports are not audited");
}

async fn a_report_of_nobody_changes_nothing(store: Arc<dyn Store>) {
    store.put_host_status(status(id(1), 1, t0())).await.unwrap();
    assert_eq!(store.hosts(pages(10)).await.unwrap().items, []);
    assert_eq!(store.host(&"web-1".parse().unwrap()).await.unwrap(), None);
}

async fn hosts_and_identities_are_listed_by_name_with_their_newest_certificate(store: Arc<dyn Store>) {
    for number in [5, 3, 1, 4, 2] {
        let name = format!("web-{number}.fleet.internal");
        let first = enroll_fresh(&*store, number, &name, t0()).await;
        store
            .renew(renewal(100 + number, &first, 100 + number, hour(1)))
            .await
            .unwrap();
    }
    let reporting = identity(3, IdentityKind::Host, "web-3.fleet.internal");
    store
        .put_host_status(status(reporting.id, 1, t0()))
        .await
        .unwrap();
    let hosts = walk(2, |page| store.hosts(page)).await;
    let numbers: Vec<u32> = (1..6).collect();
    for (row, number) in hosts.iter().zip(&numbers) {
        assert_eq!(row.identity.id, id(*number));
        assert_eq!(row.certificate.as_ref().unwrap().serial, serial(100 + number));
        assert_eq!(row.status.is_some(), *number == 3);
    }
    let identities = walk(2, |page| store.identities(IdentityKind::Host, page)).await;
    let listed: Vec<_> = hosts
        .into_iter()
        .map(|row| (row.identity, row.certificate))
        .collect();
    assert_eq!(identities, listed);
    let clients = store.identities(IdentityKind::Client, pages(10)).await.unwrap();
    assert_eq!(clients.items, []);
}
