//! The OCSP responder of an issuer: a signer of its own with a short life and a key that never leaves this process's
//! memory, and the answers it signs. Answers without a nonce are signed once and kept for a while.
//!
//! What is revoked is the caller's to say, for every request anew: a kept answer is given again only for the very
//! statuses it was signed for, so a revocation is in the next answer.

mod cache;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use self::cache::Cache;
use super::encoder::{self, EncodeError};
use super::issuer::Issuer;
use crate::base::{Random, Timestamp};
use crate::keys::{IssuerKey, KeyError, MemoryKey};
use crate::pki::lint::Purpose;
use crate::pki::ocsp::{CertStatus, Content, IssuerId, OcspRequest, UnsignedResponse};
use crate::pki::{Certificate, KeyAlgorithm, PublicKeyError, Serial, SignatureAlgorithm, rcgen_form};

/// How long a signer's certificate lives. It cannot be revoked, so not long.
pub const OCSP_SIGNER_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// How far a signer's certificate begins in the past, against clocks that run late.
const SIGNER_BACKDATE: Duration = Duration::from_secs(3600);
/// How far thisUpdate of an answer lies in the past; OpenSSL tolerates as much on its side.
pub const OCSP_BACKDATE: Duration = Duration::from_secs(300);
/// How long an answer is good, unless its signer ends before.
pub const OCSP_VALIDITY: Duration = Duration::from_secs(3600);
/// A kept answer is given again until it is this old.
pub const OCSP_KEPT_MAX: Duration = Duration::from_secs(900);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspSignError {
    /// The issuer is past its end, or the clock is before its beginning.
    #[error(
        "the issuer is valid from {not_before} until {not_after}, which is not now, so it has no OCSP signer; check the clock, or make a new issuer"
    )]
    IssuerNotValid {
        /// Its first second.
        not_before: Timestamp,
        /// Its last second.
        not_after: Timestamp,
    },
    /// Not the issuer this responder was made for.
    #[error("the responder belongs to another issuer; make one for this issuer")]
    OtherIssuer,
    /// A status for each certificate, no more and no less.
    #[error("{asked} certificates were asked about, {found} statuses were found; look each one up")]
    Count {
        /// How many were asked about.
        asked: usize,
        /// How many statuses there are.
        found: usize,
    },
    /// A key of a kind we do not use.
    #[error("the issuer's key: {0}")]
    IssuerKey(#[from] PublicKeyError),
    /// The signer's key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signer's certificate could not be made.
    #[error("the certificate of the OCSP signer: {0}")]
    Signer(#[from] EncodeError),
    /// The signature does not verify.
    #[error("the OCSP answer was signed but its signature does not verify; it was thrown away")]
    Corrupt,
}

/// A signed answer, and how long it may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspAnswer {
    /// OCSPResponse, DER.
    pub der: Bytes,
    /// When the table said so, a little backdated.
    pub this_update: Timestamp,
    /// When to ask again at the latest.
    pub next_update: Timestamp,
    /// When it was signed.
    pub produced_at: Timestamp,
    /// Whether it was made for one request alone: it must not be given to others.
    pub has_nonce: bool,
}

/// A certificate for OCSP answers, and its key.
#[derive(Debug)]
struct Signer {
    certificate: Certificate,
    key: MemoryKey,
}

impl Signer {
    /// Makes a P-256 key and has the issuer certify it.
    fn issue(issuer: &Issuer, random: &dyn Random, now: Timestamp) -> Result<Self, OcspSignError> {
        let ca = issuer.certificate();
        if !ca.is_valid_at(now) || ca.not_after.as_secs() == now.as_secs() {
            return Err(OcspSignError::IssuerNotValid {
                not_before: ca.not_before,
                not_after: ca.not_after,
            });
        }
        let key = MemoryKey::generate(KeyAlgorithm::EcdsaP256)?;
        let public = key.public_key();
        let mut params = template(&format!("{} OCSP responder", issuer.kind()));
        let dates = (
            (now - SIGNER_BACKDATE).trunc_secs().max(ca.not_before),
            (now + OCSP_SIGNER_LIFETIME).trunc_secs().min(ca.not_after),
        );
        encoder::complete(&mut params, public, &Serial::draw(random), dates);
        let blank = issuer.encoder.encode(&params, public)?;
        let linted = encoder::lint(&blank, Purpose::OcspSigner, Some(ca), public)?;
        let signed = linted.sign(&*issuer.key, public)?;
        let certificate = Certificate::parse(&signed).map_err(|e| EncodeError::Encoding(e.to_string()))?;
        Ok(Self { certificate, key })
    }

    /// Whether less than half of its life is left, or it is not valid at all: the clock may have jumped.
    fn is_due(&self, now: Timestamp) -> bool {
        let left = self.certificate.not_after.since(now);
        let life = self.certificate.not_after.since(self.certificate.not_before);
        left < life / 2 || !self.certificate.is_valid_at(now)
    }
}

