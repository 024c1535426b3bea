//! How far the follower is, for reports, conditions and metrics; and what is enforced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::disk::Place;
use crate::base::Timestamp;
use crate::model::role::RolesInForce;
use crate::model::{Enforced, FeedApplied};
use crate::pki::RevokedSet;

/// What the follower and everybody who asks about it share.
#[derive(Debug)]
pub struct FeedState {
    enforced: Arc<Enforced>,
    roles: Arc<RolesInForce>,
    refuses: AtomicBool,
    view: Mutex<FeedView>,
    news: watch::Sender<u64>,
    begun: Mutex<RevokedSet>,
    /// Up to where programs of others refuse what is known here; `None`: there are none.
    elsewhere: Option<watch::Sender<Option<Place>>>,
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
            news: watch::Sender::new(0),
            begun: Mutex::default(),
            elsewhere: None,
        }
    }

    /// Of a host where programs of others refuse, which learn it later than this one: what is applied here counts as refused
    /// once [`FeedState::done_elsewhere`] says so.
    #[must_use]
    pub fn with_others(mut self) -> Self {
        self.elsewhere = Some(watch::Sender::new(None));
        self
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
        let others = self.elsewhere.as_ref();
        self.refuses.load(Ordering::Acquire) && others.is_none_or(|done| *done.borrow() == self.view().place)
    }

    /// Programs of others refuse everything up to `place`. Told to the server at once.
    pub fn done_elsewhere(&self, place: Option<Place>) {
        if let Some(done) = &self.elsewhere {
            done.send_if_modified(|before| std::mem::replace(before, place) != place);
        }
    }

    /// When that changes; never where there are no such programs.
    pub(super) fn others(&self) -> Option<watch::Receiver<Option<Place>>> {
        self.elsewhere.as_ref().map(watch::Sender::subscribe)
    }

    /// Changes whenever something was revoked, or the place in the feed has moved.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// What was known when the follower began. Gives it away: there is one who asks.
    pub fn take_begun(&self) -> RevokedSet {
        std::mem::take(&mut self.begun.lock().expect("no panic while the lock is held"))
    }

    pub(super) fn begin(&self, known: &RevokedSet) {
        if self.elsewhere.is_some() {
            *self.begun.lock().expect("no panic while the lock is held") = known.clone();
        }
    }

    pub(super) fn tell(&self) {
        self.news.send_modify(|news| *news += 1);
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
        let moved = {
            let mut view = self.view.lock().expect("no panic while the lock is held");
            let before = view.place;
            change(&mut view);
            view.place != before
        };
        if moved {
            self.tell();
        }
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
            roles: self.roles.digest().filter(|_| refuses),
        })
    }
}
