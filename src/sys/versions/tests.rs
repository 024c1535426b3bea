use std::sync::Arc;

use super::*;
use crate::sys::Disk;
use crate::sys::fake::{Fault, MemoryDisk};

const ROOT: &str = "/etc/docker/dockwarden";

fn on_memory() -> (MemoryDisk, Versions) {
    let disk = MemoryDisk::new();
    (disk.clone(), Versions::new(Files::on(Arc::new(disk)), ROOT))
}

/// A pair whose two halves say which version they belong to.
fn write(versions: &Versions, text: &str) -> Result<u64, FileError> {
    let file = |name, access| VersionFile {
        name,
        contents: text.as_bytes(),
        access,
    };
    versions.write(&[
        file("cert.pem", Access::PublicReadOnly),
        file("key.pem", Access::PrivateReadOnly),
    ])
}

fn replace(versions: &Versions, text: &str) -> Result<(), FileError> {
    let version = write(versions, text)?;
    versions.activate(version)?;
    versions.prune()
}

/// What a program that reads `current/` finds, as (certificate, key).
fn pair(files: &Files, versions: &Versions) -> (Vec<u8>, Vec<u8>) {
    let read = |name| files.read(&versions.current_directory().join(name), 99).unwrap();
    (read("cert.pem"), read("key.pem"))
}

#[test]
fn current_follows_the_activated_version_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::system();
    let versions = Versions::new(files.clone(), dir.path().join("dw"));
    assert_eq!(
        (versions.current().unwrap(), versions.list().unwrap()),
        (None, vec![])
    );
    assert_eq!(write(&versions, "one").unwrap(), 1);
    assert_eq!(versions.current().unwrap(), None, "written is not yet in use");
    versions.activate(1).unwrap();
    versions.activate(1).unwrap();
    assert_eq!(pair(&files, &versions), (b"one".to_vec(), b"one".to_vec()));
    replace(&versions, "two").unwrap();
    assert_eq!(versions.current().unwrap(), Some(2));
    assert!(versions.remove(2).is_err(), "the version in use is not removed");
    assert!(versions.activate(7).is_err());
    assert_eq!(versions.current().unwrap(), Some(2));
    versions.remove_all().unwrap();
    assert_eq!(files.list(&dir.path().join("dw")).unwrap(), Vec::<String>::new());
}

#[test]
fn three_versions_stay_besides_the_current_one() {
    let (disk, versions) = on_memory();
    for n in 1..=9 {
        replace(&versions, &format!("v{n}")).unwrap();
    }
    assert_eq!(versions.list().unwrap(), [6, 7, 8, 9]);
    versions.activate(6).unwrap();
    versions.prune().unwrap();
    assert_eq!(versions.list().unwrap(), [6, 7, 8, 9]);
    assert_eq!(disk.mode(format!("{ROOT}/current/key.pem")), Some(0o400));
    assert_eq!(disk.mode(format!("{ROOT}/current/cert.pem")), Some(0o444));
}

/// Stops the process, or the machine, before each step of a replacement in turn.
#[test]
fn a_replacement_cut_off_anywhere_leaves_a_whole_pair_and_can_be_repeated() {
    for power_fails in [false, true] {
        for step in 1.. {
            let (disk, versions) = on_memory();
            let files = Files::on(Arc::new(disk.clone()));
            replace(&versions, "old").unwrap();
            disk.fail_at(disk.steps() + step, Fault::Stop);
            let done = replace(&versions, "new");
            if power_fails {
                disk.power_failure()
            } else {
                disk.restart()
            }
            let (cert, key) = pair(&files, &versions);
            assert_eq!(cert, key, "step {step}");
            if done.is_ok() {
                assert_eq!(cert, b"new");
                assert_eq!(step, 10, "all nine steps were visited");
                break;
            }
            replace(&versions, "new").unwrap();
            assert_eq!(
                pair(&files, &versions),
                (b"new".to_vec(), b"new".to_vec()),
                "step {step}"
            );
            let leftovers: Vec<String> = files.list(&PathBuf::from(ROOT).join("versions")).unwrap();
            assert!(!leftovers.iter().any(|n| n.ends_with("tmp")), "{leftovers:?}");
        }
    }
}

#[test]
fn a_full_disk_at_any_step_keeps_the_old_pair() {
    for step in 1..=8 {
        let (disk, versions) = on_memory();
        let files = Files::on(Arc::new(disk.clone()));
        replace(&versions, "old").unwrap();
        disk.fail_at(disk.steps() + step, Fault::FailFrom(io::ErrorKind::StorageFull));
        replace(&versions, "new").unwrap_err();
        disk.heal();
        let (cert, key) = pair(&files, &versions);
        assert_eq!(cert, key, "step {step}");
        replace(&versions, "newer").unwrap();
    }
}

#[test]
fn a_link_that_is_not_ours_is_no_version() {
    let (disk, versions) = on_memory();
    disk.plant(format!("{ROOT}/versions/x/cert.pem"), "");
    disk.plant(format!("{ROOT}/versions/007/cert.pem"), "");
    disk.symlink(Path::new("versions/../../x"), &versions.current_directory())
        .unwrap();
    assert_eq!(
        (versions.current().unwrap(), versions.list().unwrap()),
        (None, vec![])
    );
    assert_eq!(write(&versions, "a").unwrap(), 1);
}
