//! Looking at files and file systems from the outside: permissions, owners, room, groups. Changes nothing.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Files;
use crate::base::Timestamp;

/// How much of `/etc/group`, `/etc/passwd` and `/proc/locks` is read, bytes.
const TABLE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A file as its directory shows it, symlinks followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// The permission bits, with set-uid, set-gid and sticky.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its number on its file system.
    pub inode: u64,
    /// The number of that file system.
    pub device: u64,
    /// When it was last written.
    pub modified: Timestamp,
}

/// Looks at a file.
///
/// # Errors
/// The system's: it does not exist, or a directory on the way may not be entered.
pub fn stat(path: &Path) -> io::Result<FileStat> {
    let found = std::fs::metadata(path)?;
    Ok(FileStat {
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        inode: found.ino(),
        device: found.dev(),
        modified: Timestamp::from_secs(found.mtime()),
    })
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that root may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Files that may still be made; `None` where files are not counted.
    pub free_files: Option<u64>,
}

/// The room below a directory.
///
/// # Errors
/// The system's.
pub fn room(directory: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(directory)?;
    Ok(Room {
        free: found.f_bfree.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free_files: (found.f_files > 0).then_some(found.f_ffree),
    })
}

/// Whether some process holds the advisory lock of a file, without trying to take it: whoever means to would fail.
pub fn is_locked(path: &Path) -> bool {
    let Ok(found) = stat(path) else {
        return false;
    };
    let locks = Files::system().read_text(Path::new("/proc/locks"), TABLE_BYTES_MAX);
    locks.is_ok_and(|locks| locks.lines().any(|line| is_lock_of(line, found.inode)))
}

/// `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`. The device is left out: file systems that make their own (btrfs,
/// overlay) show another one here than in the file's own number.
fn is_lock_of(line: &str, inode: u64) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = fields.get(5).and_then(|place| place.rsplit(':').next());
    fields.get(1) == Some(&"FLOCK") && number.and_then(|n| n.parse().ok()) == Some(inode)
}

/// A group's name, and who is in it: by `/etc/group`, or by having it as their own group in `/etc/passwd`. Members that
/// only a directory service knows are not seen.
pub fn group(gid: u32) -> Option<(String, Vec<String>)> {
    let files = Files::system();
    let read = |path: &str| {
        files
            .read_text(Path::new(path), TABLE_BYTES_MAX)
            .unwrap_or_default()
    };
    group_in(gid, &read("/etc/group"), &read("/etc/passwd"))
}

fn group_in(gid: u32, groups: &str, users: &str) -> Option<(String, Vec<String>)> {
    let has = |line: &&str| line.split(':').nth(2).and_then(|n| n.parse().ok()) == Some(gid);
    let line = groups.lines().find(has)?;
    let name = line.split(':').next()?.to_owned();
    let listed = line.split(':').nth(3).unwrap_or_default();
    let mut members: Vec<String> = listed.split(',').map(|m| m.trim().to_owned()).collect();
    let own = users
        .lines()
        .filter(|line| line.split(':').nth(3).and_then(|n| n.parse().ok()) == Some(gid));
    members.extend(own.filter_map(|line| line.split(':').next()).map(str::to_owned));
    members.retain(|member| !member.is_empty());
    members.sort_unstable();
    members.dedup();
    Some((name, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_from_both_tables() {
        let groups = "root:x:0:\ndocker:x:999:bob,ci,\nother:x:100:eve\n";
        let users = "root:x:0:0::/:/bin/sh\ndan:x:1001:999::/home/dan:/bin/sh\nbob:x:1000:999::/:/bin/sh\n";
        let expected = (
            "docker".to_owned(),
            ["bob", "ci", "dan"].map(str::to_owned).to_vec(),
        );
        assert_eq!(group_in(999, groups, users), Some(expected));
        assert_eq!(group_in(0, groups, ""), Some(("root".to_owned(), Vec::new())));
        assert_eq!(group_in(5, groups, users), None);
    }

    #[test]
    fn a_lock_is_seen_without_being_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_locked(&path));
        let held = Files::system().lock(&path).unwrap();
        assert!(is_locked(&path));
        drop(held);
        assert!(!is_locked(&path));
    }

    #[test]
    fn a_directory_has_room_and_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let room = room(dir.path()).unwrap();
        assert!(room.total >= room.free && room.total > 0);
        let private = dir.path().join("private");
        Files::system().private_directory(&private).unwrap();
        assert_eq!(stat(&private).unwrap().mode, 0o700);
        assert!(stat(&dir.path().join("none")).is_err());
    }
}
