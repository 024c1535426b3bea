//! The feed over TLS: following, catching up, resuming, acknowledging, and what a restored server gets back.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dockwarden::base::Id;
use dockwarden::base::limits::{FEED_BEHIND_MAX, FEED_PAGE};
use dockwarden::client::{Client, Error, Feed, FeedEvent};
use dockwarden::model::audit::Actor;
use dockwarden::model::{FeedApplied, IssuerKind, Position, Seal};
use dockwarden::pki::tls::ServerTrust;
use dockwarden::pki::{RevocationReason, Serial};
use dockwarden::store::{RevokeOrder, RevokeTarget, Shown, Store};
use dockwarden::wire::{AppliedQuery, FeedChange, FeedChangeKind, FeedKnown, RevokeRequest};
use tokio::net::{TcpListener, TcpStream};

use crate::support::server::{Credentials, PATIENCE, Setup, TestServer};

fn client(server: &TestServer, who: &Credentials) -> Client {
    client_at(server.address, server, who)
}

fn client_at(address: SocketAddr, server: &TestServer, who: &Credentials) -> Client {
    let url = format!("https://localhost:{}", address.port()).parse().unwrap();
    let trust = ServerTrust::Anchors(server.anchors());
    Client::new(url, trust, Some(who.tls()), Arc::new(server.clock.clone()))
}

/// The next event that is about numbers.
async fn next(feed: &mut Feed) -> FeedEvent {
    loop {
        let event = tokio::time::timeout(PATIENCE, feed.next())
            .await
            .unwrap()
            .unwrap();
        if !matches!(event, FeedEvent::Roles(_)) {
            return event;
        }
    }
}

async fn hello(feed: &mut Feed) -> (Id, u64) {
    match next(feed).await {
        FeedEvent::Hello(hello) => (hello.feed, hello.head),
        other => panic!("{other:?}"),
    }
}

async fn change(feed: &mut Feed) -> FeedChange {
    match next(feed).await {
        FeedEvent::Change(change) => *change,
        other => panic!("{other:?}"),
    }
}

fn position(change: &FeedChange) -> Position {
    Position {
        number: change.number,
        seal: change.seal,
    }
}

fn serial_of(change: &FeedChange) -> Serial {
    match &change.kind {
        FeedChangeKind::Revoked(revoked) => revoked.serial.clone(),
        other => panic!("{other:?}"),
    }
}

