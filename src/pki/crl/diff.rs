//! What a CRL says against what it should say, before anyone sees it.

use std::cmp::Ordering;
use std::fmt;

use super::{Crl, Entry, Revoked};
use crate::base::Timestamp;
use crate::pki::Serial;

/// How many serials are named per kind of difference.
const NAMED_MAX: usize = 5;

/// Serials, of which the first few are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differing {
    /// How many.
    pub count: usize,
    /// The first of them, at most five.
    pub first: Vec<Serial>,
}

impl Differing {
    fn note(&mut self, serial: &[u8]) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.extend(Serial::from_bytes(serial));
        }
    }
}

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.first.iter().map(Serial::to_string).collect();
        let more = if self.count > named.len() { ", ..." } else { "" };
        write!(f, "{} ({}{more})", self.count, named.join(", "))
    }
}

/// How a list differs from the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Revoked in the table, not on the list: they would be accepted again.
    pub missing: Differing,
    /// On the list, not revoked in the table.
    pub unexpected: Differing,
    /// On both, with another date or reason.
    pub changed: Differing,
}

impl Difference {
    /// Whether the list may be published.
    pub fn is_none(&self) -> bool {
        self.missing.count + self.unexpected.count + self.changed.count == 0
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            missing,
            unexpected,
            changed,
        } = self;
        write!(f, "missing {missing}; unexpected {unexpected}; changed {changed}")
    }
}

/// Compares a sorted list with the table, whose rows come in the order of [`Serial`]. Rows of certificates that
/// expired before `drop_before` may be listed or not. A list that is not sorted differs.
pub fn diff(table: impl IntoIterator<Item = Revoked>, crl: &Crl, drop_before: Timestamp) -> Difference {
    let mut found = Difference::default();
    let mut listed = crl.entries().peekable();
    for row in table {
        let serial = row.serial.as_bytes();
        while let Some(entry) = listed.next_if(|entry| entry.serial < serial) {
            found.unexpected.note(entry.serial);
        }
        match listed.next_if(|entry| entry.serial == serial) {
            Some(entry) if !is_same(&row, &entry) => found.changed.note(serial),
            Some(_) => {}
            None if row.not_after < drop_before => {}
            None => found.missing.note(serial),
        }
    }
    listed.for_each(|entry| found.unexpected.note(entry.serial));
    found
}

fn is_same(row: &Revoked, entry: &Entry<'_>) -> bool {
    /// cACompromise, in the list of a root.
    const CA_COMPROMISE: Option<u8> = Some(2);
    let is_same_reason = entry.reason() == Some(row.reason)
        || (entry.reason_code == CA_COMPROMISE && row.reason == crate::pki::RevocationReason::KeyCompromise);
    row.revoked_at.as_secs() == entry.revoked_at.as_secs() && is_same_reason
}

/// What stands on `previous` and not on `next`, two sorted lists of one issuer. Each of these must be a certificate
/// that expired; the table knows.
pub fn dropped<'a>(previous: &'a Crl, next: &'a Crl) -> impl Iterator<Item = Entry<'a>> {
    let mut listed = next.entries().peekable();
    previous.entries().filter(move |entry| {
        while listed
            .next_if(|other| other.serial.cmp(entry.serial) == Ordering::Less)
            .is_some()
        {}
        listed.next_if(|other| other.serial == entry.serial).is_none()
    })
}
