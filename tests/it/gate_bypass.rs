//! Every way around a role, tried on a gate with an engine behind it: what the table of operations is held against in its own
//! tests, byte for byte as somebody would send it, and what only a proxy can get wrong. None of it may reach the engine.

use std::sync::Arc;
use std::time::Duration;

use dockwarden::gate::Limits;
use dockwarden::model::role::{HostRoles, RolesInForce};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::gate::{Harness, read_to_end};

/// Role, method, target, body. `<PAD n>` in front of a body stands for that many spaces.
const ATTEMPTS: &[(&str, &str, &str, Option<&str>)] =
    include!("../../src/model/role/tests/bypass_attempts.in");

/// Nothing more is expected after this long.
const QUIET: Duration = Duration::from_millis(500);

fn roles() -> Arc<RolesInForce> {
    let clients: HostRoles = serde_json::from_value(serde_json::json!({
        "roles": {"listed": {
            "allow": ["ImageCreate", "ContainerCreate", "ServiceCreate"],
            "rules": {"images": ["docker.io/library/*", "nginx"]},
        }},
        "clients": {
            "viewer": ["viewer"], "operator": ["operator"], "deployer": ["deployer"], "listed": ["listed"],
        },
    }))
    .unwrap();
    let roles = Arc::new(RolesInForce::unknown());
    assert!(roles.publish(&clients).unread.is_empty());
    roles
}

fn gate() -> Harness {
    Harness::with(Limits::default(), |gate| gate.with_roles(roles()))
}

fn padded(body: &str) -> Vec<u8> {
    let Some((pad, rest)) = body.strip_prefix("<PAD ").and_then(|rest| rest.split_once('>')) else {
        return body.as_bytes().to_vec();
    };
    [vec![b' '; pad.parse().unwrap()], rest.as_bytes().to_vec()].concat()
}

/// Sends bytes as they are; what came back before the gate closed. Writing may fail: a gate that has refused reads no further.
async fn sent(gate: &Harness, client: &str, bytes: &[u8]) -> String {
    let leaf = gate.fleet.client(client);
    let mut stream = gate.dial(Some(&leaf)).await.unwrap();
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

/// The same for what may leave the connection open: what came back until there was nothing more for a while.
async fn answered(gate: &Harness, client: &str, bytes: &[u8]) -> String {
    let leaf = gate.fleet.client(client);
    let mut stream = gate.dial(Some(&leaf)).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    while let Ok(Ok(1..)) = tokio::time::timeout(QUIET, stream.read_buf(&mut answer)).await {}
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all answers, in order. A body may end without a line break.
fn statuses(answer: &str) -> Vec<&str> {
    let after = answer.split("HTTP/1.1 ").skip(1);
    after.filter_map(|rest| rest.get(..3)).collect()
}

/// Whether there was one answer, which refuses, or none.
fn is_refused(answer: &str) -> bool {
    let statuses = statuses(answer);
    statuses.len() <= 1 && statuses.iter().all(|status| status.starts_with('4'))
}

#[tokio::test]
async fn no_way_around_a_role_leads_through_the_gate() {
    assert!(ATTEMPTS.len() >= 100);
    let gate = gate();
    for (role, method, target, body) in ATTEMPTS {
        // A fragment ends where requests are read: what is left is a route that an operator may take.
        let role = if target.contains('#') { &"viewer" } else { role };
        let body = body.map(padded).unwrap_or_default();
        let kind = "Content-Type: application/json\r\nConnection: close";
        let length = body.len();
        let whole =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {length}\r\n\r\n");
        let answer = sent(&gate, role, &[whole.as_bytes(), &body].concat()).await;
        assert!(is_refused(&answer), "{role} {method} {target}: {answer}");
        if body.is_empty() {
            continue;
        }
        // The same in chunks: nobody says how long it will be.
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut chunked = head.into_bytes();
        for chunk in body.chunks(60_000) {
            chunked.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            chunked.extend(chunk);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        let answer = sent(&gate, role, &chunked).await;
        assert!(
            is_refused(&answer),
            "{role} {method} {target} in chunks: {answer}"
        );
    }
    assert_eq!(gate.engine().seen.targets(), Vec::<String>::new());
    let allowed = gate.get(&gate.fleet.client("viewer"), "/info").await;
    assert_eq!(allowed.0, 200, "a gate that refuses everything would pass");
}

const STOP: &str = "POST /containers/db/stop HTTP/1.1\r\nHost: x\r\n\r\n";

/// What is smuggled: bytes of which the gate might take a part for a body, or for another protocol, and the engine for a
/// request. `{stop}` is a request that a viewer may not make.
const SMUGGLED: &[&str] = &[
    "GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 49\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 49\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 49\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: +49\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 0x31\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nContent-Length : 49\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0;\n{stop}\r\n\r\n",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{stop}",
    "GET /info HTTP/1.1\nHost: x\n\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nX: \rContent-Length: 49\r\n\r\n{stop}",
    "GET http://docker/containers/db/stop HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST http://docker/containers/db/stop HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST unix:///var/run/docker.sock HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT docker:2375 HTTP/1.1\r\nHost: docker:2375\r\n\r\n{stop}",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{stop}",
    "POST /containers/db/stop HTTP/2.0\r\nHost: x\r\n\r\n",
    "POST /containers/db/stop HTTP/1.2\r\nHost: x\r\n\r\n",
    "POST /containers/db/stop HTTP/0.9\r\n\r\n",
    "POST /containers/db/stop\r\n\r\n",
    "GET /info HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "POST /session HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "GET /containers/db/attach/ws?stdin=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "POST /exec/1/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}",
    "GET /info HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{stop}",
    "GET /info HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
];

#[tokio::test]
async fn nothing_is_smuggled_past_a_role() {
    let gate = gate();
    for attempt in SMUGGLED {
        let bytes = attempt.replace("{stop}", STOP);
        let answer = answered(&gate, "viewer", bytes.as_bytes()).await;
        // The request in front may be on its way before the bytes behind it turn out to be nothing.
        let last = statuses(&answer).pop();
        assert!(
            last.is_none_or(|status| status.starts_with('4')),
            "{attempt:?}: {answer}"
        );
    }
    // What stands between two requests, each of which is one.
    for first in [
        "GET /info HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        "GET /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let last = STOP.replace("Host: x", "Host: x\r\nConnection: close");
        let answer = sent(&gate, "viewer", format!("{first}{last}").as_bytes()).await;
        assert!(
            answer.contains("does not allow ContainerStop"),
            "{first:?}: {answer}"
        );
    }
    let targets = gate.engine().seen.targets();
    assert!(
        targets
            .iter()
            .all(|target| target == "/info" || target == "/_ping"),
        "{targets:?}"
    );
    assert!(targets.len() >= 4, "{targets:?}");
}
