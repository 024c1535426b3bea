//! CRLs and OCSP answers as the server publishes them, fetched over plain HTTP, and judged by OpenSSL.

use std::sync::Arc;
use std::time::Duration;

use dockwarden::jobs::{PublishCrls, keep};
use dockwarden::model::audit::Actor;
use dockwarden::pki::crl::{Crl, LISTED_AFTER_EXPIRY};
use dockwarden::pki::{Serial, pem};
use dockwarden::store::{RevokeOrder, RevokeTarget, Shown, Store};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use serde_json::json;

use crate::support::programs::Bench;
use crate::support::server::{Answer, PATIENCE, Setup, TestServer, send};

/// A server that publishes, and its store.
async fn publishing() -> (TestServer, Arc<dyn Store>) {
    let setup = Setup::memory();
    let store = setup.store.clone();
    let server = setup.start().await;
    publish(&server);
    (server, store)
}

fn publish(server: &TestServer) {
    let every = Duration::from_millis(20);
    let job = PublishCrls::new(server.service.clone()).every(every);
    tokio::spawn(keep(Arc::new(job), server.service.clone(), server.stop.clone()));
}

async fn plain(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    let tcp = tokio::net::TcpStream::connect(server.plain).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().uri(path).header("host", "ca.fleet");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&mut sender, request.body(Full::default()).unwrap())
        .await
        .unwrap()
}

