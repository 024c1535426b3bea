//! Where a gate says what was asked for, and from where it is written down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::learned::Learned;
use super::needs::needs;
use crate::base::Clock;
use crate::model::role::decide::{Body, Request};

/// Learns. Shared by who sees requests and who writes down what was learned.
pub struct Learner {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    learned: Learned,
    /// There is something that [`Learner::news`] has not told.
    news: bool,
}

impl Learner {
    /// Goes on from what was learned before.
    pub fn new(learned: Learned, clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State { learned, news: false });
        Self { clock, state }
    }

    /// A request of `client` was let through, or refused by its roles. Its body, where rules look at it.
    pub fn note(&self, client: &str, allowed: bool, request: &Request<'_>, body: Body<'_>) {
        let (needs, now) = (needs(request, body), self.clock.now());
        let mut state = self.lock();
        let news = state
            .learned
            .note(client, allowed, request.operation.name, needs, now);
        state.news |= news;
    }

    /// The same for what is none of the Engine's operations.
    pub fn note_unknown(&self, client: &str, allowed: bool, method: &str, path: &str) {
        let now = self.clock.now();
        let mut state = self.lock();
        let news = state
            .learned
            .note_unknown(client, allowed, &format!("{method} {path}"), now);
        state.news |= news;
    }

    /// Everything, if there is something new since this was called last.
    pub fn news(&self) -> Option<Learned> {
        let mut state = self.lock();
        std::mem::take(&mut state.news).then(|| state.learned.clone())
    }

    /// What was told as news was not written down after all: tell it again.
    pub fn not_kept(&self) {
        self.lock().news = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clients = self.lock().learned.clients.len();
        f.debug_struct("Learner")
            .field("clients", &clients)
            .finish_non_exhaustive()
    }
}
