//! The authorization plugin: what it answers to every message that dockerd sends, and to any other bytes; and its socket,
//! spoken to as dockerd does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dockwarden::base::{ManualClock, Timestamp};
use dockwarden::gate::authz::{
    Answer, CERTIFICATES_MAX, MESSAGE_BYTES_MAX, Plugin, Standing, Trust, decide, decide_answer,
};
use dockwarden::model::role::{HostRoles, RolesInForce};
use dockwarden::model::{Enforced, IssuerKind};
use dockwarden::pki::chain::Anchors;
use dockwarden::pki::{RevokedSet, Serial, pem};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::support::pki::{DAY, Fleet, Signed, Spec, t0};

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

/// As dockerd passes certificates on: each as base64 of PEM, leaf first.
fn certificates(of: &Signed) -> Value {
    let chain = of.chain();
    chain
        .iter()
        .map(|der| base64(pem::encode_certificate(der).as_bytes()))
        .collect()
}

/// As seen from an Engine: 20.10.24, a client with a certificate.
fn message(of: &Signed, method: &str, target: &str) -> Value {
    json!({
        "User": of.name(), "UserAuthNMethod": "TLS", "RequestMethod": method, "RequestUri": target,
        "RequestHeaders": { "User-Agent": "Docker-Client/28.2.2 (linux)" },
        "RequestPeerCertificates": certificates(of),
    })
}

fn local() -> Value {
    json!({ "RequestMethod": "GET", "RequestUri": "/v1.41/containers/json",
            "RequestHeaders": { "User-Agent": "Docker-Client/28.2.2 (linux)" } })
}

struct Desk {
    fleet: Fleet,
    anchors: Anchors,
    enforced: Enforced,
    roles: RolesInForce,
    local: bool,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        let fleet = Fleet::new();
        Self {
            anchors: fleet.anchors(),
            fleet,
            enforced: Enforced::nothing(),
            roles: RolesInForce::not_enforced(),
            local: true,
            now: t0(),
        }
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            anchors: Some(&self.anchors),
            enforced: &self.enforced,
            roles: &self.roles,
            local: self.local,
            host: "web-01",
            now: self.now,
        }
    }

    fn ask(&self, message: &Value) -> Answer {
        decide(message.to_string().as_bytes(), &self.standing())
    }

    #[track_caller]
    fn assert_denied(&self, message: &Value, says: &str) {
        let answer = self.ask(message);
        assert!(!answer.allow, "allowed: {message}");
        assert!(
            answer.message.contains(says),
            "{:?} does not say {says:?}",
            answer.message
        );
    }

    fn revoke(&self, client: &Signed) {
        let serial = serial(client);
        self.enforced.revoke([(IssuerKind::Clients, &serial)]);
    }
}

fn serial(of: &Signed) -> Serial {
    dockwarden::pki::Certificate::parse(&of.chain()[0])
        .unwrap()
        .serial
}

#[test]
fn a_valid_client_and_a_local_user_are_let_in_and_a_revoked_client_is_not() {
    let desk = Desk::new();
    let (ann, bob) = (desk.fleet.client("ann"), desk.fleet.client("bob"));
    for client in [&ann, &bob] {
        let answer = desk.ask(&message(client, "GET", "/v1.41/containers/json"));
        assert_eq!((answer.allow, answer.message.as_str()), (true, ""));
    }
    desk.revoke(&ann);
    desk.assert_denied(
        &message(&ann, "GET", "/v1.41/containers/json"),
        "of ann was revoked",
    );
    assert!(desk.ask(&message(&bob, "GET", "/_ping")).allow);
    assert!(
        desk.ask(&local()).allow,
        "the local socket is not a certificate's"
    );
    let late = message(&ann, "GET", "/v1.41/events").to_string();
    assert!(
        !decide_answer(late.as_bytes(), &desk.standing()).allow,
        "nor does an answer go out to it"
    );
}

#[test]
fn the_local_socket_is_closed_where_that_is_wanted_and_the_answer_says_how_to_get_back_in() {
    let mut desk = Desk::new();
    desk.local = false;
    desk.assert_denied(&local(), "take dockwarden out of authorization-plugins");
}

