//! The key is one we accept, and the very bytes that were asked for: encoders have been seen to write
//! another curve than the request's.

use super::{Candidate, Finding};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    if candidate
        .requested_spki
        .is_some_and(|spki| spki != candidate.certificate.spki)
    {
        return Some(Finding::new(
            "public_key",
            "public key differs from the one in the request",
        ));
    }
    let refused = candidate.certificate.public_key().err()?;
    Some(Finding::new("public_key", refused.to_string()))
}
