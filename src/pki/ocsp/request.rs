//! OCSPRequest (RFC 6960 §4.1). The signature of a signed one is passed over: who asks makes no difference.

use super::{CertId, CertIdHash, OcspError, OcspRequest};
use crate::base::limits::{OCSP_CERT_IDS_MAX, OCSP_REQUEST_BYTES_MAX};
use crate::pki::{Serial, der};

/// Context tags, constructed.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;
const CONTEXT_2: u8 = 0xa2;
/// id-pkix-ocsp-nonce.
pub(super) const NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
/// Longest nonce, bytes (RFC 9654 §2.1).
const NONCE_BYTES_MAX: usize = 128;
/// id-sha1 and id-sha256.
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

impl OcspRequest {
    /// Reads one request in DER, and nothing after it.
    ///
    /// # Errors
    /// [`OcspError::MalformedRequest`]: more than [`OCSP_REQUEST_BYTES_MAX`] bytes or [`OCSP_CERT_IDS_MAX`]
    /// certificates, a nonce of another length than 1 to 128 bytes, a critical extension that is not understood, and
    /// whatever is not DER.
    pub fn parse(request: &[u8]) -> Result<Self, OcspError> {
        let small = (request.len() <= OCSP_REQUEST_BYTES_MAX).then_some(request);
        small.and_then(read).ok_or(OcspError::MalformedRequest)
    }
}

fn read(request: &[u8]) -> Option<OcspRequest> {
    if !der::is_well_formed(request) {
        return None;
    }
    let mut outer = der::Reader::new(der::only(der::SEQUENCE, request)?);
    let mut fields = der::Reader::new(outer.expect(der::SEQUENCE)?.value);
    let signature = optional(&mut outer, CONTEXT_0);
    if !outer.is_empty() || signature.is_some_and(|s| der::only(der::SEQUENCE, s).is_none()) {
        return None;
    }
    // version DEFAULT v1: to be left out, and yet written by some.
    if let Some(version) = optional(&mut fields, CONTEXT_0) {
        (der::only(der::INTEGER, version)? == [0]).then_some(())?;
    }
    let _requestor_name = optional(&mut fields, CONTEXT_1);
    let cert_ids = read_list(fields.expect(der::SEQUENCE)?.value)?;
    let nonce = match optional(&mut fields, CONTEXT_2) {
        Some(extensions) => read_extensions(extensions)?,
        None => None,
    };
    fields.is_empty().then_some(OcspRequest { cert_ids, nonce })
}

/// The contents of the next element, if it carries `tag`.
fn optional<'a>(fields: &mut der::Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    let mut ahead = fields.clone();
    let found = ahead.expect(tag)?;
    *fields = ahead;
    Some(found.value)
}

fn read_list(contents: &[u8]) -> Option<Vec<CertId>> {
    let mut list = der::Reader::new(contents);
    let mut cert_ids = Vec::with_capacity(1);
    while !list.is_empty() {
        let mut single = der::Reader::new(list.expect(der::SEQUENCE)?.value);
        cert_ids.push(read_cert_id(single.expect(der::SEQUENCE)?)?);
        if let Some(extensions) = optional(&mut single, CONTEXT_0) {
            // A nonce here would mean nothing.
            read_extensions(extensions)?;
        }
        if !single.is_empty() || cert_ids.len() > OCSP_CERT_IDS_MAX {
            return None;
        }
    }
    (!cert_ids.is_empty()).then_some(cert_ids)
}

fn read_cert_id(tlv: der::Tlv<'_>) -> Option<CertId> {
    let mut fields = der::Reader::new(tlv.value);
    let mut algorithm = der::Reader::new(fields.expect(der::SEQUENCE)?.value);
    let oid = algorithm.expect(der::OID)?.value;
    // Parameters are NULL or absent; an algorithm we do not know may have others.
    let parameters = algorithm.next().map(|tlv| tlv.raw);
    let hash = match (oid, parameters) {
        (SHA1, None | Some([der::NULL, 0])) => Some(CertIdHash::Sha1),
        (SHA256, None | Some([der::NULL, 0])) => Some(CertIdHash::Sha256),
        _ => None,
    };
    let issuer_name_hash = fields.expect(der::OCTET_STRING)?.value.to_vec();
    let issuer_key_hash = fields.expect(der::OCTET_STRING)?.value.to_vec();
    let serial = fields.expect(der::INTEGER)?.value;
    (fields.is_empty() && algorithm.is_empty() && !serial.is_empty()).then_some(CertId {
        raw: tlv.raw.to_vec(),
        hash,
        issuer_name_hash,
        issuer_key_hash,
        serial: der::positive(serial).and_then(|magnitude| Serial::from_bytes(magnitude).ok()),
    })
}

/// The nonce, if there is one.
fn read_extensions(contents: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut extensions = der::Reader::new(der::only(der::SEQUENCE, contents)?);
    let mut nonce = None;
    while !extensions.is_empty() {
        let (oid, critical, value) = der::extension(extensions.expect(der::SEQUENCE)?.value)?;
        match oid {
            NONCE => {
                let bytes = der::only(der::OCTET_STRING, value)?;
                let is_new = nonce.replace(bytes.to_vec()).is_none();
                let is_usable = (1..=NONCE_BYTES_MAX).contains(&bytes.len());
                (is_new && is_usable).then_some(())?;
            }
            _ if critical => return None,
            _ => {}
        }
    }
    Some(nonce)
}
