//! Dates through 2049 are UTCTime, later ones GeneralizedTime (RFC 5280 §4.1.2.5).

use super::{Candidate, Finding};
use crate::base::Timestamp;

/// 2050-01-01T00:00:00Z.
const YEAR_2050: i64 = 2_524_608_000;

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let certificate = candidate.certificate;
    let (before, after) = certificate.dates_are_utc_time;
    let right = |date: Timestamp, utc_time: bool| utc_time == (date.as_secs() < YEAR_2050);
    if right(certificate.not_before, before) && right(certificate.not_after, after) {
        return None;
    }
    let message = "has a date in the wrong encoding: UTCTime through 2049, GeneralizedTime after";
    Some(Finding::new("time_encoding", message))
}
