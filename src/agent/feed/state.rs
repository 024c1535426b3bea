//! How far the follower is, for reports, conditions and metrics; and what is enforced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::disk::Place;
use crate::base::Timestamp;
use crate::model::role::RolesInForce;
use crate::model::{Enforced, FeedApplied};

/// What the follower and everybody who asks about it share.
#[derive(Debug)]
pub struct FeedState {
    enforced: Arc<Enforced>,
    roles: Arc<RolesInForce>,
    refuses: AtomicBool,
    view: Mutex<FeedView>,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedView {
    /// What was applied last.
    pub place: Option<Place>,
    /// The newest number that the server said.
    pub head: u64,
    /// When it said the newest thing.
    pub heard_at: Option<Timestamp>,
    /// Why it is not being followed.
    pub failure: Option<String>,
    /// Times the connection was lost, or not made.
    pub failures: u64,
    /// Connections that were ended for revocations.
    pub cut: u64,
    /// Revocations that a restored server was given back.
    pub given_back: u64,
}

impl FeedState {
    /// Of a follower that has not begun.
    pub fn new(enforced: Arc<Enforced>) -> Self {
        Self {
            enforced,
            roles: Arc::new(RolesInForce::unknown()),
            refuses: AtomicBool::new(true),
            view: Mutex::default(),
        }
    }

    /// What is enforced.
    pub fn enforced(&self) -> &Arc<Enforced> {
        &self.enforced
    }

    /// With these roles instead of those that the server says.
    #[must_use]
    pub fn with_roles(mut self, roles: RolesInForce) -> Self {
        self.roles = Arc::new(roles);
        self
    }

    /// Who may do what.
    pub fn roles(&self) -> &Arc<RolesInForce> {
        &self.roles
    }

    /// Whether something on this host refuses what is known here; if not, the server is told so.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    /// Says whether something does, which in the modes without a gate changes as the host does. Told to the server with the
    /// next report or heartbeat.
    pub fn set_refuses(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Release);
    }

    /// How far it is.
    pub fn view(&self) -> FeedView {
        self.view.lock().expect("no panic while the lock is held").clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut FeedView)) {
        change(&mut self.view.lock().expect("no panic while the lock is held"));
    }

    /// What the server is told; `None` before anything was applied.
    pub fn applied(&self) -> Option<FeedApplied> {
        let (place, refuses) = (self.view().place?, self.refuses());
        Some(FeedApplied {
            feed: place.feed,
            number: place.number,
            seal: place.seal,
            cut: 0,
            denies_after: self
                .enforced
                .patience()
                .filter(|_| refuses)
                .map(|patience| patience.as_secs()),
            refuses,
        })
    }
}
