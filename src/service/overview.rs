//! What the whole fleet looks like, read once in a while for everybody who looks.

use std::sync::Arc;
use std::time::Duration;

use super::{Authorized, OWN_NAME, Service, ServiceError, Viewer};
use crate::base::Timestamp;
use crate::base::limits::{
    FEED_BEHIND_MAX, HOST_SILENT_AFTER, OVERVIEW_AGE_MIN, OVERVIEW_DAYS, OVERVIEW_NAMED_MAX,
    RENEWAL_LATE_AFTER,
};
use crate::model::{Change, Health, IssuerKind, PageRequest};
use crate::pki::IdentityName;
use crate::store::{ExpiryCounts, HostCounts, HostRow, Overdue};

const DAY: Duration = Duration::from_secs(86_400);

/// What the whole fleet looks like.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When it was read.
    pub at: Timestamp,
    /// Certificates in use that end on each of the next [`OVERVIEW_DAYS`] days, and after them.
    pub expiry: Vec<ExpiryCounts>,
    /// Certificates in use that are to be renewed on each of these days.
    pub due: Vec<u64>,
    /// Those that should have been renewed and were not.
    pub overdue: Overdue,
    /// How many hosts there are, and how they are.
    pub hosts: HostCounts,
    /// Of those that serve an old certificate, are unhealthy, or are silent: the first [`OVERVIEW_NAMED_MAX`] each.
    pub troubled: Vec<HostRow>,
    /// Requests that wait, the first of them.
    pub waiting: usize,
    /// Whether there are more.
    pub waiting_more: bool,
    /// The newest changes of the feed, newest first.
    pub changes: Vec<Change>,
    /// The feed's newest number.
    pub feed: u64,
    /// What somebody should look at although the server answers.
    pub reasons: Vec<String>,
    /// Of each issuer: until when it is valid, and whether that is less than two lives of what it signs.
    pub runway: Vec<(IssuerKind, Timestamp, bool)>,
}

/// The last one that was read; locked while the next one is.
pub(super) type Overviews = tokio::sync::Mutex<Option<Arc<Overview>>>;

impl Service {
    /// What the whole fleet looks like, as of at most [`OVERVIEW_AGE_MIN`] ago.
    ///
    /// # Errors
    /// The store's.
    pub async fn overview(&self, _viewer: &Authorized<Viewer>) -> Result<Arc<Overview>, ServiceError> {
        let mut last = self.overviews.lock().await;
        let now = self.clock.now();
        let fresh =
            |overview: &&Arc<Overview>| overview.at <= now && now.since(overview.at) < OVERVIEW_AGE_MIN;
        if let Some(overview) = last.as_ref().filter(fresh) {
            return Ok(Arc::clone(overview));
        }
        let overview = Arc::new(self.look_over(now).await?);
        *last = Some(Arc::clone(&overview));
        Ok(overview)
    }

    async fn look_over(&self, now: Timestamp) -> Result<Overview, ServiceError> {
        let mut edges: Vec<Timestamp> = (0..=OVERVIEW_DAYS as u32).map(|day| now + DAY * day).collect();
        let due = self.store.due_counts(edges.clone()).await?;
        edges.push(Timestamp::from_millis(i64::MAX));
        let named = OVERVIEW_NAMED_MAX as u32;
        let waiting = PageRequest {
            limit: 99,
            cursor: None,
        };
        let waiting = self.store.requests(false, waiting).await?;
        let feed = self.store.feed_head().await?.number;
        let changes = self
            .store
            .feed(feed.saturating_sub(FEED_BEHIND_MAX.min(u64::from(named))), named);
        let mut changes = changes.await?;
        changes.reverse();
        let heard_since = now - HOST_SILENT_AFTER;
        Ok(Overview {
            at: now,
            expiry: self.store.expiry_counts(edges).await?,
            due,
            overdue: self.store.overdue(now - RENEWAL_LATE_AFTER, now, named).await?,
            hosts: self.host_counts(heard_since).await?,
            troubled: self.troubled(heard_since).await?,
            waiting: waiting.items.len(),
            waiting_more: waiting.next.is_some(),
            changes,
            feed,
            reasons: self.ready().await?,
            runway: IssuerKind::ALL.map(|issuer| self.runway(issuer, now)).to_vec(),
        })
    }

    async fn host_counts(&self, heard_since: Timestamp) -> Result<HostCounts, ServiceError> {
        let own: IdentityName = OWN_NAME.parse().expect("a name");
        Ok(self.store.host_counts(heard_since, &own).await?)
    }

    async fn troubled(&self, heard_since: Timestamp) -> Result<Vec<HostRow>, ServiceError> {
        let named = OVERVIEW_NAMED_MAX as u32;
        let mut hosts = Vec::new();
        for health in [Health::Behind, Health::Unhealthy] {
            hosts.extend(self.store.hosts_with(health, heard_since, named).await?);
        }
        hosts.extend(self.store.silent_hosts(heard_since, named).await?);
        Ok(hosts)
    }

    /// What an issuer can still sign: a leaf that outlives it is cut short, so two lives are the least.
    fn runway(&self, issuer: IssuerKind, now: Timestamp) -> (IssuerKind, Timestamp, bool) {
        let end = self.authority.issuer(issuer).certificate().not_after;
        let lifetime = match issuer {
            IssuerKind::Hosts => self.settings.host.lifetime,
            IssuerKind::Clients => self.settings.client.lifetime,
        };
        (issuer, end, end.since(now) < lifetime * 2)
    }
}
