//! Browsers that a person signed in with a one-time link.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::{Id, Timestamp};
use crate::pki::{IdentityName, Serial};

/// How long a link may be used.
pub const LINK_LIFETIME: Duration = Duration::from_secs(60);
/// How long a session lasts, whatever happens in it.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// How long a session lasts in which nothing happens.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);
/// How often it is written down that something happened.
pub const SESSION_SEEN_EVERY: Duration = Duration::from_secs(60);
/// Links and sessions of one person at a time.
pub const SESSIONS_MAX: usize = 32;

/// A link that somebody asked for, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Named to end it.
    pub id: Id,
    /// Whose it is.
    pub identity: Id,
    /// Their name.
    pub name: IdentityName,
    /// The certificate that asked for the link: the session ends with it.
    pub serial: Serial,
    /// When the link was made.
    pub created_at: Timestamp,
    /// When the link was spent; `None` while it waits.
    pub started_at: Option<Timestamp>,
    /// When something last happened in it, to [`SESSION_SEEN_EVERY`].
    pub seen_at: Timestamp,
    /// Where the link was spent.
    pub source: Option<IpAddr>,
    /// When somebody ended it.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// Whether the link may still be spent.
    pub fn is_link_at(&self, now: Timestamp) -> bool {
        self.started_at.is_none() && self.ended_at.is_none() && now <= self.created_at + LINK_LIFETIME
    }

    /// When it ends by itself, if nothing happens in it from now on.
    pub fn ends_at(&self) -> Timestamp {
        let latest = self.started_at.unwrap_or(self.created_at) + SESSION_LIFETIME;
        latest.min(self.seen_at + SESSION_IDLE)
    }

    /// Whether somebody is signed in with it.
    pub fn is_open_at(&self, now: Timestamp) -> bool {
        self.started_at.is_some() && self.ended_at.is_none() && now < self.ends_at()
    }

    /// Whether nobody can do anything with it any more.
    pub fn is_over_at(&self, now: Timestamp) -> bool {
        !self.is_link_at(now) && !self.is_open_at(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: Id::from_bytes([1; 16]),
            identity: Id::from_bytes([2; 16]),
            name: "bob".parse().unwrap(),
            serial: "0a".parse().unwrap(),
            created_at: Timestamp::from_secs(1000),
            started_at: None,
            seen_at: Timestamp::from_secs(1000),
            source: None,
            ended_at: None,
        }
    }

    #[test]
    fn a_link_lives_a_minute_and_a_session_an_hour_after_its_last_use_and_half_a_day_at_most() {
        let at = Timestamp::from_secs;
        let link = session();
        assert!(link.is_link_at(at(1060)) && !link.is_link_at(at(1061)) && !link.is_open_at(at(1001)));
        let mut open = session();
        open.started_at = Some(at(1010));
        open.seen_at = at(1010);
        assert!(!open.is_link_at(at(1020)));
        assert!(open.is_open_at(at(1010 + 3599)) && !open.is_open_at(at(1010 + 3600)));
        open.seen_at = at(1010 + 43_000);
        assert!(open.is_open_at(at(1010 + 43_199)) && !open.is_open_at(at(1010 + 43_200)));
        open.ended_at = Some(at(1020));
        assert!(!open.is_open_at(at(1030)) && open.is_over_at(at(1030)));
    }
}
