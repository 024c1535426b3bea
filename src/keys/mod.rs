//! Where the CA's private keys are: one trait, implementations below, one conformance suite that every
//! implementation runs. A key never leaves its implementation; everyone else holds an [`IssuerKey`].

#[cfg(test)]
mod conformance;
pub mod file;
mod memory;

use std::fmt;

use crate::pki::{KeyAlgorithm, PrivateKeyError, PublicKey};

pub use memory::MemoryKey;

/// What can go wrong with a CA key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Ed25519 and whatever else is for leaves only.
    #[error("a CA key cannot be {0}: use ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096")]
    NotForCa(KeyAlgorithm),
    /// The key itself, or the PEM around it.
    #[error("the CA key file {0}")]
    Private(#[from] PrivateKeyError),
    /// Encrypted, and nothing to open it with.
    #[error(
        "the CA key is encrypted; give its passphrase (--passphrase-file, DOCKWARDEN_PASSPHRASE or a systemd credential)"
    )]
    PassphraseNeeded,
    /// Decryption gave no key.
    #[error("the passphrase does not open the CA key: it is another one, or the key file is damaged")]
    WrongPassphrase,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty; choose one, or have one generated")]
    EmptyPassphrase,
    /// A plain key where an encrypted one is required.
    #[error(
        "the CA key is not encrypted; encrypt it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in FILE -out NEW"
    )]
    NotEncrypted,
    /// Not PBES2, or PBES2 with 3DES, SHA-1 or costs out of bounds.
    #[error(
        "the CA key is encrypted in a way that is not read; convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in FILE -out NEW"
    )]
    UnsupportedEncryption,
    /// The device or library refused to sign.
    #[error("the CA key could not sign: {0}; look at the device or file that holds it")]
    Sign(String),
}

/// A CA's private key, wherever it is: a file, a PKCS#11 token. Signing may block (a token on a bus):
/// not on an async thread.
pub trait IssuerKey: fmt::Debug + Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message`: P-256 and RSA (PKCS#1 v1.5) with SHA-256, P-384 with SHA-384; ECDSA signatures
    /// in DER (RFC 3279 §2.2.3).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Algorithm and size.
    fn algorithm(&self) -> KeyAlgorithm {
        self.public_key().algorithm()
    }
}

/// Whether a CA may have such a key: Ed25519 is out, because tokens and browsers cannot use it.
pub fn is_for_ca(algorithm: KeyAlgorithm) -> bool {
    algorithm != KeyAlgorithm::Ed25519
}
