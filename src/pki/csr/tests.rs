use std::time::{Duration, Instant};

use super::*;
use crate::pki::rsa::RsaKeyError;
use proptest::prelude::*;

const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const OCTET_STRING: u8 = 0x04;

fn key() -> LeafKey {
    LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

fn seq(parts: &[&[u8]]) -> Vec<u8> {
    der::write(der::SEQUENCE, parts)
}

/// A request with any subject (contents of Name) and attributes, signed well.
fn request(key: &LeafKey, subject: &[u8], attributes: &[u8]) -> Vec<u8> {
    let version = der::write(der::INTEGER, &[&[0]]);
    let spki = key.public_key().spki();
    let info = seq(&[&version, &seq(&[subject]), spki, &der::write(0xa0, &[attributes])]);
    let signature = rcgen::SigningKey::sign(key.pair(), &info).unwrap();
    seq(&[
        &info,
        ECDSA_SHA256,
        &der::write(der::BIT_STRING, &[&[0], &signature]),
    ])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    seq(&[&der::write(der::OID, &[oid]), &der::write(OCTET_STRING, &[value])])
}

fn attribute(extensions: &[Vec<u8>]) -> Vec<u8> {
    let list = seq(&extensions.iter().map(Vec::as_slice).collect::<Vec<_>>());
    seq(&[
        &der::write(der::OID, &[EXTENSION_REQUEST]),
        &der::write(SET, &[&list]),
    ])
}

/// One GeneralName each: tag and contents.
fn san(names: &[(u8, &[u8])]) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names
        .iter()
        .map(|(tag, name)| der::write(*tag, &[name]))
        .collect();
    extension(
        SUBJECT_ALT_NAME,
        &seq(&names.iter().map(Vec::as_slice).collect::<Vec<_>>()),
    )
}

fn dns(name: &str) -> (u8, &[u8]) {
    (0x82, name.as_bytes())
}

fn cn(tag: u8, value: &[u8]) -> Vec<u8> {
    let attribute = seq(&[&der::write(der::OID, &[COMMON_NAME]), &der::write(tag, &[value])]);
    der::write(SET, &[&attribute])
}

fn check(der: Vec<u8>) -> Result<VerifiedCsr, CsrError> {
    verify(CsrDer::from_der(der)?, &KeyAlgorithm::ALL)
}

fn check_names(names: &[(u8, &[u8])]) -> Result<Vec<San>, CsrError> {
    check(request(&key(), &[], &attribute(&[san(names)]))).map(|csr| csr.sans)
}

#[test]
fn our_own_requests_verify_for_every_algorithm() {
    let sans: Vec<San> = ["web-01.example", "10.0.0.1", "::1"]
        .map(|s| s.parse().unwrap())
        .to_vec();
    for algorithm in KeyAlgorithm::ALL {
        let key = LeafKey::generate(algorithm).unwrap();
        let csr = make(&key, &"web-01".parse().unwrap(), &sans);
        let through_pem = CsrDer::from_pem(csr.to_pem()).unwrap();
        let verified = verify(through_pem, &[algorithm]).unwrap();
        assert_eq!(verified.public_key(), key.public_key());
        assert_eq!(verified.sans(), sans);
        assert_eq!(verified.common_name().unwrap().as_str(), "web-01");
    }
}

#[test]
fn a_key_kind_the_profile_does_not_take_is_named() {
    let error = verify(
        make(&key(), &"a".parse().unwrap(), &[]),
        &[KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa3072],
    );
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("ecdsa-p256") && text.contains("ed25519, rsa-3072"),
        "{text}"
    );
}

#[test]
fn a_request_without_attributes_or_without_their_tag_is_read() {
    assert!(check(request(&key(), &[], &[])).unwrap().sans().is_empty());
    let key = key();
    let info = seq(&[
        &der::write(der::INTEGER, &[&[0]]),
        &seq(&[]),
        key.public_key().spki(),
    ]);
    let signature = rcgen::SigningKey::sign(key.pair(), &info).unwrap();
    assert!(
        check(seq(&[
            &info,
            ECDSA_SHA256,
            &der::write(der::BIT_STRING, &[&[0], &signature])
        ]))
        .is_ok()
    );
}

