//! One conformance suite for both disks, then what only a faulty one can show.

use super::*;
use crate::sys::fake::{Fault, MemoryDisk};

/// Runs a check on the real disk and on the fake.
fn on_both(check: impl Fn(&Files, &Path)) {
    let temporary = tempfile::tempdir().unwrap();
    check(&Files::system(), temporary.path());
    let fake = Files::on(Arc::new(MemoryDisk::new()));
    fake.public_directory(Path::new("/d")).unwrap();
    check(&fake, Path::new("/d"));
}

#[test]
fn a_write_replaces_the_file_and_leaves_nothing_else() {
    on_both(|files, dir| {
        let path = dir.join("f");
        files.write_public(&path, b"one").unwrap();
        files.write_private(&path, b"two").unwrap();
        assert_eq!(files.read(&path, 3).unwrap(), b"two");
        assert_eq!(files.list(dir).unwrap(), ["f"]);
    });
}

#[test]
fn reads_are_bounded_at_exactly_the_limit() {
    on_both(|files, dir| {
        let path = dir.join("f");
        files.write_public(&path, b"12345").unwrap();
        assert!(files.read(&path, 5).is_ok());
        assert_eq!(
            files.read(&path, 4).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    });
}

#[test]
fn every_error_names_the_path_and_the_fix() {
    on_both(|files, dir| {
        files.write_public(&dir.join("f"), b"\xff").unwrap();
        let missing = files.read(&dir.join("none"), 9).unwrap_err();
        assert!(missing.is_missing());
        assert!(
            missing.to_string().contains("none: it does not exist"),
            "{missing}"
        );
        let directory = files.read(dir, 9).unwrap_err().to_string();
        assert!(directory.contains("name a file"), "{directory}");
        let below_file = files.write_public(&dir.join("f/x"), b"").unwrap_err().to_string();
        assert!(
            below_file.contains("f/x: a part of the path is a file"),
            "{below_file}"
        );
        let text = files.read_text(&dir.join("f"), 9).unwrap_err().to_string();
        assert!(text.contains("not UTF-8"), "{text}");
        let create = files.create(&dir.join("f"), b"", Access::Public).unwrap_err();
        assert_eq!(create.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(files.read_if_any(&dir.join("none"), 9).unwrap(), None);
        assert!(files.exists(&dir.join("f")) && !files.exists(&dir.join("none")));
    });
}

#[test]
fn directories_are_made_with_their_parents_and_removed_with_their_contents() {
    on_both(|files, dir| {
        let deep = dir.join("a/b/c");
        files.private_directory(&deep).unwrap();
        files.private_directory(&deep).unwrap();
        files.write_public(&deep.join("f"), b"").unwrap();
        files.disk().symlink(Path::new("/"), &deep.join("link")).unwrap();
        files.remove_tree(&dir.join("a")).unwrap();
        files.remove_tree(&dir.join("a")).unwrap();
        assert_eq!(files.list(dir).unwrap(), Vec::<String>::new());
        files.write_public(&dir.join("f"), b"").unwrap();
        assert!(files.private_directory(&dir.join("f")).is_err());
    });
}

#[test]
fn the_user_of_a_service_gets_to_its_directory() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let (files, data) = (Files::system(), dir.path().join("dockwarden/server"));
    files.service_directory(&data).unwrap();
    files.service_directory(&data).unwrap();
    assert_eq!((mode(data.parent().unwrap()), mode(&data)), (0o755, 0o700));
}

#[test]
fn a_lock_is_held_by_one_and_free_again_when_dropped() {
    on_both(|files, dir| {
        let path = dir.join("lock");
        let held = files.lock(&path).unwrap();
        let refused = files.lock(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(refused.to_string().contains("another dockwarden"), "{refused}");
        drop(held);
        files.lock(&path).unwrap();
    });
}

#[test]
fn permissions_are_exact_on_the_real_disk() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    for access in [
        Access::Private,
        Access::PrivateReadOnly,
        Access::Public,
        Access::PublicReadOnly,
    ] {
        let path = dir.path().join("f");
        Files::system().write(&path, b"x", access).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, access.mode(), "{access:?}");
    }
    Files::system().private_directory(&dir.path().join("d")).unwrap();
    let mode = std::fs::metadata(dir.path().join("d"))
        .unwrap()
        .permissions()
        .mode()
        & 0o7777;
    assert_eq!(mode, 0o700);
}

