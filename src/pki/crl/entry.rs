//! One entry of a CRL, read in place (RFC 5280 §5.3).

use crate::base::Timestamp;
use crate::pki::dates::{self, Date};
use crate::pki::{RevocationReason, Serial, der};

/// A revoked certificate, as it stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The serial number's magnitude.
    pub serial: &'a [u8],
    /// Since when.
    pub revoked_at: Timestamp,
    /// CRLReason; `None` when the entry has none, which means `unspecified`.
    pub reason_code: Option<u8>,
}

impl Entry<'_> {
    /// The reason, if it is one that is given here.
    pub fn reason(&self) -> Option<RevocationReason> {
        RevocationReason::from_code(self.reason_code.unwrap_or(0))
    }

    /// The serial number.
    pub fn to_serial(&self) -> Serial {
        Serial::from_bytes(self.serial).expect("a positive number of at most 20 bytes was read")
    }
}

/// Every entry of a list, in order.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: der::Reader<'a>,
    left: usize,
}

impl<'a> Entries<'a> {
    /// Over bytes in which `count` entries were read before.
    pub(super) fn checked(entries: &'a [u8], count: usize) -> Self {
        Self {
            rest: der::Reader::new(entries),
            left: count,
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.rest.next().and_then(|tlv| read(tlv.value));
        Some(
            entry
                .expect("every entry was read when the list was parsed")
                .entry,
        )
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// An entry with the form of its date.
pub(super) struct ReadEntry<'a> {
    pub(super) entry: Entry<'a>,
    pub(super) date: Date,
}

/// id-ce-cRLReasons.
pub(super) const REASON: &[u8] = &[0x55, 0x1d, 21];

/// Reads the contents of one entry. An extension that is critical, whichever, makes it unreadable: the only one RFC
/// 5280 knows, certificateIssuer, says that the entry is another CA's.
pub(super) fn read(contents: &[u8]) -> Option<ReadEntry<'_>> {
    let mut fields = der::Reader::new(contents);
    let serial = der::positive(fields.expect(der::INTEGER)?.value)?;
    let date = fields.next().and_then(|tlv| dates::read(tlv.tag, tlv.value))?;
    let mut reason_code = None;
    if !fields.is_empty() {
        reason_code = read_extensions(fields.expect(der::SEQUENCE)?.value)?;
    }
    fields.is_empty().then_some(ReadEntry {
        entry: Entry {
            serial,
            revoked_at: date.time,
            reason_code,
        },
        date,
    })
}

fn read_extensions(contents: &[u8]) -> Option<Option<u8>> {
    let mut extensions = der::Reader::new(contents);
    let mut reason = None;
    // SEQUENCE SIZE (1..MAX)
    loop {
        let (oid, critical, value) = der::extension(extensions.expect(der::SEQUENCE)?.value)?;
        if critical {
            return None;
        }
        if oid == REASON {
            // 7 is not used; 10 is the last (RFC 5280 §5.3.1).
            let [code @ (0..=6 | 8..=10)] = der::only(der::ENUMERATED, value)? else {
                return None;
            };
            if reason.replace(*code).is_some() {
                return None;
            }
        }
        if extensions.is_empty() {
            return Some(reason);
        }
    }
}
