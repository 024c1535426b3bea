//! `/metrics` of the server, and of the agent: readable by Prometheus, true, and bounded.

use dockwarden::agent::metrics::Metrics;
use dockwarden::agent::{Status, Verdict};
use dockwarden::base::limits::{METRICS_AGE_MIN, METRICS_HOSTS_MAX};
use dockwarden::model::audit::Actor;
use dockwarden::model::{Identity, IdentityKind, Labels, NameRules};
use dockwarden::store::Store;
use serde_json::json;

use crate::support::metrics::{judge, read};
use crate::support::pki::{DAY, t0};
use crate::support::server::{Setup, TestServer, csr_pem, key};

#[tokio::test]
async fn prometheus_reads_what_the_server_counted_and_what_hosts_reported() {
    let server = TestServer::sqlite().await;
    let web = server.join("host", "web-1.fleet").await;
    server.join("client", "alice").await;
    let renewed = server.renew(&web, &csr_pem(&key(), "web-1.fleet", &[])).await;
    let issued = renewed.issued();
    assert_eq!(server.enroll("dw1_no_token", "x").await.status, 400);
    let served = t0() + DAY;
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "A", "message": "", "since": t0()});
    let report = json!({
        "observed_generation": 1, "mode": "gate", "agent_version": "1", "engine_version": null,
        "endpoints": ["tcp://web-1.fleet:2376"], "issued": null, "renew_at": null, "clock_offset_ms": null,
        "served": {"serial": "0a", "not_after": served},
        "conditions": [condition("Serving", "False"), condition("Enrolled", "True")],
    });
    let answer = server
        .call(Some(&web), "PUT", "/v1/hosts/web-1.fleet/status", Some(report))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let answer = server.get(None, "/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    judge(answer.text());
    let samples = read(answer.text());
    for (series, expected) in [
        ("dockwarden_database_up", 1.0),
        ("dockwarden_certificates_issued_total{profile=\"host\"}", 1.0),
        ("dockwarden_certificates_issued_total{profile=\"client\"}", 1.0),
        ("dockwarden_certificates_renewed_total{profile=\"host\"}", 1.0),
        ("dockwarden_certificates_renewed_total{profile=\"client\"}", 0.0),
        (
            "dockwarden_requests_refused_total{operation=\"enroll\",reason=\"token\"}",
            1.0,
        ),
        // The server's own certificate is a host's; the administrator's was made at the console.
        ("dockwarden_certificates{profile=\"host\",status=\"valid\"}", 2.0),
        (
            "dockwarden_certificates{profile=\"host\",status=\"superseded\"}",
            1.0,
        ),
        (
            "dockwarden_certificates{profile=\"client\",status=\"valid\"}",
            2.0,
        ),
        (
            "dockwarden_certificates{profile=\"client\",status=\"revoked\"}",
            0.0,
        ),
        ("dockwarden_host_series_complete", 1.0),
        (
            "dockwarden_host_certificate_issued_not_after_seconds{host=\"web-1.fleet\"}",
            issued.not_after.as_secs() as f64,
        ),
        (
            "dockwarden_host_certificate_served_not_after_seconds{host=\"web-1.fleet\"}",
            served.as_secs() as f64,
        ),
        (
            "dockwarden_host_condition{host=\"web-1.fleet\",type=\"Serving\",status=\"false\"}",
            1.0,
        ),
        (
            "dockwarden_host_condition{host=\"web-1.fleet\",type=\"Serving\",status=\"true\"}",
            0.0,
        ),
        (
            "dockwarden_host_condition{host=\"web-1.fleet\",type=\"Enrolled\",status=\"true\"}",
            1.0,
        ),
    ] {
        assert_eq!(
            samples.get(series),
            Some(&expected),
            "{series}\n{}",
            answer.text()
        );
    }
    assert!(
        !answer.text().contains("dockwarden-server"),
        "the server is no host"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_scrape_reads_the_database_again_only_after_a_while() {
    let server = TestServer::memory().await;
    let valid = async |server: &TestServer| {
        let page = server.get(None, "/metrics").await;
        read(page.text())["dockwarden_certificates{profile=\"host\",status=\"valid\"}"]
    };
    let before = valid(&server).await;
    server.join("host", "web-1.fleet").await;
    assert_eq!(valid(&server).await, before);
    server.clock.advance(METRICS_AGE_MIN);
    assert_eq!(valid(&server).await, before + 1.0);
    server.stop().await;
}

#[tokio::test]
async fn hosts_past_the_limit_have_no_series() {
    for extra in [0, 1] {
        let setup = Setup::memory();
        let store = std::sync::Arc::clone(&setup.store);
        let server = setup.start().await;
        let some = server.join("host", "aaa.fleet").await;
        let certificate = store.certificate(&some.serial).await.unwrap().unwrap();
        for number in 1..METRICS_HOSTS_MAX + extra {
            let name = format!("web-{number:04}.fleet").parse().unwrap();
            adopt(&*store, name, number, &certificate).await;
        }
        let page = server.get(None, "/metrics").await;
        let samples = read(page.text());
        let shown = samples
            .keys()
            .filter(|series| series.starts_with("dockwarden_host_certificate_issued"));
        assert_eq!(shown.count(), METRICS_HOSTS_MAX, "with {extra} extra");
        let complete = samples["dockwarden_host_series_complete"];
        assert_eq!(complete, if extra == 0 { 1.0 } else { 0.0 });
        server.stop().await;
    }
}

async fn adopt(
    store: &dyn Store,
    name: dockwarden::pki::IdentityName,
    number: usize,
    like: &dockwarden::model::Certificate,
) {
    let identity = Identity {
        id: dockwarden::base::Id::draw(&dockwarden::base::SystemRandom),
        kind: IdentityKind::Host,
        name,
        rules: NameRules::default(),
        labels: Labels::default(),
        role: None,
        permission: None,
        created_at: t0(),
    };
    let mut certificate = like.clone();
    let mut serial = vec![0x41];
    serial.extend(number.to_be_bytes());
    certificate.serial = dockwarden::pki::Serial::from_bytes(&serial).unwrap();
    certificate.identity = identity.id;
    certificate.token = None;
    certificate.spki_sha256 = dockwarden::base::encoding::sha256(&serial);
    certificate.name = identity.name.clone();
    let actor = Actor::System;
    store.adopt(identity, certificate, actor).await.unwrap();
}

#[test]
fn prometheus_reads_what_the_agent_says() {
    let report = json!({
        "observed_generation": 1, "mode": "daemon", "agent_version": "1", "engine_version": null, "endpoints": [],
        "issued": {"serial": "0b", "not_after": t0() + DAY}, "served": {"serial": "0a", "not_after": t0()},
        "renew_at": null, "clock_offset_ms": 12,
        "conditions": [{"type": "Serving", "status": "False", "reason": "RolledBack", "message": "x", "since": t0()}],
    });
    let status = json!({
        "name": "web-1", "server": "https://ca:8443", "connected": true, "updated_at": t0(), "next": null,
        "report": report,
    });
    let status: Status = serde_json::from_value(status).unwrap();
    let verdict = Verdict {
        conditions: status.report.conditions.clone(),
        failures: Vec::new(),
        next: t0(),
    };
    let metrics = Metrics::default();
    metrics.after_pass(&verdict, Some(status));
    let page = metrics.registry().page();
    judge(&page);
    let samples = read(&page);
    assert_eq!(
        samples["dockwarden_agent_condition_reason{type=\"Serving\",reason=\"RolledBack\"}"],
        1.0
    );
}
