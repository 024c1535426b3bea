//! From parameters to a certificate in three moves: encode it with an empty signature, lint that, then
//! sign exactly those bytes. rcgen writes the DER; it never sees a private key.

use rcgen::{CertificateParams, KeyIdMethod, PublicKeyData, SigningKey};
use x509_parser::prelude::{FromDer, X509Name};

use crate::base::Timestamp;
use crate::keys::{IssuerKey, KeyError};
use crate::pki::cert::split;
use crate::pki::lint::{self, Candidate, Finding, Purpose};
use crate::pki::private_key::signing_algorithm;
use crate::pki::{Certificate, PublicKey, Serial, der};

/// Why no certificate came out. All but `Key` are mistakes of this program or its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The subject of the CA certificate has a form that would not be repeated byte for byte.
    #[error(
        "the subject of the CA certificate ({0}) cannot be repeated exactly in what it issues (repeated or multi-valued attributes, or an unusual string type): make a CA with a plainer subject"
    )]
    Subject(String),
    /// rcgen refused.
    #[error("the certificate could not be encoded: {0}")]
    Encoding(String),
    /// A rule is broken.
    #[error("the certificate was not signed, because it breaks a rule: it {}", text(.0))]
    Lint(Vec<Finding>),
    /// The key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signed bytes are not what was prepared, or the signature does not verify.
    #[error(
        "the certificate was signed but does not check out ({0}); it was thrown away: check the CA key and its device"
    )]
    Corrupt(&'static str),
}

fn text(findings: &[Finding]) -> String {
    let all: Vec<String> = findings.iter().map(Finding::to_string).collect();
    all.join("; it ")
}

/// A public key where rcgen wants one.
struct Bare<'a>(&'a PublicKey);

impl PublicKeyData for Bare<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.key_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        signing_algorithm(self.0.algorithm())
    }
}

/// The issuing side for rcgen: knows the public key, and "signs" with nothing.
struct Blank(PublicKey);

impl PublicKeyData for Blank {
    fn der_bytes(&self) -> &[u8] {
        self.0.key_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        signing_algorithm(self.0.algorithm())
    }
}

impl SigningKey for Blank {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

/// Writes certificates in the name of one CA. Its name and key identifier are read once.
pub(super) struct Encoder(rcgen::Issuer<'static, Blank>);

impl Encoder {
    /// For the CA of `certificate`. Refuses one whose subject would come out as other bytes: leaves
    /// under it would not chain.
    pub(super) fn new(certificate: &Certificate, key: &PublicKey) -> Result<Self, EncodeError> {
        let refuse = || EncodeError::Subject(certificate.subject_text());
        if !has_single_attributes(&certificate.subject) {
            return Err(refuse());
        }
        let der = certificate.der().into();
        let issuer = rcgen::Issuer::from_ca_cert_der(&der, Blank(key.clone())).map_err(|_| refuse())?;
        let encoder = Self(issuer);
        let mut probe = CertificateParams::default();
        probe.serial_number = Some(1u64.into());
        let probe = encoder.encode(&probe, key)?;
        match Certificate::parse(&probe) {
            Ok(probe) if probe.issuer == certificate.subject => Ok(encoder),
            _ => Err(refuse()),
        }
    }

    /// For a CA that signs itself.
    pub(super) fn self_signed(params: CertificateParams, key: &PublicKey) -> Self {
        Self(rcgen::Issuer::new(params, Blank(key.clone())))
    }

    /// A certificate over `subject` with an empty signature, DER.
    pub(super) fn encode(
        &self,
        params: &CertificateParams,
        subject: &PublicKey,
    ) -> Result<Vec<u8>, EncodeError> {
        let certificate = params
            .signed_by(&Bare(subject), &self.0)
            .map_err(|e| EncodeError::Encoding(e.to_string()))?;
        Ok(certificate.der().to_vec())
    }
}

/// rcgen keeps one value per attribute type and one attribute per RDN, and panics on an empty RDN.
fn has_single_attributes(name: &[u8]) -> bool {
    let Ok((_, name)) = X509Name::from_der(name) else {
        return false;
    };
    let mut seen = Vec::new();
    name.iter_rdn().all(|rdn| {
        let mut attributes = rdn.iter();
        let (first, second) = (attributes.next(), attributes.next());
        first.is_some_and(|a| {
            let oid = a.attr_type().to_id_string();
            let new = !seen.contains(&oid);
            seen.push(oid);
            new && second.is_none()
        })
    })
}

/// Fills in what every certificate has: serial, dates, and the key identifiers.
pub(super) fn complete(
    params: &mut CertificateParams,
    key: &PublicKey,
    serial: &Serial,
    dates: (Timestamp, Timestamp),
) {
    params.serial_number = Some(rcgen::SerialNumber::from_slice(serial.as_bytes()));
    params.not_before = date(dates.0);
    params.not_after = date(dates.1);
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.key_identifier().to_vec());
}

fn date(time: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(time.as_secs()).expect("a Timestamp lies in years 1 to 9999")
}

/// A certificate that keeps every rule and waits for its signature. Only [`lint`](fn@lint) makes one.
#[derive(Debug)]
pub(super) struct Linted {
    facts: Certificate,
}

/// Checks a certificate with an empty signature.
pub(super) fn lint(
    blank: &[u8],
    purpose: Purpose,
    issuer: Option<&Certificate>,
    subject: &PublicKey,
) -> Result<Linted, EncodeError> {
    let facts = Certificate::parse(blank).map_err(|e| EncodeError::Encoding(e.to_string()))?;
    let findings = lint::check(&Candidate {
        certificate: &facts,
        purpose,
        issuer,
        requested_spki: Some(subject.spki()),
    });
    if findings.is_empty() {
        Ok(Linted { facts })
    } else {
        Err(EncodeError::Lint(findings))
    }
}

impl Linted {
    /// What it says. Its fingerprint is that of the unsigned form.
    pub(super) fn facts(&self) -> &Certificate {
        &self.facts
    }

    /// Signs exactly the bytes that were linted, and believes nobody: the signature must verify, and the
    /// key inside must be `subject`, byte for byte.
    pub(super) fn sign(&self, key: &dyn IssuerKey, subject: &PublicKey) -> Result<Vec<u8>, EncodeError> {
        let blank = split(self.facts.der()).ok_or(EncodeError::Corrupt("not a certificate"))?;
        let signature = key.sign(blank.tbs)?;
        let bits = der::write(der::BIT_STRING, &[&[0], &signature]);
        let signed = der::write(der::SEQUENCE, &[blank.tbs, blank.algorithm, &bits]);
        if spki(&signed) != Some(subject.spki()) {
            return Err(EncodeError::Corrupt("another public key"));
        }
        crate::pki::SignatureAlgorithm::from_der(blank.algorithm)
            .and_then(|algorithm| algorithm.verify(key.public_key(), blank.tbs, &signature))
            .map_err(|_| EncodeError::Corrupt("its signature does not verify"))?;
        Ok(signed)
    }
}

/// The SubjectPublicKeyInfo of a version 3 certificate.
fn spki(certificate: &[u8]) -> Option<&[u8]> {
    let mut fields = der::Reader::new(der::only(der::SEQUENCE, split(certificate)?.tbs)?);
    // version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
    (0..6).try_for_each(|_| fields.next().map(|_| ()))?;
    Some(fields.expect(der::SEQUENCE)?.raw)
}
