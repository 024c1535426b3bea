//! The lists in numbers.

use std::sync::Arc;

use super::ListsState;
use crate::base::metrics::{Page, Source};

/// Writes what `state` says.
pub fn source(state: Arc<ListsState>) -> Arc<dyn Source> {
    Arc::new(Told(state))
}

#[derive(Debug)]
struct Told(Arc<ListsState>);

impl Source for Told {
    fn write(&self, page: &mut Page) {
        let view = self.0.view();
        page.gauge(
            "dockwarden_agent_lists_fresh",
            "1 while crl.pem names everything that is revoked, and the hook was told.",
        )
        .sample(
            &[],
            f64::from(u8::from(view.failure.is_none() && !view.holds_back)),
        );
        if let Some(until) = view.good_until() {
            page.gauge(
                "dockwarden_agent_lists_next_update_seconds",
                "When the first list in crl.pem runs out and programs refuse everybody, seconds since 1970.",
            )
            .time(&[], until);
        }
        let counters = [
            (
                "dockwarden_agent_lists_written_total",
                "Times crl.pem was written.",
                view.written,
            ),
            (
                "dockwarden_agent_lists_reloads_total",
                "Times the hook ran for crl.pem and succeeded.",
                view.reloads,
            ),
            (
                "dockwarden_agent_lists_failures_total",
                "Times crl.pem could not be kept as it should be.",
                view.failures,
            ),
        ];
        for (name, help, value) in counters {
            page.counter(name, help).sample(&[], value as f64);
        }
    }
}
