//! Problems, and what people are told of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::events;
use super::super::op::Answer;
use super::super::problems::{DeliveryOrder, FindingsOrder, Found, TestOrder};
use super::State;
use crate::base::{Id, Timestamp, encoding};
use crate::model::problem::{
    Area, Finding, Notification, NotificationEvent, Problem, ProblemKind, Severity, tell,
};

/// Notifications and problems by their numbers, and the last numbers that were given.
#[derive(Debug, Default)]
pub(super) struct Board {
    problems: BTreeMap<u64, Problem>,
    notifications: BTreeMap<u64, Notification>,
    /// Channels and problems of which a reminder still waits.
    reminded: BTreeSet<(String, u64)>,
    last_problem: u64,
    last_notification: u64,
}

impl Found {
    fn note(&mut self, open: &Problem) {
        self.open += 1;
        *self.counts.entry((open.kind, open.severity)).or_default() += 1;
    }
}

fn oldest(rows: impl Iterator<Item = (Timestamp, u64)>, limit: usize) -> BTreeSet<u64> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows.into_iter().take(limit).map(|(_, number)| number).collect()
}

impl State {
    pub(super) fn record_findings(&mut self, order: &FindingsOrder) -> Answer {
        let open: BTreeMap<String, Problem> = self
            .board
            .problems
            .values()
            .filter(|problem| problem.area == order.area && problem.resolved_at.is_none())
            .map(|problem| (problem.key.clone(), problem.clone()))
            .collect();
        let found: BTreeMap<&str, &Finding> = order.found.iter().map(|f| (f.key.as_str(), f)).collect();
        let keys: BTreeSet<&str> = open
            .keys()
            .map(String::as_str)
            .chain(found.keys().copied())
            .collect();
        let mut count = Found::default();
        for key in keys {
            let (known, seen) = (open.get(key), found.get(key).copied());
            let is_kept = !order.is_whole || order.unsure.contains(key);
            if let (Some(known), None, true) = (known, seen, is_kept) {
                count.note(known);
                continue;
            }
            let number = self.board.last_problem + 1;
            let Some(told) = tell(known, seen, number, order.area, &order.telling, order.now) else {
                continue;
            };
            count.opened += u64::from(known.is_none());
            count.resolved += u64::from(seen.is_none());
            if seen.is_some() {
                count.note(&told.problem);
            }
            if let Some(event) = told.event {
                count.queued += self.queue(&told.problem, event, order);
            }
            self.changes.problems.insert(told.problem.number);
            self.put_problem(told.problem);
        }
        Answer::Found(count)
    }

    /// What was over, and what was delivered, before this, and is forgotten. The newest of each stays: its number would
    /// be given again.
    pub(super) fn forget_over(&mut self, before: Timestamp, limit: usize) -> (Vec<u64>, Vec<u64>) {
        let old = |at: Option<Timestamp>| at.filter(|at| *at < before);
        let problems = self.board.problems.values();
        let problems = problems
            .filter(|p| p.number != self.board.last_problem)
            .filter_map(|p| Some((old(p.resolved_at)?, p.number)));
        let problems = oldest(problems, limit);
        let notifications = self.board.notifications.values();
        let notifications = notifications
            .filter(|n| n.number != self.board.last_notification)
            .filter_map(|n| Some((old(n.delivered_at)?, n.number)));
        let notifications = oldest(notifications, limit);
        self.board.problems.retain(|number, _| !problems.contains(number));
        self.board
            .notifications
            .retain(|number, _| !notifications.contains(number));
        (
            problems.into_iter().collect(),
            notifications.into_iter().collect(),
        )
    }

    /// One notification for each channel that takes it. What is over during a maintenance window is told after it.
    fn queue(&mut self, problem: &Problem, event: NotificationEvent, order: &FindingsOrder) -> u64 {
        let due_at = order.telling.quiet_until.unwrap_or(order.now);
        let mut queued = 0;
        for channel in order
            .channels
            .iter()
            .filter(|channel| channel.takes(problem, event))
        {
            let reminded = (channel.name.clone(), problem.number);
            // One reminder at a time: a channel that is down for a week is not told the same a hundred times.
            if event == NotificationEvent::Reminder && !self.board.reminded.insert(reminded) {
                continue;
            }
            self.enqueue(
                &channel.name,
                event,
                problem.clone(),
                order.draw,
                (order.now, due_at),
            );
            queued += 1;
        }
        queued
    }

