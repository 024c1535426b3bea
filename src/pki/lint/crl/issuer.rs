//! The issuer signs in its own name, may sign CRLs, and is valid when it does (RFC 5280 §5.1.2.3, §4.2.1.3).

use super::{CrlCandidate, Finding};
use crate::pki::cert::KeyUsage;

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let (facts, issuer) = (candidate.facts, candidate.issuer);
    let finding = |message: String| Some(Finding::new("crl_issuer", message));
    if facts.issuer != issuer.subject {
        return finding("has another issuer than its signer's subject".into());
    }
    if issuer
        .key_usage
        .is_some_and(|usage| !usage.contains(KeyUsage::CRL_SIGN))
    {
        return finding(format!(
            "cannot be signed by {}: its certificate has no key usage cRLSign",
            issuer.subject_text()
        ));
    }
    if !issuer.is_valid_at(facts.this_update) {
        return finding(format!(
            "is made at {}, when its issuer is not valid (from {} until {})",
            facts.this_update, issuer.not_before, issuer.not_after
        ));
    }
    None
}
