use super::*;
use crate::base::Timestamp;
use crate::pki::cert::{ExtensionFact, KeyUsage};
use crate::pki::crl::{EntryBuffer, Head, Revoked, Unsigned};
use crate::pki::{RevocationReason, Serial};
use std::time::Duration;

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// The facts of a list that keeps every rule, and its issuer.
fn good(subjects: Subjects) -> (CrlFacts, Certificate) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = crate::pki::rcgen_form::common_name("clients issuer");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    params.not_before = time::OffsetDateTime::from_unix_timestamp(now().as_secs() - 60).unwrap();
    params.not_after = params.not_before + time::Duration::days(30);
    let issuer = Certificate::parse(params.self_signed(&key).unwrap().der()).unwrap();
    let mut entries = EntryBuffer::new(subjects);
    for (serial, reason) in (1u8..).zip(RevocationReason::ALL) {
        entries.insert(&Revoked {
            serial: Serial::from_bytes(&[serial]).unwrap(),
            revoked_at: now(),
            reason,
            not_after: now(),
        });
    }
    let head = Head {
        number: 8,
        this_update: now(),
        next_update: now() + Duration::from_secs(86_400),
        issuer: &issuer,
    };
    let facts = CrlFacts::read(Unsigned::encode(head, &entries).unwrap().tbs()).unwrap();
    (facts, issuer)
}

fn broken_for(subjects: Subjects, change: impl Fn(&mut CrlFacts, &mut Certificate)) -> Vec<&'static str> {
    let (mut facts, mut issuer) = good(subjects);
    change(&mut facts, &mut issuer);
    let candidate = CrlCandidate {
        facts: &facts,
        issuer: &issuer,
        subjects,
        predecessor: Some(7),
    };
    check(&candidate).into_iter().map(|f| f.rule).collect()
}

fn broken(change: impl Fn(&mut CrlFacts, &mut Certificate)) -> Vec<&'static str> {
    broken_for(Subjects::Leaves, change)
}

#[test]
fn a_good_list_breaks_no_rule() {
    for subjects in [Subjects::Leaves, Subjects::Issuers] {
        assert_eq!(broken_for(subjects, |_, _| {}), [""; 0]);
    }
}

#[test]
fn numbers_only_rise() {
    assert_eq!(broken(|facts, _| facts.number = 7), ["crl_number"]);
    assert_eq!(broken(|facts, _| facts.number = 6), ["crl_number"]);
    let (facts, issuer) = good(Subjects::Leaves);
    let first = CrlCandidate {
        facts: &facts,
        issuer: &issuer,
        subjects: Subjects::Leaves,
        predecessor: None,
    };
    assert_eq!(check(&first), []);
}

#[test]
fn a_list_of_an_issuer_is_good_for_days_and_one_of_a_root_for_a_year() {
    let days = |days: u64, more: u64| {
        move |facts: &mut CrlFacts, _: &mut Certificate| {
            facts.next_update = facts.this_update + Duration::from_secs(days * 86_400 + more);
        }
    };
    assert_eq!(broken(days(10, 0)), [""; 0]);
    assert_eq!(broken(days(10, 1)), ["crl_dates"]);
    assert_eq!(broken_for(Subjects::Issuers, days(397, 0)), [""; 0]);
    assert_eq!(broken_for(Subjects::Issuers, days(397, 1)), ["crl_dates"]);
}

#[test]
fn the_signer_signs_for_itself_and_may() {
    assert_eq!(broken(|facts, _| facts.issuer.push(0)), ["crl_issuer"]);
    let without =
        |_: &mut CrlFacts, issuer: &mut Certificate| issuer.key_usage = Some(KeyUsage::KEY_CERT_SIGN);
    assert_eq!(broken(without), ["crl_issuer"]);
    // A root from elsewhere may have no key usage at all, which allows all.
    assert_eq!(broken(|_, issuer| issuer.key_usage = None), [""; 0]);
    let expired =
        |_: &mut CrlFacts, issuer: &mut Certificate| issuer.not_after = now() - Duration::from_secs(1);
    assert_eq!(broken(expired), ["crl_issuer"]);
}

#[test]
fn the_key_is_named_and_is_the_issuers() {
    let rule = ["crl_authority_key_id"];
    assert_eq!(broken(|facts, _| facts.authority_key_id = None), rule);
    assert_eq!(broken(|facts, _| facts.authority_key_id = Some(vec![1])), rule);
    assert_eq!(broken(|_, issuer| issuer.subject_key_id = None), rule);
}

#[test]
fn the_signature_fits_the_key() {
    let with = |oid: &'static [u8]| {
        move |facts: &mut CrlFacts, _: &mut Certificate| {
            facts.signature_algorithm = crate::pki::der::write(0x30, &[&crate::pki::der::write(6, &[oid])]);
        }
    };
    // ecdsa-with-SHA1, sha256WithRSAEncryption
    for oid in [
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1][..],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
    ] {
        assert_eq!(broken(with(oid)), ["crl_signature_algorithm"]);
    }
    assert_eq!(broken(with(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3])), [""; 0]);
}

#[test]
fn order_dates_and_extensions_are_looked_at() {
    assert_eq!(broken(|facts, _| facts.is_sorted = false), ["crl_order"]);
    assert_eq!(
        broken(|facts, _| facts.dates_in_right_form = false),
        ["crl_time_encoding"]
    );
    assert_eq!(
        broken(|facts, _| facts.extensions[1].critical = true),
        ["crl_extensions"]
    );
    let more = |facts: &mut CrlFacts, _: &mut Certificate| {
        facts.extensions.push(ExtensionFact {
            oid: "2.5.29.46".into(),
            critical: false,
        });
    };
    assert_eq!(broken(more), ["crl_extensions"]);
}

#[test]
fn what_would_un_revoke_or_belongs_to_others_is_no_reason() {
    for code in [0, 2, 6, 8, 10] {
        assert_eq!(
            broken(|facts, _| facts.reason_bits |= 1 << code),
            ["crl_reasons"],
            "{code}"
        );
    }
    let key_compromise = |facts: &mut CrlFacts, _: &mut Certificate| facts.reason_bits |= 1 << 1;
    assert_eq!(broken_for(Subjects::Issuers, key_compromise), ["crl_reasons"]);
}
