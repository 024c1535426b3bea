//! What a certificate says, owned and typed. Parsing does not judge: lint rules, chain building and
//! signature checks do. No input makes it panic.

use std::fmt;

use serde::{Deserialize, Serialize};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate, X509Extension, X509Name};

use super::algorithm::KeyAlgorithm;
use super::names::San;
use super::public_key::{PublicKey, PublicKeyError};
use super::serial::Serial;
use super::signature::{SignatureAlgorithm, SignatureError};
use super::{csr, der, pem};
use crate::base::Timestamp;
use crate::base::encoding::{hex, sha256};

/// Why bytes are not a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a Certificate (RFC 5280 §4.1) in DER, or bytes follow it.
    #[error("the certificate does not parse: it was cut short, damaged, or is not X.509 in DER")]
    Malformed,
    /// Zero, or more than 20 bytes.
    #[error("the certificate has serial number zero or one of more than 20 bytes; issue it again")]
    Serial,
    /// An extension we must understand does not parse, or stands there twice.
    #[error("the certificate has a damaged or repeated extension ({0}); issue it again")]
    Extension(String),
    /// A date before year 1 or after 9999.
    #[error("the certificate has a date that cannot be read; issue it again")]
    Date,
}

/// What a key may be used for beyond its usage bits (RFC 5280 §4.2.1.12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExtendedKeyUsage {
    /// id-kp-serverAuth.
    ServerAuth,
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-OCSPSigning.
    OcspSigning,
    /// anyExtendedKeyUsage.
    Any,
    /// Another one, as a dotted OID.
    Other(String),
}

/// KeyUsage bits (RFC 5280 §4.2.1.3); bit 0 is digitalSignature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(pub u16);

impl KeyUsage {
    /// digitalSignature.
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// keyCertSign.
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// cRLSign.
    pub const CRL_SIGN: Self = Self(1 << 6);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// BasicConstraints (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether it may sign certificates.
    pub ca: bool,
    /// How many CAs may stand below it.
    pub path_len: Option<u32>,
}

/// One extension, by its OID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionFact {
    /// Dotted OID.
    pub oid: String,
    /// Whether a reader that does not know it must refuse the certificate.
    pub critical: bool,
}

/// The facts of one certificate. Only [`Certificate::parse`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// 3 for every certificate with extensions.
    pub version: u32,
    /// The serial number's magnitude.
    pub serial: Serial,
    /// The contents of the serial's INTEGER, as they stand there.
    pub serial_contents: Vec<u8>,
    /// AlgorithmIdentifier of the signature, DER.
    pub signature_algorithm: Vec<u8>,
    /// The issuer's Name, DER.
    pub issuer: Vec<u8>,
    /// The subject's Name, DER.
    pub subject: Vec<u8>,
    /// The subject's first CN.
    pub common_name: Option<String>,
    /// First second of validity.
    pub not_before: Timestamp,
    /// Last second of validity.
    pub not_after: Timestamp,
    /// Whether the two dates are UTCTime; GeneralizedTime otherwise.
    pub dates_are_utc_time: (bool, bool),
    /// DNS names and addresses.
    pub sans: Vec<San>,
    /// How many further names there are: other kinds, wildcards, unreadable ones.
    pub other_sans: usize,
    /// How many of the DNS names hold a capital letter; [`sans`](Self::sans) has them in lower case.
    pub upper_case_sans: usize,
    /// ExtendedKeyUsage, when present.
    pub extended_key_usages: Option<Vec<ExtendedKeyUsage>>,
    /// KeyUsage, when present.
    pub key_usage: Option<KeyUsage>,
    /// BasicConstraints, when present.
    pub basic_constraints: Option<BasicConstraints>,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// SHA-256 of [`spki`](Self::spki).
    pub spki_sha256: [u8; 32],
    /// SubjectKeyIdentifier.
    pub subject_key_id: Option<Vec<u8>>,
    /// The keyIdentifier of AuthorityKeyIdentifier.
    pub authority_key_id: Option<Vec<u8>>,
    /// Every extension, in order.
    pub extensions: Vec<ExtensionFact>,
    /// SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
}

