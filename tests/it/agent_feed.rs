//! The follower of the feed: what was revoked and acknowledged stays refused, whatever happens to the connection, the
//! process, the disk, the clock and the server's database.

use std::sync::LazyLock;
use std::time::Duration;

use dockwarden::agent::feed::Turn;
use dockwarden::model::role::{Body, Decision, HostRoles, Request, RolesDigest, Verdict};
use dockwarden::sys::fake::Fault;
use proptest::prelude::*;

use crate::support::feed::{Host, STATE, serial};
use crate::support::pki::{DAY, Fleet};

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::new);

fn known() -> String {
    format!("{STATE}/feed/known")
}

#[tokio::test]
async fn a_fleet_that_never_revoked_anything_is_followed() {
    let mut host = Host::new(&FLEET);
    host.catch_up().await;
    assert_eq!(host.state.view().place.unwrap().number, 0);
    assert!(host.state.view().heard_at.is_some());
}

#[tokio::test]
async fn what_is_revoked_is_refused_kept_and_acknowledged() {
    let mut host = Host::new(&FLEET);
    host.server.state().told.revoke(&serial(1));
    host.turn(usize::MAX).await;
    host.server.state().told.revoke(&serial(2));
    host.turn(usize::MAX).await;
    assert!(host.refuses(&serial(1)) && host.refuses(&serial(2)) && !host.refuses(&serial(3)));
    let applied = host.server.state().last_acknowledged.clone().unwrap();
    assert_eq!((applied.number, applied.denies_after), (2, Some(86_400)));
    // The server is gone, the process starts anew.
    host.start();
    assert!(host.refuses(&serial(1)) && host.refuses(&serial(2)));
    assert_eq!(host.state.view().place.unwrap().number, 2);
}

fn may(host: &Host, client: &str) -> Verdict {
    let request = Request::classify("GET", "/info").unwrap();
    host.state.roles().decide(client, &request, Body::Unread)
}

const ALLOWED: Verdict = Verdict::Decided(Decision::Allowed);

#[tokio::test]
async fn roles_count_at_once_and_the_last_known_ones_while_the_server_is_away() {
    let mut host = Host::new(&FLEET);
    assert_eq!(may(&host, "alice"), Verdict::Unknown);
    let roles =
        |client: &str| serde_json::from_value(serde_json::json!({"clients": {client: ["viewer"]}})).unwrap();
    host.server.state().told.roles = Some(roles("alice"));
    host.turn(usize::MAX).await;
    assert_eq!(may(&host, "alice"), ALLOWED);
    // The server is gone, the process starts anew.
    host.start();
    assert_eq!(may(&host, "alice"), ALLOWED);
    assert_ne!(may(&host, "bob"), ALLOWED);
    host.server.state().told.roles = Some(roles("bob"));
    host.turn(usize::MAX).await;
    host.start();
    assert_eq!(may(&host, "bob"), ALLOWED);
    assert_ne!(may(&host, "alice"), ALLOWED);
    // Who wrote into the file said nothing: nobody gets in before the server is heard of.
    host.disk.plant(
        format!("{STATE}/feed/roles.json"),
        "{\"clients\": {\"mallory\": [\"adm",
    );
    host.start();
    assert_eq!(may(&host, "bob"), Verdict::Unknown);
    host.turn(usize::MAX).await;
    assert_eq!(may(&host, "bob"), ALLOWED);
}

#[tokio::test]
async fn roles_are_acknowledged_once_they_count_and_said_to_be_known_on_the_next_connection() {
    let mut host = Host::new(&FLEET);
    host.turn(usize::MAX).await;
    assert_eq!(host.server.state().said_roles, Some(RolesDigest::NOTHING));
    let roles: HostRoles = serde_json::from_value(serde_json::json!({
        "roles": {"pinger": {"rules": {}, "allow": ["SystemPing"]}},
        "clients": {"alice": ["viewer", "pinger"]},
    }))
    .unwrap();
    host.server.state().told.roles = Some(roles.clone());
    host.turn(usize::MAX).await;
    let said = |host: &Host| host.server.state().last_acknowledged.clone().unwrap().roles;
    assert_eq!(said(&host), Some(RolesDigest::of(&roles)));
    // Another process goes on with what was kept, and says so.
    host.start();
    host.turn(usize::MAX).await;
    assert_eq!(host.server.state().said_roles, Some(RolesDigest::of(&roles)));
    host.state.set_refuses(false);
    host.server.state().told.revoke(&serial(1));
    host.turn(usize::MAX).await;
    assert_eq!(said(&host), None, "where nothing enforces them there are none");
}

