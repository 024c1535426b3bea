//! Stand-ins for the machine. First of all: a disk in memory that can fail, stop, tear a write, or lose what was not synced: at any step it is told to.

mod processes;
mod units;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

pub use processes::{FakeProcess, FakeProcesses};
pub use units::{FakeServices, FakeUnits};

use super::{Disk, Ownership, Stamp};

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This step, and only this one, fails with the error.
    Fail(io::ErrorKind),
    /// Every step from this one on that needs space fails with the error: a full disk. Removing and syncing work.
    FailFrom(io::ErrorKind),
    /// The process ends before this step; a write is left half done. Nothing works until [`MemoryDisk::restart`].
    Stop,
}

/// The names in a directory, each with the number of its inode.
type Entries = BTreeMap<String, usize>;

#[derive(Clone, Debug)]
enum Inode {
    File {
        contents: Vec<u8>,
        mode: u32,
    },
    Link(PathBuf),
    /// `durable` is what a power failure leaves: the names as they were when the directory was last synced.
    Directory {
        entries: Entries,
        durable: Entries,
        mode: u32,
    },
}

#[derive(Debug)]
struct State {
    /// Never shrinks; number 0 is `/`.
    inodes: Vec<Inode>,
    locks: BTreeSet<usize>,
    steps: usize,
    fault: Option<(usize, Fault)>,
    stopped: bool,
}

/// A disk in memory. Clones share their contents. Counts every changing step, so that a test can visit them all.
#[derive(Clone, Debug)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl Default for MemoryDisk {
    /// A disk with `/` alone.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: vec![new_directory(0o755)],
            locks: BTreeSet::new(),
            steps: 0,
            fault: None,
            stopped: false,
        })))
    }
}

