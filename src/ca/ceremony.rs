//! Making the CA: a root that signs itself, and the two issuers under it. What happens once in years.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyUsagePurpose};

use super::encoder::{self, EncodeError, Encoder};
use super::issuer::encoder_purpose;
use crate::base::Timestamp;
use crate::base::encoding::hex;
use crate::keys::{IssuerKey, KeyError, is_for_ca};
use crate::model::IssuerKind;
use crate::pki::lint::Purpose;
use crate::pki::{Certificate, PublicKey, Serial, rcgen_form};

/// How long a root lives: 10 years.
pub const ROOT_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);
/// How long an issuer lives, if its root lives as long: 5 years.
pub const ISSUER_LIFETIME: Duration = Duration::from_secs(1825 * 86_400);
/// How far the CA's own certificates begin in the past, against clocks that run late.
pub const CA_BACKDATE: Duration = Duration::from_secs(3600);
/// The longest name of a CA, characters: leaves room for "clients issuer" and a fingerprint in 64.
pub const CA_NAME_CHARS_MAX: usize = 40;

/// Why the CA could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// Not a name that goes into certificates.
    #[error("{0:?} cannot name a CA: use 1 to {CA_NAME_CHARS_MAX} printable characters")]
    Name(String),
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The root key is another root's.
    #[error(
        "the root key does not belong to the root certificate: restore the pair that was written together"
    )]
    KeyMismatch,
    /// Nothing under an expired root would be accepted.
    #[error(
        "the root certificate is not valid now (from {0} until {1}): check the clock, or make a new root"
    )]
    RootNotValid(Timestamp, Timestamp),
    /// See [`EncodeError`].
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The root at work: its certificate and its key, which may be brought for this alone.
pub struct Root {
    certificate: Certificate,
    key: Arc<dyn IssuerKey>,
    encoder: Encoder,
}

impl Root {
    /// Puts a root together, and checks that its parts belong together.
    pub fn new(certificate: Certificate, key: Arc<dyn IssuerKey>) -> Result<Self, CeremonyError> {
        if certificate.spki != key.public_key().spki() {
            return Err(CeremonyError::KeyMismatch);
        }
        Ok(Self {
            encoder: Encoder::new(&certificate, key.public_key())?,
            certificate,
            key,
        })
    }

    /// The trust anchor.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What signing takes.
    pub(super) fn parts(&self) -> (&Certificate, &dyn IssuerKey) {
        (&self.certificate, &*self.key)
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Root").field(&self.certificate).finish()
    }
}

/// Makes a self-signed root: CA:TRUE, keyCertSign and cRLSign, [`ROOT_LIFETIME`]. Its common name is
/// `NAME root` and the first bytes of its key identifier, so that two roots never share a name.
pub fn make_root(
    name: &str,
    key: Arc<dyn IssuerKey>,
    serial: &Serial,
    now: Timestamp,
) -> Result<Root, CeremonyError> {
    let public = key.public_key();
    let mut params = ca_params(name, "root", public)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    encoder::complete(
        &mut params,
        public,
        serial,
        (now - CA_BACKDATE, now + ROOT_LIFETIME),
    );
    let blank = Encoder::self_signed(params.clone(), public).encode(&params, public)?;
    let signed = encoder::lint(&blank, Purpose::Root, None, public)?.sign(&*key, public)?;
    Root::new(parse(&signed)?, key)
}

/// Makes the certificate of an issuer whose key is `key`, signed by `root`: one EKU, path length 0,
/// [`ISSUER_LIFETIME`] or as long as the root lives.
pub fn make_issuer(
    root: &Root,
    kind: IssuerKind,
    name: &str,
    key: &PublicKey,
    serial: &Serial,
    now: Timestamp,
) -> Result<Certificate, CeremonyError> {
    let anchor = &root.certificate;
    if !anchor.is_valid_at(now) {
        return Err(CeremonyError::RootNotValid(anchor.not_before, anchor.not_after));
    }
    let mut params = ca_params(name, kind.as_str(), key)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    // digitalSignature is for OCSP answers that the issuer signs itself.
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    params.extended_key_usages = vec![encoder_purpose(kind)];
    params.use_authority_key_identifier_extension = true;
    let dates = (
        (now - CA_BACKDATE).max(anchor.not_before),
        (now + ISSUER_LIFETIME).min(anchor.not_after),
    );
    encoder::complete(&mut params, key, serial, dates);
    let blank = root.encoder.encode(&params, key)?;
    let purpose = match kind {
        IssuerKind::Hosts => Purpose::HostsIssuer,
        IssuerKind::Clients => Purpose::ClientsIssuer,
    };
    let signed = encoder::lint(&blank, purpose, Some(anchor), key)?.sign(&*root.key, key)?;
    parse(&signed)
}

fn ca_params(name: &str, part: &str, key: &PublicKey) -> Result<CertificateParams, CeremonyError> {
    if !is_for_ca(key.algorithm()) {
        return Err(KeyError::NotForCa(key.algorithm()).into());
    }
    let printable = !name.trim().is_empty() && !name.chars().any(char::is_control);
    if !printable || name.chars().count() > CA_NAME_CHARS_MAX {
        return Err(CeremonyError::Name(name.chars().take(80).collect()));
    }
    let mut params = CertificateParams::default();
    let common_name = format!("{} {part} {}", name.trim(), hex(&key.key_identifier()[..4]));
    params.distinguished_name = rcgen_form::common_name(&common_name);
    Ok(params)
}

fn parse(signed: &[u8]) -> Result<Certificate, CeremonyError> {
    Certificate::parse(signed).map_err(|e| EncodeError::Encoding(e.to_string()).into())
}

#[cfg(test)]
mod tests;