#[test]
fn strangers_are_refused_for_what_is_wrong_with_them() {
    let mut desk = Desk::new();
    let other = Fleet::new();
    let clients = &desk.fleet.clients;
    let rows = [
        (other.client("mallory"), ""),
        (desk.fleet.host("web-02"), "clientAuth"),
        (
            clients.issue(Spec::client("late").dates(t0() - DAY * 9, t0() - DAY)),
            "expired",
        ),
        (
            clients.issue(Spec::client("early").dates(t0() + DAY, t0() + DAY * 9)),
            "valid",
        ),
    ];
    for (stranger, says) in rows {
        desk.assert_denied(&message(&stranger, "GET", "/_ping"), says);
    }
    let ann = desk.fleet.client("ann");
    desk.now = t0() + DAY * 40;
    desk.assert_denied(&message(&ann, "GET", "/_ping"), "expired");
}

#[test]
fn a_client_cannot_pass_for_a_local_user() {
    let desk = Desk::new();
    let ann = desk.fleet.client("ann");
    desk.revoke(&ann);
    let without = |keys: &[&str]| {
        let mut message = message(&ann, "GET", "/_ping");
        keys.iter()
            .for_each(|key| drop(message.as_object_mut().unwrap().remove(*key)));
        message
    };
    let rows = [
        (without(&["RequestPeerCertificates"]), "certificate 1"),
        (
            without(&["UserAuthNMethod", "RequestPeerCertificates"]),
            "certificate 1",
        ),
        (without(&["User", "RequestPeerCertificates"]), "certificate 1"),
        (without(&["User", "UserAuthNMethod"]), "revoked"),
        (without(&["User"]), "revoked"),
    ];
    for (message, says) in rows {
        desk.assert_denied(&message, says);
    }
    let mut kerberos = local();
    kerberos["UserAuthNMethod"] = "Kerberos".into();
    desk.assert_denied(&kerberos, "Kerberos");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let desk = Desk::new();
    let ann = desk.fleet.client("ann");
    let good = message(&ann, "GET", "/_ping");
    let with = |key: &str, value: Value| {
        let mut message = good.clone();
        message[key] = value;
        message
    };
    let one = good["RequestPeerCertificates"][0].clone();
    let two_in_one = {
        let text = ann
            .chain()
            .iter()
            .map(|der| pem::encode_certificate(der))
            .collect::<String>();
        json!([base64(text.as_bytes())])
    };
    let rows = [
        (with("RequestMethod", json!("")), "names no request"),
        (with("RequestUri", json!("")), "names no request"),
        (with("RequestUri", json!(7)), "not understood"),
        (with("RequestHeaders", json!({ "A": 1 })), "not understood"),
        (with("RequestBody", json!("not base64!")), "not base64"),
        (with("RequestPeerCertificates", json!("x")), "not understood"),
        (with("RequestPeerCertificates", json!([null])), "not understood"),
        (with("RequestPeerCertificates", json!(["%%%"])), "not base64"),
        (
            with("RequestPeerCertificates", json!([base64(b"no PEM")])),
            "no certificate",
        ),
        (with("RequestPeerCertificates", two_in_one), "more than one"),
        (
            with(
                "RequestPeerCertificates",
                json!(vec![one.clone(); CERTIFICATES_MAX + 1]),
            ),
            "too many",
        ),
        (
            with("RequestPeerCertificates", json!(["A".repeat(64 * 1024 + 4)])),
            "too long",
        ),
    ];
    for (message, says) in rows {
        desk.assert_denied(&message, says);
    }
    let text = good.to_string();
    let twice = text.replacen('{', "{\"RequestUri\":\"/_ping\",", 1);
    let too_long = format!("{text}{}", " ".repeat(MESSAGE_BYTES_MAX - text.len() + 1));
    for bytes in ["", "{", "[]", "null", &twice, &too_long] {
        let answer = decide(bytes.as_bytes(), &desk.standing());
        assert!(!answer.allow && !answer.message.is_empty(), "{:.80}", bytes);
    }
    // In what is skipped, too.
    let mut no_text = text.replacen('{', "{\"Other\":\"?\",", 1).into_bytes();
    let at = no_text
        .iter()
        .position(|byte| *byte == b'?')
        .expect("it was put there");
    no_text[at] = 0xaa;
    assert!(!decide(&no_text, &desk.standing()).allow);
    assert!(
        decide(&too_long.as_bytes()[..MESSAGE_BYTES_MAX], &desk.standing()).allow,
        "at the limit"
    );
    assert!(
        !decide(
            text.as_bytes(),
            &Standing {
                anchors: None,
                ..desk.standing()
            }
        )
        .allow,
        "nobody is trusted yet"
    );
}

