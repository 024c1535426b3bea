//! What a host that follows is told of roles: all that concerns it, after `hello` and whenever that changes. The last
//! one counts, so nothing is numbered, and several changes that come together are told as one.

use tokio::sync::watch;

use crate::base::Id;
use crate::base::limits::{HOST_ROLES_BYTES_MAX, ROLES_COALESCE};
use crate::model::IdentityKind;
use crate::model::role::{HostRoles, RolesDigest};
use crate::service::{Anyone, Authorized, Service, ServiceError};

/// What one host was told last.
pub(super) struct RolesTold {
    host: Id,
    watch: watch::Receiver<u64>,
    /// The count of changes that was looked at.
    looked_at: Option<u64>,
    /// What was told, in short; before that, what the host says it was told on a former connection.
    told: Option<RolesDigest>,
    /// Nothing was looked at yet.
    is_first: bool,
}

impl RolesTold {
    /// For a caller that is a host; others enforce nothing.
    pub(super) fn of(
        service: &Service,
        caller: &Authorized<Anyone>,
        known: Option<RolesDigest>,
    ) -> Option<Self> {
        let identity = caller.identity();
        (identity.kind == IdentityKind::Host).then(|| Self {
            host: identity.id,
            watch: service.store.roles_watch(),
            looked_at: None,
            told: known,
            is_first: true,
        })
    }

    /// What to tell, if it is not what was told last. Safe to drop while it waits: nothing is noted before it is given.
    pub(super) async fn news(&mut self, service: &Service) -> Result<Option<HostRoles>, ServiceError> {
        let count = *self.watch.borrow_and_update();
        if self.looked_at == Some(count) {
            return Ok(None);
        }
        let roles = service.host_roles(self.host).await?;
        let text = serde_json::to_vec(&roles).expect("maps by string are always JSON");
        self.looked_at = Some(count);
        if text.len() > HOST_ROLES_BYTES_MAX {
            tracing::error!(
                host = %self.host,
                bytes = text.len(),
                "a host is not told of roles: they are more than it reads. Bind roles to fewer hosts"
            );
            return Ok(None);
        }
        let digest = RolesDigest::of_json(&text);
        let before = self.told.replace(digest);
        let news = before != Some(digest);
        if std::mem::take(&mut self.is_first) && news {
            self.compare(service, before).await?;
        }
        Ok(news.then_some(roles))
    }

    /// A server that goes on from a backup says what stood in it, whatever hosts were told since: that must not go
    /// unnoticed.
    async fn compare(&self, service: &Service, known: Option<RolesDigest>) -> Result<(), ServiceError> {
        let known = known.filter(|known| *known != RolesDigest::NOTHING);
        match known.is_some() && service.unsettled().await?.is_some() {
            true => service.complain_of_roles(self.host).await,
            false => Ok(()),
        }
    }
}

/// Completes when there may be something to tell; never for who is told nothing.
pub(super) async fn changed(roles: Option<&mut RolesTold>) {
    let open = match roles {
        Some(roles) => roles.watch.changed().await.is_ok(),
        None => false,
    };
    match open {
        // Several come together when many enrol: told as one. Whatever wakes the follower meanwhile tells them, too.
        true => tokio::time::sleep(ROLES_COALESCE).await,
        false => std::future::pending().await,
    }
}
