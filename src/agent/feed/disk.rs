//! What the follower keeps in `STATE/feed/`: `known` and `known.journal`, everything revoked and the position in the feed;
//! a [`Ledger`] per feed; `roles.json`, who may do what here; and `contact`, when the server was heard of last.
//!
//! Files that are damaged make nothing weaker: what can be read of them stays refused, the position is forgotten so that
//! the server tells everything again, and until it has, the host counts as one that has not heard of it.

use std::path::{Path, PathBuf};

use super::ledger::{self, Ledger, Renewed};
use crate::base::limits::{FEED_FILE_BYTES_MAX, FEED_SNAPSHOT_MAX, HOST_ROLES_BYTES_MAX};
use crate::base::{Id, Timestamp};
use crate::model::role::HostRoles;
use crate::model::{IssuerKind, Position, Seal, key_of};
use crate::pki::{Journal, KnownRevocations, Record, RevocationFileError, RevokedSet, Serial};
use crate::sys::{Access, FileError, Files};
use crate::wire::feed::{FeedChange, FeedChangeKind};

/// Everything that is known to be revoked, and the place in the feed.
const SNAPSHOT: &str = "known";
/// What came after that.
const JOURNAL: &str = "known.journal";
/// When the server was heard of last.
const CONTACT: &str = "contact";
/// Who may do what here.
const ROLES: &str = "roles.json";
/// The largest file of roles: what a server says at most, written in another way.
const ROLES_BYTES_MAX: usize = 2 * HOST_ROLES_BYTES_MAX;
/// Records in a journal before a new snapshot is written.
const JOURNAL_RECORDS_MAX: usize = 4096;
/// An `Id` or a `Seal`.
const HALF: usize = 16;

/// Why something was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// The number does not rise.
    #[error(transparent)]
    Number(#[from] RevocationFileError),
    /// More than any fleet revokes.
    #[error("the server tells of more than {FEED_SNAPSHOT_MAX} revocations: this host does not take so many")]
    TooMany,
}

/// Up to where which feed was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The feed.
    pub feed: Id,
    /// The number applied last.
    pub number: u64,
    /// Its seal; `None` with number 0 alone.
    pub seal: Option<Seal>,
}

impl Place {
    /// From where to follow on; `None`: from the beginning.
    pub fn position(&self) -> Option<Position> {
        let number = self.number;
        self.seal.map(|seal| Position { number, seal })
    }

    fn stamp(&self) -> Vec<u8> {
        let seal = self.seal.iter().flat_map(|seal| seal.as_bytes());
        self.feed.as_bytes().iter().chain(seal).copied().collect()
    }

    fn of(known: &KnownRevocations) -> Option<Self> {
        let (feed, seal) = known.stamp().split_at_checked(HALF)?;
        Some(Self {
            feed: Id::from_bytes(feed.try_into().ok()?),
            number: known.number(),
            seal: seal.try_into().ok().map(Seal::from_bytes),
        })
    }
}

/// What is known, and its files.
pub struct Kept {
    files: Files,
    directory: PathBuf,
    known: KnownRevocations,
    /// `None`: the file does not fit what is known and is begun anew before anything is added.
    journal: Option<Journal>,
    records: usize,
    snapshot: Option<Renewed>,
}

impl Kept {
    /// Reads what was known; makes the directory. The second is when the server was heard of last: `now` where nothing
    /// was ever followed, and the beginning of time where files are damaged, which are said in the log.
    ///
    /// # Errors
    /// The disk.
    pub fn open(files: Files, directory: PathBuf, now: Timestamp) -> Result<(Self, Timestamp), FileError> {
        files.private_directory(&directory)?;
        files.clean_temporaries(&directory)?;
        settle(&files, &directory)?;
        let mut kept = Self {
            files,
            directory,
            known: KnownRevocations::new(),
            journal: None,
            records: 0,
            snapshot: None,
        };
        let sound = kept.recover()?;
        let contact = match kept.read_contact(now)? {
            Some(contact) if sound => contact,
            None if sound => {
                kept.keep_contact(now)?;
                now
            }
            _ => Timestamp::EPOCH,
        };
        Ok((kept, contact))
    }

