//! The part of the store that sign-ins of browsers need.

use std::net::IpAddr;

use async_trait::async_trait;

use super::StoreError;
use crate::base::{Id, Timestamp};
use crate::model::Session;
use crate::model::audit::Actor;

/// A change of sessions. Secrets come as SHA-256.
#[derive(Clone, Debug)]
pub enum SessionChange {
    /// Remembers a link. Links and sessions that are long over are forgotten.
    Offer {
        /// The session to be.
        session: Box<Session>,
        /// The link's secret.
        link: [u8; 32],
    },
    /// Spends a link, once.
    Start {
        /// The link's secret.
        link: [u8; 32],
        /// The cookie's secret.
        cookie: [u8; 32],
    },
    /// Notes that something happened in it. Not audited.
    Seen(Id),
    /// Ends it.
    End(Id),
}

/// A change with who, where and when.
#[derive(Clone, Debug)]
pub struct SessionOrder {
    /// What.
    pub change: SessionChange,
    /// Who; for a link that is spent the store takes whoever asked for it.
    pub actor: Actor,
    /// From where.
    pub source: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// Sessions. As with [`super::Store`], a write method is one transaction, answered after the commit.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// `session.offer`, `session.start`, `session.end`. Gives the session after it; `None` when nothing was done: there is
    /// none, it was spent before, is over, or the person has too many.
    async fn change_session(&self, order: SessionOrder) -> Result<Option<Session>, StoreError>;
    /// The session with this link, spent or not.
    async fn session_by_link(&self, link: [u8; 32]) -> Result<Option<Session>, StoreError>;
    /// The session with this cookie.
    async fn session_by_cookie(&self, cookie: [u8; 32]) -> Result<Option<Session>, StoreError>;
    /// A session.
    async fn session(&self, id: Id) -> Result<Option<Session>, StoreError>;
    /// Sessions and links that were made at `since` or later, newest first, at most `limit`; of one identity if it is given.
    async fn sessions(
        &self,
        identity: Option<Id>,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;
}
