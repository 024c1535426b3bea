//! `GET /audit`: who did what, newest first.

use super::moment::Moment;
use crate::base::Timestamp;
use crate::model::audit::Record;

/// A record in a list.
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) at: Moment,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) outcome: String,
    pub(super) source: String,
}

impl Event {
    pub(super) fn new(record: Record, now: Timestamp) -> Self {
        Self {
            seq: record.seq,
            at: Moment::new(record.at, now),
            actor: record.actor,
            action: record.action,
            subject: record.subject,
            outcome: record.outcome,
            source: record.source.unwrap_or_default(),
        }
    }
}
