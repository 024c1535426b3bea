//! approve → prepare → sign. Each function is the only maker of what it returns.

use std::sync::Arc;
use std::time::Duration;

use super::encoder::{self, EncodeError, Linted};
use super::issuer::Issuer;
use crate::base::Timestamp;
use crate::base::limits::SANS_MAX;
use crate::model::{IdentityKind, IssuerKind, Profile};
use crate::pki::lint::Purpose;
use crate::pki::{IdentityName, KeyAlgorithm, San, Serial, VerifiedCsr, pem, rcgen_form};

/// Why nothing was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The request's key is of a kind the profile does not take.
    #[error("profile {profile} does not accept keys of type {found}; make a key of type {}", .allowed.first().map_or("(none is allowed)", |a| a.as_str()))]
    KeyNotAllowed {
        /// Which profile.
        profile: IdentityKind,
        /// What the request has.
        found: KeyAlgorithm,
        /// What the profile takes.
        allowed: Vec<KeyAlgorithm>,
    },
    /// A host certificate nobody could connect to.
    #[error("a host certificate needs at least one name or address; ask for the ones clients connect to")]
    NoNames,
    /// More than [`SANS_MAX`].
    #[error("{0} names were granted; at most {SANS_MAX} fit in a certificate")]
    TooManyNames(usize),
    /// The same name twice.
    #[error("{0} was granted twice")]
    DuplicateName(San),
    /// A host request at the clients issuer, or the other way round.
    #[error("a {profile} certificate cannot come from the {issuer} issuer")]
    WrongIssuer {
        /// What was approved.
        profile: IdentityKind,
        /// Who was asked.
        issuer: IssuerKind,
    },
    /// The issuer is past its end, or the clock is before its beginning.
    #[error(
        "the {issuer} issuer is valid from {not_before} until {not_after}, which is not now; check the clock, or make a new issuer"
    )]
    IssuerNotValid {
        /// Who was asked.
        issuer: IssuerKind,
        /// Its first second.
        not_before: Timestamp,
        /// Its last second.
        not_after: Timestamp,
    },
    /// Prepared for one issuer, given to another.
    #[error("the certificate was prepared for another issuer; prepare it again")]
    OtherIssuer,
    /// See [`EncodeError`].
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What policy allows a requester to have. Comes from the identity, the token and the profile; the
/// request's own wishes matter only where policy repeated them here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The identity's name: the CN.
    pub common_name: IdentityName,
    /// The names and addresses, in the order they will stand in the certificate.
    pub sans: Vec<San>,
}

/// A request somebody may have a certificate for. Only [`approve`] makes one.
#[derive(Clone, Debug)]
pub struct ApprovedRequest {
    csr: VerifiedCsr,
    grant: Grant,
    kind: IdentityKind,
    lifetime: Duration,
    backdate: Duration,
}

/// Joins a request with what its sender may have.
pub fn approve(csr: VerifiedCsr, grant: Grant, profile: &Profile) -> Result<ApprovedRequest, IssueError> {
    let found = csr.public_key().algorithm();
    if !profile.key_algorithms.contains(&found) {
        return Err(IssueError::KeyNotAllowed {
            profile: profile.kind,
            found,
            allowed: profile.key_algorithms.clone(),
        });
    }
    if profile.kind == IdentityKind::Host && grant.sans.is_empty() {
        return Err(IssueError::NoNames);
    }
    if grant.sans.len() > SANS_MAX {
        return Err(IssueError::TooManyNames(grant.sans.len()));
    }
    if let Some(twice) = (1..grant.sans.len()).find(|i| grant.sans[..*i].contains(&grant.sans[*i])) {
        return Err(IssueError::DuplicateName(grant.sans[twice].clone()));
    }
    Ok(ApprovedRequest {
        csr,
        grant,
        kind: profile.kind,
        lifetime: profile.lifetime,
        backdate: profile.backdate,
    })
}

