use super::*;
use crate::base::SeededRandom;
use crate::ca::{IssuerUrls, make_issuer, make_root, verify};
use crate::keys::{IssuerKey, KeyError, MemoryKey};
use crate::pki::cert::ExtendedKeyUsage;
use crate::pki::{Certificate, CsrDer, KeyAlgorithm, LeafKey, PublicKey, csr};

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
}

fn serial(seed: u64) -> Serial {
    Serial::draw(&SeededRandom::new(seed))
}

fn ca_key() -> Arc<dyn IssuerKey> {
    Arc::new(MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap())
}

fn issuer_with(kind: IssuerKind, urls: IssuerUrls) -> Issuer {
    let root = make_root("fleet", ca_key(), &serial(1), now()).unwrap();
    let key = ca_key();
    let certificate = make_issuer(&root, kind, "fleet", key.public_key(), &serial(2), now()).unwrap();
    Issuer::new(certificate, key, kind, urls).unwrap()
}

fn issuer(kind: IssuerKind) -> Issuer {
    issuer_with(kind, IssuerUrls::none())
}

fn request() -> (LeafKey, VerifiedCsr) {
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let csr = csr::make(&key, &"wish".parse().unwrap(), &["wish.example".parse().unwrap()]);
    let verified = verify(csr, &KeyAlgorithm::ALL).unwrap();
    (key, verified)
}

fn grant(sans: &[&str]) -> Grant {
    Grant {
        common_name: "web-01".parse().unwrap(),
        sans: sans.iter().map(|san| san.parse().unwrap()).collect(),
    }
}

fn profile(kind: IdentityKind) -> Profile {
    Profile::default_for(kind)
}

fn issue(issuer: &Issuer, kind: IdentityKind, at: Timestamp) -> Result<IssuedCert, IssueError> {
    let approved = approve(
        request().1,
        grant(&["web-01.fleet.internal", "10.20.0.7"]),
        &profile(kind),
    )?;
    sign(prepare(approved, issuer, &serial(3), at)?, issuer)
}

#[test]
fn a_host_leaf_carries_the_grant_and_nothing_of_the_wish_but_the_key() {
    let issuer = issuer(IssuerKind::Hosts);
    let (key, csr) = request();
    let approved = approve(
        csr,
        grant(&["web-01.fleet.internal", "10.20.0.7", "::1"]),
        &profile(IdentityKind::Host),
    );
    let prepared = prepare(approved.unwrap(), &issuer, &serial(3), now()).unwrap();
    let issued = sign(prepared, &issuer).unwrap();
    let leaf = Certificate::parse(issued.der()).unwrap();
    let sans: Vec<String> = leaf.sans.iter().map(San::to_string).collect();
    assert_eq!(sans, ["web-01.fleet.internal", "10.20.0.7", "::1"]);
    assert_eq!(leaf.common_name.as_deref(), Some("web-01"));
    assert_eq!(leaf.extended_key_usages, Some(vec![ExtendedKeyUsage::ServerAuth]));
    assert_eq!(leaf.spki, key.public_key().spki());
    assert_eq!(leaf.serial, serial(3));
    assert_eq!(leaf.not_before, now() - Duration::from_secs(3600));
    assert_eq!(leaf.not_after, now() + 30 * DAY);
    assert_eq!(leaf.authority_key_id, issuer.certificate().subject_key_id);
    leaf.verify_signature(&issuer.certificate().public_key().unwrap())
        .unwrap();
    assert_eq!(
        (issued.not_after(), issued.spki_sha256()),
        (leaf.not_after, leaf.spki_sha256)
    );
}

#[test]
fn a_client_leaf_needs_no_names() {
    let issuer = issuer(IssuerKind::Clients);
    let approved = approve(request().1, grant(&[]), &profile(IdentityKind::Client)).unwrap();
    let issued = sign(prepare(approved, &issuer, &serial(3), now()).unwrap(), &issuer).unwrap();
    let leaf = Certificate::parse(issued.der()).unwrap();
    assert_eq!(leaf.extended_key_usages, Some(vec![ExtendedKeyUsage::ClientAuth]));
    assert!(leaf.sans.is_empty());
    assert_eq!(
        approve(request().1, grant(&[]), &profile(IdentityKind::Host)).unwrap_err(),
        IssueError::NoNames
    );
}

