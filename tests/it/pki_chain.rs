//! Which chains are accepted, and what the others are told.

use std::time::Duration;

use dockwarden::base::{Clock, SystemClock, encoding};
use dockwarden::pki::chain::{
    AnchorError, Anchors, CHAIN_CERTS_MAX, ChainError, Purpose, VerifiedPeer, verify, verify_server,
};
use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::support::pki::{ClientAuth, DAY, Fleet, ServerAuth, Signed, Spec, t0};

type Chain = Vec<CertificateDer<'static>>;

fn as_client(fleet: &Fleet, chain: &Chain) -> Result<VerifiedPeer, ChainError> {
    verify(chain, &fleet.anchors(), Purpose::Client, t0())
}

#[test]
fn a_client_leaf_is_identified_by_issuer_and_serial() {
    let fleet = Fleet::new();
    let alice = fleet.clients.issue(Spec {
        serial: Some(0x1234),
        ..Spec::client("Alice")
    });
    for chain in [alice.chain(), alice.chain_with_root()] {
        let peer = as_client(&fleet, &chain).unwrap();
        assert_eq!(peer.name().as_str(), "alice");
        assert_eq!(peer.serial().to_string(), "1234");
        assert_eq!(peer.purpose(), Purpose::Client);
        assert_eq!(
            (peer.not_before(), peer.not_after()),
            (t0() - DAY, t0() + DAY * 30)
        );
        let spki = x509_parser_spki(&fleet.clients.der);
        assert_eq!(peer.id().issuer.0, encoding::sha256(&spki));
    }
}

fn x509_parser_spki(der: &CertificateDer<'_>) -> Vec<u8> {
    rustls::server::ParsedCertificate::try_from(der)
        .unwrap()
        .subject_public_key_info()
        .to_vec()
}

#[test]
fn a_host_leaf_never_verifies_as_a_client_nor_a_client_leaf_as_a_host() {
    let fleet = Fleet::new();
    let (host, alice) = (fleet.host("web-01"), fleet.client("alice"));
    assert!(verify(&host.chain(), &fleet.anchors(), Purpose::HostServer, t0()).is_ok());
    assert!(
        matches!(as_client(&fleet, &host.chain()), Err(ChainError::WrongPurpose { name, .. }) if name == "web-01")
    );
    let backwards = verify(&alice.chain(), &fleet.anchors(), Purpose::HostServer, t0());
    assert!(
        matches!(backwards, Err(ChainError::WrongPurpose { .. })),
        "{backwards:?}"
    );
}

