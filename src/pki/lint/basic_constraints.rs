//! Leaves say CA:FALSE; issuers may sign leaves only; the root may sign issuers (RFC 5280 §4.2.1.9).

use super::{Candidate, Finding, Purpose};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let finding = |message: &str| Some(Finding::new("basic_constraints", message));
    let Some(basic) = candidate.certificate.basic_constraints else {
        return finding("has no basic constraints");
    };
    if !candidate.is_critical("2.5.29.19") {
        return finding("basic constraints must be critical");
    }
    match candidate.purpose {
        Purpose::Host | Purpose::Client | Purpose::OcspSigner if basic.ca || basic.path_len.is_some() => {
            finding("a leaf must say CA:FALSE without a path length")
        }
        Purpose::HostsIssuer | Purpose::ClientsIssuer if !basic.ca || basic.path_len != Some(0) => {
            finding("an issuer must say CA:TRUE with path length 0")
        }
        Purpose::Root if !basic.ca || basic.path_len == Some(0) => {
            finding("a root must say CA:TRUE and leave room for an issuer below it")
        }
        _ => None,
    }
}
