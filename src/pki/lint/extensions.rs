//! A critical extension that a reader does not know makes it refuse the certificate (RFC 5280 §4.2).

use super::{Candidate, Finding};

/// keyUsage and basicConstraints: every TLS stack knows these two.
const CRITICAL: [&str; 2] = ["2.5.29.15", "2.5.29.19"];

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let unknown = candidate
        .certificate
        .extensions
        .iter()
        .find(|e| e.critical && !CRITICAL.contains(&e.oid.as_str()))?;
    Some(Finding::new(
        "extensions",
        format!(
            "has the critical extension {}, which readers may not know",
            unknown.oid
        ),
    ))
}
