//! The condition `RevocationFresh`: whether this host knows the current revocations.

use super::conditions::{Finding, clock_time, date_and_time, finding, rounded};
use super::daemon::plug::Plug;
use super::feed::FeedState;
use super::lists::{ListsState, ListsView};
use crate::base::Timestamp;
use crate::model::{Condition, ConditionKind, ConditionStatus, Mode};

/// What `feed` comes to now.
pub(super) fn freshness(
    feed: Option<&FeedState>,
    lists: Option<&ListsState>,
    plug: Option<&Plug>,
    mode: Mode,
    now: Timestamp,
) -> Condition {
    let (status, reason, message) = match (feed, plug.and_then(|plug| plug.finding(now))) {
        (None, _) => finding(
            ConditionStatus::Unknown,
            "NotFollowed",
            "the feed is only followed by a running agent",
        ),
        (Some(feed), Some((status, reason, message))) => {
            finding(status, &reason, format!("{message}\n{}", known(feed)))
        }
        (Some(feed), None) if lists.is_some() => with_lists(followed(feed, now), lists.map(ListsState::view)),
        (Some(feed), None) if feed.refuses() => followed(feed, now),
        (Some(feed), None) => not_enforced(feed, mode),
    };
    Condition {
        kind: ConditionKind::RevocationFresh,
        status,
        reason,
        message,
        since: now,
    }
}

/// What the feed tells reaches the programs of a host in mode `files` by lists alone.
fn with_lists(followed: Finding, lists: Option<ListsView>) -> Finding {
    let (mut status, mut reason, mut message) = followed;
    let lists = lists.unwrap_or_default();
    if let Some((word, why)) = lists.failure {
        // A host that is stale refuses everybody: there is nothing worse to be said.
        if status == ConditionStatus::False {
            message = format!("{message}\n{why}");
        } else {
            (status, reason) = (ConditionStatus::False, word.to_owned());
            message = format!("{why}\n{message}");
        }
    }
    let numbers = lists
        .in_use
        .iter()
        .map(|list| format!("{} {}", list.list.name(), list.number));
    let numbers: Vec<String> = numbers.collect();
    match (
        numbers.is_empty(),
        lists.in_use.iter().map(|list| list.next_update).min(),
    ) {
        (false, Some(until)) => message.push_str(&format!(
            "\ncrl.pem: {}; programs refuse everybody from {} on, unless it is replaced before",
            numbers.join(", "),
            date_and_time(until)
        )),
        _ => {
            if status == ConditionStatus::True {
                (status, reason) = (ConditionStatus::Unknown, "NoLists".to_owned());
            }
            message.push_str("\ncrl.pem is not there yet");
        }
    }
    (status, reason, message)
}

/// The server is told so, too: nobody is to believe that a revocation has arrived here.
fn not_enforced(feed: &FeedState, mode: Mode) -> Finding {
    let message = format!(
        "in mode {mode} nothing on this host refuses who is revoked; {}",
        known(feed)
    );
    finding(ConditionStatus::Unknown, "NotEnforced", message)
}

fn known(feed: &FeedState) -> String {
    let (view, revoked) = (feed.view(), feed.enforced().revoked().len());
    let number = view.place.map_or(0, |place| place.number);
    match view.failure {
        Some(why) => format!("feed {number}, {revoked} revoked, not followed: {why}"),
        None => format!("feed {number}, {revoked} revoked"),
    }
}

fn followed(feed: &FeedState, now: Timestamp) -> Finding {
    use ConditionStatus::{False, True, Unknown};
    let (view, enforced) = (feed.view(), feed.enforced());
    let revoked = enforced.revoked().len();
    let number = view.place.map_or(0, |place| place.number);
    if enforced.is_following() {
        let heard = view.heard_at.map_or("now".to_owned(), clock_time);
        let message = format!("feed {number}, {revoked} revoked, heard {heard}");
        return finding(True, "Following", message);
    }
    let why = view.failure.unwrap_or_else(|| "connecting".to_owned());
    if let Some(since) = enforced.stale_since(now) {
        let message = format!(
            "every remote client is refused since {}: the server was not heard of since {}; {why}",
            date_and_time(since),
            date_and_time(enforced.contact())
        );
        return finding(False, "Stale", message);
    }
    let then = match enforced.denies_from() {
        Some(from) => format!(
            "every remote client is refused in {} (on_stale = deny)",
            rounded(from.since(now))
        ),
        None => "clients are let in all the same (on_stale = allow)".to_owned(),
    };
    let message = format!("feed {number}, {revoked} revoked, not followed: {why}\n{then}");
    finding(Unknown, "NotHeard", message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::Enforced;
    use crate::pki::RevokedSet;

    #[test]
    fn it_says_what_is_known_what_is_wrong_and_what_then() {
        let at = Timestamp::from_secs(1_800_000_000);
        let hour = Duration::from_secs(3600);
        let enforced = Arc::new(Enforced::new(Some(hour)));
        let state = FeedState::new(Arc::clone(&enforced));
        enforced.begin(RevokedSet::new(), at);
        let condition = |now| {
            let condition = freshness(Some(&state), None, None, Mode::Gate, now);
            (condition.status, condition.reason, condition.message)
        };
        let (status, reason, message) = condition(at + hour / 2);
        assert_eq!((status, reason.as_str()), (ConditionStatus::Unknown, "NotHeard"));
        assert!(message.contains("is refused in 30 min"), "{message}");
        let (status, reason, message) = condition(at + hour);
        assert_eq!((status, reason.as_str()), (ConditionStatus::False, "Stale"));
        assert!(
            message.contains("every remote client is refused since"),
            "{message}"
        );
        enforced.heard(at + hour);
        let (status, reason, _) = condition(at + hour);
        assert_eq!((status, reason.as_str()), (ConditionStatus::True, "Following"));
    }

    #[test]
    fn what_is_known_and_refused_by_nobody_is_not_called_fresh() {
        let state = FeedState::new(Arc::new(Enforced::nothing()));
        state.set_refuses(false);
        let at = Timestamp::from_secs(1_800_000_000);
        let condition = freshness(Some(&state), None, None, Mode::Files, at);
        assert_eq!(condition.status, ConditionStatus::Unknown);
        assert!(
            condition
                .message
                .contains("in mode files nothing on this host refuses"),
            "{}",
            condition.message
        );
    }
}
