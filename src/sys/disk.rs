//! The real disk.

use std::any::Any;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{Disk, Ownership, Stamp};

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut contents = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut contents)?;
        if contents.len() > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(contents)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn ownership(&self, path: &Path) -> io::Result<Ownership> {
        let found = std::fs::metadata(path)?;
        Ok(Ownership {
            mode: found.mode() & 0o7777,
            owner: found.uid(),
            group: found.gid(),
        })
    }

    fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let found = std::fs::metadata(path)?;
        Ok(Stamp {
            file: (found.dev(), found.ino()),
            bytes: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    fn set_owner(&self, path: &Path, owner: u32, group: u32) -> io::Result<()> {
        let mode = std::fs::symlink_metadata(path)?.mode() & 0o7777;
        std::os::unix::fs::lchown(path, Some(owner), Some(group))?;
        // Giving a file away clears its set-user-id bits.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    }

    fn create(&self, path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(rustix_flags())
            .open(path)?;
        let written = fill(&mut file, contents, mode);
        if written.is_err() {
            // A half-written file would only be in the way; the first error is the one worth reporting.
            let _ = std::fs::remove_file(path);
        }
        written
    }

    fn append(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .append(true)
            .custom_flags(rustix_flags())
            .open(path)?;
        file.write_all(contents)?;
        file.sync_data()
    }

    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        std::fs::DirBuilder::new().mode(mode).create(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix_flags())
            .open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }
}

/// Nobody gets to plant a symlink where we create a file.
fn rustix_flags() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("O_NOFOLLOW is a small constant")
}

fn fill(file: &mut File, contents: &[u8], mode: u32) -> io::Result<()> {
    file.write_all(contents)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.sync_all()
}
