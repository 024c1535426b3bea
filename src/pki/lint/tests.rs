use super::*;
use crate::base::Timestamp;
use crate::pki::cert::{BasicConstraints, ExtendedKeyUsage, ExtensionFact, KeyUsage};
use std::time::Duration;

/// The facts of a host leaf and its issuer that keep every rule.
fn good() -> (Certificate, Certificate) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["web-01.example".to_owned()]).unwrap();
    params.distinguished_name = crate::pki::rcgen_form::common_name("web-01");
    params.serial_number = Some(vec![0x4f; 16].into());
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    params.not_after = params.not_before + time::Duration::days(30);
    let leaf = Certificate::parse(params.self_signed(&key).unwrap().der()).unwrap();
    (leaf.clone(), leaf)
}

fn broken(purpose: Purpose, change: impl Fn(&mut Certificate)) -> Vec<&'static str> {
    let (mut certificate, issuer) = good();
    let spki = certificate.spki.clone();
    change(&mut certificate);
    let issuer = (purpose != Purpose::Root).then_some(&issuer);
    let candidate = Candidate {
        certificate: &certificate,
        purpose,
        issuer,
        requested_spki: Some(&spki),
    };
    check(&candidate).into_iter().map(|f| f.rule).collect()
}

#[test]
fn a_good_host_leaf_breaks_no_rule() {
    assert_eq!(broken(Purpose::Host, |_| {}), [""; 0]);
}

#[test]
fn a_good_client_leaf_breaks_no_rule_with_or_without_names() {
    let client = |c: &mut Certificate| c.extended_key_usages = Some(vec![ExtendedKeyUsage::ClientAuth]);
    assert_eq!(broken(Purpose::Client, client), [""; 0]);
    let nameless = |c: &mut Certificate| {
        client(c);
        c.sans.clear();
    };
    assert_eq!(broken(Purpose::Client, nameless), [""; 0]);
}

/// Turns the good leaf into a good signer of OCSP answers.
fn ocsp_signer(c: &mut Certificate) {
    c.extended_key_usages = Some(vec![ExtendedKeyUsage::OcspSigning]);
    c.sans.clear();
    c.not_after = c.not_before + Duration::from_secs(7 * 86_400);
    c.extensions.push(ExtensionFact {
        oid: "1.3.6.1.5.5.7.48.1.5".into(),
        critical: false,
    });
}

#[test]
fn a_signer_of_ocsp_answers_lives_short_and_is_nothing_else() {
    let after = |change: fn(&mut Certificate)| {
        broken(Purpose::OcspSigner, move |c| {
            ocsp_signer(c);
            change(c);
        })
    };
    assert_eq!(after(|_| {}), [""; 0]);
    assert_eq!(
        after(|c| c.not_after = c.not_before + Duration::from_secs(31 * 86_400 + 1)),
        ["validity", "issuer_validity"]
    );
    assert_eq!(after(|c| drop(c.extensions.pop())), ["ocsp_no_check"]);
    assert_eq!(after(|c| c.sans.push("a.example".parse().unwrap())), ["names"]);
    assert_eq!(
        after(|c| c
            .extended_key_usages
            .as_mut()
            .unwrap()
            .push(ExtendedKeyUsage::ClientAuth)),
        ["extended_key_usage"]
    );
    let unrevocable = broken(Purpose::Host, |c| {
        let purpose = c.extended_key_usages.clone();
        let sans = c.sans.clone();
        ocsp_signer(c);
        (c.extended_key_usages, c.sans) = (purpose, sans);
    });
    assert_eq!(unrevocable, ["ocsp_no_check"]);
}

/// Turns the good leaf into a good CA certificate.
fn ca(usage: u16, path_len: Option<u32>, purpose: Option<ExtendedKeyUsage>) -> impl Fn(&mut Certificate) {
    move |c| {
        c.basic_constraints = Some(BasicConstraints { ca: true, path_len });
        c.key_usage = Some(KeyUsage(usage));
        c.extended_key_usages = purpose.clone().map(|p| vec![p]);
        c.sans.clear();
    }
}

