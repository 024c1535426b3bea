//! Signing a browser in with a one-time link, and what a session is worth: what the certificate that asked for it is worth.

use std::net::IpAddr;

use super::{AccessError, Admin, Authorized, Caller, Service, ServiceError, Viewer};
use crate::base::encoding::{base32, base32_decode, sha256};
use crate::base::limits::PAGE_MAX;
use crate::base::{Id, Timestamp};
use crate::model::audit::Actor;
use crate::model::{LINK_LIFETIME, SESSION_LIFETIME, SESSION_SEEN_EVERY, SESSIONS_MAX, Session};
use crate::store::{SessionChange, SessionOrder, StoreError};

/// Why nobody was signed in, or a session not ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There are too many of this person's.
    #[error("there are {SESSIONS_MAX} links and sessions of yours: end some, or wait until they end")]
    TooMany,
    /// The link is unknown, spent or too old. Never says which.
    #[error(
        "this link does not sign anybody in: it was used before, or is older than a minute. Ask for another one: dockwarden dashboard"
    )]
    Link,
    /// There is none with this id, or it is somebody else's.
    #[error("no session of yours has id {0}")]
    Unknown(Id),
    /// What stands behind the link is not accepted any more.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// A link that was made. Its secret is nowhere else.
pub struct Offer {
    /// The secret in the link.
    pub secret: String,
    /// Until when it may be used.
    pub until: Timestamp,
}

/// A session that was begun. The cookie's secret is nowhere else.
pub struct Begun {
    /// The session.
    pub session: Session,
    /// The secret in the cookie.
    pub cookie: String,
}

/// What a secret is known by; `None` when it cannot be one.
fn known_by(secret: &str) -> Option<[u8; 32]> {
    // 32 bytes in base32.
    (secret.len() == 52)
        .then(|| base32_decode(secret))?
        .map(|secret| sha256(&secret))
}

impl Service {
    /// A link that signs a browser in as the caller.
    ///
    /// # Errors
    /// [`SessionError::TooMany`], the store's.
    pub async fn offer_session(&self, viewer: &Authorized<Viewer>) -> Result<Offer, SessionError> {
        let now = self.clock.now();
        let secret: [u8; 32] = self.random.bytes();
        let session = Session {
            id: Id::draw(&*self.random),
            identity: viewer.identity().id,
            name: viewer.identity().name.clone(),
            serial: viewer.certificate().serial.clone(),
            created_at: now,
            started_at: None,
            seen_at: now,
            source: None,
            ended_at: None,
        };
        let change = SessionChange::Offer {
            session: Box::new(session),
            link: sha256(&secret),
        };
        let offered = self
            .change_session(change, viewer.actor(), viewer.source(), now)
            .await?;
        offered.ok_or(SessionError::TooMany)?;
        Ok(Offer {
            secret: base32(&secret),
            until: now + LINK_LIFETIME,
        })
    }

    /// Whose link this is, if it may be used. Spends nothing.
    ///
    /// # Errors
    /// [`SessionError::Link`], the store's.
    pub async fn look_at_link(&self, secret: &str) -> Result<Session, SessionError> {
        let link = known_by(secret).ok_or(SessionError::Link)?;
        let found = self.store.session_by_link(link).await?;
        found
            .filter(|session| session.is_link_at(self.clock.now()))
            .ok_or(SessionError::Link)
    }

    /// Spends a link.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn begin_session(&self, secret: &str, source: Option<IpAddr>) -> Result<Begun, SessionError> {
        let session = self.look_at_link(secret).await?;
        self.holder(&session, source).await?.authorize::<Viewer>()?;
        let link = known_by(secret).ok_or(SessionError::Link)?;
        let cookie: [u8; 32] = self.random.bytes();
        let change = SessionChange::Start {
            link,
            cookie: sha256(&cookie),
        };
        let now = self.clock.now();
        let begun = self.change_session(change, Actor::Anonymous, source, now).await?;
        Ok(Begun {
            session: begun.ok_or(SessionError::Link)?,
            cookie: base32(&cookie),
        })
    }

    /// Who is signed in with this cookie now; `None` when nobody is. Certificate and identity are looked up each time.
    ///
    /// # Errors
    /// [`AccessError`] when the certificate behind the session is not accepted any more.
    pub async fn identify_session(
        &self,
        cookie: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<(Caller, Session)>, AccessError> {
        let store = |e: StoreError| AccessError::Service(e.into());
        let Some(cookie) = known_by(cookie) else {
            return Ok(None);
        };
        let now = self.clock.now();
        let found = self.store.session_by_cookie(cookie).await.map_err(store)?;
        let Some(session) = found.filter(|session| session.is_open_at(now)) else {
            return Ok(None);
        };
        let caller = self.holder(&session, source).await?;
        if now.since(session.seen_at) >= SESSION_SEEN_EVERY {
            let seen = SessionChange::Seen(session.id);
            self.change_session(seen, Actor::System, source, now)
                .await
                .map_err(store)?;
        }
        Ok(Some((caller, session)))
    }

    /// Ends a session, or withdraws a link: the caller's own, or for an admin anybody's.
    ///
    /// # Errors
    /// [`SessionError::Unknown`], the store's.
    pub async fn end_session(&self, viewer: &Authorized<Viewer>, id: Id) -> Result<(), SessionError> {
        let found = self.store.session(id).await?;
        let may = |session: &Session| session.identity == viewer.identity().id || viewer.reaches::<Admin>();
        if !found.is_some_and(|session| may(&session)) {
            return Err(SessionError::Unknown(id));
        }
        let now = self.clock.now();
        let end = SessionChange::End(id);
        let ended = self
            .change_session(end, viewer.actor(), viewer.source(), now)
            .await?;
        ended.map(drop).ok_or(SessionError::Unknown(id))
    }

    /// Sessions that are open and links that wait, newest first: the caller's own, or for an admin everybody's.
    ///
    /// # Errors
    /// The store's.
    pub async fn sessions(&self, viewer: &Authorized<Viewer>) -> Result<Vec<Session>, ServiceError> {
        let now = self.clock.now();
        let of = (!viewer.reaches::<Admin>()).then(|| viewer.identity().id);
        let since = now - SESSION_LIFETIME - LINK_LIFETIME;
        let mut found = self.store.sessions(of, since, PAGE_MAX).await?;
        found.retain(|session| !session.is_over_at(now));
        Ok(found)
    }

    async fn change_session(
        &self,
        change: SessionChange,
        actor: Actor,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let order = SessionOrder {
            change,
            actor,
            source,
            now,
        };
        self.store.change_session(order).await
    }
}
