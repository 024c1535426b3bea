//! A host's key can never act as a client: exactly one purpose, on the leaf and on its issuer.

use super::{Candidate, Finding, Purpose};
use crate::pki::cert::ExtendedKeyUsage;

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let usages = candidate.certificate.extended_key_usages.as_deref();
    let (expected, words): (Option<&[ExtendedKeyUsage]>, _) = match candidate.purpose {
        Purpose::Root => (None, "a root must have none"),
        Purpose::HostsIssuer | Purpose::Host => {
            (Some(&[ExtendedKeyUsage::ServerAuth]), "must be serverAuth alone")
        }
        Purpose::ClientsIssuer | Purpose::Client => {
            (Some(&[ExtendedKeyUsage::ClientAuth]), "must be clientAuth alone")
        }
        Purpose::OcspSigner => (
            Some(&[ExtendedKeyUsage::OcspSigning]),
            "must be OCSPSigning alone",
        ),
    };
    (usages != expected).then(|| Finding::new("extended_key_usage", format!("extended key usage {words}")))
}
