//! Who gets through the gate, and until when.

use std::time::Duration;

use dockwarden::gate::{CutReason, Denial, Facts, Policy};
use dockwarden::pki::chain::VerifiedPeer;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::gate::{Harness, eventually, get, next_frame, open, read_to_end, send};
use crate::support::pki::{ClientAuth, DAY, Fleet, Signed, Spec, t0};

#[tokio::test]
async fn a_client_of_the_fleet_reaches_the_engine() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    assert_eq!(gate.get(&alice, "/_ping").await, (200, "OK".to_owned()));
    assert_eq!(gate.engine().seen.targets(), ["/_ping"]);
}

#[tokio::test]
async fn nobody_else_does() {
    let gate = Harness::start();
    let other = Fleet::new();
    let client = |spec| gate.fleet.clients.issue(spec);
    let strangers = [
        ("no certificate", None),
        ("self-signed", Some(Signed::self_signed(Spec::client("alice")))),
        ("another CA", Some(other.client("alice"))),
        ("a host leaf", Some(gate.fleet.host("web-02"))),
        (
            "a client leaf of the hosts issuer",
            Some(gate.fleet.hosts.issue(Spec::client("mallory"))),
        ),
        (
            "expired",
            Some(client(Spec::client("old").dates(t0() - DAY * 2, t0() - DAY))),
        ),
        (
            "not yet valid",
            Some(client(Spec::client("new").dates(t0() + DAY, t0() + DAY * 2))),
        ),
        ("no identity", Some(client(Spec::client("a b")))),
        (
            "both purposes, wrong issuer",
            Some(gate.fleet.hosts.issue(Spec::at(t0(), "x", &[ClientAuth]))),
        ),
    ];
    for (who, leaf) in strangers {
        let answer = match gate.dial(leaf.as_ref()).await {
            Ok(mut stream) => {
                // With TLS 1.3 the client's half of the handshake is over before the refusal arrives.
                let _ = stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
                read_to_end(&mut stream).await
            }
            Err(_) => String::new(),
        };
        assert_eq!(answer, "", "{who}");
    }
    let mut plain = TcpStream::connect(gate.address).await.unwrap();
    plain
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut plain).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    assert_eq!(
        gate.engine().seen.targets(),
        Vec::<String>::new(),
        "nothing reached the engine"
    );
    assert!(gate.registry.is_empty());
}

#[tokio::test]
async fn an_expired_client_is_refused_on_an_open_connection() {
    let gate = Harness::start();
    let alice = gate
        .fleet
        .clients
        .issue(Spec::client("alice").dates(t0() - DAY, t0() + Duration::from_secs(60)));
    let mut sender = gate.connect(&alice).await;
    assert_eq!(send(&mut sender, get("/_ping")).await.unwrap().0, 200);
    gate.clock.advance(Duration::from_secs(59));
    assert_eq!(send(&mut sender, get("/_ping")).await.unwrap().0, 200);
    gate.clock.advance(Duration::from_secs(2));
    // Either the request is denied, or the connection was already closed: never an answer of the engine.
    match send(&mut sender, get("/_ping")).await {
        Ok((status, body)) => {
            assert_eq!(status, 403);
            assert!(body.contains("alice expired at"), "{body}");
        }
        Err(error) => assert!(
            error.is_closed() || error.is_canceled() || error.is_incomplete_message(),
            "{error:?}"
        ),
    }
    eventually("the connection is gone", || gate.registry.is_empty()).await;
    assert_eq!(gate.engine().seen.targets().len(), 2);
}

