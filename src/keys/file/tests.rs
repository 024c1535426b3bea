use super::*;
use crate::base::SeededRandom;
use crate::keys::{IssuerKey, conformance};
use crate::pki::{KeyAlgorithm, PemError, PrivateKeyError};

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

fn sealed(passphrase: &str) -> (MemoryKey, Zeroizing<String>) {
    let key = MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let pem = seal(&key, &secret(passphrase), &SeededRandom::new(1)).unwrap();
    (key, pem)
}

#[test]
fn a_sealed_key_opens_with_its_passphrase_and_keeps_the_contract() {
    let (key, pem) = sealed("correct horse");
    let opened = open(pem.as_str(), &secret("correct horse")).unwrap();
    assert_eq!(opened.public_key(), key.public_key());
    conformance::run(&opened);
}

#[test]
fn a_wrong_passphrase_is_told_as_such() {
    let (_, pem) = sealed("correct horse");
    for attempt in ["", "correct horse ", "Correct horse"] {
        assert_eq!(
            open(pem.as_str(), &secret(attempt)).unwrap_err(),
            KeyError::WrongPassphrase
        );
    }
}

#[test]
fn garbage_with_valid_padding_is_still_a_wrong_passphrase() {
    let (salt, iv) = ([7; 16], [9; 16]);
    let scheme = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1, &salt, iv).unwrap();
    let key = MemoryKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let ciphertext = scheme.encrypt("right", key.pkcs8().as_slice()).unwrap();
    let info = EncryptedPrivateKeyInfo {
        encryption_algorithm: EncryptionScheme::Pbes2(scheme),
        encrypted_data: OctetStringRef::new(&ciphertext).unwrap(),
    };
    let pem = pem::encode(LABEL, &info.to_der().unwrap());
    for attempt in 0..2000 {
        let error = open(&pem, &secret(&format!("wrong {attempt}"))).unwrap_err();
        assert_eq!(error, KeyError::WrongPassphrase, "attempt {attempt}");
    }
    assert!(open(&pem, &secret("right")).is_ok());
}

#[test]
fn a_passphrase_can_be_changed_and_the_old_one_stops_working() {
    let (key, pem) = sealed("old");
    let random = SeededRandom::new(2);
    let changed = change_passphrase(pem.as_str(), &secret("old"), &secret("new"), &random).unwrap();
    assert_eq!(
        open(changed.as_str(), &secret("new")).unwrap().public_key(),
        key.public_key()
    );
    assert_eq!(
        open(changed.as_str(), &secret("old")).unwrap_err(),
        KeyError::WrongPassphrase
    );
    assert_ne!(*pem, *changed);
    let empty = change_passphrase(pem.as_str(), &secret("old"), &secret(""), &random);
    assert_eq!(empty.unwrap_err(), KeyError::EmptyPassphrase);
}

#[test]
fn what_is_written_has_600_000_rounds_and_aes_256() {
    let (_, pem) = sealed("x");
    let block = pem::only_key(pem.as_bytes()).unwrap();
    let info = EncryptedPrivateKeyInfoRef::from_der(&block.der).unwrap();
    let EncryptionScheme::Pbes2(scheme) = info.encryption_algorithm else {
        panic!("not PBES2")
    };
    let pbkdf2 = scheme.kdf.pbkdf2().unwrap();
    assert_eq!(pbkdf2.iteration_count, 600_000);
    assert_eq!(pbkdf2.prf, pbes2::Pbkdf2Prf::HmacWithSha256);
    assert!(matches!(
        scheme.encryption,
        pbes2::EncryptionScheme::Aes256Cbc { .. }
    ));
}

#[test]
fn a_plain_key_is_imported_but_never_opened_as_the_ca_key() {
    let key = crate::pki::LeafKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
    let plain = key.to_pkcs8_pem();
    assert_eq!(
        open(plain.as_str(), &secret("x")).unwrap_err(),
        KeyError::NotEncrypted
    );
    let imported = import(plain.as_str(), None).unwrap();
    assert_eq!(imported.public_key(), key.public_key());
    let (_, encrypted) = sealed("x");
    assert_eq!(
        import(encrypted.as_str(), None).unwrap_err(),
        KeyError::PassphraseNeeded
    );
    assert!(import(encrypted.as_str(), Some(&secret("x"))).is_ok());
}

#[test]
fn a_damaged_file_never_opens_and_says_why() {
    let (_, pem) = sealed("x");
    let truncated = KeyError::Private(PrivateKeyError::Pem(PemError::Truncated(LABEL.into())));
    assert_eq!(open(&pem[..pem.len() / 2], &secret("x")).unwrap_err(), truncated);
    let empty = KeyError::Private(PrivateKeyError::Pem(PemError::Empty));
    assert_eq!(open("", &secret("x")).unwrap_err(), empty);
    let block = pem::only_key(pem.as_bytes()).unwrap();
    for cut in [1, 20, 60, block.der.len() - 1] {
        let pem = pem::encode(LABEL, &block.der[..cut]);
        assert_eq!(
            open(pem, &secret("x")).unwrap_err(),
            KeyError::UnsupportedEncryption,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_file_that_asks_for_hours_of_work_is_refused_at_once() {
    let der_with = |kdf: pbes2::Kdf| {
        let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
        let info = EncryptedPrivateKeyInfo {
            encryption_algorithm: EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption }),
            encrypted_data: OctetStringRef::new(&[0; 64]).unwrap(),
        };
        pem::encode(LABEL, &info.to_der().unwrap())
    };
    let rounds = |n| {
        let mut params = pbes2::Pbkdf2Params::hmac_sha256(1, &[0; 16]).unwrap();
        params.iteration_count = n;
        der_with(params.into())
    };
    let refused = open(rounds(PBKDF2_ROUNDS_MAX + 1), &secret("x")).unwrap_err();
    assert_eq!(refused, KeyError::UnsupportedEncryption);
    assert_eq!(
        open(rounds(1), &secret("x")).unwrap_err(),
        KeyError::WrongPassphrase
    );
}
