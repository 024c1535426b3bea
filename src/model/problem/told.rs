//! Who is told of a problem, and when: a pure function of what was known, what was found, and the rules.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Area, Finding, Problem, Severity};
use crate::base::{Id, Timestamp};

/// Why people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum NotificationEvent {
    /// It is new.
    Opened,
    /// It has become worse.
    Escalated,
    /// It lasts.
    Reminder,
    /// It is over.
    Resolved,
    /// Somebody tries out a channel.
    Test,
}

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRule {
    /// The channel's name.
    pub name: String,
    /// It is told of what is at least this bad.
    pub least: Severity,
}

/// One message to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// In order.
    pub number: u64,
    /// Names it to whoever gets it: the same however often it is sent.
    pub id: Id,
    /// To whom.
    pub channel: String,
    /// Why.
    pub event: NotificationEvent,
    /// The problem as it was.
    pub problem: Problem,
    /// When it was made.
    pub at: Timestamp,
    /// From when on somebody was to be told: later than `at` when a maintenance window was open.
    pub wanted_at: Timestamp,
    /// When it is to be sent, or sent again.
    pub due_at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was delivered.
    pub delivered_at: Option<Timestamp>,
}

/// What telling goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Until when nothing new is said: a maintenance window is open.
    pub quiet_until: Option<Timestamp>,
    /// How long until somebody is told again of what lasts.
    pub remind_every: Duration,
    /// After how long a warning becomes critical, if ever.
    pub escalate_after: Option<Duration>,
}

/// What becomes of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// As it is now.
    pub problem: Problem,
    /// Why people are told of it now, if they are.
    pub event: Option<NotificationEvent>,
}

/// Brings a problem up to date. `known` is open, or there is none; one of the two is given.
///
/// In a maintenance window nothing new is said: what is over when it closes was never told, and what is not is told then.
/// Whoever was told that something is wrong is told that it is over.
pub fn tell(
    known: Option<&Problem>,
    found: Option<&Finding>,
    number: u64,
    area: Area,
    telling: &Telling,
    now: Timestamp,
) -> Option<Told> {
    let Some(found) = found else {
        let mut problem = known?.clone();
        problem.resolved_at = Some(now);
        let event = problem.told.map(|_| NotificationEvent::Resolved);
        return Some(Told { problem, event });
    };
    let mut problem = Problem {
        number: known.map_or(number, |known| known.number),
        area,
        key: found.key.clone(),
        kind: found.kind,
        severity: found.severity,
        subject: found.subject.clone(),
        message: found.message.clone(),
        first_seen: known.map_or(now, |known| known.first_seen),
        last_seen: now,
        told: known.and_then(|known| known.told),
        resolved_at: None,
    };
    let lasts = now.since(problem.first_seen);
    let is_old = telling.escalate_after.is_some_and(|after| lasts >= after);
    if is_old && problem.severity == Severity::Warning {
        problem.severity = Severity::Critical;
    }
    let event = match problem.told {
        _ if telling.quiet_until.is_some() => None,
        None => Some(NotificationEvent::Opened),
        Some((_, worst)) if problem.severity > worst => Some(NotificationEvent::Escalated),
        Some((at, _)) if now.since(at) >= telling.remind_every => Some(NotificationEvent::Reminder),
        Some(_) => None,
    };
    if event.is_some() {
        let worst = problem
            .told
            .map_or(problem.severity, |(_, worst)| worst.max(problem.severity));
        problem.told = Some((now, worst));
    }
    Some(Told { problem, event })
}

impl ChannelRule {
    /// Whether the channel is told of this. Of the end: when it may have been told of the beginning.
    pub fn takes(&self, problem: &Problem, event: NotificationEvent) -> bool {
        let severity = match event {
            NotificationEvent::Resolved => problem.told.map_or(problem.severity, |(_, worst)| worst),
            _ => problem.severity,
        };
        severity >= self.least
    }
}
