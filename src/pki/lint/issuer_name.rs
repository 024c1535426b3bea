//! The issuer's name is, byte for byte, the subject of what signs (RFC 5280 §7.1; OpenSSL and webpki
//! compare bytes).

use super::{Candidate, Finding};

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let certificate = candidate.certificate;
    let expected = candidate
        .issuer
        .map_or(&certificate.subject, |issuer| &issuer.subject);
    (certificate.issuer != *expected).then(|| {
        Finding::new(
            "issuer_name",
            "issuer name differs from the subject of the issuing certificate",
        )
    })
}
