//! The part of the store that revocations and the feed need.

use std::net::IpAddr;

use async_trait::async_trait;
use tokio::sync::watch;

use super::StoreError;
use crate::base::{Id, Timestamp};
use crate::model::audit::Actor;
use crate::model::{Change, FeedApplied, FeedOrigin, IssuerKind, Revocation};
use crate::pki::{IdentityName, RevocationReason, Serial};

/// How far the feed's numbers jump at least when the server goes on from a backup: further than any server gets between a
/// backup and its restoration. They jump to the clock's milliseconds where that is further.
pub const FEED_JUMP: u64 = 1_000_000;
/// How far the numbers of CRLs jump then. They follow the clock in milliseconds, so this is 11 days.
pub const CRL_JUMP: u64 = 1_000_000_000;

/// A certificate as far as revoking it needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Who signed it.
    pub issuer: IssuerKind,
    /// Its serial.
    pub serial: Serial,
    /// The name in it.
    pub name: IdentityName,
    /// Its end.
    pub not_after: Timestamp,
}

/// What to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeTarget {
    /// The certificate with this serial.
    Serial(Serial),
    /// Every certificate of an identity that does not end before `since`.
    Identity {
        /// Which.
        id: Id,
        /// Now, or earlier where expired certificates still renew.
        since: Timestamp,
    },
    /// A certificate that may be unknown here. The caller has checked that an issuer of ours signed it, and that it
    /// is the recorded one if there is a record with its serial.
    Shown(Box<Shown>),
}

/// A revocation to commit.
#[derive(Clone, Debug)]
pub struct RevokeOrder {
    /// What.
    pub target: RevokeTarget,
    /// Why.
    pub reason: RevocationReason,
    /// Who.
    pub actor: Actor,
    /// From where.
    pub source: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// What is revoked now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    /// Every certificate that was meant, in order of its issue. Those that were revoked before are here as they
    /// were. Empty when there is none.
    pub revocations: Vec<Revocation>,
    /// How many of them were not revoked before. Each of those took a number of the feed and left an audit record.
    pub fresh: usize,
}

/// A revocation that this server made, lost, and was told of again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The number it had.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The certificate.
    pub certificate: Shown,
    /// Why.
    pub reason: RevocationReason,
}

/// Revocations to take back in. The caller has checked that they were this server's own.
#[derive(Clone, Debug)]
pub struct Regain {
    /// The revocations.
    pub given: Vec<Given>,
    /// Who gave them.
    pub actor: Actor,
    /// From where.
    pub source: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// How taking back in ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regained {
    /// Revocations that were not known; they have new numbers now.
    pub fresh: u64,
    /// The feed's newest number.
    pub head: u64,
}

/// Where the feed stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedHead {
    /// The newest number; 0 when nothing ever happened.
    pub number: u64,
    /// The newest number at which the server went on from a backup, with the time, while that is not settled.
    pub unsettled: Option<(u64, Timestamp)>,
}

/// A list of revoked certificates to be signed: its number, and what it must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlSlot {
    /// The CRL's number: greater than every one before it.
    pub number: u64,
    /// It holds the revocations up to this number of the feed, so that a greater number never holds fewer.
    pub feed: u64,
}

/// A host says how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The host.
    pub identity: Id,
    /// What it says.
    pub applied: FeedApplied,
    /// When.
    pub at: Timestamp,
}

/// Which revocations: those with `after < number <= to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationRange {
    /// Of this issuer only.
    pub issuer: Option<IssuerKind>,
    /// Greater numbers only.
    pub after: u64,
    /// No greater numbers.
    pub to: u64,
    /// Only certificates that do not end before this.
    pub since: Timestamp,
}

/// About which number of the feed, and which hosts, is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressQuery {
    /// The number.
    pub number: u64,
    /// Hosts with a certificate that is valid now count.
    pub now: Timestamp,
    /// But for this one: the server itself.
    pub except: IdentityName,
    /// List at most this many of those that are missing.
    pub missing_max: u32,
}

/// How far the hosts are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Hosts that count.
    pub hosts: u64,
    /// Those that know of the number.
    pub followed: u64,
    /// Those of them that refuse what it says.
    pub applied: u64,
    /// Connections that they closed for it.
    pub cut: u64,
    /// Those that do not refuse it, by name.
    pub missing: Vec<HostProgress>,
}

/// How far one host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostProgress {
    /// Its name.
    pub name: IdentityName,
    /// The last number it said it applied.
    pub applied: Option<u64>,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// It refuses remote clients when it has not heard of the server for this long, seconds.
    pub denies_after: Option<u64>,
    /// Whether it refuses what it applied.
    pub refuses: bool,
}

/// Revocations and the feed. As with [`super::Store`], a write method is one transaction, answered after the commit.
#[async_trait]
pub trait FeedStore: Send + Sync + 'static {
    /// `certificate.revoke`: revokes what is not revoked yet. What is once revoked stays so.
    async fn revoke(&self, order: RevokeOrder) -> Result<Withdrawn, StoreError>;

    /// `feed.regain`: revokes what is not revoked yet, as it was when it was lost. When a number is greater than
    /// the feed's own, the feed goes on beyond it, as after [`FeedStore::restored`].
    async fn regain(&self, regain: Regain) -> Result<Regained, StoreError>;

    /// `feed.restore`: the server goes on from a backup. The numbers of the feed and of CRLs jump ahead, so that none
    /// is used twice. Gives the feed's newest number.
    async fn restored(&self, actor: Actor, now: Timestamp) -> Result<u64, StoreError>;

    /// `feed.settle`: nothing more is expected to come back of what was lost before this number. False when it is
    /// settled already, or there is no such number.
    async fn settle(&self, number: u64, actor: Actor, now: Timestamp) -> Result<bool, StoreError>;

    /// `feed.acknowledge`: replaces how far a host is. Not audited. Changes nothing when there is no such identity.
    async fn acknowledge(&self, acknowledgement: Acknowledgement) -> Result<(), StoreError>;

    /// `crl.reserve`: the next number for a CRL of this issuer. Not audited.
    async fn reserve_crl(&self, issuer: IssuerKind, now: Timestamp) -> Result<CrlSlot, StoreError>;

    /// `feed.origin`: which feed this is; `candidate` from now on when there was none.
    async fn feed_origin(&self, candidate: FeedOrigin) -> Result<FeedOrigin, StoreError>;

    /// Changes after a number, in order, at most `limit`.
    async fn feed(&self, after: u64, limit: u32) -> Result<Vec<Change>, StoreError>;
    /// One change.
    async fn change(&self, number: u64) -> Result<Option<Change>, StoreError>;
    /// The revocation of a certificate.
    async fn revocation(&self, serial: &Serial) -> Result<Option<Revocation>, StoreError>;
    /// Revocations by number, at most `limit`.
    async fn revocations(&self, range: RevocationRange, limit: u32) -> Result<Vec<Revocation>, StoreError>;
    /// Where the feed stands.
    async fn feed_head(&self) -> Result<FeedHead, StoreError>;
    /// How far the hosts are.
    async fn progress(&self, query: ProgressQuery) -> Result<Progress, StoreError>;
    /// The newest number of the feed, as it is committed: what wakes those who follow.
    fn feed_watch(&self) -> watch::Receiver<u64>;
}
