//! What a host knows of revoked certificates: an exact set of (issuer key identifier, serial) that answers in well
//! under a microsecond and takes some 17 bytes per certificate. No probabilistic filter: a wrong answer in either
//! direction is an outage or a break-in.

mod snapshot;

use std::ops::Range;
use std::sync::Arc;

use super::Serial;
use super::crl::Crl;

pub use snapshot::{Journal, KnownRevocations, Record, Recovered, RevocationFileError};

/// The usual length of a serial: what [`Serial::draw`] draws.
const USUAL: usize = 16;
type Usual = [u8; USUAL];
/// A chunk is split when it grows past this many serials: 8 KiB.
const CHUNK_MAX: usize = 512;
/// How many serials a chunk grows by: what may stand empty in it.
const CHUNK_STEP: usize = 16;

/// A set of revoked certificates. A clone shares nearly all memory with the original until either changes, so a
/// writer may clone, insert and publish while readers hold the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedSet {
    issuers: Vec<OfIssuer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OfIssuer {
    key_id: Arc<[u8]>,
    usual: Chunks,
    /// Serials of another length, in order: those of CAs that were brought along.
    others: Arc<Vec<Serial>>,
}

impl RevokedSet {
    /// Without certificates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the certificate with this serial, by the issuer with this subject key identifier, is revoked.
    pub fn contains(&self, issuer_key_id: &[u8], serial: &Serial) -> bool {
        let of_issuer = self.issuers.iter().find(|of| *of.key_id == *issuer_key_id);
        of_issuer.is_some_and(|of| of.contains(serial.as_bytes()))
    }

    /// Adds a certificate; false when it was there.
    pub fn insert(&mut self, issuer_key_id: &[u8], serial: &Serial) -> bool {
        self.of_issuer(issuer_key_id).insert(serial.as_bytes())
    }

    /// Adds everything a CRL lists. The caller has verified it; `issuer_key_id` is its issuer's. Returns how many were new.
    pub fn insert_listed(&mut self, issuer_key_id: &[u8], crl: &Crl) -> usize {
        let of_issuer = self.of_issuer(issuer_key_id);
        crl.entries()
            .filter(|entry| of_issuer.insert(entry.serial))
            .count()
    }

    fn of_issuer(&mut self, key_id: &[u8]) -> &mut OfIssuer {
        let at = self.issuers.binary_search_by(|of| (*of.key_id).cmp(key_id));
        let at = at.unwrap_or_else(|at| {
            self.issuers.insert(at, OfIssuer::new(key_id));
            at
        });
        &mut self.issuers[at]
    }

    /// How many certificates.
    pub fn len(&self) -> usize {
        self.issuers
            .iter()
            .map(|of| of.usual.len() + of.others.len())
            .sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every certificate as (issuer key identifier, serial), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Serial)> {
        self.issuers.iter().flat_map(|of| {
            let usual = of.usual.iter().map(|serial| serial.as_slice());
            let others = of.others.iter().map(Serial::as_bytes);
            let serials = usual.chain(others);
            serials.map(|serial| {
                (
                    &*of.key_id,
                    Serial::from_bytes(serial).expect("these were serials"),
                )
            })
        })
    }

    /// Bytes of memory the serials take, without what the allocator adds.
    pub fn memory_bytes(&self) -> usize {
        let of_issuer = |of: &OfIssuer| {
            of.usual.memory_bytes() + of.others.iter().map(|s| s.as_bytes().len() + 24).sum::<usize>()
        };
        self.issuers.iter().map(of_issuer).sum()
    }
}

impl OfIssuer {
    fn new(key_id: &[u8]) -> Self {
        Self {
            key_id: key_id.into(),
            usual: Chunks::default(),
            others: Arc::default(),
        }
    }

    fn contains(&self, serial: &[u8]) -> bool {
        match serial.try_into() {
            Ok(usual) => self.usual.contains(usual),
            Err(_) => self.find_other(serial).is_ok(),
        }
    }

    fn insert(&mut self, serial: &[u8]) -> bool {
        if let Ok(usual) = serial.try_into() {
            return self.usual.insert(usual);
        }
        let Err(at) = self.find_other(serial) else {
            return false;
        };
        let serial = Serial::from_bytes(serial).expect("a serial was given");
        Arc::make_mut(&mut self.others).insert(at, serial);
        true
    }

    fn find_other(&self, serial: &[u8]) -> Result<usize, usize> {
        self.others.binary_search_by(|other| other.as_bytes().cmp(serial))
    }
}

