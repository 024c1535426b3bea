//! A directory of numbered versions with one symlink to the one in use: `current -> versions/N`.
//!
//! A version is written whole under a temporary name, synced, renamed to its number, and never changed again.
//! Making it the current one is a single rename of the symlink, so a reader that follows `current/` finds the files
//! of one version, whatever happens in between.

use std::io;
use std::path::{Path, PathBuf};

use super::files::{Access, FileError, Files};

/// How many versions stay besides the current one.
pub const VERSIONS_KEPT: usize = 3;

/// The link's name.
const CURRENT: &str = "current";

/// One file of a version.
#[derive(Clone, Copy, Debug)]
pub struct VersionFile<'a> {
    /// Its name in the version's directory, which may lie in a directory of its own: `docker/cert.pem`.
    pub name: &'a str,
    /// What is in it.
    pub contents: &'a [u8],
    /// Who may read it.
    pub access: Access,
}

/// Versions below one directory.
#[derive(Clone, Debug)]
pub struct Versions {
    files: Files,
    root: PathBuf,
}

impl Versions {
    /// The versions below `root`, which need not exist yet.
    pub fn new(files: Files, root: impl Into<PathBuf>) -> Self {
        Self {
            files,
            root: root.into(),
        }
    }

    /// The directory that follows the version in use: give its path to programs that read the files.
    pub fn current_directory(&self) -> PathBuf {
        self.root.join(CURRENT)
    }

    /// The directory of one version.
    pub fn directory(&self, version: u64) -> PathBuf {
        self.all().join(version.to_string())
    }

    fn all(&self) -> PathBuf {
        self.root.join("versions")
    }

    /// The version in use; `None` before the first, or when the link points somewhere else.
    pub fn current(&self) -> Result<Option<u64>, FileError> {
        let link = self.current_directory();
        match self.files.disk().read_link(&link) {
            Ok(target) => Ok(number_of(&target)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
            Err(e) => Err(FileError::new("read the link", &link, e)),
        }
    }

    /// Every complete version, ascending.
    pub fn list(&self) -> Result<Vec<u64>, FileError> {
        let names = self.files.list(&self.all())?;
        let mut versions: Vec<u64> = names.iter().filter_map(|name| parse_number(name)).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// Reads one file of one version.
    pub fn read(&self, version: u64, name: &str, bytes_max: usize) -> Result<Vec<u8>, FileError> {
        self.files.read(&self.directory(version).join(name), bytes_max)
    }

    /// Writes a new version, complete and durable, and says its number. It is not in use yet.
    pub fn write(&self, contents: &[VersionFile<'_>]) -> Result<u64, FileError> {
        self.files.public_directory(&self.all())?;
        self.files.clean_temporaries(&self.all())?;
        let newest = self.list()?.last().copied().max(self.current()?).unwrap_or(0);
        let version = newest + 1;
        let temporary = self.all().join(format!("{version}.dw-tmp"));
        let written = self.fill(&temporary, contents).and_then(|()| {
            let rename = self.files.disk().rename(&temporary, &self.directory(version));
            rename.map_err(|e| FileError::new("write", &self.directory(version), e))
        });
        if written.is_err() {
            // The first error is the one worth reporting; what stays is cleaned by the next write.
            let _ = self.files.remove_tree(&temporary);
        }
        written?;
        self.files.sync_directory(&self.all())?;
        Ok(version)
    }

    fn fill(&self, directory: &Path, contents: &[VersionFile<'_>]) -> Result<(), FileError> {
        let disk = self.files.disk();
        disk.create_directory(directory, 0o755)
            .map_err(|e| FileError::new("create the directory", directory, e))?;
        for file in contents {
            let path = directory.join(file.name);
            match path.parent().filter(|parent| *parent != directory) {
                Some(parent) => {
                    self.files.public_directory(parent)?;
                    self.files.create(&path, file.contents, file.access)?;
                    self.files.sync_directory(parent)?;
                }
                None => self.files.create(&path, file.contents, file.access)?,
            }
        }
        self.files.sync_directory(directory)
    }

    /// Makes a complete version the one in use, in one rename. Can be repeated.
    pub fn activate(&self, version: u64) -> Result<(), FileError> {
        let disk = self.files.disk();
        let link = self.current_directory();
        let directory = self.directory(version);
        let listed = disk.list(&directory);
        listed.map_err(|e| FileError::new("use the version", &directory, e))?;
        let temporary = self.root.join("current.dw-tmp");
        self.files.remove(&temporary)?;
        let target = PathBuf::from(format!("versions/{version}"));
        let swapped = disk
            .symlink(&target, &temporary)
            .and_then(|()| disk.rename(&temporary, &link));
        swapped.map_err(|e| FileError::new("switch", &link, e))?;
        self.files.sync_directory(&self.root)
    }

    /// Removes a version that is not in use. Nothing happens when it is not there.
    pub fn remove(&self, version: u64) -> Result<(), FileError> {
        let directory = self.directory(version);
        if self.current()? == Some(version) {
            let in_use = io::Error::new(io::ErrorKind::ResourceBusy, "it is the version in use");
            return Err(FileError::new("remove", &directory, in_use));
        }
        // Renamed first, so that a half-removed version is never taken for a complete one.
        let doomed = self.all().join(format!("{version}.removed.dw-tmp"));
        match self.files.disk().rename(&directory, &doomed) {
            Ok(()) => self.files.remove_tree(&doomed),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(FileError::new("remove", &directory, e)),
        }
    }

    /// Removes what interrupted writes left, and all versions but the current one and the newest
    /// [`VERSIONS_KEPT`] others.
    pub fn prune(&self) -> Result<(), FileError> {
        self.files.clean_temporaries(&self.all())?;
        self.files.clean_temporaries(&self.root)?;
        let current = self.current()?;
        let others = self.list()?.into_iter().filter(|v| Some(*v) != current);
        let others: Vec<u64> = others.collect();
        let excess = others.len().saturating_sub(VERSIONS_KEPT);
        others[..excess]
            .iter()
            .try_for_each(|version| self.remove(*version))
    }

    /// Removes the link and every version: what uninstalling does.
    pub fn remove_all(&self) -> Result<(), FileError> {
        self.files.remove(&self.current_directory())?;
        self.files.remove_tree(&self.all())?;
        self.files.clean_temporaries(&self.root)
    }
}

/// `versions/N`, and nothing else.
fn number_of(target: &Path) -> Option<u64> {
    parse_number(target.to_str()?.strip_prefix("versions/")?)
}

/// A number as we write it: no sign, no leading zero.
fn parse_number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number > 0 && number.to_string() == name).then_some(number)
}

#[cfg(test)]
mod tests;
