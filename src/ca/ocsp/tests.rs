use super::*;
use crate::base::SeededRandom;
use crate::ca::{IssuerUrls, make_issuer, make_root};
use crate::model::IssuerKind;
use crate::pki::cert::{ExtendedKeyUsage, split};
use crate::pki::{RevocationReason, der};
use x509_parser::prelude::FromDer;

const REVOKED: CertStatus = CertStatus::Revoked {
    at: Timestamp::EPOCH,
    reason: RevocationReason::KeyCompromise,
};

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
}

struct Fixture {
    issuer: Issuer,
    responder: Responder,
    random: SeededRandom,
}

impl Fixture {
    fn new() -> Self {
        let random = SeededRandom::new(1);
        let key = |algorithm| Arc::new(MemoryKey::generate(algorithm).unwrap());
        let root = make_root(
            "Fleet",
            key(KeyAlgorithm::EcdsaP256),
            &Serial::draw(&random),
            now(),
        )
        .unwrap();
        let key = key(KeyAlgorithm::Rsa2048);
        let kind = IssuerKind::Clients;
        let certificate = make_issuer(
            &root,
            kind,
            "Fleet",
            key.public_key(),
            &Serial::draw(&random),
            now(),
        )
        .unwrap();
        let issuer = Issuer::new(certificate, key, kind, IssuerUrls::none()).unwrap();
        Self {
            responder: Responder::new(&issuer, &random, now()).unwrap(),
            issuer,
            random,
        }
    }

    fn at(&self, now: Timestamp) -> Signing<'_> {
        Signing {
            issuer: &self.issuer,
            random: &self.random,
            now,
        }
    }

    /// Asks about serials of this issuer, or of another one.
    fn request(&self, serials: &[&[u8]], of_ours: bool, nonce: Option<&[u8]>) -> OcspRequest {
        let ca = self.issuer.certificate();
        let digest = |bytes: &[u8]| der::write(der::OCTET_STRING, &[&crate::base::encoding::sha256(bytes)]);
        let name = digest(if of_ours { &ca.subject } else { b"another" });
        let key = digest(ca.public_key().unwrap().key_bytes());
        let seq = |parts: &[&[u8]]| der::write(der::SEQUENCE, parts);
        let sha256 = seq(&[&[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]]);
        let single = |serial: &&[u8]| seq(&[&seq(&[&sha256, &name, &key, &der::write(2, &[serial])])]);
        let list: Vec<u8> = serials.iter().flat_map(single).collect();
        let mut request = OcspRequest::parse(&seq(&[&seq(&[&seq(&[&list])])])).unwrap();
        request.nonce = nonce.map(<[u8]>::to_vec);
        request
    }
}

#[test]
fn a_signer_is_certified_by_its_issuer_for_this_alone() {
    let fixture = Fixture::new();
    let signer = fixture.responder.signer_certificate();
    let issuer = fixture.issuer.certificate();
    assert_eq!(signer.verify_signature(&issuer.public_key().unwrap()), Ok(()));
    assert_eq!(Purpose::of(&signer), Some(Purpose::OcspSigner));
    assert!(signer.has_purpose(&ExtendedKeyUsage::OcspSigning));
    assert_eq!(signer.not_after, now() + OCSP_SIGNER_LIFETIME);
}

#[test]
fn an_answer_is_signed_by_the_signer_it_carries() {
    let fixture = Fixture::new();
    let request = fixture.request(&[&[5], &[6], &[7]], true, Some(&[9; 32]));
    let statuses = [CertStatus::Good, REVOKED, CertStatus::Unknown];
    let answer = fixture
        .responder
        .answer(fixture.at(now()), &request, &statuses)
        .unwrap();
    assert!(answer.has_nonce);
    assert_eq!(
        (answer.this_update, answer.next_update),
        (now() - OCSP_BACKDATE, now() + OCSP_VALIDITY)
    );
    let signer = fixture.responder.signer_certificate();
    // OCSPResponse { successful, [0] { id-pkix-ocsp-basic, OCTET STRING { BasicOCSPResponse } } }
    let mut outer = der::Reader::new(der::only(der::SEQUENCE, &answer.der).unwrap());
    assert_eq!(outer.next().unwrap().raw, [0x0a, 1, 0]);
    let bytes = der::only(der::SEQUENCE, outer.next().unwrap().value).unwrap();
    let mut bytes = der::Reader::new(bytes);
    bytes.next().unwrap();
    let mut basic = der::Reader::new(der::only(der::SEQUENCE, bytes.next().unwrap().value).unwrap());
    let (tbs, algorithm) = (basic.next().unwrap().raw, basic.next().unwrap().raw);
    let signature = der::whole_bytes(basic.next().unwrap().value).unwrap();
    let carried = der::only(der::SEQUENCE, basic.next().unwrap().value).unwrap();
    assert_eq!(carried, signer.der());
    let key = signer.public_key().unwrap();
    assert_eq!(
        SignatureAlgorithm::from_der(algorithm)
            .unwrap()
            .verify(&key, tbs, signature),
        Ok(())
    );
    for id in &request.cert_ids {
        assert!(tbs.windows(id.der().len()).any(|window| window == id.der()));
    }
    assert!(
        split(signer.der()).is_some() && x509_parser::certificate::X509Certificate::from_der(carried).is_ok()
    );
}

