//! Use cases of the server; the only place that calls the store's transactions. Knows no HTTP.

mod access;
mod audit;
mod certificates;
mod clients;
mod crl;
mod enroll;
mod error;
mod failures;
mod feed;
mod hosts;
mod issue;
mod jobs;
mod look;
pub mod metrics;
mod names;
mod ocsp;
mod overview;
mod own;
mod problems;
mod renew;
mod requests;
mod revoke;
mod roles;
mod sessions;
mod token_cache;
mod tokens;
mod upkeep;

use std::sync::Arc;

use crate::base::{Clock, Random};
use crate::model::job::JobPlans;
use crate::model::{IdentityKind, Labels, Profile};
use crate::pki::San;
use crate::store::Store;

pub use crate::ca::OcspAnswer;
pub use crate::store::{AuditFilter, HostCounts, HostProgress, HostRow, Progress, Withdrawn};

pub use access::{
    AccessError, Admin, Anyone, Authorized, Caller, HostItself, Level, Operator, Peer, Renewer, Viewer,
};
pub use audit::Verified;
pub use certificates::CertificateError;
pub use crl::{CRL_EVERY, CrlPublishError, Published};
pub use enroll::{Application, EnrollError, Enrollment};
pub use error::ServiceError;
pub use feed::{AppliedError, FollowError, Follower, KnownError, Sealed, Told};
pub use hosts::{HostError, HostSeen};
pub use issue::{Authority, AuthorityError, Issuance};
pub use jobs::{JobError, JobSeen};
pub use look::{CertificateSearch, ListOrder};
pub use names::NamesError;
pub use overview::Overview;
pub use own::{OWN_NAME, OwnCertificate, OwnError};
pub use problems::{Alerts, ChannelError};
pub use renew::RenewError;
pub use requests::RequestError;
pub use revoke::RevokeError;
pub use roles::{Bound, RoleChangeError, RoleSeen, RolesProgress};
pub use sessions::{Begun, Offer, SessionError};
pub use tokens::{NewToken, TokenError};
pub use upkeep::{PruneOutcome, Retention};

/// Label keys that start with this are the server's own; nobody else may set them.
pub const RESERVED_LABELS: &str = "dockwarden/";

/// What the configuration decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The profile of hosts.
    pub host: Profile,
    /// The profile of clients.
    pub client: Profile,
    /// Names and addresses the server itself is reached by: its certificate carries them.
    pub names: Vec<San>,
    /// When jobs run.
    pub plans: JobPlans,
    /// How long what is over is kept.
    pub retention: Retention,
    /// What is a problem, and who is told of it.
    pub alerts: Alerts,
}

impl Default for Settings {
    /// The usual profiles, times and retention, and no names.
    fn default() -> Self {
        Self {
            host: Profile::default_for(IdentityKind::Host),
            client: Profile::default_for(IdentityKind::Client),
            names: Vec::new(),
            plans: JobPlans::default(),
            retention: Retention::default(),
            alerts: Alerts::default(),
        }
    }
}

/// The use cases, over a store, a CA, a clock and a random source.
pub struct Service {
    store: Arc<dyn Store>,
    authority: Arc<Authority>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    tokens: token_cache::TokenCache,
    failures: failures::Failures,
    feed: feed::Feed,
    lists: Arc<crl::Lists>,
    responders: ocsp::Responders,
    roles: roles::Roles,
    metrics: metrics::Metrics,
    board: jobs::Board,
    overviews: overview::Overviews,
    verifying: tokio::sync::Mutex<()>,
    news: problems::News,
}

impl Service {
    /// Puts the parts together.
    pub fn new(
        store: Arc<dyn Store>,
        authority: Arc<Authority>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (metrics, board) = (
            metrics::Metrics::default(),
            jobs::Board::new(settings.plans.clone()),
        );
        let news = problems::News::new(&settings.alerts, clock.now());
        for source in board.sources().into_iter().chain(news.sources()) {
            metrics.registry().add(source);
        }
        let service = Self {
            store,
            authority,
            settings,
            clock,
            random,
            tokens: token_cache::TokenCache::default(),
            failures: failures::Failures::default(),
            feed: feed::Feed::default(),
            lists: Arc::default(),
            responders: ocsp::Responders::default(),
            roles: roles::Roles::default(),
            metrics,
            board,
            overviews: overview::Overviews::default(),
            verifying: tokio::sync::Mutex::default(),
            news,
        };
        service.metrics.look_at(&service);
        service
    }

    /// The CA certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The time, as every use case sees it.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The random source.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// What the configuration decides.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the store answers and could write. Gives what somebody should look at although it does.
    ///
    /// # Errors
    /// The store's.
    pub async fn ready(&self) -> Result<Vec<String>, ServiceError> {
        self.store.ready().await?;
        let mut reasons = self.crl_reasons();
        if let Some((number, since)) = self.unsettled().await? {
            reasons.push(format!(
                "restored from a backup at {since} (feed {number}): revocations made after that backup are lost until \
                 hosts give them back, and no CRL is published before all have been heard"
            ));
        }
        Ok(reasons)
    }

    /// Finishes what is queued and closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// The profile of a kind of identity.
    pub fn profile(&self, kind: IdentityKind) -> &Profile {
        match kind {
            IdentityKind::Host => &self.settings.host,
            IdentityKind::Client => &self.settings.client,
        }
    }
}

/// The first label that only the server may set.
fn reserved_label(labels: &Labels) -> Option<&str> {
    labels
        .pairs()
        .keys()
        .map(String::as_str)
        .find(|key| key.starts_with(RESERVED_LABELS))
}