#[test]
fn each_profile_comes_from_its_own_issuer_only() {
    for (kind, wrong) in [
        (IdentityKind::Host, IssuerKind::Clients),
        (IdentityKind::Client, IssuerKind::Hosts),
    ] {
        let error = issue(&issuer(wrong), kind, now()).unwrap_err();
        assert_eq!(
            error,
            IssueError::WrongIssuer {
                profile: kind,
                issuer: wrong
            }
        );
    }
}

#[test]
fn grants_are_bounded_and_hold_no_name_twice() {
    let host = profile(IdentityKind::Host);
    let names = |n: usize| Grant {
        common_name: "web".parse().unwrap(),
        sans: (0..n).map(|i| format!("h{i}.example").parse().unwrap()).collect(),
    };
    assert!(approve(request().1, names(SANS_MAX), &host).is_ok());
    let past = approve(request().1, names(SANS_MAX + 1), &host).unwrap_err();
    assert_eq!(past, IssueError::TooManyNames(SANS_MAX + 1));
    let twice = approve(
        request().1,
        grant(&["a.example", "b.example", "A.example"]),
        &host,
    )
    .unwrap_err();
    assert_eq!(twice, IssueError::DuplicateName("a.example".parse().unwrap()));
}

#[test]
fn a_key_the_profile_does_not_take_is_not_approved() {
    let rsa_only = Profile {
        key_algorithms: vec![KeyAlgorithm::Rsa3072],
        ..profile(IdentityKind::Host)
    };
    let error = approve(request().1, grant(&["a.example"]), &rsa_only).unwrap_err();
    assert!(
        error.to_string().contains("make a key of type rsa-3072"),
        "{error}"
    );
}

#[test]
fn a_leaf_never_outlives_or_predates_its_issuer() {
    let issuer = issuer(IssuerKind::Hosts);
    let end = issuer.certificate().not_after;
    let late = issue(&issuer, IdentityKind::Host, end - DAY).unwrap();
    assert_eq!(late.not_after(), end);
    let early = issue(&issuer, IdentityKind::Host, issuer.certificate().not_before).unwrap();
    assert_eq!(early.not_before(), issuer.certificate().not_before);
    for at in [end, end + DAY, issuer.certificate().not_before - DAY] {
        let error = issue(&issuer, IdentityKind::Host, at).unwrap_err();
        assert!(matches!(error, IssueError::IssuerNotValid { .. }), "{error}");
    }
    assert!(issue(&issuer, IdentityKind::Host, end - Duration::from_secs(1)).is_ok());
}

#[test]
fn fractions_of_a_second_do_not_reach_the_certificate() {
    let issuer = issuer(IssuerKind::Hosts);
    let issued = issue(&issuer, IdentityKind::Host, now() + Duration::from_millis(999)).unwrap();
    assert_eq!(issued.not_after(), now() + 30 * DAY);
    assert_eq!(
        Certificate::parse(issued.der()).unwrap().not_after,
        issued.not_after()
    );
}

#[test]
fn what_was_prepared_for_one_issuer_is_not_signed_by_another() {
    let (one, other) = (issuer(IssuerKind::Hosts), issuer(IssuerKind::Hosts));
    let approved = approve(request().1, grant(&["a.example"]), &profile(IdentityKind::Host)).unwrap();
    let prepared = prepare(approved, &one, &serial(3), now()).unwrap();
    assert_eq!(sign(prepared, &other).unwrap_err(), IssueError::OtherIssuer);
}

/// A device that answers, but wrongly.
#[derive(Debug)]
struct BrokenKey(Arc<dyn IssuerKey>);

impl IssuerKey for BrokenKey {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.sign(&[message, b"bit flip"].concat())
    }
}

