use super::*;
use crate::base::SeededRandom;
use crate::keys::MemoryKey;
use crate::pki::KeyAlgorithm;
use crate::pki::cert::{BasicConstraints as Constraints, ExtendedKeyUsage, KeyUsage};

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
}

fn serial(seed: u64) -> Serial {
    Serial::draw(&SeededRandom::new(seed))
}

fn key() -> Arc<dyn IssuerKey> {
    Arc::new(MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap())
}

fn root() -> Root {
    make_root("Fleet", key(), &serial(1), now()).unwrap()
}

#[test]
fn a_root_signs_itself_and_may_sign_issuers() {
    let root = root();
    let facts = root.certificate();
    assert!(facts.is_self_issued());
    facts.verify_signature(&facts.public_key().unwrap()).unwrap();
    assert_eq!(
        facts.basic_constraints,
        Some(Constraints {
            ca: true,
            path_len: None
        })
    );
    assert_eq!(
        facts.key_usage,
        Some(KeyUsage(KeyUsage::KEY_CERT_SIGN.0 | KeyUsage::CRL_SIGN.0))
    );
    assert_eq!(facts.not_after, now() + ROOT_LIFETIME);
    assert!(
        facts.is_valid_at(now() - CA_BACKDATE),
        "clocks that run an hour late accept it"
    );
    let id = hex(facts.subject_key_id.as_ref().unwrap());
    assert_eq!(
        facts.common_name.as_deref(),
        Some(format!("Fleet root {}", &id[..8]).as_str())
    );
}

#[test]
fn an_issuer_is_limited_to_one_purpose_and_to_leaves() {
    let root = root();
    for (kind, purpose) in [
        (IssuerKind::Hosts, ExtendedKeyUsage::ServerAuth),
        (IssuerKind::Clients, ExtendedKeyUsage::ClientAuth),
    ] {
        let issuer = make_issuer(&root, kind, "Fleet", key().public_key(), &serial(2), now()).unwrap();
        assert_eq!(issuer.extended_key_usages, Some(vec![purpose]));
        assert_eq!(
            issuer.basic_constraints,
            Some(Constraints {
                ca: true,
                path_len: Some(0)
            })
        );
        assert_eq!(issuer.issuer, root.certificate().subject);
        assert_eq!(issuer.authority_key_id, root.certificate().subject_key_id);
        assert_eq!(issuer.not_after, now() + ISSUER_LIFETIME);
        issuer
            .verify_signature(&root.certificate().public_key().unwrap())
            .unwrap();
    }
}

#[test]
fn two_issuers_of_one_kind_never_share_a_name() {
    let root = root();
    let make = || {
        make_issuer(
            &root,
            IssuerKind::Hosts,
            "Fleet",
            key().public_key(),
            &serial(2),
            now(),
        )
        .unwrap()
    };
    assert_ne!(make().subject, make().subject);
}

#[test]
fn an_issuer_ends_with_its_root_and_none_is_made_under_an_expired_one() {
    let root = root();
    let end = root.certificate().not_after;
    let make = |at| {
        make_issuer(
            &root,
            IssuerKind::Hosts,
            "Fleet",
            key().public_key(),
            &serial(2),
            at,
        )
    };
    assert_eq!(make(end - ISSUER_LIFETIME / 2).unwrap().not_after, end);
    for at in [end + CA_BACKDATE, now() - 2 * CA_BACKDATE] {
        assert!(matches!(make(at), Err(CeremonyError::RootNotValid(..))));
    }
}

#[test]
fn names_are_printable_and_bounded() {
    let make = |name: &str| make_root(name, key(), &serial(1), now()).map(|_| ());
    let longest = "ä".repeat(CA_NAME_CHARS_MAX);
    assert_eq!(make(&longest), Ok(()));
    for bad in ["", "  ", "a\nb", "a\0", &format!("{longest}x")] {
        assert!(matches!(make(bad), Err(CeremonyError::Name(_))), "{bad:?}");
    }
}

#[test]
fn a_root_and_its_key_belong_together() {
    let certificate = root().certificate().clone();
    assert_eq!(
        Root::new(certificate, key()).unwrap_err(),
        CeremonyError::KeyMismatch
    );
}

#[test]
fn the_longest_name_fits_a_common_name_for_every_part() {
    let longest = "x".repeat(CA_NAME_CHARS_MAX);
    let root = make_root(&longest, key(), &serial(1), now()).unwrap();
    for kind in IssuerKind::ALL {
        let issuer = make_issuer(&root, kind, &longest, key().public_key(), &serial(2), now()).unwrap();
        assert!(issuer.common_name.unwrap().len() <= 64);
    }
}
