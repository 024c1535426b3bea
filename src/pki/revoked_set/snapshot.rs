//! How a host keeps what it knows on disk: a snapshot of everything, and a journal of what came after it. Both
//! carry checksums; numbers only rise. Bytes in, bytes out: the caller writes and syncs the files.
//!
//! Order of writing: an appended record is synced before its number is acknowledged; a new snapshot replaces the old
//! one before the journal is begun anew. So a crash between any two steps loses nothing: records that the snapshot
//! holds already are skipped.
//!
//! All numbers are big-endian. Snapshot: magic, number (8 bytes), stamp (1 + n), number of issuers (2); per issuer its key identifier
//! (1 + n), how many serials of 16 bytes (4) and of other lengths (4), then these and those (1 + n each); at last
//! SHA-256 of all before. Journal: magic, number it begins after (8); per record the length of its body (4), the body,
//! 16 bytes of SHA-256 over the check before (of the header, for the first), length and body. Body: number (8),
//! stamp (1 + n), then per certificate key identifier and serial (1 + n each).

use super::{Chunks, OfIssuer, RevokedSet, USUAL};
use crate::base::encoding::sha256;
use crate::pki::Serial;

const SNAPSHOT_MAGIC: &[u8; 8] = b"DWREVS\0\x01";
const JOURNAL_MAGIC: &[u8; 8] = b"DWREVJ\0\x01";
const DIGEST: usize = 32;
const CHECK: usize = 16;
const HEADER: usize = 16;

/// Why what was known could not be read, or not be added to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationFileError {
    /// Cut short, changed, or something else.
    #[error(
        "the {0} of known revocations is damaged or not one: move it away, and the host fetches all of them again from the server"
    )]
    Damaged(&'static str),
    /// The snapshot is older than the journal's beginning.
    #[error(
        "the journal of known revocations begins after number {journal}, but the snapshot ends at {snapshot}: one of the two was replaced by an older file; move both away, and the host fetches all again"
    )]
    Gap {
        /// The last number of the snapshot.
        snapshot: u64,
        /// The number the journal begins after.
        journal: u64,
    },
    /// What came is not newer than what is known.
    #[error(
        "the server sent change {got}, but change {have} was seen before: it may have been restored from a backup; nothing was forgotten"
    )]
    Backwards {
        /// The highest number known.
        have: u64,
        /// The number that came.
        got: u64,
    },
}

/// One change: what it revokes, all or nothing. None at all only says that everything up to its number was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The feed's number.
    pub number: u64,
    /// What the server wants to see again with that number, at most 255 bytes; kept, never looked at.
    pub stamp: Vec<u8>,
    /// (issuer key identifier, serial) of each certificate.
    pub revoked: Vec<(Vec<u8>, Serial)>,
}

/// Every revocation up to a number of the feed. It grows only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownRevocations {
    number: u64,
    stamp: Vec<u8>,
    set: RevokedSet,
}

impl KnownRevocations {
    /// Nothing, up to number 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything up to `number`, as the server told it at once.
    pub fn at(number: u64, stamp: Vec<u8>, set: RevokedSet) -> Self {
        Self { number, stamp, set }
    }

    /// The highest number seen.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What came with that number.
    pub fn stamp(&self) -> &[u8] {
        &self.stamp
    }

    /// The revoked certificates.
    pub fn set(&self) -> &RevokedSet {
        &self.set
    }

    /// Takes in a change. Returns how many certificates were not revoked before.
    ///
    /// # Errors
    /// [`RevocationFileError::Backwards`]; nothing is changed then.
    pub fn apply(&mut self, record: &Record) -> Result<usize, RevocationFileError> {
        if record.number <= self.number {
            return Err(RevocationFileError::Backwards {
                have: self.number,
                got: record.number,
            });
        }
        self.number = record.number;
        self.stamp.clone_from(&record.stamp);
        let revoked = record.revoked.iter();
        Ok(revoked
            .filter(|(key_id, serial)| self.set.insert(key_id, serial))
            .count())
    }

