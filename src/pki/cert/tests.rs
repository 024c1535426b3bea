use super::*;
use proptest::prelude::*;
use rcgen::{BasicConstraints as RcgenConstraints, CertificateParams, IsCa, KeyPair};

/// A certificate with everything in it that `Certificate` reads.
fn sample() -> Vec<u8> {
    let mut params = CertificateParams::new(["web-01.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    params
        .subject_alt_names
        .push(rcgen::SanType::URI("spiffe://x/y".try_into().unwrap()));
    params
        .subject_alt_names
        .push(rcgen::SanType::DnsName("*.Wild.example".try_into().unwrap()));
    params
        .subject_alt_names
        .push(rcgen::SanType::DnsName("UPPER.example".try_into().unwrap()));
    params.distinguished_name = super::super::rcgen_form::common_name("web-01");
    params.is_ca = IsCa::Ca(RcgenConstraints::Constrained(3));
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        rcgen::ExtendedKeyUsagePurpose::Other(vec![1, 2, 3]),
    ];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(vec![0x4f, 1, 2].into());
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec()
}

#[test]
fn the_facts_are_what_the_certificate_says() {
    let der = sample();
    let facts = Certificate::parse(&der).unwrap();
    assert_eq!(facts.der(), der);
    assert_eq!((facts.version, facts.serial.to_string().as_str()), (3, "4f0102"));
    assert_eq!(facts.common_name.as_deref(), Some("web-01"));
    assert_eq!(facts.subject_text(), "CN=web-01");
    let sans: Vec<_> = facts.sans.iter().map(San::to_string).collect();
    assert_eq!(sans, ["web-01.example", "10.0.0.1", "upper.example"]);
    assert_eq!((facts.other_sans, facts.upper_case_sans), (2, 2));
    assert_eq!(
        facts.basic_constraints,
        Some(BasicConstraints {
            ca: true,
            path_len: Some(3)
        })
    );
    assert_eq!(
        facts.key_usage,
        Some(KeyUsage(KeyUsage::KEY_CERT_SIGN.0 | KeyUsage::CRL_SIGN.0))
    );
    let usages = [
        ExtendedKeyUsage::ClientAuth,
        ExtendedKeyUsage::Other("1.2.3".into()),
    ];
    assert_eq!(facts.extended_key_usages.as_deref(), Some(usages.as_slice()));
    assert_eq!(facts.subject_key_id, facts.authority_key_id);
    assert!(facts.subject_key_id.is_some() && facts.is_self_issued());
    assert_eq!(facts.key_algorithm(), Some(KeyAlgorithm::EcdsaP256));
    assert_eq!(facts.not_after.to_string(), "4096-01-01T00:00:00Z");
    assert_eq!(facts.dates_are_utc_time, (true, false));
    facts.verify_signature(&facts.public_key().unwrap()).unwrap();
}

#[test]
fn dates_include_both_ends() {
    let facts = Certificate::parse(&sample()).unwrap();
    let second = std::time::Duration::from_secs(1);
    assert!(facts.is_valid_at(facts.not_before) && facts.is_valid_at(facts.not_after));
    assert!(
        facts.is_valid_at(facts.not_after + second / 2),
        "X.509 knows whole seconds only"
    );
    assert!(!facts.is_valid_at(facts.not_before - second));
    assert!(!facts.is_valid_at(facts.not_after + second));
}

#[test]
fn a_signature_of_another_key_or_over_other_bytes_does_not_verify() {
    let der = sample();
    let facts = Certificate::parse(&der).unwrap();
    let other = Certificate::parse(&sample()).unwrap().public_key().unwrap();
    assert_eq!(facts.verify_signature(&other), Err(SignatureError::Invalid));
    let mut changed = der.clone();
    let at = der.windows(6).position(|w| w == b"web-01").unwrap();
    changed[at] = b'W';
    let changed = Certificate::parse(&changed).unwrap();
    assert_eq!(
        changed.verify_signature(&facts.public_key().unwrap()),
        Err(SignatureError::Invalid)
    );
}

#[test]
fn truncation_and_trailing_bytes_are_refused_everywhere() {
    let der = sample();
    for cut in 0..der.len() {
        assert!(Certificate::parse(&der[..cut]).is_err(), "cut at {cut}");
    }
    assert_eq!(
        Certificate::parse(&[der, vec![0]].concat()).unwrap_err(),
        CertificateError::Malformed
    );
}

#[test]
fn an_extension_that_stands_there_twice_is_refused() {
    let mut params = CertificateParams::new(["a".to_owned()]).unwrap();
    let again = || rcgen::CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
    params.custom_extensions = vec![again(), again()];
    let der = params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec();
    assert_eq!(
        Certificate::parse(&der).unwrap_err(),
        CertificateError::Extension("1.2.3".into())
    );
}

#[test]
fn the_date_that_means_no_end_is_read() {
    let no_end = timestamp(253_402_300_799).unwrap();
    assert!(no_end.to_string().starts_with("9999-12-30"), "{no_end}");
    assert_eq!(timestamp(253_402_300_798), Err(CertificateError::Date));
}

#[test]
fn debug_names_the_certificate_in_one_line() {
    let debug = format!("{:?}", Certificate::parse(&sample()).unwrap());
    assert!(debug.contains("CN=web-01") && debug.len() < 300, "{debug}");
}

proptest! {
    #[test]
    fn no_change_to_a_certificate_makes_anything_panic(at in 0usize..700, to: u8) {
        let mut der = sample();
        let at = at % der.len();
        der[at] = to;
        if let Ok(facts) = Certificate::parse(&der) {
            let _ = (facts.subject_text(), facts.issuer_text(), facts.tbs().len(), format!("{facts:?}"));
            let _ = facts.public_key().map(|key| facts.verify_signature(&key));
        }
    }
}
