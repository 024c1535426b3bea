//! Reasons fit what is listed: never `certificateHold` or `removeFromCRL`, which un-revoke; `cACompromise` for CAs and
//! `keyCompromise` for leaves alone; `unspecified` is left out (RFC 5280 §5.3.1).

use super::{CrlCandidate, Finding};
use crate::pki::crl::Subjects;

/// keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn.
const LEAVES: u16 = 1 << 1 | COMMON;
/// cACompromise and the rest.
const ISSUERS: u16 = 1 << 2 | COMMON;
const COMMON: u16 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9;

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let allowed = match candidate.subjects {
        Subjects::Leaves => LEAVES,
        Subjects::Issuers => ISSUERS,
    };
    let wrong = candidate.facts.reason_bits & !allowed;
    (wrong != 0).then(|| {
        let message = format!(
            "gives reason {}, which does not belong there",
            wrong.trailing_zeros()
        );
        Finding::new("crl_reasons", message)
    })
}
