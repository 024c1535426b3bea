//! A server that was restored from a backup knows less than the hosts do. They notice, because what they applied last
//! is none of its numbers; it takes back what they give, if it carries its own seal; and as long as somebody may
//! still know more, it says so and signs nothing that would un-revoke.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::base::limits::{FEED_COMPLAINTS_MAX, FEED_KNOWN_MAX};
use crate::base::{Id, Timestamp};
use crate::model::audit::{Actor, Event};
use crate::model::{Change, ChangeKind};
use crate::service::feed::Sealed;
use crate::service::{Admin, Anyone, Authorized, HostItself, Service, ServiceError, Viewer};
use crate::store::{Given, Regain, Regained, Shown, StoreError};

/// Why nothing was taken back.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// The changes are those of another server, or of one that was made anew.
    #[error(
        "these changes are of another feed than this server's: keep them, and follow this one from its beginning"
    )]
    OtherFeed,
    /// More than one request may hold.
    #[error("more than {FEED_KNOWN_MAX} changes at once: send them in parts")]
    TooMany,
    /// Not the caller's fault.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for KnownError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// Who was already written down as knowing more, with the number: once is enough.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<BTreeSet<(Id, u64)>>);

impl Complaints {
    fn is_new(&self, identity: Id, number: u64) -> bool {
        let mut known = self.0.lock().expect("no panic while the lock is held");
        known.len() < FEED_COMPLAINTS_MAX && known.insert((identity, number))
    }
}

impl Service {
    /// Says loudly that a follower knows what this server does not.
    pub(super) async fn complain(
        &self,
        caller: &Authorized<Anyone>,
        after: u64,
        head: u64,
    ) -> Result<(), ServiceError> {
        let name = &caller.identity().name;
        tracing::error!(%name, number = after, head, "a follower of the feed has applied a number that this server never gave out: \
            was this server restored from an older backup? What it lost is asked back");
        if !self.feed.complaints.is_new(caller.identity().id, after) {
            return Ok(());
        }
        let detail = BTreeMap::from([("number", after.to_string()), ("head", head.to_string())]);
        let event = self.event(caller.actor(), "feed.lost", name.to_string(), detail);
        Ok(self.store.append_audit(event).await?)
    }

    /// Says loudly that a host enforced other roles than this server, which goes on from a backup.
    pub(super) async fn complain_of_roles(&self, host: Id) -> Result<(), ServiceError> {
        let Some(identity) = self.store.identity_by_id(host).await? else {
            return Ok(());
        };
        let name = identity.name.to_string();
        let is_new = {
            let mut astray = self.feed.astray.lock().expect("no panic while the lock is held");
            astray.len() < FEED_COMPLAINTS_MAX && astray.insert(name.clone())
        };
        if !is_new {
            return Ok(());
        }
        tracing::error!(host = %name, "a host enforced other roles than those in the backup that this server was restored from, \
            and is told these now: look through dockwarden role ls");
        let event = self.event(Actor::System, "role.restored", name, BTreeMap::new());
        Ok(self.store.append_audit(event).await?)
    }

    /// When this server went on from a backup, while hosts are waited for; and those that enforced other roles than it
    /// says, as far as they have come since it was started.
    ///
    /// # Errors
    /// The store's.
    pub async fn roles_restored(
        &self,
        _viewer: &Authorized<Viewer>,
    ) -> Result<(Option<Timestamp>, Vec<String>), ServiceError> {
        let since = self.unsettled().await?.map(|(_, since)| since);
        let astray = self.feed.astray.lock().expect("no panic while the lock is held");
        Ok((since, astray.iter().cloned().collect()))
    }

    fn event(
        &self,
        actor: Actor,
        action: &'static str,
        subject: String,
        detail: BTreeMap<&'static str, String>,
    ) -> Event {
        Event {
            at: self.clock.now(),
            actor,
            action,
            subject,
            outcome: "ok".to_owned(),
            source: None,
            detail,
        }
    }

    /// Takes back revocations that this server made and lost. Gives also how many it did not take, because the seal
    /// on them is not its own.
    ///
    /// # Errors
    /// [`KnownError`].
    pub async fn take_back(
        &self,
        host: &Authorized<HostItself>,
        feed: Id,
        changes: Vec<Sealed>,
    ) -> Result<(Regained, u64), KnownError> {
        if changes.len() > FEED_KNOWN_MAX {
            return Err(KnownError::TooMany);
        }
        let origin = self.feed_origin().await?;
        if feed != origin.feed {
            return Err(KnownError::OtherFeed);
        }
        let (ours, foreign): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|sealed| origin.key.seal(&sealed.change) == sealed.seal);
        let refused = foreign.len() as u64;
        if refused > 0 {
            let detail = BTreeMap::from([("changes", refused.to_string())]);
            let subject = host.identity().name.to_string();
            let mut event = self.event(host.actor(), "feed.regain", subject, detail);
            event.outcome = "not-our-seal".to_owned();
            event.source = host.source();
            self.store.append_audit(event).await?;
        }
        let regain = Regain {
            given: ours
                .into_iter()
                .filter_map(|sealed| given(sealed.change))
                .collect(),
            actor: host.actor(),
            source: host.source(),
            now: self.clock.now(),
        };
        let regained = self.store.regain(regain).await?;
        if regained.fresh > 0 {
            tracing::warn!(host = %host.identity().name, count = regained.fresh, "took back revocations that this server had lost");
        }
        Ok((regained, refused))
    }

    /// When this server went on from a backup, and since when it waits for hosts to say what they know; `None` when
    /// nothing is waited for.
    ///
    /// # Errors
    /// The store's.
    pub async fn unsettled(&self) -> Result<Option<(u64, Timestamp)>, ServiceError> {
        Ok(self.store.feed_head().await?.unsettled)
    }

    /// Settles a restoration once every host has followed the feed beyond it: each was asked what it knows on the
    /// way there.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle_when_heard(&self) -> Result<(), ServiceError> {
        let Some((number, _)) = self.unsettled().await? else {
            return Ok(());
        };
        let progress = self.progress(number).await?;
        if progress.followed < progress.hosts {
            return Ok(());
        }
        if self.store.settle(number, Actor::System, self.clock.now()).await? {
            tracing::info!(
                number,
                hosts = progress.hosts,
                "every host has said what it knows since this server was restored"
            );
        }
        Ok(())
    }

    /// An admin decides to wait for no more hosts. False when there was nothing to decide.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle(&self, admin: &Authorized<Admin>) -> Result<bool, ServiceError> {
        let Some((number, _)) = self.unsettled().await? else {
            return Ok(false);
        };
        Ok(self.store.settle(number, admin.actor(), self.clock.now()).await?)
    }
}

fn given(change: Change) -> Option<Given> {
    let ChangeKind::Revoked(revocation) = change.kind else {
        return None;
    };
    Some(Given {
        number: change.number,
        at: change.at,
        certificate: Shown {
            issuer: revocation.issuer,
            serial: revocation.serial,
            name: revocation.name,
            not_after: revocation.not_after,
        },
        reason: revocation.reason,
    })
}
