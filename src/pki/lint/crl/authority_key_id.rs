//! AKI equal to the issuer's SKI (RFC 5280 §5.2.1): by it a reader finds the right key among CAs of one name.

use super::{CrlCandidate, Finding};

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let (authority, own) = (
        &candidate.facts.authority_key_id,
        &candidate.issuer.subject_key_id,
    );
    let message = match authority {
        None => "has no authority key identifier",
        _ if authority == own => return None,
        _ => "authority key identifier differs from the issuer's subject key identifier",
    };
    Some(Finding::new("crl_authority_key_id", message))
}
