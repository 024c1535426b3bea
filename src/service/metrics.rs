//! What `/metrics` says: events counted since the start, and what stands in the database.
//!
//! Anybody may ask, so that what the database is asked for is bounded: a small share of the time, and the first
//! [`METRICS_HOSTS_MAX`](crate::base::limits::METRICS_HOSTS_MAX) hosts.

mod found;
mod hosts;
mod published;

use std::sync::Arc;
use std::time::Duration;

use self::found::{Found, Snapshot};
use super::{EnrollError, Enrollment, Issuance, RenewError, Service};
use crate::base::Timestamp;
use crate::base::limits::METRICS_AGE_MIN;
use crate::base::metrics::{Counters, Histograms, Page, Registry};
use crate::model::{IdentityKind, IssuerKind};
use crate::pki::RevocationReason;
use crate::store::Withdrawn;

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
    revoked: Arc<Counters>,
    durations: Arc<Histograms>,
    found: Arc<Found>,
    /// When the database was read last, and when it may be read next. Held while it is read: one reader at a time.
    read: tokio::sync::Mutex<Option<(Timestamp, Timestamp)>>,
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
            revoked: Counters::new(
                "dockwarden_certificates_revoked_total",
                "Certificates revoked since the start, by profile and reason.",
                &["profile", "reason"],
                revocations(),
            ),
            durations: Histograms::new(
                "dockwarden_issuance_duration_seconds",
                "From a request for a certificate to its certificate, which is durable by then.",
                &["operation"],
                [vec!["enroll"], vec!["renew"]],
            ),
            found: Arc::default(),
            read: tokio::sync::Mutex::default(),
        };
        metrics.registry.add(Arc::new(build_info));
        metrics.registry.add(metrics.issued.clone());
        metrics.registry.add(metrics.renewed.clone());
        metrics.registry.add(metrics.refused.clone());
        metrics.registry.add(metrics.revoked.clone());
        metrics.registry.add(metrics.durations.clone());
        metrics.registry.add(metrics.found.clone());
        metrics
    }
}

impl Metrics {
    /// Where others add what they know.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn enrolled(&self, result: &Result<Enrollment, EnrollError>, took: Duration) {
        match result {
            Ok(Enrollment::Issued(issuance)) => {
                self.issued.count(&[profile(issuance)]);
                self.durations.observe(&["enroll"], took);
            }
            Ok(Enrollment::Repeated(_) | Enrollment::Pending(_)) => {}
            Err(error) => self.refused.count(&["enroll", enroll_reason(error)]),
        }
    }

    pub(super) fn renewed(&self, result: &Result<Issuance, RenewError>, took: Duration) {
        match result {
            Ok(issuance) => {
                self.renewed.count(&[profile(issuance)]);
                self.durations.observe(&["renew"], took);
            }
            Err(error) => self.refused.count(&["renew", renew_reason(error)]),
        }
    }

    /// Those of an order that were not revoked before: they are of one identity, and for the order's reason.
    pub(super) fn revoked(&self, withdrawn: &Withdrawn, reason: RevocationReason) {
        let Some(revocation) = withdrawn.revocations.first() else {
            return;
        };
        let labels = [profile_of(revocation.issuer), reason_word(reason)];
        self.revoked.add(&labels, withdrawn.fresh as u64);
    }

    /// Adds what `service` has in memory.
    pub(super) fn look_at(&self, service: &Service) {
        for source in published::sources(service) {
            self.registry.add(source);
        }
    }
}

fn profile(issuance: &Issuance) -> &'static str {
    issuance.certificate.kind.as_str()
}

fn profile_of(issuer: IssuerKind) -> &'static str {
    match issuer {
        IssuerKind::Hosts => IdentityKind::Host.as_str(),
        IssuerKind::Clients => IdentityKind::Client.as_str(),
    }
}

/// The reason as RFC 5280 writes it.
fn reason_word(reason: RevocationReason) -> &'static str {
    use RevocationReason as R;
    match reason {
        R::Unspecified => "unspecified",
        R::KeyCompromise => "keyCompromise",
        R::AffiliationChanged => "affiliationChanged",
        R::Superseded => "superseded",
        R::CessationOfOperation => "cessationOfOperation",
        R::PrivilegeWithdrawn => "privilegeWithdrawn",
    }
}

fn revocations() -> impl Iterator<Item = Vec<&'static str>> {
    IssuerKind::ALL.into_iter().flat_map(|issuer| {
        let row = move |reason| vec![profile_of(issuer), reason_word(reason)];
        RevocationReason::ALL.map(row)
    })
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

impl Service {
    /// The server's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A page in Prometheus' text format. Always answers; says so when the database does not.
    pub async fn metrics_page(&self) -> String {
        let mut read = self.metrics.read.lock().await;
        let now = self.clock.now();
        // A clock that was set back must not make an old reading last.
        if read.is_none_or(|(last, next)| now < last || now >= next) {
            let snapshot = Snapshot::read(self, now).await;
            let took = self.clock.now().since(now);
            *read = Some((now, now + age(took)));
            if let Err(error) = &snapshot {
                tracing::warn!(%error, "the database could not be read for /metrics");
            }
            self.metrics.found.put(snapshot.ok());
        }
        drop(read);
        self.metrics.registry.page()
    }
}

/// How long a reading is shown that took this long to make.
fn age(took: Duration) -> Duration {
    METRICS_AGE_MIN.max(took * SHARE)
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
