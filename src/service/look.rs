//! What people look through: certificates by whatever they typed, hosts by the beginning of their name.

use std::time::Duration;

use super::hosts::is_server;
use super::{Authorized, Service, ServiceError, Viewer};
use crate::base::Id;
use crate::base::encoding::hex_decode;
use crate::model::{Certificate, CertificateFilter, CertificateStatus, IdentityKind, Page, PageRequest};
use crate::store::{CertificateWalk, HostRow, SerialStart, WalkOrder};

/// Certificates found by the beginning of their serial, at most.
const SERIALS_MAX: u32 = 20;
/// Hex digits from which on a text may be meant as a serial.
const SERIAL_DIGITS_MIN: usize = 4;

/// In which order a list of certificates stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// Soonest expiry first.
    #[default]
    Expiry,
    /// By name.
    Name,
    /// Newest first.
    Newest,
}

/// Which certificates somebody looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateSearch {
    /// The beginning of a name, an alternative name or a serial, or a whole SHA-256 fingerprint; empty for all.
    pub text: String,
    /// Only these statuses; empty means any.
    pub statuses: Vec<CertificateStatus>,
    /// Only hosts or only clients.
    pub kind: Option<IdentityKind>,
    /// Expiring within this time from now; with no text and by expiry alone.
    pub expires_within: Option<Duration>,
    /// The order; what is found by a text stands by the name that was found.
    pub order: ListOrder,
}

impl Service {
    /// Certificates that fit. A page may hold fewer than were asked for although others follow: then so far was looked.
    ///
    /// # Errors
    /// A foreign cursor, the store's.
    pub async fn search(
        &self,
        _viewer: &Authorized<Viewer>,
        search: CertificateSearch,
        page: PageRequest,
    ) -> Result<Page<Certificate>, ServiceError> {
        let now = self.clock.now();
        let text = search.text.trim().to_ascii_lowercase();
        if let Some(fingerprint) = fingerprint(&text) {
            return self.with_fingerprint(fingerprint).await;
        }
        let order = match search.order {
            _ if !text.is_empty() => WalkOrder::Beginning(text.clone()),
            // Few are superseded and still good, and no index leads along them: a bounded walk from the newest on.
            ListOrder::Expiry if search.statuses == [CertificateStatus::Superseded] => WalkOrder::Newest,
            ListOrder::Expiry => {
                let filter = CertificateFilter {
                    statuses: search.statuses,
                    expires_within: search.expires_within,
                    kind: search.kind,
                    ..CertificateFilter::default()
                };
                return Ok(self.store.certificates(filter, now, page).await?);
            }
            ListOrder::Name => WalkOrder::Name,
            ListOrder::Newest => WalkOrder::Newest,
        };
        let fits = |certificate: &Certificate| {
            search.kind.is_none_or(|kind| certificate.kind == kind)
                && (search.statuses.is_empty() || search.statuses.contains(&certificate.status(now)))
        };
        let by_serial = match SerialStart::parse(&text) {
            Some(start) if start.as_str().len() >= SERIAL_DIGITS_MIN && page.cursor.is_none() => {
                self.store.serials_starting(start, SERIALS_MAX).await?
            }
            _ => Vec::new(),
        };
        let walk = CertificateWalk {
            order,
            statuses: search.statuses.clone(),
            kind: search.kind,
        };
        let found = self.store.walk_certificates(walk, now, page).await?;
        let by_serial = by_serial.into_iter().filter(fits);
        Ok(Page {
            items: by_serial.chain(found.items).collect(),
            next: found.next,
        })
    }

    /// Fingerprints are not indexed: this reads every certificate that has not expired, and then those that were revoked.
    async fn with_fingerprint(&self, fingerprint: [u8; 32]) -> Result<Page<Certificate>, ServiceError> {
        use CertificateStatus::{Revoked, Superseded, Valid};
        let mut items = Vec::new();
        for statuses in [vec![Valid, Superseded], vec![Revoked]] {
            if let Some(serial) = self.find_fingerprint(fingerprint, statuses).await? {
                items.extend(self.store.certificate(&serial).await?);
                break;
            }
        }
        Ok(Page { items, next: None })
    }

    /// The newest certificates of an identity, newest first, at most `limit`.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest_of(
        &self,
        _viewer: &Authorized<Viewer>,
        identity: Id,
        limit: u32,
    ) -> Result<Vec<Certificate>, ServiceError> {
        Ok(self.store.newest_of(identity, limit).await?)
    }

    /// Hosts whose name begins so, by name.
    ///
    /// # Errors
    /// A foreign cursor, the store's.
    pub async fn hosts_starting(
        &self,
        _viewer: &Authorized<Viewer>,
        start: &str,
        page: PageRequest,
    ) -> Result<Page<HostRow>, ServiceError> {
        let start = start.trim().to_ascii_lowercase();
        let mut found = self.store.hosts_starting(start, page).await?;
        found.items.retain(|row| !is_server(row));
        Ok(found)
    }
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let plain: String = text.chars().filter(|c| *c != ':').collect();
    hex_decode(&plain)?.try_into().ok()
}