#[test]
fn a_signature_that_does_not_verify_never_leaves() {
    let good = issuer(IssuerKind::Hosts);
    let broken = Arc::new(BrokenKey(good.key.clone()));
    let issuer = Issuer::new(
        good.certificate.clone(),
        broken,
        IssuerKind::Hosts,
        IssuerUrls::none(),
    )
    .unwrap();
    let error = issue(&issuer, IdentityKind::Host, now()).unwrap_err();
    assert_eq!(
        error,
        IssueError::Encode(EncodeError::Corrupt("its signature does not verify"))
    );
}

#[test]
fn a_serial_that_is_not_sixteen_bytes_stops_at_the_lint() {
    let issuer = issuer(IssuerKind::Hosts);
    let approved = approve(request().1, grant(&["a.example"]), &profile(IdentityKind::Host)).unwrap();
    let error = prepare(approved, &issuer, &Serial::from_bytes(&[7]).unwrap(), now()).unwrap_err();
    let IssueError::Encode(EncodeError::Lint(findings)) = error else {
        panic!("{error}")
    };
    assert_eq!(findings.iter().map(|f| f.rule).collect::<Vec<_>>(), ["serial"]);
}

#[test]
fn urls_become_a_distribution_point_and_authority_information() {
    let urls = IssuerUrls::under("http://ca.fleet.internal:8080/", IssuerKind::Hosts).unwrap();
    let issued = issue(&issuer_with(IssuerKind::Hosts, urls), IdentityKind::Host, now()).unwrap();
    for url in ["/crl/hosts.crl", "/ocsp", "/issuers/hosts.crt"] {
        let url = format!("http://ca.fleet.internal:8080{url}");
        assert!(
            issued.der().windows(url.len()).any(|w| w == url.as_bytes()),
            "{url}"
        );
    }
    let without = issue(&issuer(IssuerKind::Hosts), IdentityKind::Host, now()).unwrap();
    let facts = Certificate::parse(without.der()).unwrap();
    assert!(
        facts
            .extensions
            .iter()
            .all(|e| e.oid != "2.5.29.31" && e.oid != "1.3.6.1.5.5.7.1.1")
    );
    for bad in [
        "ca.internal",
        "ftp://x",
        "http://",
        "http://a b",
        "http://bücher",
        &format!("http://{}", "a".repeat(200)),
    ] {
        assert!(IssuerUrls::under(bad, IssuerKind::Hosts).is_err(), "{bad}");
    }
}

#[test]
fn an_issuer_is_put_together_from_parts_that_belong_together() {
    let hosts = issuer(IssuerKind::Hosts);
    let certificate = hosts.certificate().clone();
    let new = |key, kind| {
        Issuer::new(certificate.clone(), key, kind, IssuerUrls::none())
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(
        new(ca_key(), IssuerKind::Hosts),
        crate::ca::IssuerError::KeyMismatch(IssuerKind::Hosts)
    );
    let mixed_up = crate::ca::IssuerError::NotThisIssuer(IssuerKind::Clients);
    assert_eq!(new(hosts.key.clone(), IssuerKind::Clients), mixed_up);
}

#[test]
fn a_csr_that_asks_to_be_a_ca_gets_a_plain_leaf() {
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let pair =
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key.to_pkcs8_der(), &rcgen::PKCS_ECDSA_P256_SHA256);
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen_form::common_name("web-01");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let csr = params.serialize_request(&pair.unwrap()).unwrap();
    let csr = verify(CsrDer::from_der(csr.der().to_vec()).unwrap(), &KeyAlgorithm::ALL).unwrap();
    let issuer = issuer(IssuerKind::Hosts);
    let approved = approve(csr, grant(&["a.example"]), &profile(IdentityKind::Host)).unwrap();
    let issued = sign(prepare(approved, &issuer, &serial(3), now()).unwrap(), &issuer).unwrap();
    let leaf = Certificate::parse(issued.der()).unwrap();
    assert!(!leaf.is_ca());
    assert_eq!(
        leaf.key_usage,
        Some(crate::pki::cert::KeyUsage::DIGITAL_SIGNATURE)
    );
    assert_eq!(leaf.extended_key_usages, Some(vec![ExtendedKeyUsage::ServerAuth]));
}

#[test]
fn issuers_are_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Issuer>();
    is_shared::<crate::ca::Root>();
}