#[tokio::test]
async fn streams_and_tunnels_end_with_the_certificate() {
    let gate = Harness::start();
    let alice = gate
        .fleet
        .clients
        .issue(Spec::client("alice").dates(t0() - DAY, t0() + Duration::from_secs(60)));
    let mut sender = gate.connect(&alice).await;
    let mut events = open(&mut sender, get("/events?ms=20")).await;
    assert_eq!(
        next_frame(&mut events).await.unwrap().as_deref(),
        Some("line 0\n")
    );
    let mut exec = gate.tunnel(&alice, "/exec/1/start").await;
    assert_eq!(gate.registry.len(), 2);
    gate.clock.advance(Duration::from_secs(60));
    let cut = loop {
        match next_frame(&mut events).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(cut.is_err(), "a cut stream must not look complete");
    let mut buffer = [0; 64];
    let end = tokio::time::timeout(Duration::from_secs(5), exec.read(&mut buffer))
        .await
        .unwrap();
    assert!(
        end.is_err(),
        "a cut tunnel must not look like the end of the command: {end:?}"
    );
    eventually("both are gone", || gate.registry.is_empty()).await;
    eventually("the engine let go of them", || gate.engine().seen.open.is_empty()).await;
}

#[tokio::test]
async fn an_issuers_end_ends_its_clients_connections() {
    let gate = Harness::start();
    let short = Spec::ca("clients", &[ClientAuth]).dates(t0() - DAY, t0() + Duration::from_secs(60));
    let alice = gate.fleet.root.issue(short).issue(Spec::client("alice"));
    let mut sender = gate.connect(&alice).await;
    assert_eq!(send(&mut sender, get("/_ping")).await.unwrap().0, 200);
    gate.clock.advance(Duration::from_secs(61));
    assert_ne!(
        send(&mut sender, get("/_ping"))
            .await
            .map_or(403, |(status, _)| status),
        200
    );
}

#[tokio::test]
async fn a_root_that_leaves_the_bundle_takes_its_connections_with_it() {
    let gate = Harness::start();
    let next = Fleet::new();
    let (alice, bob) = (gate.fleet.client("alice"), next.client("bob"));
    let host = gate.fleet.host("web-01");
    gate.publish(&host, &[&gate.fleet, &next]);
    let (mut of_alice, mut of_bob) = (gate.connect(&alice).await, gate.connect(&bob).await);
    let mut stream = gate.connect(&bob).await;
    let mut events = open(&mut stream, get("/events?ms=20")).await;
    let mut exec = gate.tunnel(&bob, "/exec/1/start").await;
    for sender in [&mut of_alice, &mut of_bob] {
        assert_eq!(send(sender, get("/_ping")).await.unwrap().0, 200);
    }
    gate.publish(&host, &[&gate.fleet]);
    let refused = send(&mut of_bob, get("/_ping")).await;
    assert!(!matches!(refused, Ok((200, _))), "{refused:?}");
    assert_eq!(
        send(&mut of_alice, get("/_ping")).await.unwrap().0,
        200,
        "the others stay"
    );
    let cut = loop {
        match next_frame(&mut events).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(cut.is_err(), "a cut stream must not look complete");
    assert_eq!(read_to_end(&mut exec).await, "", "his exec is cut");
    eventually("only alice is left", || gate.registry.len() == 1).await;
}

#[tokio::test]
async fn the_kill_switch_ends_every_connection_of_one_certificate_and_no_other() {
    let gate = Harness::start();
    let (alice, bob) = (gate.fleet.client("alice"), gate.fleet.client("bob"));
    let mut idle = gate.connect(&alice).await;
    assert_eq!(send(&mut idle, get("/_ping")).await.unwrap().0, 200);
    let mut exec = gate.tunnel(&alice, "/exec/1/start").await;
    let mut others = gate.connect(&bob).await;
    assert_eq!(send(&mut others, get("/_ping")).await.unwrap().0, 200);
    let all = gate.registry.all();
    let of_alice = all
        .iter()
        .find(|c| c.peer.verified().name().as_str() == "alice")
        .unwrap();
    let id = of_alice.peer.verified().id().clone();
    assert_eq!(gate.registry.cut(&id, CutReason::Revoked), 2);
    assert_eq!(gate.registry.cut(&id, CutReason::Revoked), 0, "once is enough");
    let mut buffer = [0; 64];
    assert!(exec.read(&mut buffer).await.is_err());
    assert!(send(&mut idle, get("/_ping")).await.is_err());
    eventually("alice is gone", || gate.registry.of(&id).is_empty()).await;
    assert_eq!(send(&mut others, get("/_ping")).await.unwrap().0, 200);
    assert_eq!(gate.registry.len(), 1);
}

struct PingOnly;

impl Policy for PingOnly {
    fn decide(&self, peer: &VerifiedPeer, request: &Facts) -> Result<(), Denial> {
        match request.operation_path() {
            "/_ping" => Ok(()),
            path => Err(Denial::Policy(format!(
                "{} may not {} {path}",
                peer.name(),
                request.method
            ))),
        }
    }
}

#[tokio::test]
async fn a_policy_is_asked_about_every_request_in_its_normal_form() {
    let gate = Harness::with(Default::default(), |gate| {
        gate.with_policy(std::sync::Arc::new(PingOnly))
    });
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    assert_eq!(send(&mut sender, get("/v1.41/_ping")).await.unwrap().0, 200);
    for target in [
        "/info",
        "/_ping/../info",
        "/_ping%2f..%2finfo",
        "/_ping/%2e%2e/info",
        "//_ping/..//info",
    ] {
        let (status, body) = send(&mut sender, get(target)).await.unwrap();
        assert_eq!(
            (status, body.trim()),
            (403, r#"{"message":"dockwarden: alice may not GET /info"}"#),
            "{target}"
        );
    }
    assert_eq!(send(&mut sender, get("/info/..//_ping")).await.unwrap().0, 200);
    assert_eq!(gate.engine().seen.targets(), ["/v1.41/_ping", "/_ping"]);
}

#[tokio::test]
async fn twenty_certificates_are_swapped_without_a_failed_call() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    let mut events = open(&mut sender, get("/events?ms=2")).await;
    let mut exec = gate.tunnel(&alice, "/exec/1/start").await;
    let mut kept = gate.connect(&alice).await;
    let mut serials = Vec::new();
    for _ in 0..20 {
        let host = gate.fleet.host("web-01");
        gate.publish(&host, &[&gate.fleet]);
        let stream = gate.dial(Some(&alice)).await.unwrap();
        let served = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(served, host.der, "the next handshake shows the new certificate");
        serials.push(gate.publish.borrow().serial().clone());
        drop(stream);
        for _ in 0..5 {
            assert_eq!(gate.get(&alice, "/_ping").await.0, 200);
            assert_eq!(send(&mut kept, get("/_ping")).await.unwrap().0, 200);
        }
        exec.write_all(b"x").await.unwrap();
        assert_eq!(exec.read_u8().await.unwrap(), b'x');
    }
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 20);
    for _ in 0..5 {
        assert!(
            next_frame(&mut events).await.unwrap().is_some(),
            "the stream is still there"
        );
    }
}

#[tokio::test]
async fn what_peers_would_refuse_cannot_be_published() {
    use dockwarden::gate::{GateIdentity, IdentityError};
    let gate = Harness::start();
    let fleet = &gate.fleet;
    let host = fleet.host("web-01");
    let verify = |chain: &Signed, key: &Signed, roots: &Fleet| {
        let clock = std::sync::Arc::new(gate.clock.clone());
        GateIdentity::verify(chain.chain(), key.private_key(), roots.anchors(), clock).map(|_| ())
    };
    assert_eq!(verify(&host, &host, fleet), Ok(()));
    let mismatch = verify(&host, &fleet.host("web-01"), fleet);
    assert!(matches!(mismatch, Err(IdentityError::KeyPair(_))), "{mismatch:?}");
    let client = fleet.client("web-01");
    let old = fleet
        .hosts
        .issue(Spec::host("web-01").dates(t0() - DAY * 2, t0() - DAY));
    for (bad, roots) in [(&client, fleet), (&old, fleet), (&host, &Fleet::new())] {
        let refused = verify(bad, bad, roots);
        assert!(matches!(refused, Err(IdentityError::Chain(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn headers_that_claim_an_identity_do_not_cross() {
    let gate = Harness::start();
    let alice = gate.fleet.client("alice");
    let mut sender = gate.connect(&alice).await;
    let request = Request::builder()
        .uri("/info")
        .header("Host", "web-01")
        .header("X-SSL-Client-Verify", "SUCCESS")
        .header("x-forwarded-client-cert", "admin")
        .header("X_Client_Cert", "admin")
        .header("X-Registry-Auth", "kept")
        .header("Connection", "keep-alive, X-Hop")
        .header("X-Hop", "1")
        .body(Full::default())
        .unwrap();
    assert_eq!(send(&mut sender, request).await.unwrap().0, 200);
    let mut names: Vec<_> = gate
        .engine()
        .seen
        .last()
        .headers
        .keys()
        .map(ToString::to_string)
        .collect();
    names.sort();
    assert_eq!(names, ["host", "x-registry-auth"]);
}
