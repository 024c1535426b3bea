//! Requests that wait for an operator.

use std::sync::Arc;

use super::fixture::*;
use crate::model::enrollment::RequestState;
use crate::store::{PENDING_PER_TOKEN_MAX, Store};

super::on_every_store!(
    asking_again_gives_the_stored_request_with_its_state,
    a_decision_stands,
    requests_are_listed_oldest_first,
    requests_per_token_are_bounded_and_a_decision_makes_room,
);

async fn asking_again_gives_the_stored_request_with_its_state(store: Arc<dyn Store>) {
    let first = request(1, 1, 1, t0());
    let stored = store.submit_request(first.clone()).await.unwrap();
    assert_eq!(stored, Some(first.clone()));
    let again = store.submit_request(request(2, 1, 1, hour(1))).await.unwrap();
    assert_eq!(again, Some(first));
    store
        .decide_request(id(1), RequestState::Approved, alice(), hour(2))
        .await
        .unwrap();
    let again = store
        .submit_request(request(3, 1, 1, hour(3)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((again.id, again.state), (id(1), RequestState::Approved));
    assert_eq!(
        actions(&*store).await,
        ["request.submit ok", "request.approve ok"]
    );
}

async fn a_decision_stands(store: Arc<dyn Store>) {
    store.submit_request(request(1, 1, 1, t0())).await.unwrap();
    let denied = store
        .decide_request(id(1), RequestState::Denied, alice(), hour(1))
        .await
        .unwrap();
    let denied = denied.unwrap();
    assert_eq!(denied.state, RequestState::Denied);
    assert_eq!(denied.decided, Some(("client:alice".to_owned(), hour(1))));
    let later = store
        .decide_request(id(1), RequestState::Approved, alice(), hour(2))
        .await
        .unwrap();
    assert_eq!(later, Some(denied));
    let unknown = store
        .decide_request(id(2), RequestState::Denied, alice(), t0())
        .await
        .unwrap();
    assert_eq!(unknown, None);
    assert_eq!(actions(&*store).await, ["request.submit ok", "request.deny ok"]);
}

async fn requests_are_listed_oldest_first(store: Arc<dyn Store>) {
    for number in 0..7 {
        store
            .submit_request(request(number, 1, number, hour(6 - number)))
            .await
            .unwrap();
    }
    store
        .decide_request(id(3), RequestState::Approved, alice(), hour(9))
        .await
        .unwrap();
    let waiting = walk(2, |page| store.requests(false, page)).await;
    assert_eq!(waiting.len(), 6);
    assert!(waiting.is_sorted_by_key(|request| request.created_at));
    let all = walk(2, |page| store.requests(true, page)).await;
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by_key(|request| request.created_at));
}

async fn requests_per_token_are_bounded_and_a_decision_makes_room(store: Arc<dyn Store>) {
    for number in 0..PENDING_PER_TOKEN_MAX {
        assert!(
            store
                .submit_request(request(number, 1, number, t0()))
                .await
                .unwrap()
                .is_some()
        );
    }
    let one_more = request(PENDING_PER_TOKEN_MAX, 1, PENDING_PER_TOKEN_MAX, t0());
    assert_eq!(store.submit_request(one_more.clone()).await.unwrap(), None);
    let known = store.submit_request(request(5_000, 1, 7, t0())).await.unwrap();
    assert_eq!(
        known.unwrap().id,
        id(7),
        "who is waiting already is still answered"
    );
    let other = request(6_000, 2, 6_000, t0());
    assert!(
        store.submit_request(other).await.unwrap().is_some(),
        "another token is not affected"
    );
    store
        .decide_request(id(0), RequestState::Denied, alice(), t0())
        .await
        .unwrap();
    assert!(store.submit_request(one_more).await.unwrap().is_some());
}