    fn recover(&mut self) -> Result<bool, FileError> {
        let read = |name| {
            self.files
                .read_if_any(&self.directory.join(name), FEED_FILE_BYTES_MAX)
        };
        let (snapshot, journal) = (read(SNAPSHOT)?, read(JOURNAL)?);
        match KnownRevocations::recover(snapshot.as_deref(), journal.as_deref()) {
            Ok(found) => {
                self.known = found.known;
                // A torn end is cut off by beginning anew.
                let whole = found.header.is_none() && found.lost_bytes == 0;
                self.journal = whole.then_some(found.journal);
                Ok(true)
            }
            Err(error) => {
                tracing::error!("{error}; what the ledger holds stays refused");
                let snapshot = snapshot.and_then(|bytes| KnownRevocations::from_snapshot(&bytes).ok());
                let mut set = snapshot.map_or_else(RevokedSet::new, |known| known.set().clone());
                for change in ledger::everything(&self.files, &self.directory) {
                    insert(&mut set, &change);
                }
                self.files.remove(&self.directory.join(JOURNAL))?;
                self.known = KnownRevocations::at(0, Vec::new(), set);
                self.write_snapshot(&self.known)?;
                Ok(false)
            }
        }
    }

    /// Every certificate known to be revoked.
    pub fn set(&self) -> &RevokedSet {
        self.known.set()
    }

    /// Up to where which feed was applied; `None` before the first.
    pub fn place(&self) -> Option<Place> {
        Place::of(&self.known)
    }

    /// Keeps changes, in order and each after the one before; they are on disk when it returns. After an error what was
    /// known is as before, and the same may be tried again.
    ///
    /// # Errors
    /// The disk, or a number that does not rise.
    pub fn apply(&mut self, feed: Id, changes: &[FeedChange]) -> Result<(), KeptError> {
        if self.journal.is_none() || self.records > JOURNAL_RECORDS_MAX {
            self.begin_journal()?;
        }
        Ledger::new(self.files.clone(), &self.directory, feed).add(changes)?;
        let records: Vec<Record> = changes.iter().map(|change| record(feed, change)).collect();
        // Taken out: whatever goes wrong from here on, the file is begun anew.
        let mut journal = self.journal.take().expect("it was begun above");
        let mut bytes = Vec::new();
        for record in &records {
            bytes.extend(journal.append(record)?);
        }
        self.files.append(&self.directory.join(JOURNAL), &bytes)?;
        for record in &records {
            self.known.apply(record)?;
        }
        self.journal = Some(journal);
        self.records += records.len();
        Ok(())
    }

    /// Takes a part of a snapshot, which counts with its end.
    ///
    /// # Errors
    /// The disk; more than [`FEED_SNAPSHOT_MAX`]. Begin the snapshot anew.
    pub fn add_part(&mut self, feed: Id, changes: &[FeedChange]) -> Result<(), KeptError> {
        let mut renewed = match self.snapshot.take() {
            Some(renewed) => renewed,
            None => Ledger::new(self.files.clone(), &self.directory, feed).renew()?,
        };
        renewed.add(changes)?;
        if renewed.len() > FEED_SNAPSHOT_MAX {
            return Err(KeptError::TooMany);
        }
        self.snapshot = Some(renewed);
        Ok(())
    }

    /// A snapshot begins, or the one that was begun never ended.
    pub fn forget_parts(&mut self) {
        self.snapshot = None;
    }

    /// What was known of valid certificates that the snapshot, now whole, does not tell: the server has lost it.
    ///
    /// # Errors
    /// The disk.
    pub fn missing(&self, now: Timestamp) -> Result<Vec<FeedChange>, FileError> {
        self.snapshot
            .as_ref()
            .map_or(Ok(Vec::new()), |renewed| renewed.missing(now))
    }

    /// The snapshot's end: from now on everything up to `place` is known, and what was known before. `set` is both.
    ///
    /// # Errors
    /// The disk. Begin the snapshot anew.
    pub fn finish(&mut self, place: Place, set: RevokedSet, now: Timestamp) -> Result<(), KeptError> {
        if let Some(renewed) = self.snapshot.take() {
            renewed.finish(now)?;
        }
        self.journal = None;
        // The old journal must not be read after a snapshot with a lower number: it would look like a gap. So the old
        // number's snapshot takes the journal in, the journal goes, and then the new snapshot comes.
        self.write_snapshot(&self.known)?;
        self.files.remove(&self.directory.join(JOURNAL))?;
        let known = KnownRevocations::at(place.number, place.stamp(), set);
        self.write_snapshot(&known)?;
        self.known = known;
        Ok(self.new_journal()?)
    }

