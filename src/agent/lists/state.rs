//! How the lists are, for conditions and metrics.

use std::sync::Mutex;

use super::List;
use crate::base::Timestamp;

/// What the keeper and everybody who asks about it share.
#[derive(Debug, Default)]
pub struct ListsState(Mutex<ListsView>);

/// A list that is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Which.
    pub list: List,
    /// Its number.
    pub number: u64,
    /// How many certificates it names.
    pub entries: usize,
    /// Past this, programs refuse everybody.
    pub next_update: Timestamp,
}

/// How the lists are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListsView {
    /// What is in the file.
    pub in_use: Vec<InUse>,
    /// Whether the file holds back the lists of issuers, because the server was not heard of.
    pub holds_back: bool,
    /// What is not as it should be: a word for programs, a sentence for people.
    pub failure: Option<(&'static str, String)>,
    /// Times the file was written.
    pub written: u64,
    /// Times the hook ran and succeeded.
    pub reloads: u64,
    /// Times something failed.
    pub failures: u64,
}

impl ListsView {
    /// When the first of the lists in the file runs out.
    pub fn good_until(&self) -> Option<Timestamp> {
        self.in_use.iter().map(|list| list.next_update).min()
    }
}

impl ListsState {
    /// How they are.
    pub fn view(&self) -> ListsView {
        self.0.lock().expect("no panic while the lock is held").clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ListsView)) {
        change(&mut self.0.lock().expect("no panic while the lock is held"));
    }
}