impl Certificate {
    /// Reads one certificate in DER, and nothing after it.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let (rest, x509) = X509Certificate::from_der(bytes).map_err(|_| CertificateError::Malformed)?;
        let algorithm = signature_identifier(bytes).ok_or(CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let spki = x509.public_key().raw;
        let mut facts = Self {
            der: bytes.to_vec(),
            version: x509.version.0.saturating_add(1),
            serial: Serial::from_bytes(x509.raw_serial()).map_err(|_| CertificateError::Serial)?,
            serial_contents: x509.raw_serial().to_vec(),
            signature_algorithm: algorithm.to_vec(),
            issuer: x509.issuer().as_raw().to_vec(),
            subject: x509.subject().as_raw().to_vec(),
            common_name: first_common_name(x509.subject()),
            not_before: timestamp(x509.validity().not_before.timestamp())?,
            not_after: timestamp(x509.validity().not_after.timestamp())?,
            dates_are_utc_time: (
                x509.validity().not_before.is_utctime(),
                x509.validity().not_after.is_utctime(),
            ),
            sans: Vec::new(),
            other_sans: 0,
            upper_case_sans: 0,
            extended_key_usages: None,
            key_usage: None,
            basic_constraints: None,
            spki: spki.to_vec(),
            spki_sha256: sha256(spki),
            subject_key_id: None,
            authority_key_id: None,
            extensions: Vec::with_capacity(x509.extensions().len()),
            fingerprint: sha256(bytes),
        };
        x509.extensions()
            .iter()
            .try_for_each(|e| facts.read_extension(e))?;
        Ok(facts)
    }

    fn read_extension(&mut self, extension: &X509Extension<'_>) -> Result<(), CertificateError> {
        let oid = extension.oid.to_id_string();
        if self.extensions.iter().any(|e| e.oid == oid) {
            return Err(CertificateError::Extension(oid));
        }
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => self.read_names(&names.general_names),
            ParsedExtension::ExtendedKeyUsage(usage) => self.extended_key_usages = Some(purposes(usage)),
            ParsedExtension::KeyUsage(usage) => self.key_usage = Some(KeyUsage(usage.flags)),
            ParsedExtension::BasicConstraints(basic) => {
                self.basic_constraints = Some(BasicConstraints {
                    ca: basic.ca,
                    path_len: basic.path_len_constraint,
                });
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            ParsedExtension::ParseError { .. } => return Err(CertificateError::Extension(oid)),
            _ => {}
        }
        self.extensions.push(ExtensionFact {
            oid,
            critical: extension.critical,
        });
        Ok(())
    }

    fn read_names(&mut self, names: &[GeneralName<'_>]) {
        for name in names {
            if let GeneralName::DNSName(name) = name {
                self.upper_case_sans += usize::from(name.bytes().any(|b| b.is_ascii_uppercase()));
            }
            let san = match name {
                GeneralName::DNSName(name) => name.parse().ok().map(San::Dns),
                GeneralName::IPAddress(bytes) => csr::address(bytes).map(San::Ip),
                _ => None,
            };
            match san {
                Some(san) => self.sans.push(san),
                None => self.other_sans += 1,
            }
        }
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate, PEM.
    pub fn pem(&self) -> String {
        pem::encode_certificate(&self.der)
    }

    /// The part that is signed, DER.
    pub fn tbs(&self) -> &[u8] {
        split(&self.der)
            .expect("the outer structure was read when this was parsed")
            .tbs
    }

    /// Whether BasicConstraints say CA:TRUE.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.is_some_and(|b| b.ca)
    }

    /// Whether issuer and subject are the same bytes.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether ExtendedKeyUsage is present and names `usage`.
    pub fn has_purpose(&self, usage: &ExtendedKeyUsage) -> bool {
        self.extended_key_usages
            .as_ref()
            .is_some_and(|all| all.contains(usage))
    }

    /// Whether `now` lies inside the dates, both ends included (RFC 5280 §4.1.2.5).
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.not_before.as_secs()..=self.not_after.as_secs()).contains(&now.as_secs())
    }

    /// The key, if it is of a kind we use and not weak.
    pub fn public_key(&self) -> Result<PublicKey, PublicKeyError> {
        PublicKey::from_spki(&self.spki)
    }

    /// Algorithm and size of the key, if it is of a kind we use.
    pub fn key_algorithm(&self) -> Option<KeyAlgorithm> {
        self.public_key().ok().map(|key| key.algorithm())
    }

    /// Whether the signature is `issuer`'s. Names, dates and constraints are not looked at.
    pub fn verify_signature(&self, issuer: &PublicKey) -> Result<(), SignatureError> {
        let parts = split(&self.der).ok_or(SignatureError::Invalid)?;
        SignatureAlgorithm::from_der(&self.signature_algorithm)?.verify(issuer, parts.tbs, parts.signature)
    }

    /// The subject as people write it: `CN=web-01.fleet.internal`.
    pub fn subject_text(&self) -> String {
        name_text(&self.subject)
    }

    /// The issuer as people write it.
    pub fn issuer_text(&self) -> String {
        name_text(&self.issuer)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject_text())
            .field("serial", &self.serial)
            .field("not_after", &self.not_after.to_string())
            .field("fingerprint", &hex(&self.fingerprint))
            .finish_non_exhaustive()
    }
}

