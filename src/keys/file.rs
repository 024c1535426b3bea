//! CA keys at rest: PKCS#8 PBES2 (RFC 8018) with PBKDF2-HMAC-SHA-256, 600,000 rounds, and AES-256-CBC, the
//! strongest form that OpenSSL 3.0 opens too (`openssl pkey -in FILE -passin file:PASS`).
//!
//! Text in, text out: reading and writing the file is the caller's. Deriving takes tens of
//! milliseconds: not on an async thread.

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Encode};
use pkcs8::pkcs5::{self, EncryptionScheme, pbes2};
use pkcs8::{EncryptedPrivateKeyInfo, EncryptedPrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::{KeyError, MemoryKey};
use crate::base::{ExposeSecret, Random, SecretString};
use crate::pki::pem;
use crate::pki::private_key::PrivateKey;

/// PBKDF2 rounds of what we write (OWASP 2023 for HMAC-SHA-256).
pub const PBKDF2_ROUNDS: u32 = 600_000;
/// The most rounds a file may ask for: about a second and a half of work.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// The most memory scrypt may ask for, bytes.
const SCRYPT_BYTES_MAX: u64 = 256 * 1024 * 1024;

const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Encrypts `key`: an `ENCRYPTED PRIVATE KEY` PEM with a fresh salt and IV.
pub fn seal(
    key: &MemoryKey,
    passphrase: &SecretString,
    random: &dyn Random,
) -> Result<Zeroizing<String>, KeyError> {
    if passphrase.expose_secret().is_empty() {
        return Err(KeyError::EmptyPassphrase);
    }
    let (salt, iv): ([u8; 16], [u8; 16]) = (random.bytes(), random.bytes());
    let scheme = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(PBKDF2_ROUNDS, &salt, iv)
        .expect("rounds and salt are within PBKDF2's bounds");
    let ciphertext = scheme
        .encrypt(passphrase.expose_secret(), key.pkcs8().as_slice())
        .expect("AES-256-CBC takes any length");
    let info = EncryptedPrivateKeyInfo {
        encryption_algorithm: EncryptionScheme::Pbes2(scheme),
        encrypted_data: OctetStringRef::new(&ciphertext).expect("shorter than 4 GiB"),
    };
    let der = info.to_der().expect("in memory");
    Ok(Zeroizing::new(pem::encode(LABEL, &der)))
}

/// Opens a key of the CA: encrypted, or it is refused.
pub fn open(pem: impl AsRef<[u8]>, passphrase: &SecretString) -> Result<MemoryKey, KeyError> {
    let block = pem::only_key(pem.as_ref()).map_err(crate::pki::PrivateKeyError::from)?;
    if block.label != LABEL {
        return Err(KeyError::NotEncrypted);
    }
    decrypt(&block.der, passphrase)
}

/// Opens a key that somebody brings: PKCS#8 (encrypted or not), SEC1 or PKCS#1.
pub fn import(pem: impl AsRef<[u8]>, passphrase: Option<&SecretString>) -> Result<MemoryKey, KeyError> {
    let pem = pem.as_ref();
    let block = pem::only_key(pem).map_err(crate::pki::PrivateKeyError::from)?;
    match (block.label.as_str(), passphrase) {
        (LABEL, Some(passphrase)) => decrypt(&block.der, passphrase),
        (LABEL, None) => Err(KeyError::PassphraseNeeded),
        _ => MemoryKey::new(PrivateKey::from_pem(pem)?),
    }
}

/// The same key under another passphrase, with a fresh salt.
pub fn change_passphrase(
    pem: impl AsRef<[u8]>,
    old: &SecretString,
    new: &SecretString,
    random: &dyn Random,
) -> Result<Zeroizing<String>, KeyError> {
    seal(&open(pem, old)?, new, random)
}

fn decrypt(der: &[u8], passphrase: &SecretString) -> Result<MemoryKey, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::UnsupportedEncryption)?;
    let EncryptionScheme::Pbes2(scheme) = &info.encryption_algorithm else {
        return Err(KeyError::UnsupportedEncryption);
    };
    if !is_affordable(&scheme.kdf) {
        return Err(KeyError::UnsupportedEncryption);
    }
    let plain = scheme.decrypt(passphrase.expose_secret(), info.encrypted_data.as_bytes());
    let plain = Zeroizing::new(plain.map_err(|e| match e {
        pkcs5::Error::DecryptFailed => KeyError::WrongPassphrase,
        _ => KeyError::UnsupportedEncryption,
    })?);
    // One wrong passphrase in 256 yields well-padded garbage.
    if crate::pki::der::only(crate::pki::der::SEQUENCE, &plain).is_none() {
        return Err(KeyError::WrongPassphrase);
    }
    MemoryKey::new(PrivateKey::from_pkcs8(&plain)?)
}

/// A damaged or hostile file must not keep the CA busy for hours.
fn is_affordable(kdf: &pbes2::Kdf) -> bool {
    match kdf {
        pbes2::Kdf::Pbkdf2(params) => params.iteration_count <= PBKDF2_ROUNDS_MAX,
        pbes2::Kdf::Scrypt(params) => {
            let bytes = [
                128,
                u64::from(params.block_size),
                u64::from(params.parallelization),
            ]
            .into_iter()
            .try_fold(params.cost_parameter, u64::checked_mul);
            bytes.is_some_and(|bytes| bytes <= SCRYPT_BYTES_MAX)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
