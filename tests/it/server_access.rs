//! Every endpoint with every kind of credential: what is not granted is refused, and a route that nobody wrote down
//! here fails the test.

use std::collections::BTreeSet;

use dockwarden::base::SystemRandom;
use dockwarden::ca::{self, Grant};
use dockwarden::model::{IdentityKind, IssuerKind, Permission, Profile};
use dockwarden::pki::{KeyAlgorithm, Serial, csr};
use serde_json::{Value, json};

use crate::support::pki::DAY;
use crate::support::server::{Credentials, Setup, TestServer, csr_pem, key};

/// Who may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Public,
    AnyIdentity,
    AnyClient,
    Host,
    Viewer,
    Operator,
    Admin,
}

struct Route {
    method: &'static str,
    path: &'static str,
    /// The same with its parts filled in.
    call: String,
    body: Option<Value>,
    who: Who,
}

const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn routes(host: &Credentials) -> Vec<Route> {
    let route = |method, path: &'static str, call: &str, body, who| Route {
        method,
        path,
        call: call.to_owned(),
        body,
        who,
    };
    let report = json!({"observed_generation": 1, "mode": "gate", "agent_version": "1", "engine_version": null,
        "endpoints": [], "issued": null, "served": null, "renew_at": null, "clock_offset_ms": null, "conditions": []});
    let enroll = json!({"token": "dw1_x", "csr": "x"});
    let token = json!({"profile": "host", "names": ["a.fleet"]});
    let status = format!("/v1/hosts/{}/status", host.name);
    let known = json!({"feed": ID, "changes": [], "last": true});
    let applied = json!({"feed": ID, "number": 0});
    let role = json!({"name": "stopper", "role": {"allow": ["ContainerStop"]}});
    let binding = json!({"client": "nobody", "role": "viewer"});
    vec![
        route("POST", "/enroll", "/enroll", Some(enroll.clone()), Who::Public),
        route("POST", "/v1/enroll", "/v1/enroll", Some(enroll), Who::Public),
        route(
            "POST",
            "/v1/renew",
            "/v1/renew",
            Some(json!({"csr": "x"})),
            Who::AnyIdentity,
        ),
        route("GET", "/v1/certificates", "/v1/certificates", None, Who::Viewer),
        // Of somebody else's certificate; owners are another test's.
        route(
            "GET",
            "/v1/certificates/{serial}",
            "/v1/certificates/0a0b",
            None,
            Who::Viewer,
        ),
        // Of somebody else's; owners are another test's.
        route(
            "POST",
            "/v1/certificates/{serial}/revoke",
            "/v1/certificates/0a0b/revoke",
            Some(json!({})),
            Who::Operator,
        ),
        route(
            "POST",
            "/v1/certificates/revoke",
            "/v1/certificates/revoke",
            Some(json!({"fingerprint_sha256": "00".repeat(32)})),
            Who::Operator,
        ),
        route(
            "POST",
            "/v1/identities/{name}/revoke",
            "/v1/identities/nobody/revoke",
            Some(json!({})),
            Who::Operator,
        ),
        // From a number that nobody has: it ends at once.
        route("GET", "/v1/feed", "/v1/feed?after=9", None, Who::AnyIdentity),
        route("POST", "/v1/feed/known", "/v1/feed/known", Some(known), Who::Host),
        route(
            "PUT",
            "/v1/feed/applied",
            "/v1/feed/applied",
            Some(applied),
            Who::Host,
        ),
        route("GET", "/v1/feed/applied", "/v1/feed/applied", None, Who::Viewer),
        route("POST", "/v1/feed/settle", "/v1/feed/settle", None, Who::Admin),
        route("GET", "/v1/hosts", "/v1/hosts", None, Who::AnyClient),
        route(
            "GET",
            "/v1/hosts/{name}",
            "/v1/hosts/nobody.fleet",
            None,
            Who::AnyClient,
        ),
        route("PUT", "/v1/hosts/{name}/status", &status, Some(report), Who::Host),
        route("GET", "/v1/tokens", "/v1/tokens", None, Who::Operator),
        route("POST", "/v1/tokens", "/v1/tokens", Some(token), Who::Operator),
        route(
            "DELETE",
            "/v1/tokens/{id}",
            &format!("/v1/tokens/{ID}"),
            None,
            Who::Operator,
        ),
        route("GET", "/v1/requests", "/v1/requests", None, Who::Operator),
        route(
            "POST",
            "/v1/requests/{id}/approve",
            &format!("/v1/requests/{ID}/approve"),
            None,
            Who::Operator,
        ),
        route(
            "POST",
            "/v1/requests/{id}/deny",
            &format!("/v1/requests/{ID}/deny"),
            None,
            Who::Operator,
        ),
        route("GET", "/v1/clients", "/v1/clients", None, Who::Operator),
        route("GET", "/v1/roles", "/v1/roles", None, Who::Viewer),
        route("GET", "/v1/roles/applied", "/v1/roles/applied", None, Who::Viewer),
        route("POST", "/v1/roles", "/v1/roles", Some(role), Who::Admin),
        route(
            "DELETE",
            "/v1/roles/{name}",
            "/v1/roles/nothing",
            None,
            Who::Admin,
        ),
        route("GET", "/v1/bindings", "/v1/bindings", None, Who::Viewer),
        route(
            "POST",
            "/v1/bindings",
            "/v1/bindings",
            Some(binding),
            Who::Operator,
        ),
        route(
            "DELETE",
            "/v1/bindings",
            "/v1/bindings?client=a&role=viewer",
            None,
            Who::Operator,
        ),
        route("GET", "/v1/problems", "/v1/problems", None, Who::Viewer),
        route("GET", "/v1/notifications", "/v1/notifications", None, Who::Viewer),
        route(
            "POST",
            "/v1/channels/{name}/test",
            "/v1/channels/ops/test",
            None,
            Who::Operator,
        ),
        route("GET", "/v1/jobs", "/v1/jobs", None, Who::Viewer),
        route(
            "POST",
            "/v1/jobs/{name}/run",
            "/v1/jobs/prune/run",
            None,
            Who::Operator,
        ),
        route("GET", "/v1/audit", "/v1/audit", None, Who::Operator),
        route("GET", "/v1/sessions", "/v1/sessions", None, Who::Viewer),
        route("POST", "/v1/sessions", "/v1/sessions", None, Who::Viewer),
        route(
            "DELETE",
            "/v1/sessions/{id}",
            &format!("/v1/sessions/{ID}"),
            None,
            Who::Viewer,
        ),
        route("GET", "/v1/whoami", "/v1/whoami", None, Who::AnyIdentity),
        route("GET", "/ca.pem", "/ca.pem", None, Who::Public),
        route("GET", "/issuers/{file}", "/issuers/hosts.crt", None, Who::Public),
        route("GET", "/crl/{file}", "/crl/hosts.crl", None, Who::Public),
        route("POST", "/ocsp", "/ocsp", Some(json!({})), Who::Public),
        route("GET", "/healthz", "/healthz", None, Who::Public),
        route("GET", "/readyz", "/readyz", None, Who::Public),
        route("GET", "/metrics", "/metrics", None, Who::Public),
    ]
}

