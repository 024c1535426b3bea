//! What the signature check hides from blind mutation: the input is the subject and the attributes of a request, and
//! the proof of possession around them is always right.
//!
//! Input: one byte, how many of the rest are the subject (contents of the Name); what follows are the attributes.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use dockwarden::base::limits::SANS_MAX;
use dockwarden::pki::{CsrDer, CsrError, KeyAlgorithm, San, csr};
use libfuzzer_sys::fuzz_target;

const SEQUENCE: u8 = 0x30;
const P256_SPKI_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ECDSA_WITH_SHA256: &[u8] = &[
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];

static KEY: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"));

fuzz_target!(|data: &[u8]| {
    let Some((&subject, rest)) = data.split_first() else {
        return;
    };
    let (subject, attributes) = rest.split_at(rest.len().min(subject.into()));
    let Ok(request) = CsrDer::from_der(signed(subject, attributes)) else {
        return;
    };
    match csr::verify(request, &KeyAlgorithm::ALL) {
        Ok(verified) => check_names(verified.sans()),
        Err(error) => assert!(
            !matches!(error, CsrError::Signature(_) | CsrError::Key(_)),
            "{error}"
        ),
    }
});

fn check_names(sans: &[San]) {
    assert!(sans.len() <= SANS_MAX);
    for (index, san) in sans.iter().enumerate() {
        assert!(!sans[..index].contains(san));
        assert_eq!(san.to_string().parse::<San>().as_ref(), Ok(san));
    }
}

fn signed(subject: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut info = vec![0x02, 0x01, 0x00];
    info.extend(tlv(SEQUENCE, subject));
    info.extend(P256_SPKI_HEAD);
    info.extend(KEY.public_key().as_ref());
    info.extend(tlv(0xa0, attributes));
    let info = tlv(SEQUENCE, &info);
    let signature = KEY.sign(&SystemRandom::new(), &info).expect("signing in memory");
    let mut bits = vec![0];
    bits.extend(signature.as_ref());
    tlv(SEQUENCE, &[&info, ECDSA_WITH_SHA256, &tlv(0x03, &bits)].concat())
}

fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|b| **b == 0).count().min(7)..];
    let mut out = vec![tag];
    if contents.len() >= 0x80 {
        out.push(0x80 | u8::try_from(significant.len()).expect("at most 8"));
    }
    out.extend(significant);
    out.extend(contents);
    out
}
