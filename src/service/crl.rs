//! The lists of revoked certificates that are published: one per issuer, signed anew when something was revoked, and
//! long before the old one runs out. What was signed is read back and held against the table before anybody sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::watch;

use super::{Service, ServiceError};
use crate::base::Timestamp;
use crate::base::encoding::{hex, sha256};
use crate::base::limits::{CRL_DIFF_ROWS_MAX, CRL_PAGE};
use crate::ca::{CRL_VALIDITY, CrlOrder, SignCrlError};
use crate::model::audit::{Actor, Event};
use crate::model::{IssuerKind, Revocation};
use crate::pki::Serial;
use crate::pki::crl::{Crl, CrlError, Difference, EntryBuffer, Revoked, Subjects, diff, drop_before};
use crate::store::{RevocationRange, StoreError};

/// A list is signed anew when it is older than this, even when nothing happened.
pub const CRL_EVERY: Duration = Duration::from_secs(3600);

/// Why there is no new list. The old one stays published.
#[derive(Debug, thiserror::Error)]
pub enum CrlPublishError {
    /// This server went on from a backup.
    #[error(
        "no CRL is published: this server was restored from a backup at {0}, and revocations it lost may still come back from hosts. It publishes once all hosts were heard, or an admin settles it (dockwarden crl settle)"
    )]
    Held(Timestamp),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The CA.
    #[error(transparent)]
    Sign(#[from] SignCrlError),
    /// What was signed is not to be believed.
    #[error("the signed CRL was thrown away: {0}")]
    Check(#[from] CrlError),
    /// What was signed is not what the table says.
    #[error("the signed CRL was thrown away, because it is not what the table says: {0}")]
    Differs(Difference),
    /// A new revocation is not on it.
    #[error("the signed CRL was thrown away, because certificate {0}, just revoked, is not on it")]
    Missing(Serial),
    /// It is longer or shorter than it should be.
    #[error("the signed CRL was thrown away, because it lists {listed} certificates where {expected} belong")]
    Count {
        /// How many it lists.
        listed: usize,
        /// How many it should.
        expected: usize,
    },
    /// The thread that signs.
    #[error("the CRL was not signed: the thread that signs broke off")]
    Broken,
}

/// A published list.
#[derive(Debug)]
pub struct Published {
    /// The list.
    pub crl: Crl,
    /// The same, PEM.
    pub pem: Bytes,
    /// Names these very bytes: a strong validator (RFC 9110 §8.8.3), without quotes.
    pub etag: String,
    /// When it was signed.
    pub signed_at: Timestamp,
}

/// What the next list is made of.
struct Building {
    entries: EntryBuffer,
    /// Everything up to this number of the feed is in `entries`.
    up_to: u64,
    /// When the list was last held against the whole table.
    compared_at: Option<Timestamp>,
    /// Everything up to this number of the feed is in the published list.
    shown: u64,
}

impl Building {
    fn new() -> Self {
        Self {
            entries: EntryBuffer::new(Subjects::Leaves),
            up_to: 0,
            compared_at: None,
            shown: 0,
        }
    }

    /// Forgets what was built: the next list is made from the table.
    fn start_anew(&mut self) {
        *self = Self {
            shown: self.shown,
            ..Self::new()
        };
    }
}

/// The list of one issuer.
struct Shelf {
    building: tokio::sync::Mutex<Building>,
    published: ArcSwapOption<Published>,
    trouble: Mutex<Option<String>>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            building: tokio::sync::Mutex::new(Building::new()),
            published: ArcSwapOption::empty(),
            trouble: Mutex::new(None),
        }
    }
}

/// The lists of all issuers.
#[derive(Default)]
pub(super) struct Lists {
    hosts: Shelf,
    clients: Shelf,
    /// Signed where the root's key is; only shown here.
    root: ArcSwapOption<Published>,
    /// Whether lists are published here at all: not in a server that is only made or restored.
    at_work: AtomicBool,
}

impl Lists {
    fn of(&self, issuer: IssuerKind) -> &Shelf {
        match issuer {
            IssuerKind::Hosts => &self.hosts,
            IssuerKind::Clients => &self.clients,
        }
    }

    /// The list of an issuer.
    pub(super) fn published(&self, issuer: IssuerKind) -> Option<Arc<Published>> {
        self.of(issuer).published.load_full()
    }

    /// The root's.
    pub(super) fn published_root(&self) -> Option<Arc<Published>> {
        self.root.load_full()
    }

