//! What `/metrics` says: events counted since the start, and what stands in the database.
//!
//! Anybody may ask, so that what the database is asked for is bounded: a small share of the time, and the first
//! [`METRICS_HOSTS_MAX`] hosts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::hosts::is_server;
use super::{EnrollError, Enrollment, Issuance, RenewError, Service, ServiceError};
use crate::base::Timestamp;
use crate::base::limits::{METRICS_AGE_MIN, METRICS_HOSTS_MAX, PAGE_MAX};
use crate::base::metrics::{Counters, Page, Registry, Source};
use crate::model::{CertificateStatus, ConditionKind, ConditionStatus, IdentityKind, PageRequest};
use crate::store::{CertificateCounts, DatabaseSize, HostRow, Store, StoreError};

/// Reading for metrics may take one part in this many of the time.
const SHARE: u32 = 50;

/// Why requests are refused: the values of `reason`.
const ENROLL_REASONS: [&str; 8] = [
    "token",
    "csr",
    "names",
    "labels",
    "name_taken",
    "approval",
    "rate",
    "internal",
];
const RENEW_REASONS: [&str; 4] = ["certificate", "csr", "names", "internal"];

/// The server's metrics. Others add their sources to the registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    issued: Arc<Counters>,
    renewed: Arc<Counters>,
    refused: Arc<Counters>,
    found: Arc<Found>,
    /// When the database may be read next. Held while it is read: one reader at a time.
    next: tokio::sync::Mutex<Timestamp>,
}

impl Default for Metrics {
    fn default() -> Self {
        let profiles = || [IdentityKind::Host, IdentityKind::Client].map(|kind| vec![kind.as_str()]);
        let reasons = ENROLL_REASONS.map(|reason| vec!["enroll", reason]).into_iter();
        let reasons = reasons.chain(RENEW_REASONS.map(|reason| vec!["renew", reason]));
        let metrics = Self {
            registry: Registry::new(),
            issued: Counters::new(
                "dockwarden_certificates_issued_total",
                "First certificates issued since the start, by profile.",
                &["profile"],
                profiles(),
            ),
            renewed: Counters::new(
                "dockwarden_certificates_renewed_total",
                "Certificates renewed since the start, by profile.",
                &["profile"],
                profiles(),
            ),
            refused: Counters::new(
                "dockwarden_requests_refused_total",
                "Requests for a certificate that got none since the start.",
                &["operation", "reason"],
                reasons,
            ),
            found: Arc::default(),
            next: tokio::sync::Mutex::new(Timestamp::EPOCH),
        };
        metrics.registry.add(Arc::new(build_info));
        metrics.registry.add(metrics.issued.clone());
        metrics.registry.add(metrics.renewed.clone());
        metrics.registry.add(metrics.refused.clone());
        metrics.registry.add(metrics.found.clone());
        metrics
    }
}

impl Metrics {
    /// Where others add what they know.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn enrolled(&self, result: &Result<Enrollment, EnrollError>) {
        match result {
            Ok(Enrollment::Issued(issuance)) => self.issued.count(&[profile(issuance)]),
            Ok(Enrollment::Repeated(_) | Enrollment::Pending(_)) => {}
            Err(error) => self.refused.count(&["enroll", enroll_reason(error)]),
        }
    }

    pub(super) fn renewed(&self, result: &Result<Issuance, RenewError>) {
        match result {
            Ok(issuance) => self.renewed.count(&[profile(issuance)]),
            Err(error) => self.refused.count(&["renew", renew_reason(error)]),
        }
    }
}

fn profile(issuance: &Issuance) -> &'static str {
    issuance.certificate.kind.as_str()
}

fn enroll_reason(error: &EnrollError) -> &'static str {
    match error {
        EnrollError::NotAToken(_) | EnrollError::TokenRefused(_) => "token",
        EnrollError::Csr(_) => "csr",
        EnrollError::Names(_) => "names",
        EnrollError::Labels(_) | EnrollError::ReservedLabel(_) => "labels",
        EnrollError::NameTaken(_) => "name_taken",
        EnrollError::Denied | EnrollError::NotAsApproved(_) | EnrollError::TooManyPending => "approval",
        EnrollError::RateLimited(_) => "rate",
        EnrollError::Service(_) => "internal",
    }
}

fn renew_reason(error: &RenewError) -> &'static str {
    match error {
        RenewError::Refused => "certificate",
        RenewError::Csr(_) | RenewError::SameKey => "csr",
        RenewError::OtherName { .. } | RenewError::Names(_) => "names",
        RenewError::Service(_) => "internal",
    }
}

