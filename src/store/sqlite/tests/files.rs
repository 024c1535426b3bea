//! The file, its mode, its settings, its copies.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sqlx::sqlite::SqliteSynchronous;
use sqlx::{ConnectOptions as _, Connection as _};

use super::super::open::{self, Settings};
use super::{Missing, Place, SqliteStore, execute};
use crate::store::conformance::fixture::*;
use crate::store::{Store, StoreError};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_writer_syncs_every_commit() {
    let place = Place::new();
    place.create().await.close().await;
    let mut writer = open::connect_writer(&place.database()).await.unwrap();
    let expected = Settings {
        journal_mode: "wal".to_owned(),
        synchronous: 2,
        foreign_keys: 1,
    };
    assert_eq!(open::settings(&mut writer).await.unwrap(), expected);
}

#[tokio::test]
async fn a_connection_that_does_not_sync_is_refused() {
    let place = Place::new();
    place.create().await.close().await;
    let lax = open::writer_options(&place.database()).synchronous(SqliteSynchronous::Normal);
    let mut connection = lax.connect().await.unwrap();
    assert!(open::check_settings(&mut connection).await.is_err());
}

#[tokio::test]
async fn only_the_owner_may_open_the_files() {
    let place = Place::new();
    let store = place.create().await;
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    for name in ["dockwarden.db", "dockwarden.db-wal", "dockwarden.db-shm"] {
        assert_eq!(mode(&place.path(name)), 0o600, "{name}");
    }
    store.close().await;
    std::fs::set_permissions(place.database(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqliteStore::open(&place.database(), Missing::Refuse)
        .await
        .unwrap();
    assert_eq!(mode(&place.database()), 0o600);
    store.close().await;
}

#[tokio::test]
async fn a_missing_database_is_not_made_unasked() {
    let place = Place::new();
    let refused = SqliteStore::open(&place.database(), Missing::Refuse)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("server init"), "{refused}");
    assert!(!place.database().exists());
    let directory = SqliteStore::open(place.directory.path(), Missing::Create).await;
    assert!(directory.unwrap_err().to_string().contains("not a file"));
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let place = Place::new();
    let store = place.create().await;
    let certificate = enroll_fresh(&store, 1, "web-1.fleet.internal", t0()).await;
    store.close().await;
    let store = SqliteStore::open(&place.database(), Missing::Refuse)
        .await
        .unwrap();
    assert_eq!(
        store.certificate(&certificate.serial).await.unwrap(),
        Some(certificate)
    );
    enroll_fresh(&store, 2, "web-2.fleet.internal", t0()).await;
    assert_chain_is_whole(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_closed_store_finishes_what_is_queued_and_refuses_what_comes_later() {
    let place = Place::new();
    let store = place.create().await;
    let queued: Vec<_> = (0..50)
        .map(|n| store.create_token(token(n, 1), alice(), None))
        .collect();
    let (done, ()) = tokio::join!(futures_util::future::join_all(queued), store.close());
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let late = store.create_token(token(99, 1), alice(), None).await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
    assert!(matches!(
        store.token(id(1)).await,
        Err(StoreError::Unavailable { .. })
    ));
    assert!(store.ready().await.is_err());
    assert!(
        !place.path("dockwarden.db-wal").exists(),
        "the log is written back"
    );
}

#[tokio::test]
async fn a_backup_holds_what_was_answered_before_while_others_go_on_writing() {
    let place = Place::new();
    let store = place.create().await;
    let before = enroll_fresh(&store, 1, "web-1.fleet.internal", t0()).await;
    let copy = place.path("copy.db");
    let writing = async {
        for number in 2..40 {
            enroll_fresh(&store, number, &format!("web-{number}.fleet.internal"), t0()).await;
        }
    };
    let (backup, ()) = tokio::join!(store.backup(&copy), writing);
    backup.unwrap();
    assert_eq!(mode(&copy), 0o600);
    let restored = SqliteStore::open(&copy, Missing::Refuse).await.unwrap();
    assert_eq!(restored.certificate(&before.serial).await.unwrap(), Some(before));
    assert_chain_is_whole(&restored).await;
    enroll_fresh(&restored, 90, "web-90.fleet.internal", t0()).await;
    restored.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let place = Place::new();
    let store = place.create().await;
    store.backup(&place.path("copy.db")).await.unwrap();
    let again = store.backup(&place.path("copy.db")).await;
    assert!(again.unwrap_err().to_string().contains("exists"));
    assert!(
        SqliteStore::open(&place.path("copy.db"), Missing::Refuse)
            .await
            .is_ok()
    );
    assert!(store.backup(&place.path("missing/copy.db")).await.is_err());

    let mut other = place.other().await;
    execute(&mut other, "PRAGMA writable_schema = ON").await.unwrap();
    execute(
        &mut other,
        "UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'probe'",
    )
    .await
    .unwrap();
    other.close().await.unwrap();
    let damaged = store.backup(&place.path("damaged.db")).await;
    assert!(damaged.is_err());
    assert!(
        !place.path("damaged.db").exists(),
        "a copy that is not good is removed"
    );
    store.close().await;
}
