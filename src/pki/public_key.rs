//! A public key that passed every check short of arithmetic: known algorithm, exact size, no known
//! weakness. Kept as the bytes that arrived, because those are what a certificate must carry.

use super::algorithm::KeyAlgorithm;
use super::der;
use super::rsa::{self, RsaKeyError};
use crate::base::encoding::sha256;

/// Why a public key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) in DER.
    #[error("its public key is not a well-formed SubjectPublicKeyInfo; make a new key")]
    Malformed,
    /// DSA, P-521, explicit curve parameters, RSASSA-PSS-only keys and the like.
    #[error(
        "its key type is not supported; use ECDSA on P-256 or P-384, Ed25519, or RSA with 2048, 3072 or 4096 bits"
    )]
    Unsupported,
    /// An elliptic-curve point in compressed form or of the wrong length.
    #[error("its elliptic-curve point is not in uncompressed form; make a new key")]
    Point,
    /// RSA, but not a key to accept.
    #[error(transparent)]
    Rsa(#[from] RsaKeyError),
}

/// AlgorithmIdentifier of id-ecPublicKey with prime256v1 (RFC 5480 §2.1.1).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
/// AlgorithmIdentifier of id-ecPublicKey with secp384r1.
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];
/// AlgorithmIdentifier of rsaEncryption with NULL parameters (RFC 3279 §2.3.1).
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// AlgorithmIdentifier of id-Ed25519, parameters absent (RFC 8410 §3).
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// A public key to build on. Equal when the bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
    key_len: usize,
}

impl PublicKey {
    /// From a SubjectPublicKeyInfo in DER, in the one encoding each algorithm has. Does no
    /// cryptography: that a point lies on its curve is found by the first signature check.
    pub fn from_spki(spki: &[u8]) -> Result<Self, PublicKeyError> {
        let (identifier, key) = split(spki).ok_or(PublicKeyError::Malformed)?;
        Ok(Self {
            algorithm: classify(identifier, key)?,
            spki: spki.to_vec(),
            key_len: key.len(),
        })
    }

    /// Algorithm and size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The SubjectPublicKeyInfo, byte for byte as it arrived.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 over the SubjectPublicKeyInfo: what pins and idempotent enrolment compare.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// The contents of the BIT STRING: an EC point, an RSAPublicKey, or 32 bytes.
    pub fn key_bytes(&self) -> &[u8] {
        &self.spki[self.spki.len() - self.key_len..]
    }

    /// The key identifier certificates carry: the leftmost 160 bits of the SHA-256 of
    /// [`key_bytes`](Self::key_bytes) (RFC 7093 §2, method 1).
    pub fn key_identifier(&self) -> [u8; 20] {
        sha256(self.key_bytes())[..20].try_into().expect("20 of 32 bytes")
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hash = crate::base::encoding::hex(&self.spki_sha256());
        write!(f, "PublicKey({}, sha256:{hash})", self.algorithm)
    }
}

/// AlgorithmIdentifier (whole) and the bytes of the key, which end where `spki` ends.
fn split(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = der::Reader::new(der::only(der::SEQUENCE, spki)?);
    let identifier = fields.expect(der::SEQUENCE)?.raw;
    let key = der::whole_bytes(fields.expect(der::BIT_STRING)?.value)?;
    fields.is_empty().then_some((identifier, key))
}

fn classify(identifier: &[u8], key: &[u8]) -> Result<KeyAlgorithm, PublicKeyError> {
    let point = |algorithm, len| match key {
        [4, ..] if key.len() == len => Ok(algorithm),
        _ => Err(PublicKeyError::Point),
    };
    match identifier {
        P256 => point(KeyAlgorithm::EcdsaP256, 65),
        P384 => point(KeyAlgorithm::EcdsaP384, 97),
        RSA => Ok(match rsa::check(key)? {
            2048 => KeyAlgorithm::Rsa2048,
            3072 => KeyAlgorithm::Rsa3072,
            _ => KeyAlgorithm::Rsa4096,
        }),
        ED25519 if key.len() == 32 => Ok(KeyAlgorithm::Ed25519),
        ED25519 => Err(PublicKeyError::Malformed),
        _ => Err(PublicKeyError::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spki(identifier: &[u8], key: &[u8]) -> Vec<u8> {
        der::write(
            der::SEQUENCE,
            &[identifier, &der::write(der::BIT_STRING, &[&[0], key])],
        )
    }

    #[test]
    fn each_algorithm_has_one_encoding() {
        let point = [&[4u8][..], &[7; 64]].concat();
        let key = PublicKey::from_spki(&spki(P256, &point)).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::EcdsaP256);
        assert_eq!(key.key_bytes(), point);
        let compressed = [&[2u8][..], &[7; 32]].concat();
        let p521 = [
            0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23,
        ];
        let ed25519_with_null = [0x30, 7, 6, 3, 0x2b, 0x65, 0x70, 5, 0];
        for (bytes, error) in [
            (spki(P256, &compressed), PublicKeyError::Point),
            (spki(P384, &point), PublicKeyError::Point),
            (spki(&p521, &[4; 133]), PublicKeyError::Unsupported),
            (spki(&ed25519_with_null, &[7; 32]), PublicKeyError::Unsupported),
            (spki(ED25519, &[7; 31]), PublicKeyError::Malformed),
            (spki(RSA, &[7; 32]), PublicKeyError::Rsa(RsaKeyError::Malformed)),
            ([spki(P256, &point), vec![0]].concat(), PublicKeyError::Malformed),
            (vec![], PublicKeyError::Malformed),
        ] {
            assert_eq!(PublicKey::from_spki(&bytes).unwrap_err(), error, "{bytes:02x?}");
        }
    }
}
