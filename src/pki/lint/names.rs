//! Alternative names are DNS names and addresses, in lower case, each once, and hosts have at least one.

use super::{Candidate, Finding, Purpose};
use std::collections::HashSet;

use crate::base::limits::SANS_MAX;

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let certificate = candidate.certificate;
    let finding = |message: String| Some(Finding::new("names", message));
    let total = certificate.sans.len() + certificate.other_sans;
    match candidate.purpose {
        Purpose::Host if total == 0 => return finding("a host certificate needs a name or address".into()),
        Purpose::Host | Purpose::Client => {}
        _ if total > 0 => return finding("a certificate of the CA must have no alternative names".into()),
        _ => return None,
    }
    if certificate.other_sans > 0 {
        return finding("has a name that is neither a plain DNS name nor an address".into());
    }
    if certificate.upper_case_sans > 0 {
        return finding("has a DNS name that is not in lower case".into());
    }
    if total > SANS_MAX {
        return finding(format!("has {total} names, at most {SANS_MAX} are allowed"));
    }
    let unique: HashSet<_> = certificate.sans.iter().collect();
    if unique.len() != total {
        finding("has a name twice".into())
    } else {
        None
    }
}
