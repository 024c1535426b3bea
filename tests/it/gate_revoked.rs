//! A revoked client at the gate: in the handshake, on a connection that stands, in a stream, with a ticket; and a gate
//! that cannot know any more who was revoked.

use std::sync::Arc;
use std::time::Duration;

use dockwarden::gate::{CutReason, Limits};
use dockwarden::model::{Enforced, IssuerKind};
use dockwarden::pki::tls::{ALPN_HTTP1, ServerTrust, TlsIdentity, client_config, server_config};
use dockwarden::pki::{RevokedSet, tls};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::gate::{Harness, PATIENCE, eventually, get, next_frame, open, read_to_end, send};
use crate::support::pki::{DAY, Signed, t0};

fn start(patience: Option<Duration>) -> (Harness, Arc<Enforced>) {
    let enforced = Arc::new(Enforced::new(patience));
    enforced.begin(RevokedSet::new(), t0());
    let given = Arc::clone(&enforced);
    let gate = Harness::with(Limits::default(), |gate| gate.with_enforced(given));
    (gate, enforced)
}

fn revoke(gate: &Harness, enforced: &Enforced, leaf: &Signed) -> usize {
    let serial = dockwarden::pki::Certificate::parse(&leaf.der).unwrap().serial;
    enforced.revoke([(IssuerKind::Clients, &serial)]);
    gate.registry.cut_revoked(enforced)
}

const PING: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n";

/// What a client with this TLS configuration sees: the kind of its handshake and the answer, or the error it prints.
async fn ask(
    address: std::net::SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<(HandshakeKind, String), String> {
    let asking = async {
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from("web-01").unwrap();
        let mut stream = TlsConnector::from(Arc::clone(config))
            .connect(name, socket)
            .await?;
        stream.write_all(PING).await?;
        let mut bytes = vec![0; 4096];
        let count = stream.read(&mut bytes).await?;
        let kind = stream.get_ref().1.handshake_kind().unwrap();
        Ok::<_, std::io::Error>((kind, String::from_utf8_lossy(&bytes[..count]).into_owned()))
    };
    let asked = tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("an answer in time");
    asked.map_err(|error| error.to_string())
}

fn config_of(gate: &Harness, leaf: &Signed) -> ClientConfig {
    let trust = ServerTrust::Anchors(gate.fleet.anchors().shared());
    let identity = TlsIdentity::new(leaf.chain(), leaf.private_key()).unwrap();
    let clock = Arc::new(dockwarden::base::ManualClock::new(t0()));
    client_config(trust, Some(Arc::new(identity)), clock, ALPN_HTTP1)
}

#[tokio::test]
async fn a_revoked_client_is_told_so_in_the_handshake_and_others_are_let_in() {
    let (gate, enforced) = start(None);
    let (alice, mallory) = (gate.fleet.client("alice"), gate.fleet.client("mallory"));
    let config = Arc::new(config_of(&gate, &mallory));
    assert!(
        ask(gate.address, &config)
            .await
            .unwrap()
            .1
            .starts_with("HTTP/1.1 200")
    );
    eventually("the connection is gone", || gate.registry.is_empty()).await;
    assert_eq!(revoke(&gate, &enforced, &mallory), 0);
    for _ in 0..20 {
        // What the client wrote before it could know must not turn the alert into a reset.
        let error = ask(gate.address, &config).await.unwrap_err();
        assert!(error.contains("CertificateRevoked"), "{error}");
    }
    assert_eq!(gate.get(&alice, "/_ping").await.0, 200);
    assert_eq!(gate.engine().seen.targets().len(), 2);
}

#[tokio::test]
async fn everything_that_is_open_ends_at_once() {
    let (gate, enforced) = start(None);
    let (alice, mallory) = (gate.fleet.client("alice"), gate.fleet.client("mallory"));
    let mut idle = gate.connect(&mallory).await;
    assert_eq!(send(&mut idle, get("/_ping")).await.unwrap().0, 200);
    let mut streaming = gate.connect(&mallory).await;
    let mut events = open(&mut streaming, get("/events?ms=20")).await;
    assert!(next_frame(&mut events).await.unwrap().is_some());
    let mut exec = gate.tunnel(&mallory, "/exec/1/start").await;
    let mut bystander = gate.tunnel(&alice, "/exec/1/start").await;
    assert_eq!(gate.registry.len(), 4);
    assert_eq!(revoke(&gate, &enforced, &mallory), 3);
    assert_eq!(revoke(&gate, &enforced, &mallory), 0, "once");
    assert!(send(&mut idle, get("/_ping")).await.is_err());
    let cut = loop {
        match next_frame(&mut events).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(cut.is_err(), "a cut stream must not look complete");
    read_to_end(&mut exec).await;
    eventually("only the bystander is left", || gate.registry.len() == 1).await;
    bystander.write_all(b"still here\n").await.unwrap();
    let mut buffer = [0; 64];
    assert!(bystander.read(&mut buffer).await.unwrap() > 0);
    assert_eq!(
        gate.engine()
            .seen
            .targets()
            .iter()
            .filter(|t| *t == "/_ping")
            .count(),
        1
    );
}

#[tokio::test]
async fn the_next_request_is_refused_even_where_nobody_has_cut() {
    let (gate, enforced) = start(None);
    let mallory = gate.fleet.client("mallory");
    for _ in 0..10 {
        let mut kept = gate.connect(&gate.fleet.client("bob")).await;
        assert_eq!(send(&mut kept, get("/_ping")).await.unwrap().0, 200);
    }
    let mut kept = gate.connect(&mallory).await;
    assert_eq!(send(&mut kept, get("/_ping")).await.unwrap().0, 200);
    let before = gate.engine().seen.targets().len();
    let serial = dockwarden::pki::Certificate::parse(&mallory.der).unwrap().serial;
    enforced.revoke([(IssuerKind::Clients, &serial)]);
    // Or the sweep was faster: then the connection is gone.
    if let Ok((status, body)) = send(&mut kept, get("/_ping")).await {
        assert_eq!(status, 403);
        assert!(
            body.starts_with("{\"message\":\"dockwarden: ") && body.contains("was revoked"),
            "{body}"
        );
    }
    assert_eq!(gate.engine().seen.targets().len(), before);
}

/// A server of the same host that hands out tickets.
async fn decoy(
    fleet_host: &Signed,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::net::SocketAddr {
    let identity = TlsIdentity::new(fleet_host.chain(), fleet_host.private_key()).unwrap();
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = ALPN_HTTP1.iter().map(|p| p.to_vec()).collect();
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(32);
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(Arc::new(config.clone()));
            tokio::spawn(async move {
                let mut stream = acceptor.accept(socket).await?;
                stream.write_all(b"HTTP/1.1 200 decoy\r\n\r\n").await?;
                stream.shutdown().await?;
                stream.read_to_end(&mut Vec::new()).await
            });
        }
    });
    address
}

