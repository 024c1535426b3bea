//! The feed.

use std::sync::Arc;

use futures_util::future::join_all;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::{ChangeKind, FeedOrigin, IssuerKind, SealKey};
use crate::pki::RevocationReason;
use crate::store::{
    CRL_JUMP, FEED_JUMP, Given, ProgressQuery, Regain, Regained, RevocationRange, RevokeTarget, Store,
};

super::on_every_store!(
    a_reader_never_skips_a_number_while_many_write,
    revocations_are_found_by_range_issuer_and_end,
    hosts_are_counted_by_what_they_say,
    what_nobody_says_changes_nothing,
    numbers_jump_when_the_server_goes_on_from_a_backup,
    what_was_lost_is_taken_back_once,
    numbers_from_the_future_make_the_feed_jump_beyond_them,
    a_crl_of_a_greater_number_never_holds_less,
    a_feed_is_named_once,
);

async fn a_reader_never_skips_a_number_while_many_write(store: Arc<dyn Store>) {
    const COUNT: u32 = 150;
    let mut watch = store.feed_watch();
    assert_eq!(*watch.borrow_and_update(), 0);
    let reader = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut last = 0;
            while last < u64::from(COUNT) {
                for change in store.feed(last, 7).await.unwrap() {
                    assert_eq!((change.previous, change.number), (last, last + 1));
                    last = change.number;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let writers = (0..COUNT).map(|number| {
        let store = store.clone();
        let target = RevokeTarget::Shown(Box::new(shown(number, t0())));
        tokio::spawn(async move { store.revoke(order(target, t0())).await.unwrap() })
    });
    let mut numbers: Vec<u64> = join_all(writers)
        .await
        .into_iter()
        .map(|withdrawn| withdrawn.unwrap().revocations[0].feed)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=u64::from(COUNT)).collect::<Vec<_>>());
    tokio::time::timeout(std::time::Duration::from_secs(20), reader)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(*watch.borrow_and_update(), u64::from(COUNT));
}

async fn revocations_are_found_by_range_issuer_and_end(store: Arc<dyn Store>) {
    for number in 0..6 {
        let mut certificate = shown(number, hour(number));
        certificate.issuer = IssuerKind::ALL[number as usize % 2];
        let target = RevokeTarget::Shown(Box::new(certificate));
        store.revoke(order(target, t0())).await.unwrap();
    }
    let everything = RevocationRange {
        issuer: None,
        after: 0,
        to: u64::MAX,
        since: Timestamp::EPOCH,
    };
    let numbers = async |range: RevocationRange, limit| {
        let found = store.revocations(range, limit).await.unwrap();
        found.iter().map(|revocation| revocation.feed).collect::<Vec<_>>()
    };
    assert_eq!(numbers(everything, 100).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(everything, 4).await, [1, 2, 3, 4]);
    let middle = RevocationRange {
        after: 1,
        to: 5,
        ..everything
    };
    assert_eq!(numbers(middle, 100).await, [2, 3, 4, 5]);
    let clients = RevocationRange {
        issuer: Some(IssuerKind::Clients),
        ..everything
    };
    assert_eq!(numbers(clients, 2).await, [2, 4]);
    let later = RevocationRange {
        since: hour(3) + DAY,
        ..everything
    };
    assert_eq!(numbers(later, 100).await, [4, 5, 6], "an end at the limit counts");
}

fn about(number: u64, now: Timestamp) -> ProgressQuery {
    ProgressQuery {
        number,
        now,
        except: "dockwarden-server".parse().unwrap(),
        missing_max: 2,
    }
}

