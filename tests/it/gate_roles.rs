//! Roles at the gate: what is decided before anything reaches dockerd, bodies that are judged, roles that change while
//! connections are open.

use std::sync::Arc;

use bytes::Bytes;
use dockwarden::gate::{CutReason, Limits};
use dockwarden::model::role::{BODY_BYTES_MAX, HostRoles, RolesInForce};
use http::Request;
use http_body_util::Full;
use tokio::io::AsyncWriteExt;

use crate::support::gate::{Harness, eventually, get, next_frame, open, read_to_end, read_until, send};

/// A gate with these roles, as `{"alice": ["operator"]}`.
fn gate(clients: serde_json::Value) -> (Harness, Arc<RolesInForce>) {
    let roles = Arc::new(RolesInForce::unknown());
    roles.publish(&host(clients));
    let gate = Harness::with(Limits::default(), |gate| gate.with_roles(Arc::clone(&roles)));
    (gate, roles)
}

fn host(clients: serde_json::Value) -> HostRoles {
    serde_json::from_value(serde_json::json!({ "clients": clients })).unwrap()
}

fn post(target: &str, kind: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method("POST").uri(target);
    let request = request.header("Host", "web-01").header("Content-Type", kind);
    request.body(Full::new(body.into())).unwrap()
}

fn message(body: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    json["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_a_role_does_not_allow_never_reaches_the_engine_and_the_connection_goes_on() {
    let (gate, _roles) = gate(serde_json::json!({"alice": ["viewer"]}));
    let mut alice = gate.connect(&gate.fleet.client("alice")).await;
    for target in [
        "/v1.41/containers/db/stop",
        "//containers/db%2fstop",
        "/_ping/../containers/db/stop",
    ] {
        let (status, body) = send(&mut alice, post(target, "application/json", ""))
            .await
            .unwrap();
        assert_eq!(status, 403, "{target}: {body}");
        assert_eq!(
            message(&body),
            r#"dockwarden: role "viewer" does not allow ContainerStop on web-01; ask an admin for role "operator""#
        );
    }
    let unknown = send(&mut alice, get("/v1.41/libpod/info")).await.unwrap();
    assert_eq!(unknown.0, 403);
    assert!(
        message(&unknown.1).contains("not part of the Docker API"),
        "{unknown:?}"
    );
    assert_eq!(gate.engine().seen.targets(), Vec::<String>::new());
    assert_eq!(
        send(&mut alice, get("/v1.41/containers/json")).await.unwrap().0,
        200
    );
    let bob = gate.get(&gate.fleet.client("bob"), "/_ping").await;
    assert_eq!(bob.0, 403);
    assert!(
        message(&bob.1).starts_with("dockwarden: bob has no role on web-01; ask an admin"),
        "{bob:?}"
    );
}

#[tokio::test]
async fn a_body_that_was_judged_is_passed_on_byte_for_byte() {
    let (gate, _roles) = gate(serde_json::json!({"alice": ["deployer"]}));
    let alice = gate.fleet.client("alice");
    let odd = "\r\n {\t\"iMaGe\" : \"\\u0061\",\"HostConfig\":{\"Memory\":1e3 } }\n\n";
    let long = format!("{}{odd}", " ".repeat(1_100_000));
    for body in [odd, &long, ""] {
        let mut sender = gate.connect(&alice).await;
        let request = post(
            "/v1.41/containers/create?name=x",
            "application/json",
            body.to_owned(),
        );
        let (status, answer) = send(&mut sender, request).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        assert!(answer == body, "{} bytes became {}", body.len(), answer.len());
    }
    let chunked = "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n\
        Transfer-Encoding: chunked\r\n\r\n6\r\n{\"Imag\r\n6\r\ne\":1.0\r\n1\r\n}\r\n0\r\n\r\n";
    let answer = gate.raw(&alice, chunked).await;
    assert!(answer.contains("type that the Engine does not know"), "{answer}");
    let answer = gate.raw(&alice, chunked.replace(":1.0", ":\"a\"")).await;
    assert!(answer.ends_with("{\"Image\":\"a\"}"), "{answer}");
}

#[tokio::test]
async fn a_body_that_asks_for_too_much_is_refused_however_long_it_is() {
    let (gate, _roles) = gate(serde_json::json!({"alice": ["deployer"], "bob": ["operator"]}));
    let alice = gate.fleet.client("alice");
    let privileged = r#"{"Image":"a","HostConfig":{"privileged":true}}"#;
    for pad in [
        0,
        1_100_000,
        4_100_000,
        BODY_BYTES_MAX + 1 - privileged.len(),
        9_000_000,
    ] {
        let mut sender = gate.connect(&alice).await;
        let body = format!("{}{privileged}", " ".repeat(pad));
        let request = post("/v1.41/containers/create", "application/json", body);
        // The gate answers before it has read what is far too long; a client may notice the closed connection first.
        if let Ok((status, answer)) = send(&mut sender, request).await {
            assert_eq!(status, 403, "{pad}: {answer}");
        } else {
            assert!(pad > BODY_BYTES_MAX, "{pad}");
        }
    }
    let mut bob = gate.connect(&gate.fleet.client("bob")).await;
    for (target, kind, body) in [
        (
            "/containers/db/exec",
            "application/json",
            r#"{"Privileged":true}"#,
        ),
        (
            "/v1.20/containers/db/start",
            "application/json",
            r#"{"Binds":["/:/host"]}"#,
        ),
        (
            "/containers/db/start",
            "application/x-www-form-urlencoded",
            "checkpoint-dir=/etc",
        ),
        ("/containers/db/kill", "multipart/form-data; boundary=x", ""),
    ] {
        let (status, answer) = send(&mut bob, post(target, kind, body)).await.unwrap();
        assert_eq!(status, 403, "{target}: {answer}");
    }
    assert_eq!(gate.engine().seen.targets(), Vec::<String>::new());
}

#[tokio::test]
async fn upgrades_need_a_role_like_everything_else() {
    let (gate, _roles) = gate(serde_json::json!({"alice": ["viewer"], "bob": ["operator"]}));
    let alice = gate.fleet.client("alice");
    for (method, path, protocol) in [
        ("POST", "/exec/1/start", "tcp"),
        ("POST", "/containers/a/attach?stream=1&stdout=1", "tcp"),
        ("GET", "/containers/a/attach/ws?stdin=1&stream=1", "websocket"),
        ("POST", "/session", "h2c"),
        ("POST", "/grpc", "h2c"),
    ] {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nContent-Length: 0\r\n\r\n"
        );
        let mut stream = gate.dial(Some(&alice)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{path}: {head}");
    }
    assert_eq!(gate.engine().seen.targets(), Vec::<String>::new());
    let mut stream = gate.tunnel(&gate.fleet.client("bob"), "/exec/1/start").await;
    stream.write_all(b"ok\n").await.unwrap();
    assert_eq!(read_until(&mut stream, "\n").await, "ok\n");
}

#[tokio::test]
async fn a_new_role_counts_on_the_open_connection_and_a_taken_one_cuts_what_is_open() {
    let (gate, roles) = gate(serde_json::json!({"alice": ["operator"], "bob": ["operator"]}));
    let mut alice = gate.tunnel(&gate.fleet.client("alice"), "/exec/1/start").await;
    let mut bob = gate.tunnel(&gate.fleet.client("bob"), "/exec/1/start").await;
    let mut watching = gate.connect(&gate.fleet.client("alice")).await;
    let mut events = open(&mut watching, get("/events?ms=20")).await;
    assert!(next_frame(&mut events).await.unwrap().is_some());
    let mut carol = gate.connect(&gate.fleet.client("carol")).await;
    assert_eq!(send(&mut carol, get("/info")).await.unwrap().0, 403);
    let lost = roles
        .publish(&host(
            serde_json::json!({"bob": ["viewer", "operator"], "carol": ["viewer"]}),
        ))
        .lost;
    assert_eq!(gate.registry.cut_clients(&lost, CutReason::Role), 2);
    assert_eq!(read_to_end(&mut alice).await, "", "her exec is cut");
    let cut = loop {
        match next_frame(&mut events).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(cut.is_err(), "a cut stream must not look complete");
    bob.write_all(b"ok\n").await.unwrap();
    assert_eq!(read_until(&mut bob, "\n").await, "ok\n");
    assert_eq!(send(&mut carol, get("/info")).await.unwrap().0, 200);
    let again = gate.get(&gate.fleet.client("alice"), "/_ping").await;
    assert_eq!(again.0, 403);
    eventually("two connections are left", || gate.registry.len() == 2).await;
}

#[tokio::test]
async fn nobody_gets_in_before_it_is_known_who_may_what() {
    let roles = Arc::new(RolesInForce::unknown());
    let gate = Harness::with(Limits::default(), |gate| gate.with_roles(Arc::clone(&roles)));
    let mut alice = gate.connect(&gate.fleet.client("alice")).await;
    let (status, body) = send(&mut alice, get("/_ping")).await.unwrap();
    assert_eq!(status, 403);
    assert!(
        message(&body).contains("web-01 has not learned yet who may do what"),
        "{body}"
    );
    roles.publish(&host(serde_json::json!({"alice": ["admin"]})));
    assert_eq!(send(&mut alice, get("/_ping")).await.unwrap().0, 200);
}