fn build_info(page: &mut Page) {
    page.gauge("dockwarden_build_info", "The version that runs; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

/// What was read from the database last.
#[derive(Debug, Default)]
struct Found(Mutex<Option<Snapshot>>);

#[derive(Debug)]
struct Snapshot {
    certificates: CertificateCounts,
    size: DatabaseSize,
    hosts: Vec<HostSeries>,
    complete: bool,
}

/// What is shown of a host.
#[derive(Debug)]
struct HostSeries {
    name: String,
    issued: Option<Timestamp>,
    served: Option<Timestamp>,
    reported: Option<Timestamp>,
    conditions: Vec<(ConditionKind, ConditionStatus)>,
}

impl From<HostRow> for HostSeries {
    fn from(row: HostRow) -> Self {
        let status = row.status.as_ref();
        let served = status.and_then(|status| status.report.served.as_ref());
        let conditions = status.into_iter().flat_map(|status| &status.report.conditions);
        Self {
            name: row.identity.name.to_string(),
            issued: row.certificate.map(|certificate| certificate.not_after),
            served: served.map(|seen| seen.not_after),
            reported: status.map(|status| status.reported_at),
            conditions: conditions.map(|c| (c.kind, c.status)).collect(),
        }
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
        let sizes = [
            (
                "dockwarden_database_bytes",
                "How large the database is, its log included.",
                found.size.bytes,
            ),
            (
                "dockwarden_database_free_bytes",
                "What of the database is free, and used before it grows.",
                found.size.free_bytes,
            ),
        ];
        for (name, help, bytes) in sizes {
            page.gauge(name, help).sample(&[], bytes as f64);
        }
        page.gauge(
            "dockwarden_host_series_complete",
            "1 when every host has series of its own, 0 when there are more hosts than the limit.",
        )
        .sample(&[], f64::from(u8::from(found.complete)));
        hosts(page, &found.hosts);
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

fn hosts(page: &mut Page, hosts: &[HostSeries]) {
    type Value = fn(&HostSeries) -> Option<Timestamp>;
    let times: [(&str, &str, Value); 3] = [
        (
            "dockwarden_host_certificate_issued_not_after_seconds",
            "When the newest certificate of the host ends, seconds since 1970.",
            |host| host.issued,
        ),
        (
            "dockwarden_host_certificate_served_not_after_seconds",
            "When the certificate that the host was last seen serving ends, seconds since 1970.",
            |host| host.served,
        ),
        (
            "dockwarden_host_last_report_timestamp_seconds",
            "When the host last reported, seconds since 1970.",
            |host| host.reported,
        ),
    ];
    for (name, help, value) in times {
        let mut family = page.gauge(name, help);
        for host in hosts {
            if let Some(time) = value(host) {
                family.time(&[("host", &host.name)], time);
            }
        }
    }
    let mut family = page.gauge(
        "dockwarden_host_condition",
        "1 for the status that the condition of the host has, 0 for the others.",
    );
    for host in hosts {
        for (kind, actual) in &host.conditions {
            for (status, holds) in actual.samples() {
                let kind = kind.to_string();
                family.sample(
                    &[("host", &host.name), ("type", &kind), ("status", status)],
                    holds,
                );
            }
        }
    }
}

impl Service {
    /// The server's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A page in Prometheus' text format. Always answers; says so when the database does not.
    pub async fn metrics_page(&self) -> String {
        let mut next = self.metrics.next.lock().await;
        let now = self.clock.now();
        if now >= *next {
            let snapshot = self.read_for_metrics(now).await;
            let took = self.clock.now().since(now);
            *next = now + age(took);
            if let Err(error) = &snapshot {
                tracing::warn!(%error, "the database could not be read for /metrics");
            }
            *self
                .metrics
                .found
                .0
                .lock()
                .expect("no panic while the lock is held") = snapshot.ok();
        }
        drop(next);
        self.metrics.registry.page()
    }

    async fn read_for_metrics(&self, now: Timestamp) -> Result<Snapshot, ServiceError> {
        let (hosts, complete) = first_hosts(&*self.store).await?;
        Ok(Snapshot {
            certificates: self.store.certificate_counts(now).await?,
            size: self.store.size().await?,
            hosts,
            complete,
        })
    }
}

/// How long a reading is shown that took this long to make.
fn age(took: Duration) -> Duration {
    METRICS_AGE_MIN.max(took * SHARE)
}

async fn first_hosts(store: &dyn Store) -> Result<(Vec<HostSeries>, bool), StoreError> {
    let mut hosts: Vec<HostSeries> = Vec::new();
    let mut cursor = None;
    loop {
        let limit = PAGE_MAX;
        let page = store.hosts(PageRequest { limit, cursor }).await?;
        let rows = page.items.into_iter().filter(|row| !is_server(row));
        hosts.extend(rows.map(HostSeries::from));
        let more = page.next.is_some() || hosts.len() > METRICS_HOSTS_MAX;
        if hosts.len() >= METRICS_HOSTS_MAX || page.next.is_none() {
            hosts.truncate(METRICS_HOSTS_MAX);
            return Ok((hosts, !more));
        }
        cursor = page.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_the_database_the_longer_a_reading_is_shown() {
        assert_eq!(age(Duration::from_millis(20)), METRICS_AGE_MIN);
        assert_eq!(age(Duration::from_secs(2)), Duration::from_secs(100));
    }
}