/// Everything that is the same in all signers: no names, one purpose, nothing to be asked about itself.
fn template(common_name: &str) -> CertificateParams {
    /// id-pkix-ocsp-nocheck; its value is NULL (RFC 6960 §4.2.2.2.1).
    const NO_CHECK: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen_form::common_name(common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    params.use_authority_key_identifier_extension = true;
    params.custom_extensions = vec![CustomExtension::from_oid_content(&NO_CHECK, vec![5, 0])];
    params
}

/// The responder of one issuer. Its methods take as long as a signature by the issuer's key takes, when the signer
/// must be renewed, and else as long as one P-256 signature in memory.
#[derive(Debug)]
pub struct Responder {
    id: IssuerId,
    issuer: [u8; 32],
    signer: Mutex<Arc<Signer>>,
    kept: Mutex<Cache>,
}

impl Responder {
    /// Has a signer certified by `issuer`.
    ///
    /// # Errors
    /// [`OcspSignError`].
    pub fn new(issuer: &Issuer, random: &dyn Random, now: Timestamp) -> Result<Self, OcspSignError> {
        Ok(Self {
            id: IssuerId::of(issuer.certificate())?,
            issuer: issuer.certificate().fingerprint,
            signer: Mutex::new(Arc::new(Signer::issue(issuer, random, now)?)),
            kept: Mutex::default(),
        })
    }

    /// For each certificate that is asked about, the serial to look up; `None` for one of another issuer, or one that
    /// cannot exist, whose status is [`CertStatus::Unknown`]. When all are, this responder may not answer:
    /// [`OcspError::Unauthorized`](crate::pki::ocsp::OcspError::Unauthorized), unless another one does.
    pub fn serials<'a>(&self, request: &'a OcspRequest) -> Vec<Option<&'a Serial>> {
        let ids = request.cert_ids.iter();
        ids.map(|id| id.serial.as_ref().filter(|_| self.id.is_issuer_of(id)))
            .collect()
    }

    /// Whether any certificate of the request is, by its issuer, this responder's to answer for.
    pub fn is_authorized(&self, request: &OcspRequest) -> bool {
        request.cert_ids.iter().any(|id| self.id.is_issuer_of(id))
    }

    /// The answer to `request`, whose certificates have these statuses now. Renews the signer when it is due; while
    /// that fails, the old one signs as long as it is valid.
    ///
    /// # Errors
    /// [`OcspSignError`].
    pub fn answer(
        &self,
        by: Signing<'_>,
        request: &OcspRequest,
        statuses: &[CertStatus],
    ) -> Result<Arc<OcspAnswer>, OcspSignError> {
        if by.issuer.certificate().fingerprint != self.issuer {
            return Err(OcspSignError::OtherIssuer);
        }
        if request.cert_ids.len() != statuses.len() {
            return Err(OcspSignError::Count {
                asked: request.cert_ids.len(),
                found: statuses.len(),
            });
        }
        let renewed = self.renew(by);
        let signer = self.signer();
        if !signer.certificate.is_valid_at(by.now) {
            renewed?;
        }
        if request.nonce.is_some() {
            return Ok(Arc::new(sign(&signer, request, statuses, by.now)?));
        }
        let key = cache::key(request, statuses);
        if let Some(kept) = self
            .lock_kept()
            .get(&key)
            .filter(|kept| may_give_again(kept, by.now))
        {
            return Ok(kept);
        }
        let answer = Arc::new(sign(&signer, request, statuses, by.now)?);
        self.lock_kept().put(key, Arc::clone(&answer));
        Ok(answer)
    }

    /// Renews the signer, if half of its life is over or the clock left it. True when it did.
    ///
    /// # Errors
    /// [`OcspSignError`]; the old signer stays.
    pub fn renew(&self, by: Signing<'_>) -> Result<bool, OcspSignError> {
        if by.issuer.certificate().fingerprint != self.issuer {
            return Err(OcspSignError::OtherIssuer);
        }
        if !self.signer().is_due(by.now) {
            return Ok(false);
        }
        let signer = Arc::new(Signer::issue(by.issuer, by.random, by.now)?);
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = signer;
        Ok(true)
    }

    /// The certificate of the signer at work.
    pub fn signer_certificate(&self) -> Certificate {
        self.signer().certificate.clone()
    }

    fn signer(&self) -> Arc<Signer> {
        Arc::clone(&self.signer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_kept(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What signing takes besides the responder.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// The issuer the responder was made for.
    pub issuer: &'a Issuer,
    /// For serial numbers of signers.
    pub random: &'a dyn Random,
    /// The time.
    pub now: Timestamp,
}

/// Neither too old, nor from the future, which is where a clock that jumped back leaves what it signed.
fn may_give_again(answer: &OcspAnswer, now: Timestamp) -> bool {
    (answer.produced_at..answer.produced_at + OCSP_KEPT_MAX).contains(&now) && now < answer.next_update
}

fn sign(
    signer: &Signer,
    request: &OcspRequest,
    statuses: &[CertStatus],
    now: Timestamp,
) -> Result<OcspAnswer, OcspSignError> {
    let asked: Vec<_> = request.cert_ids.iter().zip(statuses.iter().copied()).collect();
    let next_update = (now + OCSP_VALIDITY)
        .trunc_secs()
        .min(signer.certificate.not_after);
    let this_update = (now - OCSP_BACKDATE).trunc_secs();
    let unsigned = UnsignedResponse::encode(&Content {
        signer: signer.key.public_key(),
        produced_at: now,
        this_update,
        next_update,
        statuses: &asked,
        nonce: request.nonce.as_deref(),
    });
    let signature = signer.key.sign(unsigned.tbs())?;
    SignatureAlgorithm::from_der(unsigned.algorithm())
        .and_then(|algorithm| algorithm.verify(signer.key.public_key(), unsigned.tbs(), &signature))
        .map_err(|_| OcspSignError::Corrupt)?;
    Ok(OcspAnswer {
        der: unsigned.assemble(&signature, signer.certificate.der()).into(),
        this_update,
        next_update,
        produced_at: now,
        has_nonce: request.nonce.is_some(),
    })
}

#[cfg(test)]
mod tests;
