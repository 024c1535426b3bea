use super::*;
use crate::pki::{KeyAlgorithm, LeafKey};
use proptest::prelude::*;

fn certificate(name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    encode_certificate(params.self_signed(&key).unwrap().der())
}

fn refusal(pem: impl AsRef<[u8]>) -> PemError {
    certificates(pem).unwrap_err()
}

#[test]
fn a_bundle_is_read_in_order_with_text_between() {
    let (a, b) = (certificate("a.example"), certificate("b.example"));
    let bundle = format!("# our roots\nsubject=CN = a\n\n{a}\r\n- a dash is text\n{b}trailing words");
    let found = certificates(&bundle).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(encode_certificate(&found[0]), a);
    assert_eq!(encode_certificate(&found[1]), b);
    let windows = bundle.replace('\n', "\r\n");
    assert_eq!(certificates(windows).unwrap(), found);
}

#[test]
fn every_truncation_of_a_bundle_is_an_error_or_ends_between_blocks() {
    let (a, b) = (certificate("a.example"), certificate("b.example"));
    let bundle = format!("{a}{b}");
    // With or without the last newline, the bundle is whole; cut right after the first block, nobody can tell.
    let whole = [bundle.len() - 1, bundle.len()];
    let between = [a.len() - 1, a.len()];
    for cut in 0..=bundle.len() {
        let result = certificates(&bundle[..cut]);
        let expected = if whole.contains(&cut) {
            Some(2)
        } else {
            between.contains(&cut).then_some(1)
        };
        assert_eq!(
            result.as_ref().ok().map(Vec::len),
            expected,
            "cut at {cut}: {result:?}"
        );
    }
}

#[test]
fn damage_is_told_with_its_kind() {
    let good = certificate("a.example");
    let with_line = |line: &str| good.replacen('\n', &format!("\n{line}\n"), 1);
    assert_eq!(refusal(""), PemError::Empty);
    assert_eq!(refusal("\0\x01binary"), PemError::Empty);
    assert_eq!(refusal(with_line("!!!!")), PemError::Garbled(2));
    assert_eq!(refusal(with_line("Comment: x")), PemError::Garbled(2));
    assert_eq!(
        refusal(good.replace("-----END", "----END")),
        PemError::Garbled(good.lines().count())
    );
    assert_eq!(
        refusal(good.replace("END CERTIFICATE", "END X509 CRL")),
        PemError::Truncated("CERTIFICATE".into())
    );
    assert_eq!(
        refusal(good.lines().skip(1).collect::<Vec<_>>().join("\n")),
        PemError::Garbled(good.lines().count() - 1)
    );
    assert_eq!(
        refusal(format!("{good}-----BEGIN CERTIFI")),
        PemError::Garbled(good.lines().count() + 1)
    );
    assert_eq!(
        refusal(encode_certificate(b"not DER")),
        PemError::NotACertificate(1)
    );
    assert_eq!(
        refusal(encode("X509 CRL", b"x")),
        PemError::NoCertificate("X509 CRL".into())
    );
    assert_eq!(
        refusal("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        PemError::Garbled(2)
    );
    let trailing = [certificates(&good).unwrap()[0].as_ref(), &[0]].concat();
    assert_eq!(
        refusal(encode_certificate(&trailing)),
        PemError::NotACertificate(1)
    );
}

#[test]
fn a_file_is_read_up_to_the_limit_and_not_one_byte_past_it() {
    let good = certificate("a.example");
    let padded = |len: usize| format!("{good}{}", " ".repeat(len - good.len()));
    assert!(certificates(padded(PEM_BYTES_MAX)).is_ok());
    assert_eq!(
        refusal(padded(PEM_BYTES_MAX + 1)),
        PemError::TooLarge(PEM_BYTES_MAX + 1)
    );
}

#[test]
fn a_private_key_file_holds_exactly_one() {
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap().to_pkcs8_pem();
    let parameters = encode("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    assert!(private_key(format!("{parameters}{}{}", *key, certificate("a"))).is_ok());
    let error = |pem: String| private_key(pem).unwrap_err();
    assert_eq!(error(format!("{}{}", *key, *key)), PemError::SeveralKeys);
    assert_eq!(error(certificate("a")), PemError::NoKey("CERTIFICATE".into()));
    assert_eq!(
        error(encode("ENCRYPTED PRIVATE KEY", b"x")),
        PemError::EncryptedKey
    );
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(error(legacy.into()), PemError::LegacyEncryption);
    assert_eq!(
        error(key[..key.len() - 3].into()),
        PemError::Truncated("PRIVATE KEY".into())
    );
}

#[test]
fn errors_never_repeat_the_file() {
    let secret = "SECRETSECRETSECRET";
    for pem in [
        secret.to_owned(),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n"),
        format!("-----{secret}"),
    ] {
        let error = private_key(pem).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
    }
}

proptest! {
    #[test]
    fn no_input_panics(bytes: Vec<u8>) {
        let _ = certificates(&bytes);
        let _ = private_key(&bytes);
    }

    #[test]
    fn what_is_encoded_is_read_back(der in proptest::collection::vec(any::<u8>(), 1..500)) {
        let pem = encode("X", &der);
        let blocks = blocks(pem.as_bytes()).unwrap();
        prop_assert_eq!(blocks[0].der.as_slice(), der.as_slice());
        prop_assert!(pem.lines().all(|l| l.len() <= 64));
    }
}
