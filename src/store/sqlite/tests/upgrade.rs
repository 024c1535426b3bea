//! Databases that older releases have written.

use sqlx::migrate::Migrator;
use sqlx::{Connection as _, SqliteConnection};

use super::super::open::{MIGRATIONS, create_private, known_version};
use super::{Missing, Place, SqliteStore, execute};
use crate::model::{ChangeKind, IssuerKind};
use crate::pki::RevocationReason;
use crate::store::conformance::fixture::*;
use crate::store::{FeedStore, Store};

/// Brings an empty database to an older schema, with that release's own statements.
async fn at_version(place: &Place, version: i64) -> SqliteConnection {
    create_private(&place.database()).unwrap();
    let mut connection = place.other().await;
    let older = MIGRATIONS.iter().filter(|migration| migration.version <= version);
    Migrator::with_migrations(older.cloned().collect())
        .run_direct(None, &mut connection, false)
        .await
        .unwrap();
    connection
}

/// A host with three certificates, two of them revoked, and one of a client, as version 1 wrote them.
const FIRST_ROWS: &str = r#"
INSERT INTO identity VALUES
  (1, x'000102030405060708090a0b0c0d0e0f', 'host', 'web-1.fleet.internal', '[]', '[]', '{}', NULL, NULL, 1000),
  (2, x'100102030405060708090a0b0c0d0e0f', 'client', 'bob', '[]', '[]', '{}', NULL, NULL, 1000);
INSERT INTO certificate SELECT column1, unhex(printf('4%07d', column1)), 'hosts', x'000102030405060708090a0b0c0d0e0f', 1,
    'web-1.fleet.internal', 'host', '[]', 0, 5000, 0, 3000, zeroblob(32), NULL, NULL, NULL,
    CASE column1 WHEN 1 THEN 2500 WHEN 2 THEN 1500 END, CASE column1 WHEN 1 THEN 1 END, x'3000'
  FROM (VALUES (1), (2), (3));
INSERT INTO certificate SELECT 4, x'40000004', 'clients', x'100102030405060708090a0b0c0d0e0f', 2,
    'bob', 'client', '[]', 0, 5000, 0, 3000, zeroblob(32), NULL, NULL, NULL, NULL, NULL, x'3000';
INSERT INTO host_status VALUES (1, 2000, NULL, '{"observed_generation":1,"mode":"gate","agent_version":"0.1.0",
  "engine_version":null,"endpoints":[],"issued":null,"served":null,"renew_at":null,"clock_offset_ms":null,
  "conditions":[]}');
"#;

#[tokio::test]
async fn a_database_of_the_first_release_keeps_its_rows_and_its_revocations_get_numbers() {
    let place = Place::new();
    let mut old = at_version(&place, 1).await;
    sqlx::raw_sql(FIRST_ROWS).execute(&mut old).await.unwrap();
    old.close().await.unwrap();

    let store = SqliteStore::open(&place.database(), Missing::Refuse)
        .await
        .unwrap();
    let feed = whole_feed(&store).await;
    let seen: Vec<_> = feed
        .iter()
        .map(|change| match &change.kind {
            ChangeKind::Revoked(r) => (r.serial.to_string(), r.revoked_at.as_millis(), r.reason),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("40000002".to_owned(), 1500, RevocationReason::Unspecified),
        ("40000001".to_owned(), 2500, RevocationReason::KeyCompromise),
    ];
    assert_eq!(seen, expected, "in order of time");
    assert_eq!(
        *store.feed_watch().borrow(),
        2,
        "who follows is told where it stands"
    );
    let host = store
        .host(&"web-1.fleet.internal".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(host.certificate.unwrap().serial.to_string(), "40000003");
    assert_eq!(host.status.unwrap().report.revocations, None);

    let bob = store
        .certificate(&"40000004".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let target = crate::store::RevokeTarget::Serial(bob.serial);
    let withdrawn = store.revoke(order(target, t0())).await.unwrap();
    assert_eq!(withdrawn.revocations[0].feed, 3);
    assert!(store.reserve_crl(IssuerKind::Hosts, t0()).await.unwrap().number > 0);
    store.close().await;

    let mut other = place.other().await;
    let version: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(version, known_version());
}

#[tokio::test]
async fn the_database_itself_refuses_to_un_revoke() {
    let place = Place::new();
    let store = place.create().await;
    enroll_fresh(&store, 1, "web-1.fleet.internal", t0()).await;
    revoke(&store, 1, t0()).await;
    let mut other = place.other().await;
    for change in [
        "UPDATE certificate SET revoked_at = NULL",
        "UPDATE certificate SET revoked_at = revoked_at + 1",
        "UPDATE feed SET at = 0",
        "DELETE FROM feed",
        "INSERT INTO feed SELECT number + 1, number, at, kind, serial, issuer, name, not_after, reason, identity, revoker FROM feed",
        "INSERT INTO feed (number, previous, at, kind) VALUES (2, 1, 0, 'revoked')",
    ] {
        assert!(execute(&mut other, change).await.is_err(), "{change}");
    }
    let stored = store.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(stored.revoked_at, Some(t0()));
    assert_eq!(whole_feed(&store).await.len(), 1);
    store.close().await;
}
