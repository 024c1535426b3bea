//! What the gate counts. Outlives a gate that ended and was started again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::denial::Denial;
use super::registry::Registry;
use super::upstream::UpstreamError;
use crate::base::limits::METRICS_ROLES_MAX;
use crate::base::metrics::{Counters, Page, Source};
use crate::pki::tls::HANDSHAKE_FAILURES;

/// Why requests are denied: the values of `reason`.
const REASONS: [&str; 5] = ["certificate", "full", "malformed", "role", "stale"];
/// How dockerd failed: the values of `cause`.
const UPSTREAM_CAUSES: [&str; 5] = ["broken", "missing", "protocol", "refused", "unreachable"];
/// Stands for roles past [`METRICS_ROLES_MAX`]. No role has this name.
const OTHER_ROLES: &str = "(others)";

/// Numbers of one gate. Names of roles are the only label values that are not known from the start; they are those that
/// the server gave out, and bounded.
#[derive(Debug)]
pub struct GateMetrics {
    /// By role; the empty text is for hosts that look at none.
    allowed: Mutex<BTreeMap<String, u64>>,
    denied: [(&'static str, AtomicU64); REASONS.len()],
    handshakes: Arc<Counters>,
    upstream: Arc<Counters>,
    streams: AtomicU64,
    open: Mutex<Weak<Registry>>,
}

impl Default for GateMetrics {
    fn default() -> Self {
        Self {
            allowed: Mutex::default(),
            denied: REASONS.map(|reason| (reason, AtomicU64::new(0))),
            handshakes: Counters::new(
                "dockwarden_gate_handshake_failures_total",
                "TLS handshakes with the gate that came to nothing since the start, by cause.",
                &["cause"],
                HANDSHAKE_FAILURES.map(|cause| vec![cause]),
            ),
            upstream: Counters::new(
                "dockwarden_gate_upstream_errors_total",
                "Requests that dockerd did not answer since the start, by cause.",
                &["cause"],
                UPSTREAM_CAUSES.map(|cause| vec![cause]),
            ),
            streams: AtomicU64::new(0),
            open: Mutex::default(),
        }
    }
}

/// Counts as an open stream until it is dropped.
#[derive(Debug)]
pub struct OpenStream(Arc<GateMetrics>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl GateMetrics {
    /// The open connections are those of `registry` from now on.
    pub(super) fn look_at(&self, registry: &Arc<Registry>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(registry);
    }

    /// A request was let through by this role, or by none because roles are not looked at.
    pub(super) fn allowed(&self, role: Option<&str>) {
        let role = role.unwrap_or_default();
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let role = match allowed.contains_key(role) || allowed.len() < METRICS_ROLES_MAX {
            true => role,
            false => OTHER_ROLES,
        };
        match allowed.get_mut(role) {
            Some(count) => *count += 1,
            None => drop(allowed.insert(role.to_owned(), 1)),
        }
    }

    /// A request was not passed on, or not answered.
    pub(super) fn denied(&self, denial: &Denial) {
        let reason = match denial {
            Denial::Upstream(error) => return self.upstream.count(&[cause(error)]),
            Denial::Certificate(_) => "certificate",
            Denial::Busy { .. } => "full",
            Denial::Policy(_) => "role",
            Denial::Stale { .. } => "stale",
            Denial::Framing(_)
            | Denial::Path(_)
            | Denial::Form(_)
            | Denial::Upgrade { .. }
            | Denial::RawHijack => "malformed",
        };
        let counter = self.denied.iter().find(|(word, _)| *word == reason);
        let (_, counter) = counter.expect("every reason above is in the list");
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A handshake came to nothing, for one of [`HANDSHAKE_FAILURES`].
    pub(super) fn handshake_failed(&self, cause: &str) {
        self.handshakes.count(&[cause]);
    }

    /// A stream was opened.
    pub(super) fn streams(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(Arc::clone(self))
    }

    fn requests(&self, page: &mut Page) {
        let mut family = page.counter(
            "dockwarden_gate_requests_total",
            "Requests at the gate since the start: by the role that allowed them, or the reason why they were denied.",
        );
        let mut sample = |decision, role: &str, reason, count: u64| {
            let labels = [("decision", decision), ("role", role), ("reason", reason)];
            family.sample(&labels, count as f64);
        };
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        for (role, count) in &*allowed {
            sample("allowed", role, "", *count);
        }
        for (reason, count) in &self.denied {
            sample("denied", "", reason, count.load(Ordering::Relaxed));
        }
    }
}

fn cause(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Missing { .. } => "missing",
        UpstreamError::Refused { .. } => "refused",
        UpstreamError::Unreachable { .. } => "unreachable",
        UpstreamError::Broken => "broken",
        UpstreamError::WrongProtocol => "protocol",
    }
}

impl Source for GateMetrics {
    fn write(&self, page: &mut Page) {
        self.requests(page);
        self.handshakes.write(page);
        self.upstream.write(page);
        let registry = self.open.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let gauges = [
            (
                "dockwarden_gate_connections",
                "Open connections of clients, past their handshake.",
                registry.map_or(0, |registry| registry.len()) as f64,
            ),
            (
                "dockwarden_gate_streams",
                "Open streams: attach, exec, logs, events, builds and the like.",
                self.streams.load(Ordering::Relaxed) as f64,
            ),
        ];
        for (name, help, value) in gauges {
            page.gauge(name, help).sample(&[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(metrics: &GateMetrics) -> String {
        let mut page = Page::default();
        metrics.write(&mut page);
        page.finish()
    }

    #[test]
    fn roles_past_the_limit_are_counted_together() {
        let metrics = GateMetrics::default();
        for number in 0..METRICS_ROLES_MAX + 2 {
            metrics.allowed(Some(&format!("role-{number}")));
        }
        metrics.allowed(Some("role-0"));
        let page = page(&metrics);
        let of = |role: &str, count| {
            let line = format!(
                "dockwarden_gate_requests_total{{decision=\"allowed\",role=\"{role}\",reason=\"\"}} {count}"
            );
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        };
        of("role-0", 2);
        of(&format!("role-{}", METRICS_ROLES_MAX - 1), 1);
        of(OTHER_ROLES, 2);
        assert!(!page.contains(&format!("role-{METRICS_ROLES_MAX}\"")), "{page}");
    }

    #[test]
    fn what_dockerd_did_not_answer_was_not_denied() {
        let metrics = GateMetrics::default();
        metrics.denied(&Denial::Upstream(UpstreamError::Broken));
        metrics.denied(&Denial::RawHijack);
        let page = page(&metrics);
        for line in [
            "dockwarden_gate_upstream_errors_total{cause=\"broken\"} 1",
            "dockwarden_gate_requests_total{decision=\"denied\",role=\"\",reason=\"malformed\"} 1",
            "dockwarden_gate_requests_total{decision=\"denied\",role=\"\",reason=\"role\"} 0",
        ] {
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        }
    }
}
