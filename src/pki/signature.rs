//! Which signatures are believed, and checking them (aws-lc-rs). SHA-1 and MD5 are not in the table.

use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};

use super::algorithm::KeyAlgorithm as Key;
use super::der;
use super::public_key::PublicKey;

/// Why a signature was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// MD2, MD5 or SHA-1.
    #[error("it is signed with MD5 or SHA-1, which can be forged; sign it with SHA-256 (openssl: -sha256)")]
    Weak,
    /// An algorithm that is not in the table, or one that does not fit the key.
    #[error(
        "its signature algorithm is not supported; sign with ECDSA, Ed25519 or RSA PKCS#1 v1.5, and SHA-256, SHA-384 or SHA-512"
    )]
    Unsupported,
    /// The signature does not fit the key and the message.
    #[error("its signature does not verify: it was damaged on the way, or signed by another key")]
    Invalid,
}

/// Digest algorithms that sign certificates and requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

/// A signature algorithm as it stands in a certificate or request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureAlgorithm(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ecdsa(Digest),
    Rsa(Digest),
    Ed25519,
}

impl SignatureAlgorithm {
    /// From an AlgorithmIdentifier in DER. RSA parameters are NULL or absent (RFC 4055 §5), all
    /// others absent (RFC 5758 §3.2, RFC 8410 §3).
    pub fn from_der(identifier: &[u8]) -> Result<Self, SignatureError> {
        let (oid, parameters) = split(identifier).ok_or(SignatureError::Unsupported)?;
        let kind = match oid {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => Kind::Ecdsa(Digest::Sha256),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => Kind::Ecdsa(Digest::Sha384),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => Kind::Ecdsa(Digest::Sha512),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11] => Kind::Rsa(Digest::Sha256),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12] => Kind::Rsa(Digest::Sha384),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13] => Kind::Rsa(Digest::Sha512),
            [0x2b, 0x65, 0x70] => Kind::Ed25519,
            // md2, md5 and sha1 WithRSAEncryption; sha1WithRSASignature; ecdsa-with-SHA1
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 2 | 4 | 5]
            | [0x2b, 0x0e, 3, 2, 0x1d]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => return Err(SignatureError::Weak),
            _ => return Err(SignatureError::Unsupported),
        };
        match (kind, parameters) {
            (_, None) | (Kind::Rsa(_), Some([der::NULL, 0])) => Ok(Self(kind)),
            _ => Err(SignatureError::Unsupported),
        }
    }

    /// The AlgorithmIdentifier, DER, of what an issuer's key of this kind signs with: SHA-256, and SHA-384 under
    /// P-384.
    #[cfg(any(test, feature = "server"))]
    pub(crate) fn identifier_of(key: Key) -> &'static [u8] {
        match key {
            Key::EcdsaP256 => &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
            Key::EcdsaP384 => &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
            Key::Rsa2048 | Key::Rsa3072 | Key::Rsa4096 => &[
                0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0,
            ],
            Key::Ed25519 => &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70],
        }
    }

    /// Checks `signature` over `message` under `key`.
    pub fn verify(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let algorithm = self
            .verifier(key.algorithm())
            .ok_or(SignatureError::Unsupported)?;
        UnparsedPublicKey::new(algorithm, key.key_bytes())
            .verify(message, signature)
            .map_err(|_| SignatureError::Invalid)
    }

    /// Whether a key of this kind makes such signatures.
    pub(crate) fn fits(self, key: Key) -> bool {
        self.verifier(key).is_some()
    }

    /// Any digest goes with either curve: OpenSSL signs P-384 requests with SHA-256 unless told otherwise.
    fn verifier(self, key: Key) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match (key, self.0) {
            (Key::EcdsaP256, Kind::Ecdsa(Digest::Sha256)) => &lc::ECDSA_P256_SHA256_ASN1,
            (Key::EcdsaP256, Kind::Ecdsa(Digest::Sha384)) => &lc::ECDSA_P256_SHA384_ASN1,
            (Key::EcdsaP256, Kind::Ecdsa(Digest::Sha512)) => &lc::ECDSA_P256_SHA512_ASN1,
            (Key::EcdsaP384, Kind::Ecdsa(Digest::Sha256)) => &lc::ECDSA_P384_SHA256_ASN1,
            (Key::EcdsaP384, Kind::Ecdsa(Digest::Sha384)) => &lc::ECDSA_P384_SHA384_ASN1,
            (Key::EcdsaP384, Kind::Ecdsa(Digest::Sha512)) => &lc::ECDSA_P384_SHA512_ASN1,
            (Key::Rsa2048 | Key::Rsa3072 | Key::Rsa4096, Kind::Rsa(Digest::Sha256)) => {
                &lc::RSA_PKCS1_2048_8192_SHA256
            }
            (Key::Rsa2048 | Key::Rsa3072 | Key::Rsa4096, Kind::Rsa(Digest::Sha384)) => {
                &lc::RSA_PKCS1_2048_8192_SHA384
            }
            (Key::Rsa2048 | Key::Rsa3072 | Key::Rsa4096, Kind::Rsa(Digest::Sha512)) => {
                &lc::RSA_PKCS1_2048_8192_SHA512
            }
            (Key::Ed25519, Kind::Ed25519) => &lc::ED25519,
            _ => return None,
        })
    }
}

/// OID contents and, when there are any, the parameters (whole element).
fn split(identifier: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut fields = der::Reader::new(der::only(der::SEQUENCE, identifier)?);
    let oid = fields.expect(der::OID)?.value;
    if fields.is_empty() {
        return Some((oid, None));
    }
    let parameters = fields.next()?.raw;
    fields.is_empty().then_some((oid, Some(parameters)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifier(oid: &[u8], parameters: &[u8]) -> Vec<u8> {
        der::write(der::SEQUENCE, &[&der::write(der::OID, &[oid]), parameters])
    }

    #[test]
    fn weak_digests_are_named_as_such() {
        for oid in [
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4].as_slice(),
            &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5],
            &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1],
        ] {
            let result = SignatureAlgorithm::from_der(&identifier(oid, &[]));
            assert_eq!(result, Err(SignatureError::Weak));
        }
    }

    #[test]
    fn parameters_that_do_not_belong_are_refused() {
        let (ecdsa, rsa) = (
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2].as_slice(),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11].as_slice(),
        );
        assert!(SignatureAlgorithm::from_der(&identifier(ecdsa, &[])).is_ok());
        assert!(SignatureAlgorithm::from_der(&identifier(rsa, &[5, 0])).is_ok());
        assert!(SignatureAlgorithm::from_der(&identifier(rsa, &[])).is_ok());
        for bad in [
            identifier(ecdsa, &[5, 0]),
            identifier(rsa, &[2, 1, 1]),
            identifier(rsa, &[5, 0, 5, 0]),
        ] {
            assert_eq!(
                SignatureAlgorithm::from_der(&bad),
                Err(SignatureError::Unsupported)
            );
        }
    }
}
