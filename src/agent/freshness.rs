//! The condition `RevocationFresh`: whether this host knows the current revocations.

use super::conditions::{Finding, clock_time, date_and_time, finding, rounded};
use super::feed::FeedState;
use crate::base::Timestamp;
use crate::model::{Condition, ConditionKind, ConditionStatus, Mode};

/// What `feed` comes to now.
pub(super) fn freshness(feed: Option<&FeedState>, mode: Mode, now: Timestamp) -> Condition {
    let (status, reason, message) = match feed {
        Some(feed) => followed(feed, now),
        None => not_followed(mode),
    };
    Condition {
        kind: ConditionKind::RevocationFresh,
        status,
        reason,
        message,
        since: now,
    }
}

fn not_followed(mode: Mode) -> Finding {
    let message = match mode {
        Mode::Daemon => "in mode daemon revocations are not enforced on this host: dockerd itself knows none",
        Mode::Gate | Mode::Files => "the feed is only followed by a running agent",
    };
    finding(ConditionStatus::Unknown, "NotFollowed", message)
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
            let condition = freshness(Some(&state), Mode::Gate, now);
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
}