#[test]
fn a_host_that_has_not_heard_of_its_server_refuses_remote_clients_and_no_local_ones() {
    let mut desk = Desk::new();
    desk.enforced = Enforced::new(Some(Duration::from_secs(3600)));
    desk.enforced.begin(RevokedSet::new(), t0());
    let ann = message(&desk.fleet.client("ann"), "GET", "/_ping");
    assert!(desk.ask(&ann).allow);
    desk.now = t0() + Duration::from_secs(3601);
    desk.assert_denied(&ann, "has not heard of its server");
    assert!(desk.ask(&local()).allow);
}

#[test]
fn roles_hold_and_a_body_that_the_engine_hides_counts_as_one_that_cannot_be_judged() {
    let desk = Desk::new();
    let roles: HostRoles = serde_json::from_value(json!({
        "clients": { "ann": ["viewer"], "dep": ["deployer"], "root": ["admin"] }
    }))
    .unwrap();
    desk.roles.publish(&roles);
    let enforced = Desk {
        roles: RolesInForce::unknown(),
        ..desk
    };
    let ann = enforced.fleet.client("ann");
    enforced.assert_denied(
        &message(&ann, "GET", "/v1.41/containers/json"),
        "has not learned yet",
    );
    enforced.roles.publish(&roles);
    assert!(
        enforced
            .ask(&message(&ann, "GET", "/v1.41/containers/json"))
            .allow
    );
    enforced.assert_denied(&message(&ann, "POST", "/v1.41/containers/x/start"), "viewer");
    enforced.assert_denied(
        &message(&ann, "GET", "/v1.41/containers/x/attach/ws?stdin=1"),
        "viewer",
    );
    enforced.assert_denied(
        &message(&enforced.fleet.client("eve"), "GET", "/_ping"),
        "no role",
    );
    let dep = enforced.fleet.client("dep");
    let mut create = message(&dep, "POST", "/v1.41/containers/create");
    enforced.assert_denied(&create, "deployer");
    create["RequestBody"] = base64(br#"{"Image":"nginx","HostConfig":{"Privileged":true}}"#).into();
    enforced.assert_denied(&create, "rivileged");
    create["RequestBody"] = base64(br#"{"Image":"nginx"}"#).into();
    let answer = enforced.ask(&create);
    assert!(answer.allow, "{}", answer.message);
    create["RequestHeaders"]["content-type"] = "application/x-www-form-urlencoded".into();
    enforced.assert_denied(&create, "form");
    let root = enforced.fleet.client("root");
    assert!(
        enforced
            .ask(&message(&root, "POST", "/v1.41/containers/create"))
            .allow,
        "no rule looks at it"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_bytes_but_a_valid_message_of_a_valid_client_are_allowed(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        static DESK: std::sync::LazyLock<(Desk, Vec<u8>)> = std::sync::LazyLock::new(|| {
            let mut desk = Desk::new();
            desk.local = false;
            let ann = desk.fleet.client("ann");
            desk.revoke(&ann);
            let bytes = message(&ann, "GET", "/v1.41/containers/json").to_string().into_bytes();
            (desk, bytes)
        });
        let (desk, good) = &*DESK;
        let mut bytes = good.clone();
        for (at, byte) in &cuts {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let answer = decide(&bytes, &desk.standing());
        prop_assert!(!answer.allow, "a revoked client got in: {}", String::from_utf8_lossy(&bytes));
        prop_assert!(!answer.message.is_empty());
    }
}

struct Served {
    plugin: Arc<Plugin>,
    shutdown: CancellationToken,
    socket: std::path::PathBuf,
    fleet: Fleet,
    enforced: Arc<Enforced>,
    _directory: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("authz.sock");
        let (fleet, enforced) = (Fleet::new(), Arc::new(Enforced::nothing()));
        let roles = Arc::new(RolesInForce::not_enforced());
        let clock = Arc::new(ManualClock::new(t0()));
        let plugin = Arc::new(Plugin::new(Arc::clone(&enforced), roles, true, clock));
        let shutdown = CancellationToken::new();
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(Arc::clone(&plugin).serve(listener, shutdown.clone()));
        Self {
            plugin,
            shutdown,
            socket,
            fleet,
            enforced,
            _directory: directory,
        }
    }
}

/// One call on an open connection, as Go's client makes it.
async fn call(stream: &mut UnixStream, host: &str, path: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\
         Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let (head, length) = loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text
                .split("content-length: ")
                .nth(1)
                .unwrap()
                .split("\r\n")
                .next()
                .unwrap();
            let length: usize = length.parse().unwrap();
            if answer.len() >= end + 4 + length {
                break (end, length);
            }
        }
    };
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (
        status,
        serde_json::from_slice(&answer[head + 4..head + 4 + length]).unwrap(),
    )
}

async fn dial(socket: &Path) -> UnixStream {
    UnixStream::connect(socket).await.unwrap()
}

#[tokio::test]
async fn the_socket_speaks_as_dockerd_expects_and_revokes_between_two_requests_of_a_connection() {
    let served = Served::start();
    let ann = served.fleet.client("ann");
    let question = message(&ann, "GET", "/v1.41/containers/json").to_string();
    let mut stream = dial(&served.socket).await;
    let (status, answer) = call(&mut stream, "", "/Plugin.Activate", "").await;
    assert_eq!((status, answer), (200, json!({ "Implements": ["authz"] })));
    let (status, answer) = call(&mut stream, "", "/AuthZPlugin.AuthZReq", &question).await;
    assert_eq!(
        (status, &answer["Allow"]),
        (200, &json!(false)),
        "whom to trust is not known yet"
    );
    let anchors = served.fleet.anchors();
    served.plugin.trust(Trust {
        anchors,
        host: "web-01".to_owned(),
    });
    let (_, answer) = call(
        &mut stream,
        "plugin.moby.localhost",
        "/AuthZPlugin.AuthZReq",
        &question,
    )
    .await;
    assert_eq!(answer, json!({ "Allow": true, "Msg": "" }));
    served.enforced.revoke([(IssuerKind::Clients, &serial(&ann))]);
    let (_, answer) = call(&mut stream, "", "/AuthZPlugin.AuthZReq", &question).await;
    assert_eq!(answer["Allow"], false);
    assert!(answer["Msg"].as_str().unwrap().contains("revoked"), "{answer}");
    assert_eq!((served.plugin.asked(), served.plugin.refused()), (3, 2));
    let (status, answer) = call(&mut stream, "", "/VolumeDriver.List", "{}").await;
    assert!(status == 500 && answer["Err"].is_string(), "{answer}");
}

#[tokio::test]
async fn a_message_that_is_too_long_or_breaks_off_is_refused_and_others_go_on() {
    let served = Served::start();
    let anchors = served.fleet.anchors();
    served.plugin.trust(Trust {
        anchors,
        host: "web-01".to_owned(),
    });
    let mut long = dial(&served.socket).await;
    let head = format!(
        "POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nHost: \r\nContent-Length: {}\r\n\r\n",
        MESSAGE_BYTES_MAX + 1
    );
    long.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    long.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 500");
    let mut half = dial(&served.socket).await;
    half.write_all(b"POST /AuthZPlugin.AuthZReq HTTP/1.1\r\nHost: \r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    drop(half);
    let mut body = message(&served.fleet.client("ann"), "POST", "/v1.41/containers/create");
    body["RequestBody"] = base64(&vec![b' '; 4 * 1024 * 1024]).into();
    let mut stream = dial(&served.socket).await;
    let (_, answer) = call(&mut stream, "", "/AuthZPlugin.AuthZReq", &body.to_string()).await;
    assert_eq!(
        answer["Allow"], true,
        "as long as the Engine passes bodies on: {answer}"
    );
    served.shutdown.cancel();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it ends what is open");
}