    /// What is to be given back to a server of this feed that knows everything up to `have`.
    ///
    /// # Errors
    /// The disk.
    pub fn after(&self, feed: Id, have: u64) -> Result<Vec<FeedChange>, FileError> {
        Ledger::new(self.files.clone(), &self.directory, feed).after(have)
    }

    fn begin_journal(&mut self) -> Result<(), FileError> {
        self.write_snapshot(&self.known)?;
        self.new_journal()
    }

    /// After a snapshot of what is known was written.
    fn new_journal(&mut self) -> Result<(), FileError> {
        let (journal, header) = Journal::begin(self.known.number());
        self.files
            .write(&self.directory.join(JOURNAL), &header, Access::Private)?;
        self.journal = Some(journal);
        self.records = 0;
        Ok(())
    }

    fn write_snapshot(&self, known: &KnownRevocations) -> Result<(), FileError> {
        let bytes = known.to_snapshot();
        self.files
            .write(&self.directory.join(SNAPSHOT), &bytes, Access::Private)
    }

    /// Remembers who may do what on this host.
    ///
    /// # Errors
    /// The disk.
    pub fn keep_roles(&self, roles: &HostRoles) -> Result<(), FileError> {
        let text = serde_json::to_vec(roles).expect("maps by string are always JSON");
        self.files
            .write(&self.directory.join(ROLES), &text, Access::Private)
    }

    /// What was remembered of roles. A damaged file says nothing: then nobody may do anything until the server is
    /// heard of.
    ///
    /// # Errors
    /// The disk.
    pub fn roles(&self) -> Result<Option<HostRoles>, FileError> {
        let Some(bytes) = self
            .files
            .read_if_any(&self.directory.join(ROLES), ROLES_BYTES_MAX)?
        else {
            return Ok(None);
        };
        let roles = serde_json::from_slice(&bytes);
        if let Err(error) = &roles {
            tracing::error!(%error, "what was kept of roles is damaged: every client is refused until the server is heard of");
        }
        Ok(roles.ok())
    }

    /// Remembers when the server was heard of.
    ///
    /// # Errors
    /// The disk.
    pub fn keep_contact(&self, at: Timestamp) -> Result<(), FileError> {
        let text = format!("{at}\n");
        self.files
            .write(&self.directory.join(CONTACT), text.as_bytes(), Access::Private)
    }

    /// `None` when it was never heard of. Neither a damaged file nor one from the future is believed.
    fn read_contact(&self, now: Timestamp) -> Result<Option<Timestamp>, FileError> {
        let Some(bytes) = self.files.read_if_any(&self.directory.join(CONTACT), 100)? else {
            return Ok(None);
        };
        let contact = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| Timestamp::parse(text.trim()));
        Ok(Some(contact.map_or(Timestamp::EPOCH, |at| at.min(now))))
    }
}

/// Brings to the disk what a killed process may have left on the way there: it is about to be relied on.
fn settle(files: &Files, directory: &Path) -> Result<(), FileError> {
    for name in files.list(directory)? {
        files.append(&directory.join(name), &[])?;
    }
    files.sync_directory(directory)
}

/// Which certificate a change revokes, if it does.
pub fn revoked(change: &FeedChange) -> Option<(IssuerKind, &Serial)> {
    match &change.kind {
        FeedChangeKind::Revoked(revoked) => Some((revoked.issuer, &revoked.serial)),
        FeedChangeKind::Restored | FeedChangeKind::Unknown => None,
    }
}

/// Adds what a change revokes.
pub(super) fn insert(set: &mut RevokedSet, change: &FeedChange) {
    if let Some((issuer, serial)) = revoked(change) {
        set.insert(key_of(issuer), serial);
    }
}

fn record(feed: Id, change: &FeedChange) -> Record {
    let place = Place {
        feed,
        number: change.number,
        seal: Some(change.seal),
    };
    let certificate = revoked(change).map(|(issuer, serial)| (key_of(issuer).to_vec(), serial.clone()));
    Record {
        number: change.number,
        stamp: place.stamp(),
        revoked: certificate.into_iter().collect(),
    }
}

/// Where the files are, below the agent's state.
pub fn directory(state: &Path) -> PathBuf {
    state.join("feed")
}
