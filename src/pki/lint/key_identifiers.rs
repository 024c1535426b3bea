//! SKI everywhere, and AKI equal to the issuer's SKI: chains are built by them (RFC 5280 §4.2.1.1,
//! §4.2.1.2).

use super::{Candidate, Finding, Purpose};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let certificate = candidate.certificate;
    let finding = |message: &str| Some(Finding::new("key_identifiers", message));
    let Some(own) = certificate.subject_key_id.as_ref().filter(|id| !id.is_empty()) else {
        return finding("has no subject key identifier");
    };
    let expected = match candidate.issuer {
        Some(issuer) => issuer.subject_key_id.as_ref(),
        None => Some(own),
    };
    match (&certificate.authority_key_id, expected) {
        (None, _) if candidate.purpose == Purpose::Root => None,
        (None, _) => finding("has no authority key identifier"),
        (Some(authority), Some(expected)) if authority == expected => None,
        _ => finding("authority key identifier differs from the issuer's subject key identifier"),
    }
}
