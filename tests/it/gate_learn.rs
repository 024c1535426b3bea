//! Learning at the gate: what clients ask for is remembered, allowed or not, and the role that is made of it lets the same
//! through and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use dockwarden::gate::Limits;
use dockwarden::model::role::learn::{Learned, Learner, Which};
use dockwarden::model::role::{BODY_BYTES_MAX, HostRoles, OPERATIONS, RolesInForce};
use http::Request;
use http_body_util::Full;

use crate::support::gate::{Harness, send};

struct Learning {
    gate: Harness,
    roles: Arc<RolesInForce>,
    learner: Arc<Learner>,
}

fn start(roles: RolesInForce) -> Learning {
    let roles = Arc::new(roles);
    let clock = dockwarden::base::SystemClock;
    let learner = Arc::new(Learner::new(Learned::default(), Arc::new(clock)));
    let gate = Harness::with(Limits::default(), |gate| {
        gate.with_roles(Arc::clone(&roles))
            .with_learner(Arc::clone(&learner))
    });
    Learning { gate, roles, learner }
}

fn host(value: serde_json::Value) -> HostRoles {
    serde_json::from_value(value).unwrap()
}

fn request(method: &str, target: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("Host", "web-01");
    let request = request.header("Content-Type", "application/json");
    request.body(Full::new(body.into())).unwrap()
}

/// What a script of docker commands sends.
const SCRIPT: [(&str, &str, &str); 7] = [
    ("HEAD", "/_ping", ""),
    ("POST", "/v1.41/images/create?fromImage=alpine&tag=latest", ""),
    (
        "POST",
        "/v1.41/containers/create?name=web",
        r#"{"Image":"alpine","Env":["KEY=secret"],"HostConfig":{"Binds":["/srv/web:/web:ro"],"CapAdd":["NET_ADMIN"]}}"#,
    ),
    ("POST", "/v1.41/containers/web/start", ""),
    ("GET", "/v1.41/containers/web/json", ""),
    ("POST", "/v1.41/containers/web/stop?t=1", ""),
    ("DELETE", "/v1.41/containers/web?force=1", ""),
];

async fn run(gate: &Harness, client: &str) -> Vec<u16> {
    let mut sender = gate.connect(&gate.fleet.client(client)).await;
    let mut statuses = Vec::new();
    for (method, target, body) in SCRIPT {
        statuses.push(send(&mut sender, request(method, target, body)).await.unwrap().0);
    }
    statuses
}

#[tokio::test]
async fn the_role_that_was_learned_lets_the_same_through_and_nothing_else() {
    let admin = RolesInForce::unknown();
    admin.publish(&host(serde_json::json!({"clients": {"ci": ["admin"]}})));
    let learning = start(admin);
    assert_eq!(run(&learning.gate, "ci").await, [200; 7]);
    let draft = learning
        .learner
        .news()
        .unwrap()
        .draft("ci", Which::default())
        .unwrap();
    assert_eq!(draft.notes, Vec::<String>::new());
    let role = serde_json::to_value(&draft.role).unwrap();
    assert_eq!(
        role["rules"],
        serde_json::json!({"binds": ["/srv/web:ro"], "capabilities": ["NET_ADMIN"], "images": ["alpine:latest"]})
    );
    let roles = serde_json::json!({"roles": {"learned": role}, "clients": {"ci": ["learned"]}});
    learning.roles.publish(&host(roles));
    assert_eq!(run(&learning.gate, "ci").await, [200; 7]);

    let mut ci = learning.gate.connect(&learning.gate.fleet.client("ci")).await;
    let before = learning.gate.engine().seen.targets().len();
    let mut refused = 0;
    for operation in OPERATIONS {
        if draft.role.allow.iter().any(|name| name == operation.name) {
            continue;
        }
        let path = operation.path.replace(['{', '}', '.'], "");
        let (status, body) = send(&mut ci, request(operation.method, &path, "")).await.unwrap();
        assert_eq!(status, 403, "{}: {body}", operation.name);
        refused += 1;
    }
    assert_eq!(refused + SCRIPT.len(), OPERATIONS.len());
    for (target, body) in [
        ("/images/create?fromImage=evil&tag=latest", ""),
        ("/images/create?fromImage=alpine&tag=edge", ""),
        (
            "/containers/create",
            r#"{"Image":"alpine","HostConfig":{"Binds":["/srv/web:/web"]}}"#,
        ),
        (
            "/containers/create",
            r#"{"Image":"alpine","HostConfig":{"Binds":["/srv:/web:ro"]}}"#,
        ),
        (
            "/containers/create",
            r#"{"Image":"alpine","HostConfig":{"CapAdd":["SYS_ADMIN"]}}"#,
        ),
        ("/containers/create", r#"{"Image":"evil"}"#),
        (
            "/containers/create",
            r#"{"Image":"alpine","HostConfig":{"Privileged":true}}"#,
        ),
    ] {
        let (status, answer) = send(&mut ci, request("POST", target, body)).await.unwrap();
        assert_eq!(status, 403, "{target} {body}: {answer}");
    }
    assert_eq!(learning.gate.engine().seen.targets().len(), before);
}

#[tokio::test]
async fn what_is_refused_is_learned_and_where_roles_are_ignored_too() {
    let none = RolesInForce::unknown();
    none.publish(&host(serde_json::json!({"clients": {"ci": ["viewer"]}})));
    let strict = start(none);
    assert_eq!(run(&strict.gate, "ci").await, [200, 403, 403, 403, 200, 403, 403]);
    let refused = strict
        .learner
        .news()
        .unwrap()
        .draft("ci", Which::default())
        .unwrap();
    let ignoring = start(RolesInForce::not_enforced());
    assert_eq!(run(&ignoring.gate, "ci").await, [200; 7]);
    let ignored = ignoring
        .learner
        .news()
        .unwrap()
        .draft("ci", Which::default())
        .unwrap();
    assert_eq!(refused.role, ignored.role);
    assert!(
        refused.notes[0].starts_with("refused then"),
        "{:?}",
        refused.notes
    );
}

#[tokio::test]
async fn learning_changes_nothing_about_what_passes() {
    let learning = start(RolesInForce::not_enforced());
    let mut ci = learning.gate.connect(&learning.gate.fleet.client("ci")).await;
    let long = format!("{{\"Image\":\"{}\"}}", "a".repeat(BODY_BYTES_MAX));
    for body in [
        "{\"iMAGE\" :\t\"alpine\"}",
        "{\"Image\":1,\"Image\":2}",
        "\0\u{ff}",
        "",
        &long,
    ] {
        let sent = request("POST", "/v1.41/containers/create", body.to_owned());
        let (status, answer) = send(&mut ci, sent).await.unwrap();
        assert_eq!(status, 200);
        assert!(answer == body, "{} bytes became {}", body.len(), answer.len());
    }
    let (status, _) = send(&mut ci, request("POST", "/v1.41/teleport/x", ""))
        .await
        .unwrap();
    assert_eq!(status, 200, "roles are not looked at");
    let draft = learning
        .learner
        .news()
        .unwrap()
        .draft("ci", Which::default())
        .unwrap();
    let notes = draft.notes.join("\n");
    for part in [
        "longer than 4194304 bytes",
        "cannot be judged",
        "POST /teleport/x",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
}
