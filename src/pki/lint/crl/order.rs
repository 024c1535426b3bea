//! Entries stand in order, none twice: two lists of the same certificates are then the same bytes, and comparing two
//! takes one pass.

use super::{CrlCandidate, Finding};

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let message = "lists a certificate twice, or out of order";
    (!candidate.facts.is_sorted).then(|| Finding::new("crl_order", message))
}
