//! The span is not absurd: an issuer that works signs often; a root whose key is elsewhere once a year.

use std::time::Duration;

use super::{CrlCandidate, Finding};
use crate::pki::crl::Subjects;

/// The longest span of an issuer's list.
const ISSUER_MAX: Duration = Duration::from_secs(10 * DAY);
/// The longest span of a root's list: a year, and a month to be late in.
const ROOT_MAX: Duration = Duration::from_secs(397 * DAY);
const DAY: u64 = 86_400;

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let facts = candidate.facts;
    let max = match candidate.subjects {
        Subjects::Leaves => ISSUER_MAX,
        Subjects::Issuers => ROOT_MAX,
    };
    let span = facts.next_update.since(facts.this_update);
    (span > max).then(|| {
        let message = format!(
            "is good for {} days, at most {} are allowed",
            span.as_secs() / DAY,
            max.as_secs() / DAY
        );
        Finding::new("crl_dates", message)
    })
}
