//! Extensions need version 3 (RFC 5280 §4.1.2.1).

use super::{Candidate, Finding};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let version = candidate.certificate.version;
    (version != 3).then(|| Finding::new("version", format!("is X.509 version {version}, must be 3")))
}
