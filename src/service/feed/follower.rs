//! One follower of the feed. It is asked for the next thing to say and remembers a page at most; who is slow makes
//! nobody wait and nothing pile up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};

use super::roles::{RolesTold, changed};
use super::{News, Sealed};
use crate::base::limits::{FEED_BEHIND_MAX, FEED_FOLLOWERS_MAX, FEED_HEARTBEAT, FEED_PAGE, FEED_SKEW};
use crate::base::{Id, Timestamp};
use crate::model::role::{HostRoles, RolesDigest};
use crate::model::{Change, ChangeKind, Revocation, Seal};
use crate::pki::Serial;
use crate::service::{Anyone, Authorized, Service, ServiceError};
use crate::store::{RevocationRange, StoreError};

/// What a follower is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// First.
    Hello {
        /// Which feed.
        feed: Id,
        /// Its newest number.
        head: u64,
    },
    /// The next number.
    Change(Arc<News>),
    /// A part of everything that matters.
    Snapshot {
        /// The number it stands for.
        at: u64,
        /// The seal of that number.
        seal: Option<Seal>,
        /// Revocations.
        changes: Vec<Sealed>,
        /// Whether this is the last part.
        last: bool,
    },
    /// Who may do what on the host that follows.
    Roles(Box<HostRoles>),
    /// The follower knows more than this server. Nothing comes after it.
    Lost {
        /// It may know more than what has greater numbers than this.
        have: u64,
    },
    /// Nothing happened.
    Heartbeat {
        /// Everything up to here was said.
        head: u64,
        /// Now.
        now: Timestamp,
        /// Over how long those who follow should spread what they say of a change.
        spread: Duration,
    },
}

/// Why nobody follows.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// No place.
    #[error("{FEED_FOLLOWERS_MAX} follow the feed already, more are not served: try again later")]
    Full,
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for FollowError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// Where a follower stands.
enum Stage {
    /// A snapshot up to `at`, of which everything up to `after` was said.
    Snapshot { at: u64, seal: Option<Seal>, after: u64 },
    /// Everything up to `after` was said; `page` comes next.
    Following { after: u64, page: VecDeque<Arc<News>> },
    /// It must give back first.
    Lost { have: u64 },
    /// Nothing more is said.
    Ended,
}

/// A follower. Ends when its own certificate is revoked or runs out.
pub struct Follower {
    service: Arc<Service>,
    serial: Serial,
    not_after: Timestamp,
    watch: watch::Receiver<u64>,
    hello: Option<(Id, u64)>,
    roles: Option<RolesTold>,
    stage: Stage,
    _place: OwnedSemaphorePermit,
}

impl Service {
    /// Follows the feed after a number, or from the beginning without one. With the number comes its seal: what does
    /// not fit means that follower and server do not speak of the same numbers. A host that says which roles it was told
    /// is told them again only when they are others by now.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn follow(
        self: &Arc<Self>,
        caller: &Authorized<Anyone>,
        after: Option<u64>,
        seal: Option<Seal>,
        roles: Option<RolesDigest>,
    ) -> Result<Follower, FollowError> {
        let places = Arc::clone(&self.feed.places);
        let place = places.try_acquire_owned().map_err(|_| FollowError::Full)?;
        let watch = self.store.feed_watch();
        let seen = *watch.borrow();
        let head = self.newest(seen, after).await?;
        let stage = match after {
            None => self.snapshot(head).await?,
            Some(after) => self.resume(caller, after, seal, head).await?,
        };
        Ok(Follower {
            service: Arc::clone(self),
            serial: caller.certificate().serial.clone(),
            not_after: caller.certificate().not_after,
            watch,
            roles: RolesTold::of(self, caller, roles),
            hello: Some((self.feed_origin().await?.feed, head)),
            stage,
            _place: place,
        })
    }

    /// The feed's newest number. Who knows of one beyond those that were seen to be committed has the table asked.
    async fn newest(&self, seen: u64, after: Option<u64>) -> Result<u64, ServiceError> {
        match after {
            Some(after) if after > seen => Ok(self.store.feed_head().await?.number),
            _ => Ok(seen),
        }
    }

    async fn snapshot(&self, at: u64) -> Result<Stage, ServiceError> {
        let seal = self.seal_of(at).await?;
        Ok(Stage::Snapshot { at, seal, after: 0 })
    }

    async fn resume(
        &self,
        caller: &Authorized<Anyone>,
        after: u64,
        seal: Option<Seal>,
        head: u64,
    ) -> Result<Stage, ServiceError> {
        if let Some(have) = self.lost(after, seal, head).await? {
            self.complain(caller, after, head).await?;
            return Ok(Stage::Lost { have });
        }
        if head - after > FEED_BEHIND_MAX {
            return self.snapshot(head).await;
        }
        Ok(Stage::Following {
            after,
            page: VecDeque::new(),
        })
    }

    /// The number up to which both may know the same, when this is not our number or not our seal.
    async fn lost(&self, after: u64, seal: Option<Seal>, head: u64) -> Result<Option<u64>, ServiceError> {
        if after == 0 {
            return Ok(None);
        }
        if after > head {
            return Ok(Some(head));
        }
        Ok(match self.seal_of(after).await? {
            Some(ours) if seal.is_none_or(|seal| seal == ours) => None,
            Some(_) => Some(0),
            None => {
                let next = self.store.feed(after, 1).await?;
                Some(next.first().map_or(0, |change| change.previous))
            }
        })
    }
}

