//! Room for the next certificate and for dockerd. A full disk is found here before it is found by a renewal.

use super::super::examined::{Disk, Examined};
use super::super::{Finding, Says};
use super::in_words::bytes;

/// Below this nothing can be renewed, bytes: a version of files, the state, and room to replace them.
const CRITICAL_BYTES: u64 = 2_000_000;
/// Below this it will not be long, bytes.
const LOW_BYTES: u64 = 100_000_000;
/// Files below which it will not be long.
const LOW_FILES: u64 = 500;

/// Every file system that is written to.
pub(super) fn disks(examined: &Examined) -> Vec<Finding> {
    examined.disks.iter().map(judge).collect()
}

/// What could not be looked at.
pub(super) fn unseen(examined: &Examined) -> Vec<Finding> {
    if examined.unseen.is_empty() {
        return Vec::new();
    }
    let paths: Vec<String> = examined
        .unseen
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let seen = format!(
        "this user may not look at {}: what is wrong there is not found",
        paths.join(", ")
    );
    vec![Says("permission").notice(seen, "run it as root: sudo dockwarden doctor")]
}

fn judge(disk: &Disk) -> Finding {
    let says = Says("disk");
    let place = disk.directory.display();
    let fix = format!("df -h {place}; df -i {place}; docker system df shows what Docker holds");
    let free = bytes(disk.free);
    if disk.free < CRITICAL_BYTES || disk.free_files == Some(0) {
        let what = if disk.free_files == Some(0) {
            "no file more"
        } else {
            &free
        };
        return says.critical(
            format!("the disk of {place} is full ({what} left): no renewal can be written"),
            fix,
        );
    }
    if disk.free < LOW_BYTES.min(disk.total / 20) || disk.free_files.is_some_and(|files| files < LOW_FILES) {
        return says.warning(
            format!(
                "the disk of {place} is nearly full: {free} of {} left",
                bytes(disk.total)
            ),
            fix,
        );
    }
    says.ok(format!("{free} left on the disk of {place}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{Critical, Ok as Fine, Warning};
    use super::*;

    #[test]
    fn a_disk_is_full_or_nearly_so_by_room_and_by_files() {
        for (free, total, files, severity) in [
            (50_000_000_000, 100_000_000_000, None, Fine),
            (50_000_000_000, 100_000_000_000, Some(10_000), Fine),
            (90_000_000, 100_000_000_000, None, Warning),
            (50_000_000_000, 100_000_000_000, Some(499), Warning),
            (50_000_000_000, 100_000_000_000, Some(0), Critical),
            (1_999_999, 100_000_000_000, None, Critical),
            // A small one that is nearly empty.
            (15_000_000, 16_000_000, None, Fine),
        ] {
            let disk = Disk {
                directory: "/var".into(),
                free,
                total,
                free_files: files,
            };
            assert_eq!(judge(&disk).severity, severity, "{disk:?}");
        }
    }
}
