//! Dates through 2049 are UTCTime, later ones GeneralizedTime, in entries too (RFC 5280 §5.1.2.4 to §5.1.2.6).

use super::{CrlCandidate, Finding};

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let message = "has a date in the wrong encoding: UTCTime through 2049, GeneralizedTime after";
    (!candidate.facts.dates_in_right_form).then(|| Finding::new("crl_time_encoding", message))
}
