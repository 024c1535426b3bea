//! The private key of a host or client, made where it is used. It signs requests for certificates
//! and is handed to TLS; nothing else.

use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::algorithm::KeyAlgorithm;
use super::pem;
use super::private_key::{PrivateKey, PrivateKeyError};
use super::public_key::PublicKey;

/// A leaf's private key. Wiped from memory when dropped; Debug shows the algorithm alone.
#[derive(Debug)]
pub struct LeafKey(PrivateKey);

impl LeafKey {
    /// Makes a new one. RSA-4096 takes about a second: not on an async thread.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, PrivateKeyError> {
        PrivateKey::generate(algorithm).map(Self)
    }

    /// Reads PKCS#8, SEC1 or PKCS#1 PEM that is not encrypted.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, PrivateKeyError> {
        PrivateKey::from_pem(pem).map(Self)
    }

    /// PKCS#8 (version 1) PEM.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::encode("PRIVATE KEY", self.0.pkcs8()))
    }

    /// PKCS#8 (version 1) DER, for TLS.
    pub fn to_pkcs8_der(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.pkcs8().to_vec())
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        self.0.public()
    }

    /// Algorithm and size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.public().algorithm()
    }

    pub(super) fn pair(&self) -> &rcgen::KeyPair {
        self.0.pair()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_every_kind_survives_its_pem_form() {
        for algorithm in [
            KeyAlgorithm::EcdsaP256,
            KeyAlgorithm::EcdsaP384,
            KeyAlgorithm::Ed25519,
            KeyAlgorithm::Rsa2048,
        ] {
            let key = LeafKey::generate(algorithm).unwrap();
            let read = LeafKey::from_pem(key.to_pkcs8_pem().as_bytes()).unwrap();
            assert_eq!(read.public_key(), key.public_key(), "{algorithm}");
            assert_eq!(read.algorithm(), algorithm);
        }
    }

    #[test]
    fn debug_shows_no_key_material() {
        let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        assert_eq!(format!("{key:?}"), "LeafKey(PrivateKey(ecdsa-p256, secret))");
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let der = key.to_pkcs8_der();
        let der = der.secret_pkcs8_der();
        for cut in 0..der.len() {
            let pem = pem::encode("PRIVATE KEY", &der[..cut]);
            assert!(LeafKey::from_pem(pem).is_err(), "cut at {cut}");
        }
    }
}
