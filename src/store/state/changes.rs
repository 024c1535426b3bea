//! What a group of operations changed, for the store that must write it down.

use std::collections::{BTreeMap, BTreeSet};

use super::super::roles::RoleChange;
use super::upkeep::Removed;
use crate::base::{Id, Timestamp};
use crate::model::audit::Record;
use crate::model::job::JobName;
use crate::model::{Change, IssuerKind};

/// Keys of rows that are new, and of rows that were there and changed. Never both: a row that is new is
/// written once, as it stands in the end.
#[derive(Clone, Debug)]
pub struct Touched<K> {
    new: BTreeSet<K>,
    changed: BTreeSet<K>,
}

impl<K> Default for Touched<K> {
    fn default() -> Self {
        Self {
            new: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Copy> Touched<K> {
    /// This row is new.
    pub fn insert(&mut self, key: K) {
        self.new.insert(key);
    }

    /// This row has changed.
    pub fn touch(&mut self, key: K) {
        if !self.new.contains(&key) {
            self.changed.insert(key);
        }
    }

    /// New rows, in order.
    pub fn new_rows(&self) -> impl Iterator<Item = K> {
        self.new.iter().copied()
    }

    /// Changed rows, in order.
    pub fn changed_rows(&self) -> impl Iterator<Item = K> {
        self.changed.iter().copied()
    }

    fn is_new(&self, key: &K) -> bool {
        self.new.contains(key)
    }

    fn clear(&mut self) {
        self.new.clear();
        self.changed.clear();
    }
}

/// Everything that a group of operations changed.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Tokens; those changed were deleted.
    pub tokens: Touched<Id>,
    /// How many uses of each old token were spent.
    pub spent: BTreeMap<Id, u32>,
    /// Identities; those changed rejoined or were adopted.
    pub identities: Touched<Id>,
    /// Certificates; those changed were superseded or revoked.
    pub certificates: Touched<i64>,
    /// Requests; those changed were decided.
    pub requests: Touched<Id>,
    /// Hosts that reported.
    pub reports: BTreeSet<Id>,
    /// Hosts that said how far they are.
    pub applied: BTreeSet<Id>,
    /// Issuers whose next CRL has a number.
    pub crls: BTreeSet<IssuerKind>,
    /// Whether it was decided which feed this is.
    pub origin: bool,
    /// Restorations that were settled: number, time, by whom.
    pub settled: Vec<(u64, Timestamp, String)>,
    /// What changed of roles and bindings, in order.
    pub roles: Vec<RoleChange>,
    /// Jobs of which something else is remembered now.
    pub jobs: BTreeSet<JobName>,
    /// What was removed because it was old.
    pub removed: Removed,
    /// Sessions; those changed were used or ended.
    pub sessions: Touched<Id>,
    /// Sessions whose link was spent.
    pub sessions_started: BTreeSet<Id>,
    /// Sessions made before this are forgotten.
    pub sessions_forgotten: Option<Timestamp>,
    /// Problems that are new or as they were not.
    pub problems: BTreeSet<u64>,
    /// The same of notifications.
    pub notifications: BTreeSet<u64>,
    /// New numbers of the feed, in order.
    pub feed: Vec<Change>,
    /// New audit records, in order.
    pub records: Vec<Record>,
}

impl Changes {
    /// One use of the token was spent.
    pub fn spend(&mut self, token: Id) {
        if !self.tokens.is_new(&token) {
            *self.spent.entry(token).or_default() += 1;
        }
    }

    /// Forgets all changes but the logs, which it gives out: the in-memory store has written them.
    pub fn take_logs(&mut self) -> (Vec<Record>, Vec<Change>) {
        self.tokens.clear();
        self.spent.clear();
        self.identities.clear();
        self.certificates.clear();
        self.requests.clear();
        self.reports.clear();
        self.applied.clear();
        self.crls.clear();
        self.origin = false;
        self.settled.clear();
        self.roles.clear();
        self.jobs.clear();
        self.removed = Removed::default();
        self.sessions.clear();
        self.sessions_started.clear();
        self.sessions_forgotten = None;
        self.problems.clear();
        self.notifications.clear();
        (std::mem::take(&mut self.records), std::mem::take(&mut self.feed))
    }
}
