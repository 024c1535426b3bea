//! Sessions of browsers.

use super::super::events;
use super::super::op::Answer;
use super::super::sessions::{SessionChange, SessionOrder};
use super::State;
use crate::base::{Id, Timestamp};
use crate::model::{SESSION_LIFETIME, SESSIONS_MAX, Session};

/// A session with the hashes of its secrets.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The session.
    pub session: Session,
    /// SHA-256 of the link's secret.
    pub link: [u8; 32],
    /// SHA-256 of the cookie's secret, once it is spent.
    pub cookie: Option<[u8; 32]>,
}

impl State {
    pub(super) fn change_session(&mut self, order: &SessionOrder) -> Answer {
        let changed = match &order.change {
            SessionChange::Offer { session, link } => self.offer_session(session, *link, order.now),
            SessionChange::Start { link, cookie } => self.start_session(*link, *cookie, order),
            SessionChange::Seen(id) => {
                self.touch_session(*id, order.now, |row, now| row.session.seen_at = now)
            }
            SessionChange::End(id) => {
                self.touch_session(*id, order.now, |row, now| row.session.ended_at = Some(now))
            }
        };
        if let Some(session) = &changed
            && let Some(event) = events::session_changed(order, session)
        {
            self.record(&event);
        }
        Answer::Session(changed.map(Box::new))
    }

    fn offer_session(&mut self, session: &Session, link: [u8; 32], now: Timestamp) -> Option<Session> {
        let of_person = |row: &&SessionRow| row.session.identity == session.identity;
        let live = self.sessions.values().filter(of_person);
        if live.filter(|row| !row.session.is_over_at(now)).count() >= SESSIONS_MAX {
            return None;
        }
        let forgotten = now - 2 * SESSION_LIFETIME;
        self.sessions.retain(|_, row| row.session.created_at >= forgotten);
        self.changes.sessions_forgotten = Some(forgotten);
        self.changes.sessions.insert(session.id);
        self.put_session(SessionRow {
            session: session.clone(),
            link,
            cookie: None,
        });
        Some(session.clone())
    }

    fn start_session(&mut self, link: [u8; 32], cookie: [u8; 32], order: &SessionOrder) -> Option<Session> {
        let rows = &mut self.sessions;
        let row = rows.values_mut().find(|row| row.link == link)?;
        if !row.session.is_link_at(order.now) {
            return None;
        }
        row.cookie = Some(cookie);
        row.session.started_at = Some(order.now);
        row.session.seen_at = order.now;
        row.session.source = order.source;
        let started = row.session.clone();
        self.changes.sessions_started.insert(started.id);
        Some(started)
    }

    fn touch_session(
        &mut self,
        id: Id,
        now: Timestamp,
        change: impl Fn(&mut SessionRow, Timestamp),
    ) -> Option<Session> {
        let row = self.sessions.get_mut(&id)?;
        if row.session.is_over_at(now) {
            return None;
        }
        change(row, now);
        let touched = row.session.clone();
        if !self.changes.sessions_started.contains(&id) {
            self.changes.sessions.touch(id);
        }
        Some(touched)
    }

    /// Knows this session.
    pub fn put_session(&mut self, row: SessionRow) {
        self.sessions.insert(row.session.id, row);
    }

    /// A session.
    pub fn session(&self, id: Id) -> Option<&SessionRow> {
        self.sessions.get(&id)
    }

    /// All that it knows.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRow> {
        self.sessions.values()
    }
}
