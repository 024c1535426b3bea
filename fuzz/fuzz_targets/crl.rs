//! CRLs: reading never panics and never allocates per entry beyond the input; what is read is read again the same, and
//! what it lists is encoded and read back.
#![no_main]

use dockwarden::base::Timestamp;
use dockwarden::pki::cert::Certificate;
use dockwarden::pki::crl::{Crl, EntryBuffer, Revoked, Subjects, diff, drop_before, dropped};
use dockwarden::pki::lint::crl::{CrlCandidate, check};
use libfuzzer_sys::fuzz_target;

const ISSUER: &[u8] = include_bytes!("../seeds/certificate/issuer.der");

fuzz_target!(|data: &[u8]| {
    let Ok(crl) = Crl::parse_pem_or_der(data.to_vec()) else {
        return;
    };
    assert_eq!(crl.entries().len(), crl.entry_count);
    assert_eq!(crl.entries().count(), crl.entry_count);
    let again = Crl::parse_pem_or_der(crl.pem().into_bytes()).expect("its own PEM");
    assert_eq!((again.der(), &*again), (crl.der(), &*crl));
    let issuer = Certificate::parse(ISSUER).expect("a certificate");
    let _ = (
        crl.verify(&issuer),
        crl.issuer_text(),
        crl.is_stale_at(Timestamp::EPOCH),
    );
    for subjects in [Subjects::Leaves, Subjects::Issuers] {
        check(&CrlCandidate {
            facts: &crl,
            issuer: &issuer,
            subjects,
            predecessor: Some(1),
        });
    }
    let rows: Vec<Revoked> = crl
        .entries()
        .map(|entry| Revoked {
            serial: entry.to_serial(),
            revoked_at: entry.revoked_at,
            reason: entry.reason().unwrap_or_default(),
            not_after: entry.revoked_at,
        })
        .collect();
    let mut buffer = EntryBuffer::new(Subjects::Leaves);
    buffer.extend(rows.iter().cloned());
    assert!(buffer.len() <= crl.entry_count);
    assert_eq!(buffer.entries().count(), buffer.len());
    if let Some(first) = rows.first() {
        assert!(crl.find(&first.serial).is_some() && buffer.find(&first.serial).is_some());
    }
    if crl.is_sorted {
        assert_eq!(buffer.len(), crl.entry_count);
        assert_eq!(dropped(&crl, &crl).count(), 0);
        let difference = diff(rows, &crl, drop_before(None, Timestamp::EPOCH));
        assert_eq!((difference.missing.count, difference.unexpected.count), (0, 0));
    }
});