#[test]
fn an_rsa_key_of_16384_bits_is_refused_before_anything_is_computed_with_it() {
    let modulus = [&[0xc5u8][..], &[0x5b; 2046], &[0x11]].concat();
    let rsa = seq(&[
        &der::write(der::INTEGER, &[&[0], &modulus]),
        &der::write(der::INTEGER, &[&[1, 0, 1]]),
    ]);
    let identifier = [
        0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
    ];
    let spki = seq(&[&identifier, &der::write(der::BIT_STRING, &[&[0], &rsa])]);
    let info = seq(&[&der::write(der::INTEGER, &[&[0]]), &seq(&[]), &spki, &[0xa0, 0]]);
    let signature = der::write(der::BIT_STRING, &[&[0], &[0x11; 2048]]);
    let csr = seq(&[
        &info,
        &[
            0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0,
        ],
        &signature,
    ]);
    let error = check(csr.clone()).unwrap_err();
    assert_eq!(
        error,
        CsrError::Key(PublicKeyError::Rsa(RsaKeyError::Size(16384)))
    );
    assert!(
        error
            .to_string()
            .contains("16384 bits; make one with 2048, 3072 or 4096"),
        "{error}"
    );
    #[expect(clippy::disallowed_methods, reason = "measures that refusing is cheap")]
    let start = Instant::now();
    (0..1000).for_each(|_| assert!(check(csr.clone()).is_err()));
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "a refusal takes {:?}",
        start.elapsed() / 1000
    );
}

#[test]
fn impossible_names_are_refused_one_by_one() {
    let long = "a".repeat(64);
    let dotted = "web.example.";
    for name in [
        "*.example",
        "w*.example",
        "a\0.example",
        "a b.example",
        "bücher.example",
        "xn--",
        "xn--.example",
        "ab--c.example",
        dotted,
        ".",
        "",
        "a..b",
        "-a.example",
        "a_b.example",
        "10.0.0.300",
        "1.2.3.4",
        "a/b",
        "a,b",
        "a\nb",
        &long,
    ] {
        let error = check_names(&[dns("good.example"), dns(name)]).unwrap_err();
        assert!(matches!(error, CsrError::San(_)), "{name:?}: {error}");
    }
    assert_eq!(
        check_names(&[(0x82, &[0xff, 0xfe])]).unwrap_err(),
        CsrError::San(NameError::Dns("\u{fffd}\u{fffd}".into()))
    );
    for len in [0, 3, 5, 8, 15, 17, 32] {
        assert_eq!(
            check_names(&[(0x87, &vec![1; len])]).unwrap_err(),
            CsrError::Address(len)
        );
    }
}

#[test]
fn kinds_of_names_that_are_not_issued_are_refused() {
    for tag in [0x80, 0xa0, 0x81, 0xa3, 0xa4, 0xa5, 0x86, 0x88, 0x04] {
        let contents: &[u8] = if tag & 0x20 != 0 { &[5, 0] } else { b"x@y" };
        assert_eq!(
            check_names(&[(tag, contents)]).unwrap_err(),
            CsrError::SanKind,
            "{tag:02x}"
        );
    }
}

#[test]
fn the_same_name_twice_is_refused_in_any_spelling() {
    let twice = |names: &[(u8, &[u8])]| matches!(check_names(names), Err(CsrError::DuplicateSan(_)));
    assert!(twice(&[dns("a.example"), dns("b.example"), dns("A.Example")]));
    assert!(twice(&[
        (0x87, &[10, 0, 0, 1]),
        (0x87, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1])
    ]));
    assert!(!twice(&[
        dns("a.example"),
        (0x87, &[10, 0, 0, 1]),
        (0x87, &[10, 0, 0, 2])
    ]));
}

#[test]
fn names_are_counted_at_the_limit_past_it_and_far_past_it() {
    let names: Vec<String> = (0..10_000).map(|i| format!("h{i}.x")).collect();
    let first = |n: usize| check_names(&names[..n].iter().map(|n| dns(n)).collect::<Vec<_>>());
    assert_eq!(first(SANS_MAX).unwrap().len(), SANS_MAX);
    assert_eq!(
        first(SANS_MAX + 1).unwrap_err(),
        CsrError::TooManySans(SANS_MAX + 1)
    );
    assert_eq!(first(1000).unwrap_err(), CsrError::TooManySans(1000));
    assert!(matches!(first(10_000), Err(CsrError::TooLarge(_))));
}

