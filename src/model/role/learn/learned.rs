//! What was learned, by client: bounded, and kept as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::needs::{Needs, Rule};
use crate::base::Timestamp;
use crate::model::role::spec::{ROLE_CHARS_MAX, ROLE_ENTRIES_MAX};

/// Entries of all clients together.
pub const ENTRIES_MAX: usize = 10_000;
/// What no role can allow, of one client.
const REMARKS_MAX: usize = 50;
/// When something was seen last is remembered as exactly as this: whoever asks the same over and over writes no disk full.
pub const LAST_SEEN_EXACT: Duration = Duration::from_secs(60);

/// Between when something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The first time.
    pub first: Timestamp,
    /// The last time, to [`LAST_SEEN_EXACT`].
    pub last: Timestamp,
}

/// What one client asked for, and was given or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Operations by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub operations: BTreeMap<String, Seen>,
    /// What rules must list for that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<Rule, BTreeMap<String, Seen>>,
    /// What no rule can list: `ContainerCreate with CgroupParent`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub beyond: BTreeMap<String, Seen>,
    /// What is in no role, because it is in no table: `POST /teleport`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, Seen>,
}

/// What was learned of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnedOf {
    /// What its roles allowed, or nobody looked at.
    pub allowed: Asked,
    /// What was refused.
    pub refused: Asked,
    /// Requests that were not remembered, because there was no place.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What was learned of everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// By name of the client.
    pub clients: BTreeMap<String, LearnedOf>,
    /// Requests of clients for whom there was no place.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// How many entries there are, counted as they come.
    #[serde(skip)]
    count: usize,
}

impl Learned {
    /// Reads what was written with serde.
    ///
    /// # Errors
    /// It is not that.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut learned: Self = serde_json::from_slice(json)?;
        learned.recount();
        Ok(learned)
    }

    fn recount(&mut self) {
        let asked = self.clients.values().flat_map(|of| [&of.allowed, &of.refused]);
        self.count = asked.map(Asked::len).sum();
    }

    /// Remembers a request for an operation, with what rules must list for it, or why none can. Says whether there is
    /// something to write down.
    pub fn note(
        &mut self,
        client: &str,
        allowed: bool,
        operation: &str,
        needs: Result<Needs, String>,
        now: Timestamp,
    ) -> bool {
        let full = self.len() >= ENTRIES_MAX;
        let Some((asked, left_out)) = self.of(client, allowed, full) else {
            return false;
        };
        let needs = match needs {
            Ok(needs) => needs,
            Err(why) => {
                let (news, added) = remark(&mut asked.beyond, &format!("{operation} with {why}"), full, now);
                self.count += added;
                return news;
            }
        };
        let fits = |(rule, entry): &(Rule, String)| match asked.rules.get(rule) {
            Some(list) => list.contains_key(entry) || (!full && list.len() < ROLE_ENTRIES_MAX),
            None => !full,
        };
        // All of it or nothing: a role with a part of it would not allow what was seen.
        if !needs.iter().all(fits) || (full && !asked.operations.contains_key(operation)) {
            *left_out += 1;
            return *left_out == 1;
        }
        let mut added = 0;
        let mut news = see(&mut asked.operations, operation, now, &mut added);
        for (rule, entry) in &needs {
            news |= see(asked.rules.entry(*rule).or_default(), entry, now, &mut added);
        }
        self.count += added;
        news
    }

    /// Remembers a request that is none of the Engine's operations.
    pub fn note_unknown(&mut self, client: &str, allowed: bool, what: &str, now: Timestamp) -> bool {
        let full = self.len() >= ENTRIES_MAX;
        let (news, added) = match self.of(client, allowed, full) {
            Some((asked, _)) => remark(&mut asked.unknown, what, full, now),
            None => (false, 0),
        };
        self.count += added;
        news
    }

    fn of(&mut self, client: &str, allowed: bool, full: bool) -> Option<(&mut Asked, &mut u64)> {
        if full && !self.clients.contains_key(client) {
            self.left_out += 1;
            return None;
        }
        let of = self.clients.entry(client.to_owned()).or_default();
        let asked = if allowed { &mut of.allowed } else { &mut of.refused };
        Some((asked, &mut of.left_out))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Takes in what was learned elsewhere, as on another host.
    pub fn merge(&mut self, other: Self) {
        self.left_out += other.left_out;
        for (client, of) in other.clients {
            let into = self.clients.entry(client).or_default();
            into.left_out += of.left_out;
            into.allowed.merge(of.allowed);
            into.refused.merge(of.refused);
        }
        self.recount();
    }
}

impl Asked {
    fn len(&self) -> usize {
        let rules: usize = self.rules.values().map(BTreeMap::len).sum();
        self.operations.len() + rules + self.beyond.len() + self.unknown.len()
    }

    /// Takes in what was asked elsewhere.
    pub(super) fn merge(&mut self, other: Self) {
        let join = |into: &mut BTreeMap<String, Seen>, from: BTreeMap<String, Seen>| {
            for (entry, seen) in from {
                let both = into.entry(entry).or_insert(seen);
                both.first = both.first.min(seen.first);
                both.last = both.last.max(seen.last);
            }
        };
        join(&mut self.operations, other.operations);
        join(&mut self.beyond, other.beyond);
        join(&mut self.unknown, other.unknown);
        for (rule, entries) in other.rules {
            join(self.rules.entry(rule).or_default(), entries);
        }
    }

    /// Only what was asked for at or after `since`.
    pub(super) fn retain_since(&mut self, since: Timestamp) {
        let recent = |_: &String, seen: &mut Seen| seen.last + LAST_SEEN_EXACT >= since;
        self.operations.retain(recent);
        self.beyond.retain(recent);
        self.unknown.retain(recent);
        for entries in self.rules.values_mut() {
            entries.retain(recent);
        }
        self.rules.retain(|_, entries| !entries.is_empty());
    }
}

/// Whether that is worth writing down.
fn see(entries: &mut BTreeMap<String, Seen>, entry: &str, now: Timestamp, added: &mut usize) -> bool {
    if let Some(seen) = entries.get_mut(entry) {
        let later = now.since(seen.last) >= LAST_SEEN_EXACT;
        if later {
            seen.last = now;
        }
        return later;
    }
    let seen = Seen {
        first: now,
        last: now,
    };
    entries.insert(entry.to_owned(), seen);
    *added += 1;
    true
}

/// Whether that is worth writing down, and how many entries it added.
fn remark(entries: &mut BTreeMap<String, Seen>, text: &str, full: bool, now: Timestamp) -> (bool, usize) {
    let printable = text.chars().filter(|c| !c.is_control());
    let text: String = printable.take(ROLE_CHARS_MAX).collect();
    let mut added = 0;
    let fits = entries.contains_key(&text) || (!full && entries.len() < REMARKS_MAX);
    let news = fits && see(entries, &text, now, &mut added);
    (news, added)
}
