//! Revoking on the server: who may, what is refused from then on, and who has applied it.

use std::time::Duration;

use dockwarden::base::SystemRandom;
use dockwarden::base::encoding::{hex, sha256};
use dockwarden::ca::{self, Grant};
use dockwarden::model::{IdentityKind, IssuerKind, Permission, Profile};
use dockwarden::pki::tls::ALPN_HTTP1;
use dockwarden::pki::{KeyAlgorithm, Serial, csr, pem};
use serde_json::{Value, json};

use crate::support::server::{Answer, Credentials, TestServer, call_on, csr_pem, key};

async fn revoke(server: &TestServer, who: &Credentials, path: &str, body: Value) -> Answer {
    server.call(Some(who), "POST", path, Some(body)).await
}

fn by_serial(serial: &Serial) -> String {
    format!("/v1/certificates/{serial}/revoke")
}

fn refused() -> (u16, String) {
    (403, "certificate_refused".to_owned())
}

#[tokio::test]
async fn a_revoked_client_is_refused_on_the_connection_that_stands_on_a_new_one_and_when_it_renews() {
    let server = TestServer::sqlite().await;
    let client = server.join("client", "ci-deploy").await;
    let mut open = server.connect(Some(&client)).await.unwrap();
    assert_eq!(
        call_on(&mut open, "GET", "/v1/whoami", None)
            .await
            .unwrap()
            .status,
        200
    );
    let body = json!({"reason": "keyCompromise"});
    let answer = revoke(&server, &server.admin, "/v1/identities/ci-deploy/revoke", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(
        (answer["feed"].as_u64(), answer["repeated"].as_bool()),
        (Some(1), Some(false))
    );
    assert_eq!(answer["revoked"][0]["serial"], client.serial.to_string());
    assert_eq!(answer["revoked"][0]["reason"], "keyCompromise");
    assert_eq!(answer["revoked"][0]["by"], "client:admin");
    let standing = call_on(&mut open, "GET", "/v1/whoami", None).await.unwrap();
    assert_eq!(standing.outcome(), refused());
    assert_eq!(server.get(Some(&client), "/v1/whoami").await.outcome(), refused());
    let renewal = server.renew(&client, &csr_pem(&key(), "ci-deploy", &[])).await;
    assert_eq!(renewal.outcome(), refused());
    // There is no session to resume: each handshake is a whole one, and shows the certificate again.
    for _ in 0..2 {
        let stream = server.tls(Some(&client), ALPN_HTTP1).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
    let listed = server
        .get(Some(&server.admin), "/v1/certificates?status=revoked")
        .await
        .json();
    assert_eq!(listed["items"][0]["name"], "ci-deploy");
    let path = format!("/v1/certificates/{}", client.serial);
    let detail = server.get(Some(&server.admin), &path).await.json();
    assert_eq!(detail["revocation"], answer["revoked"][0]);
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_host_loses_its_access_to_the_server_at_once() {
    let server = TestServer::memory().await;
    let host = server.join("host", "web-1.fleet").await;
    let mut open = server.connect(Some(&host)).await.unwrap();
    assert_eq!(
        call_on(&mut open, "GET", "/v1/hosts/web-1.fleet", None)
            .await
            .unwrap()
            .status,
        200
    );
    revoke(&server, &server.admin, &by_serial(&host.serial), json!({})).await;
    for path in ["/v1/hosts/web-1.fleet", "/v1/feed", "/v1/whoami"] {
        let answer = call_on(&mut open, "GET", path, None).await.unwrap();
        assert_eq!(answer.outcome(), refused(), "{path}");
    }
    let renewal = server.renew(&host, &csr_pem(&key(), "web-1.fleet", &[])).await;
    assert_eq!(renewal.outcome(), refused());
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_is_revoked_however_it_is_named_and_only_once() {
    let server = TestServer::memory().await;
    for (number, way) in ["serial", "fingerprint", "pem", "identity"]
        .into_iter()
        .enumerate()
    {
        let client = server.join("client", &format!("client-{number}")).await;
        let print = hex(&sha256(&client.chain[0]));
        let colons: Vec<String> = print
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect();
        let (path, body) = match way {
            "serial" => (by_serial(&client.serial), json!({})),
            "fingerprint" => (
                "/v1/certificates/revoke".to_owned(),
                json!({"fingerprint_sha256": colons.join(":")}),
            ),
            "pem" => (
                "/v1/certificates/revoke".to_owned(),
                json!({"certificate": pem::encode_certificate(&client.chain[0])}),
            ),
            _ => (
                format!("/v1/identities/{}/revoke", client.name),
                json!({"profile": "client"}),
            ),
        };
        for repeated in [false, true] {
            let answer = revoke(&server, &server.admin, &path, body.clone()).await;
            assert_eq!(answer.status, 200, "{way}: {}", answer.text());
            let answer = answer.json();
            assert_eq!(answer["feed"], number + 1, "{way}");
            assert_eq!(answer["repeated"], repeated, "{way}");
            assert_eq!(answer["revoked"][0]["serial"], client.serial.to_string(), "{way}");
        }
        assert_eq!(
            server.get(Some(&client), "/v1/whoami").await.outcome(),
            refused(),
            "{way}"
        );
    }
    let audited = server.audited().await;
    let revocations = audited
        .iter()
        .filter(|(action, _)| action == "certificate.revoke");
    assert_eq!(revocations.count(), 4, "repetitions change nothing");
    server.stop().await;
}

#[tokio::test]
async fn an_owner_revokes_its_own_and_nobody_elses() {
    let server = TestServer::memory().await;
    let own = server.join("client", "alice").await;
    let other = server.join("client", "bob").await;
    let viewer = server.person("viewer", Permission::Viewer).await;
    let forbidden = (403, "forbidden".to_owned());
    let unknown = by_serial(&"0a0b".parse().unwrap());
    for who in [&own, &viewer] {
        for path in [&by_serial(&other.serial), "/v1/identities/bob/revoke", &unknown] {
            assert_eq!(
                revoke(&server, who, path, json!({})).await.outcome(),
                forbidden,
                "{path}"
            );
        }
        let shown = json!({"certificate": pem::encode_certificate(&other.chain[0])});
        let print = json!({"fingerprint_sha256": hex(&sha256(&other.chain[0]))});
        for body in [shown, print] {
            let answer = revoke(&server, who, "/v1/certificates/revoke", body).await;
            assert_eq!(answer.outcome(), forbidden);
        }
    }
    assert_eq!(server.get(Some(&other), "/v1/whoami").await.status, 200);
    let answer = revoke(&server, &own, "/v1/identities/alice/revoke", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["revoked"][0]["by"], "client:alice");
    assert_eq!(server.get(Some(&own), "/v1/whoami").await.outcome(), refused());
    server.stop().await;
}

/// A client certificate that the issuer signed, and no record knows.
fn signed_behind_the_servers_back(server: &TestServer, name: &str) -> String {
    let (issuer, key) = (server.authority.issuer(IssuerKind::Clients), key());
    let name: dockwarden::pki::IdentityName = name.parse().unwrap();
    let request = csr::verify(csr::make(&key, &name, &[]), &KeyAlgorithm::ALL).unwrap();
    let grant = Grant {
        common_name: name,
        sans: Vec::new(),
    };
    let approved = ca::approve(request, grant, &Profile::default_for(IdentityKind::Client)).unwrap();
    let serial = Serial::draw(&SystemRandom);
    let prepared = ca::prepare(approved, issuer, &serial, crate::support::pki::t0()).unwrap();
    ca::sign(prepared, issuer).unwrap().pem()
}

#[tokio::test]
async fn an_unknown_certificate_is_revoked_only_when_it_is_shown_and_is_ours() {
    let (server, other) = (TestServer::memory().await, TestServer::memory().await);
    let stray = signed_behind_the_servers_back(&server, "mallory");
    let unknown = revoke(
        &server,
        &server.admin,
        &by_serial(&"0a0b".parse().unwrap()),
        json!({}),
    )
    .await;
    assert_eq!(unknown.outcome(), (404, "not_found".to_owned()));
    assert!(
        unknown.text().contains("--file"),
        "says what to do: {}",
        unknown.text()
    );
    let print = json!({"fingerprint_sha256": "00".repeat(32)});
    let unknown = revoke(&server, &server.admin, "/v1/certificates/revoke", print).await;
    assert_eq!(unknown.outcome(), (404, "not_found".to_owned()));
    let shown = json!({"certificate": stray});
    let answer = revoke(&server, &server.admin, "/v1/certificates/revoke", shown.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["revoked"][0]["name"], "mallory");
    let again = revoke(&server, &server.admin, "/v1/certificates/revoke", shown)
        .await
        .json();
    assert_eq!(
        (again["feed"].as_u64(), again["repeated"].as_bool()),
        (Some(1), Some(true))
    );
    let foreign = signed_behind_the_servers_back(&other, "mallory");
    for certificate in [foreign.as_str(), "no PEM", server.ca_pem()] {
        let body = json!({"certificate": certificate});
        let answer = revoke(&server, &server.admin, "/v1/certificates/revoke", body).await;
        assert_eq!(answer.outcome(), (400, "bad_request".to_owned()), "{certificate}");
    }
    let both = json!({"certificate": stray, "fingerprint_sha256": "00".repeat(32)});
    let answer = revoke(&server, &server.admin, "/v1/certificates/revoke", both).await;
    assert_eq!(answer.outcome(), (400, "bad_request".to_owned()));
    server.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_name_that_a_host_and_a_client_share_must_be_said_whole() {
    let server = TestServer::memory().await;
    let host = server.join("host", "build.fleet").await;
    let client = server.join("client", "build.fleet").await;
    let path = "/v1/identities/build.fleet/revoke";
    let answer = revoke(&server, &server.admin, path, json!({})).await;
    assert_eq!(answer.outcome(), (400, "bad_request".to_owned()));
    let answer = revoke(&server, &server.admin, path, json!({"profile": "client"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.get(Some(&client), "/v1/whoami").await.outcome(), refused());
    assert_eq!(server.get(Some(&host), "/v1/whoami").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_that_could_still_renew_is_revoked_with_its_identity() {
    let server = TestServer::memory().await;
    let host = server.join("host", "web-1.fleet").await;
    let own = server.person("operator", Permission::Operator).await;
    let lifetime = Profile::default_for(IdentityKind::Host).lifetime;
    let late = lifetime + Duration::from_secs(60);
    server.clock.advance(late);
    let until = server
        .service
        .authority()
        .issuer(IssuerKind::Hosts)
        .certificate()
        .not_after;
    assert!(server.clock_now() < until);
    drop(own);
    let operator = server.person("operator", Permission::Operator).await;
    let answer = loop {
        // The server renews its own certificate after the jump.
        if server.connect(Some(&operator)).await.is_ok() {
            break revoke(&server, &operator, "/v1/identities/web-1.fleet/revoke", json!({})).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    let renewal = server.renew(&host, &csr_pem(&key(), "web-1.fleet", &[])).await;
    assert_eq!(renewal.outcome(), refused());
    server.stop().await;
}
