//! `GET /v1/feed`, `POST /v1/feed/known`, `PUT` and `GET /v1/feed/applied`.
//!
//! The feed is a stream of server-sent events (WHATWG HTML §9.2): the event's name says which of the types below its
//! `data` is, as JSON on one line. A follower applies them in order and never goes back:
//!
//! | event | data | what the follower does |
//! |---|---|---|
//! | `hello` | [`FeedHello`] | first; another `feed` than last time: its numbers mean nothing here, keep all revocations, come again without `after` |
//! | `change` | [`FeedChange`] | if `previous` is the number applied last: apply, keep on disk, acknowledge; if `number` is not greater: skip; else reconnect |
//! | `snapshot` | [`FeedSnapshot`] | adds its changes to what is known; with the part that is `last`, the number applied last becomes `at` |
//! | `lost` | [`FeedLost`] | the server knows less: give back what is known after `have` by `POST /v1/feed/known`, come again without `after` |
//! | `roles` | [`HostRoles`] | to hosts, after `hello` and whenever it changes: from the next request on this is who may do what here; what was said before counts no more. Not numbered: the last one counts, and a host that has them in force already (`roles` of [`FeedQuery`]) is not told |
//! | `heartbeat` | [`FeedHeartbeat`] | everything up to `head` was sent: fresh as of now |
//!
//! Unknown events and unknown kinds of change are skipped, their numbers count. A revocation that is known is never
//! forgotten before its `not_after`, whatever the server says.

use serde::{Deserialize, Serialize};

use crate::base::{Id, Timestamp};
#[cfg(doc)]
use crate::model::role::HostRoles;
use crate::model::role::RolesDigest;
use crate::model::{IssuerKind, Seal};
use crate::pki::{RevocationReason, Serial};

/// The media type of the feed.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The name of the event that carries a [`FeedHello`].
pub const EVENT_HELLO: &str = "hello";
/// The name of the event that carries a [`FeedChange`].
pub const EVENT_CHANGE: &str = "change";
/// The name of the event that carries a [`FeedSnapshot`].
pub const EVENT_SNAPSHOT: &str = "snapshot";
/// The name of the event that carries a [`FeedLost`].
pub const EVENT_LOST: &str = "lost";
/// The name of the event that carries [`HostRoles`].
pub const EVENT_ROLES: &str = "roles";
/// The name of the event that carries a [`FeedHeartbeat`].
pub const EVENT_HEARTBEAT: &str = "heartbeat";

/// From where to follow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct FeedQuery {
    /// The last number that was applied; absent: everything that still matters, as a snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The seal that came with that number. Without it, numbers the server has lost and given out again go unnoticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(value_type = Option<String>))]
    pub seal: Option<Seal>,
    /// Of a host: the roles that it has in force, in short, as in `PUT /v1/feed/applied`. It is told them again only when they are
    /// others by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(value_type = Option<String>))]
    pub roles: Option<RolesDigest>,
}

/// The first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedHello {
    /// Which feed this is: numbers of one say nothing about those of another.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub feed: Id,
    /// The newest number.
    pub head: u64,
    /// Something comes at least this often, seconds; three of them without anything mean that the connection is dead.
    pub heartbeat: u64,
}

/// One number of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedChange {
    /// Its number.
    pub number: u64,
    /// The number before it.
    pub previous: u64,
    /// Shown to the server again when following on after this number, or giving it back.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub seal: Seal,
    /// When it was made.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub kind: FeedChangeKind,
}

/// What a number of the feed is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum FeedChangeKind {
    /// A certificate was revoked, at `at`.
    Revoked(FeedRevoked),
    /// The server went on from a backup; numbers were skipped.
    Restored,
    /// Something that this program is too old to know.
    #[serde(other)]
    Unknown,
}

/// A revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedRevoked {
    /// Who signed it.
    pub issuer: IssuerKind,
    /// Its serial.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub serial: Serial,
    /// The name in it.
    pub name: String,
    /// Its end; forget it no sooner.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub not_after: Timestamp,
    /// Why it was revoked.
    pub reason: RevocationReason,
}

