//! `docs/metrics.md` lists exactly the metrics that there are, with their labels; and what alert rules and dashboards use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dockwarden::agent::metrics::Metrics;
use dockwarden::agent::{Status, Verdict, feed, lists};
use dockwarden::base::Timestamp;
use dockwarden::base::metrics::Source;
use dockwarden::gate::GateMetrics;
use dockwarden::model::Enforced;
use serde_json::json;

use crate::source::rust_files;
use crate::support::metrics::read;
use crate::support::pki::t0;
use crate::support::server::TestServer;

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

/// The labels of each metric, as the document has them.
pub fn documented() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut found = BTreeMap::new();
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| `dockwarden_")) {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let name = cells.next().unwrap().trim_matches('`');
        let labels = cells
            .next()
            .unwrap()
            .split(", ")
            .filter(|label| !label.is_empty());
        // Version information stands there once for the server and once for the agent.
        let is_new = found.insert(name, labels.collect()).is_none();
        assert!(
            is_new || name == "dockwarden_build_info",
            "{name} stands there twice"
        );
    }
    assert!(found.len() > 60, "the tables are read: {found:?}");
    found
}

/// Every name of a metric that stands in quotes in the source.
fn in_the_source() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in rust_files("src") {
        for (at, _) in file.text.match_indices("\"dockwarden_") {
            let rest = &file.text[at + 1..];
            let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
            found.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    found
}

#[test]
fn the_document_lists_exactly_the_metrics_that_there_are() {
    let documented: BTreeSet<String> = documented().into_keys().map(str::to_owned).collect();
    let real = in_the_source();
    let missing: Vec<_> = real.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/metrics.md: {missing:?}");
    let gone: Vec<_> = documented.difference(&real).collect();
    assert!(gone.is_empty(), "in docs/metrics.md, and nowhere else: {gone:?}");
}

/// Each series of a page has the labels that the document says.
fn labels_are_as_documented(page: &str) {
    let documented = documented();
    for series in read(page).into_keys() {
        let (name, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
            let name = name.strip_suffix(part)?;
            documented.contains_key(name).then_some(name)
        });
        let expected = documented.get(of_histogram.unwrap_or(name));
        let expected = expected.unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        let labels = labels
            .trim_matches(['{', '}'])
            .split(',')
            .filter(|l| !l.is_empty());
        let labels: BTreeSet<&str> = labels
            .map(|label| label.split('=').next().unwrap())
            .filter(|label| *label != "le")
            .collect();
        assert_eq!(&labels, expected, "{series}");
    }
}

#[tokio::test]
async fn what_the_server_shows_has_the_labels_of_the_document() {
    let server = TestServer::sqlite().await;
    server.join("host", "web-1.fleet").await;
    server.service.publish_crls().await.unwrap();
    labels_are_as_documented(server.get(None, "/metrics").await.text());
    server.stop().await;
}

#[test]
fn what_the_agent_shows_has_the_labels_of_the_document() {
    let metrics = Metrics::default();
    let enforced = Arc::new(Enforced::new(Some(std::time::Duration::from_secs(60))));
    let sources: [Arc<dyn Source>; 3] = [
        feed::source(Arc::new(feed::FeedState::new(enforced))),
        lists::source(Arc::default()),
        Arc::<GateMetrics>::default(),
    ];
    sources
        .into_iter()
        .for_each(|source| metrics.registry().add(source));
    let seen = json!({"serial": "0b", "not_after": t0()});
    let status = json!({
        "name": "web-1", "server": "https://ca:8443", "connected": true, "updated_at": t0(), "next": null,
        "report": {
            "observed_generation": 1, "mode": "gate", "agent_version": "1", "engine_version": null, "endpoints": [],
            "issued": seen, "served": seen, "renew_at": t0(), "clock_offset_ms": 12,
            "conditions": [{"type": "Serving", "status": "False", "reason": "A", "message": "x", "since": t0()}],
        },
    });
    let status: Status = serde_json::from_value(status).unwrap();
    let verdict = Verdict {
        conditions: status.report.conditions.clone(),
        failures: Vec::new(),
        next: Timestamp::EPOCH,
    };
    metrics.after_pass(&verdict, Some(status));
    labels_are_as_documented(&metrics.registry().page());
}
