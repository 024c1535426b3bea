//! Problems, and what people are told of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::problem::{
    Area, ChannelRule, Finding, Notification, NotificationEvent, ProblemKind, Severity, Telling,
};
use crate::store::{DeliveryOrder, FindingsOrder, Found, PruneOrder, Store, TestOrder};

super::on_every_store!(
    a_problem_is_kept_once_and_told_to_who_takes_it,
    what_is_over_is_found_by_its_own_scan_alone,
    order_is_kept_per_problem_and_channel,
    one_reminder_waits_at_a_time,
    lists_of_problems_and_notifications_are_walked_by_number,
    a_test_waits_for_nothing_and_is_audited,
    what_nothing_can_be_said_of_stays_as_it_is,
    what_waits_for_a_window_to_close_is_not_late_before,
    a_reminder_that_waits_is_not_forgotten_beside_other_deliveries,
    what_is_over_and_told_is_removed_when_it_is_old_and_its_numbers_are_not_given_again,
);

fn finding(key: &str, severity: Severity) -> Finding {
    Finding {
        key: key.to_owned(),
        kind: ProblemKind::RenewalMissed,
        severity,
        subject: key.to_owned(),
        message: format!("\"{key}\" 'is' late; -- <b>"),
    }
}

async fn scan(store: &Arc<dyn Store>, area: Area, found: &[(&str, Severity)], now: Timestamp) -> Found {
    store.record_findings(order(area, found, now)).await.unwrap()
}

fn order(area: Area, found: &[(&str, Severity)], now: Timestamp) -> FindingsOrder {
    let channel = |name: &str, least| ChannelRule {
        name: name.to_owned(),
        least,
    };
    FindingsOrder {
        area,
        found: found
            .iter()
            .map(|(key, severity)| finding(key, *severity))
            .collect(),
        unsure: BTreeSet::new(),
        is_whole: true,
        channels: vec![
            channel("chat", Severity::Notice),
            channel("pager", Severity::Critical),
        ],
        telling: Telling {
            quiet_until: None,
            remind_every: Duration::from_secs(86_400),
            escalate_after: None,
        },
        draw: id(77),
        now,
    }
}

async fn all(store: &Arc<dyn Store>) -> Vec<Notification> {
    let mut all = walk(3, |page| store.notifications(false, page)).await;
    all.reverse();
    all
}

async fn events(store: &Arc<dyn Store>) -> Vec<(String, NotificationEvent, String)> {
    let all = all(store).await.into_iter();
    all.map(|n| (n.channel, n.event, n.problem.key)).collect()
}

async fn attempt(store: &Arc<dyn Store>, number: u64, failed: Option<(&str, Timestamp)>, now: Timestamp) {
    let failed = failed.map(|(why, at)| (why.to_owned(), at));
    store
        .record_attempt(DeliveryOrder { number, failed, now })
        .await
        .unwrap();
}

async fn a_problem_is_kept_once_and_told_to_who_takes_it(store: Arc<dyn Store>) {
    use NotificationEvent::{Escalated, Opened, Resolved};
    use Severity::{Critical, Warning};
    let first = scan(&store, Area::Hosts, &[("host/a", Warning)], hour(0)).await;
    assert_eq!((first.open, first.opened, first.queued), (1, 1, 1));
    let again = scan(&store, Area::Hosts, &[("host/a", Warning)], hour(1)).await;
    assert_eq!((again.opened, again.queued), (0, 0));
    scan(&store, Area::Hosts, &[("host/a", Critical)], hour(2)).await;
    let open = store.problems(false, pages(10)).await.unwrap().items;
    assert_eq!((open.len(), open[0].severity), (1, Critical));
    assert_eq!((open[0].first_seen, open[0].last_seen), (hour(0), hour(2)));
    assert_eq!(open[0].message, "\"host/a\" 'is' late; -- <b>");
    assert_eq!(scan(&store, Area::Hosts, &[], hour(3)).await.resolved, 1);
    let told = |channel: &str, event| (channel.to_owned(), event, "host/a".to_owned());
    assert_eq!(
        events(&store).await,
        [
            told("chat", Opened),
            told("chat", Escalated),
            told("pager", Escalated),
            told("chat", Resolved),
            told("pager", Resolved),
        ]
    );
    assert!(store.problems(false, pages(10)).await.unwrap().items.is_empty());
    scan(&store, Area::Hosts, &[("host/a", Warning)], hour(4)).await;
    let both = store.problems(true, pages(10)).await.unwrap().items;
    assert_eq!(
        both.iter().map(|p| p.number).collect::<Vec<_>>(),
        [2, 1],
        "another time is another problem"
    );
    assert_eq!(both[1].resolved_at, Some(hour(3)));
    let ids: BTreeSet<_> = all(&store).await.into_iter().map(|n| n.id).collect();
    assert_eq!(ids.len(), 6, "no id names two");
}

