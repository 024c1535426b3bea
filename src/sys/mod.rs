//! The seams to the machine: the disk, the host's own facts, other programs, systemd. The traits stand here, the
//! real implementations and their fakes below; nothing else in the crate writes a file or starts a program.

pub mod command;
mod disk;
pub mod fake;
pub mod files;
pub mod host;
pub mod inspect;
mod listening;
pub mod process;
pub mod services;
pub mod systemd;
pub mod units;
pub mod versions;

use std::io;
use std::path::{Path, PathBuf};

pub use command::{CommandLine, Ending, Outcome, Programs, RealPrograms, RunAs};
pub use disk::RealDisk;
pub use files::{Access, FileError, Files, Lock, Ownership, Stamp};
pub use host::{Host, HostFacts, RealHost};
pub use process::{Listening, Process, ProcessId, Processes, RealProcesses, Signal, SignalError};
pub use services::{RealServices, ServiceManager, ServiceState, Services};
pub use units::{RealUnits, Scope, UnitError, UnitId, UnitState, Units};
pub use versions::{VERSIONS_KEPT, VersionFile, Versions};

/// What is asked of a file system: few, small operations, so that a test can fail or stop at each of them.
/// [`Files`] builds everything else from these.
///
/// One conformance suite (`files/tests.rs`) holds the real disk and [`fake::MemoryDisk`] to the same behaviour.
pub trait Disk: std::fmt::Debug + Send + Sync + 'static {
    /// The contents of a file, following symlinks. A file of more than `bytes_max` bytes is an error of kind
    /// [`io::ErrorKind::FileTooLarge`], found without reading all of it.
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>>;

    /// Where a symlink points, as it is written.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// The names in a directory, sorted, without `.` and `..`. Names that are not UTF-8 are left out.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Permission bits and owner of what is at `path`, following symlinks.
    fn ownership(&self, path: &Path) -> io::Result<Ownership>;

    /// What changes when somebody writes to the file at `path`, or puts another one there, following symlinks.
    fn stamp(&self, path: &Path) -> io::Result<Stamp>;

    /// Gives a file to an owner and a group. It keeps its permission bits.
    fn set_owner(&self, path: &Path, owner: u32, group: u32) -> io::Result<()>;

    /// Creates a file that must not exist, with exactly these permission bits whatever the umask, and brings its
    /// contents to the disk before it returns. The name is durable only after [`Disk::sync_directory`].
    fn create(&self, path: &Path, contents: &[u8], mode: u32) -> io::Result<()>;

    /// Adds to the end of a file that must exist, and brings that to the disk before it returns. After an error, or a
    /// crash in the middle, any part of it may be there.
    fn append(&self, path: &Path, contents: &[u8]) -> io::Result<()>;

    /// Creates a directory that must not exist, with exactly these permission bits.
    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Creates a symlink that must not exist.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;

    /// Renames a file, directory or symlink, replacing a file or symlink at `to` in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file or symlink.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable: what was created, renamed and removed in it.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Takes the exclusive advisory lock of a file, creating it when it is missing. `WouldBlock` when somebody
    /// else holds it. It is held until the value is dropped, and by no longer than this process.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn std::any::Any + Send + Sync>>;
}
