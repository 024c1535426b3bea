//! The file, and what is remembered about it: the highest number of each list ever taken, and which file the hook ran for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::encoding::{hex, sha256};
use crate::base::limits::{CRL_FILE_BYTES_MAX, PEM_BYTES_MAX};
use crate::pki::Certificate;
use crate::sys::{Access, FileError, Files, Stamp};

/// What stays known when the agent ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// The highest number taken, by the SHA-256 of the issuer's key, hex.
    pub numbers: BTreeMap<String, u64>,
    /// The file that the hook ran for last: its SHA-256, hex.
    pub told_of: Option<String>,
}

impl Remembered {
    /// The highest number taken from this issuer.
    pub fn number_of(&self, issuer: &Certificate) -> Option<u64> {
        self.numbers.get(&key_of(issuer)).copied()
    }

    /// Remembers a number; false when it was known.
    pub fn note(&mut self, issuer: &Certificate, number: u64) -> bool {
        let highest = self.numbers.entry(key_of(issuer)).or_default();
        let rises = number > *highest;
        *highest = number.max(*highest);
        rises
    }
}

fn key_of(issuer: &Certificate) -> String {
    hex(&sha256(&issuer.spki))
}

/// Where the file is, below the directory of the certificates.
pub fn path(files: &Path) -> PathBuf {
    files.join("crl.pem")
}

/// The file and what is remembered.
pub(super) struct Disk {
    files: Files,
    file: PathBuf,
    record: PathBuf,
    /// What it was when it was read last, and what was in it then.
    read: Option<(Stamp, String)>,
}

impl Disk {
    pub(super) fn new(files: Files, directory: &Path, state: &Path) -> Self {
        Self {
            files,
            file: path(directory),
            record: state.join("lists.json"),
            read: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    /// What is in the file; `None` where there is none, or something that is no such file.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        let read = self.files.read_if_any(&self.file, CRL_FILE_BYTES_MAX);
        read.unwrap_or_else(|error| {
            tracing::warn!("{error}; it is written anew");
            None
        })
    }

    /// Whether the file's contents have this fingerprint. A file that nobody has touched since is not read again: with a
    /// million entries it has 66 MB.
    pub(super) fn is_still(&mut self, known: &str) -> bool {
        let stamp = self.files.stamp(&self.file).ok().flatten();
        let now = stamp.map(|stamp| (stamp, known.to_owned()));
        if now.is_some() && self.read == now {
            return true;
        }
        let is_still = self.read().as_deref().map(fingerprint).as_deref() == Some(known);
        self.read = now.filter(|_| is_still);
        is_still
    }

    pub(super) fn write(&self, lists: &[u8]) -> Result<(), FileError> {
        self.files.write(&self.file, lists, Access::PublicReadOnly)
    }

    /// What is remembered. A damaged record is said in the log and forgotten: what is in the file, and what the feed has
    /// told, are held against every list all the same.
    pub(super) fn recall(&self) -> Result<Remembered, FileError> {
        let Some(bytes) = self.files.read_if_any(&self.record, PEM_BYTES_MAX)? else {
            return Ok(Remembered::default());
        };
        let record = serde_json::from_slice(&bytes);
        Ok(record.unwrap_or_else(|error| {
            tracing::error!(%error, "{} is damaged: the numbers of lists begin anew", self.record.display());
            Remembered::default()
        }))
    }

    pub(super) fn remember(&self, remembered: &Remembered) -> Result<(), FileError> {
        let text = serde_json::to_vec_pretty(remembered).expect("maps by string are always JSON");
        self.files.write(&self.record, &text, Access::Private)
    }
}

/// What tells one file from another.
pub(super) fn fingerprint(lists: &[u8]) -> String {
    hex(&sha256(lists))
}
