//! Certificate requests (PKCS#10, RFC 2986): reading what strangers send, and making our own.
//!
//! Of a request only the public key, the requested common name and the requested names are ever used.
//! Every other extension is ignored, whatever it asks for; nothing is copied into a certificate.

use std::net::IpAddr;

use super::algorithm::KeyAlgorithm;
use super::leaf_key::LeafKey;
use super::names::{DnsName, IdentityName, NameError, San};
use super::pem::{self, PemError};
use super::public_key::{PublicKey, PublicKeyError};
use super::signature::{SignatureAlgorithm, SignatureError};
use super::{der, rcgen_form};
use crate::base::limits::{CSR_BYTES_MAX, SANS_MAX};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// More than [`CSR_BYTES_MAX`] of DER.
    #[error(
        "the certificate request is too large: {0} bytes, at most {CSR_BYTES_MAX} are read; ask for fewer names"
    )]
    TooLarge(usize),
    /// The PEM around it is not usable.
    #[error("the certificate request {0}")]
    Pem(#[from] PemError),
    /// PEM, but not of one request.
    #[error(
        "this is not a certificate request: expected one -----BEGIN CERTIFICATE REQUEST----- block, found {0}"
    )]
    Label(String),
    /// Not a CertificationRequest in DER.
    #[error(
        "the certificate request does not parse: it was cut short, damaged, or is not PKCS#10 in DER; make it again"
    )]
    Malformed,
    /// A key that is never accepted.
    #[error("the certificate request was refused: {0}")]
    Key(#[from] PublicKeyError),
    /// A sound key of a kind this profile does not take.
    #[error("the certificate request has a key of type {found}; this profile accepts {}", list(.allowed))]
    KeyNotAllowed {
        /// What was sent.
        found: KeyAlgorithm,
        /// What the profile takes.
        allowed: Vec<KeyAlgorithm>,
    },
    /// The proof of possession failed.
    #[error("the certificate request was refused: {0}")]
    Signature(#[from] SignatureError),
    /// An extension, or the list of them, stands there twice.
    #[error("the certificate request asks for the same extension twice; make it again with each once")]
    DuplicateExtension,
    /// More than [`SANS_MAX`] names.
    #[error("the certificate request asks for {0} names; at most {SANS_MAX} fit in a certificate")]
    TooManySans(usize),
    /// A name nobody could check.
    #[error("the certificate request asks for an impossible name: {0}")]
    San(#[from] NameError),
    /// An iPAddress that is not 4 or 16 bytes.
    #[error("the certificate request asks for an address of {0} bytes; IPv4 has 4, IPv6 has 16")]
    Address(usize),
    /// An e-mail address, a URI, a directory name...
    #[error(
        "the certificate request asks for a name of a kind that is not issued; leave DNS names and IP addresses only"
    )]
    SanKind,
    /// The same name twice.
    #[error("the certificate request asks for {0} twice; leave it once")]
    DuplicateSan(San),
    /// The subject holds something that cannot name an identity, or several common names.
    #[error(
        "the certificate request has a subject that cannot be used: {0}; leave the subject empty or give one CN"
    )]
    CommonName(String),
}

fn list(algorithms: &[KeyAlgorithm]) -> String {
    let names: Vec<&str> = algorithms.iter().map(|a| a.as_str()).collect();
    names.join(", ")
}

/// A request as it arrived: bounded, and nothing else known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrDer(Vec<u8>);

impl CsrDer {
    /// Takes DER of at most [`CSR_BYTES_MAX`].
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, CsrError> {
        let der = der.into();
        if der.len() > CSR_BYTES_MAX {
            return Err(CsrError::TooLarge(der.len()));
        }
        Ok(Self(der))
    }

    /// Takes PEM with exactly one block, `CERTIFICATE REQUEST` or `NEW CERTIFICATE REQUEST`.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, CsrError> {
        let pem = pem.as_ref();
        if pem.len() > 2 * CSR_BYTES_MAX {
            return Err(CsrError::TooLarge(pem.len()));
        }
        match pem::blocks(pem)?.as_slice() {
            [one] if one.label == "CERTIFICATE REQUEST" || one.label == "NEW CERTIFICATE REQUEST" => {
                Self::from_der(one.der.to_vec())
            }
            [one] => Err(CsrError::Label(one.label.clone())),
            several => Err(CsrError::Label(format!("{} blocks", several.len()))),
        }
    }

    /// The bytes.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// As PEM.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.0)
    }
}