fn new_directory(mode: u32) -> Inode {
    Inode::Directory {
        entries: Entries::new(),
        durable: Entries::new(),
        mode,
    }
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while the disk is held")
    }

    /// Changing steps so far.
    pub fn steps(&self) -> usize {
        self.state().steps
    }

    /// Arms a fault for the step with this number, counted from the disk's beginning; the first one is 1.
    pub fn fail_at(&self, step: usize, fault: Fault) {
        self.state().fault = Some((step, fault));
    }

    /// Disarms the fault.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// Whether a [`Fault::Stop`] has struck.
    pub fn stopped(&self) -> bool {
        self.state().stopped
    }

    /// The process is started again: faults are disarmed, locks given back.
    pub fn restart(&self) {
        let mut state = self.state();
        state.fault = None;
        state.stopped = false;
        state.locks.clear();
    }

    /// The power fails: every directory is as it was when it was last synced. Then [`MemoryDisk::restart`].
    pub fn power_failure(&self) {
        for inode in &mut self.state().inodes {
            if let Inode::Directory { entries, durable, .. } = inode {
                entries.clone_from(durable);
            }
        }
        self.restart();
    }

    /// Counts as a step that is none of the disk's: something else the process does, at which it can be stopped.
    pub fn tick(&self) -> io::Result<()> {
        self.state().step_that(false)
    }

    /// What is in a file: for other programs than the one that may be stopped.
    pub fn peek(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.state();
        match &state.inodes[state.find(path.as_ref(), true).ok()?] {
            Inode::File { contents, .. } => Some(contents.clone()),
            Inode::Link(_) | Inode::Directory { .. } => None,
        }
    }

    /// The names in a directory: for other programs than the one that may be stopped.
    pub fn peek_names(&self, directory: impl AsRef<Path>) -> Vec<String> {
        let state = self.state();
        let found = state
            .find(directory.as_ref(), true)
            .and_then(|inode| state.entries(inode));
        found
            .map(|entries| entries.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The permission bits of a file or directory: for assertions.
    pub fn mode(&self, path: impl AsRef<Path>) -> Option<u32> {
        let state = self.state();
        match &state.inodes[state.find(path.as_ref(), true).ok()?] {
            Inode::File { mode, .. } | Inode::Directory { mode, .. } => Some(*mode),
            Inode::Link(_) => None,
        }
    }

    /// Puts `contents` into a file, whatever was there, durably and without counting as a step: what somebody
    /// else did. Makes directories that are missing.
    pub fn plant(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
        let mut state = self.state();
        let mut directory = 0;
        let mut names: Vec<String> = names_of(path.as_ref());
        let last = names.pop().expect("a file has a name");
        for name in names {
            directory = match state.entries(directory).expect("a directory").get(&name) {
                Some(inode) => *inode,
                None => state.plant_inode(directory, name, new_directory(0o755)),
            };
        }
        let contents = contents.as_ref().to_vec();
        state.plant_inode(
            directory,
            last,
            Inode::File {
                contents,
                mode: 0o644,
            },
        );
    }
}

fn names_of(path: &Path) -> Vec<String> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_str().expect("tests use UTF-8").to_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

fn error(kind: io::ErrorKind) -> io::Error {
    kind.into()
}

impl State {
    /// Counts a changing step and applies the armed fault. `Err` means that the step does not happen.
    fn step(&mut self) -> io::Result<()> {
        self.step_that(true)
    }

    fn step_that(&mut self, needs_space: bool) -> io::Result<()> {
        self.alive()?;
        self.steps += 1;
        match self.fault {
            Some((at, Fault::Fail(kind))) if self.steps == at => Err(error(kind)),
            Some((at, Fault::FailFrom(kind))) if self.steps >= at && needs_space => Err(error(kind)),
            Some((at, Fault::Stop)) if self.steps == at => {
                self.stopped = true;
                Err(io::Error::other("the process was ended here"))
            }
            _ => Ok(()),
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.stopped {
            return Err(io::Error::other("the process was ended before"));
        }
        Ok(())
    }

    fn entries(&self, inode: usize) -> io::Result<&Entries> {
        match &self.inodes[inode] {
            Inode::Directory { entries, .. } => Ok(entries),
            _ => Err(error(io::ErrorKind::NotADirectory)),
        }
    }

    fn entries_mut(&mut self, inode: usize) -> &mut Entries {
        match &mut self.inodes[inode] {
            Inode::Directory { entries, .. } => entries,
            _ => unreachable!("parents are looked up with `parent`, which returns directories only"),
        }
    }

    fn find(&self, path: &Path, follow: bool) -> io::Result<usize> {
        self.walk(0, path, follow, 8)
    }

    fn walk(&self, start: usize, path: &Path, follow: bool, links_left: u8) -> io::Result<usize> {
        let mut at = if path.is_absolute() { 0 } else { start };
        let names = names_of(path);
        for (index, name) in names.iter().enumerate() {
            let directory = at;
            at = *self
                .entries(at)?
                .get(name)
                .ok_or(error(io::ErrorKind::NotFound))?;
            let last = index + 1 == names.len();
            if let Inode::Link(target) = &self.inodes[at]
                && (follow || !last)
            {
                let left = links_left
                    .checked_sub(1)
                    .ok_or(error(io::ErrorKind::InvalidInput))?;
                at = self.walk(directory, target, true, left)?;
            }
        }
        Ok(at)
    }

    /// The directory that holds `path`, and its name there.
    fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let mut names = names_of(path);
        let name = names.pop().ok_or(error(io::ErrorKind::InvalidFilename))?;
        let directory = self.find(&Path::new("/").join(names.join("/")), true)?;
        self.entries(directory)?;
        Ok((directory, name))
    }

    /// As [`State::parent`], for a name that must not be taken.
    fn vacant(&self, path: &Path) -> io::Result<(usize, String)> {
        let (directory, name) = self.parent(path)?;
        if self.entries(directory)?.contains_key(&name) {
            return Err(error(io::ErrorKind::AlreadyExists));
        }
        Ok((directory, name))
    }

    fn insert(&mut self, directory: usize, name: String, inode: Inode) -> usize {
        let number = self.inodes.len();
        self.inodes.push(inode);
        self.entries_mut(directory).insert(name, number);
        number
    }

    fn plant_inode(&mut self, directory: usize, name: String, inode: Inode) -> usize {
        let number = self.insert(directory, name.clone(), inode);
        if let Inode::Directory { durable, .. } = &mut self.inodes[directory] {
            durable.insert(name, number);
        }
        number
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.alive()?;
        match &state.inodes[state.find(path, true)?] {
            Inode::File { contents, .. } if contents.len() > bytes_max => {
                Err(error(io::ErrorKind::FileTooLarge))
            }
            Inode::File { contents, .. } => Ok(contents.clone()),
            _ => Err(error(io::ErrorKind::IsADirectory)),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.state();
        state.alive()?;
        match &state.inodes[state.find(path, false)?] {
            Inode::Link(target) => Ok(target.clone()),
            _ => Err(error(io::ErrorKind::InvalidInput)),
        }
    }

    fn ownership(&self, path: &Path) -> io::Result<Ownership> {
        let state = self.state();
        state.alive()?;
        match &state.inodes[state.find(path, true)?] {
            Inode::File { mode, .. } | Inode::Directory { mode, .. } => Ok(Ownership {
                mode: *mode,
                owner: 0,
                group: 0,
            }),
            Inode::Link(_) => Err(error(io::ErrorKind::InvalidInput)),
        }
    }

    fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let state = self.state();
        state.alive()?;
        let inode = state.find(path, true)?;
        let Inode::File { contents, .. } = &state.inodes[inode] else {
            return Err(error(io::ErrorKind::IsADirectory));
        };
        let digest = crate::base::encoding::sha256(contents);
        let start = digest[..8].try_into().expect("32 bytes have eight");
        Ok(Stamp {
            file: (0, inode as u64),
            bytes: contents.len() as u64,
            changed: (i64::from_be_bytes(start), 0),
        })
    }

    /// Everything belongs to root here: it can be asked for, and counts as a step.
    fn set_owner(&self, path: &Path, _owner: u32, _group: u32) -> io::Result<()> {
        let mut state = self.state();
        state.find(path, false)?;
        state.step_that(false)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        let inode = state.find(directory, true)?;
        Ok(state.entries(inode)?.keys().cloned().collect())
    }

    fn create(&self, path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        let mut state = self.state();
        let (directory, name) = state.vacant(path)?;
        let was_stopped = state.stopped;
        let step = state.step();
        // A process that ends inside a write leaves half a file; one that gets an error cleans up behind itself.
        let length = match &step {
            Ok(()) => contents.len(),
            Err(_) if state.stopped && !was_stopped => contents.len() / 2,
            Err(_) => return step,
        };
        let contents = contents[..length].to_vec();
        state.insert(directory, name, Inode::File { contents, mode });
        step
    }

    fn append(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.find(path, false)?;
        state.alive()?;
        let step = state.step();
        // Unlike a new file, half of what was added stays: nobody cleans up.
        let length = if step.is_ok() {
            contents.len()
        } else {
            contents.len() / 2
        };
        match &mut state.inodes[inode] {
            Inode::File { contents: old, .. } => old.extend_from_slice(&contents[..length]),
            _ => return Err(error(io::ErrorKind::IsADirectory)),
        }
        step
    }

    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        let mut state = self.state();
        let (directory, name) = state.vacant(path)?;
        state.step()?;
        state.insert(directory, name, new_directory(mode));
        Ok(())
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (directory, name) = state.vacant(path)?;
        state.step()?;
        state.insert(directory, name, Inode::Link(target.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let moved = state.find(from, false)?;
        let (from, to) = (state.parent(from)?, state.parent(to)?);
        let replaced = state.entries(to.0)?.get(&to.1).map(|inode| &state.inodes[*inode]);
        if matches!(replaced, Some(Inode::Directory { .. })) {
            return Err(error(io::ErrorKind::IsADirectory));
        }
        state.step()?;
        state.entries_mut(from.0).remove(&from.1);
        state.entries_mut(to.0).insert(to.1, moved);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Inode::Directory { .. } = state.inodes[state.find(path, false)?] {
            return Err(error(io::ErrorKind::IsADirectory));
        }
        let (directory, name) = state.parent(path)?;
        state.step_that(false)?;
        state.entries_mut(directory).remove(&name);
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.find(path, false)?;
        if !state.entries(inode)?.is_empty() {
            return Err(error(io::ErrorKind::DirectoryNotEmpty));
        }
        let (directory, name) = state.parent(path)?;
        state.step_that(false)?;
        state.entries_mut(directory).remove(&name);
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.find(directory, true)?;
        state.entries(inode)?;
        state.step_that(false)?;
        if let Inode::Directory { entries, durable, .. } = &mut state.inodes[inode] {
            durable.clone_from(entries);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.state();
        state.alive()?;
        let inode = match state.find(path, true) {
            Ok(inode) => inode,
            Err(_) => {
                let (directory, name) = state.vacant(path)?;
                let (contents, mode) = (Vec::new(), 0o600);
                state.insert(directory, name, Inode::File { contents, mode })
            }
        };
        if !state.locks.insert(inode) {
            return Err(error(io::ErrorKind::WouldBlock));
        }
        Ok(Box::new(HeldLock(self.clone(), inode)))
    }
}

/// Gives the lock back when dropped.
struct HeldLock(MemoryDisk, usize);

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.0.state().locks.remove(&self.1);
    }
}