#[test]
fn a_certificate_says_what_it_is_meant_to_be() {
    let of = |change: &dyn Fn(&mut Certificate)| {
        let (mut certificate, _) = good();
        change(&mut certificate);
        Purpose::of(&certificate)
    };
    assert_eq!(of(&|_| {}), Some(Purpose::Host));
    assert_eq!(of(&ca(0, None, None)), Some(Purpose::Root));
    assert_eq!(
        of(&ca(0, Some(0), Some(ExtendedKeyUsage::ServerAuth))),
        Some(Purpose::HostsIssuer)
    );
    assert_eq!(
        of(&ca(0, Some(0), Some(ExtendedKeyUsage::ClientAuth))),
        Some(Purpose::ClientsIssuer)
    );
    assert_eq!(
        of(&|c| c.extended_key_usages = Some(vec![ExtendedKeyUsage::ClientAuth])),
        Some(Purpose::Client)
    );
    assert_eq!(of(&ocsp_signer), Some(Purpose::OcspSigner));
    assert_eq!(
        of(&|c| c.extended_key_usages = Some(vec![ExtendedKeyUsage::Any])),
        None
    );
    assert_eq!(of(&|c| c.extended_key_usages = None), None);
}

#[test]
fn good_ca_certificates_break_no_rule() {
    let root = KeyUsage::KEY_CERT_SIGN.0 | KeyUsage::CRL_SIGN.0;
    let issuer = root | KeyUsage::DIGITAL_SIGNATURE.0;
    assert_eq!(broken(Purpose::Root, ca(root, None, None)), [""; 0]);
    assert_eq!(
        broken(
            Purpose::HostsIssuer,
            ca(issuer, Some(0), Some(ExtendedKeyUsage::ServerAuth))
        ),
        [""; 0]
    );
    assert_eq!(
        broken(
            Purpose::ClientsIssuer,
            ca(issuer, Some(0), Some(ExtendedKeyUsage::ClientAuth))
        ),
        [""; 0]
    );
}

#[test]
fn ca_certificates_are_held_to_their_own_rules() {
    let root = KeyUsage::KEY_CERT_SIGN.0 | KeyUsage::CRL_SIGN.0;
    let server = || Some(ExtendedKeyUsage::ServerAuth);
    for (purpose, change, rule) in [
        (Purpose::Root, ca(root, Some(0), None), "basic_constraints"),
        (
            Purpose::Root,
            ca(KeyUsage::KEY_CERT_SIGN.0, None, None),
            "key_usage",
        ),
        (Purpose::Root, ca(root, None, server()), "extended_key_usage"),
        (
            Purpose::HostsIssuer,
            ca(root | 1, None, server()),
            "basic_constraints",
        ),
        (
            Purpose::HostsIssuer,
            ca(root | 1, Some(1), server()),
            "basic_constraints",
        ),
        (Purpose::HostsIssuer, ca(root, Some(0), server()), "key_usage"),
        (
            Purpose::HostsIssuer,
            ca(root | 1, Some(0), None),
            "extended_key_usage",
        ),
        (
            Purpose::ClientsIssuer,
            ca(root | 1, Some(0), server()),
            "extended_key_usage",
        ),
    ] {
        assert_eq!(broken(purpose, change), [rule], "{purpose:?}");
    }
}

type Change = fn(&mut Certificate);

fn each_breaks_its_own_rule(table: &[(&str, Change)]) {
    for (rule, change) in table {
        assert_eq!(broken(Purpose::Host, change), [*rule]);
    }
}

#[test]
fn each_wrong_field_is_found_by_its_own_rule() {
    each_breaks_its_own_rule(&[
        ("version", |c| c.version = 1),
        ("serial", |c| c.serial_contents = vec![0x4f; 15]),
        ("serial", |c| c.serial_contents = vec![0x4f; 20]),
        ("serial", |c| c.serial_contents = vec![0x8f; 16]),
        ("serial", |c| {
            c.serial_contents = [vec![0], vec![0x4f; 15]].concat()
        }),
        ("serial", |c| c.serial_contents.clear()),
        ("subject", |c| c.common_name = None),
        ("subject", |c| c.common_name = Some("x".repeat(65))),
        ("issuer_name", |c| c.issuer = vec![0x30, 0]),
        ("public_key", |c| *c.spki.last_mut().unwrap() ^= 1),
        ("signature_algorithm", |c| {
            c.signature_algorithm = vec![0x30, 9, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]
        }),
        ("time_encoding", |c| c.dates_are_utc_time = (true, false)),
        ("time_encoding", |c| c.dates_are_utc_time = (false, true)),
        ("issuer_validity", |c| {
            c.not_before = c.not_before - Duration::from_secs(1)
        }),
        ("issuer_validity", |c| {
            c.not_after = c.not_after + Duration::from_secs(1)
        }),
        ("validity", |c| c.not_before = c.not_after),
    ]);
}

