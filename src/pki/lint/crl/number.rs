//! Numbers only rise (RFC 5280 §5.2.3): two lists with one number cannot be told apart, and a lower one is refused by
//! every reader that remembers.

use super::{CrlCandidate, Finding};

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let (number, before) = (candidate.facts.number, candidate.predecessor?);
    (number <= before).then(|| {
        let message = format!("has number {number}, which is not above {before}, the one before it");
        Finding::new("crl_number", message)
    })
}