/// Serials in order, in chunks: none empty, none longer than [`CHUNK_MAX`].
#[derive(Clone, Debug, Default)]
struct Chunks {
    /// The first serial of each chunk: a look-up touches this array and one chunk.
    first: Vec<Usual>,
    chunks: Vec<Arc<Vec<Usual>>>,
    len: usize,
}

impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for Chunks {}

impl Chunks {
    /// From serials in order, none twice.
    fn of_sorted(serials: &[Usual]) -> Self {
        let chunks = serials.chunks(CHUNK_MAX);
        Self {
            first: chunks.clone().map(|chunk| chunk[0]).collect(),
            chunks: chunks.map(|chunk| Arc::new(chunk.to_vec())).collect(),
            len: serials.len(),
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn iter(&self) -> impl Iterator<Item = &Usual> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    fn contains(&self, serial: &Usual) -> bool {
        let after = self.first.partition_point(|first| first <= serial);
        let Some(at) = after.checked_sub(1) else {
            return false;
        };
        let end = self.first.get(after).map_or(u64::MAX, leading);
        find(&self.chunks[at], leading(&self.first[at])..end, serial)
    }

    fn insert(&mut self, serial: &Usual) -> bool {
        let after = self.first.partition_point(|first| first <= serial);
        let at = after.saturating_sub(1);
        let Some(chunk) = self.chunks.get(at) else {
            self.put(0, vec![*serial]);
            self.len += 1;
            return true;
        };
        let Err(place) = chunk.binary_search(serial) else {
            return false;
        };
        self.len += 1;
        if chunk.len() == CHUNK_MAX && place == CHUNK_MAX {
            self.put(at + 1, vec![*serial]);
            return true;
        }
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        if chunk.len() == chunk.capacity() {
            chunk.reserve_exact(CHUNK_STEP);
        }
        chunk.insert(place, *serial);
        self.first[at] = chunk[0];
        if chunk.len() > CHUNK_MAX {
            let upper = chunk.split_off(CHUNK_MAX / 2);
            chunk.shrink_to_fit();
            self.put(at + 1, upper);
        }
        true
    }

    fn put(&mut self, at: usize, chunk: Vec<Usual>) {
        self.first.insert(at, chunk[0]);
        self.chunks.insert(at, Arc::new(chunk));
    }

    fn memory_bytes(&self) -> usize {
        /// An `Arc`'s two counts and the `Vec` behind it.
        const PER_CHUNK: usize = 2 * size_of::<usize>() + size_of::<Vec<Usual>>();
        let chunks: usize = self
            .chunks
            .iter()
            .map(|chunk| chunk.capacity() * USUAL + PER_CHUNK)
            .sum();
        chunks + self.first.capacity() * USUAL + self.chunks.capacity() * size_of::<usize>()
    }
}

/// The first half of a serial as a number: it orders nearly all of them.
fn leading(serial: &Usual) -> u64 {
    let (leading, _) = serial.split_first_chunk().expect("a serial is longer");
    u64::from_be_bytes(*leading)
}

/// Whether a chunk, whose serials lie in `range` by their leading halves, holds a serial. Serials are drawn at random, so
/// where one stands can be reckoned to within a few places, and a look-up waits for memory once or twice instead of at
/// most steps of a binary search. Whatever the serials are, it takes no more than twice as many steps as that.
fn find(chunk: &[Usual], range: Range<u64>, serial: &Usual) -> bool {
    let width = u128::from(range.end.saturating_sub(range.start).max(1));
    let into = u128::from(leading(serial).saturating_sub(range.start)).min(width);
    let reckoned = usize::try_from(into * chunk.len() as u128 / width).expect("at most the length");
    let (before, after) = chunk.split_at(reckoned);
    if after.first().is_some_and(|first| first <= serial) {
        let reach = reach(after.len(), |at| after[at] <= *serial);
        after[..reach].binary_search(serial).is_ok()
    } else {
        let last = before.len().saturating_sub(1);
        let reach = reach(before.len(), |at| before[last - at] >= *serial);
        before[before.len() - reach..].binary_search(serial).is_ok()
    }
}

/// How many of `len` places to look at, from the near end on: twice as many each time, as long as `goes_on` holds for the
/// first that is left out.
fn reach(len: usize, goes_on: impl Fn(usize) -> bool) -> usize {
    /// Serials in two lines of the processor's cache.
    const BEGIN: usize = 8;
    let mut reach = BEGIN;
    while reach < len && goes_on(reach) {
        reach *= 2;
    }
    reach.min(len)
}

#[cfg(test)]
mod tests;
