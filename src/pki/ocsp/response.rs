//! BasicOCSPResponse (RFC 6960 §4.2.1): everything but the signature.

use aws_lc_rs::digest;

use super::request::NONCE;
use super::{CertId, CertStatus};
use crate::base::Timestamp;
use crate::pki::{PublicKey, RevocationReason, SignatureAlgorithm, dates, der};

/// id-pkix-ocsp-basic, whole element.
const BASIC: [u8; 11] = [der::OID, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

/// What an answer says.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// The key that will sign; readers find it by its SHA-1 (byKey).
    pub signer: &'a PublicKey,
    /// When the answer is made.
    pub produced_at: Timestamp,
    /// When the table was known to say so.
    pub this_update: Timestamp,
    /// When to ask again at the latest.
    pub next_update: Timestamp,
    /// Each certificate that was asked about, in order, and what is known of it.
    pub statuses: &'a [(&'a CertId, CertStatus)],
    /// The request's nonce.
    pub nonce: Option<&'a [u8]>,
}

/// An answer that waits for its signature.
pub struct UnsignedResponse {
    tbs: Vec<u8>,
    algorithm: &'static [u8],
}

impl UnsignedResponse {
    /// Encodes an answer.
    pub fn encode(content: &Content<'_>) -> Self {
        let key_hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, content.signer.key_bytes());
        let by_key = der::write(0xa2, &[&der::write(der::OCTET_STRING, &[key_hash.as_ref()])]);
        let mut produced_at = Vec::with_capacity(17);
        dates::write_generalized(&mut produced_at, content.produced_at);
        let singles: Vec<u8> = content
            .statuses
            .iter()
            .flat_map(|(id, status)| single(id, *status, content))
            .collect();
        let responses = der::write(der::SEQUENCE, &[&singles]);
        let nonce = content.nonce.map_or_else(Vec::new, nonce);
        Self {
            tbs: der::write(der::SEQUENCE, &[&by_key, &produced_at, &responses, &nonce]),
            algorithm: SignatureAlgorithm::identifier_of(content.signer.algorithm()),
        }
    }

    /// The bytes to sign: ResponseData.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// AlgorithmIdentifier of the signature, DER.
    pub fn algorithm(&self) -> &'static [u8] {
        self.algorithm
    }

    /// The whole OCSPResponse, DER, with the signer's certificate in it.
    pub fn assemble(&self, signature: &[u8], signer_certificate: &[u8]) -> Vec<u8> {
        let bits = der::write(der::BIT_STRING, &[&[0], signature]);
        let certificates = der::write(0xa0, &[&der::write(der::SEQUENCE, &[signer_certificate])]);
        let basic = der::write(der::SEQUENCE, &[&self.tbs, self.algorithm, &bits, &certificates]);
        let bytes = der::write(
            der::SEQUENCE,
            &[&BASIC, &der::write(der::OCTET_STRING, &[&basic])],
        );
        der::write(
            der::SEQUENCE,
            &[&[der::ENUMERATED, 1, 0], &der::write(0xa0, &[&bytes])],
        )
    }
}

/// SingleResponse. Dates are GeneralizedTime whatever the year (RFC 6960 §4.2.2.1).
fn single(id: &CertId, status: CertStatus, content: &Content<'_>) -> Vec<u8> {
    let status = match status {
        CertStatus::Good => vec![0x80, 0],
        CertStatus::Unknown => vec![0x82, 0],
        CertStatus::Revoked { at, reason } => revoked_info(at, reason),
    };
    let (mut this_update, mut next_update) = (Vec::with_capacity(17), Vec::with_capacity(17));
    dates::write_generalized(&mut this_update, content.this_update);
    dates::write_generalized(&mut next_update, content.next_update);
    let next_update = der::write(0xa0, &[&next_update]);
    der::write(der::SEQUENCE, &[&id.raw, &status, &this_update, &next_update])
}

fn revoked_info(at: Timestamp, reason: RevocationReason) -> Vec<u8> {
    let mut fields = Vec::with_capacity(24);
    dates::write_generalized(&mut fields, at);
    if reason != RevocationReason::Unspecified {
        let code = der::write(der::ENUMERATED, &[&[reason.code()]]);
        fields.extend(der::write(0xa0, &[&code]));
    }
    der::write(0xa1, &[&fields])
}

fn nonce(bytes: &[u8]) -> Vec<u8> {
    let value = der::write(der::OCTET_STRING, &[&der::write(der::OCTET_STRING, &[bytes])]);
    let extension = der::write(der::SEQUENCE, &[&der::write(der::OID, &[NONCE]), &value]);
    der::write(0xa1, &[&der::write(der::SEQUENCE, &[&extension])])
}
