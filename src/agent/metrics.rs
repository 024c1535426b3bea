//! What the agent says of itself to Prometheus: what its last pass found, and what it has done since it began.

use std::sync::{Arc, Mutex};

use super::daemon::Dockerd;
use super::daemon::counted::{self, Counted};
use super::reconcile::Verdict;
use super::records::Status;
use crate::base::Timestamp;
use crate::base::metrics::{Counters, Page, Registry, Source};
use crate::model::HostReport;

/// The agent's metrics. Others add their sources to the registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Arc<Counters>,
    failures: Arc<Counters>,
    last: Arc<Last>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::new(),
            passes: Counters::new(
                "dockwarden_agent_passes_total",
                "Passes since the start, by whether something failed or is not as it should be.",
                &["result"],
                [vec!["good"], vec!["bad"]],
            ),
            failures: Counters::single(
                "dockwarden_agent_step_failures_total",
                "Steps that were tried and failed since the start.",
            ),
            last: Arc::default(),
        };
        metrics.registry.add(Arc::new(build_info));
        metrics.registry.add(metrics.passes.clone());
        metrics.registry.add(metrics.failures.clone());
        metrics.registry.add(metrics.last.clone());
        metrics
    }
}

impl Metrics {
    /// Where others add what they know.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The same dockerd, with its restarts counted.
    pub fn counting(&self, dockerd: Arc<dyn Dockerd>) -> Arc<dyn Dockerd> {
        let restarts = counted::counters();
        self.registry.add(restarts.clone());
        Arc::new(Counted {
            inner: dockerd,
            restarts,
        })
    }

    /// Takes note of a pass, and of what was found at its end.
    pub fn after_pass(&self, verdict: &Verdict, status: Option<Status>) {
        self.passes
            .count(&[if verdict.is_good() { "good" } else { "bad" }]);
        verdict.failures.iter().for_each(|_| self.failures.count(&[]));
        if status.is_some() {
            *self.last.0.lock().expect("no panic while the lock is held") = status;
        }
    }
}

fn build_info(page: &mut Page) {
    page.gauge("dockwarden_build_info", "The version that runs; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

/// What the last pass found.
#[derive(Debug, Default)]
struct Last(Mutex<Option<Status>>);

impl Source for Last {
    fn write(&self, page: &mut Page) {
        let last = self.0.lock().expect("no panic while the lock is held");
        if let Some(status) = &*last {
            times(page, status.updated_at, &status.report);
            conditions(page, &status.report);
            page.gauge(
                "dockwarden_agent_server_connected",
                "1 when the last call to the server was answered.",
            )
            .sample(&[], f64::from(u8::from(status.connected == Some(true))));
        }
    }
}

fn times(page: &mut Page, at: Timestamp, report: &HostReport) {
    page.gauge(
        "dockwarden_agent_last_pass_timestamp_seconds",
        "When the last pass ended, seconds since 1970.",
    )
    .time(&[], at);
    let ends = [
        (
            "dockwarden_agent_certificate_issued_not_after_seconds",
            "When the certificate on disk ends, seconds since 1970.",
            report.issued.as_ref(),
        ),
        (
            "dockwarden_agent_certificate_served_not_after_seconds",
            "When the certificate that a dial returned ends, seconds since 1970.",
            report.served.as_ref(),
        ),
    ];
    for (name, help, seen) in ends {
        if let Some(seen) = seen {
            page.gauge(name, help).time(&[], seen.not_after);
        }
    }
    if let Some(at) = report.renew_at {
        page.gauge(
            "dockwarden_agent_certificate_renew_after_seconds",
            "From when the certificate is renewed, seconds since 1970.",
        )
        .time(&[], at);
    }
    if let Some(offset) = report.clock_offset_ms {
        page.gauge(
            "dockwarden_agent_clock_offset_seconds",
            "This machine's clock minus the server's.",
        )
        .sample(&[], offset as f64 / 1000.0);
    }
}

fn conditions(page: &mut Page, report: &HostReport) {
    let mut family = page.gauge(
        "dockwarden_agent_condition",
        "1 for the status that the condition has, 0 for the others.",
    );
    for condition in &report.conditions {
        let kind = condition.kind.to_string();
        for (status, holds) in condition.status.samples() {
            family.sample(&[("type", &kind), ("status", status)], holds);
        }
    }
    // Reasons are words of this program, a few for each condition.
    let mut family = page.gauge(
        "dockwarden_agent_condition_reason",
        "Always 1: the reason of the condition's status, as agent status shows it.",
    );
    for condition in &report.conditions {
        let kind = condition.kind.to_string();
        family.sample(&[("type", &kind), ("reason", &condition.reason)], 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Condition, ConditionKind, ConditionStatus, Mode, SeenCertificate};

    fn status() -> Status {
        let seen = |serial: &str, secs| {
            Some(SeenCertificate {
                serial: serial.parse().unwrap(),
                not_after: Timestamp::from_secs(secs),
            })
        };
        Status {
            name: "web-1".into(),
            server: "https://ca:8443".into(),
            connected: Some(false),
            updated_at: Timestamp::from_secs(1000),
            next: None,
            report: HostReport {
                observed_generation: 1,
                mode: Mode::Daemon,
                agent_version: "1".into(),
                engine_version: None,
                endpoints: Vec::new(),
                issued: seen("0b", 2000),
                served: seen("0a", 1500),
                renew_at: Some(Timestamp::from_secs(1800)),
                clock_offset_ms: Some(-250),
                conditions: vec![Condition {
                    kind: ConditionKind::ConfigApplied,
                    status: ConditionStatus::False,
                    reason: "RolledBack".into(),
                    message: String::new(),
                    since: Timestamp::EPOCH,
                }],
                revocations: None,
            },
        }
    }

    #[test]
    fn the_page_says_what_the_last_pass_found() {
        let metrics = Metrics::default();
        assert!(
            !metrics.registry().page().contains("not_after"),
            "nothing was found yet"
        );
        let verdict = Verdict {
            conditions: status().report.conditions,
            failures: vec![(super::super::step::Step::Publish, "no".into())],
            next: Timestamp::EPOCH,
        };
        metrics.after_pass(&verdict, Some(status()));
        metrics.after_pass(&verdict, None);
        let page = metrics.registry().page();
        for line in [
            "dockwarden_agent_passes_total{result=\"bad\"} 2",
            "dockwarden_agent_step_failures_total 2",
            "dockwarden_agent_certificate_issued_not_after_seconds 2000",
            "dockwarden_agent_certificate_served_not_after_seconds 1500",
            "dockwarden_agent_certificate_renew_after_seconds 1800",
            "dockwarden_agent_last_pass_timestamp_seconds 1000",
            "dockwarden_agent_clock_offset_seconds -0.25",
            "dockwarden_agent_server_connected 0",
            "dockwarden_agent_condition{type=\"ConfigApplied\",status=\"true\"} 0",
            "dockwarden_agent_condition{type=\"ConfigApplied\",status=\"false\"} 1",
            "dockwarden_agent_condition_reason{type=\"ConfigApplied\",reason=\"RolledBack\"} 1",
        ] {
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        }
    }
}
