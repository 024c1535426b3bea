use super::*;
use crate::store::Store;
use crate::store::sqlite::{Missing, SqliteStore};
use crate::sys::Files;

fn at(day: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + day * 86_400)
}

async fn data() -> (tempfile::TempDir, Layout, BackupPlan) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path().join("data"));
    Files::system().service_directory(layout.root()).unwrap();
    let store = SqliteStore::open(&layout.database(), Missing::Create)
        .await
        .unwrap();
    store.close().await;
    let plan = BackupPlan {
        directory: directory.path().join("backups"),
        keep: 2,
    };
    (directory, layout, plan)
}

fn names(plan: &BackupPlan) -> Vec<String> {
    let mut names = Files::system().list(&plan.directory).unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn the_newest_backups_stay_and_nothing_else_is_touched() {
    let (_directory, layout, plan) = data().await;
    let files = Files::system();
    files.private_directory(&plan.directory).unwrap();
    for foreign in ["notes.txt", "dockwarden-by-hand", "dockwarden-.partial"] {
        files.write_private(&plan.directory.join(foreign), b"x").unwrap();
    }
    for day in 0..4 {
        make(&layout, &plan, at(day)).await.unwrap();
    }
    let kept = [directory_name(at(2)), directory_name(at(3))];
    assert_eq!(
        names(&plan),
        [
            "dockwarden-.partial",
            &kept[0],
            &kept[1],
            "dockwarden-by-hand",
            "notes.txt"
        ]
    );
    for name in kept {
        assert!(files.exists(&plan.directory.join(name).join(backup::MANIFEST)));
    }
}

#[tokio::test]
async fn a_backup_that_was_cut_short_counts_for_nothing_and_goes_with_the_next() {
    let (_directory, layout, plan) = data().await;
    let cut = plan.directory.join(format!("{}{PARTIAL}", directory_name(at(9))));
    let files = Files::system();
    files.private_directory(&plan.directory).unwrap();
    files.private_directory(&cut).unwrap();
    files.write_private(&cut.join("dockwarden.db"), b"half").unwrap();
    make(&layout, &plan, at(0)).await.unwrap();
    assert_eq!(names(&plan), [directory_name(at(0))]);
}

#[test]
fn only_names_that_we_gave_are_ours() {
    for ours in [
        directory_name(at(0)),
        format!("{}{PARTIAL}", directory_name(at(1))),
    ] {
        assert!(is_ours(&ours), "{ours}");
    }
    for foreign in [
        "dockwarden-",
        "dockwarden-by-hand",
        "backup-20270115T080000Z",
        "dockwarden-20270115",
    ] {
        assert!(!is_ours(foreign), "{foreign}");
    }
}
