//! What the gate counts: requests by role and decision, handshakes that failed, what is open, and dockerd away.

use std::sync::Arc;

use dockwarden::base::metrics::{Page, Source};
use dockwarden::gate::{GateMetrics, Limits};
use dockwarden::model::role::{HostRoles, RolesInForce};

use crate::support::gate::{Harness, eventually, get, next_frame, open, send};
use crate::support::metrics::{Samples, judge, read};

fn gate() -> (Harness, Arc<GateMetrics>) {
    let clients = serde_json::json!({"alice": ["viewer"], "bob": ["operator", "logs"]});
    let roles: HostRoles = serde_json::from_value(serde_json::json!({ "clients": clients })).unwrap();
    let in_force = Arc::new(RolesInForce::unknown());
    in_force.publish(&roles);
    let metrics = Arc::<GateMetrics>::default();
    let gate = Harness::with(Limits::default(), |gate| {
        gate.with_roles(in_force).with_metrics(Arc::clone(&metrics))
    });
    (gate, metrics)
}

fn page(metrics: &GateMetrics) -> String {
    let mut page = Page::default();
    metrics.write(&mut page);
    page.finish()
}

fn samples(metrics: &GateMetrics) -> Samples {
    let page = page(metrics);
    judge(&page);
    read(&page)
}

fn requests(decision: &str, role: &str, reason: &str) -> String {
    format!("dockwarden_gate_requests_total{{decision=\"{decision}\",role=\"{role}\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn requests_are_counted_by_the_role_that_allowed_them_or_the_reason_why_not() {
    let (mut gate, metrics) = gate();
    let (alice, bob) = (gate.fleet.client("alice"), gate.fleet.client("bob"));
    let mut connection = gate.connect(&alice).await;
    for (target, status) in [
        ("/_ping", 200),
        ("/v1.41/containers/json", 200),
        ("/v1.41/containers/db/export", 403),
        ("/v1.41/%zz", 400),
    ] {
        let answer = send(&mut connection, get(target)).await.unwrap();
        assert_eq!(answer.0, status, "{target}: {answer:?}");
    }
    gate.raw(&bob, "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
        .await;
    gate.engine.take().unwrap().stop();
    assert_eq!(gate.get(&bob, "/_ping").await.0, 502);

    let samples = samples(&metrics);
    for (series, expected) in [
        (requests("allowed", "viewer", ""), 2.0),
        (requests("denied", "", "role"), 1.0),
        (requests("denied", "", "malformed"), 2.0),
        (requests("denied", "", "certificate"), 0.0),
        (
            "dockwarden_gate_upstream_errors_total{cause=\"missing\"}".to_owned(),
            1.0,
        ),
    ] {
        assert_eq!(samples.get(&series), Some(&expected), "{series}\n{samples:#?}");
    }
    let allowed: f64 = samples
        .iter()
        .filter(|(series, _)| series.contains("decision=\"allowed\""))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(
        allowed, 3.0,
        "what dockerd did not answer was allowed: {samples:#?}"
    );
}

#[tokio::test]
async fn what_is_open_is_counted_until_it_is_over() {
    let (gate, metrics) = gate();
    let bob = gate.fleet.client("bob");
    let count = |name: &str| read(&page(&metrics))[name];
    let (connections, streams) = ("dockwarden_gate_connections", "dockwarden_gate_streams");
    assert_eq!((count(connections), count(streams)), (0.0, 0.0));
    let mut connection = gate.connect(&bob).await;
    let mut events = open(&mut connection, get("/events?n=0&ms=1000")).await;
    next_frame(&mut events).await.unwrap();
    let tunnel = gate.tunnel(&bob, "/exec/a/start").await;
    assert_eq!((count(connections), count(streams)), (2.0, 2.0));
    drop((events, connection));
    eventually("one of each", || {
        (count(connections), count(streams)) == (1.0, 1.0)
    })
    .await;
    drop(tunnel);
    eventually("none", || (count(connections), count(streams)) == (0.0, 0.0)).await;
}

#[tokio::test]
async fn handshakes_that_fail_are_counted_by_cause_and_looks_are_not() {
    let (gate, metrics) = gate();
    let failed = |cause: &str| {
        read(&page(&metrics))[&format!("dockwarden_gate_handshake_failures_total{{cause=\"{cause}\"}}")]
    };
    let stranger = crate::support::pki::Fleet::new().client("alice");
    for (leaf, cause) in [
        (Some(&stranger), "untrusted"),
        (Some(&gate.fleet.host("web-02")), "wrong_purpose"),
        (None, "no_certificate"),
    ] {
        // With TLS 1.3 the client learns of it after its own handshake.
        let _ = gate.dial(leaf).await;
        eventually(cause, || failed(cause) == 1.0).await;
    }
    drop(tokio::net::TcpStream::connect(gate.address).await.unwrap());
    eventually("closed", || failed("closed") == 1.0).await;
    assert_eq!(failed("protocol"), 0.0);
}