/// The `number`th certificate that only the feed knows.
fn serial(number: u64) -> Serial {
    let mut bytes = [0x40; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Serial::from_bytes(&bytes).unwrap()
}

async fn revoke_stray(server: &TestServer, store: &dyn Store, number: u64) {
    let now = server.clock_now();
    let shown = Shown {
        issuer: IssuerKind::Clients,
        serial: serial(number),
        name: format!("client-{number}").parse().unwrap(),
        not_after: now + Duration::from_secs(3600),
    };
    let order = RevokeOrder {
        target: RevokeTarget::Shown(Box::new(shown)),
        reason: RevocationReason::KeyCompromise,
        actor: Actor::System,
        source: None,
        now,
    };
    store.revoke(order).await.unwrap();
}

async fn start() -> (TestServer, Arc<dyn Store>, Credentials) {
    let setup = Setup::memory();
    let store = setup.store.clone();
    let server = setup.start().await;
    let host = server.join("host", "web-1.fleet").await;
    (server, store, host)
}

/// Reads a whole snapshot: the serials in it, and where it leads to.
async fn snapshot(feed: &mut Feed) -> (Vec<FeedChange>, u64, Option<Seal>) {
    let mut all = Vec::new();
    loop {
        match next(feed).await {
            FeedEvent::Snapshot(part) => {
                assert!(part.changes.len() <= FEED_PAGE as usize, "parts are bounded");
                all.extend(part.changes);
                if part.last {
                    return (all, part.at, part.seal);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Passes connections on to a server and counts them.
async fn counting_relay(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn what_a_host_says_goes_over_the_connection_of_its_feed_while_that_lasts() {
    let (server, store, host) = start().await;
    let (relay, connections) = counting_relay(server.address).await;
    let agent = client_at(relay, &server, &host);
    let mut feed = agent.follow(None).await.unwrap();
    let (id, _) = hello(&mut feed).await;
    snapshot(&mut feed).await;
    for number in 1..=3 {
        revoke_stray(&server, &*store, number).await;
        let told = change(&mut feed).await;
        let applied = FeedApplied {
            feed: id,
            number: told.number,
            seal: Some(told.seal),
            cut: 0,
            denies_after: None,
            refuses: true,
            roles: None,
        };
        agent.put_applied(&applied).await.unwrap();
    }
    assert_eq!(agent.whoami().await.unwrap().name, "web-1.fleet");
    assert_eq!(
        connections.load(Ordering::SeqCst),
        1,
        "nothing was dialled for it"
    );
    drop(feed);
    assert_eq!(agent.whoami().await.unwrap().name, "web-1.fleet");
    assert_eq!(
        connections.load(Ordering::SeqCst),
        2,
        "the feed's connection ends with it"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_revocation_reaches_who_follows_at_once_and_is_acknowledged() {
    let server = TestServer::sqlite().await;
    let host = server.join("host", "web-1.fleet").await;
    let victim = server.join("client", "bob").await;
    let (agent, admin) = (client(&server, &host), client(&server, &server.admin));
    let mut feed = agent.follow(None).await.unwrap();
    let (id, head) = hello(&mut feed).await;
    assert_eq!(head, 0);
    assert_eq!(snapshot(&mut feed).await, (Vec::new(), 0, None));
    let request = RevokeRequest::default();
    let revoked = admin.revoke_serial(&victim.serial, &request).await.unwrap();
    assert_eq!((revoked.applied.hosts, revoked.applied.applied), (1, 0));
    assert_eq!(revoked.applied.missing[0].name, "web-1.fleet");
    let told = change(&mut feed).await;
    assert_eq!(
        (told.number, told.previous, serial_of(&told)),
        (1, 0, victim.serial)
    );
    let query = AppliedQuery {
        number: Some(1),
        wait: Some(20),
    };
    let applied = FeedApplied {
        feed: id,
        number: 1,
        seal: Some(told.seal),
        cut: 3,
        denies_after: Some(60),
        refuses: true,
        roles: None,
    };
    let (waited, said) = tokio::join!(admin.applied(&query), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        agent.put_applied(&applied).await
    });
    said.unwrap();
    let waited = waited.unwrap();
    assert_eq!((waited.hosts, waited.applied, waited.cut), (1, 1, 3));
    assert_eq!(waited.missing, []);
    drop(feed);
    server.stop().await;
}

#[tokio::test]
async fn a_host_that_speaks_of_other_numbers_has_applied_nothing() {
    let (server, store, host) = start().await;
    revoke_stray(&server, &*store, 1).await;
    let agent = client(&server, &host);
    let mut feed = agent.follow(None).await.unwrap();
    let (id, _) = hello(&mut feed).await;
    let (_, at, seal) = snapshot(&mut feed).await;
    let right = FeedApplied {
        feed: id,
        number: at,
        seal,
        cut: 0,
        denies_after: None,
        refuses: true,
        roles: None,
    };
    let wrong = [
        FeedApplied {
            number: 2,
            ..right.clone()
        },
        FeedApplied {
            seal: None,
            ..right.clone()
        },
        FeedApplied {
            seal: Some(Seal::from_bytes([1; 16])),
            ..right.clone()
        },
        FeedApplied {
            feed: Id::from_bytes([1; 16]),
            ..right.clone()
        },
    ];
    for wrong in wrong {
        let refused = agent.put_applied(&wrong).await.unwrap_err();
        assert!(refused.to_string().contains("Follow the feed anew"), "{refused}");
    }
    let admin = client(&server, &server.admin);
    assert_eq!(admin.applied(&AppliedQuery::default()).await.unwrap().applied, 0);
    agent.put_applied(&right).await.unwrap();
    assert_eq!(admin.applied(&AppliedQuery::default()).await.unwrap().applied, 1);
    drop(feed);
    server.stop().await;
}

#[tokio::test]
async fn who_was_away_catches_up_in_order_and_loses_nothing() {
    let (server, store, host) = start().await;
    let agent = client(&server, &host);
    revoke_stray(&server, &*store, 1).await;
    let mut feed = agent.follow(None).await.unwrap();
    hello(&mut feed).await;
    let (known, at, seal) = snapshot(&mut feed).await;
    assert_eq!(known.len(), 1);
    drop(feed);
    let mut last = Position {
        number: at,
        seal: seal.unwrap(),
    };
    let count = u64::from(FEED_PAGE) * 2 + 50;
    for number in 2..=count {
        revoke_stray(&server, &*store, number).await;
    }
    // Interrupted again and again.
    let mut seen = Vec::new();
    while last.number < count {
        let mut feed = agent.follow(Some(&last)).await.unwrap();
        hello(&mut feed).await;
        for _ in 0..400.min(count - last.number) {
            let told = change(&mut feed).await;
            assert_eq!(told.previous, last.number);
            seen.push(serial_of(&told));
            last = position(&told);
        }
    }
    assert_eq!(seen, (2..=count).map(serial).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn who_is_far_behind_gets_what_still_matters() {
    let (server, store, host) = start().await;
    let agent = client(&server, &host);
    revoke_stray(&server, &*store, 0).await;
    let mut feed = agent.follow(None).await.unwrap();
    hello(&mut feed).await;
    let (_, at, seal) = snapshot(&mut feed).await;
    drop(feed);
    server.clock.advance(Duration::from_secs(26 * 3600));
    let count = FEED_BEHIND_MAX + 1;
    for number in 1..=count {
        revoke_stray(&server, &*store, number).await;
    }
    let position = Position {
        number: at,
        seal: seal.unwrap(),
    };
    let mut feed = loop {
        // The server renews its own certificate after the clock jumped.
        match agent.follow(Some(&position)).await {
            Ok(feed) => break feed,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    hello(&mut feed).await;
    let (changes, at, _) = snapshot(&mut feed).await;
    assert_eq!(at, count + 1);
    let serials: BTreeSet<_> = changes.iter().map(serial_of).collect();
    assert_eq!(
        serials,
        (1..=count).map(serial).collect(),
        "what has long expired is left out"
    );
    revoke_stray(&server, &*store, count + 1).await;
    assert_eq!(change(&mut feed).await.previous, at);
    drop(feed);
    server.stop().await;
}

#[tokio::test]
async fn the_feed_ends_for_who_is_revoked_and_when_the_server_stops() {
    let (server, _, host) = start().await;
    let other = server.join("host", "web-2.fleet").await;
    let (agent, second) = (client(&server, &host), client(&server, &other));
    let mut feed = agent.follow(None).await.unwrap();
    let mut others = second.follow(None).await.unwrap();
    for feed in [&mut feed, &mut others] {
        hello(feed).await;
        snapshot(feed).await;
    }
    let admin = client(&server, &server.admin);
    admin
        .revoke_identity("web-1.fleet", &RevokeRequest::default())
        .await
        .unwrap();
    assert_eq!(serial_of(&change(&mut feed).await), host.serial);
    let ended = tokio::time::timeout(PATIENCE, feed.next()).await.unwrap();
    assert!(matches!(ended, Err(Error::Closed { .. })), "{ended:?}");
    let refused = agent.follow(None).await.unwrap_err();
    assert!(refused.to_string().contains("revoked"), "{refused}");
    assert_eq!(serial_of(&change(&mut others).await), host.serial);
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), others.next())
        .await
        .unwrap();
    assert!(matches!(ended, Err(Error::Closed { .. })), "{ended:?}");
    server.stop().await;
}

#[tokio::test]
async fn something_is_said_when_nothing_happens() {
    let (server, _, host) = start().await;
    let mut feed = client(&server, &host).follow(None).await.unwrap();
    hello(&mut feed).await;
    snapshot(&mut feed).await;
    match next(&mut feed).await {
        FeedEvent::Heartbeat(heartbeat) => assert_eq!(heartbeat.head, 0),
        other => panic!("{other:?}"),
    }
    drop(feed);
    server.stop().await;
}

/// A server that knows the first `count` of the same feed: what a backup would hold.
async fn restored_with(count: u64) -> (TestServer, Arc<dyn Store>, Credentials, Vec<FeedChange>) {
    let (server, store, host) = start().await;
    for number in 1..=count {
        revoke_stray(&server, &*store, number).await;
    }
    let mut feed = client(&server, &host).follow(None).await.unwrap();
    hello(&mut feed).await;
    let (changes, ..) = snapshot(&mut feed).await;
    (server, store, host, changes)
}

/// What the server would have said of a revocation that it made and lost: sealed with its own key.
async fn forgotten(server: &TestServer, number: u64) -> FeedChange {
    use dockwarden::model::{Change, ChangeKind, Revocation};
    let now = server.clock_now();
    let (not_after, reason) = (now + Duration::from_secs(3600), RevocationReason::KeyCompromise);
    let name = format!("client-{number}");
    let change = Change {
        number,
        previous: number - 1,
        at: now,
        kind: ChangeKind::Revoked(Box::new(Revocation {
            feed: number,
            issuer: IssuerKind::Clients,
            serial: serial(number),
            not_after,
            revoked_at: now,
            reason,
            name: name.parse().unwrap(),
            identity: None,
            by: String::new(),
        })),
    };
    FeedChange {
        number,
        previous: number - 1,
        seal: server.service.feed_origin().await.unwrap().key.seal(&change),
        at: now,
        kind: FeedChangeKind::Revoked(dockwarden::wire::FeedRevoked {
            issuer: IssuerKind::Clients,
            serial: serial(number),
            name,
            not_after,
            reason,
        }),
    }
}

async fn follow_and_lose(agent: &Client, last: &FeedChange) -> u64 {
    let mut feed = agent.follow(Some(&position(last))).await.unwrap();
    hello(&mut feed).await;
    match next(&mut feed).await {
        FeedEvent::Lost(lost) => {
            let ended = tokio::time::timeout(PATIENCE, feed.next()).await.unwrap();
            assert!(matches!(ended, Err(Error::Closed { .. })), "{ended:?}");
            lost.have
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_restored_server_notices_says_so_and_gets_back_what_it_lost() {
    let (server, store, host, _) = restored_with(3).await;
    let agent = client(&server, &host);
    // The host has followed further than this database: to 4 and 5.
    let lost = [forgotten(&server, 4).await, forgotten(&server, 5).await];
    assert_eq!(
        follow_and_lose(&agent, &lost[1]).await,
        3,
        "what both know is not asked back"
    );
    assert!(
        server
            .audited()
            .await
            .contains(&("feed.lost".to_owned(), "ok".to_owned()))
    );
    let known = FeedKnown {
        feed: server.service.feed_origin().await.unwrap().feed,
        changes: lost.to_vec(),
        last: true,
    };
    let taken = agent.give_back(&known).await.unwrap();
    assert_eq!((taken.regained, taken.refused), (2, 0));
    assert!(
        taken.head > 1_000_000,
        "no number is given out twice: {}",
        taken.head
    );
    for number in 1..=5 {
        assert!(
            store.revocation(&serial(number)).await.unwrap().is_some(),
            "{number}"
        );
    }
    let ready = server.get(None, "/readyz").await;
    assert_eq!(
        (ready.status, ready.json()["status"].as_str()),
        (200, Some("degraded"))
    );
    let again = agent.give_back(&known).await.unwrap();
    assert_eq!((again.regained, again.head), (0, taken.head));
    // Followed to the end by every host, it is settled.
    let mut feed = agent.follow(None).await.unwrap();
    let (id, head) = hello(&mut feed).await;
    let (changes, at, seal) = snapshot(&mut feed).await;
    assert_eq!((at, changes.len()), (head, 5));
    server.service.settle_when_heard().await.unwrap();
    assert!(
        server.service.unsettled().await.unwrap().is_some(),
        "this host has not said so yet"
    );
    let applied = FeedApplied {
        feed: id,
        number: at,
        seal,
        cut: 0,
        denies_after: None,
        refuses: true,
        roles: None,
    };
    agent.put_applied(&applied).await.unwrap();
    server.service.settle_when_heard().await.unwrap();
    assert_eq!(server.get(None, "/readyz").await.json()["status"], "ready");
    drop(feed);
    server.stop().await;
}

#[tokio::test]
async fn a_number_that_was_given_out_twice_is_noticed_by_its_seal() {
    let (server, _, host, changes) = restored_with(6).await;
    let agent = client(&server, &host);
    let mut other = changes[4].clone();
    other.seal = Seal::from_bytes([9; 16]);
    assert_eq!(follow_and_lose(&agent, &other).await, 0);
    let mut feed = agent.follow(Some(&position(&changes[4]))).await.unwrap();
    hello(&mut feed).await;
    assert_eq!(change(&mut feed).await.number, 6);
    drop(feed);
    server.stop().await;
}

#[tokio::test]
async fn nobody_revokes_by_giving_back_what_the_server_never_said() {
    let (server, store, host, _) = restored_with(1).await;
    let agent = client(&server, &host);
    let mut forged = forgotten(&server, 2).await;
    if let FeedChangeKind::Revoked(revoked) = &mut forged.kind {
        revoked.serial = server.admin.serial.clone();
    }
    let feed = server.service.feed_origin().await.unwrap().feed;
    let known = FeedKnown {
        feed,
        changes: vec![forged],
        last: true,
    };
    let taken = agent.give_back(&known).await.unwrap();
    assert_eq!((taken.regained, taken.refused, taken.head), (0, 1, 1));
    assert!(store.revocation(&server.admin.serial).await.unwrap().is_none());
    assert!(
        server
            .audited()
            .await
            .contains(&("feed.regain".to_owned(), "not-our-seal".to_owned()))
    );
    let elsewhere = FeedKnown {
        feed: Id::from_bytes([1; 16]),
        ..known
    };
    let refused = agent.give_back(&elsewhere).await.unwrap_err();
    assert!(refused.to_string().contains("another feed"), "{refused}");
    assert_eq!(server.get(None, "/readyz").await.json()["status"], "ready");
    server.stop().await;
}

#[tokio::test]
async fn an_admin_may_decide_to_wait_no_longer() {
    let (server, store, ..) = restored_with(1).await;
    store.restored(Actor::System, server.clock_now()).await.unwrap();
    assert_eq!(server.get(None, "/readyz").await.json()["status"], "degraded");
    let operator = server
        .person("operator", dockwarden::model::Permission::Operator)
        .await;
    let refused = server
        .call(Some(&operator), "POST", "/v1/feed/settle", None)
        .await;
    assert_eq!(refused.outcome(), (403, "forbidden".to_owned()));
    for settled in [true, false] {
        let answer = server
            .call(Some(&server.admin), "POST", "/v1/feed/settle", None)
            .await;
        assert_eq!(answer.json()["settled"], settled);
    }
    assert_eq!(server.get(None, "/readyz").await.json()["status"], "ready");
    server.stop().await;
}
