//! id-pkix-ocsp-nocheck stands in certificates that sign OCSP answers and nowhere else (RFC 6960 §4.2.2.2.1): a reader
//! would have to ask the signer about the signer, and whoever carries it cannot be revoked.

use super::{Candidate, Finding, Purpose};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let mut extensions = candidate.certificate.extensions.iter();
    let has_it = extensions.any(|e| e.oid == "1.3.6.1.5.5.7.48.1.5");
    let message = match (candidate.purpose, has_it) {
        (Purpose::OcspSigner, false) => "signs OCSP answers and has no ocsp-nocheck",
        (Purpose::OcspSigner, true) | (_, false) => return None,
        (_, true) => "has ocsp-nocheck, which would keep it from being revoked",
    };
    Some(Finding::new("ocsp_no_check", message))
}