impl Follower {
    /// The next thing to say; waits for it, but not longer than to the next heartbeat. `None` at the end. Safe to
    /// drop while it waits.
    ///
    /// # Errors
    /// The store's; nothing comes after it.
    pub async fn next(&mut self) -> Result<Option<Told>, ServiceError> {
        if let Some((feed, head)) = self.hello.take() {
            return Ok(Some(Told::Hello { feed, head }));
        }
        if self.not_after < self.service.clock.now() {
            return Ok(None);
        }
        if !matches!(self.stage, Stage::Lost { .. } | Stage::Ended)
            && let Some(roles) = self.news_of_roles().await?
        {
            return Ok(Some(Told::Roles(Box::new(roles))));
        }
        match self.stage {
            Stage::Snapshot { at, seal, after } => self.next_part(at, seal, after).await.map(Some),
            Stage::Following { after, .. } => self.next_change(after).await.map(Some),
            Stage::Lost { have } => {
                self.stage = Stage::Ended;
                Ok(Some(Told::Lost { have }))
            }
            Stage::Ended => Ok(None),
        }
    }

    async fn next_part(&mut self, at: u64, seal: Option<Seal>, after: u64) -> Result<Told, ServiceError> {
        let range = RevocationRange {
            issuer: None,
            after,
            to: at,
            since: self.service.clock.now() - FEED_SKEW,
        };
        let page = self.service.store.revocations(range, FEED_PAGE).await?;
        let last = page.len() < FEED_PAGE as usize;
        let newest = page.last().map_or(at, |revocation| revocation.feed);
        let mut changes = Vec::with_capacity(page.len());
        let mut own = false;
        for revocation in page {
            own |= revocation.serial == self.serial;
            changes.push(self.service.seal(restated(revocation)).await?);
        }
        self.stage = match (own, last) {
            (true, _) => Stage::Ended,
            (false, true) => Stage::Following {
                after: at,
                page: VecDeque::new(),
            },
            (false, false) => Stage::Snapshot {
                at,
                seal,
                after: newest,
            },
        };
        Ok(Told::Snapshot {
            at,
            seal,
            changes,
            last,
        })
    }

    async fn next_change(&mut self, after: u64) -> Result<Told, ServiceError> {
        loop {
            // INVARIANT: the number is looked at before the database is: what is committed in between wakes us.
            let head = *self.watch.borrow_and_update();
            if head > after
                && let Some(next) = self.take_next(after).await?
            {
                return Ok(self.say(next));
            }
            let woken = async {
                tokio::select! {
                    changed = self.watch.changed() => changed.is_ok(),
                    () = changed(self.roles.as_mut()) => true,
                }
            };
            match tokio::time::timeout(FEED_HEARTBEAT, woken).await {
                Ok(true) => {
                    if let Some(roles) = self.news_of_roles().await? {
                        return Ok(Told::Roles(Box::new(roles)));
                    }
                    continue;
                }
                // The store is closed.
                Ok(false) => self.stage = Stage::Ended,
                Err(_) => {}
            }
            return Ok(Told::Heartbeat {
                head: after,
                now: self.service.clock.now(),
                spread: self.service.feed.spread(),
            });
        }
    }

    /// Who may do what on the host, if that is not what it was told last.
    async fn news_of_roles(&mut self) -> Result<Option<HostRoles>, ServiceError> {
        match &mut self.roles {
            Some(roles) => roles.news(&self.service).await,
            None => Ok(None),
        }
    }

    async fn take_next(&mut self, after: u64) -> Result<Option<Arc<News>>, ServiceError> {
        let Stage::Following { page, .. } = &mut self.stage else {
            return Ok(None);
        };
        if page.is_empty() {
            *page = self.service.changes_after(after).await?.into();
        }
        Ok(page.pop_front())
    }

    fn say(&mut self, next: Arc<News>) -> Told {
        let kind = &next.sealed().change.kind;
        let own = matches!(kind, ChangeKind::Revoked(r) if r.serial == self.serial);
        match &mut self.stage {
            Stage::Following { after, .. } if !own => *after = next.number(),
            stage => *stage = Stage::Ended,
        }
        Told::Change(next)
    }
}

/// A revocation as the change it was.
fn restated(revocation: Revocation) -> Change {
    Change {
        number: revocation.feed,
        previous: revocation.feed.saturating_sub(1),
        at: revocation.revoked_at,
        kind: ChangeKind::Revoked(Box::new(revocation)),
    }
}
