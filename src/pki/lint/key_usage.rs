//! Leaves sign handshakes and nothing else: TLS 1.3 and ECDHE suites need no keyEncipherment, RSA or not.
//! CAs sign certificates and CRLs; issuers also OCSP answers (RFC 5280 §4.2.1.3).

use super::{Candidate, Finding, Purpose};
use crate::pki::cert::KeyUsage;

pub(super) fn check(candidate: &Candidate<'_>) -> Option<Finding> {
    let ca = KeyUsage::KEY_CERT_SIGN.0 | KeyUsage::CRL_SIGN.0;
    let (expected, words) = match candidate.purpose {
        Purpose::Root => (ca, "keyCertSign and cRLSign"),
        Purpose::HostsIssuer | Purpose::ClientsIssuer => (
            ca | KeyUsage::DIGITAL_SIGNATURE.0,
            "digitalSignature, keyCertSign and cRLSign",
        ),
        Purpose::Host | Purpose::Client | Purpose::OcspSigner => {
            (KeyUsage::DIGITAL_SIGNATURE.0, "digitalSignature")
        }
    };
    if candidate.certificate.key_usage == Some(KeyUsage(expected)) && candidate.is_critical("2.5.29.15") {
        return None;
    }
    Some(Finding::new(
        "key_usage",
        format!("key usage must be critical and exactly {words}"),
    ))
}
