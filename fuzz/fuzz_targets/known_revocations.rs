//! What a host keeps of revocations: no file makes reading panic, what is believed of a journal is a prefix of it, and
//! what was read is written and read back the same.
#![no_main]

use dockwarden::pki::{Journal, KnownRevocations};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (_, mut journal) = Journal::begin(0);
    journal.extend_from_slice(data);
    for (snapshot, journal) in [
        (None, journal.as_slice()),
        (None, data),
        (Some(data), journal.as_slice()),
    ] {
        let Ok(found) = KnownRevocations::recover(snapshot, Some(journal)) else {
            continue;
        };
        assert_eq!(found.good_bytes + found.lost_bytes, journal.len());
        let again = KnownRevocations::from_snapshot(&found.known.to_snapshot()).expect("its own snapshot");
        assert_eq!(again, found.known);
    }
});