/// A credential, what it is called here, and the levels it reaches.
struct Caller {
    name: &'static str,
    credentials: Option<Credentials>,
    reaches: &'static [Who],
}

async fn callers(server: &TestServer, host: &Credentials) -> Vec<Caller> {
    use Who::{Admin, AnyClient, AnyIdentity, Operator, Public, Viewer};
    let viewer = server.person("viewer", Permission::Viewer).await;
    let operator = server.person("operator", Permission::Operator).await;
    let plain = server.join("client", "plain").await;
    let caller = |name, credentials, reaches| Caller {
        name,
        credentials,
        reaches,
    };
    vec![
        caller("nobody", None, &[Public]),
        caller(
            "client without permission",
            Some(plain),
            &[Public, AnyIdentity, AnyClient],
        ),
        caller("viewer", Some(viewer), &[Public, AnyIdentity, AnyClient, Viewer]),
        caller(
            "operator",
            Some(operator),
            &[Public, AnyIdentity, AnyClient, Viewer, Operator],
        ),
        caller(
            "admin",
            Some(server.admin.clone()),
            &[Public, AnyIdentity, AnyClient, Viewer, Operator, Admin],
        ),
        caller("host", Some(host.clone()), &[Public, AnyIdentity, Who::Host]),
    ]
}

/// Codes that say "not you"; everything else means that the caller got past the door.
const REFUSALS: [&str; 3] = ["certificate_required", "certificate_refused", "forbidden"];

