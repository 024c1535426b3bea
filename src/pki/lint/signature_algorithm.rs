//! SHA-1 and MD5 signatures can be forged.

use super::{Candidate, Finding};
use crate::pki::signature::SignatureAlgorithm;

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let refused = SignatureAlgorithm::from_der(&candidate.certificate.signature_algorithm).err()?;
    Some(Finding::new("signature_algorithm", refused.to_string()))
}