/// A request whose sender holds the private key. Only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedCsr {
    der: CsrDer,
    key: PublicKey,
    common_name: Option<IdentityName>,
    sans: Vec<San>,
}

impl VerifiedCsr {
    /// The request itself.
    pub fn der(&self) -> &CsrDer {
        &self.der
    }

    /// The key to certify.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The names it asks for: at most [`SANS_MAX`], no duplicates. Wishes, not grants.
    pub fn sans(&self) -> &[San] {
        &self.sans
    }

    /// The common name it asks for. A wish, not a grant.
    pub fn common_name(&self) -> Option<&IdentityName> {
        self.common_name.as_ref()
    }
}

/// Checks a request: form, key (kind, size, weaknesses; before any arithmetic with it), names, and last
/// the signature that proves possession. `allowed` are the key algorithms of the profile.
pub fn verify(csr: CsrDer, allowed: &[KeyAlgorithm]) -> Result<VerifiedCsr, CsrError> {
    let parts = split(csr.as_der()).ok_or(CsrError::Malformed)?;
    let key = PublicKey::from_spki(parts.spki)?;
    if !allowed.contains(&key.algorithm()) {
        return Err(CsrError::KeyNotAllowed {
            found: key.algorithm(),
            allowed: allowed.to_vec(),
        });
    }
    let common_name = common_name(parts.subject)?;
    let sans = match requested_extensions(parts.attributes)? {
        Some(extensions) => requested_sans(extensions)?,
        None => Vec::new(),
    };
    SignatureAlgorithm::from_der(parts.algorithm)?.verify(&key, parts.info, parts.signature)?;
    Ok(VerifiedCsr {
        der: csr,
        key,
        common_name,
        sans,
    })
}

/// Makes a request for `common_name` and `sans`, signed by `key`.
///
/// # Panics
/// Never for a key this crate made: encoding and signing in memory do not fail.
pub fn make(key: &LeafKey, common_name: &IdentityName, sans: &[San]) -> CsrDer {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen_form::common_name(common_name.as_str());
    params.subject_alt_names = sans.iter().map(rcgen_form::san).collect();
    serialize(key, params)
}

/// Makes a request that names nobody: the join token says who it is for.
///
/// # Panics
/// As [`make`].
pub fn make_unnamed(key: &LeafKey) -> CsrDer {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    serialize(key, params)
}

fn serialize(key: &LeafKey, params: rcgen::CertificateParams) -> CsrDer {
    let request = params
        .serialize_request(key.pair())
        .expect("no field is set that a request cannot carry");
    CsrDer(request.der().to_vec())
}

/// The pieces of a CertificationRequest, each as the bytes it was sent in.
struct Parts<'a> {
    info: &'a [u8],
    subject: &'a [u8],
    spki: &'a [u8],
    attributes: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

fn split(csr: &[u8]) -> Option<Parts<'_>> {
    if !der::is_well_formed(csr) {
        return None;
    }
    let mut outer = der::Reader::new(der::only(der::SEQUENCE, csr)?);
    let info = outer.expect(der::SEQUENCE)?;
    let algorithm = outer.expect(der::SEQUENCE)?.raw;
    let signature = der::whole_bytes(outer.expect(der::BIT_STRING)?.value)?;
    let mut fields = der::Reader::new(info.value);
    let version = fields.expect(der::INTEGER)?.value;
    let subject = fields.expect(der::SEQUENCE)?.value;
    let spki = fields.expect(der::SEQUENCE)?.raw;
    // Mandatory, and left out by some encoders when empty.
    let attributes = if fields.is_empty() {
        &[]
    } else {
        fields.expect(0xa0)?.value
    };
    let complete = version == [0] && outer.is_empty() && fields.is_empty();
    complete.then_some(Parts {
        info: info.raw,
        subject,
        spki,
        attributes,
        algorithm,
        signature,
    })
}

/// SET, constructed.
const SET: u8 = 0x31;
/// id-at-commonName.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// pkcs-9-at-extensionRequest.
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
/// id-ce-subjectAltName.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The contents of every element of `data`, each of which carries `tag`.
fn elements(data: &[u8], tag: u8) -> Result<Vec<&[u8]>, CsrError> {
    let mut reader = der::Reader::new(data);
    let mut found = Vec::new();
    while !reader.is_empty() {
        found.push(reader.expect(tag).ok_or(CsrError::Malformed)?.value);
    }
    Ok(found)
}

