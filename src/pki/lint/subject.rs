//! The subject holds a common name, so that no reader meets an empty one (RFC 5280 §4.1.2.6).

use super::{Candidate, Finding};

/// ub-common-name (RFC 5280 appendix A.1), characters.
const COMMON_NAME_MAX: usize = 64;

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let name = candidate.certificate.common_name.as_deref().unwrap_or_default();
    if (1..=COMMON_NAME_MAX).contains(&name.chars().count()) {
        return None;
    }
    let message = format!("subject needs a common name of 1 to {COMMON_NAME_MAX} characters");
    Some(Finding::new("subject", message))
}
