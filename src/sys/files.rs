//! The only home of file writes: atomic, synced, with permissions that are named instead of numbered, and bounded
//! reads. Every error names the path and says what to do.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disk, RealDisk};

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// 0600: keys and state that are rewritten.
    Private,
    /// 0400: keys that are only ever replaced.
    PrivateReadOnly,
    /// 0644: certificates, contexts.
    Public,
    /// 0444: certificates that are only ever replaced.
    PublicReadOnly,
}

impl Access {
    /// The permission bits.
    pub fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::PrivateReadOnly => 0o400,
            Self::Public => 0o644,
            Self::PublicReadOnly => 0o444,
        }
    }
}

/// Permission bits and owner of a file that is not ours: it keeps them when we change what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ownership {
    /// The permission bits.
    pub mode: u32,
    /// The owner's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
}

/// What tells a file that somebody wrote to, or put in its place, from the one that was there; no clock is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub(super) file: (u64, u64),
    pub(super) bytes: u64,
    pub(super) changed: (i64, i64),
}

impl Ownership {
    /// What root makes for everybody to read: 0644 root:root.
    pub const PUBLIC: Self = Self {
        mode: 0o644,
        owner: 0,
        group: 0,
    };
}

/// Why something with a file did not work. The message names the path and the way out.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {}", .path.display(), explain(.source))]
pub struct FileError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    /// Wraps what the system said about `action` on `path`.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The kind of the error beneath.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether the file, or its directory, does not exist.
    pub fn is_missing(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }
}

/// An advisory lock; given back when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    _guard: Box<dyn Any + Send + Sync>,
}

/// File operations over a [`Disk`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    disk: Arc<dyn Disk>,
}

/// Numbers temporary files, so that two threads of a process never share one.
static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// How many symlinks are followed.
const LINKS_MAX: usize = 8;

/// What ends the name of every temporary file and directory of ours.
const TEMPORARY_SUFFIX: &str = ".dw-tmp";

impl Default for Files {
    fn default() -> Self {
        Self::system()
    }
}

impl Files {
    /// On the machine's file system.
    pub fn system() -> Self {
        Self::on(Arc::new(RealDisk))
    }