    /// Why there is no newer one.
    pub(super) fn trouble(&self, issuer: IssuerKind) -> Option<String> {
        let trouble = &self.of(issuer).trouble;
        trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service {
    /// The list of an issuer as it is published.
    pub fn crl(&self, issuer: IssuerKind) -> Option<Arc<Published>> {
        self.lists.published(issuer)
    }

    /// The root's list of revoked issuers, if there is one.
    pub fn root_crl(&self) -> Option<Arc<Published>> {
        self.lists.published_root()
    }

    /// Shows a list that was signed with the root's key.
    ///
    /// # Errors
    /// When it is not this root's.
    pub fn show_root_crl(&self, crl: Crl) -> Result<(), CrlError> {
        let before = self.root_crl();
        if before.is_some_and(|before| before.crl.der() == crl.der()) {
            return Ok(());
        }
        crl.verify(self.authority.root())?;
        let signed_at = crl.this_update;
        self.lists.root.store(Some(Arc::new(shown(crl, signed_at))));
        Ok(())
    }

    /// Why there is no newer one.
    pub fn crl_trouble(&self, issuer: IssuerKind) -> Option<String> {
        self.lists.trouble(issuer)
    }

    /// The newest number of the feed, as it is committed.
    pub fn feed_watch(&self) -> watch::Receiver<u64> {
        self.store.feed_watch()
    }

    /// Publishes new lists of the issuers whose list is due. Failures are kept, logged and audited; each is tried
    /// again the next time.
    ///
    /// # Errors
    /// Only when a failure could not even be written down.
    pub async fn publish_crls(&self) -> Result<(), ServiceError> {
        self.lists.at_work.store(true, Ordering::Relaxed);
        for issuer in IssuerKind::ALL {
            let outcome = self.publish_crl(issuer).await;
            self.note_trouble(issuer, outcome.err()).await?;
        }
        Ok(())
    }

    async fn note_trouble(
        &self,
        issuer: IssuerKind,
        error: Option<CrlPublishError>,
    ) -> Result<(), ServiceError> {
        let text = error.map(|error| error.to_string());
        let kept = &self.lists.of(issuer).trouble;
        let before = {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *kept, text.clone())
        };
        let Some(text) = text.filter(|text| before.as_ref() != Some(text)) else {
            return Ok(());
        };
        tracing::error!(%issuer, error = text, "the CRL was not published; the old one stays, and it is tried again");
        let event = Event {
            at: self.clock.now(),
            actor: Actor::System,
            action: "crl.publish",
            subject: issuer.to_string(),
            outcome: "failed".to_owned(),
            source: None,
            detail: [("why", text)].into(),
        };
        Ok(self.store.append_audit(event).await?)
    }

    async fn publish_crl(&self, issuer: IssuerKind) -> Result<(), CrlPublishError> {
        let head = self.store.feed_head().await?;
        if let Some((_, at)) = head.unsettled {
            return Err(CrlPublishError::Held(at));
        }
        let shelf = self.lists.of(issuer);
        let mut building = shelf.building.lock().await;
        let (published, now) = (shelf.published.load_full(), self.clock.now());
        if let Some(published) = &published
            && !is_due(published, now)
            && !self.has_news(issuer, building.shown, head.number).await?
        {
            return Ok(());
        }
        match self.build(issuer, &mut building, published.as_deref()).await {
            Ok(next) => {
                building.shown = building.up_to;
                tracing::info!(%issuer, number = next.crl.number, feed = building.shown, entries = next.crl.entry_count, "published a CRL");
                shelf.published.store(Some(Arc::new(next)));
                Ok(())
            }
            Err(error) => {
                building.start_anew();
                Err(error)
            }
        }
    }

    async fn build(
        &self,
        issuer: IssuerKind,
        building: &mut Building,
        published: Option<&Published>,
    ) -> Result<Published, CrlPublishError> {
        let now = self.clock.now();
        let slot = self.store.reserve_crl(issuer, now).await?;
        let fresh = self.read_rows(issuer, building.up_to, slot.feed).await?;
        building.entries.extend(fresh.iter().cloned());
        building.up_to = slot.feed;
        let predecessor = published.map(|published| published.crl.this_update);
        building.entries.prune(predecessor, now);
        let number = published.map(|published| published.crl.number);
        let order = CrlOrder::new(slot.number, number, now, CRL_VALIDITY);
        let crl = self.sign(issuer, building.entries.clone(), order).await?;
        let limit = drop_before(predecessor, now);
        self.compare(issuer, &crl, building, &fresh, limit).await?;
        Ok(shown(crl, now))
    }

    async fn has_news(&self, issuer: IssuerKind, up_to: u64, head: u64) -> Result<bool, StoreError> {
        if head <= up_to {
            return Ok(false);
        }
        let range = everything(issuer, up_to, head);
        Ok(!self.store.revocations(range, 1).await?.is_empty())
    }

    async fn read_rows(&self, issuer: IssuerKind, after: u64, to: u64) -> Result<Vec<Revoked>, StoreError> {
        let (mut rows, mut after) = (Vec::new(), after);
        loop {
            let page = self
                .store
                .revocations(everything(issuer, after, to), CRL_PAGE)
                .await?;
            let is_last = page.len() < CRL_PAGE as usize;
            after = page.last().map_or(to, |last| last.feed);
            rows.extend(page.into_iter().map(row));
            if is_last {
                return Ok(rows);
            }
        }
    }

    /// Signs on a thread of its own: it may take a while.
    async fn sign(
        &self,
        issuer: IssuerKind,
        entries: EntryBuffer,
        order: CrlOrder,
    ) -> Result<Crl, CrlPublishError> {
        let authority = Arc::clone(&self.authority);
        let signing = tokio::task::spawn_blocking(move || {
            let issuer = authority.issuer(issuer);
            let crl = issuer.sign_crl(&entries, order)?;
            crl.verify(issuer.certificate())?;
            Ok(crl)
        });
        signing.await.map_err(|_| CrlPublishError::Broken)?
    }

    /// Holds the list against the table: what is new each time; all of it when there is little, and else once per
    /// [`CRL_EVERY`], because reading a million rows for every revocation would be the cost of a rebuild.
    async fn compare(
        &self,
        issuer: IssuerKind,
        crl: &Crl,
        building: &mut Building,
        fresh: &[Revoked],
        limit: Timestamp,
    ) -> Result<(), CrlPublishError> {
        let now = self.clock.now();
        let is_due = building
            .compared_at
            .is_none_or(|at| now.since(at) >= CRL_EVERY || at > now);
        if !is_due && crl.entry_count > CRL_DIFF_ROWS_MAX {
            let missing = |row: &&Revoked| row.not_after >= limit && crl.find(&row.serial).is_none();
            let counts = crl.entry_count == building.entries.len();
            return match fresh.iter().find(missing) {
                None if counts => Ok(()),
                Some(row) => Err(CrlPublishError::Missing(row.serial.clone())),
                None => Err(CrlPublishError::Count {
                    listed: crl.entry_count,
                    expected: building.entries.len(),
                }),
            };
        }
        let mut table = self.read_rows(issuer, 0, building.up_to).await?;
        table.sort_unstable_by(|a, b| a.serial.cmp(&b.serial));
        let difference = diff(table, crl, limit);
        if !difference.is_none() {
            return Err(CrlPublishError::Differs(difference));
        }
        building.compared_at = Some(now);
        Ok(())
    }

    /// What somebody should look at, if lists are published here.
    pub(super) fn crl_reasons(&self) -> Vec<String> {
        if !self.lists.at_work.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let now = self.clock.now();
        let reason = |issuer| {
            let trouble = self.crl_trouble(issuer);
            match self.crl(issuer) {
                None => Some(format!("the {issuer} issuer has no CRL: {}", trouble?)),
                Some(published) if published.crl.is_stale_at(now) => Some(format!(
                    "the CRL of the {issuer} issuer ended at {}: {}",
                    published.crl.next_update,
                    trouble.unwrap_or_else(|| "it is signed anew".to_owned())
                )),
                Some(_) => trouble.map(|trouble| format!("the CRL of the {issuer} issuer: {trouble}")),
            }
        };
        IssuerKind::ALL.into_iter().filter_map(reason).collect()
    }
}

fn shown(crl: Crl, signed_at: Timestamp) -> Published {
    Published {
        pem: crl.pem().into(),
        etag: hex(&sha256(crl.der())[..16]),
        signed_at,
        crl,
    }
}

/// By age, by its end, or because the clock went back.
fn is_due(published: &Published, now: Timestamp) -> bool {
    now.since(published.signed_at) >= CRL_EVERY
        || now < published.crl.this_update
        || published.crl.is_stale_at(now)
}

fn everything(issuer: IssuerKind, after: u64, to: u64) -> RevocationRange {
    RevocationRange {
        issuer: Some(issuer),
        after,
        to,
        since: Timestamp::EPOCH,
    }
}

fn row(revocation: Revocation) -> Revoked {
    Revoked {
        serial: revocation.serial,
        revoked_at: revocation.revoked_at,
        reason: revocation.reason,
        not_after: revocation.not_after,
    }
}