/// A part of all that still matters, for who is new or was away for long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedSnapshot {
    /// The number that all parts together stand for.
    pub at: u64,
    /// The seal of that number; absent when `at` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>))]
    pub seal: Option<Seal>,
    /// Revocations, ordered by number; `previous` means nothing here.
    pub changes: Vec<FeedChange>,
    /// Whether this is the last part.
    pub last: bool,
}

/// The follower knows what the server does not: the server was restored from an older backup. The stream ends here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedLost {
    /// Give back the revocations with greater numbers than this.
    pub have: u64,
}

/// Nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedHeartbeat {
    /// The newest number that was sent on this stream.
    pub head: u64,
    /// The server's clock.
    #[cfg_attr(feature = "server", schema(value_type = String, format = DateTime))]
    pub now: Timestamp,
    /// Acknowledge what comes from now on after a random part of this many milliseconds: many follow, and the server is to
    /// tell all of them before it hears all of them.
    #[serde(default)]
    pub spread_ms: u64,
}

/// Changes that a follower gives back to a server that lost them, as they came, at most 500 at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedKnown {
    /// The feed they came from.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub feed: Id,
    /// The revocations, ordered by number.
    #[cfg_attr(feature = "server", schema(max_items = 500))]
    pub changes: Vec<FeedChange>,
    /// Whether nothing more comes.
    pub last: bool,
}

/// The answer to [`FeedKnown`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedTaken {
    /// Revocations that the server had lost, and now has again under new numbers.
    pub regained: u64,
    /// Changes whose seal is not this server's: they were not taken.
    pub refused: u64,
    /// The newest number now.
    pub head: u64,
}

/// The answer of `POST /v1/feed/settle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Settled {
    /// Whether there was something to wait for.
    pub settled: bool,
}

/// Which number is asked about.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
pub struct AppliedQuery {
    /// The number; absent: the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Answer when all hosts have applied it, or after this many seconds (at most 20), whichever is first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(maximum = 20))]
    pub wait: Option<u64>,
}

/// Who has applied a number of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Applied {
    /// The number.
    pub number: u64,
    /// Hosts with a valid certificate.
    pub hosts: u64,
    /// Those of them that have applied it and refuse what it says.
    pub applied: u64,
    /// Connections they closed for it, as far as they said.
    pub cut: u64,
    /// Those that have not, by name, at most 100.
    pub missing: Vec<MissingHost>,
}

/// A host that has not applied a number yet, or refuses nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct MissingHost {
    /// Its name.
    pub name: String,
    /// The last number it applied; absent when its agent does not follow the feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub last_seen: Option<Timestamp>,
    /// From when on it refuses every remote client, unless it hears of the server before; absent: it goes on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>, format = DateTime))]
    pub denies_from: Option<Timestamp>,
    /// Whether it refuses what it applied; false: its agent knows what is revoked, and nothing there enforces it.
    #[serde(default = "yes")]
    pub refuses: bool,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_kind_from_the_future_is_read_and_counts() {
        let text = format!(
            r#"{{"number":8,"previous":7,"seal":"{}","at":"2026-11-22T10:00:00Z","type":"role_bound","role":"x"}}"#,
            "0".repeat(32)
        );
        let change: FeedChange = serde_json::from_str(&text).unwrap();
        assert_eq!((change.number, change.kind), (8, FeedChangeKind::Unknown));
    }

    #[test]
    fn a_revocation_survives_the_wire() {
        let change = FeedChange {
            number: 8,
            previous: 7,
            seal: Seal::from_bytes([7; 16]),
            at: Timestamp::from_secs(5),
            kind: FeedChangeKind::Revoked(FeedRevoked {
                issuer: IssuerKind::Clients,
                serial: "0a1b".parse().unwrap(),
                name: "bob".to_owned(),
                not_after: Timestamp::from_secs(9),
                reason: RevocationReason::KeyCompromise,
            }),
        };
        let text = serde_json::to_string(&change).unwrap();
        assert!(
            text.contains(r#""type":"revoked","issuer":"clients","serial":"0a1b""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<FeedChange>(&text).unwrap(), change);
    }
}