#[test]
fn without_a_nonce_an_answer_is_given_again_until_the_status_or_the_time_changes() {
    let fixture = Fixture::new();
    let request = fixture.request(&[&[5]], true, None);
    let ask = |status, later: Duration| {
        fixture
            .responder
            .answer(fixture.at(now() + later), &request, &[status])
            .unwrap()
    };
    let first = ask(CertStatus::Good, Duration::ZERO);
    assert!(Arc::ptr_eq(
        &first,
        &ask(CertStatus::Good, OCSP_KEPT_MAX - Duration::from_secs(1))
    ));
    let revoked = ask(REVOKED, Duration::from_secs(1));
    assert_ne!(first.der, revoked.der);
    let later = ask(CertStatus::Good, OCSP_KEPT_MAX);
    assert_ne!(first.der, later.der);
    assert_eq!(later.next_update, now() + OCSP_KEPT_MAX + OCSP_VALIDITY);
    // The clock jumped back: what was signed in the future is not given again.
    let earlier = fixture.responder.answer(
        fixture.at(now() - Duration::from_secs(60)),
        &request,
        &[CertStatus::Good],
    );
    assert!(earlier.unwrap().this_update < now() - OCSP_BACKDATE);
}

#[test]
fn an_answer_with_a_nonce_is_never_given_again() {
    let fixture = Fixture::new();
    let ask = |nonce: &[u8]| {
        let request = fixture.request(&[&[5]], true, Some(nonce));
        fixture
            .responder
            .answer(fixture.at(now()), &request, &[CertStatus::Good])
            .unwrap()
    };
    let answer = ask(&[1; 16]);
    assert!(answer.der.windows(16).any(|window| window == [1; 16]));
    assert!(!Arc::ptr_eq(&answer, &ask(&[1; 16])));
    assert_eq!(fixture.responder.kept.lock().unwrap().len(), 0);
}

#[test]
fn what_is_kept_is_bounded() {
    let fixture = Fixture::new();
    let request = |n: u16| fixture.request(&[&[&[1][..], &n.to_be_bytes()].concat()], true, None);
    let mut kept = fixture.responder.kept.lock().unwrap();
    let answer = Arc::new(OcspAnswer {
        der: Bytes::new(),
        this_update: now(),
        next_update: now(),
        produced_at: now(),
        has_nonce: false,
    });
    for n in 0..10_000 {
        kept.put(cache::key(&request(n), &[CertStatus::Good]), Arc::clone(&answer));
    }
    assert!((4096..=8192).contains(&kept.len()), "{}", kept.len());
    assert!(
        kept.get(&cache::key(&request(9_999), &[CertStatus::Good]))
            .is_some()
    );
    assert!(kept.get(&cache::key(&request(0), &[CertStatus::Good])).is_none());
}

#[test]
fn a_signer_is_renewed_at_half_of_its_life_and_after_a_jump_of_the_clock() {
    let fixture = Fixture::new();
    let first = fixture.responder.signer_certificate();
    let renew = |now| fixture.responder.renew(fixture.at(now)).unwrap();
    assert!(!renew(now() + OCSP_SIGNER_LIFETIME / 3));
    assert!(renew(
        now() + OCSP_SIGNER_LIFETIME / 2 + Duration::from_secs(3600)
    ));
    let second = fixture.responder.signer_certificate();
    assert_ne!(first.spki, second.spki);
    assert!(renew(now()), "before its beginning");
    let request = fixture.request(&[&[5]], true, None);
    let far = now() + 4 * OCSP_SIGNER_LIFETIME;
    fixture
        .responder
        .answer(fixture.at(far), &request, &[CertStatus::Good])
        .unwrap();
    assert!(fixture.responder.signer_certificate().is_valid_at(far));
}

#[test]
fn an_issuer_that_ended_has_no_answers_and_a_last_answer_ends_with_its_signer() {
    let fixture = Fixture::new();
    let request = fixture.request(&[&[5]], true, None);
    let end = fixture.issuer.certificate().not_after;
    let ask = |now| {
        fixture
            .responder
            .answer(fixture.at(now), &request, &[CertStatus::Good])
    };
    assert_eq!(ask(end - Duration::from_secs(60)).unwrap().next_update, end);
    let error = ask(end + Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error, OcspSignError::IssuerNotValid { .. }), "{error}");
}

#[test]
fn certificates_of_others_are_not_looked_up() {
    let fixture = Fixture::new();
    let ours = fixture.request(&[&[5], &[0]], true, None);
    assert_eq!(
        fixture.responder.serials(&ours),
        [Some(&"05".parse().unwrap()), None]
    );
    assert!(fixture.responder.is_authorized(&ours));
    let others = fixture.request(&[&[5]], false, None);
    assert_eq!(fixture.responder.serials(&others), [None]);
    assert!(!fixture.responder.is_authorized(&others));
    let count = fixture
        .responder
        .answer(fixture.at(now()), &ours, &[CertStatus::Good])
        .unwrap_err();
    assert_eq!(count, OcspSignError::Count { asked: 2, found: 1 });
    let foreign = Fixture::new();
    let error = fixture.responder.renew(foreign.at(now())).unwrap_err();
    assert_eq!(error, OcspSignError::OtherIssuer);
}
