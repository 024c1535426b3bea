//! A signature algorithm that is believed, and that the issuer's key can make.

use super::{CrlCandidate, Finding};
use crate::pki::SignatureAlgorithm;

pub(super) fn check(candidate: &CrlCandidate<'_>) -> Option<Finding> {
    let algorithm = SignatureAlgorithm::from_der(&candidate.facts.signature_algorithm);
    let fits = match (algorithm, candidate.issuer.key_algorithm()) {
        (Ok(algorithm), Some(key)) => algorithm.fits(key),
        _ => false,
    };
    let message = "has a signature algorithm that is weak, unknown, or not one of its issuer's key";
    (!fits).then(|| Finding::new("crl_signature_algorithm", message))
}
