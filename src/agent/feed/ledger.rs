//! Every change as it came, with its seal, one line each: what a server that was restored from a backup is given back.
//! Read only then; what is refused is in [`super::disk`]'s other files.
//!
//! A line is the first 8 hex digits of the SHA-256 of the JSON behind it, a space, and that JSON. A batch begins with an
//! empty line, so that one that was torn by a crash spoils no other. Lines that do not check out are skipped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk::insert;
use crate::base::limits::FEED_FILE_BYTES_MAX;
use crate::base::{Id, Timestamp, encoding};
use crate::model::key_of;
use crate::pki::RevokedSet;
use crate::sys::{Access, FileError, Files};
use crate::wire::feed::{FeedChange, FeedChangeKind};

/// A line is left out of a new ledger so long after the end of its certificate: longer than any clock is wrong.
const KEPT_AFTER_END: Duration = Duration::from_secs(90 * 24 * 3600);
/// Lines are written together up to this many bytes.
const BUFFER_BYTES: usize = 1024 * 1024;

/// The ledger of one feed.
#[derive(Clone, Debug)]
pub struct Ledger {
    files: Files,
    path: PathBuf,
}

impl Ledger {
    /// The ledger of `feed` in `directory`.
    pub fn new(files: Files, directory: &Path, feed: Id) -> Self {
        let path = directory.join(format!("{PREFIX}{feed}"));
        Self { files, path }
    }

    /// Adds changes. They are on disk when it returns.
    pub fn add(&self, changes: &[FeedChange]) -> Result<(), FileError> {
        append(&self.files, &self.path, &lines(changes))
    }

    /// The revocations with greater numbers than `have`, in order, each once.
    pub fn after(&self, have: u64) -> Result<Vec<FeedChange>, FileError> {
        let mut found: Vec<FeedChange> = self
            .read()?
            .lines()
            .filter_map(parse)
            .filter(|change| change.number > have)
            .collect();
        found.sort_by_key(|change| change.number);
        found.dedup();
        Ok(found)
    }

    fn read(&self) -> Result<String, FileError> {
        let bytes = self.files.read_if_any(&self.path, FEED_FILE_BYTES_MAX)?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    }

    /// Begins another one, to take its place.
    pub fn renew(&self) -> Result<Renewed, FileError> {
        let fresh = self.path.with_extension("new");
        self.files.remove(&fresh)?;
        Ok(Renewed {
            ledger: self.clone(),
            fresh,
            buffer: String::new(),
            held: Vec::new(),
            told: RevokedSet::new(),
        })
    }
}

/// How the files begin.
const PREFIX: &str = "changes-";

/// Every revocation in the ledgers of `directory`, whatever the feed.
pub fn everything(files: &Files, directory: &Path) -> Vec<FeedChange> {
    let names = files.list(directory).unwrap_or_default();
    let ledgers = names.iter().filter(|name| name.starts_with(PREFIX));
    let ledgers = ledgers.map(|name| Ledger {
        files: files.clone(),
        path: directory.join(name),
    });
    ledgers
        .flat_map(|ledger| ledger.after(0).unwrap_or_default())
        .collect()
}

/// A ledger that is being written anew from a snapshot.
pub struct Renewed {
    ledger: Ledger,
    fresh: PathBuf,
    buffer: String,
    /// What it holds. By number and seal: a number may have been given out for two things.
    held: Vec<(u64, [u8; 16])>,
    told: RevokedSet,
}

impl Renewed {
    /// Adds a part.
    pub fn add(&mut self, changes: &[FeedChange]) -> Result<(), FileError> {
        self.held.extend(changes.iter().map(key));
        changes.iter().for_each(|change| insert(&mut self.told, change));
        self.buffer.push_str(&lines(changes));
        match self.buffer.len() > BUFFER_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// How many changes it holds.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// What the old one holds of certificates that are still valid, and the server has not told.
    pub fn missing(&self, now: Timestamp) -> Result<Vec<FeedChange>, FileError> {
        let mut missing = self.ledger.after(0)?;
        missing.retain(|change| match &change.kind {
            FeedChangeKind::Revoked(revoked) => {
                let told = self.told.contains(key_of(revoked.issuer), &revoked.serial);
                !told && revoked.not_after > now
            }
            _ => false,
        });
        Ok(missing)
    }

    /// Adds what the old one holds besides, and puts it in its place.
    pub fn finish(mut self, now: Timestamp) -> Result<(), FileError> {
        let old = self.ledger.read()?;
        self.held.sort_unstable();
        let kept = old.lines().filter_map(parse).filter(|change| match &change.kind {
            FeedChangeKind::Revoked(revoked) => {
                self.held.binary_search(&key(change)).is_err() && revoked.not_after + KEPT_AFTER_END > now
            }
            _ => false,
        });
        let kept: Vec<FeedChange> = kept.collect();
        self.buffer.push_str(&lines(&kept));
        self.flush()?;
        // Nothing at all was revoked.
        if !self.ledger.files.exists(&self.fresh) {
            return Ok(());
        }
        self.ledger.files.rename(&self.fresh, &self.ledger.path)
    }

    fn flush(&mut self) -> Result<(), FileError> {
        append(&self.ledger.files, &self.fresh, &self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

fn key(change: &FeedChange) -> (u64, [u8; 16]) {
    (change.number, *change.seal.as_bytes())
}

fn append(files: &Files, path: &Path, lines: &str) -> Result<(), FileError> {
    if lines.is_empty() {
        return Ok(());
    }
    match files.append(path, lines.as_bytes()) {
        Err(error) if error.is_missing() => files.write(path, lines.as_bytes(), Access::Private),
        done => done,
    }
}

fn lines(changes: &[FeedChange]) -> String {
    let revoked = changes
        .iter()
        .filter(|change| matches!(change.kind, FeedChangeKind::Revoked(_)));
    revoked.fold(String::new(), |mut lines, change| {
        if lines.is_empty() {
            lines.push('\n');
        }
        let json = serde_json::to_string(change).expect("a change is plain data");
        lines.push_str(&check(&json));
        lines.push(' ');
        lines.push_str(&json);
        lines.push('\n');
        lines
    })
}

fn check(json: &str) -> String {
    encoding::hex(&encoding::sha256(json.as_bytes())[..4])
}

fn parse(line: &str) -> Option<FeedChange> {
    let (expected, json) = line.split_once(' ')?;
    (check(json) == expected)
        .then(|| serde_json::from_str(json).ok())
        .flatten()
}
