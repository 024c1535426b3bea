//! Writing a CRL: everything but the signature, in one buffer that is never copied again.

use bytes::Bytes;

use super::EntryBuffer;
use crate::base::Timestamp;
use crate::pki::{Certificate, SignatureAlgorithm, dates, der};

/// What stands before the entries.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// CRLNumber: larger than that of every list of this issuer before.
    pub number: u64,
    /// When it is made.
    pub this_update: Timestamp,
    /// When the next one comes at the latest.
    pub next_update: Timestamp,
    /// Whose list it is.
    pub issuer: &'a Certificate,
}

/// A CRL that waits for its signature.
pub struct Unsigned {
    /// [`OUTER_MAX`] bytes, then the part to be signed.
    buffer: Vec<u8>,
    algorithm: &'static [u8],
}

/// Room for the outermost tag and length, bytes.
const OUTER_MAX: usize = 6;
/// Room for algorithm and signature, bytes: RSA-4096 takes 531.
const TAIL_MAX: usize = 600;
/// OIDs of CRLNumber and AuthorityKeyIdentifier, whole elements.
const CRL_NUMBER: [u8; 5] = [der::OID, 3, 0x55, 0x1d, 20];
const AUTHORITY_KEY_ID: [u8; 5] = [der::OID, 3, 0x55, 0x1d, 35];

impl Unsigned {
    /// Encodes a list; `None` when the issuer's certificate has no key we sign with, or no key identifier.
    pub fn encode(head: Head<'_>, entries: &EntryBuffer) -> Option<Self> {
        let algorithm = SignatureAlgorithm::identifier_of(head.issuer.key_algorithm()?);
        let key_id = head.issuer.subject_key_id.as_deref()?;
        // version 2 is written as 1
        let mut front = vec![der::INTEGER, 1, 1];
        front.extend_from_slice(algorithm);
        front.extend_from_slice(&head.issuer.subject);
        dates::write(&mut front, head.this_update);
        dates::write(&mut front, head.next_update);
        // Absent, not empty, when there are none (RFC 5280 §5.1.2.6).
        if !entries.is_empty() {
            der::write_header(&mut front, der::SEQUENCE, entries.encoded_bytes());
        }
        let back = extensions(head.number, key_id);
        let len = front.len() + entries.encoded_bytes() + back.len();
        let mut buffer = Vec::with_capacity(2 * OUTER_MAX + len + TAIL_MAX);
        buffer.extend_from_slice(&[0; OUTER_MAX]);
        der::write_header(&mut buffer, der::SEQUENCE, len);
        buffer.extend_from_slice(&front);
        entries
            .encoded()
            .for_each(|chunk| buffer.extend_from_slice(chunk));
        buffer.extend_from_slice(&back);
        Some(Self { buffer, algorithm })
    }

    /// The bytes to sign: TBSCertList.
    pub fn tbs(&self) -> &[u8] {
        &self.buffer[OUTER_MAX..]
    }

    /// AlgorithmIdentifier of the signature, DER.
    pub fn algorithm(&self) -> &'static [u8] {
        self.algorithm
    }

    /// The whole list, DER.
    pub fn assemble(self, signature: &[u8]) -> Bytes {
        let mut buffer = self.buffer;
        buffer.extend_from_slice(self.algorithm);
        der::write_header(&mut buffer, der::BIT_STRING, signature.len() + 1);
        buffer.push(0);
        buffer.extend_from_slice(signature);
        let mut outer = Vec::with_capacity(OUTER_MAX);
        der::write_header(&mut outer, der::SEQUENCE, buffer.len() - OUTER_MAX);
        let start = OUTER_MAX - outer.len();
        buffer[start..OUTER_MAX].copy_from_slice(&outer);
        Bytes::from(buffer).slice(start..)
    }
}

/// crlExtensions: AuthorityKeyIdentifier and CRLNumber, neither critical (RFC 5280 §5.2.1, §5.2.3).
fn extensions(number: u64, key_id: &[u8]) -> Vec<u8> {
    let mut integer = Vec::new();
    der::write_unsigned(&mut integer, number);
    let key_id = der::write(der::SEQUENCE, &[&der::write(0x80, &[key_id])]);
    let extension = |oid: &[u8], value: &[u8]| {
        der::write(der::SEQUENCE, &[oid, &der::write(der::OCTET_STRING, &[value])])
    };
    let list = [
        extension(&AUTHORITY_KEY_ID, &key_id),
        extension(&CRL_NUMBER, &integer),
    ]
    .concat();
    der::write(0xa0, &[&der::write(der::SEQUENCE, &[&list])])
}