#[test]
fn a_symlink_is_replaced_and_its_target_left_alone() {
    on_both(|files, dir| {
        files.write_public(&dir.join("target"), b"old").unwrap();
        files
            .disk()
            .symlink(Path::new("target"), &dir.join("link"))
            .unwrap();
        assert_eq!(files.read(&dir.join("link"), 9).unwrap(), b"old");
        files.write_public(&dir.join("link"), b"new").unwrap();
        assert_eq!(files.read(&dir.join("target"), 9).unwrap(), b"old");
        assert_eq!(files.read(&dir.join("link"), 9).unwrap(), b"new");
    });
}

/// Stops the process, or the machine, before each step of a write in turn.
#[test]
fn a_write_that_is_cut_off_anywhere_leaves_the_old_contents_or_the_new_ones() {
    for power_fails in [false, true] {
        for step in 1.. {
            let disk = MemoryDisk::new();
            let files = Files::on(Arc::new(disk.clone()));
            let path = Path::new("/f");
            files.write_public(path, b"old contents").unwrap();
            disk.fail_at(disk.steps() + step, Fault::Stop);
            let written = files.write_public(path, b"new contents");
            if power_fails {
                disk.power_failure()
            } else {
                disk.restart()
            }
            let found = files.read(path, 99).unwrap();
            if written.is_ok() {
                assert_eq!(found, b"new contents");
                break;
            }
            assert!(
                found == b"old contents" || found == b"new contents",
                "step {step}"
            );
            files.clean_temporaries(Path::new("/")).unwrap();
            assert_eq!(files.list(Path::new("/")).unwrap(), ["f"], "step {step}");
        }
    }
}

#[test]
fn a_full_disk_is_reported_and_the_old_contents_stay() {
    for step in 1..=2 {
        let disk = MemoryDisk::new();
        let files = Files::on(Arc::new(disk.clone()));
        files.write_public(Path::new("/f"), b"old").unwrap();
        disk.fail_at(disk.steps() + step, Fault::Fail(io::ErrorKind::StorageFull));
        let error = files
            .write_public(Path::new("/f"), b"new")
            .unwrap_err()
            .to_string();
        assert!(error.contains("/f: no space left; free some"), "{error}");
        assert_eq!(files.read(Path::new("/f"), 9).unwrap(), b"old");
        assert_eq!(files.list(Path::new("/")).unwrap(), ["f"]);
    }
}

#[test]
fn somebody_elses_file_keeps_its_mode_and_a_link_to_it_stays_one() {
    on_both(|files, dir| {
        files.disk().create(&dir.join("real"), b"one", 0o640).unwrap();
        files
            .disk()
            .symlink(Path::new("real"), &dir.join("link"))
            .unwrap();
        let before = files.ownership(&dir.join("link")).unwrap().unwrap();
        assert_eq!(before.mode, 0o640);
        files.replace(&dir.join("link"), b"two", before).unwrap();
        assert_eq!(files.read(&dir.join("real"), 9).unwrap(), b"two");
        assert_eq!(files.ownership(&dir.join("real")).unwrap(), Some(before));
        assert_eq!(
            files.disk().read_link(&dir.join("link")).unwrap(),
            Path::new("real")
        );
        assert_eq!(files.list(dir).unwrap(), ["link", "real"]);
        assert_eq!(files.ownership(&dir.join("none")).unwrap(), None);
    });
}

#[test]
fn a_file_that_somebody_wrote_to_or_replaced_has_another_stamp() {
    on_both(|files, dir| {
        let path = dir.join("f");
        files.write_public(&path, b"one").unwrap();
        let first = files.stamp(&path).unwrap();
        assert!(first.is_some());
        files.read(&path, 9).unwrap();
        assert_eq!(files.stamp(&path).unwrap(), first);
        files.write_public(&path, b"two").unwrap();
        let second = files.stamp(&path).unwrap();
        assert_ne!(second, first, "replaced by one of the same size");
        files.append(&path, b"!").unwrap();
        assert_ne!(files.stamp(&path).unwrap(), second);
        assert_eq!(files.stamp(&dir.join("none")).unwrap(), None);
    });
}

#[test]
fn only_an_empty_directory_is_removed() {
    on_both(|files, dir| {
        files.public_directory(&dir.join("d")).unwrap();
        files.write_public(&dir.join("d/f"), b"").unwrap();
        assert!(!files.remove_if_empty(&dir.join("d")).unwrap());
        files.remove(&dir.join("d/f")).unwrap();
        assert!(files.remove_if_empty(&dir.join("d")).unwrap());
        assert!(files.remove_if_empty(&dir.join("d")).unwrap());
    });
}
