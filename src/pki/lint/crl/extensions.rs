//! Authority key identifier and number, neither critical, and nothing else: what limits a list to a part, readers have
//! got wrong (RFC 5280 §5.2).

use super::{CrlCandidate, Finding};

/// authorityKeyIdentifier and cRLNumber.
const EXPECTED: [&str; 2] = ["2.5.29.35", "2.5.29.20"];

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let mut extensions = candidate.facts.extensions.iter();
    let wrong = extensions.find(|e| e.critical || !EXPECTED.contains(&e.oid.as_str()))?;
    let message = format!(
        "has the extension {}{}, which does not belong there",
        wrong.oid,
        if wrong.critical { " (critical)" } else { "" }
    );
    Some(Finding::new("crl_extensions", message))
}
