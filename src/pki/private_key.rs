//! A private key in memory: made here or read from PKCS#8, SEC1 or PKCS#1, kept as PKCS#8 version 1,
//! the form that OpenSSL 3.0, Go and rustls all read (version 2 of an Ed25519 key none of the first two do).

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair,
};
use rcgen::PublicKeyData;
use zeroize::{Zeroize, Zeroizing};

use super::algorithm::KeyAlgorithm;
use super::pem::{self, PemError};
use super::public_key::{PublicKey, PublicKeyError};

/// Why a private key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// The file is not what it should be.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Not a private key of a kind we use, or one whose halves do not fit each other.
    #[error("does not hold a usable private key: it is damaged, or not ECDSA P-256/P-384, Ed25519 or RSA")]
    Unusable,
    /// A key whose public half is refused.
    #[error("holds a key that is refused: {0}")]
    Refused(#[from] PublicKeyError),
    /// The crypto library could not make a key.
    #[error("a key could not be generated: the system's random number generator failed")]
    Generate,
}

/// A private key with its algorithm. Debug shows the algorithm alone.
pub(crate) struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: rcgen::KeyPair,
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a new one; RSA-4096 takes a second.
    pub(crate) fn generate(algorithm: KeyAlgorithm) -> Result<Self, PrivateKeyError> {
        use rcgen::RsaKeySize;
        let rsa = |size| rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        let pair = match algorithm {
            KeyAlgorithm::Rsa2048 => rsa(RsaKeySize::_2048),
            KeyAlgorithm::Rsa3072 => rsa(RsaKeySize::_3072),
            KeyAlgorithm::Rsa4096 => rsa(RsaKeySize::_4096),
            other => rcgen::KeyPair::generate_for(signing_algorithm(other)),
        };
        let mut pair = pair.map_err(|_| PrivateKeyError::Generate)?;
        let key = Self::from_pkcs8(pair.serialized_der());
        pair.zeroize();
        key
    }

    /// Reads PEM that is not encrypted: PKCS#8, SEC1 or PKCS#1.
    pub(crate) fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, PrivateKeyError> {
        let block = pem::only_key(pem.as_ref())?;
        match block.label.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(&block.der),
            "EC PRIVATE KEY" => Self::build(ecdsa(&block.der)),
            "RSA PRIVATE KEY" => Self::build(RsaKeyPair::from_der(&block.der).ok().and_then(|k| rsa(&k))),
            _ => Err(PemError::EncryptedKey.into()),
        }
    }

    /// Reads PKCS#8, version 1 or 2.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, PrivateKeyError> {
        Self::build(ed25519(der).or_else(|| match RsaKeyPair::from_pkcs8(der) {
            Ok(key) => rsa(&key),
            Err(_) => ecdsa(der),
        }))
    }

    fn build(normal: Option<Normal>) -> Result<Self, PrivateKeyError> {
        let (pkcs8, algorithm) = normal.ok_or(PrivateKeyError::Unusable)?;
        // The algorithm is given, because P-384 and RSA go with several digests.
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), algorithm)
            .map_err(|_| PrivateKeyError::Unusable)?;
        let public = PublicKey::from_spki(&pair.subject_public_key_info())?;
        Ok(Self { pkcs8, pair, public })
    }

    /// The public half.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 version 1, DER.
    pub(crate) fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// For building requests.
    pub(crate) fn pair(&self) -> &rcgen::KeyPair {
        &self.pair
    }

    /// Signs with the algorithm's own digest (P-384: SHA-384, P-256 and RSA: SHA-256); ECDSA in DER.
    #[cfg(feature = "server")]
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        rcgen::SigningKey::sign(&self.pair, message).ok()
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        // rcgen keeps a copy of the PKCS#8 form, and does not wipe it by itself.
        self.pair.zeroize();
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({}, secret)", self.public.algorithm())
    }
}

/// What a key of `algorithm` signs with.
pub(crate) fn signing_algorithm(algorithm: KeyAlgorithm) -> &'static rcgen::SignatureAlgorithm {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
        KeyAlgorithm::Ed25519 => &rcgen::PKCS_ED25519,
    }
}

/// PKCS#8 version 1, re-encoded after the crypto library checked the key, and what it signs with.
type Normal = (Zeroizing<Vec<u8>>, &'static rcgen::SignatureAlgorithm);

fn ed25519(pkcs8: &[u8]) -> Option<Normal> {
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
    Some((
        Zeroizing::new(key.to_pkcs8v1().ok()?.as_ref().to_vec()),
        &rcgen::PKCS_ED25519,
    ))
}

fn rsa(key: &RsaKeyPair) -> Option<Normal> {
    Some((
        Zeroizing::new(key.as_der().ok()?.as_ref().to_vec()),
        &rcgen::PKCS_RSA_SHA256,
    ))
}

/// From SEC1 or PKCS#8.
fn ecdsa(der: &[u8]) -> Option<Normal> {
    let read = |curve: &'static EcdsaSigningAlgorithm, algorithm: &'static rcgen::SignatureAlgorithm| {
        let key = EcdsaKeyPair::from_private_key_der(curve, der).ok()?;
        Some((
            Zeroizing::new(key.to_pkcs8v1().ok()?.as_ref().to_vec()),
            algorithm,
        ))
    };
    read(&ECDSA_P256_SHA256_ASN1_SIGNING, &rcgen::PKCS_ECDSA_P256_SHA256)
        .or_else(|| read(&ECDSA_P384_SHA384_ASN1_SIGNING, &rcgen::PKCS_ECDSA_P384_SHA384))
}
