//! Dates are in order, and the span is not absurd.

use super::{Candidate, Finding, Purpose};
use std::time::Duration;

use crate::base::limits::LEAF_VALIDITY_MAX;

/// A root lives at most this long.
const ROOT_MAX: Duration = Duration::from_secs(25 * YEAR);
/// An issuer lives at most this long.
const ISSUER_MAX: Duration = Duration::from_secs(10 * YEAR);
/// A signer of OCSP answers lives at most this long: nobody can revoke it.
const OCSP_SIGNER_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
const YEAR: u64 = 366 * 24 * 3600;

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let (from, until) = (candidate.certificate.not_before, candidate.certificate.not_after);
    let max = match candidate.purpose {
        Purpose::Root => ROOT_MAX,
        Purpose::HostsIssuer | Purpose::ClientsIssuer => ISSUER_MAX,
        Purpose::Host | Purpose::Client => LEAF_VALIDITY_MAX,
        Purpose::OcspSigner => OCSP_SIGNER_MAX,
    };
    if until <= from {
        return Some(Finding::new(
            "validity",
            format!("ends at {until}, before it begins at {from}"),
        ));
    }
    let days = until.since(from).as_secs() / 86400;
    (until.since(from) > max).then(|| {
        let message = format!(
            "is valid for {days} days, at most {} are allowed",
            max.as_secs() / 86400
        );
        Finding::new("validity", message)
    })
}
