//! Certificates: reading never panics, what is read prints and lints, and the bytes are kept as they came.
#![no_main]

use dockwarden::pki::cert::Certificate;
use dockwarden::pki::lint::{self, Candidate, Purpose};
use libfuzzer_sys::fuzz_target;

const PURPOSES: [Purpose; 6] = [
    Purpose::Root,
    Purpose::HostsIssuer,
    Purpose::ClientsIssuer,
    Purpose::Host,
    Purpose::Client,
    Purpose::OcspSigner,
];

fuzz_target!(|der: &[u8]| {
    let Ok(certificate) = Certificate::parse(der) else {
        return;
    };
    assert_eq!(certificate.der(), der);
    let _ = (
        certificate.subject_text(),
        certificate.issuer_text(),
        certificate.is_self_issued(),
    );
    if let Ok(key) = certificate.public_key() {
        let _ = certificate.verify_signature(&key);
    }
    for purpose in PURPOSES {
        for issuer in [None, Some(&certificate)] {
            lint::check(&Candidate {
                certificate: &certificate,
                purpose,
                issuer,
                requested_spki: Some(&certificate.spki),
            });
        }
    }
});
