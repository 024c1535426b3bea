//! What a host refuses now: the certificates it knows to be revoked, and everybody once it has not heard of the server
//! for too long. Shared by who learns it, the follower of the feed, and who enforces it, the gate. Look-ups take no lock.
//!
//! The feed names the *kind* of issuer, and so does this set, instead of an issuer's key: a host holds its own issuer
//! and the root, never the clients' issuer. Serials are unique per kind on the server, and what a peer was verified for
//! says which kind signed it. With two issuers of a kind a revocation counts for both: too strict, never too lax.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::IssuerKind;
use crate::base::Timestamp;
use crate::pki::chain::{Purpose, VerifiedPeer};
use crate::pki::tls::RevocationCheck;
use crate::pki::{RevokedSet, Serial};

/// The parameter of a request to `/_ping` by which an agent finds out whether dockerd asks its authorization plugin.
pub const CANARY: &str = "dockwarden";

/// A follower hears something every ten seconds.
const FOLLOWER_SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is refused now.
///
/// Staleness is measured twice: by the wall clock, which goes on while a machine sleeps, and by seconds counted one
/// after the other, which no setting of the clock takes back. The longer of the two counts.
pub struct Enforced {
    revoked: ArcSwap<RevokedSet>,
    /// `None`: goes on for ever.
    patience: Option<Duration>,
    following: AtomicBool,
    contact_ms: AtomicI64,
    silent_ms: AtomicU64,
}

impl std::fmt::Debug for Enforced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enforced({} revoked)", self.revoked.load().len())
    }
}

impl Enforced {
    /// Nothing is revoked yet. Everybody is refused when the server was not heard of for `patience`, which is so until
    /// [`Enforced::begin`]; without one nobody is refused for that.
    pub fn new(patience: Option<Duration>) -> Self {
        Self {
            revoked: ArcSwap::default(),
            patience,
            following: AtomicBool::new(false),
            contact_ms: AtomicI64::new(0),
            silent_ms: AtomicU64::new(0),
        }
    }

    /// Refuses nobody, for ever: where no feed is followed.
    pub fn nothing() -> Self {
        Self::new(None)
    }

    /// Goes on from an earlier run: what was revoked, and when the server was heard of last.
    pub fn begin(&self, set: RevokedSet, contact: Timestamp) {
        self.publish(set);
        self.contact_ms.store(contact.as_millis(), Ordering::Release);
    }

    /// Whether this certificate is known to be revoked. Well under a microsecond with a million of them.
    pub fn is_revoked(&self, issuer: IssuerKind, serial: &Serial) -> bool {
        self.revoked.load().contains(key_of(issuer), serial)
    }

    /// Adds revocations, from the next look-up on. Returns how many were not known.
    pub fn revoke<'a>(&self, certificates: impl IntoIterator<Item = (IssuerKind, &'a Serial)>) -> usize {
        let mut set = RevokedSet::clone(&self.revoked.load());
        let fresh = certificates.into_iter();
        let fresh = fresh
            .filter(|(kind, serial)| set.insert(key_of(*kind), serial))
            .count();
        self.publish(set);
        fresh
    }

    /// What is revoked now.
    pub fn revoked(&self) -> Arc<RevokedSet> {
        self.revoked.load_full()
    }

    /// Lets look-ups see a copy that shares its memory with what the caller keeps. It holds the same, or more.
    pub fn publish(&self, set: RevokedSet) {
        self.revoked.store(Arc::new(set));
    }

    /// How long it goes on without the server; `None`: for ever.
    pub fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// The server was heard of, and everything it has said is known. Until [`Enforced::lost`] it is being followed.
    pub fn heard(&self, now: Timestamp) {
        self.contact_ms.store(now.as_millis(), Ordering::Release);
        self.silent_ms.store(0, Ordering::Release);
        self.following.store(true, Ordering::Release);
    }

    /// The server is not being followed any more. What it was heard of last stays what it was.
    pub fn lost(&self, now: Timestamp) {
        if self.following.swap(false, Ordering::AcqRel) {
            self.contact_ms.store(now.as_millis(), Ordering::Release);
        }
    }

    /// So much time has passed, whatever the clock says.
    pub fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.silent_ms.fetch_add(millis, Ordering::AcqRel);
    }

    /// Whether the server is being followed. A follower that does not say so again and again is none.
    pub fn is_following(&self) -> bool {
        self.following.load(Ordering::Acquire) && self.silence() < FOLLOWER_SILENCE_MAX
    }

    fn silence(&self) -> Duration {
        Duration::from_millis(self.silent_ms.load(Ordering::Acquire))
    }

    /// When the server was heard of last.
    pub fn contact(&self) -> Timestamp {
        Timestamp::from_millis(self.contact_ms.load(Ordering::Acquire))
    }

    /// From when on every remote client is refused, unless the server is heard of before; `None` while it is followed,
    /// and where nobody is refused for that.
    pub fn denies_from(&self) -> Option<Timestamp> {
        let patience = self.patience.filter(|_| !self.is_following())?;
        Some(self.contact() + patience)
    }

    /// Since when every remote client is refused, if they are.
    pub fn stale_since(&self, now: Timestamp) -> Option<Timestamp> {
        let from = self.denies_from()?;
        let over = self.patience.is_some_and(|patience| self.silence() >= patience);
        (now >= from || over).then_some(from.min(now))
    }
}