#[test]
fn an_extension_that_stands_there_twice_is_refused() {
    let key = key();
    let (a, b) = (san(&[dns("a.example")]), san(&[dns("b.example")]));
    let other = extension(&[0x55, 0x1d, 0x0f], &[3, 2, 0, 0x80]);
    for attributes in [
        attribute(&[a.clone(), b.clone()]),
        attribute(&[other.clone(), other.clone()]),
        [
            attribute(std::slice::from_ref(&a)),
            attribute(std::slice::from_ref(&other)),
        ]
        .concat(),
        [
            attribute(std::slice::from_ref(&a)),
            attribute(std::slice::from_ref(&a)),
        ]
        .concat(),
    ] {
        assert_eq!(
            check(request(&key, &[], &attributes)).unwrap_err(),
            CsrError::DuplicateExtension
        );
    }
    // Two values in one attribute: nobody agrees on which one counts.
    let list = seq(&[&a]);
    let two = seq(&[
        &der::write(der::OID, &[EXTENSION_REQUEST]),
        &der::write(SET, &[&list, &seq(&[&b])]),
    ]);
    assert_eq!(check(request(&key, &[], &two)).unwrap_err(), CsrError::Malformed);
}

#[test]
fn other_extensions_and_attributes_are_ignored_whatever_they_ask() {
    let ca = extension(&[0x55, 0x1d, 0x13], &[0x30, 3, 1, 1, 0xff]);
    let unknown = extension(&[0x2a, 3, 4], b"anything at all");
    let challenge = seq(&[
        &der::write(der::OID, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7]]),
        &der::write(SET, &[&der::write(0x16, &[b"pass"])]),
    ]);
    let attributes = [challenge, attribute(&[ca, san(&[dns("a.example")]), unknown])].concat();
    let csr = check(request(&key(), &[], &attributes)).unwrap();
    assert_eq!(csr.sans(), ["a.example".parse().unwrap()]);
}

#[test]
fn the_common_name_is_one_plain_name_or_none() {
    let subject = |subject: &[u8]| check(request(&key(), subject, &[])).map(|csr| csr.common_name);
    assert_eq!(subject(&[]).unwrap(), None);
    for tag in [0x0c, 0x13, 0x16] {
        assert_eq!(subject(&cn(tag, b"Alice")).unwrap().unwrap().as_str(), "alice");
    }
    let organization = der::write(
        SET,
        &[&seq(&[&[6, 3, 0x55, 4, 10], &der::write(0x0c, &[b"Corp, Inc."])])],
    );
    assert_eq!(
        subject(&[organization, cn(0x0c, b"alice")].concat())
            .unwrap()
            .unwrap()
            .as_str(),
        "alice"
    );
    for bad in [
        [cn(0x0c, b"alice"), cn(0x0c, b"bob")].concat(),
        cn(0x0c, b"alice\0admin"),
        cn(0x0c, b"../../etc/passwd"),
        cn(0x0c, b""),
        cn(0x0c, &[b'a'; 65]),
        cn(0x0c, &[0xff]),
        cn(0x1e, b"\0a"),
    ] {
        let error = subject(&bad).unwrap_err();
        assert!(matches!(error, CsrError::CommonName(_)), "{error}");
    }
    assert_eq!(subject(&[5, 0]).unwrap_err(), CsrError::Malformed);
}

#[test]
fn a_request_signed_by_another_key_or_changed_afterwards_is_refused() {
    let attributes = attribute(&[san(&[dns("a.example")])]);
    let mut changed = request(&key(), &[], &attributes);
    let at = changed.windows(9).position(|w| w == b"a.example").unwrap();
    changed[at] = b'b';
    assert_eq!(
        check(changed).unwrap_err(),
        CsrError::Signature(SignatureError::Invalid)
    );
    let (mine, theirs) = (key(), key());
    let foreign = request(&theirs, &[], &[]);
    let at = foreign
        .windows(65)
        .position(|w| w == theirs.public_key().key_bytes())
        .unwrap();
    let swapped = [&foreign[..at], mine.public_key().key_bytes(), &foreign[at + 65..]].concat();
    assert_eq!(
        check(swapped).unwrap_err(),
        CsrError::Signature(SignatureError::Invalid)
    );
}

