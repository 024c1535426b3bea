use super::*;
use crate::pki::private_key::PrivateKey;
use crate::pki::{KeyAlgorithm, der};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A CA, and its key.
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    key: PrivateKey,
}

pub(super) static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority(KeyAlgorithm::EcdsaP256));

fn authority(algorithm: KeyAlgorithm) -> Authority {
    let pair = rcgen::KeyPair::generate_for(crate::pki::private_key::signing_algorithm(algorithm)).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = crate::pki::rcgen_form::common_name("clients issuer");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    Authority {
        certificate: Certificate::parse(params.self_signed(&pair).unwrap().der()).unwrap(),
        key: PrivateKey::from_pkcs8(pair.serialized_der()).unwrap(),
    }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

pub(super) fn revoked(serial: &[u8], since: i64, reason: RevocationReason) -> Revoked {
    Revoked {
        serial: Serial::from_bytes(serial).unwrap(),
        revoked_at: at(since),
        reason,
        not_after: at(1000),
    }
}

pub(super) fn buffer(all: impl IntoIterator<Item = Revoked>) -> EntryBuffer {
    let mut buffer = EntryBuffer::new(Subjects::Leaves);
    buffer.extend(all);
    buffer
}

pub(super) fn signed(number: u64, this_update: i64, entries: &EntryBuffer) -> Bytes {
    let head = Head {
        number,
        this_update: at(this_update),
        next_update: at(this_update + 86_400),
        issuer: &AUTHORITY.certificate,
    };
    let unsigned = Unsigned::encode(head, entries).unwrap();
    let signature = AUTHORITY.key.sign(unsigned.tbs()).unwrap();
    unsigned.assemble(&signature)
}

fn three() -> EntryBuffer {
    buffer([
        revoked(&[0x4f; 16], 7, RevocationReason::KeyCompromise),
        revoked(&[0x80, 1], 5, RevocationReason::Unspecified),
        revoked(&[3], 6, RevocationReason::Superseded),
    ])
}

#[test]
fn what_is_signed_is_read_back_and_verifies() {
    let crl = Crl::parse(signed(7, 100, &three())).unwrap();
    assert_eq!(crl.verify(&AUTHORITY.certificate), Ok(()));
    assert_eq!(
        (crl.number, crl.this_update, crl.next_update),
        (7, at(100), at(86_500))
    );
    assert_eq!(crl.authority_key_id, AUTHORITY.certificate.subject_key_id);
    assert!(crl.is_sorted && crl.dates_in_right_form);
    let listed: Vec<_> = crl
        .entries()
        .map(|e| (e.serial.to_vec(), e.revoked_at, e.reason_code))
        .collect();
    let expected = vec![
        (vec![3], at(6), Some(4)),
        (vec![0x4f; 16], at(7), Some(1)),
        (vec![0x80, 1], at(5), None),
    ];
    assert_eq!(listed, expected);
    assert_eq!(
        crl.find(&"8001".parse().unwrap()).unwrap().reason(),
        Some(RevocationReason::Unspecified)
    );
    assert_eq!(crl.find(&"8002".parse().unwrap()), None);
    assert_eq!(
        Crl::parse_pem_or_der(crl.pem().into_bytes()).unwrap().der(),
        crl.der()
    );
}

#[test]
fn a_list_of_nobody_is_a_list() {
    let crl = Crl::parse(signed(1, 0, &buffer([]))).unwrap();
    assert_eq!((crl.entry_count, crl.entries().count()), (0, 0));
    assert_eq!(crl.verify(&AUTHORITY.certificate), Ok(()));
}

#[test]
fn every_issuer_algorithm_signs_lists() {
    for algorithm in [KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        let authority = authority(algorithm);
        let head = Head {
            number: 1,
            this_update: at(0),
            next_update: at(60),
            issuer: &authority.certificate,
        };
        let unsigned = Unsigned::encode(head, &three()).unwrap();
        let signature = authority.key.sign(unsigned.tbs()).unwrap();
        let crl = Crl::parse(unsigned.assemble(&signature)).unwrap();
        assert_eq!(crl.verify(&authority.certificate), Ok(()), "{algorithm}");
        assert!(matches!(
            crl.verify(&AUTHORITY.certificate),
            Err(CrlError::OtherIssuer { .. })
        ));
    }
}

#[test]
fn a_list_that_was_changed_anywhere_is_not_believed() {
    let good = signed(7, 100, &three());
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        let believed = Crl::parse(bad).and_then(|crl| crl.verify(&AUTHORITY.certificate));
        assert!(believed.is_err(), "byte {at}");
    }
    for cut in 0..good.len() {
        assert!(Crl::parse(good.slice(..cut)).is_err(), "cut at {cut}");
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(Crl::parse(longer).unwrap_err(), CrlError::Malformed);
}

#[test]
fn a_ca_without_the_key_usage_has_no_list() {
    let crl = Crl::parse(signed(7, 100, &three())).unwrap();
    let mut other = AUTHORITY.certificate.clone();
    other.key_usage = Some(KeyUsage::KEY_CERT_SIGN);
    assert!(matches!(crl.verify(&other), Err(CrlError::NotForCrls(_))));
}

#[test]
fn a_compromised_issuer_is_written_as_such() {
    let mut entries = EntryBuffer::new(Subjects::Issuers);
    entries.insert(&revoked(&[9], 0, RevocationReason::KeyCompromise));
    let row = revoked(&[9], 0, RevocationReason::KeyCompromise);
    let crl = Crl::parse(signed(1, 10, &entries)).unwrap();
    assert_eq!(crl.entries().next().unwrap().reason_code, Some(2));
    assert!(diff([row], &crl, drop_before(None, at(10))).is_none());
}

#[test]
fn numbers_from_zero_to_the_last_are_written_and_read() {
    for number in [0, 1, 127, 128, 255, 256, u64::MAX] {
        assert_eq!(Crl::parse(signed(number, 0, &buffer([]))).unwrap().number, number);
    }
}

/// A list put together by hand from its fields.
fn raw(version: &[u8], dates: &[&str], entries: &[Vec<u8>], extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = SignatureAlgorithm::identifier_of(KeyAlgorithm::EcdsaP256);
    let dates: Vec<u8> = dates
        .iter()
        .flat_map(|d| der::write(0x17, &[d.as_bytes()]))
        .collect();
    let entries = if entries.is_empty() {
        vec![]
    } else {
        der::write(0x30, &[&entries.concat()])
    };
    let extensions = der::write(0xa0, &[&der::write(0x30, &[&extensions.concat()])]);
    let subject = &AUTHORITY.certificate.subject;
    let tbs = der::write(
        0x30,
        &[version, algorithm, subject, &dates, &entries, &extensions],
    );
    der::write(0x30, &[&tbs, algorithm, &der::write(3, &[&[0, 1]])])
}

fn extension(oid: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::write(
        0x30,
        &[&[6, 3, 0x55, 0x1d, oid], critical, &der::write(4, &[value])],
    )
}

fn entry_with(extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions = der::write(0x30, &[&extensions.concat()]);
    der::write(
        0x30,
        &[&[2, 1, 5], &der::write(0x17, &[b"261122100000Z"]), &extensions],
    )
}

const V2: &[u8] = &[2, 1, 1];
const DATES: &[&str] = &["261122100000Z", "261123100000Z"];

fn number() -> Vec<u8> {
    extension(20, false, &[2, 1, 9])
}

fn error(list: Vec<u8>) -> CrlError {
    Crl::parse(list).unwrap_err()
}

#[test]
fn what_is_no_full_list_is_refused_with_the_reason() {
    assert!(Crl::parse(raw(V2, DATES, &[], &[number()])).is_ok());
    let refused = |oid: &str| CrlError::Extension(oid.to_owned());
    for (name, bad, expected) in [
        ("delta", extension(27, true, &[2, 1, 1]), refused("2.5.29.27")),
        ("part", extension(28, true, &[0x30, 0]), refused("2.5.29.28")),
        (
            "part, quietly",
            extension(28, false, &[0x30, 0]),
            refused("2.5.29.28"),
        ),
        (
            "unknown and critical",
            extension(99, true, &[5, 0]),
            refused("2.5.29.99"),
        ),
        ("two numbers", number(), refused("2.5.29.20")),
    ] {
        assert_eq!(error(raw(V2, DATES, &[], &[number(), bad])), expected, "{name}");
    }
    let unknown = extension(99, false, &[5, 0]);
    assert!(Crl::parse(raw(V2, DATES, &[], &[number(), unknown])).is_ok());
    assert_eq!(error(raw(&[], DATES, &[], &[number()])), CrlError::Version);
    assert_eq!(error(raw(V2, DATES, &[], &[])), CrlError::Number);
    assert_eq!(
        error(raw(
            V2,
            DATES,
            &[],
            &[extension(20, false, &[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0])]
        )),
        CrlError::Number
    );
    assert_eq!(
        error(raw(V2, &DATES[..1], &[], &[number()])),
        CrlError::NoNextUpdate
    );
    let backwards = ["261123100000Z", "261122100000Z"];
    assert!(matches!(
        error(raw(V2, &backwards, &[], &[number()])),
        CrlError::Dates { .. }
    ));
}

#[test]
fn entries_of_another_ca_and_damaged_ones_are_refused_by_number() {
    let reason = |code: u8| extension(21, false, &[10, 1, code]);
    let good = entry_with(&[reason(6)]);
    assert!(Crl::parse(raw(V2, DATES, std::slice::from_ref(&good), &[number()])).is_ok());
    for (name, bad) in [
        ("of another CA", entry_with(&[extension(29, true, &[0x30, 0])])),
        ("two reasons", entry_with(&[reason(1), reason(1)])),
        ("reason 7", entry_with(&[reason(7)])),
        ("reason 11", entry_with(&[reason(11)])),
        ("no extension in the list", entry_with(&[])),
        (
            "negative",
            der::write(0x30, &[&[2, 1, 0x85], &der::write(0x17, &[b"261122100000Z"])]),
        ),
        (
            "zero",
            der::write(0x30, &[&[2, 1, 0], &der::write(0x17, &[b"261122100000Z"])]),
        ),
        ("no date", der::write(0x30, &[&[2, 1, 5]])),
        (
            "no such day",
            der::write(0x30, &[&[2, 1, 5], &der::write(0x17, &[b"260230100000Z"])]),
        ),
        ("not an entry", vec![2, 1, 5]),
    ] {
        let list = raw(V2, DATES, &[good.clone(), bad], &[number()]);
        assert_eq!(error(list), CrlError::Entry(2), "{name}");
    }
}

#[test]
fn a_file_with_another_number_of_lists_is_refused() {
    let pem = Crl::parse(signed(1, 0, &three())).unwrap().pem();
    assert_eq!(
        Crl::parse_pem_or_der(pem.repeat(2).into_bytes()).unwrap_err(),
        CrlError::NotOne(2)
    );
    assert_eq!(Crl::parse_bundle(pem.repeat(2).as_bytes()).unwrap().len(), 2);
    let certificate = AUTHORITY.certificate.pem();
    assert_eq!(
        Crl::parse_pem_or_der(certificate.into_bytes()).unwrap_err(),
        CrlError::NotOne(0)
    );
    assert!(matches!(
        Crl::parse_pem_or_der(&b""[..]).unwrap_err(),
        CrlError::Pem(_)
    ));
}

#[test]
fn a_list_is_stale_after_its_next_update_and_not_at_it() {
    let crl = Crl::parse(signed(1, 0, &three())).unwrap();
    assert!(!crl.is_stale_at(at(86_400)));
    assert!(crl.is_stale_at(at(86_401)));
}

#[test]
fn a_difference_names_what_differs() {
    let rows = || {
        vec![
            revoked(&[3], 6, RevocationReason::Superseded),
            revoked(&[0x4f; 16], 7, RevocationReason::KeyCompromise),
            revoked(&[0x80, 1], 5, RevocationReason::Unspecified),
        ]
    };
    let crl = Crl::parse(signed(7, 100, &three())).unwrap();
    let never = drop_before(None, at(100));
    assert!(diff(rows(), &crl, never).is_none());
    let without = |index: usize| {
        let mut rows = rows();
        rows.remove(index);
        rows
    };
    for index in 0..3 {
        let found = diff(without(index), &crl, never);
        assert_eq!(
            (found.unexpected.count, found.missing.count, found.changed.count),
            (1, 0, 0)
        );
        let shorter = Crl::parse(signed(8, 100, &buffer(without(index)))).unwrap();
        let found = diff(rows(), &shorter, never);
        assert_eq!(found.missing.first, [rows()[index].serial.clone()]);
        let gone: Vec<Serial> = dropped(&crl, &shorter).map(|e| e.to_serial()).collect();
        assert_eq!(gone, [rows()[index].serial.clone()]);
        // Expired long enough, it may be missing.
        assert!(diff(rows(), &shorter, at(1001)).is_none());
        let mut changed = rows();
        changed[index].revoked_at = at(99);
        assert_eq!(diff(changed, &crl, never).changed.count, 1);
        let mut changed = rows();
        changed[index].reason = RevocationReason::PrivilegeWithdrawn;
        assert_eq!(diff(changed, &crl, never).changed.count, 1);
    }
    let many = (1..=9u8).map(|n| revoked(&[n], 0, RevocationReason::Unspecified));
    let empty = Crl::parse(signed(9, 100, &buffer([]))).unwrap();
    let found = diff(many, &empty, never).to_string();
    assert!(
        found.starts_with("missing 9 (01, 02, 03, 04, 05, ...); unexpected 0"),
        "{found}"
    );
}

#[test]
fn an_entry_stays_until_it_stood_on_a_list_made_after_its_certificate_expired_and_a_week_longer() {
    let week = LISTED_AFTER_EXPIRY.as_secs() as i64;
    let one = || buffer([revoked(&[5], 0, RevocationReason::Unspecified)]); // expires at 1000
    let dropped = |predecessor: Option<i64>, now: i64| one().prune(predecessor.map(at), at(now));
    assert_eq!(dropped(None, 1_000_000_000), 0, "it never stood on a list");
    assert_eq!(dropped(Some(1000 + week), 2000 + week), 0);
    assert_eq!(dropped(Some(1001 + week), 2000 + week), 1);
    // A clock that ran ahead and came back does not take it off.
    assert_eq!(dropped(Some(1001 + week), 900), 0);
}

fn reason() -> impl Strategy<Value = RevocationReason> {
    prop::sample::select(RevocationReason::ALL.to_vec())
}

type Table = BTreeMap<Serial, Revoked>;

fn table(len: std::ops::Range<usize>) -> impl Strategy<Value = Table> {
    let serial = prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 1..=20)]
        .prop_filter_map("zero", |bytes| Serial::from_bytes(&bytes).ok());
    let rest = (-2_000_000_000i64..3_000_000_000, reason(), 0i64..2000);
    btree_map(serial, rest, len).prop_map(|all| {
        let row = |(serial, (since, reason, expires)): (Serial, (i64, RevocationReason, i64))| Revoked {
            serial,
            revoked_at: at(since),
            reason,
            not_after: at(expires),
        };
        all.into_iter()
            .map(|entry| (entry.0.clone(), row(entry)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_is_read_back_in_whatever_order_it_came(table in table(0..900), seed: u64) {
        let mut rows: Vec<Revoked> = table.values().cloned().collect();
        rows.sort_by_key(|row| crate::base::encoding::sha256(&[row.serial.as_bytes(), &seed.to_be_bytes()].concat()));
        let mut entries = buffer(rows.clone());
        for row in &rows {
            prop_assert!(!entries.insert(row), "a second time");
        }
        prop_assert_eq!(entries.len(), table.len());
        let crl = Crl::parse(signed(1, 0, &entries)).unwrap();
        prop_assert!(crl.is_sorted && crl.dates_in_right_form);
        prop_assert_eq!(crl.entry_count, table.len());
        let difference = diff(table.into_values(), &crl, drop_before(None, at(0)));
        prop_assert!(difference.is_none(), "{}", difference);
        for row in rows.iter().take(20) {
            prop_assert_eq!(entries.find(&row.serial), crl.find(&row.serial));
            prop_assert_eq!(entries.find(&row.serial).and_then(|e| e.reason()), Some(row.reason));
        }
    }

    #[test]
    fn the_next_list_holds_the_one_before_without_what_expired(
        steps in vec((table(0..40), 0i64..900_000), 1..8)
    ) {
        let mut entries = buffer([]);
        let mut rows = Table::new();
        let mut previous: Option<Crl> = None;
        let mut now = 0;
        for (number, (more, later)) in steps.into_iter().enumerate() {
            now += later;
            entries.prune(previous.as_ref().map(|crl| crl.this_update), at(now));
            // A certificate is revoked once: the table knows, also of those that went from the list.
            for (serial, row) in more.into_iter().filter(|(serial, _)| !rows.contains_key(serial)).collect::<Vec<_>>() {
                entries.insert(&row);
                rows.insert(serial, row);
            }
            let crl = Crl::parse(signed(number as u64, now, &entries)).unwrap();
            let limit = drop_before(previous.as_ref().map(|crl| crl.this_update), at(now));
            let difference = diff(rows.values().cloned(), &crl, limit);
            prop_assert!(difference.is_none(), "{}", difference);
            if let Some(previous) = &previous {
                for gone in dropped(previous, &crl) {
                    prop_assert!(rows[&gone.to_serial()].not_after < previous.this_update, "{:?}", gone);
                }
            }
            previous = Some(crl);
        }
    }

    #[test]
    fn no_input_makes_reading_panic(data: Vec<u8>, at: prop::sample::Index, by in vec(any::<u8>(), 1..6)) {
        let _ = Crl::parse_pem_or_der(data);
        let mut list = signed(7, 100, &three()).to_vec();
        let at = at.index(list.len());
        let end = (at + by.len()).min(list.len());
        list.splice(at..end, by);
        if let Ok(crl) = Crl::parse(list) {
            let _ = (crl.entries().count(), crl.pem(), crl.issuer_text());
        }
    }
}