    fn enqueue(
        &mut self,
        channel: &str,
        event: NotificationEvent,
        problem: Problem,
        draw: Id,
        (at, due_at): (Timestamp, Timestamp),
    ) -> u64 {
        let number = self.board.last_notification + 1;
        let seed = [draw.as_bytes().as_slice(), &number.to_be_bytes()].concat();
        let mut id = [0; 16];
        id.copy_from_slice(&encoding::sha256(&seed)[..16]);
        self.changes.notifications.insert(number);
        self.put_notification(Notification {
            number,
            id: Id::from_bytes(id),
            channel: channel.to_owned(),
            event,
            problem,
            at,
            wanted_at: due_at,
            due_at,
            attempts: 0,
            error: None,
            delivered_at: None,
        });
        number
    }

    pub(super) fn queue_test(&mut self, order: &TestOrder) -> Answer {
        let problem = Problem {
            number: 0,
            area: Area::Server,
            key: format!("test/{}", order.channel),
            kind: ProblemKind::ChannelFailing,
            severity: Severity::Notice,
            subject: order.channel.clone(),
            message: format!(
                "this is a test of channel {}, asked for by {}: nothing is wrong",
                order.channel,
                order.actor.text()
            ),
            first_seen: order.now,
            last_seen: order.now,
            told: None,
            resolved_at: None,
        };
        let times = (order.now, order.now);
        let number = self.enqueue(&order.channel, NotificationEvent::Test, problem, order.id, times);
        self.record(&events::channel_tested(order));
        Answer::Number(number)
    }

    pub(super) fn record_attempt(&mut self, order: &DeliveryOrder) -> Answer {
        let known = self.board.notifications.get_mut(&order.number);
        if let Some(known) = known.filter(|known| known.delivered_at.is_none()) {
            match &order.failed {
                None => {
                    known.delivered_at = Some(order.now);
                    if known.event == NotificationEvent::Reminder {
                        // INVARIANT: of a problem and a channel one reminder waits at a time; this was it.
                        let waited = (known.channel.clone(), known.problem.number);
                        self.board.reminded.remove(&waited);
                    }
                }
                Some((why, due_at)) => {
                    known.attempts = known.attempts.saturating_add(1);
                    known.error = Some(why.clone());
                    known.due_at = *due_at;
                }
            }
            self.changes.notifications.insert(order.number);
        }
        Answer::Done
    }

    /// Knows this problem.
    pub fn put_problem(&mut self, problem: Problem) {
        self.board.last_problem = self.board.last_problem.max(problem.number);
        self.board.problems.insert(problem.number, problem);
    }

    /// Knows this notification.
    pub fn put_notification(&mut self, notification: Notification) {
        self.board.last_notification = self.board.last_notification.max(notification.number);
        self.board.notifications.insert(notification.number, notification);
    }

    /// Knows that a reminder of this problem still waits for this channel.
    pub fn put_reminded(&mut self, channel: String, problem: u64) {
        self.board.reminded.insert((channel, problem));
    }

    /// Knows the last numbers that were given to a problem and a notification.
    pub fn put_last_numbers(&mut self, problem: u64, notification: u64) {
        self.board.last_problem = self.board.last_problem.max(problem);
        self.board.last_notification = self.board.last_notification.max(notification);
    }

    /// A problem.
    pub fn problem(&self, number: u64) -> Option<&Problem> {
        self.board.problems.get(&number)
    }

    /// All problems, oldest first.
    pub fn problems(&self) -> impl DoubleEndedIterator<Item = &Problem> {
        self.board.problems.values()
    }

    /// A notification.
    pub fn notification(&self, number: u64) -> Option<&Notification> {
        self.board.notifications.get(&number)
    }

    /// All notifications, oldest first.
    pub fn notifications(&self) -> impl DoubleEndedIterator<Item = &Notification> {
        self.board.notifications.values()
    }
}
