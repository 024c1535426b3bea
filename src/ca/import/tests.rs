use super::*;
use crate::base::SeededRandom;
use crate::ca::make_issuer;
use crate::keys::{MemoryKey, file};
use crate::model::IssuerKind;
use crate::pki::{KeyAlgorithm, Serial};
use rcgen::{BasicConstraints, CertificateParams, DnType, DnValue, IsCa, KeyPair, KeyUsagePurpose};

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
}

/// A root as another program would make it, and its key.
fn foreign(change: impl Fn(&mut CertificateParams)) -> (String, Arc<dyn IssuerKey>) {
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = crate::pki::rcgen_form::common_name("Corp Root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    change(&mut params);
    let pem = params.self_signed(&pair).unwrap().pem();
    (pem, Arc::new(file::import(pair.serialize_pem(), None).unwrap()))
}

fn import(change: impl Fn(&mut CertificateParams)) -> Result<Root, ImportError> {
    let (pem, key) = foreign(change);
    import_root(pem, key, now())
}

#[test]
fn a_sound_root_is_taken_over_and_issues() {
    let root = import(|p| {
        // Several attributes, one of each type, of several string types: repeated byte for byte.
        p.distinguished_name = rcgen::DistinguishedName::new();
        p.distinguished_name.push(
            DnType::CountryName,
            DnValue::PrintableString("NL".try_into().unwrap()),
        );
        p.distinguished_name
            .push(DnType::OrganizationName, "Corp, Inc. ü");
        p.distinguished_name.push(
            DnType::CommonName,
            DnValue::PrintableString("Corp Root".try_into().unwrap()),
        );
    })
    .unwrap();
    let key = MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let serial = Serial::draw(&SeededRandom::new(1));
    let issuer = make_issuer(
        &root,
        IssuerKind::Hosts,
        "Fleet",
        key.public_key(),
        &serial,
        now(),
    )
    .unwrap();
    assert_eq!(issuer.issuer, root.certificate().subject);
}

#[test]
fn a_root_without_key_usage_is_taken_over_as_openssl_makes_it() {
    assert!(import(|p| p.key_usages.clear()).is_ok());
}

#[test]
fn what_would_not_verify_later_is_refused_now() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, EmailProtection, ServerAuth};
    let date = |year| rcgen::date_time_ymd(year, 1, 1);
    let refusal = |change: &dyn Fn(&mut CertificateParams)| import(change).unwrap_err();
    assert_eq!(refusal(&|p| p.is_ca = IsCa::ExplicitNoCa), ImportError::NotCa);
    assert_eq!(refusal(&|p| p.is_ca = IsCa::NoCa), ImportError::NotCa);
    assert_eq!(
        refusal(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        ImportError::PathLen
    );
    assert_eq!(
        refusal(&|p| p.key_usages = vec![KeyUsagePurpose::CrlSign]),
        ImportError::KeyUsage
    );
    assert_eq!(
        refusal(&|p| p.extended_key_usages = vec![EmailProtection]),
        ImportError::Purpose
    );
    assert_eq!(
        refusal(&|p| p.extended_key_usages = vec![ServerAuth]),
        ImportError::Purpose
    );
    assert!(import(|p| p.extended_key_usages = vec![ServerAuth, ClientAuth]).is_ok());
    assert!(matches!(
        refusal(&|p| p.not_after = date(2026)),
        ImportError::NotValid(..)
    ));
    assert!(matches!(
        refusal(&|p| p.not_before = date(2027)),
        ImportError::NotValid(..)
    ));
    let constrained = refusal(&|p| {
        p.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("corp.example".into())],
            excluded_subtrees: vec![],
        });
    });
    assert_eq!(constrained, ImportError::Critical("2.5.29.30".into()));
}

#[test]
fn an_intermediate_is_not_a_root() {
    let (root_pair, pair) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (mut root, mut params) = (CertificateParams::default(), CertificateParams::default());
    root.distinguished_name = crate::pki::rcgen_form::common_name("Corp Root");
    params.distinguished_name = crate::pki::rcgen_form::common_name("Corp Sub");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params
        .signed_by(&pair, &rcgen::Issuer::new(root, root_pair))
        .unwrap()
        .pem();
    let key = Arc::new(file::import(pair.serialize_pem(), None).unwrap());
    let error = import_root(pem, key, now()).unwrap_err().to_string();
    assert!(
        error.contains("CN=Corp Sub is not a root: it was signed by CN=Corp Root"),
        "{error}"
    );
}

#[test]
fn a_subject_that_would_come_out_as_other_bytes_is_refused() {
    // An attribute type twice (DC=com, DC=example), as x509-parser reads it and rcgen would drop it.
    let (pem, key) = foreign(|p| {
        p.distinguished_name = rcgen::DistinguishedName::new();
        for oid in [[2, 5, 4, 10], [2, 5, 4, 11]] {
            p.distinguished_name
                .push(DnType::CustomDnType(oid.to_vec()), "same");
        }
    });
    assert!(
        import_root(&pem, key.clone(), now()).is_ok(),
        "two different types are fine"
    );
    let mut der = pem::certificates(&pem).unwrap()[0].to_vec();
    // Turn OU (2.5.4.11) into a second O (2.5.4.10), in subject and issuer, and sign again.
    while let Some(at) = der.windows(3).position(|w| w == [0x55, 4, 11]) {
        der[at + 2] = 10;
    }
    let resigned = resign(&der, &*key);
    let error = import_root(pem::encode_certificate(&resigned), key, now()).unwrap_err();
    assert!(
        error.to_string().contains("cannot be repeated exactly"),
        "{error}"
    );
}

fn resign(certificate: &[u8], key: &dyn IssuerKey) -> Vec<u8> {
    use crate::pki::{cert::split, der};
    let parts = split(certificate).unwrap();
    let bits = der::write(der::BIT_STRING, &[&[0], &key.sign(parts.tbs).unwrap()]);
    der::write(der::SEQUENCE, &[parts.tbs, parts.algorithm, &bits])
}

#[test]
fn the_key_must_be_the_certificates() {
    let (pem, _) = foreign(|_| {});
    let (_, other) = foreign(|_| {});
    let error = import_root(pem, other, now()).unwrap_err();
    assert_eq!(error, ImportError::Root(CeremonyError::KeyMismatch));
}

#[test]
fn a_certificate_that_only_looks_self_signed_is_refused() {
    let (pem, key) = foreign(|_| {});
    let mut der = pem::certificates(&pem).unwrap()[0].to_vec();
    let at = der.windows(9).position(|w| w == b"Corp Root").unwrap();
    der[at] = b'X';
    let at = der.windows(9).position(|w| w == b"Corp Root").unwrap();
    der[at] = b'X';
    let error = import_root(pem::encode_certificate(&der), key, now()).unwrap_err();
    assert_eq!(error, ImportError::Signature(SignatureError::Invalid));
}

#[test]
fn the_file_holds_the_root_alone() {
    let (pem, key) = foreign(|_| {});
    assert_eq!(
        import_root(format!("{pem}{pem}"), key.clone(), now()).unwrap_err(),
        ImportError::Several(2)
    );
    assert_eq!(
        import_root("", key, now()).unwrap_err(),
        ImportError::Pem(PemError::Empty)
    );
}
