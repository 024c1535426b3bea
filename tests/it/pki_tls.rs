//! TLS settings, driven through whole handshakes in memory.

use std::sync::Arc;

use dockwarden::base::{Clock, ManualClock};
use dockwarden::pki::chain::{Anchors, ChainError, Purpose};
use dockwarden::pki::tls::{
    ALPN_HTTP1, PeerVerifier, PinMismatch, Pins, Recording, ServerTrust, TlsIdentity, cause, client_config,
    server_config,
};
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};
use rustls_pki_types::ServerName;

use crate::support::pki::{DAY, Fleet, ServerAuth, Signed, Spec, t0};

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(t0()))
}

fn identity(signed: &Signed, chain: Vec<rustls_pki_types::CertificateDer<'static>>) -> Arc<TlsIdentity> {
    Arc::new(TlsIdentity::new(chain, signed.private_key()).unwrap())
}

fn verifier(fleet: &Fleet, accepts: &[Purpose]) -> PeerVerifier {
    PeerVerifier::mandatory(fleet.anchors().shared(), accepts, clock())
}

fn gate(fleet: &Fleet) -> ServerConfig {
    let web = fleet.host("web-01");
    let verifier = Arc::new(verifier(fleet, &[Purpose::Client]));
    server_config(identity(&web, web.chain_with_root()), verifier, ALPN_HTTP1)
}

fn client(fleet: &Fleet, leaf: Option<&Signed>) -> ClientConfig {
    let trust = ServerTrust::Anchors(fleet.anchors().shared());
    client_config(trust, leaf.map(|l| identity(l, l.chain())), clock(), ALPN_HTTP1)
}

/// What each side ended with.
struct Ended {
    server: Result<ServerConnection, rustls::Error>,
    client: Result<ClientConnection, rustls::Error>,
}

/// Runs a handshake to its end, or to the first error of each side.
fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, name: &'static str) -> Ended {
    let name = ServerName::try_from(name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let (mut server_error, mut client_error) = (None, None);
    for _ in 0..20 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() && server_error.is_none() {
            server.read_tls(&mut rest).unwrap();
            server_error = server.process_new_packets().err();
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() && client_error.is_none() {
            client.read_tls(&mut rest).unwrap();
            client_error = client.process_new_packets().err();
        }
    }
    Ended {
        server: server_error.map_or(Ok(server), Err),
        client: client_error.map_or(Ok(client), Err),
    }
}

fn refused(fleet: &Fleet, leaf: Option<&Signed>) -> rustls::Error {
    let ended = handshake(&Arc::new(gate(fleet)), &Arc::new(client(fleet, leaf)), "web-01");
    assert!(ended.client.is_err(), "the client must hear of it");
    ended.server.expect_err("the server must refuse")
}