#[tokio::test]
async fn a_session_is_never_resumed_and_a_ticket_opens_nothing() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (gate, enforced) = start(None);
        let mallory = gate.fleet.client("mallory");
        let mut config = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots(&gate))
            .with_client_auth_cert(mallory.chain(), mallory.private_key())
            .unwrap();
        config.alpn_protocols = ALPN_HTTP1.iter().map(|p| p.to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(32);
        let config = Arc::new(config);
        // The client does resume where it can: at a server that lets it.
        let decoy = decoy(&gate.fleet.host("web-01"), version).await;
        let mut kinds = Vec::new();
        for _ in 0..3 {
            kinds.push(ask(decoy, &config).await.unwrap().0);
        }
        assert_eq!(
            kinds.last(),
            Some(&HandshakeKind::Resumed),
            "{version:?} {kinds:?}"
        );
        for _ in 0..3 {
            let (kind, answer) = ask(gate.address, &config).await.unwrap();
            assert_eq!(kind, HandshakeKind::Full, "{version:?}");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        revoke(&gate, &enforced, &mallory);
        let error = ask(gate.address, &config).await.unwrap_err();
        assert!(error.contains("CertificateRevoked"), "{version:?} {error}");
    }
}

fn roots(gate: &Harness) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(gate.fleet.root.der.clone()).unwrap();
    roots
}

#[tokio::test]
async fn nothing_that_the_gate_is_built_on_hands_out_tickets() {
    let gate = Harness::start();
    let host = gate.fleet.host("web-01");
    let identity = Arc::new(TlsIdentity::new(host.chain(), host.private_key()).unwrap());
    let verifier = tls::PeerVerifier::mandatory(
        gate.fleet.anchors().shared(),
        &[dockwarden::pki::chain::Purpose::Client],
        Arc::new(dockwarden::base::ManualClock::new(t0())),
    );
    let config = server_config(identity, Arc::new(verifier), ALPN_HTTP1);
    assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    assert!(!config.ticketer.enabled() && !config.session_storage.can_cache());
}

#[tokio::test]
async fn a_gate_that_cannot_know_refuses_everybody_in_words_until_it_knows_again() {
    let (gate, enforced) = start(Some(DAY));
    let alice = gate.fleet.client("alice");
    gate.clock.advance(DAY - Duration::from_secs(1));
    let mut exec = gate.tunnel(&alice, "/exec/1/start").await;
    let connection = gate.registry.all().remove(0);
    assert_eq!(gate.get(&alice, "/_ping").await.0, 200);
    gate.clock.advance(Duration::from_secs(1));
    read_to_end(&mut exec).await;
    assert_eq!(connection.reason(), Some(CutReason::Stale));
    let (status, body) = gate.get(&alice, "/_ping").await;
    assert_eq!(status, 403);
    assert!(
        body.starts_with("{\"message\":\"dockwarden: this host has not heard of its server since"),
        "{body}"
    );
    enforced.heard(t0() + DAY);
    assert_eq!(gate.get(&alice, "/_ping").await.0, 200);
}

#[tokio::test]
async fn with_on_stale_allow_it_goes_on() {
    let (gate, _) = start(None);
    gate.clock.advance(DAY);
    let alice = gate
        .fleet
        .clients
        .issue(crate::support::pki::Spec::client("alice").dates(t0(), t0() + DAY * 20));
    assert_eq!(gate.get(&alice, "/_ping").await.0, 200);
}