    /// All of it as a file.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.set.len() * (USUAL + 1) + 1024);
        out.extend_from_slice(SNAPSHOT_MAGIC);
        out.extend_from_slice(&self.number.to_be_bytes());
        push_short(&mut out, &self.stamp);
        out.extend_from_slice(&(self.set.issuers.len() as u16).to_be_bytes());
        for of in &self.set.issuers {
            push_short(&mut out, &of.key_id);
            out.extend_from_slice(&(of.usual.len() as u32).to_be_bytes());
            out.extend_from_slice(&(of.others.len() as u32).to_be_bytes());
            of.usual.iter().for_each(|serial| out.extend_from_slice(serial));
            of.others
                .iter()
                .for_each(|serial| push_short(&mut out, serial.as_bytes()));
        }
        let digest = sha256(&out);
        out.extend_from_slice(&digest);
        out
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// [`RevocationFileError::Damaged`].
    pub fn from_snapshot(file: &[u8]) -> Result<Self, RevocationFileError> {
        const DAMAGED: RevocationFileError = RevocationFileError::Damaged("snapshot");
        let (body, digest) = file.split_last_chunk::<DIGEST>().ok_or(DAMAGED)?;
        if sha256(body) != *digest {
            return Err(DAMAGED);
        }
        read_snapshot(&mut Fields(body)).ok_or(DAMAGED)
    }

    /// What was known when the files were written last. Without a snapshot the journal must begin after number 0;
    /// `None` for a file that is not there.
    ///
    /// A journal is believed up to its first record that does not check out, which is what a crash in the middle of
    /// an append leaves; [`Recovered::lost_bytes`] says what was left out.
    ///
    /// # Errors
    /// [`RevocationFileError::Damaged`], [`RevocationFileError::Gap`].
    pub fn recover(
        snapshot: Option<&[u8]>,
        journal: Option<&[u8]>,
    ) -> Result<Recovered, RevocationFileError> {
        let mut known = snapshot.map_or_else(|| Ok(Self::new()), Self::from_snapshot)?;
        let Some(file) = journal else {
            let (journal, header) = Journal::begin(known.number);
            return Ok(Recovered {
                known,
                journal,
                header: Some(header),
                good_bytes: 0,
                lost_bytes: 0,
            });
        };
        let mut journal = Journal::read_header(file).ok_or(RevocationFileError::Damaged("journal"))?;
        if journal.after > known.number {
            return Err(RevocationFileError::Gap {
                snapshot: known.number,
                journal: journal.after,
            });
        }
        let mut good_bytes = HEADER;
        while let Some((record, len)) = journal.read(&file[good_bytes..]) {
            // The snapshot holds it already.
            if record.number > known.number {
                known.apply(&record)?;
            }
            good_bytes += len;
        }
        Ok(Recovered {
            known,
            journal,
            header: None,
            good_bytes,
            lost_bytes: file.len() - good_bytes,
        })
    }
}

/// What [`KnownRevocations::recover`] found.
#[derive(Debug)]
pub struct Recovered {
    /// What is known.
    pub known: KnownRevocations,
    /// To go on appending.
    pub journal: Journal,
    /// When there was no journal: how the new file begins.
    pub header: Option<Vec<u8>>,
    /// How much of the journal is good. Cut the file to this before appending.
    pub good_bytes: usize,
    /// How much of it is not.
    pub lost_bytes: usize,
}

/// Where appending to a journal goes on. One per file.
#[derive(Clone, Debug)]
pub struct Journal {
    after: u64,
    last: u64,
    check: [u8; CHECK],
}

impl Journal {
    /// A new journal, after a snapshot with this number; and the bytes its file begins with.
    pub fn begin(after: u64) -> (Self, Vec<u8>) {
        let header = [&JOURNAL_MAGIC[..], &after.to_be_bytes()].concat();
        (Self::after(after, &header), header)
    }

    fn after(after: u64, header: &[u8]) -> Self {
        Self {
            after,
            last: after,
            check: check(&[header]),
        }
    }

