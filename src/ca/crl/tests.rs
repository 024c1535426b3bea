use super::*;
use crate::base::SeededRandom;
use crate::ca::{IssuerUrls, make_issuer, make_root};
use crate::keys::MemoryKey;
use crate::model::IssuerKind;
use crate::pki::crl::Revoked;
use crate::pki::{KeyAlgorithm, PublicKey, RevocationReason, Serial};
use std::sync::Arc;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
}

fn root(algorithm: KeyAlgorithm) -> Root {
    let key = Arc::new(MemoryKey::generate(algorithm).unwrap());
    make_root("Fleet", key, &Serial::draw(&SeededRandom::new(1)), now()).unwrap()
}

fn issuer(key: Arc<dyn IssuerKey>, public: &PublicKey) -> Result<Issuer, crate::ca::IssuerError> {
    let serial = Serial::draw(&SeededRandom::new(2));
    let root = root(KeyAlgorithm::EcdsaP256);
    let certificate = make_issuer(&root, IssuerKind::Clients, "Fleet", public, &serial, now()).unwrap();
    Issuer::new(certificate, key, IssuerKind::Clients, IssuerUrls::none())
}

fn good_issuer(algorithm: KeyAlgorithm) -> Issuer {
    let key = Arc::new(MemoryKey::generate(algorithm).unwrap());
    let public = key.public_key().clone();
    issuer(key, &public).unwrap()
}

fn entries(subjects: Subjects) -> EntryBuffer {
    let mut entries = EntryBuffer::new(subjects);
    entries.insert(&Revoked {
        serial: Serial::draw(&SeededRandom::new(3)),
        revoked_at: now(),
        reason: RevocationReason::KeyCompromise,
        not_after: now(),
    });
    entries
}

fn order(number: u64, predecessor: Option<u64>) -> CrlOrder {
    CrlOrder::new(number, predecessor, now(), CRL_VALIDITY)
}

#[test]
fn issuers_and_roots_of_every_algorithm_sign_their_lists() {
    for algorithm in [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Rsa2048,
    ] {
        let issuer = good_issuer(algorithm);
        let crl = issuer
            .sign_crl(&entries(Subjects::Leaves), order(4, Some(3)))
            .unwrap();
        assert_eq!(crl.check_successor(issuer.certificate(), None, now()), Ok(true));
        assert_eq!((crl.number, crl.entry_count), (4, 1));
        let root = root(algorithm);
        let order = CrlOrder::new(1, None, now(), ROOT_CRL_VALIDITY);
        let crl = root.sign_crl(&entries(Subjects::Issuers), order).unwrap();
        assert_eq!(crl.check_successor(root.certificate(), None, now()), Ok(true));
        assert_eq!(crl.entries().next().unwrap().reason_code, Some(2));
        assert!(crl.check_successor(issuer.certificate(), None, now()).is_err());
    }
}

#[test]
fn a_number_that_does_not_rise_is_not_signed() {
    let issuer = good_issuer(KeyAlgorithm::EcdsaP256);
    for number in [2, 3] {
        let error = issuer
            .sign_crl(&entries(Subjects::Leaves), order(number, Some(3)))
            .unwrap_err();
        assert!(
            matches!(&error, SignCrlError::Lint(findings) if findings[0].rule == "crl_number"),
            "{error}"
        );
    }
}

#[test]
fn a_ca_that_forgot_its_numbers_counts_on() {
    let next = |predecessor| CrlOrder::next(predecessor, now(), CRL_VALIDITY).number;
    let seconds = now().as_secs() as u64;
    assert_eq!(next(None), seconds);
    assert_eq!(next(Some(3)), seconds);
    assert_eq!(next(Some(seconds)), seconds + 1);
    assert_eq!(
        next(Some(seconds + 86_400)),
        seconds + 86_401,
        "the clock was ahead, and came back"
    );
}

#[test]
fn a_list_of_the_other_kind_of_certificates_is_not_signed() {
    let issuer = good_issuer(KeyAlgorithm::EcdsaP256);
    let error = issuer
        .sign_crl(&entries(Subjects::Issuers), order(1, None))
        .unwrap_err();
    assert!(matches!(error, SignCrlError::OtherSubjects(_)));
    let error = root(KeyAlgorithm::EcdsaP256)
        .sign_crl(&entries(Subjects::Leaves), order(1, None))
        .unwrap_err();
    assert!(matches!(error, SignCrlError::OtherSubjects(_)));
}

/// Says one public key and signs with another, or not at all.
#[derive(Debug)]
struct Faulty {
    says: MemoryKey,
    signs: Option<MemoryKey>,
}

impl IssuerKey for Faulty {
    fn public_key(&self) -> &PublicKey {
        self.says.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = self
            .signs
            .as_ref()
            .ok_or_else(|| KeyError::Sign("it was pulled out".into()))?;
        key.sign(message)
    }
}

#[test]
fn a_key_that_fails_or_signs_wrongly_publishes_nothing() {
    let key = || MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    for signs in [None, Some(key())] {
        let is_missing = signs.is_none();
        let faulty = Arc::new(Faulty { says: key(), signs });
        let public = faulty.public_key().clone();
        let issuer = issuer(faulty, &public).unwrap();
        let error = issuer
            .sign_crl(&entries(Subjects::Leaves), order(1, None))
            .unwrap_err();
        let expected = match is_missing {
            true => matches!(error, SignCrlError::Key(_)),
            false => matches!(error, SignCrlError::Corrupt(_)),
        };
        assert!(expected, "{error}");
    }
}