    /// On the given disk.
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// The disk beneath.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Reads a file of at most `bytes_max` bytes.
    pub fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
        self.disk
            .read(path, bytes_max)
            .map_err(|e| FileError::new("read", path, e))
    }

    /// Reads a file of at most `bytes_max` bytes as UTF-8 text.
    pub fn read_text(&self, path: &Path, bytes_max: usize) -> Result<String, FileError> {
        String::from_utf8(self.read(path, bytes_max)?)
            .map_err(|_| FileError::new("read", path, io::ErrorKind::InvalidData.into()))
    }

    /// As [`Files::read`], with `None` when there is no such file.
    pub fn read_if_any(&self, path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, FileError> {
        match self.read(path, bytes_max) {
            Ok(contents) => Ok(Some(contents)),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether something is at `path` (a broken symlink is not).
    pub fn exists(&self, path: &Path) -> bool {
        match self.disk.read(path, 0) {
            Ok(_) => true,
            Err(e) => !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// Replaces a file that only its owner may read (0600), atomically and durably.
    pub fn write_private(&self, path: &Path, contents: &[u8]) -> Result<(), FileError> {
        self.write(path, contents, Access::Private)
    }

    /// Replaces a file that everybody may read (0644), atomically and durably.
    pub fn write_public(&self, path: &Path, contents: &[u8]) -> Result<(), FileError> {
        self.write(path, contents, Access::Public)
    }

    /// Replaces a file: a reader sees the old contents or the new ones whole, and after this returns a power
    /// failure does not bring the old ones back. A symlink at `path` is replaced, not followed.
    pub fn write(&self, path: &Path, contents: &[u8], access: Access) -> Result<(), FileError> {
        let (directory, name) = split(path)?;
        let temporary = directory.join(temporary_name(name));
        self.create(&temporary, contents, access).map_err(|e| FileError {
            path: path.to_owned(),
            ..e
        })?;
        if let Err(e) = self.disk.rename(&temporary, path) {
            let _ = self.disk.remove_file(&temporary);
            return Err(FileError::new("write", path, e));
        }
        self.sync_directory(directory)
    }

    /// Adds to the end of a file that must exist. After an error, or a crash in the middle, any part of it may be there:
    /// the reader has to find its end.
    pub fn append(&self, path: &Path, contents: &[u8]) -> Result<(), FileError> {
        self.disk
            .append(path, contents)
            .map_err(|e| FileError::new("add to", path, e))
    }

    /// Renames a file over another one, in the same directory, durably.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        let (directory, _) = split(to)?;
        self.disk
            .rename(from, to)
            .map_err(|e| FileError::new("write", to, e))?;
        self.sync_directory(directory)
    }

    /// Replaces what is in somebody else's file, atomically and durably as [`Files::write`] does, with this owner
    /// and mode. A symlink is followed: what it leads to is replaced.
    pub fn replace(&self, path: &Path, contents: &[u8], ownership: Ownership) -> Result<(), FileError> {
        let path = &self.follow(path)?;
        let (directory, name) = split(path)?;
        let temporary = directory.join(temporary_name(name));
        let created = self
            .disk
            .create(&temporary, contents, ownership.mode)
            .and_then(|()| match self.disk.ownership(&temporary)? {
                found if found == ownership => Ok(()),
                _ => self.disk.set_owner(&temporary, ownership.owner, ownership.group),
            });
        if let Err(e) = created.and_then(|()| self.disk.rename(&temporary, path)) {
            let _ = self.disk.remove_file(&temporary);
            return Err(FileError::new("write", path, e));
        }
        self.sync_directory(directory)
    }

    /// Where a path leads when its last part is a symlink, or a chain of them.
    fn follow(&self, path: &Path) -> Result<PathBuf, FileError> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            match self.disk.read_link(&path) {
                Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
                Err(_) => return Ok(path),
            }
        }
        Err(FileError::new(
            "follow",
            &path,
            io::Error::other("too many symlinks"),
        ))
    }

    /// Permission bits and owner; `None` when nothing is there.
    pub fn ownership(&self, path: &Path) -> Result<Option<Ownership>, FileError> {
        match self.disk.ownership(path) {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(FileError::new("look at", path, e)),
        }
    }

    /// What changes with the file; `None` when nothing is there. A change in place within the clock's tick (4 ms) of another
    /// one that leaves the size as it was may go unseen.
    pub fn stamp(&self, path: &Path) -> Result<Option<Stamp>, FileError> {
        match self.disk.stamp(path) {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(FileError::new("look at", path, e)),
        }
    }

    /// Removes a directory when nothing is in it; says whether it is gone.
    pub fn remove_if_empty(&self, directory: &Path) -> Result<bool, FileError> {
        match self.disk.remove_directory(directory) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(e) => Err(FileError::new("remove", directory, e)),
        }
    }

    /// Creates a file that must not exist; durable after [`Files::sync_directory`].
    pub fn create(&self, path: &Path, contents: &[u8], access: Access) -> Result<(), FileError> {
        let result = match self.disk.create(path, contents, access.mode()) {
            // Ours by its suffix, left by a killed process whose id came around again.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && is_temporary(path) => self
                .disk
                .remove_file(path)
                .and_then(|()| self.disk.create(path, contents, access.mode())),
            other => other,
        };
        result.map_err(|e| FileError::new("write", path, e))
    }

    /// Makes the names in a directory durable.
    pub fn sync_directory(&self, directory: &Path) -> Result<(), FileError> {
        self.disk
            .sync_directory(directory)
            .map_err(|e| FileError::new("sync", directory, e))
    }

    /// Makes sure that a directory is there, with its parents; only those created get a mode (0700).
    pub fn private_directory(&self, path: &Path) -> Result<(), FileError> {
        self.directory(path, 0o700)
    }

    /// As [`Files::private_directory`], below parents that anybody may pass through (0755): the data of a service,
    /// whose user is not the one who makes the parents.
    pub fn service_directory(&self, path: &Path) -> Result<(), FileError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.public_directory(parent)?;
        }
        self.private_directory(path)
    }

    /// Makes sure that a directory is there, with its parents; only those created get a mode (0755).
    pub fn public_directory(&self, path: &Path) -> Result<(), FileError> {
        self.directory(path, 0o755)
    }

    fn directory(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        match self.disk.list(path) {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(FileError::new("use the directory", path, e)),
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.directory(parent, mode)?;
        }
        match self.disk.create_directory(path, mode) {
            Ok(()) => self.sync_directory(parent.unwrap_or(Path::new("."))),
            // Somebody else was faster; that is as good.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(FileError::new("create the directory", path, e)),
        }
    }

    /// The names in a directory, sorted; none when it does not exist.
    pub fn list(&self, directory: &Path) -> Result<Vec<String>, FileError> {
        match self.disk.list(directory) {
            Ok(names) => Ok(names),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(FileError::new("list", directory, e)),
        }
    }

    /// Removes a file or symlink, durably; nothing happens when it is not there.
    pub fn remove(&self, path: &Path) -> Result<(), FileError> {
        match self.disk.remove_file(path) {
            Ok(()) => self.sync_directory(split(path)?.0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(FileError::new("remove", path, e)),
        }
    }

    /// Removes a directory and all that is in it; symlinks are removed, not followed.
    pub fn remove_tree(&self, directory: &Path) -> Result<(), FileError> {
        for name in self.list(directory)? {
            let path = directory.join(name);
            match self.disk.remove_file(&path) {
                Err(e) if is_directory_error(&e) => self.remove_tree(&path)?,
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(FileError::new("remove", &path, e));
                }
                _ => {}
            }
        }
        match self.disk.remove_directory(directory) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(FileError::new("remove", directory, e)),
        }
    }

    /// Removes what an interrupted write left in a directory. Call it while nobody else writes there.
    pub fn clean_temporaries(&self, directory: &Path) -> Result<(), FileError> {
        for name in self.list(directory)? {
            let path = directory.join(&name);
            if is_temporary(&path) {
                match self.disk.remove_file(&path) {
                    Err(e) if is_directory_error(&e) => self.remove_tree(&path)?,
                    Err(e) => return Err(FileError::new("remove", &path, e)),
                    Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    /// The temporary files and directories of ours in a directory; none when it cannot be read.
    pub fn temporaries(&self, directory: &Path) -> Vec<PathBuf> {
        let names = self.list(directory).unwrap_or_default();
        let paths = names.into_iter().map(|name| directory.join(name));
        paths.filter(|path| is_temporary(path)).collect()
    }

    /// Takes the exclusive lock of a file, creating it when needed; fails at once when somebody holds it.
    pub fn lock(&self, path: &Path) -> Result<Lock, FileError> {
        let guard = self
            .disk
            .lock(path)
            .map_err(|e| FileError::new("lock", path, e))?;
        Ok(Lock { _guard: guard })
    }
}

/// The cause in words, with the fix for those an operator can do something about.
fn explain(source: &io::Error) -> String {
    let fix = match source.kind() {
        io::ErrorKind::NotFound => "it does not exist; check the path, or create its directory",
        io::ErrorKind::PermissionDenied => {
            "permission denied; run as the owner (usually root) or change its owner and mode"
        }
        io::ErrorKind::IsADirectory => "it is a directory; name a file",
        io::ErrorKind::NotADirectory => {
            "a part of the path is a file where a directory should be; move it away"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no space left; free some (df -h, df -i) and try again"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only; remount it, or name another directory (under systemd: ReadWritePaths=)"
        }
        io::ErrorKind::FileTooLarge => "it is larger than such a file can be; is it the right one?",
        io::ErrorKind::InvalidData => "it is not UTF-8 text; is it the right file?",
        io::ErrorKind::AlreadyExists => "it is there already; move it away",
        io::ErrorKind::WouldBlock => "another dockwarden holds its lock; stop that one first",
        _ => return source.to_string(),
    };
    fix.to_owned()
}

/// What `unlink` answers for a directory: EISDIR on Linux, EPERM by POSIX.
fn is_directory_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied
    )
}

pub(super) fn is_temporary(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .ends_with(TEMPORARY_SUFFIX.as_bytes())
}

/// A name for the time of writing, hidden and unique on this machine.
fn temporary_name(name: &str) -> String {
    let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
    format!(".{name}.{}-{number}{TEMPORARY_SUFFIX}", std::process::id())
}

/// A directory and a name in it.
fn split(path: &Path) -> Result<(&Path, &str), FileError> {
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| FileError::new("write", path, io::ErrorKind::InvalidFilename.into()))?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    Ok((directory.unwrap_or(Path::new(".")), name))
}

#[cfg(test)]
mod tests;
