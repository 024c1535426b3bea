//! Problems, and what people are told of them.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::*;
use crate::base::Timestamp;
use crate::model::problem::{
    Area, ChannelRule, Finding, Notification, NotificationEvent, ProblemKind, Severity, Telling,
};
use crate::store::{DeliveryOrder, FindingsOrder, Found, Store, TestOrder};

super::on_every_store!(
    a_problem_is_kept_once_and_told_to_who_takes_it,
    what_is_over_is_found_by_its_own_scan_alone,
    order_is_kept_per_problem_and_channel,
    one_reminder_waits_at_a_time,
    lists_of_problems_and_notifications_are_walked_by_number,
    a_test_waits_for_nothing_and_is_audited,
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
    let channel = |name: &str, least| ChannelRule {
        name: name.to_owned(),
        least,
    };
    let order = FindingsOrder {
        area,
        found: found
            .iter()
            .map(|(key, severity)| finding(key, *severity))
            .collect(),
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
    };
    store.record_findings(order).await.unwrap()
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
    let ids: std::collections::BTreeSet<_> = all(&store).await.into_iter().map(|n| n.id).collect();
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