/// The published list, once there is one that `fits`.
async fn list(server: &TestServer, issuer: &str, fits: impl Fn(&Crl) -> bool) -> (Crl, Answer) {
    let waiting = async {
        loop {
            let answer = plain(server, &format!("/crl/{issuer}.crl"), &[]).await;
            if answer.status == 200 {
                let crl = Crl::parse(answer.body.clone()).unwrap();
                if fits(&crl) {
                    return (crl, answer);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

async fn revoke(server: &TestServer, serial: &Serial) {
    let path = format!("/v1/certificates/{serial}/revoke");
    let body = json!({"reason": "keyCompromise"});
    let answer = server.call(Some(&server.admin), "POST", &path, Some(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_revocation_is_soon_on_the_list_of_its_issuer_under_a_greater_number() {
    let (server, _) = publishing().await;
    let client = server.join("client", "bob").await;
    let (first, _) = list(&server, "clients", |_| true).await;
    assert_eq!(
        (first.entry_count, first.next_update),
        (0, server.clock_now() + Duration::from_secs(86_400))
    );
    let (hosts, _) = list(&server, "hosts", |_| true).await;
    revoke(&server, &client.serial).await;
    let (second, _) = list(&server, "clients", |crl| crl.entry_count > 0).await;
    assert!(second.number > first.number);
    assert!(second.find(&client.serial).is_some());
    second
        .verify(
            server
                .authority
                .issuer(dockwarden::model::IssuerKind::Clients)
                .certificate(),
        )
        .unwrap();
    let (same, _) = list(&server, "hosts", |_| true).await;
    assert_eq!(
        same.number, hosts.number,
        "the other issuer's list is not signed anew"
    );
    // Nothing happens for an hour: it is signed anew all the same.
    server.clock.advance(Duration::from_secs(3601));
    let (third, _) = list(&server, "clients", |crl| crl.number > second.number).await;
    assert!(third.find(&client.serial).is_some());
    server.stop().await;
}

#[tokio::test]
async fn revocations_that_come_together_share_a_list() {
    let setup = Setup::memory();
    let store = setup.store.clone();
    let server = setup.start().await;
    // By the clock alone nothing would be signed again in this test.
    let patient = Duration::from_secs(600);
    let job = PublishCrls::new(server.service.clone()).every(patient);
    tokio::spawn(keep(Arc::new(job), server.service.clone(), server.stop.clone()));
    list(&server, "clients", |_| true).await;
    let now = server.clock_now();
    let serials: Vec<Serial> = (1..=30)
        .map(|n| Serial::from_bytes(&[0x40, n]).unwrap())
        .collect();
    for serial in &serials {
        let shown = Shown {
            issuer: dockwarden::model::IssuerKind::Clients,
            serial: serial.clone(),
            name: "bob".parse().unwrap(),
            not_after: now + Duration::from_secs(3600),
        };
        let order = RevokeOrder {
            target: RevokeTarget::Shown(Box::new(shown)),
            reason: dockwarden::pki::RevocationReason::Superseded,
            actor: Actor::System,
            source: None,
            now,
        };
        store.revoke(order).await.unwrap();
    }
    let (next, _) = list(&server, "clients", |crl| crl.entry_count > 0).await;
    assert!(
        serials.iter().all(|serial| next.find(serial).is_some()),
        "{} of 30",
        next.entry_count
    );
    server.stop().await;
}

#[tokio::test]
async fn a_list_that_is_known_is_not_sent_again() {
    let (server, _) = publishing().await;
    let client = server.join("client", "bob").await;
    let (_, answer) = list(&server, "clients", |_| true).await;
    assert_eq!(answer.header("content-type"), "application/pkix-crl");
    assert!(answer.header("cache-control").starts_with("public, max-age=60"));
    let (tag, modified) = (
        answer.header("etag").to_owned(),
        answer.header("last-modified").to_owned(),
    );
    let path = "/crl/clients.crl";
    let known = plain(&server, path, &[("if-none-match", &format!("\"x\", W/{tag}"))]).await;
    assert_eq!(
        (known.status, known.body.len(), known.header("etag")),
        (304, 0, tag.as_str())
    );
    assert_eq!(
        plain(&server, path, &[("if-modified-since", &modified)])
            .await
            .status,
        304
    );
    // The tag decides when both are there.
    let both = [
        ("if-none-match", "\"x\""),
        ("if-modified-since", modified.as_str()),
    ];
    assert_eq!(plain(&server, path, &both).await.status, 200);
    let pem = plain(&server, "/crl/clients.pem", &[("if-none-match", &tag)]).await;
    assert_eq!(pem.status, 200, "another form, other bytes");
    assert!(pem.text().starts_with("-----BEGIN X509 CRL-----"));
    revoke(&server, &client.serial).await;
    list(&server, "clients", |crl| crl.entry_count == 1).await;
    assert_eq!(plain(&server, path, &[("if-none-match", &tag)]).await.status, 200);
    for unknown in ["/crl/hosts", "/crl/nobody.crl", "/crl/hosts.txt", "/crl/root.crl"] {
        assert_eq!(plain(&server, unknown, &[]).await.status, 404, "{unknown}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_restored_server_publishes_nothing_that_would_un_revoke() {
    let setup = Setup::memory();
    let store = setup.store.clone();
    store
        .restored(Actor::System, dockwarden::base::Clock::now(&setup.clock))
        .await
        .unwrap();
    let server = setup.start().await;
    server.join("host", "web-1.fleet").await;
    publish(&server);
    let waiting = async {
        while server
            .service
            .crl_trouble(dockwarden::model::IssuerKind::Hosts)
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    let held = plain(&server, "/crl/hosts.crl", &[]).await;
    assert_eq!(held.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(held.text().contains("crl settle"), "{}", held.text());
    let ready = server.get(None, "/readyz").await.json();
    assert_eq!(ready["status"], "degraded");
    assert!(ready["reasons"].to_string().contains("no CRL"), "{ready}");
    let audited = server.audited().await;
    let failures = audited.iter().filter(|record| record.0 == "crl.publish").count();
    assert_eq!(failures, 2, "once per issuer, not once per attempt");
    let settled = server
        .call(Some(&server.admin), "POST", "/v1/feed/settle", None)
        .await;
    assert_eq!(settled.status, 200);
    list(&server, "hosts", |_| true).await;
    assert_eq!(server.get(None, "/readyz").await.json()["status"], "ready");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_refuses_who_is_revoked_by_list_and_by_question() {
    let (server, _) = publishing().await;
    let (good, bad) = (
        server.join("client", "alice").await,
        server.join("client", "bob").await,
    );
    revoke(&server, &bad.serial).await;
    let (crl, _) = list(&server, "clients", |crl| crl.entry_count == 1).await;
    let bench = Bench::new();
    bench.put("ca.pem", server.ca_pem());
    bench.put("crl.pem", crl.pem());
    let issuer = server.authority.issuer(dockwarden::model::IssuerKind::Clients);
    bench.put("issuer.pem", issuer.certificate().pem());
    for (name, who) in [("good.pem", &good), ("bad.pem", &bad)] {
        bench.put(name, pem::encode_certificate(&who.chain[0]));
    }
    let stranger = TestServer::memory().await;
    let unknown = stranger.join("client", "carol").await;
    bench.put("unknown.pem", pem::encode_certificate(&unknown.chain[0]));
    let at = server.clock_now().as_secs() + 1;
    let plain = server.plain;
    let judged = tokio::task::spawn_blocking(move || {
        let verify = format!(
            "openssl verify -attime {at} -crl_check -CAfile ca.pem -untrusted issuer.pem -CRLfile crl.pem"
        );
        bench.run(&format!("{verify} good.pem"));
        let refused = bench.refuse(&format!("{verify} bad.pem"));
        assert!(refused.contains("certificate revoked"), "{refused}");
        // OpenSSL warns between name and status when the dates are not those of its own clock.
        let says =
            |text: &str, status: &str| text.lines().any(|line| line.rsplit(' ').next() == Some(status));
        let ask = |form: &str, name: &str| {
            let line = format!(
                "openssl ocsp -issuer issuer.pem {form} -cert {name} -url http://{plain}/ocsp -noverify"
            );
            let said = bench.try_run(&line);
            said.text
        };
        for form in ["", "-no_nonce", "-sha256"] {
            let (good, bad) = (ask(form, "good.pem"), ask(form, "bad.pem"));
            assert!(says(&good, "good") && !says(&good, "revoked"), "{form}: {good}");
            assert!(
                says(&bad, "revoked") && bad.contains("keyCompromise"),
                "{form}: {bad}"
            );
        }
        let by_serial =
            format!("openssl ocsp -issuer issuer.pem -serial 0x0a0b -url http://{plain}/ocsp -noverify");
        let said = bench.try_run(&by_serial);
        assert!(says(&said.text, "unknown"), "{}", said.text);
    });
    judged.await.unwrap();
    server.stop().await;
    stranger.stop().await;
}

#[tokio::test]
async fn what_is_no_ocsp_request_is_answered_in_words_of_ocsp() {
    let (server, store) = publishing().await;
    for path in ["/ocsp/", "/ocsp/AAAA", "/ocsp/%%%", "/ocsp/a/b/c"] {
        let answer = plain(&server, path, &[]).await;
        if answer.status == 404 {
            continue;
        }
        assert_eq!(
            answer.header("content-type"),
            "application/ocsp-response",
            "{path}"
        );
        assert_eq!(answer.body, [0x30, 3, 0x0a, 1, 1], "{path}");
    }
    drop(store);
    server.stop().await;
}

/// What happens between two lists.
#[derive(Clone, Debug)]
enum Event {
    /// A certificate is revoked that runs out after so many hours.
    Revoke(u64),
    /// So many hours pass.
    Pass(u64),
    Publish,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u64..60).prop_map(Event::Revoke),
        1 => (1_u64..20).prop_map(Event::Pass),
        1 => (100_u64..400).prop_map(Event::Pass),
        4 => Just(Event::Publish),
    ]
}

/// A certificate that was revoked: its serial, and its end.
type Gone = (Serial, dockwarden::base::Timestamp);

async fn revoke_one(
    store: &Arc<dyn Store>,
    number: usize,
    hours: u64,
    now: dockwarden::base::Timestamp,
) -> Gone {
    let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
    let serial = Serial::from_bytes(&[0x40, high, low]).unwrap();
    let not_after = now + Duration::from_secs(hours * 3600);
    let shown = Shown {
        issuer: dockwarden::model::IssuerKind::Clients,
        serial: serial.clone(),
        name: "bob".parse().unwrap(),
        not_after,
    };
    let order = RevokeOrder {
        target: RevokeTarget::Shown(Box::new(shown)),
        reason: dockwarden::pki::RevocationReason::Superseded,
        actor: Actor::System,
        source: None,
        now,
    };
    store.revoke(order).await.unwrap();
    (serial, not_after)
}

async fn follow_lists(events: &[Event]) {
    let setup = Setup::memory();
    let store = setup.store.clone();
    let server = setup.start().await;
    let mut gone: Vec<Gone> = Vec::new();
    let mut before: Option<Arc<dockwarden::service::Published>> = None;
    for event in events.iter().chain([&Event::Publish]) {
        match event {
            Event::Revoke(hours) => {
                gone.push(revoke_one(&store, gone.len(), *hours, server.clock_now()).await);
                continue;
            }
            Event::Pass(hours) => {
                server.clock.advance(Duration::from_secs(hours * 3600));
                continue;
            }
            Event::Publish => server.service.publish_crls().await.unwrap(),
        }
        let published = server
            .service
            .crl(dockwarden::model::IssuerKind::Clients)
            .unwrap();
        let (crl, now) = (&published.crl, server.clock_now());
        if let Some(before) = before.filter(|before| before.crl.number != crl.number) {
            assert!(crl.number > before.crl.number, "{events:?}");
            for (serial, not_after) in &gone {
                let kept =
                    before.crl.find(serial).is_none() || *not_after < now || crl.find(serial).is_some();
                assert!(kept, "{serial} was taken off a list: {events:?}");
                let is_over = *not_after + LISTED_AFTER_EXPIRY < before.crl.this_update;
                assert!(
                    !is_over || crl.find(serial).is_none(),
                    "{serial} stays for ever: {events:?}"
                );
            }
        }
        for (serial, not_after) in &gone {
            assert!(
                *not_after < now || crl.find(serial).is_some(),
                "{serial} is missing: {events:?}"
            );
        }
        let known = gone.iter().filter(|(serial, _)| crl.find(serial).is_some());
        assert_eq!(
            known.count(),
            crl.entry_count,
            "somebody else is listed: {events:?}"
        );
        before = Some(published);
    }
    server.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_list_holds_all_of_the_one_before_but_what_has_run_out(
        events in prop::collection::vec(event(), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow_lists(&events));
    }
}
