//! A CA key in this process's memory: what a file becomes once its passphrase was given, and what tests use.

use zeroize::Zeroizing;

use super::{IssuerKey, KeyError, is_for_ca};
use crate::pki::private_key::PrivateKey;
use crate::pki::{KeyAlgorithm, PublicKey};

/// Wiped when dropped; Debug shows the algorithm alone.
#[derive(Debug)]
pub struct MemoryKey(PrivateKey);

impl MemoryKey {
    /// Makes a new one. RSA-4096 takes about a second.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        // Before the work, not after.
        if !is_for_ca(algorithm) {
            return Err(KeyError::NotForCa(algorithm));
        }
        Self::new(PrivateKey::generate(algorithm)?)
    }

    pub(super) fn new(key: PrivateKey) -> Result<Self, KeyError> {
        match key.public().algorithm() {
            algorithm if is_for_ca(algorithm) => Ok(Self(key)),
            algorithm => Err(KeyError::NotForCa(algorithm)),
        }
    }

    pub(super) fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        self.0.pkcs8()
    }
}

impl IssuerKey for MemoryKey {
    fn public_key(&self) -> &PublicKey {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0
            .sign(message)
            .ok_or_else(|| KeyError::Sign("the crypto library failed".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn a_key_in_memory_keeps_the_contract() {
        for algorithm in KeyAlgorithm::ALL.into_iter().filter(|a| is_for_ca(*a)) {
            let key = MemoryKey::generate(algorithm).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            conformance::run(&key);
        }
    }

    #[test]
    fn ed25519_is_not_for_a_ca() {
        let refused = KeyError::NotForCa(KeyAlgorithm::Ed25519);
        assert_eq!(MemoryKey::generate(KeyAlgorithm::Ed25519).unwrap_err(), refused);
    }
}
