//! Links that sign a browser in, and sessions.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::{LINK_LIFETIME, SESSION_IDLE, SESSION_LIFETIME, SESSIONS_MAX, Session};
use crate::store::{SessionChange, SessionOrder, Store};

super::on_every_store!(
    a_link_is_spent_once,
    of_parallel_attempts_at_one_link_one_succeeds,
    a_link_ends_after_a_minute,
    a_session_ends_when_it_is_ended_idle_or_old,
    a_person_has_so_many_links_at_a_time,
    sessions_that_are_long_over_are_forgotten,
);

fn session(number: u32, now: Timestamp) -> Session {
    Session {
        id: id(number),
        identity: id(900),
        name: "bob".parse().unwrap(),
        serial: serial(900),
        created_at: now,
        started_at: None,
        seen_at: now,
        source: None,
        ended_at: None,
    }
}

fn order(change: SessionChange, now: Timestamp) -> SessionOrder {
    SessionOrder {
        change,
        actor: alice(),
        source: Some([192, 0, 2, 7].into()),
        now,
    }
}

async fn offer(store: &dyn Store, number: u32, now: Timestamp) -> Option<Session> {
    let session = Box::new(session(number, now));
    let link = key(number);
    store
        .change_session(order(SessionChange::Offer { session, link }, now))
        .await
        .unwrap()
}

async fn start(store: &dyn Store, number: u32, cookie: u32, now: Timestamp) -> Option<Session> {
    let (link, cookie) = (key(number), key(cookie));
    store
        .change_session(order(SessionChange::Start { link, cookie }, now))
        .await
        .unwrap()
}

async fn a_link_is_spent_once(store: Arc<dyn Store>) {
    let later = t0() + Duration::from_secs(5);
    assert!(start(&*store, 1, 101, t0()).await.is_none(), "nobody offered it");
    offer(&*store, 1, t0()).await.unwrap();
    assert_eq!(
        store.session_by_link(key(1)).await.unwrap(),
        Some(session(1, t0()))
    );
    assert_eq!(store.session_by_cookie(key(101)).await.unwrap(), None);
    let started = start(&*store, 1, 101, later).await.unwrap();
    assert_eq!(
        (started.started_at, started.source),
        (Some(later), Some([192, 0, 2, 7].into()))
    );
    assert_eq!(
        store.session_by_cookie(key(101)).await.unwrap(),
        Some(started.clone())
    );
    assert!(start(&*store, 1, 102, later).await.is_none());
    assert_eq!(store.session_by_cookie(key(102)).await.unwrap(), None);
    assert_eq!(store.session(id(1)).await.unwrap(), Some(started));
    assert_eq!(actions(&*store).await, ["session.offer ok", "session.start ok"]);
}

async fn of_parallel_attempts_at_one_link_one_succeeds(store: Arc<dyn Store>) {
    offer(&*store, 1, t0()).await.unwrap();
    let attempts = (0..8).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { start(&*store, 1, 100 + n, t0()).await })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut started = 0;
    for attempt in attempts {
        started += usize::from(attempt.await.unwrap().is_some());
    }
    assert_eq!(started, 1);
}

async fn a_link_ends_after_a_minute(store: Arc<dyn Store>) {
    offer(&*store, 1, t0()).await.unwrap();
    offer(&*store, 2, t0()).await.unwrap();
    assert!(start(&*store, 1, 101, t0() + LINK_LIFETIME).await.is_some());
    let late = t0() + LINK_LIFETIME + Duration::from_secs(1);
    assert!(start(&*store, 2, 102, late).await.is_none());
}

async fn a_session_ends_when_it_is_ended_idle_or_old(store: Arc<dyn Store>) {
    let change = |change, now| store.change_session(order(change, now));
    for number in [1, 2, 3] {
        offer(&*store, number, t0()).await.unwrap();
        start(&*store, number, 100 + number, t0()).await.unwrap();
    }
    let ended = change(SessionChange::End(id(1)), t0()).await.unwrap().unwrap();
    assert!(!ended.is_open_at(t0()));
    assert!(change(SessionChange::End(id(1)), t0()).await.unwrap().is_none());
    assert!(change(SessionChange::Seen(id(1)), t0()).await.unwrap().is_none());
    let idle = t0() + SESSION_IDLE;
    assert!(change(SessionChange::Seen(id(2)), idle).await.unwrap().is_none());
    let mut now = t0();
    while now < t0() + SESSION_LIFETIME - SESSION_IDLE / 2 {
        now = now + SESSION_IDLE / 2;
        let seen = change(SessionChange::Seen(id(3)), now).await.unwrap();
        assert_eq!(
            seen.map(|session| session.seen_at),
            (now < t0() + SESSION_LIFETIME).then_some(now)
        );
    }
    let old = t0() + SESSION_LIFETIME;
    assert!(change(SessionChange::Seen(id(3)), old).await.unwrap().is_none());
    let kept = store.sessions(Some(id(900)), t0(), 10).await.unwrap();
    assert_eq!(kept.len(), 3);
    assert!(store.sessions(Some(id(901)), t0(), 10).await.unwrap().is_empty());
    assert_eq!(store.sessions(None, t0(), 2).await.unwrap().len(), 2);
}

async fn a_person_has_so_many_links_at_a_time(store: Arc<dyn Store>) {
    for number in 0..SESSIONS_MAX as u32 {
        assert!(offer(&*store, number, t0()).await.is_some(), "{number}");
    }
    assert!(offer(&*store, 500, t0()).await.is_none());
    let later = t0() + LINK_LIFETIME + Duration::from_secs(1);
    assert!(offer(&*store, 500, later).await.is_some());
}

async fn sessions_that_are_long_over_are_forgotten(store: Arc<dyn Store>) {
    offer(&*store, 1, t0()).await.unwrap();
    let later = t0() + 2 * SESSION_LIFETIME + Duration::from_secs(1);
    offer(&*store, 2, later).await.unwrap();
    assert_eq!(store.session(id(1)).await.unwrap(), None);
    assert_eq!(store.sessions(None, t0(), 10).await.unwrap().len(), 1);
}