#[tokio::test]
async fn another_server_in_its_place_takes_nothing_back() {
    let mut host = Host::new(&FLEET);
    host.server.state().told.revoke(&serial(1));
    host.catch_up().await;
    host.server.replace_by_another();
    host.server.state().told.revoke(&serial(2));
    host.catch_up().await;
    assert!(host.refuses(&serial(1)) && host.refuses(&serial(2)));
    assert_eq!(host.state.view().place.unwrap().number, 1);
    host.start();
    assert!(host.refuses(&serial(1)) && host.refuses(&serial(2)));
}

#[tokio::test]
async fn a_restored_server_gets_back_what_it_lost() {
    for by_hand in [false, true] {
        let mut host = Host::new(&FLEET);
        host.server.state().told.revoke(&serial(1));
        host.catch_up().await;
        let backup = host.server.state().told.clone();
        host.server.state().told.revoke(&serial(2));
        host.catch_up().await;
        {
            let mut state = host.server.state();
            state.told = backup;
            if !by_hand {
                state.told.jump();
            }
            state.told.revoke(&serial(3));
        }
        host.catch_up().await;
        let told = host.server.state().told.clone();
        for number in 1..=3 {
            assert!(told.serials().contains(&serial(number)), "{number} {by_hand}");
            assert!(host.refuses(&serial(number)), "{number} {by_hand}");
        }
        assert_eq!(host.state.view().given_back, 1);
        assert_eq!(host.state.view().place.unwrap().number, told.head());
    }
}

#[tokio::test]
async fn damaged_files_make_nothing_weaker() {
    for damaged in ["known", "known.journal"] {
        let mut host = Host::new(&FLEET);
        for number in 1..=3 {
            host.server.state().told.revoke(&serial(number));
            host.catch_up().await;
        }
        let path = format!("{STATE}/feed/{damaged}");
        host.disk.plant(&path, "nonsense");
        host.start();
        for number in 1..=3 {
            assert!(host.refuses(&serial(number)), "{damaged} {number}");
        }
        let enforced = host.state.enforced().clone();
        assert!(
            enforced.stale_since(host.now()).is_some(),
            "{damaged}: it cannot know what else there was"
        );
        assert_eq!(
            host.turn(usize::MAX).await,
            Some(Turn::Failed),
            "the fake ends every connection"
        );
        enforced.heard(host.now());
        assert_eq!(
            enforced.stale_since(host.now()),
            None,
            "until it has heard everything"
        );
    }
}

#[tokio::test]
async fn a_torn_end_of_the_journal_costs_nothing_but_a_repetition() {
    let mut host = Host::new(&FLEET);
    for number in 1..=2 {
        host.server.state().told.revoke(&serial(number));
        host.catch_up().await;
    }
    let path = format!("{STATE}/feed/known.journal");
    let mut bytes = host.disk.peek(&path).unwrap();
    bytes.truncate(bytes.len() - 3);
    host.disk.plant(&path, bytes);
    host.start();
    assert!(host.refuses(&serial(1)));
    host.server.state().told.revoke(&serial(3));
    host.catch_up().await;
    host.start();
    for number in 1..=3 {
        assert!(host.refuses(&serial(number)), "{number}");
    }
    assert!(host.disk.peek(known()).is_some());
}

