//! The follower in numbers.

use std::sync::Arc;

use super::FeedState;
use crate::base::metrics::{Page, Source};

/// Writes what `state` says.
pub fn source(state: Arc<FeedState>) -> Arc<dyn Source> {
    Arc::new(Told(state))
}

#[derive(Debug)]
struct Told(Arc<FeedState>);

impl Source for Told {
    fn write(&self, page: &mut Page) {
        let (view, enforced) = (self.0.view(), self.0.enforced());
        let number = view.place.map_or(0, |place| place.number);
        let gauges = [
            (
                "dockwarden_agent_feed_following",
                "1 while the revocation feed is followed.",
                f64::from(u8::from(enforced.is_following())),
            ),
            (
                "dockwarden_agent_feed_number",
                "The number of the feed that was applied last.",
                number as f64,
            ),
            (
                "dockwarden_agent_feed_lag",
                "Numbers of the feed that the server has given out and this host has not applied, as far as it was told.",
                view.head.saturating_sub(number) as f64,
            ),
            (
                "dockwarden_agent_revocations",
                "Certificates known to be revoked.",
                enforced.revoked().len() as f64,
            ),
        ];
        for (name, help, value) in gauges {
            page.gauge(name, help).sample(&[], value);
        }
        page.gauge(
            "dockwarden_agent_feed_heard_timestamp_seconds",
            "When everything the server has said was known last, seconds since 1970.",
        )
        .time(&[], view.heard_at.unwrap_or_else(|| enforced.contact()));
        if let Some(from) = enforced.denies_from() {
            page.gauge(
                "dockwarden_agent_feed_denies_from_seconds",
                "From when on every remote client is refused unless the server is heard of before, seconds since 1970.",
            )
            .time(&[], from);
        }
        let counters = [
            (
                "dockwarden_agent_feed_failures_total",
                "Times the feed could not be followed, or not be followed on.",
                view.failures,
            ),
            (
                "dockwarden_agent_connections_cut_total",
                "Open connections that were ended because their certificate was revoked.",
                view.cut,
            ),
            (
                "dockwarden_agent_revocations_given_back_total",
                "Revocations that were given back to a server that had lost them.",
                view.given_back,
            ),
        ];
        for (name, help, value) in counters {
            page.counter(name, help).sample(&[], value as f64);
        }
    }
}