#[tokio::test]
async fn every_endpoint_refuses_every_credential_that_was_not_granted_it() {
    let server = TestServer::memory().await;
    let host = server.join("host", "web-1.fleet").await;
    let routes = routes(&host);
    for caller in callers(&server, &host).await {
        for route in &routes {
            let answer = server
                .call(
                    caller.credentials.as_ref(),
                    route.method,
                    &route.call,
                    route.body.clone(),
                )
                .await;
            let code = answer.code();
            let got_in = !REFUSALS.contains(&code.as_str());
            let expected = caller.reaches.contains(&route.who);
            assert_eq!(
                got_in,
                expected,
                "{} {} as {}: {}",
                route.method,
                route.call,
                caller.name,
                answer.text()
            );
            if !expected {
                let needed = if caller.credentials.is_none() {
                    "certificate_required"
                } else {
                    "forbidden"
                };
                assert_eq!(code, needed, "{} {} as {}", route.method, route.call, caller.name);
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn no_endpoint_is_missing_from_the_matrix() {
    let server = TestServer::memory().await;
    let host = server.join("host", "web-1.fleet").await;
    let written: BTreeSet<String> = routes(&host)
        .iter()
        .map(|r| format!("{} {}", r.method, r.path))
        .collect();
    let document: Value = serde_json::from_str(&dockwarden::http::openapi_json()).unwrap();
    let mut served = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        served.extend(
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(|m| format!("{} {path}", m.to_ascii_uppercase())),
        );
    }
    assert_eq!(served, written);
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_ca_does_not_get_through_the_handshake() {
    let server = TestServer::memory().await;
    let other = TestServer::memory().await;
    for foreign in [other.admin.clone(), other.join("host", "web-1.fleet").await] {
        let refused = match server.connect(Some(&foreign)).await {
            // In TLS 1.3 the refusal arrives with the first answer.
            Ok(mut connection) => crate::support::server::call_on(&mut connection, "GET", "/healthz", None)
                .await
                .is_err(),
            Err(_) => true,
        };
        assert!(refused, "{}", foreign.name);
    }
    server.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_certificate_that_the_ca_signed_but_the_store_never_saw_is_refused() {
    let server = TestServer::memory().await;
    let (issuer, key) = (server.authority.issuer(IssuerKind::Clients), key());
    let name = "admin".parse().unwrap();
    let request = csr::verify(csr::make(&key, &name, &[]), &KeyAlgorithm::ALL).unwrap();
    let grant = Grant {
        common_name: name,
        sans: Vec::new(),
    };
    let approved = ca::approve(request, grant, &Profile::default_for(IdentityKind::Client)).unwrap();
    let prepared = ca::prepare(
        approved,
        issuer,
        &Serial::draw(&SystemRandom),
        crate::support::pki::t0(),
    )
    .unwrap();
    let issued = ca::sign(prepared, issuer).unwrap();
    let stranger = Credentials {
        name: "admin".to_owned(),
        serial: issued.serial().clone(),
        chain: vec![
            issued.der().to_vec().into(),
            issuer.certificate().der().to_vec().into(),
        ],
        key,
    };
    for path in ["/v1/whoami", "/v1/audit", "/v1/certificates"] {
        assert_eq!(
            server.get(Some(&stranger), path).await.outcome(),
            (403, "certificate_refused".to_owned()),
            "{path}"
        );
    }
    let renewal = server
        .renew(&stranger, &csr_pem(&crate::support::server::key(), "admin", &[]))
        .await;
    assert_eq!(renewal.outcome(), (403, "certificate_refused".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_also_on_a_connection_that_stands() {
    let server = TestServer::memory().await;
    let host = server.join("host", "web-1.fleet").await;
    let client = server.join("client", "alice").await;
    let mut open = server.connect(Some(&client)).await.unwrap();
    let call = crate::support::server::call_on(&mut open, "GET", "/v1/whoami", None)
        .await
        .unwrap();
    assert_eq!(call.status, 200);
    server.clock.advance(DAY * 30 + std::time::Duration::from_secs(1));
    let call = crate::support::server::call_on(&mut open, "GET", "/v1/whoami", None)
        .await
        .unwrap();
    assert_eq!(call.outcome(), (403, "certificate_refused".to_owned()));
    // A client has no grace: it does not even get through the handshake. A host does, for a renewal alone.
    let mut late = wait_for_own_certificate(&server, &host).await;
    for (method, path) in [
        ("GET", "/v1/whoami"),
        ("GET", "/v1/hosts/web-1.fleet"),
        ("GET", "/v1/hosts"),
    ] {
        let call = crate::support::server::call_on(&mut late, method, path, None)
            .await
            .unwrap();
        assert_eq!(call.outcome(), (403, "certificate_refused".to_owned()), "{path}");
    }
    let refused = match server.connect(Some(&client)).await {
        Ok(mut connection) => crate::support::server::call_on(&mut connection, "GET", "/healthz", None)
            .await
            .is_err(),
        Err(_) => true,
    };
    assert!(refused);
    server.stop().await;
}

/// Connects once the server has renewed its own certificate after the clock jumped.
async fn wait_for_own_certificate(
    server: &TestServer,
    who: &Credentials,
) -> hyper::client::conn::http1::SendRequest<http_body_util::Full<bytes::Bytes>> {
    for _ in 0..200 {
        if let Ok(connection) = server.connect(Some(who)).await {
            return connection;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the server did not renew its certificate");
}

#[tokio::test]
async fn an_owner_sees_its_own_certificate_and_nobody_elses() {
    let server = TestServer::memory().await;
    let (alice, bob) = (
        server.join("client", "alice").await,
        server.join("client", "bob").await,
    );
    let host = server.join("host", "web-1.fleet").await;
    for (who, whose, expected) in [
        (&alice, &alice, 200),
        (&alice, &bob, 403),
        (&host, &host, 200),
        (&host, &alice, 403),
        (&server.admin, &bob, 200),
    ] {
        let answer = server
            .get(Some(who), &format!("/v1/certificates/{}", whose.serial))
            .await;
        assert_eq!(answer.status, expected, "{} of {}", who.name, whose.name);
    }
    // Whether a serial exists is not told either.
    assert_eq!(
        server.get(Some(&alice), "/v1/certificates/0a0b").await.status,
        403
    );
    assert_eq!(
        server
            .get(Some(&server.admin), "/v1/certificates/0a0b")
            .await
            .status,
        404
    );
    assert_eq!(
        server
            .get(Some(&server.admin), "/v1/certificates/xyz")
            .await
            .status,
        400
    );
    server.stop().await;
}

#[tokio::test]
async fn only_an_admin_gives_permissions_away() {
    let server = TestServer::memory().await;
    let operator = server.person("operator", Permission::Operator).await;
    let request = json!({"profile": "client", "names": ["eve"], "permission": "viewer"});
    let answer = server
        .call(Some(&operator), "POST", "/v1/tokens", Some(request.clone()))
        .await;
    assert_eq!(answer.outcome(), (403, "forbidden".to_owned()));
    assert_eq!(
        server
            .call(Some(&server.admin), "POST", "/v1/tokens", Some(request))
            .await
            .status,
        201
    );
    server.stop().await;
}

#[tokio::test]
async fn a_host_reports_only_about_itself() {
    let server = Setup::memory().start().await;
    let (one, two) = (
        server.join("host", "web-1.fleet").await,
        server.join("host", "web-2.fleet").await,
    );
    let report = |endpoint: &str| {
        json!({"observed_generation": 1, "mode": "gate", "agent_version": "0.1.0", "engine_version": "28.5.2",
            "endpoints": [endpoint], "issued": null, "served": null, "renew_at": null, "clock_offset_ms": 12,
            "conditions": [{"type": "Serving", "status": "True", "reason": "Served", "message": "ok", "since": "2026-11-22T00:00:00Z"}]})
    };
    let put = async |who: &Credentials, whose: &str, endpoint: &str| {
        let path = format!("/v1/hosts/{whose}/status");
        server
            .call(Some(who), "PUT", &path, Some(report(endpoint)))
            .await
            .status
    };
    assert_eq!(put(&one, "web-1.fleet", "tcp://web-1.fleet:2376").await, 200);
    assert_eq!(put(&two, "web-1.fleet", "tcp://web-2.fleet:2376").await, 403);
    // An endpoint that would lead clients to another host.
    assert_eq!(put(&one, "web-1.fleet", "tcp://web-2.fleet:2376").await, 400);
    let seen = server
        .get(Some(&server.admin), "/v1/hosts/web-1.fleet")
        .await
        .json();
    assert_eq!(seen["endpoints"], json!(["tcp://web-1.fleet:2376"]));
    assert_eq!(
        (&seen["healthy"], &seen["report"]["engine_version"]),
        (&json!(true), &json!("28.5.2"))
    );
    let client = server.join("client", "alice").await;
    let list = server.get(Some(&client), "/v1/hosts").await.json();
    assert_eq!(
        list["items"][0],
        json!({"name": "web-1.fleet", "endpoints": ["tcp://web-1.fleet:2376"]})
    );
    let names: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["web-1.fleet", "web-2.fleet"],
        "the server's own identity is not a host to reach"
    );
    assert_eq!(server.get(Some(&two), "/v1/hosts/web-1.fleet").await.status, 403);
    assert_eq!(server.get(Some(&one), "/v1/hosts/web-1.fleet").await.status, 200);
    server.stop().await;
}