#[tokio::test]
async fn how_long_a_host_goes_on_alone_is_not_begun_anew_by_a_restart() {
    let mut host = Host::new(&FLEET);
    host.catch_up().await;
    host.clock.advance(DAY - Duration::from_secs(3600));
    host.start();
    assert_eq!(host.state.enforced().stale_since(host.now()), None);
    host.clock.advance(Duration::from_secs(3600));
    assert!(host.state.enforced().stale_since(host.now()).is_some());
    host.start();
    assert!(host.state.enforced().stale_since(host.now()).is_some());
    // A clock that is set back, or a machine that starts in 1970, is not stale for ever, nor fresh for ever.
    host.clock.set(host.now() - DAY * 2);
    host.start();
    assert_eq!(host.state.enforced().stale_since(host.now()), None);
    host.state.enforced().pass(DAY);
    assert!(host.state.enforced().stale_since(host.now()).is_some());
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    Revoke,
    RevokeMany,
    /// A connection that breaks off after so many events.
    Follow(usize),
    BackUp,
    /// As `server restore` does it.
    Restore,
    /// A database file that somebody copied back.
    CopyBack,
    /// `kill -9` so many steps of the disk into a connection, and a new process.
    Kill(usize),
    /// The same with the power.
    PowerFailure(usize),
    /// That step of the disk fails, the process lives.
    DiskFails(usize),
    ClockJumps(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Revoke),
        1 => Just(Event::RevokeMany),
        4 => (0usize..14).prop_map(Event::Follow),
        2 => Just(Event::Follow(usize::MAX)),
        1 => Just(Event::BackUp),
        1 => Just(Event::Restore),
        1 => Just(Event::CopyBack),
        2 => (1usize..16).prop_map(Event::Kill),
        2 => (1usize..16).prop_map(Event::PowerFailure),
        2 => (1usize..16).prop_map(Event::DiskFails),
        1 => any::<bool>().prop_map(Event::ClockJumps),
    ]
}

async fn happen(host: &mut Host, event: &Event, next: &mut u64) {
    let mut revoke = || {
        *next += 1;
        host.server.state().told.revoke(&serial(*next));
    };
    match event {
        Event::Revoke => revoke(),
        Event::RevokeMany => (0..8).for_each(|_| revoke()),
        Event::Follow(budget) => {
            host.turn(*budget).await;
        }
        Event::BackUp => {
            let mut state = host.server.state();
            state.backup = state.told.clone();
        }
        Event::Restore | Event::CopyBack => {
            let mut state = host.server.state();
            // What was never acknowledged by any host is lost with the database: that is no promise.
            state.told = state.backup.clone();
            if matches!(event, Event::Restore) {
                state.told.jump();
            }
        }
        Event::Kill(step) | Event::PowerFailure(step) => {
            host.disk.fail_at(host.disk.steps() + step, Fault::Stop);
            host.turn(usize::MAX).await;
            host.follower = None;
            match event {
                Event::PowerFailure(_) => host.disk.power_failure(),
                _ => host.disk.restart(),
            }
            host.disk.heal();
            host.start();
        }
        Event::DiskFails(step) => {
            host.disk.fail_at(
                host.disk.steps() + step,
                Fault::Fail(std::io::ErrorKind::StorageFull),
            );
            host.turn(usize::MAX).await;
            host.disk.heal();
        }
        Event::ClockJumps(forward) => {
            let now = host.now();
            host.clock.set(if *forward { now + DAY } else { now - DAY });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_revocation_that_was_acknowledged_is_refused_whatever_happens(
        events in prop::collection::vec(event(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut host = Host::new(&FLEET);
            let mut next = 0;
            for event in &events {
                happen(&mut host, event, &mut next).await;
                let acknowledged = host.server.state().acknowledged.clone();
                for serial in &acknowledged {
                    prop_assert!(host.refuses(serial), "{serial} after {event:?}");
                }
            }
            host.catch_up().await;
            let (told, acknowledged) = {
                let state = host.server.state();
                (state.told.clone(), state.acknowledged.clone())
            };
            for serial in told.serials() {
                prop_assert!(host.refuses(&serial), "{serial} at the end");
            }
            for serial in &acknowledged {
                prop_assert!(told.serials().contains(serial), "{serial} was not given back");
            }
            prop_assert_eq!(host.state.view().place.map_or(0, |place| place.number), told.head());
            Ok(())
        })?;
    }
}