/// A certificate without its signature, every rule kept. Only [`prepare`] makes one; [`sign`] uses it up.
#[derive(Debug)]
pub struct PreparedCert {
    linted: Linted,
    request: ApprovedRequest,
    issuer: [u8; 32],
}

impl PreparedCert {
    /// The serial number it will have.
    pub fn serial(&self) -> &Serial {
        &self.linted.facts().serial
    }

    /// Its last second.
    pub fn not_after(&self) -> Timestamp {
        self.linted.facts().not_after
    }
}

/// Builds the certificate from the profile, the grant and the request's public key, and lints it. It
/// begins `backdate` before `now` and ends `lifetime` after it, cut to the issuer's own dates.
pub fn prepare(
    request: ApprovedRequest,
    issuer: &Issuer,
    serial: &Serial,
    now: Timestamp,
) -> Result<PreparedCert, IssueError> {
    if IssuerKind::from(request.kind) != issuer.kind() {
        return Err(IssueError::WrongIssuer {
            profile: request.kind,
            issuer: issuer.kind(),
        });
    }
    let dates = dates(&request, issuer, now)?;
    let key = request.csr.public_key();
    let mut params = issuer.template.clone();
    params.distinguished_name = rcgen_form::common_name(request.grant.common_name.as_str());
    params.subject_alt_names = request.grant.sans.iter().map(rcgen_form::san).collect();
    encoder::complete(&mut params, key, serial, dates);
    let blank = issuer.encoder.encode(&params, key)?;
    let purpose = match request.kind {
        IdentityKind::Host => Purpose::Host,
        IdentityKind::Client => Purpose::Client,
    };
    Ok(PreparedCert {
        linted: encoder::lint(&blank, purpose, Some(&issuer.certificate), key)?,
        issuer: issuer.certificate.fingerprint,
        request,
    })
}

fn dates(
    request: &ApprovedRequest,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), IssueError> {
    let ca = issuer.certificate();
    // At its very last second nothing useful could be issued any more.
    if !ca.is_valid_at(now) || now.as_secs() == ca.not_after.as_secs() {
        return Err(IssueError::IssuerNotValid {
            issuer: issuer.kind(),
            not_before: ca.not_before,
            not_after: ca.not_after,
        });
    }
    let from = (now - request.backdate).trunc_secs().max(ca.not_before);
    let until = (now + request.lifetime).trunc_secs().min(ca.not_after);
    Ok((from, until))
}

/// Signs exactly what was linted, and checks the result before anyone sees it.
pub fn sign(prepared: PreparedCert, issuer: &Issuer) -> Result<IssuedCert, IssueError> {
    if prepared.issuer != issuer.certificate.fingerprint {
        return Err(IssueError::OtherIssuer);
    }
    let der = prepared
        .linted
        .sign(&*issuer.key, prepared.request.csr.public_key())?;
    let facts = prepared.linted.facts();
    Ok(IssuedCert {
        der,
        serial: facts.serial.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
        spki_sha256: facts.spki_sha256,
        sans: prepared.request.grant.sans,
        common_name: prepared.request.grant.common_name,
        issuer_pem: issuer.pem.clone(),
    })
}

/// A signed certificate. Only [`sign`] makes one.
#[derive(Clone, Debug)]
pub struct IssuedCert {
    der: Vec<u8>,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
    spki_sha256: [u8; 32],
    common_name: IdentityName,
    sans: Vec<San>,
    issuer_pem: Arc<str>,
}

impl IssuedCert {
    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// First second of validity.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Last second of validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// SHA-256 of its SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// Its CN.
    pub fn common_name(&self) -> &IdentityName {
        &self.common_name
    }

    /// Its names and addresses, in order.
    pub fn sans(&self) -> &[San] {
        &self.sans
    }

    /// The certificate, PEM.
    pub fn pem(&self) -> String {
        pem::encode_certificate(&self.der)
    }

    /// Leaf and issuer, PEM: what a TLS server or client presents. The root is not in it.
    pub fn chain_pem(&self) -> String {
        self.pem() + &self.issuer_pem
    }
}

#[cfg(test)]
mod tests;
