//! What stands in the database, as it was read last.

use std::sync::Mutex;

use super::hosts::{self, HostSeries};
use crate::base::Timestamp;
use crate::base::limits::{PAGE_MAX, RENEWAL_LATE_AFTER};
use crate::base::metrics::{Page, Source};
use crate::model::{CertificateStatus, IdentityKind, PageRequest};
use crate::service::{OWN_NAME, Service, ServiceError};
use crate::store::{CertificateCounts, DatabaseSize, ProgressQuery};

/// What was read from the database last; nothing when it could not be read.
#[derive(Debug, Default)]
pub(super) struct Found(Mutex<Option<Snapshot>>);

/// One reading.
#[derive(Debug)]
pub(super) struct Snapshot {
    certificates: CertificateCounts,
    /// Of each profile, when the first certificate in use ends.
    soonest: Vec<(IdentityKind, Timestamp)>,
    overdue: u64,
    waiting: usize,
    hosts_current: u64,
    hosts_behind: u64,
    size: DatabaseSize,
    hosts: Vec<HostSeries>,
    complete: bool,
}

impl Snapshot {
    pub(super) async fn read(service: &Service, now: Timestamp) -> Result<Self, ServiceError> {
        let store = &service.store;
        let (hosts, complete) = hosts::first(&**store).await?;
        let waiting = PageRequest {
            limit: PAGE_MAX,
            cursor: None,
        };
        let progress = store
            .progress(ProgressQuery {
                number: store.feed_head().await?.number,
                now,
                except: OWN_NAME.parse().expect("a name"),
                missing_max: 0,
            })
            .await?;
        Ok(Self {
            certificates: store.certificate_counts(now).await?,
            soonest: store.soonest_ends(now).await?,
            overdue: store.overdue(now - RENEWAL_LATE_AFTER, now, 0).await?.count,
            waiting: store.requests(false, waiting).await?.items.len(),
            hosts_current: progress.applied,
            hosts_behind: progress.hosts.saturating_sub(progress.applied),
            size: store.size().await?,
            hosts,
            complete,
        })
    }
}

impl Found {
    /// Shows this from now on.
    pub(super) fn put(&self, snapshot: Option<Snapshot>) {
        *self.0.lock().expect("no panic while the lock is held") = snapshot;
    }
}

impl Source for Found {
    fn write(&self, page: &mut Page) {
        let found = self.0.lock().expect("no panic while the lock is held");
        page.gauge(
            "dockwarden_database_up",
            "1 when the database could be read for this page.",
        )
        .sample(&[], f64::from(u8::from(found.is_some())));
        let Some(found) = &*found else {
            return;
        };
        certificates(page, &found.certificates);
        let mut family = page.gauge(
            "dockwarden_certificates_soonest_not_after_seconds",
            "When the first certificate in use ends, by profile, seconds since 1970; absent when none is in use.",
        );
        for (kind, end) in &found.soonest {
            family.time(&[("profile", kind.as_str())], *end);
        }
        numbers(page, found);
        let mut family = page.gauge(
            "dockwarden_feed_hosts",
            "Hosts with a valid certificate, by whether they refuse everybody whom the feed says to refuse.",
        );
        for (state, count) in [("current", found.hosts_current), ("behind", found.hosts_behind)] {
            family.sample(&[("state", state)], count as f64);
        }
        hosts::write(page, &found.hosts);
    }
}

fn numbers(page: &mut Page, found: &Snapshot) {
    let gauges = [
        (
            "dockwarden_certificates_overdue",
            "Certificates in use that should have been renewed an hour ago; no more than 20000 are counted.",
            found.overdue as f64,
        ),
        (
            "dockwarden_requests_waiting",
            "Requests to join that wait for an operator; no more than a page of them is counted.",
            found.waiting as f64,
        ),
        (
            "dockwarden_database_bytes",
            "How large the database is, its log included.",
            found.size.bytes as f64,
        ),
        (
            "dockwarden_database_free_bytes",
            "What of the database is free, and used before it grows.",
            found.size.free_bytes as f64,
        ),
        (
            "dockwarden_host_series_complete",
            "1 when every host has series of its own, 0 when there are more hosts than the limit.",
            f64::from(u8::from(found.complete)),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help).sample(&[], value);
    }
}

fn certificates(page: &mut Page, counts: &CertificateCounts) {
    let mut family = page.gauge("dockwarden_certificates", "Certificates, by profile and status.");
    for kind in [IdentityKind::Host, IdentityKind::Client] {
        for status in CertificateStatus::ALL {
            let count = counts.get(&(kind, status)).copied().unwrap_or_default();
            let labels = [("profile", kind.as_str()), ("status", status.as_str())];
            family.sample(&labels, count as f64);
        }
    }
}
