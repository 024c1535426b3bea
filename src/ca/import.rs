//! Taking over a CA somebody already has. Whatever would make leaves that do not verify, or verify
//! only somewhere, is refused here, where it can still be changed.

use std::sync::Arc;

use super::ceremony::{CeremonyError, Root};
use crate::base::Timestamp;
use crate::keys::{IssuerKey, KeyError, is_for_ca};
use crate::pki::cert::{ExtendedKeyUsage, KeyUsage};
use crate::pki::{Certificate, CertificateError, PemError, PublicKeyError, SignatureError, pem};

/// Why a CA was not taken over. Messages name what to do; `FIX` makes a new certificate for the same key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file around the certificate.
    #[error("the root certificate file {0}")]
    Pem(#[from] PemError),
    /// More than the root.
    #[error("the root certificate file holds {0} certificates: leave the root alone in it")]
    Several(usize),
    /// Not a certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// CA:FALSE, or basic constraints absent.
    #[error("the certificate is not a CA certificate (basic constraints must say CA:TRUE); {FIX}")]
    NotCa,
    /// An intermediate: OpenSSL takes only self-signed certificates as anchors.
    #[error(
        "the certificate of {subject} is not a root: it was signed by {issuer}; import that root, or make one here"
    )]
    NotRoot {
        /// Who it is.
        subject: String,
        /// Who signed it.
        issuer: String,
    },
    /// SHA-1, MD5, unknown, or plainly wrong.
    #[error("the root certificate cannot be trusted: {0}; {FIX}")]
    Signature(SignatureError),
    /// Outside its dates.
    #[error("the root certificate is valid from {0} until {1}, which is not now; {FIX}")]
    NotValid(Timestamp, Timestamp),
    /// A key type or size that is not for a CA.
    #[error("the root certificate cannot be used: {0}; make a new root")]
    PublicKey(#[from] PublicKeyError),
    /// The key is not a CA key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// pathlen:0 forbids our issuers.
    #[error("the root certificate allows no issuer below it (pathlen:0), and two are needed; {FIX}")]
    PathLen,
    /// KeyUsage without keyCertSign.
    #[error("the root certificate may not sign certificates (key usage lacks keyCertSign); {FIX}")]
    KeyUsage,
    /// EKU that does not cover both kinds of leaf.
    #[error(
        "the root certificate is limited by its extended key usage to other purposes than TLS servers and clients; {FIX}"
    )]
    Purpose,
    /// Critical, and not one of ours to honour (name constraints, policies).
    #[error("the root certificate has the critical extension {0}, which is not supported; {FIX}")]
    Critical(String),
    /// A CA without a name.
    #[error("the root certificate has an empty subject, which no verifier can match; {FIX}")]
    EmptySubject,
    /// No subject key identifier.
    #[error("the root certificate has no subject key identifier; {FIX}")]
    NoKeyIdentifier,
    /// The key is another one, or the subject cannot be repeated.
    #[error(transparent)]
    Root(#[from] CeremonyError),
}

/// What makes a usable root certificate out of any CA key.
const FIX: &str = "make a new one for the same key: openssl req -x509 -new -sha256 -days 3650 -key KEY -subj /CN=NAME -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign";

/// Takes over the root in `certificate` (PEM), whose private key is `key`.
pub fn import_root(
    certificate: impl AsRef<[u8]>,
    key: Arc<dyn IssuerKey>,
    now: Timestamp,
) -> Result<Root, ImportError> {
    let found = pem::certificates(certificate)?;
    let [only] = found.as_slice() else {
        return Err(ImportError::Several(found.len()));
    };
    let root = Certificate::parse(only)?;
    check_constraints(&root)?;
    check_signature(&root)?;
    if !root.is_valid_at(now) {
        return Err(ImportError::NotValid(root.not_before, root.not_after));
    }
    Ok(Root::new(root, key)?)
}

fn check_constraints(root: &Certificate) -> Result<(), ImportError> {
    // SEQUENCE of nothing (RFC 5280 §4.1.2.6: a CA's subject must not be empty).
    if root.subject == [0x30, 0] {
        return Err(ImportError::EmptySubject);
    }
    if !root.is_ca() {
        return Err(ImportError::NotCa);
    }
    if root.basic_constraints.is_some_and(|b| b.path_len == Some(0)) {
        return Err(ImportError::PathLen);
    }
    // Absent is what `openssl req -x509` writes, and means no limit.
    if root
        .key_usage
        .is_some_and(|usage| !usage.contains(KeyUsage::KEY_CERT_SIGN))
    {
        return Err(ImportError::KeyUsage);
    }
    let unlimited = root.extended_key_usages.is_none() || root.has_purpose(&ExtendedKeyUsage::Any);
    let both =
        root.has_purpose(&ExtendedKeyUsage::ServerAuth) && root.has_purpose(&ExtendedKeyUsage::ClientAuth);
    if !unlimited && !both {
        return Err(ImportError::Purpose);
    }
    // basicConstraints, keyUsage, extKeyUsage: looked at above.
    let known = ["2.5.29.19", "2.5.29.15", "2.5.29.37"];
    // Name constraints bind even when they are not critical.
    let unknown = |e: &&crate::pki::cert::ExtensionFact| {
        e.oid == "2.5.29.30" || (e.critical && !known.contains(&e.oid.as_str()))
    };
    if let Some(extension) = root.extensions.iter().find(unknown) {
        return Err(ImportError::Critical(extension.oid.clone()));
    }
    if root.subject_key_id.as_ref().is_none_or(Vec::is_empty) {
        return Err(ImportError::NoKeyIdentifier);
    }
    Ok(())
}

fn check_signature(root: &Certificate) -> Result<(), ImportError> {
    if !root.is_self_issued() {
        return Err(ImportError::NotRoot {
            subject: root.subject_text(),
            issuer: root.issuer_text(),
        });
    }
    let key = root.public_key()?;
    if !is_for_ca(key.algorithm()) {
        return Err(KeyError::NotForCa(key.algorithm()).into());
    }
    root.verify_signature(&key).map_err(ImportError::Signature)
}

#[cfg(test)]
mod tests;