/// The three parts of a signed structure.
pub(crate) struct Signed<'a> {
    pub(crate) tbs: &'a [u8],
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

/// Splits `SEQUENCE { tbs, algorithm, BIT STRING }`: certificates, CRLs and requests alike.
pub(crate) fn split(signed: &[u8]) -> Option<Signed<'_>> {
    let mut outer = der::Reader::new(der::only(der::SEQUENCE, signed)?);
    let tbs = outer.expect(der::SEQUENCE)?.raw;
    let algorithm = outer.expect(der::SEQUENCE)?.raw;
    let signature = der::whole_bytes(outer.expect(der::BIT_STRING)?.value)?;
    outer.is_empty().then_some(Signed {
        tbs,
        algorithm,
        signature,
    })
}

/// The AlgorithmIdentifier of a certificate, if it is the same inside and outside of the signed part
/// (RFC 5280 §4.1.1.2).
fn signature_identifier(certificate: &[u8]) -> Option<&[u8]> {
    let parts = split(certificate)?;
    let mut fields = der::Reader::new(der::only(der::SEQUENCE, parts.tbs)?);
    // The version is left out of a v1 certificate.
    if fields.next()?.tag == 0xa0 {
        fields.expect(der::INTEGER)?;
    }
    let inner = fields.expect(der::SEQUENCE)?.raw;
    (inner == parts.algorithm).then_some(inner)
}

fn timestamp(seconds: i64) -> Result<Timestamp, CertificateError> {
    let time = Timestamp::from_secs(seconds);
    // RFC 5280 §4.1.2.5: 99991231235959Z means "no end"; our clock type ends hours before.
    let is_no_end = seconds == 253_402_300_799;
    if time.as_secs() == seconds || is_no_end {
        Ok(time)
    } else {
        Err(CertificateError::Date)
    }
}

fn first_common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

pub(crate) fn name_text(name: &[u8]) -> String {
    X509Name::from_der(name).map_or_else(|_| "(unreadable)".into(), |(_, name)| name.to_string())
}

fn purposes(usage: &x509_parser::extensions::ExtendedKeyUsage<'_>) -> Vec<ExtendedKeyUsage> {
    let known = [
        (usage.any, ExtendedKeyUsage::Any),
        (usage.server_auth, ExtendedKeyUsage::ServerAuth),
        (usage.client_auth, ExtendedKeyUsage::ClientAuth),
        (usage.ocsp_signing, ExtendedKeyUsage::OcspSigning),
        (
            usage.code_signing,
            ExtendedKeyUsage::Other("1.3.6.1.5.5.7.3.3".into()),
        ),
        (
            usage.email_protection,
            ExtendedKeyUsage::Other("1.3.6.1.5.5.7.3.4".into()),
        ),
        (
            usage.time_stamping,
            ExtendedKeyUsage::Other("1.3.6.1.5.5.7.3.8".into()),
        ),
    ];
    let others = usage
        .other
        .iter()
        .map(|oid| ExtendedKeyUsage::Other(oid.to_id_string()));
    known
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, usage)| usage)
        .chain(others)
        .collect()
}

#[cfg(test)]
mod tests;
