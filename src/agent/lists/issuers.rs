//! Whose lists they are: the roots are on this host; the issuers below them come from the server, and are believed when a
//! root has signed them for what they do.

use super::List;
use crate::model::IssuerKind;
use crate::pki::cert::ExtendedKeyUsage;
use crate::pki::chain::Anchors;
use crate::pki::{Certificate, CertificateError};

/// Why a certificate is not that of an issuer.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuerError {
    /// It does not parse.
    #[error("what the server gives out as the issuer of {0} is no certificate: {1}")]
    Certificate(&'static str, CertificateError),
    /// No root of this host stands behind it.
    #[error(
        "no root in ca.pem has signed what the server gives out as the issuer of {0} ({1}): is this another fleet's server, or was the root replaced? Then enrol again"
    )]
    Strange(&'static str, String),
    /// It is made for something else.
    #[error(
        "the certificate that the server gives out as the issuer of {0} is not one ({1}): see the server's log"
    )]
    OtherUse(&'static str, String),
}

/// Reads an issuer's certificate and checks that it is what it should be. Dates are not looked at: they are the business
/// of who checks a chain.
pub(super) fn believe(list: List, der: &[u8], anchors: &Anchors) -> Result<Certificate, IssuerError> {
    let name = list.name();
    let issuer = Certificate::parse(der).map_err(|error| IssuerError::Certificate(name, error))?;
    let signed = |root: &Certificate| {
        let key = root.public_key().ok().filter(|_| root.subject == issuer.issuer);
        key.is_some_and(|key| issuer.verify_signature(&key).is_ok())
    };
    if !roots(anchors).iter().any(signed) {
        return Err(IssuerError::Strange(name, issuer.subject_text()));
    }
    let usage = match list.kind() {
        Some(IssuerKind::Clients) => ExtendedKeyUsage::ClientAuth,
        Some(IssuerKind::Hosts) | None => ExtendedKeyUsage::ServerAuth,
    };
    match issuer.is_ca() && issuer.has_purpose(&usage) {
        true => Ok(issuer),
        false => Err(IssuerError::OtherUse(name, issuer.subject_text())),
    }
}

/// The roots in a bundle.
pub(super) fn roots(anchors: &Anchors) -> Vec<Certificate> {
    let all = anchors.certificates().iter();
    all.filter_map(|der| Certificate::parse(der).ok()).collect()
}
