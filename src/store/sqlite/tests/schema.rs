//! Which databases are opened, and what the schema itself refuses.

use sqlx::Connection as _;

use super::super::open::{MIGRATIONS, known_version};
use super::{Missing, Place, SqliteStore, execute};
use crate::store::conformance::fixture::*;
use crate::store::{Store, StoreError};

async fn reopened_after(change: &'static str) -> StoreError {
    let place = Place::new();
    place.create().await.close().await;
    let mut other = place.other().await;
    execute(&mut other, change).await.unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(place.database()).unwrap();
    let refused = SqliteStore::open(&place.database(), Missing::Create)
        .await
        .unwrap_err();
    assert!(
        std::fs::read(place.database()).unwrap() == before,
        "nothing is changed: {refused}"
    );
    refused
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let refused = reopened_after(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'from the future', true, x'00', 0)",
    )
    .await;
    assert!(matches!(refused, StoreError::Schema { found: 9000, known, .. } if known == known_version()));
    assert!(refused.to_string().contains("newer dockwarden"), "{refused}");
}

#[tokio::test]
async fn a_schema_change_that_stopped_half_way_is_refused() {
    let refused = reopened_after("UPDATE _sqlx_migrations SET success = false").await;
    assert!(refused.to_string().contains("half-way"), "{refused}");
}

#[tokio::test]
async fn a_schema_of_the_same_number_but_other_contents_is_refused() {
    let refused = reopened_after("UPDATE _sqlx_migrations SET checksum = x'00'").await;
    assert!(matches!(refused, StoreError::Schema { .. }), "{refused}");
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let refused = reopened_after("DROP TABLE _sqlx_migrations").await;
    assert!(refused.to_string().contains("another program"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let place = Place::new();
    std::fs::File::create(place.database()).unwrap();
    let garbage = b"-----BEGIN CERTIFICATE-----\n".repeat(300);
    std::io::Write::write_all(&mut std::fs::File::create(place.database()).unwrap(), &garbage).unwrap();
    let refused = SqliteStore::open(&place.database(), Missing::Create)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("not a SQLite database"), "{refused}");
    assert_eq!(std::fs::read(place.database()).unwrap(), garbage);
}

#[tokio::test]
async fn an_empty_file_left_by_a_start_that_was_killed_becomes_a_database() {
    let place = Place::new();
    std::fs::File::create(place.database()).unwrap();
    let store = SqliteStore::open(&place.database(), Missing::Refuse)
        .await
        .unwrap();
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn two_that_open_a_new_database_at_once_both_succeed() {
    let place = Place::new();
    std::fs::File::create(place.database()).unwrap();
    let path = place.database();
    let open = || SqliteStore::open(&path, Missing::Refuse);
    let (first, second) = tokio::join!(open(), open());
    let (first, second) = (first.unwrap(), second.unwrap());
    first.create_token(token(1, 1), alice(), None).await.unwrap();
    second.create_token(token(2, 1), alice(), None).await.unwrap();
    first.create_token(token(3, 1), alice(), None).await.unwrap();
    assert_chain_is_whole(&second).await;
    assert_eq!(audit_log(&first).await.len(), 3, "two writers, one chain");
    first.close().await;
    second.close().await;
}

#[test]
fn every_migration_is_inside_the_program() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let files = std::fs::read_dir(directory).unwrap().count();
    assert_eq!(MIGRATIONS.iter().count(), files);
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_or_delete_audit_records() {
    let place = Place::new();
    let store = place.create().await;
    enroll_fresh(&store, 1, "web-1.fleet.internal", t0()).await;
    let mut other = place.other().await;
    for change in [
        "UPDATE audit SET outcome = 'ok'",
        "DELETE FROM audit WHERE seq = 1",
    ] {
        let refused = execute(&mut other, change).await.unwrap_err();
        assert!(
            refused.to_string().contains("audit records are never"),
            "{refused}"
        );
    }
    assert_eq!(audit_log(&store).await.len(), 2);
    store.close().await;
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_certificate_for_a_token_and_key_and_a_second_serial() {
    let place = Place::new();
    let store = place.create().await;
    enroll_fresh(&store, 1, "web-1.fleet.internal", t0()).await;
    let mut other = place.other().await;
    let copy = "CREATE TEMP TABLE copy AS SELECT * FROM certificate";
    execute(&mut other, copy).await.unwrap();
    execute(&mut other, "UPDATE copy SET id = 99").await.unwrap();
    let twice = execute(&mut other, "INSERT INTO certificate SELECT * FROM copy")
        .await
        .unwrap_err();
    assert!(twice.to_string().contains("UNIQUE"), "{twice}");
    execute(&mut other, "UPDATE copy SET serial = x'77'")
        .await
        .unwrap();
    let twice = execute(&mut other, "INSERT INTO certificate SELECT * FROM copy")
        .await
        .unwrap_err();
    assert!(
        twice
            .to_string()
            .contains("certificate.token, certificate.spki_sha256"),
        "{twice}"
    );
    store.close().await;
}
