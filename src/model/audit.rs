//! Audit records and their hash chain: each record's hash covers the one before it, so that a changed,
//! missing or reordered record is found by [`Chain::check`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::{Timestamp, encoding};

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The server itself, or a person at its console.
    System,
    /// A client with a certificate.
    Client(String),
    /// A host with a certificate.
    Host(String),
    /// Somebody who showed a join token, by the token's id.
    Token(String),
    /// Nobody that could be named.
    Anonymous,
}

impl Actor {
    /// `kind:name`, the form in the log.
    pub fn text(&self) -> String {
        match self {
            Self::System => "system".to_owned(),
            Self::Client(name) => format!("client:{name}"),
            Self::Host(name) => format!("host:{name}"),
            Self::Token(id) => format!("token:{id}"),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }
}

/// Something that happened, before it has its place in the chain. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What: `certificate.issue`, `token.create`, ... lower case, dotted.
    pub action: &'static str,
    /// To what: an identity, a serial, a token id.
    pub subject: String,
    /// `ok`, or why it was refused.
    pub outcome: String,
    /// From where.
    pub source: Option<IpAddr>,
    /// More, by name.
    pub detail: BTreeMap<&'static str, String>,
}

/// A record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// 1, 2, 3, ... without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who, as [`Actor::text`].
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// `ok`, or why not.
    pub outcome: String,
    /// From where.
    pub source: Option<String>,
    /// More: JSON object text with sorted keys.
    pub detail: String,
    /// SHA-256 over the previous hash and all fields above.
    pub hash: [u8; 32],
}

/// What stands before the first record.
pub const GENESIS: [u8; 32] = [0; 32];

impl Record {
    /// Places `event` after the record with hash `previous`.
    pub fn chain(event: &Event, seq: u64, previous: &[u8; 32]) -> Self {
        let mut record = Self {
            seq,
            at: event.at,
            actor: event.actor.text(),
            action: event.action.to_owned(),
            subject: event.subject.clone(),
            outcome: event.outcome.clone(),
            source: event.source.map(|address| address.to_string()),
            detail: detail_text(&event.detail),
            hash: GENESIS,
        };
        record.hash = record.computed_hash(previous);
        record
    }

    /// The hash this record must have after `previous`: every field with its length in front, so that
    /// no two different records have the same bytes.
    pub fn computed_hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut bytes = previous.to_vec();
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.at.as_millis().to_be_bytes());
        let source = self.source.as_deref().unwrap_or("");
        for field in [
            &self.actor,
            &self.action,
            &self.subject,
            &self.outcome,
            source,
            &self.detail,
        ] {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field.as_bytes());
        }
        encoding::sha256(&bytes)
    }
}

fn detail_text(detail: &BTreeMap<&'static str, String>) -> String {
    serde_json::to_string(detail).expect("a map of strings is always JSON")
}

/// The action of the record that says that older ones were removed on purpose.
pub const AUDIT_PRUNE: &str = "audit.prune";

/// The last of the records that were removed because they were old: what the chain begins after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// Its time.
    pub at: Timestamp,
}

impl Checkpoint {
    /// The one that a record would be.
    pub fn of(record: &Record) -> Self {
        Self {
            seq: record.seq,
            hash: record.hash,
            at: record.at,
        }
    }

    /// What the record of the removal says about it.
    pub fn detail(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("up_to", self.seq.to_string()),
            ("hash", encoding::hex(&self.hash)),
        ])
    }

    /// Whether `record` says that everything up to here was removed on purpose.
    pub fn is_told_by(&self, record: &Record) -> bool {
        let said: Option<BTreeMap<String, String>> = serde_json::from_str(&record.detail).ok();
        let says = |said: &BTreeMap<String, String>| {
            self.detail()
                .iter()
                .all(|(key, value)| said.get(*key) == Some(value))
        };
        record.action == AUDIT_PRUNE
            && record.actor == Actor::System.text()
            && said.as_ref().is_some_and(says)
    }
}

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A number is missing.
    #[error("audit record {expected} is missing: the next one found is {found}")]
    Missing {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A record does not have the hash its contents and its predecessor give.
    #[error("audit record {0} was changed, or the one before it was")]
    Changed(u64),
}

/// Walks records in order and checks each against its predecessor.
#[derive(Clone, Debug)]
pub struct Chain {
    seq: u64,
    hash: [u8; 32],
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: GENESIS,
        }
    }
}

impl Chain {
    /// Checks the next record.
    pub fn check(&mut self, record: &Record) -> Result<(), ChainError> {
        if record.seq != self.seq + 1 {
            return Err(ChainError::Missing {
                expected: self.seq + 1,
                found: record.seq,
            });
        }
        if record.computed_hash(&self.hash) != record.hash {
            return Err(ChainError::Changed(record.seq));
        }
        (self.seq, self.hash) = (record.seq, record.hash);
        Ok(())
    }

    /// A chain whose records up to `checkpoint` were removed.
    pub fn after(checkpoint: &Checkpoint) -> Self {
        Self {
            seq: checkpoint.seq,
            hash: checkpoint.hash,
        }
    }

    /// The number of the last record that was checked, and its hash: note it down elsewhere, and a log cut
    /// off at its end is found too.
    pub fn head(&self) -> (u64, [u8; 32]) {
        (self.seq, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(n: u64) -> Event {
        Event {
            at: Timestamp::from_secs(n as i64),
            actor: Actor::Client("alice".into()),
            action: "token.create",
            subject: format!("t{n}"),
            outcome: "ok".into(),
            source: Some([127, 0, 0, 1].into()),
            detail: BTreeMap::from([("uses", "1".to_owned())]),
        }
    }

    fn log(n: u64) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        for seq in 1..=n {
            let previous = records.last().map_or(GENESIS, |r| r.hash);
            records.push(Record::chain(&event(seq), seq, &previous));
        }
        records
    }

    fn check(records: &[Record]) -> Result<(), ChainError> {
        let mut chain = Chain::default();
        records.iter().try_for_each(|record| chain.check(record))
    }

    #[test]
    fn an_untouched_log_is_whole() {
        assert_eq!(check(&log(20)), Ok(()));
    }

    proptest! {
        #[test]
        fn a_change_to_any_field_of_any_record_is_found(at in 0usize..10, field in 0usize..8) {
            let mut records = log(10);
            let record = &mut records[at];
            match field {
                0 => record.at = record.at + std::time::Duration::from_millis(1),
                1 => record.actor.push('x'),
                2 => record.action.push('x'),
                3 => record.subject.push('x'),
                4 => record.outcome.push('x'),
                5 => record.source = None,
                6 => record.detail.push(' '),
                _ => record.hash[0] ^= 1,
            }
            prop_assert!(check(&records).is_err());
        }

        #[test]
        fn a_missing_or_swapped_record_is_found(at in 0usize..9) {
            let mut missing = log(10);
            missing.remove(at);
            prop_assert!(check(&missing).is_err());
            let mut swapped = log(10);
            swapped.swap(at, at + 1);
            prop_assert!(check(&swapped).is_err());
        }
    }

    #[test]
    fn moving_text_between_fields_changes_the_hash() {
        let mut a = Record::chain(&event(1), 1, &GENESIS);
        let before = a.computed_hash(&GENESIS);
        a.actor.push('t');
        a.action.remove(0);
        assert_ne!(a.computed_hash(&GENESIS), before);
    }
}