async fn hosts_are_counted_by_what_they_say(store: Arc<dyn Store>) {
    for number in 1..7 {
        enroll_fresh(&*store, number, &format!("web-{number}.fleet.internal"), t0()).await;
    }
    enroll_fresh(&*store, 7, "dockwarden-server", t0()).await;
    revoke(&*store, 6, t0()).await;
    store
        .acknowledge(acknowledgement(id(1), 1, hour(1)))
        .await
        .unwrap();
    store
        .acknowledge(acknowledgement(id(2), 2, hour(2)))
        .await
        .unwrap();
    store
        .acknowledge(acknowledgement(id(3), 0, hour(3)))
        .await
        .unwrap();
    store.put_host_status(status(id(3), 1, hour(4))).await.unwrap();
    store.put_host_status(status(id(4), 1, hour(5))).await.unwrap();
    let progress = store.progress(about(1, hour(6))).await.unwrap();
    assert_eq!((progress.hosts, progress.applied, progress.cut), (5, 2, 2));
    let missing: Vec<_> = progress
        .missing
        .iter()
        .map(|host| {
            (
                host.name.as_str(),
                host.applied,
                host.last_seen,
                host.denies_after,
            )
        })
        .collect();
    let expected = [
        ("web-3.fleet.internal", Some(0), Some(hour(4)), Some(3600)),
        ("web-4.fleet.internal", None, Some(hour(5)), None),
    ];
    assert_eq!(missing, expected, "at most two, by name");
    let mut idle = acknowledgement(id(4), 1, hour(6));
    idle.applied.refuses = false;
    store.acknowledge(idle).await.unwrap();
    let progress = store.progress(about(1, hour(6))).await.unwrap();
    assert_eq!(
        (progress.followed, progress.applied),
        (3, 2),
        "knowing is not refusing"
    );
    let last = progress.missing.last().unwrap();
    assert_eq!((last.applied, last.refuses), (Some(1), false));
    store
        .acknowledge(acknowledgement(id(3), 2, hour(7)))
        .await
        .unwrap();
    let progress = store.progress(about(2, hour(7))).await.unwrap();
    assert_eq!((progress.applied, progress.cut), (2, 4));
    let later = store.progress(about(2, t0() + DAY + HOUR)).await.unwrap();
    assert_eq!(
        later.hosts, 0,
        "hosts whose certificates have ended accept nobody"
    );
}

async fn what_nobody_says_changes_nothing(store: Arc<dyn Store>) {
    store.acknowledge(acknowledgement(id(1), 1, t0())).await.unwrap();
    assert_eq!(store.progress(about(1, t0())).await.unwrap(), Default::default());
}

async fn numbers_jump_when_the_server_goes_on_from_a_backup(store: Arc<dyn Store>) {
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    store
        .revoke(order(RevokeTarget::Shown(Box::new(shown(1, t0()))), t0()))
        .await
        .unwrap();
    let before = store.reserve_crl(IssuerKind::Hosts, t0()).await.unwrap();
    let number = store
        .restored(crate::model::audit::Actor::System, hour(1))
        .await
        .unwrap();
    assert_eq!(number, jumped(1, hour(1)));
    let head = store.feed_head().await.unwrap();
    assert_eq!((head.number, head.unsettled), (number, Some((number, hour(1)))));
    let crl = store.reserve_crl(IssuerKind::Hosts, t0()).await.unwrap();
    assert_eq!(crl.number, before.number + CRL_JUMP + 1);
    let feed = whole_feed(&*store).await;
    assert_eq!((feed[1].previous, &feed[1].kind), (1, &ChangeKind::Restored));
    assert_eq!(store.change(number).await.unwrap().as_ref(), Some(&feed[1]));
    assert_eq!(store.change(number - 1).await.unwrap(), None);
    assert!(!store.settle(1, alice(), hour(2)).await.unwrap());
    assert!(store.settle(number, alice(), hour(2)).await.unwrap());
    assert!(!store.settle(number, alice(), hour(2)).await.unwrap());
    assert_eq!(store.feed_head().await.unwrap().unsettled, None);
    let log = actions(&*store).await;
    assert_eq!(log[log.len() - 2..], ["feed.restore ok", "feed.settle ok"]);
    // However wrong the clock is.
    let again = store
        .restored(crate::model::audit::Actor::System, Timestamp::EPOCH)
        .await
        .unwrap();
    assert_eq!(again, number + FEED_JUMP);
}