impl RevocationCheck for Enforced {
    fn is_revoked(&self, peer: &VerifiedPeer) -> bool {
        Enforced::is_revoked(self, kind_of(peer), peer.serial())
    }
}

/// Who signed a peer: what it was verified for is what its issuer is constrained to.
pub fn kind_of(peer: &VerifiedPeer) -> IssuerKind {
    match peer.purpose() {
        Purpose::Client => IssuerKind::Clients,
        Purpose::HostServer => IssuerKind::Hosts,
    }
}

/// How the set and its files name an issuer.
pub fn key_of(issuer: IssuerKind) -> &'static [u8] {
    issuer.as_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn noon() -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    #[test]
    fn a_serial_is_revoked_for_the_kind_of_its_issuer_alone() {
        let enforced = Enforced::nothing();
        let serial: Serial = "0a1b".parse().unwrap();
        assert_eq!(enforced.revoke([(IssuerKind::Clients, &serial)]), 1);
        assert_eq!(enforced.revoke([(IssuerKind::Clients, &serial)]), 0);
        assert!(enforced.is_revoked(IssuerKind::Clients, &serial));
        assert!(!enforced.is_revoked(IssuerKind::Hosts, &serial));
        assert_eq!(
            enforced.stale_since(noon()),
            None,
            "without patience nothing is stale"
        );
    }

    #[test]
    fn everybody_is_refused_once_the_server_was_silent_for_too_long_and_nobody_after_it_is_heard() {
        let enforced = Enforced::new(Some(HOUR));
        assert!(enforced.stale_since(noon()).is_some(), "it has not begun");
        enforced.begin(RevokedSet::new(), noon());
        assert_eq!(enforced.stale_since(noon() + HOUR - Duration::from_secs(1)), None);
        assert_eq!(enforced.stale_since(noon() + HOUR), Some(noon() + HOUR));
        enforced.heard(noon() + HOUR);
        assert_eq!(
            (enforced.stale_since(noon() + DAY), enforced.denies_from()),
            (None, None)
        );
        enforced.lost(noon() + DAY);
        assert_eq!(enforced.denies_from(), Some(noon() + DAY + HOUR));
        // Losing it again does not begin the hour anew.
        enforced.lost(noon() + DAY + HOUR);
        assert!(enforced.stale_since(noon() + DAY + HOUR).is_some());
    }

    #[test]
    fn a_clock_that_jumps_a_day_neither_refuses_who_is_followed_nor_lengthens_the_patience() {
        let enforced = Enforced::new(Some(HOUR));
        enforced.heard(noon());
        for now in [noon() + DAY, noon() - DAY] {
            assert_eq!(enforced.stale_since(now), None, "the server is being followed");
        }
        enforced.lost(noon());
        enforced.pass(HOUR - Duration::from_secs(1));
        assert_eq!(enforced.stale_since(noon() - DAY), None);
        enforced.pass(Duration::from_secs(1));
        assert!(
            enforced.stale_since(noon() - DAY).is_some(),
            "an hour has passed, whatever the clock says"
        );
        assert!(enforced.stale_since(noon() + DAY).is_some());
    }

    #[test]
    fn a_follower_that_says_nothing_more_follows_no_more() {
        let enforced = Enforced::new(Some(HOUR));
        enforced.heard(noon());
        enforced.pass(FOLLOWER_SILENCE_MAX - Duration::from_secs(1));
        assert!(enforced.is_following());
        enforced.pass(Duration::from_secs(1));
        assert!(!enforced.is_following());
        assert_eq!(enforced.denies_from(), Some(noon() + HOUR));
    }
}