/// The one common name of a subject (contents of a Name); other attributes are ignored.
fn common_name(subject: &[u8]) -> Result<Option<IdentityName>, CsrError> {
    let mut found = None;
    for rdn in elements(subject, SET)? {
        for attribute in elements(rdn, der::SEQUENCE)? {
            let mut fields = der::Reader::new(attribute);
            let oid = fields.expect(der::OID).ok_or(CsrError::Malformed)?;
            let value = fields.next().ok_or(CsrError::Malformed)?;
            if oid.value == COMMON_NAME && found.replace(identity_name(value)?).is_some() {
                return Err(CsrError::CommonName("it has several CN".into()));
            }
        }
    }
    Ok(found)
}

/// From UTF8String, PrintableString or IA5String; what other string types add cannot be in a name.
fn identity_name(value: der::Tlv<'_>) -> Result<IdentityName, CsrError> {
    let text = std::str::from_utf8(value.value).ok();
    let text = text
        .filter(|_| matches!(value.tag, 0x0c | 0x13 | 0x16))
        .ok_or_else(|| CsrError::CommonName("its CN is not plain text".into()))?;
    text.parse()
        .map_err(|e: NameError| CsrError::CommonName(e.to_string()))
}

/// The contents of the one Extensions that `attributes` ask for.
fn requested_extensions(attributes: &[u8]) -> Result<Option<&[u8]>, CsrError> {
    let mut found = None;
    for attribute in elements(attributes, der::SEQUENCE)? {
        let mut fields = der::Reader::new(attribute);
        let oid = fields.expect(der::OID).ok_or(CsrError::Malformed)?;
        if oid.value != EXTENSION_REQUEST {
            continue;
        }
        let set = fields
            .expect(SET)
            .filter(|_| fields.is_empty())
            .ok_or(CsrError::Malformed)?;
        let extensions = der::only(der::SEQUENCE, set.value).ok_or(CsrError::Malformed)?;
        if found.replace(extensions).is_some() {
            return Err(CsrError::DuplicateExtension);
        }
    }
    Ok(found)
}

/// The names among `extensions`; no extension may stand there twice.
fn requested_sans(extensions: &[u8]) -> Result<Vec<San>, CsrError> {
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut sans = Vec::new();
    for extension in elements(extensions, der::SEQUENCE)? {
        let mut fields = der::Reader::new(extension);
        let oid = fields.expect(der::OID).ok_or(CsrError::Malformed)?.value;
        if seen.contains(&oid) {
            return Err(CsrError::DuplicateExtension);
        }
        seen.push(oid);
        if oid == SUBJECT_ALT_NAME {
            sans = general_names(san_extension(fields).ok_or(CsrError::Malformed)?)?;
        }
    }
    Ok(sans)
}

/// The contents of GeneralNames, from what follows the OID of its extension.
fn san_extension(mut fields: der::Reader<'_>) -> Option<&[u8]> {
    let mut value = fields.next()?;
    if value.tag == 0x01 {
        value = fields.next()?;
    }
    (value.tag == 0x04 && fields.is_empty()).then_some(())?;
    der::only(der::SEQUENCE, value.value)
}

fn general_names(names: &[u8]) -> Result<Vec<San>, CsrError> {
    let mut count = 0;
    let mut reader = der::Reader::new(names);
    let mut sans: Vec<San> = Vec::new();
    while !reader.is_empty() {
        let name = reader.next().ok_or(CsrError::Malformed)?;
        count += 1;
        // Past the limit they are only counted, for the message.
        if count > SANS_MAX {
            continue;
        }
        let san = general_name(name)?;
        if sans.contains(&san) {
            return Err(CsrError::DuplicateSan(san));
        }
        sans.push(san);
    }
    if count > SANS_MAX {
        Err(CsrError::TooManySans(count))
    } else {
        Ok(sans)
    }
}

/// dNSName (tag 2) and iPAddress (tag 7) (RFC 5280 §4.2.1.6).
fn general_name(name: der::Tlv<'_>) -> Result<San, CsrError> {
    match name.tag {
        0x82 => Ok(San::Dns(String::from_utf8_lossy(name.value).parse::<DnsName>()?)),
        0x87 => address(name.value)
            .map(San::Ip)
            .ok_or(CsrError::Address(name.value.len())),
        _ => Err(CsrError::SanKind),
    }
}

/// An IPv4-mapped IPv6 address is the IPv4 one: verifiers compare them as equal.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|v6| IpAddr::from(v6).to_canonical())
}

#[cfg(test)]
mod tests;
