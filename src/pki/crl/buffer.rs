//! The entries of the next CRL, kept encoded and in order, so that one more revocation costs an insert into a few
//! kilobytes and not a rebuild of the list.

use std::cmp::Ordering;
use std::sync::Arc;

use super::entry::{Entries, Entry, REASON};
use super::{Revoked, Subjects, drop_before};
use crate::base::Timestamp;
use crate::pki::{RevocationReason, Serial, dates, der};

/// A chunk is split when it grows past this many bytes: some 350 entries.
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// Encoded entries in the order of [`Serial`]. A clone shares all chunks until either changes: cheap enough to sign
/// one on another thread while the next revocation comes in.
#[derive(Clone, Debug)]
pub struct EntryBuffer {
    subjects: Subjects,
    chunks: Vec<Arc<Chunk>>,
    len: usize,
    bytes: usize,
}

impl EntryBuffer {
    /// Without entries.
    pub fn new(subjects: Subjects) -> Self {
        Self {
            subjects,
            chunks: Vec::new(),
            len: 0,
            bytes: 0,
        }
    }

    /// What the entries are about.
    pub fn subjects(&self) -> Subjects {
        self.subjects
    }

    /// How many certificates are listed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How long all entries are, bytes of DER.
    pub fn encoded_bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a certificate. False, and nothing changes, when it is listed already: the first date and reason stay.
    /// Fastest when serials come in order.
    pub fn insert(&mut self, revoked: &Revoked) -> bool {
        let serial = revoked.serial.as_bytes();
        let not_after = revoked.not_after.as_secs();
        let entry = encode(revoked, self.subjects);
        let after = self.chunks.partition_point(|chunk| chunk.first() <= serial);
        let Some(at) = after.checked_sub(1).or((!self.chunks.is_empty()).then_some(0)) else {
            self.chunks.push(Arc::new(Chunk::of(&entry, not_after)));
            return self.count(entry.len());
        };
        let Err(place) = self.chunks[at].place(serial) else {
            return false;
        };
        let chunk = &self.chunks[at];
        let is_full = chunk.bytes.len() + entry.len() > CHUNK_BYTES_MAX;
        if is_full && place.offset == chunk.bytes.len() {
            self.chunks.insert(at + 1, Arc::new(Chunk::of(&entry, not_after)));
            return self.count(entry.len());
        }
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        chunk.insert(place, &entry, not_after);
        if is_full {
            let upper = chunk.split();
            self.chunks.insert(at + 1, Arc::new(upper));
        }
        self.count(entry.len())
    }

    fn count(&mut self, bytes: usize) -> bool {
        self.len += 1;
        self.bytes += bytes;
        true
    }

    /// Leaves out what need not be listed any more: see [`drop_before`]. Returns how many entries went.
    pub fn prune(&mut self, predecessor: Option<Timestamp>, now: Timestamp) -> usize {
        let limit = drop_before(predecessor, now).as_secs();
        let before = self.len;
        for chunk in &mut self.chunks {
            if chunk.not_after.iter().any(|not_after| *not_after < limit) {
                let (count, bytes) = (chunk.not_after.len(), chunk.bytes.len());
                let chunk = Arc::make_mut(chunk);
                chunk.retain(|not_after| not_after >= limit);
                self.len -= count - chunk.not_after.len();
                self.bytes -= bytes - chunk.bytes.len();
            }
        }
        self.chunks.retain(|chunk| !chunk.not_after.is_empty());
        before - self.len
    }

    /// The entry of a certificate.
    pub fn find(&self, serial: &Serial) -> Option<Entry<'_>> {
        let after = self
            .chunks
            .partition_point(|chunk| chunk.first() <= serial.as_bytes());
        let chunk = &self.chunks[after.checked_sub(1)?];
        chunk.entries().find(|entry| entry.serial == serial.as_bytes())
    }

    /// Every entry, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.chunks.iter().flat_map(|chunk| chunk.entries())
    }

    /// The encoded entries, to be put one behind the other.
    pub(super) fn encoded(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(|chunk| chunk.bytes.as_slice())
    }
}

impl Extend<Revoked> for EntryBuffer {
    fn extend<I: IntoIterator<Item = Revoked>>(&mut self, all: I) {
        for revoked in all {
            self.insert(&revoked);
        }
    }
}

/// A run of entries. Never empty while it stands in a buffer.
#[derive(Clone, Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Where the last entry begins.
    last: usize,
    /// When each entry's certificate expires, seconds since 1970.
    not_after: Vec<i64>,
}

