//! What the server has in memory: the lists it publishes, its issuers, and who follows the feed.

use std::sync::Arc;

use crate::base::limits::FEED_FOLLOWERS_MAX;
use crate::base::metrics::{Page, Source};
use crate::model::IssuerKind;
use crate::service::crl::{Lists, Published};
use crate::service::{Authority, Service};

/// The name of the root, beside those of its issuers.
const ROOT: &str = "root";

/// What `service` adds to its own page.
pub(super) fn sources(service: &Service) -> [Arc<dyn Source>; 3] {
    let authority = Arc::clone(&service.authority);
    let (places, head) = (service.feed.places(), service.store.feed_watch());
    [
        service.lists.clone(),
        Arc::new(move |page: &mut Page| issuers(page, &authority)),
        Arc::new(move |page: &mut Page| {
            let followers = FEED_FOLLOWERS_MAX.saturating_sub(places.available_permits());
            feed(page, *head.borrow(), followers);
        }),
    ]
}

fn issuers(page: &mut Page, authority: &Authority) {
    let mut family = page.gauge(
        "dockwarden_issuer_not_after_seconds",
        "When the root and its issuers end, seconds since 1970.",
    );
    family.time(&[("issuer", ROOT)], authority.root().not_after);
    for kind in IssuerKind::ALL {
        let end = authority.issuer(kind).certificate().not_after;
        family.time(&[("issuer", kind.as_str())], end);
    }
}

fn feed(page: &mut Page, head: u64, followers: usize) {
    for (name, help, value) in [
        (
            "dockwarden_feed_number",
            "The newest number of the revocation feed.",
            head as f64,
        ),
        (
            "dockwarden_feed_followers",
            "Connections that follow the revocation feed.",
            followers as f64,
        ),
    ] {
        page.gauge(name, help).sample(&[], value);
    }
}

impl Source for Lists {
    fn write(&self, page: &mut Page) {
        let of_issuers = IssuerKind::ALL.map(|kind| (kind.as_str(), self.published(kind)));
        let all = of_issuers.into_iter().chain([(ROOT, self.published_root())]);
        let all: Vec<_> = all
            .filter_map(|(issuer, published)| Some((issuer, published?)))
            .collect();
        type Value = fn(&Published) -> f64;
        let gauges: [(&str, &str, Value); 5] = [
            (
                "dockwarden_crl_this_update_timestamp_seconds",
                "When the published CRL was signed, as it says itself, seconds since 1970.",
                |list| list.crl.this_update.as_millis() as f64 / 1000.0,
            ),
            (
                "dockwarden_crl_next_update_timestamp_seconds",
                "When the published CRL runs out, and programs refuse everybody, seconds since 1970.",
                |list| list.crl.next_update.as_millis() as f64 / 1000.0,
            ),
            (
                "dockwarden_crl_number",
                "The number of the published CRL.",
                |list| list.crl.number as f64,
            ),
            (
                "dockwarden_crl_entries",
                "Certificates on the published CRL.",
                |list| list.crl.entry_count as f64,
            ),
            (
                "dockwarden_crl_bytes",
                "How large the published CRL is, DER.",
                |list| list.crl.der().len() as f64,
            ),
        ];
        for (name, help, value) in gauges {
            let mut family = page.gauge(name, help);
            for (issuer, list) in &all {
                family.sample(&[("issuer", *issuer)], value(list));
            }
        }
        let mut family = page.gauge(
            "dockwarden_crl_publishing",
            "1 when the last try to publish a CRL succeeded, or none was due; 0 when it failed and is tried again.",
        );
        for kind in IssuerKind::ALL {
            let works = f64::from(u8::from(self.trouble(kind).is_none()));
            family.sample(&[("issuer", kind.as_str())], works);
        }
    }
}