/// Where the numbers jump to from `number`.
fn jumped(number: u64, now: Timestamp) -> u64 {
    (number + FEED_JUMP).max(now.as_millis() as u64)
}

fn given(number: u32, lost: u64) -> Given {
    Given {
        number: lost,
        at: hour(number),
        certificate: shown(number, t0()),
        reason: RevocationReason::Superseded,
    }
}

fn regain(given: Vec<Given>) -> Regain {
    Regain {
        given,
        actor: crate::model::audit::Actor::Host("web-1".to_owned()),
        source: None,
        now: hour(9),
    }
}

async fn what_was_lost_is_taken_back_once(store: Arc<dyn Store>) {
    let certificate = enroll_fresh(&*store, 1, "web-1.fleet.internal", t0()).await;
    store
        .revoke(order(RevokeTarget::Shown(Box::new(shown(2, t0()))), t0()))
        .await
        .unwrap();
    store.restored(alice(), t0()).await.unwrap();
    let lost = regain(vec![given(1, 2), given(2, 3), given(3, 4), given(3, 4)]);
    let head = jumped(1, t0()) + 2;
    let regained = store.regain(lost.clone()).await.unwrap();
    assert_eq!(regained, Regained { fresh: 2, head });
    let known = store.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(known.revoked_at, Some(hour(1)), "as it was when it was lost");
    let revocation = store.revocation(&serial(1)).await.unwrap().unwrap();
    assert_eq!(revocation.identity, Some(certificate.identity));
    assert_eq!(revocation.reason, RevocationReason::Superseded);
    assert_eq!(store.regain(lost).await.unwrap(), Regained { fresh: 0, head });
    whole_feed(&*store).await;
    assert_eq!(actions(&*store).await.last().unwrap(), "feed.regain ok");
}

async fn numbers_from_the_future_make_the_feed_jump_beyond_them(store: Arc<dyn Store>) {
    let regained = store.regain(regain(vec![given(1, 500)])).await.unwrap();
    let jumped = jumped(500, hour(9));
    assert_eq!(regained.head, jumped + 1);
    assert_eq!(
        store.feed_head().await.unwrap().unsettled,
        Some((jumped, hour(9)))
    );
    assert_eq!(whole_feed(&*store).await.len(), 2);
}

async fn a_crl_of_a_greater_number_never_holds_less(store: Arc<dyn Store>) {
    let mut slots = Vec::new();
    for number in 0..30 {
        let revoking = order(RevokeTarget::Shown(Box::new(shown(number, t0()))), t0());
        // The clock stands, goes on and jumps back.
        let now = [hour(5), hour(5), hour(6), t0()][number as usize % 4];
        let reserve = || store.reserve_crl(IssuerKind::Clients, now);
        let (first, revoked, second) = tokio::join!(reserve(), store.revoke(revoking), reserve());
        revoked.unwrap();
        slots.extend([first.unwrap(), second.unwrap()]);
    }
    let other = store.reserve_crl(IssuerKind::Hosts, t0()).await.unwrap();
    assert_eq!(
        other.number,
        t0().as_millis() as u64,
        "each issuer counts for itself"
    );
    for pair in slots.windows(2) {
        assert!(
            pair[0].number < pair[1].number && pair[0].feed <= pair[1].feed,
            "{pair:?}"
        );
    }
}

async fn a_feed_is_named_once(store: Arc<dyn Store>) {
    let origin = |number| FeedOrigin {
        feed: id(number),
        key: SealKey::from_bytes(key(number)),
    };
    let (first, second) = tokio::join!(store.feed_origin(origin(1)), store.feed_origin(origin(2)));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(store.feed_origin(origin(3)).await.unwrap(), origin(1));
}