async fn what_is_over_is_found_by_its_own_scan_alone(store: Arc<dyn Store>) {
    scan(&store, Area::Hosts, &[("host/a", Severity::Warning)], hour(0)).await;
    scan(&store, Area::Clients, &[("client/b", Severity::Warning)], hour(0)).await;
    assert_eq!(scan(&store, Area::Server, &[], hour(1)).await.resolved, 0);
    assert_eq!(scan(&store, Area::Clients, &[], hour(1)).await.resolved, 1);
    let open = store.problems(false, pages(10)).await.unwrap().items;
    assert_eq!(open[0].key, "host/a");
}

async fn order_is_kept_per_problem_and_channel(store: Arc<dyn Store>) {
    let next = async |channel: &str, now| {
        let next = store.next_notification(channel, now).await.unwrap();
        next.map(|n| (n.number, n.problem.key, n.event))
    };
    scan(&store, Area::Hosts, &[("host/a", Severity::Warning)], hour(0)).await;
    scan(&store, Area::Hosts, &[], hour(1)).await;
    scan(&store, Area::Hosts, &[("host/b", Severity::Warning)], hour(2)).await;
    assert_eq!(next("pager", hour(9)).await, None);
    let (first, _, event) = next("chat", hour(9)).await.unwrap();
    assert_eq!(event, NotificationEvent::Opened);
    attempt(&store, first, Some(("refused", hour(20))), hour(9)).await;
    let (second, key, _) = next("chat", hour(9)).await.unwrap();
    assert_eq!(key, "host/b", "the end of a waits for its beginning, b does not");
    attempt(&store, second, None, hour(9)).await;
    attempt(&store, second, Some(("late", hour(30))), hour(9)).await;
    assert_eq!(next("chat", hour(19)).await, None);
    let waiting = store.waiting("chat").await.unwrap();
    assert_eq!((waiting.count, waiting.oldest), (2, Some(hour(0))));
    let (again, _, _) = next("chat", hour(20)).await.unwrap();
    assert_eq!(again, first);
    attempt(&store, first, None, hour(20)).await;
    let (last, _, event) = next("chat", hour(20)).await.unwrap();
    assert_eq!(event, NotificationEvent::Resolved);
    attempt(&store, last, None, hour(20)).await;
    assert_eq!(store.waiting("chat").await.unwrap().count, 0);
    let sent = &all(&store).await[0];
    assert_eq!(
        (sent.attempts, sent.error.as_deref(), sent.delivered_at),
        (1, Some("refused"), Some(hour(20)))
    );
}

async fn one_reminder_waits_at_a_time(store: Arc<dyn Store>) {
    let reminders = async || {
        let events = events(&store).await.into_iter();
        events
            .filter(|(_, event, _)| *event == NotificationEvent::Reminder)
            .count()
    };
    for day in 0..4 {
        scan(
            &store,
            Area::Hosts,
            &[("host/a", Severity::Warning)],
            hour(24 * day),
        )
        .await;
    }
    assert_eq!(reminders().await, 1, "nobody took the first one yet");
    for number in 1..=2 {
        attempt(&store, number, None, hour(80)).await;
    }
    scan(
        &store,
        Area::Hosts,
        &[("host/a", Severity::Warning)],
        hour(24 * 5),
    )
    .await;
    assert_eq!(reminders().await, 2);
}

async fn lists_of_problems_and_notifications_are_walked_by_number(store: Arc<dyn Store>) {
    let keys: Vec<String> = (0..7).map(|n| format!("host/{n}")).collect();
    let found: Vec<_> = keys.iter().map(|key| (key.as_str(), Severity::Warning)).collect();
    scan(&store, Area::Hosts, &found, hour(0)).await;
    scan(&store, Area::Hosts, &found[2..], hour(1)).await;
    let open = walk(2, |page| store.problems(false, page)).await;
    assert!(open.iter().map(|p| p.number).eq([7, 6, 5, 4, 3]));
    assert_eq!(walk(2, |page| store.problems(true, page)).await.len(), 7);
    attempt(&store, 4, None, hour(2)).await;
    let waiting = walk(2, |page| store.notifications(true, page)).await;
    assert!(waiting.iter().map(|n| n.number).eq([9, 8, 7, 6, 5, 3, 2, 1]));
}

async fn a_test_waits_for_nothing_and_is_audited(store: Arc<dyn Store>) {
    let order = |number| TestOrder {
        channel: "chat".to_owned(),
        id: id(number),
        actor: alice(),
        source: None,
        now: hour(0),
    };
    let first = store.queue_test(order(1)).await.unwrap();
    let second = store.queue_test(order(2)).await.unwrap();
    attempt(&store, first, Some(("refused", hour(5))), hour(0)).await;
    let next = store.next_notification("chat", hour(0)).await.unwrap().unwrap();
    assert_eq!((next.number, next.event), (second, NotificationEvent::Test));
    assert_eq!(actions(&*store).await, ["notify.test ok", "notify.test ok"]);
}

