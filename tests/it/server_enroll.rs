//! Enrolment and renewal over HTTPS, on both stores.

use std::time::Duration;

use dockwarden::pki::{KeyAlgorithm, LeafKey};
use serde_json::{Value, json};

use crate::support::pki::DAY;
use crate::support::server::{Answer, Credentials, Setup, TestServer, csr_pem, key};

fn outcome(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_token_and_a_csr_become_a_certificate_that_verifies() {
    for server in [TestServer::memory().await, TestServer::sqlite().await] {
        let token = server.token(json!({"labels": {"tier": "web"}, "uses": 3})).await;
        let key = key();
        let answer = server
            .call(None, "POST", "/v1/enroll", Some(json!({"token": token, "csr": csr_pem(&key, "web-1.fleet", &["10.0.0.7"]),
                "names": ["alias.fleet"], "addresses": ["10.0.0.8"], "labels": {"tier": "db", "zone": "a"}, "profile": "host"})))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let issued = answer.issued();
        assert_eq!(
            (issued.name.as_str(), issued.token_uses),
            ("web-1.fleet", Some((2, 3)))
        );
        assert_eq!(issued.ca, server.ca_pem());
        assert!(issued.chain.starts_with(&issued.certificate));
        assert_eq!(issued.not_after, server.clock_now() + DAY * 30);
        assert_eq!(issued.renew_after, server.clock_now() + DAY * 20);
        let host = Credentials::new(&issued, key);
        let detail = server
            .get(
                Some(&server.admin),
                &format!("/v1/certificates/{}", issued.serial),
            )
            .await
            .json();
        assert_eq!(
            detail["sans"],
            json!(["web-1.fleet", "10.0.0.7", "alias.fleet", "10.0.0.8"])
        );
        assert_eq!(
            (&detail["status"], &detail["profile"]),
            (&json!("valid"), &json!("host"))
        );
        let me = server.get(Some(&host), "/v1/whoami").await.json();
        assert_eq!(me, json!({"name": "web-1.fleet", "profile": "host"}));
        let seen = server
            .get(Some(&server.admin), "/v1/hosts/web-1.fleet")
            .await
            .json();
        assert_eq!(
            seen["labels"],
            json!({"tier": "web", "zone": "a"}),
            "the token's labels win"
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_repeated_byte_for_byte_and_spends_nothing() {
    for server in [TestServer::memory().await, TestServer::sqlite().await] {
        let token = server.token(json!({})).await;
        let key = key();
        let csr = csr_pem(&key, "web-1.fleet", &[]);
        let first = server.enroll(&token, &csr).await;
        assert_eq!(first.status, 201);
        for later in [
            Duration::ZERO,
            Duration::from_secs(3601),
            DAY - Duration::from_secs(1),
        ] {
            server.clock.advance(later);
            // The signature of a new CSR differs; the key is the same.
            let again = server.enroll(&token, &csr_pem(&key, "web-1.fleet", &[])).await;
            assert_eq!(again.status, 200, "{}", again.text());
            assert_eq!(again.issued().certificate, first.issued().certificate);
        }
        // Life of the token and 24 h are over: 1 h + 24 h + 1 s.
        server.clock.advance(Duration::from_secs(1));
        assert_eq!(
            server.enroll(&token, &csr).await.outcome(),
            outcome(403, "token_refused")
        );
        let tokens = server.get(Some(&server.admin), "/v1/tokens").await.json();
        assert_eq!(tokens["items"][0]["uses_left"], json!(0));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_parallel_enrolments_with_ten_uses_make_exactly_ten() {
    for server in [TestServer::memory().await, TestServer::sqlite().await] {
        let token = server.token(json!({"uses": 10})).await;
        let requests: Vec<_> = (0..64)
            .map(|n| csr_pem(&key(), &format!("web-{n}.fleet"), &[]))
            .collect();
        let calls = requests.iter().map(|csr| server.enroll(&token, csr));
        let answers: Vec<Answer> = futures_util::future::join_all(calls).await;
        let issued = answers.iter().filter(|a| a.status == 201).count();
        let refused = answers
            .iter()
            .filter(|a| matches!(a.code().as_str(), "token_refused" | "rate_limited"))
            .count();
        assert_eq!((issued, refused), (10, 54));
        let all = server
            .get(Some(&server.admin), "/v1/certificates?profile=host&limit=1000")
            .await
            .json();
        let of_hosts = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["name"] != "dockwarden-server")
            .count();
        assert_eq!(of_hosts, 10);
        server.stop().await;
    }
}

#[tokio::test]
async fn all_refusals_of_a_token_look_the_same_and_the_audit_log_knows_which_it_was() {
    let server = TestServer::sqlite().await;
    let csr = |name: &str| csr_pem(&key(), name, &[]);
    let spent = server.token(json!({})).await;
    server.enroll(&spent, &csr("spent.fleet")).await;
    let short = server.token(json!({"expires_in": 60})).await;
    server.clock.advance(Duration::from_secs(61));
    let elsewhere = server.token(json!({"sources": ["192.0.2.0/24"]})).await;
    let clients = server
        .token(json!({"profile": "client", "names": ["alice"]}))
        .await;
    let deleted = server.token(json!({})).await;
    let id = deleted.split('_').nth(1).unwrap();
    let gone = server
        .call(Some(&server.admin), "DELETE", &format!("/v1/tokens/{id}"), None)
        .await;
    assert_eq!(gone.status, 204);
    let good = server.token(json!({})).await;
    let parts: Vec<&str> = good.split('_').collect();
    let wrong_secret = format!(
        "dw1_{}_{}_{}",
        parts[1],
        spent.split('_').nth(2).unwrap(),
        parts[3]
    );
    let unknown = format!("dw1_{}_{}_{}", "b".repeat(25) + "a", parts[2], parts[3]);
    let mut texts = Vec::new();
    for (token, reason) in [
        (&unknown, "unknown"),
        (&wrong_secret, "wrong-secret"),
        (&spent, "spent"),
        (&short, "expired"),
        (&deleted, "deleted"),
        (&elsewhere, "source-address"),
    ] {
        let answer = server.enroll(token, &csr("web-1.fleet")).await;
        assert_eq!(answer.outcome(), outcome(403, "token_refused"), "{reason}");
        texts.push(answer.text().to_owned());
        let last = server.audited().await.pop().unwrap();
        assert!(last.1.contains(reason), "{last:?} should name {reason}");
    }
    let body = json!({"token": clients, "csr": csr("alice"), "profile": "host"});
    texts.push(
        server
            .call(None, "POST", "/enroll", Some(body))
            .await
            .text()
            .to_owned(),
    );
    assert!(server.audited().await.pop().unwrap().1.contains("wrong-profile"));
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:#?}");
    assert_eq!(
        server.enroll(&good, &csr("web-1.fleet")).await.status,
        201,
        "no use was spent by the refusals"
    );
    server.stop().await;
}

#[tokio::test]
async fn names_outside_the_token_are_named_in_the_refusal() {
    let server = TestServer::memory().await;
    let token = server
        .token(json!({"names": ["web-*.fleet"], "cidrs": ["10.20.0.0/16"]}))
        .await;
    let answer = server
        .enroll(
            &token,
            &csr_pem(
                &key(),
                "web-1.fleet",
                &["db-1.fleet", "10.21.0.1", "10.20.0.1", "localhost"],
            ),
        )
        .await;
    assert_eq!(answer.outcome(), outcome(403, "name_not_allowed"));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    for expected in ["db-1.fleet", "10.21.0.1", "web-*.fleet", "10.20.0.0/16"] {
        assert!(detail.contains(expected), "{detail}");
    }
    assert!(!detail.contains("10.20.0.1,"), "{detail}");
    // The server's own name is not given away by a pattern.
    let wide = server.token(json!({})).await;
    let answer = server
        .enroll(&wide, &csr_pem(&key(), "web-1.fleet", &["ca.fleet"]))
        .await;
    assert_eq!(answer.outcome(), outcome(403, "name_not_allowed"));
    assert_eq!(
        server
            .enroll(&token, &csr_pem(&key(), "web-1.fleet", &[]))
            .await
            .status,
        201
    );
    server.stop().await;
}

#[tokio::test]
async fn a_csr_that_cannot_be_used_is_refused_with_its_reason() {
    let mut setup = Setup::memory();
    setup.settings.host.key_algorithms = vec![KeyAlgorithm::EcdsaP256];
    let server = setup.start().await;
    let token = server.token(json!({})).await;
    let good = csr_pem(&key(), "web-1.fleet", &[]);
    let mut forged = dockwarden::pki::CsrDer::from_pem(&good)
        .unwrap()
        .as_der()
        .to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = dockwarden::pki::CsrDer::from_der(forged).unwrap().to_pem();
    let p384 = LeafKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
    for (csr, expected) in [
        ("".to_owned(), outcome(400, "bad_csr")),
        ("garbage".to_owned(), outcome(400, "bad_csr")),
        (good[..good.len() / 2].to_owned(), outcome(400, "bad_csr")),
        (forged, outcome(400, "bad_csr")),
        (server.ca_pem().to_owned(), outcome(400, "bad_csr")),
        (
            csr_pem(&p384, "web-1.fleet", &[]),
            outcome(422, "key_not_allowed"),
        ),
    ] {
        let answer = server.enroll(&token, &csr).await;
        assert_eq!(answer.outcome(), expected, "{}", answer.text());
    }
    assert_eq!(server.enroll(&token, &good).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_a_live_host_holds_is_taken() {
    for server in [TestServer::memory().await, TestServer::sqlite().await] {
        let host = server.join("host", "web-1.fleet").await;
        let token = server.token(json!({"uses": 5})).await;
        let csr = csr_pem(&key(), "web-1.fleet", &[]);
        assert_eq!(
            server.enroll(&token, &csr).await.outcome(),
            outcome(409, "name_taken")
        );
        // As one name among others, too.
        let other = csr_pem(&key(), "web-2.fleet", &["web-1.fleet"]);
        assert_eq!(
            server.enroll(&token, &other).await.outcome(),
            outcome(409, "name_taken")
        );
        // The current key proves that it is the same machine.
        assert_eq!(
            server
                .enroll(&token, &csr_pem(&host.key, "web-1.fleet", &[]))
                .await
                .status,
            201
        );
        let replace = server.token(json!({"replace": true})).await;
        assert_eq!(server.enroll(&replace, &csr).await.status, 201);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_manual_token_waits_for_an_operator_and_issues_only_what_was_approved() {
    for server in [TestServer::memory().await, TestServer::sqlite().await] {
        let token = server.token(json!({"approval": "manual", "uses": 2})).await;
        let (wanted, denied) = (key(), key());
        let csr = csr_pem(&wanted, "web-1.fleet", &[]);
        let pending = server.enroll(&token, &csr).await;
        assert_eq!((pending.status, pending.header("retry-after")), (202, "5"));
        let id = pending.json()["request"].as_str().unwrap().to_owned();
        assert_eq!(
            server.enroll(&token, &csr).await.json()["request"],
            json!(id),
            "a poll is the same request"
        );
        let list = server.get(Some(&server.admin), "/v1/requests").await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        assert_eq!(list["items"][0]["spki_sha256"], pending.json()["spki_sha256"]);
        let decide = async |id: &str, what: &str| {
            server
                .call(
                    Some(&server.admin),
                    "POST",
                    &format!("/v1/requests/{id}/{what}"),
                    None,
                )
                .await
        };
        // The same key may not come with other names than the operator will have seen.
        let other = server.enroll(&token, &csr_pem(&wanted, "web-2.fleet", &[])).await;
        assert_eq!(other.outcome(), outcome(409, "conflict"));
        assert_eq!(decide(&id, "approve").await.json(), json!({"state": "approved"}));
        assert_eq!(decide(&id, "approve").await.status, 200, "twice is fine");
        assert_eq!(decide(&id, "deny").await.outcome(), outcome(409, "conflict"));
        assert_eq!(
            server
                .enroll(&token, &csr_pem(&wanted, "web-2.fleet", &[]))
                .await
                .outcome(),
            outcome(409, "conflict")
        );
        let issued = server.enroll(&token, &csr).await;
        assert_eq!(issued.status, 201, "{}", issued.text());
        assert_eq!(server.enroll(&token, &csr).await.status, 200);

        let csr = csr_pem(&denied, "web-9.fleet", &[]);
        let id = server.enroll(&token, &csr).await.json()["request"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(decide(&id, "deny").await.json(), json!({"state": "denied"}));
        assert_eq!(
            server.enroll(&token, &csr).await.outcome(),
            outcome(403, "request_denied")
        );
        assert_eq!(
            decide("aaaaaaaaaaaaaaaaaaaaaaaaaa", "approve").await.outcome(),
            outcome(404, "not_found")
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn failures_of_one_address_are_limited_and_a_good_token_still_gets_through() {
    use dockwarden::base::limits::ENROLL_FAILURES_BURST;
    let server = TestServer::memory().await;
    let token = server.token(json!({})).await;
    let bad = token.replace("dw1_", "dw2_");
    let csr = csr_pem(&key(), "web-1.fleet", &[]);
    for n in 0..ENROLL_FAILURES_BURST {
        assert_eq!(
            server.enroll(&bad, &csr).await.outcome(),
            outcome(400, "bad_request"),
            "{n}"
        );
    }
    let limited = server.enroll(&bad, &csr).await;
    assert_eq!(
        (limited.outcome(), limited.header("retry-after")),
        (outcome(429, "rate_limited"), "6")
    );
    server.clock.advance(Duration::from_secs(6));
    assert_eq!(server.enroll(&bad, &csr).await.status, 400);
    assert_eq!(server.enroll(&bad, &csr).await.status, 429);
    assert_eq!(server.enroll(&token, &csr).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn a_renewal_needs_a_new_key_and_stays_inside_the_identitys_limits() {
    for server in [TestServer::memory().await, TestServer::sqlite().await] {
        let token = server.token(json!({})).await;
        let first = key();
        let issued = server
            .enroll(&token, &csr_pem(&first, "web-1.fleet", &["10.0.0.7"]))
            .await
            .issued();
        let host = Credentials::new(&issued, first);
        let refused = [
            (
                csr_pem(&host.key, "web-1.fleet", &[]),
                outcome(422, "key_not_allowed"),
            ),
            (
                csr_pem(&key(), "web-2.fleet", &[]),
                outcome(403, "name_not_allowed"),
            ),
            (
                csr_pem(&key(), "web-1.fleet", &["web-1.evil"]),
                outcome(403, "name_not_allowed"),
            ),
            (
                csr_pem(&key(), "web-1.fleet", &["10.0.0.7", "192.0.2.1"]),
                outcome(403, "name_not_allowed"),
            ),
            ("garbage".to_owned(), outcome(400, "bad_csr")),
        ];
        for (csr, expected) in refused {
            let answer = server.renew(&host, &csr).await;
            assert_eq!(answer.outcome(), expected, "{}", answer.text());
        }
        let second = key();
        let csr = csr_pem(&second, "web-1.fleet", &[]);
        let renewed = server.renew(&host, &csr).await;
        assert_eq!(renewed.status, 201, "{}", renewed.text());
        // The answer got lost; the old leaf and the same new key get it again.
        let again = server.renew(&host, &csr_pem(&second, "web-1.fleet", &[])).await;
        assert_eq!(
            (again.status, again.issued().serial),
            (201, renewed.issued().serial)
        );
        let detail = |serial: String| {
            let path = format!("/v1/certificates/{serial}");
            let server = &server;
            async move { server.get(Some(&server.admin), &path).await.json() }
        };
        let new = detail(renewed.issued().serial.to_string()).await;
        assert_eq!(
            new["sans"],
            json!(["web-1.fleet", "10.0.0.7"]),
            "names are kept when none are asked for"
        );
        assert_eq!(new["renewed_from"], json!(host.serial));
        let old = detail(host.serial.to_string()).await;
        assert_eq!(
            (&old["status"], &old["renewed_by"]),
            (&json!("superseded"), &new["serial"])
        );
        // New addresses inside the limits.
        let host = Credentials::new(&renewed.issued(), second);
        let moved = server
            .renew(&host, &csr_pem(&key(), "web-1.fleet", &["10.0.0.9"]))
            .await;
        let moved = detail(moved.issued().serial.to_string()).await;
        assert_eq!(moved["sans"], json!(["web-1.fleet", "10.0.0.9"]));
        server.stop().await;
    }
}

#[tokio::test]
async fn an_expired_host_renews_inside_its_grace_and_not_after_it() {
    let grace = DAY * 7;
    for (after, expected) in [
        (Duration::from_secs(1), 201),
        (grace, 201),
        (grace + Duration::from_secs(1), 0),
    ] {
        let server = TestServer::memory().await;
        let host = server.join("host", "web-1.fleet").await;
        server.clock.advance(DAY * 30 + after);
        let csr = csr_pem(&key(), "web-1.fleet", &[]);
        let status = match renew_when_served(&server, &host, &csr).await {
            Ok(answer) => answer.status,
            Err(_) => 0,
        };
        assert_eq!(status, expected, "{after:?}");
        server.stop().await;
    }
}

/// The server needs a moment to renew its own certificate after the clock jumped.
async fn renew_when_served(
    server: &TestServer,
    host: &Credentials,
    csr: &str,
) -> Result<Answer, std::io::Error> {
    while server.connect(None).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut connection = server.connect(Some(host)).await?;
    let body = Some(json!({"csr": csr}));
    let answer = crate::support::server::call_on(&mut connection, "POST", "/v1/renew", body).await;
    answer.map_err(std::io::Error::other)
}

#[tokio::test]
async fn an_expired_client_has_no_grace() {
    let server = TestServer::memory().await;
    let alice = server.join("client", "alice").await;
    server.clock.advance(DAY * 30 + Duration::from_secs(1));
    let csr = csr_pem(&key(), "alice", &[]);
    assert!(renew_when_served(&server, &alice, &csr).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_client_token_with_one_name_needs_no_name_in_the_request() {
    let server = TestServer::memory().await;
    let token = server
        .token(json!({"profile": "client", "names": ["ci-deploy"], "role": "deployer", "cidrs": []}))
        .await;
    let body = json!({"token": token, "csr": nameless_csr()});
    let answer = server.call(None, "POST", "/enroll", Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.issued().name, "ci-deploy");
    let clients = server.get(Some(&server.admin), "/v1/clients").await.json();
    let names: Vec<&Value> = clients["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(names, [&json!("admin"), &json!("ci-deploy")]);
    assert_eq!(clients["items"][1]["role"], json!("deployer"));
    server.stop().await;
}

fn nameless_csr() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

#[tokio::test]
async fn the_audit_log_is_whole_and_holds_no_secret() {
    let server = TestServer::sqlite().await;
    let token = server.token(json!({"uses": 2, "reason": "rack 7"})).await;
    let joined = key();
    let csr = csr_pem(&joined, "web-1.fleet", &[]);
    let issued = server.enroll(&token, &csr).await.issued();
    let host = Credentials::new(&issued, joined.clone());
    server.renew(&host, &csr_pem(&key(), "web-1.fleet", &[])).await;
    server.enroll(&token, "garbage").await;
    server.enroll(&format!("{token}x"), &csr).await;
    let records = server.audit().await;
    let text = serde_json::to_string(&records).unwrap();
    let secret = token.split('_').nth(2).unwrap();
    assert!(!text.contains(secret));
    let body = csr.lines().nth(1).unwrap();
    assert!(!text.contains(body) && !text.contains("BEGIN") && !text.contains("dw1_"));
    let mut chain = dockwarden::model::audit::Chain::default();
    for record in &records {
        chain.check(&record_of(record)).unwrap();
    }
    let actions = server.audited().await;
    for expected in [
        "token.create",
        "certificate.issue",
        "certificate.renew",
        "enroll.refused",
        "certificate.adopt",
    ] {
        assert!(
            actions.iter().any(|(action, _)| action == expected),
            "{expected}: {actions:?}"
        );
    }
    server.stop().await;
}

fn record_of(view: &Value) -> dockwarden::model::audit::Record {
    let text = |field: &str| view[field].as_str().unwrap().to_owned();
    let hash = dockwarden::base::encoding::hex_decode(&text("hash")).unwrap();
    dockwarden::model::audit::Record {
        seq: view["seq"].as_u64().unwrap(),
        at: dockwarden::base::Timestamp::parse(&text("at")).unwrap(),
        actor: text("actor"),
        action: text("action"),
        subject: text("subject"),
        outcome: text("outcome"),
        source: view["source"].as_str().map(str::to_owned),
        detail: text("detail"),
        hash: hash.try_into().unwrap(),
    }
}