#[test]
fn a_leaf_from_the_wrong_issuer_is_refused_whatever_it_says_about_itself() {
    let fleet = Fleet::new();
    for usages in [vec![ClientAuth], vec![ClientAuth, ServerAuth]] {
        let stolen = fleet.hosts.issue(Spec::at(t0(), "mallory", &usages));
        let refused = as_client(&fleet, &stolen.chain());
        assert!(
            matches!(refused, Err(ChainError::IssuerPurpose { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn a_leaf_without_extended_key_usage_is_good_for_nothing() {
    let fleet = Fleet::new();
    for usages in [vec![], vec![rcgen::ExtendedKeyUsagePurpose::Any]] {
        let leaf = fleet.clients.issue(Spec::at(t0(), "mallory", &usages));
        for purpose in [Purpose::Client, Purpose::HostServer] {
            let refused = verify(&leaf.chain(), &fleet.anchors(), purpose, t0());
            assert!(
                matches!(refused, Err(ChainError::WrongPurpose { .. })),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn dates_are_checked_to_the_second_on_leaf_issuer_and_root() {
    let fleet = Fleet::new();
    let alice = fleet.client("alice");
    let verify_at = |now| verify(&alice.chain(), &fleet.anchors(), Purpose::Client, now);
    let second = Duration::from_secs(1);
    let (first, last) = (t0() - DAY, t0() + DAY * 30);
    assert!(verify_at(first).is_ok() && verify_at(last).is_ok());
    assert!(matches!(
        verify_at(first - second),
        Err(ChainError::NotYetValid { .. })
    ));
    assert!(matches!(verify_at(last + second), Err(ChainError::Expired { name, .. }) if name == "alice"));

    let short = |usages| Spec::ca("short", usages).dates(t0() - DAY, t0() + DAY);
    let issuer = fleet.root.issue(short(&[ClientAuth]));
    let peer = as_client(&fleet, &issuer.issue(Spec::client("bob")).chain()).unwrap();
    assert_eq!(
        peer.valid_until(),
        t0() + DAY,
        "an issuer's end is the chain's end"
    );
    assert_eq!(peer.check_dates(t0() + DAY), Ok(()));
    assert!(matches!(
        peer.check_dates(t0() + DAY + second),
        Err(ChainError::Expired { .. })
    ));
    assert!(matches!(
        peer.check_dates(t0() - DAY - second),
        Err(ChainError::NotYetValid { .. })
    ));
    let late = verify(
        &issuer.issue(Spec::client("bob")).chain(),
        &fleet.anchors(),
        Purpose::Client,
        t0() + DAY * 2,
    );
    assert!(matches!(late, Err(ChainError::Expired { name, .. }) if name == "short"));

    let root = Signed::self_signed(short(&[]));
    let clients = root.issue(Spec::ca("clients", &[ClientAuth]));
    let chain = clients.issue(Spec::client("bob")).chain();
    let anchors = Anchors::parse([&root.der]).unwrap();
    assert!(verify(&chain, &anchors, Purpose::Client, t0()).is_ok());
    let late = verify(&chain, &anchors, Purpose::Client, t0() + DAY * 2);
    assert!(matches!(late, Err(ChainError::AnchorDates { root, .. }) if root == "short"));
}

#[test]
fn strangers_are_told_apart() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let bob = Signed::self_signed(Spec::client("bob"));
    assert!(matches!(
        as_client(&fleet, &vec![bob.der]),
        Err(ChainError::SelfSigned { .. })
    ));

    let corp = Signed::self_signed(Spec::ca("corp root", &[]));
    let foreign = corp.issue(Spec::client("bob"));
    for chain in [foreign.chain(), foreign.chain_with_root()] {
        let refused = as_client(&fleet, &chain);
        assert!(
            matches!(refused, Err(ChainError::UnknownIssuer { .. })),
            "{refused:?}"
        );
    }
    // Another CA with the very same names: found by the signature.
    let twin = other.client("alice").chain_with_root();
    assert!(matches!(
        as_client(&fleet, &twin),
        Err(ChainError::BadSignature { .. })
    ));
    // The leaf alone: the issuer is missing.
    let alone = vec![fleet.client("alice").der];
    assert!(matches!(
        as_client(&fleet, &alone),
        Err(ChainError::UnknownIssuer { .. })
    ));
    assert_eq!(as_client(&fleet, &vec![]), Err(ChainError::Empty));
    let garbage = vec![CertificateDer::from(b"garbage".to_vec())];
    assert!(matches!(
        as_client(&fleet, &garbage),
        Err(ChainError::Malformed { index: 0, .. })
    ));
    let root = vec![fleet.root.der.clone()];
    assert!(as_client(&fleet, &root).is_err(), "a CA is nobody's leaf");
    let issuer = vec![fleet.clients.der.clone()];
    assert!(matches!(
        as_client(&fleet, &issuer),
        Err(ChainError::CaAsLeaf { .. })
    ));
}

#[test]
fn one_flipped_bit_anywhere_in_the_chain_is_refused() {
    let fleet = Fleet::new();
    let good = fleet.client("alice").chain();
    for cert in 0..good.len() {
        for position in (0..good[cert].len()).step_by(7) {
            let mut bad = good.clone();
            let mut bytes = bad[cert].to_vec();
            bytes[position] ^= 0x10;
            bad[cert] = CertificateDer::from(bytes);
            assert!(
                as_client(&fleet, &bad).is_err(),
                "byte {position} of certificate {cert}"
            );
        }
    }
}

#[test]
fn the_identity_is_the_first_certificate_whatever_else_is_stuffed_in() {
    let fleet = Fleet::new();
    let (mallory, admin) = (fleet.client("mallory"), fleet.client("admin"));
    let stuffed = vec![mallory.der.clone(), admin.der.clone(), fleet.clients.der.clone()];
    assert_eq!(as_client(&fleet, &stuffed).unwrap().name().as_str(), "mallory");
    // A leaf is no issuer, even for a leaf that names it as one.
    let forged = admin.issue(Spec::client("root"));
    let chain = vec![forged.der, admin.der, fleet.clients.der.clone()];
    assert!(as_client(&fleet, &chain).is_err());
}

#[test]
fn a_common_name_that_is_no_identity_is_refused() {
    let fleet = Fleet::new();
    for name in ["../etc", "a b", "admin,ops", ""] {
        let leaf = fleet.clients.issue(Spec::client(name));
        assert!(
            matches!(as_client(&fleet, &leaf.chain()), Err(ChainError::NoName { .. })),
            "{name}"
        );
    }
}

#[test]
fn junk_issuers_cost_no_time() {
    let fleet = Fleet::new();
    let alice = fleet.client("alice");
    let started = SystemClock.now();
    // The worst shape: every certificate has the same name and could have signed every other one.
    let twins: Chain = (0..100)
        .map(|_| {
            Signed::self_signed_with(Spec::ca("clients", &[ClientAuth]), KeyPair::generate().unwrap()).der
        })
        .collect();
    let making = SystemClock.now().since(started);
    let mut chain = vec![alice.der.clone()];
    chain.extend(twins.iter().cloned());
    let started = SystemClock.now();
    assert_eq!(as_client(&fleet, &chain), Err(ChainError::TooLong(101)));
    chain.truncate(CHAIN_CERTS_MAX);
    assert!(as_client(&fleet, &chain).is_err());
    let mut crowded = chain[..3].to_vec();
    crowded.push(fleet.clients.der.clone());
    assert!(
        as_client(&fleet, &crowded).is_ok(),
        "the real issuer is found among junk"
    );
    crowded.resize(CHAIN_CERTS_MAX + 1, fleet.root.der.clone());
    assert_eq!(
        as_client(&fleet, &crowded),
        Err(ChainError::TooLong(CHAIN_CERTS_MAX + 1))
    );
    let took = SystemClock.now().since(started);
    assert!(took < Duration::from_millis(500).max(making * 4), "{took:?}");
}

#[test]
fn a_server_is_good_for_the_names_in_its_certificate_and_no_others() {
    let fleet = Fleet::new();
    let web = fleet
        .hosts
        .issue(Spec::host("web-01").sans(&["web-01.fleet.internal", "10.0.0.7"]));
    let check = |name: &'static str| {
        verify_server(
            &web.chain(),
            &fleet.anchors(),
            &ServerName::try_from(name).unwrap(),
            t0(),
        )
    };
    for good in ["web-01.fleet.internal", "WEB-01.fleet.internal", "10.0.0.7"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in ["web-01", "web-02.fleet.internal", "10.0.0.8", "fleet.internal"] {
        let refused = check(bad).unwrap_err();
        assert!(
            matches!(&refused, ChainError::WrongServerName { presented, .. } if presented.contains("10.0.0.7")),
            "{refused}"
        );
    }
    let alice = fleet.clients.issue(Spec::client("alice").sans(&["web-01"]));
    let name = ServerName::try_from("web-01").unwrap();
    assert!(
        verify_server(&alice.chain(), &fleet.anchors(), &name, t0()).is_err(),
        "a client is no server"
    );
}

#[test]
fn a_bundle_that_cannot_be_trusted_is_refused_whole() {
    let fleet = Fleet::new();
    let alice = fleet.client("alice").der;
    let garbage = CertificateDer::from(b"garbage".to_vec());
    let mut cut = fleet.root.der.to_vec();
    cut.truncate(cut.len() - 1);
    assert_eq!(Anchors::parse([]), Err(AnchorError::Empty));
    let not_ca = Anchors::parse([&fleet.root.der, &alice]);
    assert!(
        matches!(not_ca, Err(AnchorError::NotCa { index: 1, .. })),
        "{not_ca:?}"
    );
    for bad in [garbage, CertificateDer::from(cut)] {
        let refused = Anchors::parse([&fleet.root.der, &bad]);
        assert!(
            matches!(refused, Err(AnchorError::Malformed { index: 1, .. })),
            "{refused:?}"
        );
    }
    let many = vec![fleet.root.der.clone(); 17];
    assert_eq!(Anchors::parse(&many), Err(AnchorError::TooMany(17)));
    assert!(Anchors::parse(&many[..16]).is_ok());
}

#[test]
fn an_old_root_may_cross_sign_its_successor() {
    let old = Fleet::new();
    let new = Fleet::new();
    let cross = old
        .root
        .issue_for(Spec::ca("next root", &[]), KeyPair::generate().unwrap());
    let clients = cross.issue(Spec::ca("clients", &[ClientAuth]));
    let alice = clients.issue(Spec::client("alice"));
    assert!(as_client(&old, &alice.chain()).is_ok());
    assert!(as_client(&new, &alice.chain()).is_err());
    // Unconstrained above, constrained below: the issuer next to the leaf still decides.
    let hosts = cross.issue(Spec::ca("hosts", &[ServerAuth]));
    let refused = as_client(&old, &hosts.issue(Spec::client("mallory")).chain());
    assert!(
        matches!(refused, Err(ChainError::IssuerPurpose { .. })),
        "{refused:?}"
    );
}

#[test]
fn both_roots_are_good_while_they_rotate() {
    let (old, new) = (Fleet::new(), Fleet::new());
    let both = Anchors::parse([&old.root.der, &new.root.der]).unwrap();
    for fleet in [&old, &new] {
        assert!(verify(&fleet.client("alice").chain(), &both, Purpose::Client, t0()).is_ok());
    }
}