#[test]
fn a_point_that_is_not_on_the_curve_does_not_verify() {
    let key = key();
    let csr = request(&key, &[], &[]);
    let at = csr
        .windows(65)
        .position(|w| w == key.public_key().key_bytes())
        .unwrap();
    let off_curve = [&csr[..at + 1], &[1; 64], &csr[at + 65..]].concat();
    assert_eq!(
        check(off_curve).unwrap_err(),
        CsrError::Signature(SignatureError::Invalid)
    );
}

#[test]
fn a_request_cut_anywhere_or_with_something_behind_it_is_malformed() {
    let whole = request(&key(), &cn(0x0c, b"a"), &attribute(&[san(&[dns("a.example")])]));
    for cut in 0..whole.len() {
        assert_eq!(
            check(whole[..cut].to_vec()).unwrap_err(),
            CsrError::Malformed,
            "cut at {cut}"
        );
    }
    assert_eq!(
        check([whole.clone(), vec![0]].concat()).unwrap_err(),
        CsrError::Malformed
    );
    // An element more inside the outer SEQUENCE.
    let inner = der::only(der::SEQUENCE, &whole).unwrap();
    assert_eq!(check(seq(&[inner, &[5, 0]])).unwrap_err(), CsrError::Malformed);
}

#[test]
fn size_is_bounded_in_der_and_in_pem() {
    assert_eq!(CsrDer::from_der(vec![0; CSR_BYTES_MAX]).map(|_| ()), Ok(()));
    assert_eq!(
        CsrDer::from_der(vec![0; CSR_BYTES_MAX + 1]),
        Err(CsrError::TooLarge(CSR_BYTES_MAX + 1))
    );
    let huge = pem::encode("CERTIFICATE REQUEST", &vec![0; 3 * CSR_BYTES_MAX]);
    assert!(matches!(CsrDer::from_pem(huge), Err(CsrError::TooLarge(_))));
}

#[test]
fn what_is_not_one_request_is_told_by_what_it_is() {
    let csr = make(&key(), &"a".parse().unwrap(), &[]);
    let new = csr
        .to_pem()
        .replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    assert_eq!(CsrDer::from_pem(new), Ok(csr.clone()));
    let label = |pem: String| CsrDer::from_pem(pem).unwrap_err();
    assert_eq!(
        label(csr.to_pem() + &csr.to_pem()),
        CsrError::Label("2 blocks".into())
    );
    assert_eq!(
        label(pem::encode_certificate(&[0x30, 0])),
        CsrError::Label("CERTIFICATE".into())
    );
    assert_eq!(label(String::new()), CsrError::Pem(PemError::Empty));
    let key_pem = key().to_pkcs8_pem();
    assert_eq!(label(key_pem.to_string()), CsrError::Label("PRIVATE KEY".into()));
}

proptest! {
    #[test]
    fn no_change_to_a_request_panics_or_verifies(at in 0usize..400, to: u8) {
        let whole = request(&key(), &cn(0x0c, b"a"), &attribute(&[san(&[dns("a.example")])]));
        let mut changed = whole.clone();
        let at = at % whole.len();
        changed[at] = to;
        prop_assert!(check(changed.clone()).is_err() || changed == whole, "byte {at} to {to}");
    }

    #[test]
    fn no_input_panics(bytes: Vec<u8>) {
        let _ = check(bytes.clone());
        let _ = CsrDer::from_pem(&bytes);
    }
}

#[test]
fn a_request_that_names_nobody_still_proves_its_key() {
    let key = key();
    let request = verify(make_unnamed(&key), &[KeyAlgorithm::EcdsaP256]).unwrap();
    assert_eq!((request.common_name(), request.sans()), (None, [].as_slice()));
    assert_eq!(request.public_key(), key.public_key());
}