#[test]
fn resumption_and_early_data_are_off_on_both_sides() {
    let fleet = Fleet::new();
    let (mut server, client) = (gate(&fleet), client(&fleet, Some(&fleet.client("alice"))));
    assert_eq!(server.send_tls13_tickets, 0);
    assert!(!server.session_storage.can_cache());
    assert!(!server.ticketer.enabled());
    assert_eq!(server.max_early_data_size, 0);
    assert!(!client.enable_early_data);
    assert!(
        format!("{:?}", client.resumption).contains("NoClientSessionStorage"),
        "{:?}",
        client.resumption
    );

    // A client of somebody else's making that wants to resume gets a full handshake every time.
    let mut eager = client.clone();
    eager.resumption = Resumption::in_memory_sessions(8);
    let (server12, eager) = (Arc::new(server.clone()), Arc::new(eager));
    for _ in 0..3 {
        let ended = handshake(&server12, &eager, "web-01");
        assert_eq!(ended.client.unwrap().handshake_kind(), Some(HandshakeKind::Full));
    }
    // And our client never offers to, even where the server would.
    server.send_tls13_tickets = 4;
    server.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
    let (server, client) = (Arc::new(server), Arc::new(client));
    for _ in 0..3 {
        let ended = handshake(&server, &client, "web-01");
        assert_eq!(ended.client.unwrap().handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn a_client_leaf_gets_in_and_is_recorded() {
    let fleet = Fleet::new();
    let web = fleet.host("web-01");
    let recording = Arc::new(Recording::new(Arc::new(verifier(&fleet, &[Purpose::Client]))));
    let server = server_config(identity(&web, web.chain()), recording.clone(), ALPN_HTTP1);
    let ended = handshake(
        &Arc::new(server),
        &Arc::new(client(&fleet, Some(&fleet.client("alice")))),
        "web-01",
    );
    assert_eq!(
        ended.server.unwrap().alpn_protocol(),
        Some(b"http/1.1".as_slice())
    );
    let peer = recording.outcome().unwrap().as_ref().unwrap();
    assert_eq!(peer.name().as_str(), "alice");
}

#[test]
fn the_wrong_certificates_fail_the_handshake_with_the_alert_that_tells_most() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let expired = fleet
        .clients
        .issue(Spec::client("old").dates(t0() - DAY * 9, t0() - DAY));
    let early = fleet
        .clients
        .issue(Spec::client("new").dates(t0() + DAY, t0() + DAY * 9));
    let host = fleet.host("web-02");
    let stranger = other.client("alice");
    let self_signed = Signed::self_signed(Spec::client("alice"));
    for (leaf, expected) in [
        (Some(&expired), "Expired"),
        (Some(&early), "NotValidYet"),
        (Some(&host), "InvalidPurpose"),
        (Some(&stranger), "BadSignature"),
        (Some(&self_signed), "UnknownIssuer"),
        (None, "NoCertificatesPresented"),
    ] {
        let error = format!("{:?}", refused(&fleet, leaf));
        assert!(error.contains(expected), "expected {expected}, got {error}");
    }
}

#[test]
fn the_api_server_accepts_hosts_and_clients_and_nobody() {
    let fleet = Fleet::new();
    let web = fleet.host("ca.fleet.internal");
    let accepts = [Purpose::Client, Purpose::HostServer];
    let verifier = Arc::new(PeerVerifier::optional(
        fleet.anchors().shared(),
        &accepts,
        clock(),
    ));
    let server = Arc::new(server_config(
        identity(&web, web.chain()),
        verifier.clone(),
        ALPN_HTTP1,
    ));
    for leaf in [None, Some(fleet.client("alice")), Some(fleet.host("web-01"))] {
        let ended = handshake(
            &server,
            &Arc::new(client(&fleet, leaf.as_ref())),
            "ca.fleet.internal",
        );
        let connection = ended.server.unwrap();
        let peer = connection
            .peer_certificates()
            .map(|chain| verifier.verify(chain).unwrap());
        assert_eq!(peer.map(|p| p.name().to_string()), leaf.map(|l| l.name()));
    }
    let bad = Signed::self_signed(Spec::client("alice"));
    assert!(
        handshake(
            &server,
            &Arc::new(client(&fleet, Some(&bad))),
            "ca.fleet.internal"
        )
        .server
        .is_err()
    );
}

#[test]
fn new_anchors_count_from_the_next_handshake_on() {
    let (fleet, next) = (Fleet::new(), Fleet::new());
    let web = fleet.host("web-01");
    let anchors = fleet.anchors().shared();
    let verifier = Arc::new(PeerVerifier::mandatory(
        anchors.clone(),
        &[Purpose::Client],
        clock(),
    ));
    let server = Arc::new(server_config(identity(&web, web.chain()), verifier, ALPN_HTTP1));
    let alice = Arc::new(client(&fleet, Some(&fleet.client("alice"))));
    assert!(handshake(&server, &alice, "web-01").server.is_ok());
    anchors.store(Arc::new(next.anchors()));
    assert!(handshake(&server, &alice, "web-01").server.is_err());
}

#[test]
fn a_client_refuses_servers_that_are_not_ours_and_says_why() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let clients = Arc::new(client(&fleet, Some(&fleet.client("alice"))));
    let dial = |server: ServerConfig, name| {
        let error = handshake(&Arc::new(server), &clients, name)
            .client
            .expect_err("refused");
        cause::<ChainError>(&std::io::Error::other(error))
            .expect("our own error")
            .clone()
    };
    assert!(matches!(
        dial(gate(&fleet), "web-02"),
        ChainError::WrongServerName { .. }
    ));
    assert!(matches!(
        dial(gate(&other), "web-01"),
        ChainError::BadSignature { .. }
    ));
    let alice = fleet.client("alice");
    let accepts = Arc::new(verifier(&fleet, &[Purpose::Client]));
    let posing = server_config(identity(&alice, alice.chain()), accepts, ALPN_HTTP1);
    assert!(matches!(dial(posing, "web-01"), ChainError::WrongPurpose { .. }));
}

fn pinned(fleet: &Fleet) -> Arc<ClientConfig> {
    let pins = Pins(fleet.anchors().pins().collect());
    Arc::new(client_config(ServerTrust::Pins(pins), None, clock(), ALPN_HTTP1))
}

fn open_server(identity: Arc<TlsIdentity>, fleet: &Fleet) -> Arc<ServerConfig> {
    let verifier = PeerVerifier::optional(fleet.anchors().shared(), &[Purpose::Client], clock());
    Arc::new(server_config(identity, Arc::new(verifier), ALPN_HTTP1))
}

#[test]
fn a_pin_accepts_the_server_whose_chain_ends_in_it() {
    let fleet = Fleet::new();
    let ca = fleet.host("ca.fleet.internal");
    let server = open_server(identity(&ca, ca.chain_with_root()), &fleet);
    assert!(
        handshake(&server, &pinned(&fleet), "ca.fleet.internal")
            .client
            .is_ok()
    );
    let error = handshake(&server, &pinned(&fleet), "other").client.err().unwrap();
    assert!(
        matches!(cause(&error), Some(ChainError::WrongServerName { .. })),
        "{error}"
    );
    let found = Pins(fleet.anchors().pins().collect()).anchors_in(&ca.chain_with_root());
    assert_eq!(found, Some(fleet.anchors()));
}

#[test]
fn a_pin_mismatch_carries_what_was_presented() {
    let (fleet, corp) = (
        Fleet::new(),
        Signed::self_signed(Spec::ca("Corp Proxy Root", &[])),
    );
    let proxy = corp.issue(Spec::host("ca.fleet.internal"));
    let corp_pin = Anchors::parse([&corp.der]).unwrap().pins().next().unwrap();
    let plain = proxy.chain_with_root();
    // The real root is public; sending it along proves nothing.
    let stuffed = [plain.clone(), vec![fleet.root.der.clone()]].concat();
    for chain in [plain, stuffed] {
        let server = open_server(identity(&proxy, chain), &fleet);
        let error = handshake(&server, &pinned(&fleet), "ca.fleet.internal")
            .client
            .err()
            .unwrap();
        let mismatch: &PinMismatch = cause(&error).expect("a pin mismatch");
        let presented = mismatch.presented.as_ref().unwrap();
        assert_eq!(
            (presented.name.as_str(), presented.spki_sha256),
            ("Corp Proxy Root", corp_pin)
        );
        assert_eq!(mismatch.pins, fleet.anchors().pins().collect::<Vec<_>>());
    }
}

#[test]
fn a_pinned_leaf_is_not_a_ca() {
    let fleet = Fleet::new();
    let lone = Signed::self_signed(Spec::at(t0(), "ca", &[ServerAuth]).sans(&["ca.fleet.internal"]));
    let spki = rustls::server::ParsedCertificate::try_from(&lone.der)
        .unwrap()
        .subject_public_key_info();
    let pins = Pins(vec![dockwarden::base::encoding::sha256(&spki)]);
    let client = client_config(ServerTrust::Pins(pins), None, clock(), ALPN_HTTP1);
    let server = open_server(identity(&lone, vec![lone.der.clone()]), &fleet);
    assert!(
        handshake(&server, &Arc::new(client), "ca.fleet.internal")
            .client
            .is_err()
    );
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let fleet = Fleet::new();
    let (alice, bob) = (fleet.client("alice"), fleet.client("bob"));
    let error = TlsIdentity::new(alice.chain(), bob.private_key()).unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
    let identity = TlsIdentity::new(alice.chain(), alice.private_key()).unwrap();
    assert!(identity.replace(bob.chain(), alice.private_key()).is_err());
    assert_eq!(identity.current().cert, alice.chain(), "the old pair stays");
    identity.replace(bob.chain(), bob.private_key()).unwrap();
    assert_eq!(identity.current().cert, bob.chain());
}

#[derive(Debug)]
struct StandStill;

impl rustls::time_provider::TimeProvider for StandStill {
    fn current_time(&self) -> Option<rustls_pki_types::UnixTime> {
        let now = std::time::Duration::from_secs(u64::try_from(t0().as_secs()).unwrap());
        Some(rustls_pki_types::UnixTime::since_unix_epoch(now))
    }
}

#[test]
fn tls_1_2_works_both_ways_and_proves_the_key() {
    let fleet = Fleet::new();
    let alice = fleet.client("alice");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(fleet.root.der.clone()).unwrap();
    let old_client =
        ClientConfig::builder_with_details(dockwarden::pki::tls::provider(), Arc::new(StandStill))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(alice.chain(), alice.private_key())
            .unwrap();
    let ended = handshake(&Arc::new(gate(&fleet)), &Arc::new(old_client), "web-01");
    assert_eq!(
        ended.server.unwrap().protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_2)
    );
    let web = fleet.host("web-01");
    let mut old_server = ServerConfig::builder_with_provider(dockwarden::pki::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_client_cert_verifier(Arc::new(verifier(&fleet, &[Purpose::Client])))
        .with_single_cert(web.chain(), web.private_key())
        .unwrap();
    old_server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let ended = handshake(
        &Arc::new(old_server),
        &Arc::new(client(&fleet, Some(&alice))),
        "web-01",
    );
    assert_eq!(
        ended.client.unwrap().protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_2)
    );
}