#[test]
fn each_wrong_extension_is_found_by_its_own_rule() {
    each_breaks_its_own_rule(&[
        ("key_identifiers", |c| c.authority_key_id = None),
        ("key_identifiers", |c| c.authority_key_id = Some(vec![1; 20])),
        ("key_identifiers", |c| c.subject_key_id = None),
        ("basic_constraints", |c| c.basic_constraints = None),
        ("basic_constraints", |c| {
            c.basic_constraints = Some(BasicConstraints {
                ca: true,
                path_len: None,
            })
        }),
        ("basic_constraints", |c| {
            c.basic_constraints = Some(BasicConstraints {
                ca: false,
                path_len: Some(0),
            })
        }),
        ("key_usage", |c| c.key_usage = None),
        ("key_usage", |c| c.key_usage = Some(KeyUsage(1 | 1 << 2))),
        ("extended_key_usage", |c| c.extended_key_usages = None),
        ("extended_key_usage", |c| {
            c.extended_key_usages = Some(vec![ExtendedKeyUsage::ClientAuth])
        }),
        ("extended_key_usage", |c| {
            c.extended_key_usages = Some(vec![ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth]);
        }),
        ("extended_key_usage", |c| {
            c.extended_key_usages = Some(vec![ExtendedKeyUsage::Any])
        }),
        ("names", |c| c.sans.clear()),
        ("names", |c| c.other_sans = 1),
        ("names", |c| c.upper_case_sans = 1),
        ("names", |c| c.sans = vec![c.sans[0].clone(), c.sans[0].clone()]),
        ("extensions", |c| {
            c.extensions.push(ExtensionFact {
                oid: "2.5.29.30".into(),
                critical: true,
            })
        }),
    ]);
}

#[test]
fn names_are_counted_at_the_limit_and_past_it() {
    let names = |n: usize| (0..n).map(|i| format!("h{i}.example").parse().unwrap()).collect();
    let with = |n| broken(Purpose::Host, |c| c.sans = names(n));
    assert_eq!(with(crate::base::limits::SANS_MAX), [""; 0]);
    assert_eq!(with(crate::base::limits::SANS_MAX + 1), ["names"]);
}

#[test]
fn the_critical_flags_are_looked_at() {
    for (oid, rule) in [("2.5.29.15", "key_usage"), ("2.5.29.19", "basic_constraints")] {
        let change = |c: &mut Certificate| {
            c.extensions
                .iter_mut()
                .filter(|e| e.oid == oid)
                .for_each(|e| e.critical = false)
        };
        assert_eq!(broken(Purpose::Host, change), [rule]);
    }
}

#[test]
fn a_leaf_of_826_days_passes_and_one_second_more_does_not() {
    let (leaf, _) = good();
    let span = |seconds: u64| {
        let mut leaf = leaf.clone();
        leaf.not_after = leaf.not_before + Duration::from_secs(seconds);
        let candidate = Candidate {
            certificate: &leaf,
            purpose: Purpose::Host,
            issuer: None,
            requested_spki: None,
        };
        validity::check(&candidate).is_some()
    };
    assert!(!span(826 * 86_400));
    assert!(span(826 * 86_400 + 1));
}

#[test]
fn the_encoding_of_dates_turns_with_the_year_2050() {
    let (mut leaf, _) = good();
    for (date, utc_time) in [("2049-12-31T23:59:59Z", true), ("2050-01-01T00:00:00Z", false)] {
        leaf.not_after = Timestamp::parse(date).unwrap();
        for claimed in [true, false] {
            leaf.dates_are_utc_time = (true, claimed);
            let candidate = Candidate {
                certificate: &leaf,
                purpose: Purpose::Host,
                issuer: None,
                requested_spki: None,
            };
            assert_eq!(
                time_encoding::check(&candidate).is_none(),
                claimed == utc_time,
                "{date}"
            );
        }
    }
}