/// Between two entries: before the one at `offset`, which is number `index`.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: usize,
    index: usize,
}

impl Chunk {
    fn of(entry: &[u8], not_after: i64) -> Self {
        Self {
            bytes: entry.to_vec(),
            last: 0,
            not_after: vec![not_after],
        }
    }

    fn entries(&self) -> Entries<'_> {
        Entries::checked(&self.bytes, self.not_after.len())
    }

    fn first(&self) -> &[u8] {
        serial_at(&self.bytes, 0)
    }

    /// Where `serial` belongs; `Ok` when it is there.
    fn place(&self, serial: &[u8]) -> Result<(), Place> {
        if serial > serial_at(&self.bytes, self.last) {
            return Err(Place {
                offset: self.bytes.len(),
                index: self.not_after.len(),
            });
        }
        let mut offset = 0;
        for index in 0..self.not_after.len() {
            match serial_at(&self.bytes, offset).cmp(serial) {
                Ordering::Less => offset += entry_len(&self.bytes, offset),
                Ordering::Equal => return Ok(()),
                Ordering::Greater => return Err(Place { offset, index }),
            }
        }
        unreachable!("the last entry is not less: that was looked at first")
    }

    fn insert(&mut self, place: Place, entry: &[u8], not_after: i64) {
        let is_last = place.offset == self.bytes.len();
        self.last = if is_last {
            place.offset
        } else {
            self.last + entry.len()
        };
        self.bytes
            .splice(place.offset..place.offset, entry.iter().copied());
        self.not_after.insert(place.index, not_after);
    }

    /// Gives up its upper half.
    fn split(&mut self) -> Self {
        let count = self.not_after.len() / 2;
        let offset = (0..count).fold(0, |at, _| at + entry_len(&self.bytes, at));
        let mut upper = Self {
            bytes: self.bytes.split_off(offset),
            last: self.last - offset,
            not_after: self.not_after.split_off(count),
        };
        upper.bytes.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.find_last();
        upper
    }

    fn retain(&mut self, keep: impl Fn(i64) -> bool) {
        let mut kept = Vec::with_capacity(self.bytes.len());
        let mut offset = 0;
        self.not_after.retain(|not_after| {
            let end = offset + entry_len(&self.bytes, offset);
            let entry = &self.bytes[offset..end];
            offset = end;
            let keep = keep(*not_after);
            if keep {
                kept.extend_from_slice(entry);
            }
            keep
        });
        self.bytes = kept;
        self.find_last();
    }

    fn find_last(&mut self) {
        let before = self.not_after.len().saturating_sub(1);
        self.last = (0..before).fold(0, |at, _| at + entry_len(&self.bytes, at));
    }
}

// INVARIANT: entries here were written by `encode`: each is shorter than 128 bytes, so its header is two bytes long,
// and its serial's INTEGER begins at the third.

fn entry_len(bytes: &[u8], offset: usize) -> usize {
    2 + usize::from(bytes[offset + 1])
}

fn serial_at(bytes: &[u8], offset: usize) -> &[u8] {
    let len = usize::from(bytes[offset + 3]);
    let contents = &bytes[offset + 4..offset + 4 + len];
    contents.strip_prefix(&[0]).unwrap_or(contents)
}

/// revokedCertificates' element; reasonCode is left out for `unspecified` (RFC 5280 §5.3.1).
fn encode(revoked: &Revoked, subjects: Subjects) -> Vec<u8> {
    let mut fields = Vec::with_capacity(64);
    der::write_magnitude(&mut fields, revoked.serial.as_bytes());
    dates::write(&mut fields, revoked.revoked_at);
    let code = match (revoked.reason, subjects) {
        (RevocationReason::KeyCompromise, Subjects::Issuers) => 2,
        (reason, _) => reason.code(),
    };
    if code != 0 {
        let value = der::write(der::OCTET_STRING, &[&der::write(der::ENUMERATED, &[&[code]])]);
        let reason = der::write(der::SEQUENCE, &[&der::write(der::OID, &[REASON]), &value]);
        fields.extend(der::write(der::SEQUENCE, &[&reason]));
    }
    let entry = der::write(der::SEQUENCE, &[&fields]);
    debug_assert!(
        entry[1] < 0x80,
        "a serial of 20 bytes, a date and a reason are 60 bytes"
    );
    entry
}
