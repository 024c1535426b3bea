//! The part of the store that people look through: what begins with what they typed, and counts over the whole fleet. No
//! read here walks further than [`WALK_MAX`] rows, or outside an index.

use async_trait::async_trait;

use super::{HostRow, StoreError};
use crate::base::{Id, Timestamp};
use crate::model::{Certificate, CertificateStatus, Health, IdentityKind, Page, PageRequest};
use crate::pki::IdentityName;

/// Rows that one page is looked for in. When fewer than a page fit, the page is shorter and its cursor goes on from there.
pub const WALK_MAX: u32 = 20_000;

/// In which order certificates are walked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkOrder {
    /// By the identity's name.
    Name,
    /// By a name of the certificate, those alone that begin with this text. A certificate stands once on a page, however many
    /// of its names do.
    Beginning(String),
    /// Newest first.
    Newest,
}

/// Which certificates, in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateWalk {
    /// The order.
    pub order: WalkOrder,
    /// Only these statuses; empty means any.
    pub statuses: Vec<CertificateStatus>,
    /// Only hosts or only clients.
    pub kind: Option<IdentityKind>,
}

/// How many certificates in use end between each two of the given times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryCounts {
    /// Of hosts or of clients.
    pub kind: IdentityKind,
    /// One less than there were times.
    pub counts: Vec<u64>,
}

/// Certificates in use that were to be renewed before some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// How many; no more than [`WALK_MAX`] are counted.
    pub count: u64,
    /// Those whose time came first.
    pub first: Vec<Certificate>,
}

/// Hosts by how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// All that joined.
    pub joined: u64,
    /// Heard of lately, and [`Health::Well`].
    pub well: u64,
    /// Heard of lately, and [`Health::Unhealthy`].
    pub unhealthy: u64,
    /// Heard of lately, and [`Health::Behind`].
    pub behind: u64,
    /// Heard of, but not lately.
    pub silent: u64,
}

/// The first characters of a serial, as hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialStart(String);

impl SerialStart {
    /// 2 to 40 hex digits, in either case, with or without colons; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let hex: String = text.trim().chars().filter(|c| *c != ':').collect();
        let fits = (2..=40).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self(hex.to_ascii_lowercase()))
    }

    /// The digits, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The smallest bytes that begin so, and the smallest greater ones that do not; `None` when there are none.
    pub fn range(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let digits = self
            .0
            .bytes()
            .map(|b| (b as char).to_digit(16).unwrap_or(0) as u8);
        let mut digits: Vec<u8> = digits.collect();
        let low = pack(&digits);
        while digits.last() == Some(&15) {
            digits.pop();
        }
        let high = digits.last_mut().map(|last| *last += 1);
        (low, high.map(|()| pack(&digits)))
    }
}

fn pack(digits: &[u8]) -> Vec<u8> {
    let byte = |pair: &[u8]| pair[0] << 4 | pair.get(1).copied().unwrap_or(0);
    digits.chunks(2).map(byte).collect()
}

/// What was lost last first, by name where that is the same, and no more than `limit`.
pub(super) fn sort_newest_lost(silent: &mut Vec<HostRow>, limit: u32) {
    let heard = |row: &HostRow| row.status.as_ref().map(|status| status.reported_at);
    silent.sort_by(|a, b| {
        let by_name = || a.identity.name.cmp(&b.identity.name);
        heard(b).cmp(&heard(a)).then_with(by_name)
    });
    silent.truncate(limit as usize);
}

/// What people look through.
#[async_trait]
pub trait LookStore: Send + Sync + 'static {
    /// Certificates in an order other than that of their expiry.
    async fn walk_certificates(
        &self,
        walk: CertificateWalk,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<Page<Certificate>, StoreError>;
    /// The newest certificates of an identity, newest first, at most `limit`.
    async fn newest_of(&self, identity: Id, limit: u32) -> Result<Vec<Certificate>, StoreError>;
    /// Certificates whose serial begins so, by serial, at most `limit`.
    async fn serials_starting(&self, start: SerialStart, limit: u32) -> Result<Vec<Certificate>, StoreError>;
    /// Hosts whose name begins so, by name.
    async fn hosts_starting(&self, start: String, page: PageRequest) -> Result<Page<HostRow>, StoreError>;
    /// How many certificates in use, of hosts and of clients, end between each two of `edges`: from the first on, before
    /// the second, and so on.
    async fn expiry_counts(&self, edges: Vec<Timestamp>) -> Result<Vec<ExpiryCounts>, StoreError>;
    /// When the first certificate in use ends that ends at `now` or later, of hosts and of clients; none of a kind that has none.
    async fn soonest_ends(&self, now: Timestamp) -> Result<Vec<(IdentityKind, Timestamp)>, StoreError>;
    /// How many certificates in use are to be renewed from a time between each two of `edges` on.
    async fn due_counts(&self, edges: Vec<Timestamp>) -> Result<Vec<u64>, StoreError>;
    /// How many hosts there are but for `except`, the server itself, and how they are. Lately is since `since`.
    async fn host_counts(&self, since: Timestamp, except: &IdentityName) -> Result<HostCounts, StoreError>;
    /// Hosts that were heard of since `since` and are so, the first `limit` that joined, by name.
    async fn hosts_with(
        &self,
        health: Health,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<HostRow>, StoreError>;
    /// Hosts that were heard of, but not since `since`; `limit` of them, what was lost last first.
    async fn silent_hosts(&self, since: Timestamp, limit: u32) -> Result<Vec<HostRow>, StoreError>;
    /// Certificates in use that end at `now` or later and were to be renewed before `due`, the first `limit` of them.
    async fn overdue(&self, due: Timestamp, now: Timestamp, limit: u32) -> Result<Overdue, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_range_holds_exactly_what_begins_with_the_digits(digits in "[0-9a-f]{2,6}", serial in proptest::collection::vec(any::<u8>(), 3..8)) {
            let (low, high) = SerialStart::parse(&digits).unwrap().range();
            let inside = serial >= low && high.is_none_or(|high| serial < high);
            prop_assert_eq!(inside, crate::base::encoding::hex(&serial).starts_with(&digits));
        }
    }

    #[test]
    fn only_hex_digits_begin_a_serial() {
        assert_eq!(SerialStart::parse("4F:a1").unwrap().as_str(), "4fa1");
        for bad in ["", "4", "web", "4g", &"a".repeat(41)] {
            assert_eq!(SerialStart::parse(bad), None, "{bad}");
        }
    }
}