async fn what_nothing_can_be_said_of_stays_as_it_is(store: Arc<dyn Store>) {
    let both = [("host/a", Severity::Critical), ("host/b", Severity::Warning)];
    scan(&store, Area::Hosts, &both, hour(0)).await;
    let mut unsure = order(Area::Hosts, &[], hour(1));
    unsure.unsure.insert("host/a".to_owned());
    let found = store.record_findings(unsure).await.unwrap();
    assert_eq!((found.open, found.resolved), (1, 1));
    let critical = (ProblemKind::RenewalMissed, Severity::Critical);
    assert_eq!(found.counts.into_iter().collect::<Vec<_>>(), [(critical, 1)]);
    let mut part = order(Area::Hosts, &[("host/c", Severity::Warning)], hour(2));
    part.is_whole = false;
    let found = store.record_findings(part).await.unwrap();
    assert_eq!((found.open, found.opened, found.resolved), (2, 1, 0));
    let open = store.problems(false, pages(10)).await.unwrap().items;
    let seen: Vec<_> = open.iter().map(|p| (p.key.as_str(), p.last_seen)).collect();
    assert_eq!(seen, [("host/c", hour(2)), ("host/a", hour(0))]);
}

async fn what_waits_for_a_window_to_close_is_not_late_before(store: Arc<dyn Store>) {
    scan(&store, Area::Hosts, &[("host/a", Severity::Warning)], hour(0)).await;
    attempt(&store, 1, None, hour(0)).await;
    let mut quiet = order(Area::Hosts, &[], hour(1));
    quiet.telling.quiet_until = Some(hour(5));
    assert_eq!(store.record_findings(quiet).await.unwrap().queued, 1);
    assert_eq!(store.next_notification("chat", hour(4)).await.unwrap(), None);
    let waiting = store.waiting("chat").await.unwrap();
    assert_eq!((waiting.count, waiting.oldest), (1, Some(hour(5))));
    attempt(&store, 2, Some(("refused", hour(6))), hour(5)).await;
    assert_eq!(store.waiting("chat").await.unwrap().oldest, Some(hour(5)));
}

async fn a_reminder_that_waits_is_not_forgotten_beside_other_deliveries(store: Arc<dyn Store>) {
    let both = [("host/a", Severity::Warning), ("host/b", Severity::Warning)];
    scan(&store, Area::Hosts, &both, hour(0)).await;
    assert_eq!(scan(&store, Area::Hosts, &both, hour(24)).await.queued, 2);
    // At once, so that a store that groups what it writes has both in one group.
    let delivered = DeliveryOrder {
        number: 1,
        failed: None,
        now: hour(48),
    };
    let (attempted, found) = tokio::join!(
        store.record_attempt(delivered),
        store.record_findings(order(Area::Hosts, &both, hour(48)))
    );
    attempted.unwrap();
    assert_eq!(found.unwrap().queued, 0, "both reminders wait still");
}

fn over_before(before: Timestamp) -> PruneOrder {
    PruneOrder {
        certificates: None,
        tokens: None,
        audit: None,
        problems: Some(before),
        limit: 2,
        now: before,
    }
}

async fn what_is_over_and_told_is_removed_when_it_is_old_and_its_numbers_are_not_given_again(
    store: Arc<dyn Store>,
) {
    let found: Vec<_> = ["host/a", "host/b", "host/c", "host/d"]
        .into_iter()
        .map(|key| (key, Severity::Warning))
        .collect();
    scan(&store, Area::Hosts, &found, hour(0)).await;
    scan(&store, Area::Hosts, &found[..1], hour(1)).await;
    for number in 1..=6 {
        attempt(&store, number, None, hour(2)).await;
    }
    assert_eq!(
        store.prune(over_before(hour(1))).await.unwrap().most(),
        0,
        "not before"
    );
    let mut steps = Vec::new();
    for _ in 0..4 {
        let pruned = store.prune(over_before(hour(9))).await.unwrap();
        steps.push((pruned.problems, pruned.notifications));
    }
    // Of the problems one lasts, and the newest stays; of the notifications one was not delivered, and is the newest.
    assert_eq!(steps, [(2, 2), (0, 2), (0, 2), (0, 0)]);
    let left = store.problems(true, pages(10)).await.unwrap().items;
    assert!(left.iter().map(|p| p.number).eq([4, 1]));
    assert!(all(&store).await.iter().map(|n| n.number).eq([7]));
    scan(&store, Area::Hosts, &found[..2], hour(10)).await;
    let open = store.problems(false, pages(10)).await.unwrap().items;
    assert!(open.iter().map(|p| p.number).eq([5, 1]));
    assert_eq!(all(&store).await.last().unwrap().number, 8);
    assert_eq!(actions(&*store).await, ["prune ok", "prune ok", "prune ok"]);
}