    fn read_header(file: &[u8]) -> Option<Self> {
        let header = file.get(..HEADER)?;
        let number = header.strip_prefix(JOURNAL_MAGIC)?.try_into().ok()?;
        Some(Self::after(u64::from_be_bytes(number), header))
    }

    /// The bytes to append for `record`. They must be on disk before the next ones are.
    ///
    /// # Errors
    /// [`RevocationFileError::Backwards`]; the journal is as before then.
    pub fn append(&mut self, record: &Record) -> Result<Vec<u8>, RevocationFileError> {
        if record.number <= self.last {
            return Err(RevocationFileError::Backwards {
                have: self.last,
                got: record.number,
            });
        }
        let mut body = record.number.to_be_bytes().to_vec();
        push_short(&mut body, &record.stamp);
        for (key_id, serial) in &record.revoked {
            push_short(&mut body, key_id);
            push_short(&mut body, serial.as_bytes());
        }
        let len = (body.len() as u32).to_be_bytes();
        self.check = check(&[&self.check, &len, &body]);
        self.last = record.number;
        Ok([&len[..], &body, &self.check].concat())
    }

    /// The next record, and how long it is; `None` at the end and at the first one that does not check out.
    fn read(&mut self, rest: &[u8]) -> Option<(Record, usize)> {
        let mut fields = Fields(rest);
        let len = fields.take(4)?;
        let body = fields.take(u32::from_be_bytes(len.try_into().ok()?) as usize)?;
        let expected = check(&[&self.check, len, body]);
        let record = read_body(&mut Fields(body))?;
        if fields.take(CHECK)? != expected || record.number <= self.last {
            return None;
        }
        self.check = expected;
        self.last = record.number;
        Some((record, 4 + body.len() + CHECK))
    }
}

fn check(parts: &[&[u8]]) -> [u8; CHECK] {
    sha256(&parts.concat())[..CHECK]
        .try_into()
        .expect("16 of 32 bytes")
}

/// A byte of length, and the bytes. Key identifiers and serials are at most 255 bytes long.
fn push_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(255)];
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}

/// Reads fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        let [len] = self.array()?;
        self.take(usize::from(len))
    }

    fn serial(&mut self) -> Option<Serial> {
        Serial::from_bytes(self.short()?).ok()
    }
}

fn read_body(fields: &mut Fields<'_>) -> Option<Record> {
    let number = u64::from_be_bytes(fields.array()?);
    let stamp = fields.short()?.to_vec();
    let mut revoked = Vec::new();
    while !fields.0.is_empty() {
        revoked.push((fields.short()?.to_vec(), fields.serial()?));
    }
    Some(Record {
        number,
        stamp,
        revoked,
    })
}

fn read_snapshot(fields: &mut Fields<'_>) -> Option<KnownRevocations> {
    if fields.array()? != *SNAPSHOT_MAGIC {
        return None;
    }
    let number = u64::from_be_bytes(fields.array()?);
    let stamp = fields.short()?.to_vec();
    let issuers = u16::from_be_bytes(fields.array()?);
    let mut set = RevokedSet::new();
    for _ in 0..issuers {
        set.issuers.push(read_issuer(fields)?);
    }
    let in_order = set.issuers.is_sorted_by(|a, b| a.key_id < b.key_id);
    (in_order && fields.0.is_empty()).then_some(KnownRevocations { number, stamp, set })
}

fn read_issuer(fields: &mut Fields<'_>) -> Option<OfIssuer> {
    let mut of = OfIssuer::new(fields.short()?);
    let usual = u32::from_be_bytes(fields.array()?) as usize;
    let others = u32::from_be_bytes(fields.array()?);
    let (serials, []) = fields.take(usual.checked_mul(USUAL)?)?.as_chunks::<USUAL>() else {
        return None;
    };
    of.usual = Chunks::of_sorted(serials);
    let others: Option<Vec<Serial>> = (0..others).map(|_| fields.serial()).collect();
    of.others = others?.into();
    let in_order = serials.is_sorted_by(|a, b| a < b) && of.others.is_sorted_by(|a, b| a < b);
    in_order.then_some(of)
}
