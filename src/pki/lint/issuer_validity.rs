//! Nothing outlives, or predates, what signed it: verifiers would refuse the chain.

use super::{Candidate, Finding};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let (certificate, issuer) = (candidate.certificate, candidate.issuer?);
    if certificate.not_after > issuer.not_after {
        let message = format!(
            "ends at {}, after its issuer at {}",
            certificate.not_after, issuer.not_after
        );
        return Some(Finding::new("issuer_validity", message));
    }
    (certificate.not_before < issuer.not_before).then(|| {
        let message = format!(
            "begins at {}, before its issuer at {}",
            certificate.not_before, issuer.not_before
        );
        Finding::new("issuer_validity", message)
    })
}
