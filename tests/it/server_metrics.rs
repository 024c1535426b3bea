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
async fn the_page_says_what_is_revoked_published_late_and_waiting() {
    let server = TestServer::sqlite().await;
    server.join("host", "web-1.fleet").await;
    let alice = server.join("client", "alice").await;
    let revoke = format!("/v1/certificates/{}/revoke", alice.serial);
    for _ in 0..2 {
        let reason = json!({"reason": "keyCompromise"});
        let answer = server
            .call(Some(&server.admin), "POST", &revoke, Some(reason))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let token = server
        .token(json!({"names": ["db-1.fleet"], "approval": "manual"}))
        .await;
    let pending = server.enroll(&token, &csr_pem(&key(), "db-1.fleet", &[])).await;
    assert_eq!(pending.status, 202, "{}", pending.text());
    server.service.publish_crls().await.unwrap();

    let answer = server.get(None, "/metrics").await;
    judge(answer.text());
    let samples = read(answer.text());
    let clients = server
        .service
        .crl(dockwarden::model::IssuerKind::Clients)
        .unwrap();
    let seconds = |time: dockwarden::base::Timestamp| time.as_secs() as f64;
    for (series, expected) in [
        (
            "dockwarden_certificates_revoked_total{profile=\"client\",reason=\"keyCompromise\"}",
            1.0,
        ),
        (
            "dockwarden_certificates_revoked_total{profile=\"host\",reason=\"keyCompromise\"}",
            0.0,
        ),
        // The test's clock stands still.
        (
            "dockwarden_issuance_duration_seconds_bucket{operation=\"enroll\",le=\"0.001\"}",
            2.0,
        ),
        (
            "dockwarden_issuance_duration_seconds_count{operation=\"enroll\"}",
            2.0,
        ),
        (
            "dockwarden_issuance_duration_seconds_count{operation=\"renew\"}",
            0.0,
        ),
        ("dockwarden_crl_entries{issuer=\"clients\"}", 1.0),
        ("dockwarden_crl_entries{issuer=\"hosts\"}", 0.0),
        (
            "dockwarden_crl_bytes{issuer=\"clients\"}",
            clients.crl.der().len() as f64,
        ),
        (
            "dockwarden_crl_next_update_timestamp_seconds{issuer=\"clients\"}",
            seconds(clients.crl.next_update),
        ),
        ("dockwarden_crl_publishing{issuer=\"hosts\"}", 1.0),
        (
            "dockwarden_issuer_not_after_seconds{issuer=\"root\"}",
            seconds(server.authority.root().not_after),
        ),
        ("dockwarden_feed_number", 1.0),
        ("dockwarden_feed_followers", 0.0),
        ("dockwarden_feed_hosts{state=\"current\"}", 0.0),
        ("dockwarden_feed_hosts{state=\"behind\"}", 1.0),
        ("dockwarden_certificates_overdue", 0.0),
        ("dockwarden_requests_waiting", 1.0),
    ] {
        assert_eq!(
            samples.get(series),
            Some(&expected),
            "{series}\n{}",
            answer.text()
        );
    }
    let shown = samples["dockwarden_server_certificate_not_after_seconds"];
    let soonest = samples["dockwarden_certificates_soonest_not_after_seconds{profile=\"host\"}"];
    assert!(
        soonest > seconds(t0()) && shown > seconds(t0()),
        "{soonest} {shown}"
    );

    // A moment before web-1's certificate ends.
    let left = std::time::Duration::from_secs_f64(soonest - seconds(t0()) - 1.0);
    server.clock.advance(left);
    let samples = read(server.get(None, "/metrics").await.text());
    assert!(samples["dockwarden_certificates_overdue"] >= 1.0, "{samples:#?}");
    server.stop().await;
}

#[tokio::test]
async fn handshakes_with_the_server_that_fail_are_counted() {
    let server = TestServer::memory().await;
    drop(tokio::net::TcpStream::connect(server.address).await.unwrap());
    let series = "dockwarden_handshake_failures_total{cause=\"closed\"}";
    let counted = async {
        while read(server.get(None, "/metrics").await.text())[series] != 1.0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::server::PATIENCE, counted)
        .await
        .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_make_an_old_reading_last() {
    let server = TestServer::memory().await;
    server.clock.advance(DAY);
    let page = async || read(server.get(None, "/metrics").await.text());
    let valid = "dockwarden_certificates{profile=\"host\",status=\"valid\"}";
    let before = page().await[valid];
    server.clock.set(t0());
    server.join("host", "web-1.fleet").await;
    assert_eq!(page().await[valid], before + 1.0);
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
