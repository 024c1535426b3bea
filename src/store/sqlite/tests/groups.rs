//! Groups in which one operation cannot be done, and writers that cannot write.

use futures_util::future::join_all;
use sqlx::{ConnectOptions as _, Connection as _};

use super::super::open;
use super::super::writer::{GROUP_MAX, Writer, WriterHandle};
use super::{Place, execute};
use crate::store::conformance::fixture::*;
use crate::store::op::Op;
use crate::store::sqlite::SqliteStore;
use crate::store::{Enrolled, Enrollment, Store, StoreError};

/// Enrolments of `numbers` with token 1, all under way at once.
async fn enroll_all(store: &SqliteStore, enrollments: Vec<Enrollment>) -> Vec<Result<Enrolled, StoreError>> {
    join_all(enrollments.into_iter().map(|enrollment| store.enroll(enrollment))).await
}

fn fleet(count: u32) -> Vec<Enrollment> {
    let host = |n| enrollment(n, 1, &format!("web-{n}.fleet.internal"), n, t0());
    (100..100 + count).map(host).collect()
}

#[tokio::test]
async fn one_row_that_the_database_refuses_fails_alone() {
    let place = Place::new();
    let store = place.create().await;
    store.create_token(token(1, 500), alice(), None).await.unwrap();
    let mut other = place.other().await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON identity WHEN NEW.name = 'web-133.fleet.internal' \
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    execute(&mut other, refuse).await.unwrap();
    let answers = enroll_all(&store, fleet(100)).await;
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(Enrolled::Issued { .. }) => assert_ne!(number, 33),
            Err(StoreError::Rejected(why)) => assert!(number == 33 && why.contains("not this one")),
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 401);
    assert_eq!(
        audit_log(&store).await.len(),
        100,
        "the one that failed left no record"
    );
    assert_chain_is_whole(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_fails_alone_and_is_not_guessed_at() {
    let place = Place::new();
    let store = place.create().await;
    for number in [1, 2] {
        store
            .create_token(token(number, 500), alice(), None)
            .await
            .unwrap();
    }
    let mut other = place.other().await;
    execute(
        &mut other,
        "UPDATE token SET names = '[\"..' WHERE reason = 'for token 2'",
    )
    .await
    .unwrap();
    let mut wanted = fleet(20);
    wanted[7].token = id(2);
    let answers = enroll_all(&store, wanted).await;
    let failed: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
    assert!(
        matches!(failed[..], [Err(StoreError::Corrupt { what: "token", .. })]),
        "{failed:?}"
    );
    assert!(matches!(
        store.token(id(2)).await,
        Err(StoreError::Corrupt { .. })
    ));
    store.close().await;
}

#[tokio::test]
async fn more_than_a_group_at_once_is_answered_in_full() {
    let place = Place::new();
    let store = place.create().await;
    let count = u32::try_from(GROUP_MAX).unwrap() * 2 + 3;
    store.create_token(token(1, count), alice(), None).await.unwrap();
    let answers = enroll_all(&store, fleet(count)).await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Ok(Enrolled::Issued { .. })))
    );
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 0);
    assert_chain_is_whole(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_token_made_and_spent_in_one_group_is_stored_as_it_stands_in_the_end() {
    let place = Place::new();
    let store = place.create().await;
    let (made, answers) = tokio::join!(
        store.create_token(token(1, 5), alice(), None),
        enroll_all(&store, fleet(3)),
    );
    made.unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Ok(Enrolled::Issued { .. }))),
        "{answers:?}"
    );
    assert_eq!(store.token(id(1)).await.unwrap().unwrap().uses_left, 2);
    store.close().await;
}

/// A writer whose present connection may not grow the file; those it opens later may.
async fn writer_without_room(place: &Place) -> WriterHandle {
    place.create().await.close().await;
    let options = open::writer_options(&place.database());
    let full = options
        .clone()
        .pragma("max_page_count", "1")
        .connect()
        .await
        .unwrap();
    WriterHandle::start(Writer::new(place.database(), options, full))
}

async fn create_large(writer: &WriterHandle, number: u32) -> Result<(), StoreError> {
    let mut token = token(number, 1);
    token.reason = "long ".repeat(20_000);
    let op = Op::CreateToken {
        token: Box::new(token),
        actor: alice(),
        source: None,
    };
    writer.run(op).await.map(drop)
}

#[tokio::test]
async fn a_writer_without_room_says_so_and_works_again_when_there_is() {
    let place = Place::new();
    let writer = writer_without_room(&place).await;
    for failed in join_all((0..5).map(|number| create_large(&writer, number))).await {
        let error = failed.unwrap_err();
        assert!(
            error.to_string().contains("the disk is full: make room"),
            "{error}"
        );
    }
    writer.run(Op::Probe).await.unwrap();
    create_large(&writer, 1).await.unwrap();
    writer.close().await;
    let mut other = place.other().await;
    let probes: i64 = sqlx::query_scalar("SELECT count FROM probe")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(probes, 1, "readiness after a failure was proved by a write");
    let tokens: i64 = sqlx::query_scalar("SELECT count(*) FROM token")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn a_database_that_went_away_is_reported_and_used_again_when_it_is_back() {
    let place = Place::new();
    let writer = writer_without_room(&place).await;
    create_large(&writer, 1).await.unwrap_err();
    std::fs::rename(place.database(), place.path("away.db")).unwrap();
    let error = writer.run(Op::Probe).await.unwrap_err();
    assert!(error.to_string().contains("cannot be opened"), "{error}");
    assert!(!place.database().exists(), "no empty database stands in for it");
    std::fs::rename(place.path("away.db"), place.database()).unwrap();
    create_large(&writer, 1).await.unwrap();
    writer.close().await;
}

#[tokio::test]
async fn a_writer_that_another_process_keeps_waiting_says_so_and_goes_on_afterwards() {
    let place = Place::new();
    let store = place.create().await;
    let mut other = place.other().await;
    let transaction = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let waited = store.create_token(token(1, 1), alice(), None).await.unwrap_err();
    assert!(waited.to_string().contains("another process"), "{waited}");
    transaction.rollback().await.unwrap();
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    store.close().await;
}
