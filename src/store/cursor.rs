//! Page cursors: the sort key of the last item of a page, as opaque text. The first byte names the list,
//! so that a cursor of another list is refused.

use super::StoreError;
use crate::base::{Id, encoding, limits::PAGE_MAX};
use crate::model::{Page, PageRequest};
use crate::pki::IdentityName;

/// The longest cursor that is looked at, characters.
const CURSOR_CHARS_MAX: usize = 512;

/// A key that a list is sorted by.
pub trait Key: Sized {
    /// Its bytes.
    fn write(&self) -> Vec<u8>;
    /// Reads what [`Key::write`] writes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Key for i64 {
    fn write(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(i64::from_be_bytes)
    }
}

impl Key for (i64, i64) {
    fn write(&self) -> Vec<u8> {
        [self.0.write(), self.1.write()].concat()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(8)?;
        Some((i64::read(first)?, i64::read(second)?))
    }
}

impl Key for (i64, Id) {
    fn write(&self) -> Vec<u8> {
        [self.0.write(), self.1.as_bytes().to_vec()].concat()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(8)?;
        Some((i64::read(first)?, Id::from_bytes(second.try_into().ok()?)))
    }
}

impl Key for (i64, String) {
    fn write(&self) -> Vec<u8> {
        [self.0.write(), self.1.as_bytes().to_vec()].concat()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(8)?;
        Some((i64::read(first)?, String::from_utf8(second.to_vec()).ok()?))
    }
}

impl Key for IdentityName {
    fn write(&self) -> Vec<u8> {
        self.as_str().as_bytes().to_vec()
    }
    fn read(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok()?.parse().ok()
    }
}

/// Which list a cursor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum List {
    /// Certificates by expiry.
    Certificates = b'c',
    /// Hosts by name.
    Hosts = b'h',
    /// Identities by name.
    Identities = b'i',
    /// Tokens, newest first.
    Tokens = b't',
    /// Requests, oldest first.
    Requests = b'r',
    /// Certificates by a name of theirs.
    Named = b'n',
    /// Certificates, newest first.
    Newest = b'w',
    /// Audit records, oldest first.
    AuditForward = b'a',
    /// Audit records, newest first.
    AuditBackward = b'z',
    /// Problems, newest first.
    Problems = b'p',
    /// Notifications, newest first.
    Notifications = b'o',
}

/// Where the wanted page starts: after this key.
pub fn start<K: Key>(list: List, page: &PageRequest) -> Result<Option<K>, StoreError> {
    let Some(text) = &page.cursor else {
        return Ok(None);
    };
    if text.len() > CURSOR_CHARS_MAX {
        return Err(StoreError::Cursor);
    }
    let bytes = encoding::base32_decode(text).ok_or(StoreError::Cursor)?;
    match bytes.split_first() {
        Some((tag, key)) if *tag == list as u8 => K::read(key).map(Some).ok_or(StoreError::Cursor),
        _ => Err(StoreError::Cursor),
    }
}

/// How many items the page holds: what was asked for, 1 to [`PAGE_MAX`].
pub fn limit(page: &PageRequest) -> usize {
    page.limit.clamp(1, PAGE_MAX) as usize
}

/// Makes a page of `rows`, of which there is one more than [`limit`] when another page follows.
pub fn page<K: Key, T>(list: List, limit: usize, mut rows: Vec<(K, T)>) -> Page<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(key, _)| after(list, key));
    Page {
        items: rows.into_iter().map(|(_, item)| item).collect(),
        next,
    }
}

/// The cursor of the page after this key.
pub fn after<K: Key>(list: List, key: &K) -> String {
    encoding::base32(&[vec![list as u8], key.write()].concat())
}

/// Each of numbered items once, where it stands first.
pub fn once<T>(items: Vec<(i64, T)>) -> Vec<T> {
    let mut seen = std::collections::BTreeSet::new();
    let fresh = items.into_iter().filter(|(number, _)| seen.insert(*number));
    fresh.map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(cursor: &str) -> PageRequest {
        PageRequest {
            limit: 1,
            cursor: Some(cursor.to_owned()),
        }
    }

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_key_and_only_in_its_own_list(a: i64, b: i64) {
            let first = page(List::Certificates, 1, vec![((a, b), ()), ((b, a), ())]);
            let cursor = first.next.expect("one more follows");
            prop_assert_eq!(start(List::Certificates, &asked(&cursor)).unwrap(), Some((a, b)));
            prop_assert!(start::<(i64, i64)>(List::Tokens, &asked(&cursor)).is_err());
        }

        #[test]
        fn what_this_server_did_not_give_is_refused(text in "[a-z0-9=_-]{0,300}") {
            let read = start::<(i64, Id)>(List::Tokens, &asked(&text));
            prop_assert!(matches!(read, Err(StoreError::Cursor)) || text.len() == 40);
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        assert_eq!(page(List::Hosts, 2, vec![(1i64, 'a'), (2, 'b')]).next, None);
    }
}
