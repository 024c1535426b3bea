//! Sessions in memory.

use async_trait::async_trait;

use super::super::StoreError;
use super::super::op::{Answer, Op};
use super::super::sessions::{SessionOrder, SessionStore};
use super::MemoryStore;
use crate::base::{Id, Timestamp};
use crate::model::Session;

#[async_trait]
impl SessionStore for MemoryStore {
    async fn change_session(&self, order: SessionOrder) -> Result<Option<Session>, StoreError> {
        self.run(&Op::Session(Box::new(order))).map(Answer::session)
    }

    async fn session_by_link(&self, link: [u8; 32]) -> Result<Option<Session>, StoreError> {
        let inner = self.lock();
        let found = inner.state.sessions().find(|row| row.link == link);
        Ok(found.map(|row| row.session.clone()))
    }

    async fn session_by_cookie(&self, cookie: [u8; 32]) -> Result<Option<Session>, StoreError> {
        let inner = self.lock();
        let found = inner.state.sessions().find(|row| row.cookie == Some(cookie));
        Ok(found.map(|row| row.session.clone()))
    }

    async fn session(&self, id: Id) -> Result<Option<Session>, StoreError> {
        Ok(self.lock().state.session(id).map(|row| row.session.clone()))
    }

    async fn sessions(
        &self,
        identity: Option<Id>,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let inner = self.lock();
        let all = inner.state.sessions().map(|row| &row.session);
        let wanted = all.filter(|session| {
            session.created_at >= since && identity.is_none_or(|identity| session.identity == identity)
        });
        let mut found: Vec<Session> = wanted.cloned().collect();
        found.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
        found.truncate(limit as usize);
        Ok(found)
    }
}
