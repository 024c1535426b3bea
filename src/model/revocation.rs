//! Revocations, and the feed that tells them to everybody who must refuse.
//!
//! Every change that hosts must know of gets the next number of the feed in the transaction that makes it. A number
//! is never given to two changes, and a revocation is never taken back.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::IssuerKind;
use crate::base::{Id, Timestamp, encoding};
use crate::model::role::RolesDigest;
use crate::pki::{IdentityName, RevocationReason, Serial};

/// A certificate that was withdrawn, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its number in the feed.
    pub feed: u64,
    /// Who signed the certificate.
    pub issuer: IssuerKind,
    /// The certificate's serial.
    pub serial: Serial,
    /// The certificate's end: after it nobody needs to remember.
    pub not_after: Timestamp,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// The name in the certificate.
    pub name: IdentityName,
    /// Whose it was; `None` for a certificate that this server has no record of.
    pub identity: Option<Id>,
    /// Who revoked it, as [`super::audit::Actor::text`].
    pub by: String,
}

/// One number of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number, greater than every one before it.
    pub number: u64,
    /// The number before it. One less, but after a [`ChangeKind::Restored`].
    pub previous: u64,
    /// When it was made.
    pub at: Timestamp,
    /// What it is.
    pub kind: ChangeKind,
}

/// What a number of the feed is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A certificate was revoked.
    Revoked(Box<Revocation>),
    /// The server went on from a backup: the numbers between [`Change::previous`] and this one may have been given
    /// out before, for changes it does not know any more.
    Restored,
}

/// What the server alone can make over a change, so that it knows its own words when somebody says them back to it,
/// and so that two changes of one number are told apart.
#[derive(Clone, Copy)]
pub struct Seal([u8; 16]);

/// In constant time: who guesses a seal learns nothing from how long the answer takes.
impl PartialEq for Seal {
    fn eq(&self, other: &Self) -> bool {
        encoding::constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for Seal {}

impl Seal {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::hex(&self.0))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no [`Seal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a seal: expected the 32 hex digits that came with the change")]
pub struct SealError;

impl FromStr for Seal {
    type Err = SealError;
    fn from_str(text: &str) -> Result<Self, SealError> {
        let bytes = encoding::hex_decode(text).ok_or(SealError)?;
        bytes.try_into().map(Self).map_err(|_| SealError)
    }
}

impl Serialize for Seal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What a server makes its seals with; stays the same for the life of a feed, backups included.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes: the form the store keeps.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The seal over a change: HMAC-SHA-256, cut to 16 bytes, over everything that travels of it but `previous`.
    pub fn seal(&self, change: &Change) -> Seal {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, &sealed_bytes(change));
        let bytes = tag.as_ref()[..16]
            .try_into()
            .expect("an HMAC-SHA-256 has 32 bytes");
        Seal(bytes)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Every field with its length in front, so that no two different changes have the same bytes.
fn sealed_bytes(change: &Change) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&change.number.to_be_bytes());
    bytes.extend_from_slice(&change.at.as_millis().to_be_bytes());
    let mut field = |field: &[u8]| {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    };
    match &change.kind {
        ChangeKind::Restored => field(b"restored"),
        ChangeKind::Revoked(revocation) => {
            field(b"revoked");
            field(revocation.issuer.as_str().as_bytes());
            field(revocation.serial.as_bytes());
            field(revocation.name.as_str().as_bytes());
            field(&revocation.not_after.as_millis().to_be_bytes());
            field(&[revocation.reason.code()]);
        }
    }
    bytes
}

/// Which feed this is, and what it seals with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedOrigin {
    /// Numbers of one feed say nothing about those of another.
    pub feed: Id,
    /// The key of its seals.
    pub key: SealKey,
}

/// Up to where somebody has followed the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last number applied.
    pub number: u64,
    /// The seal that came with it.
    pub seal: Seal,
}

/// How far a host has come with the feed: what it says with `PUT /v1/feed/applied`, and in its status report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct FeedApplied {
    /// The feed it follows.
    #[cfg_attr(feature = "server", schema(value_type = String))]
    pub feed: Id,
    /// The last number it applied: refused from now on, open connections cut, kept on disk.
    pub number: u64,
    /// The seal that came with that number; what does not fit it does not count. Absent with number 0 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>))]
    pub seal: Option<Seal>,
    /// Connections it closed for what it applied since it last said.
    #[serde(default)]
    pub cut: u64,
    /// It refuses remote clients when it has not heard of the server for this long, seconds; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denies_after: Option<u64>,
    /// Whether something on it refuses what it applied; absent: it does. An agent may know what is revoked where nothing
    /// enforces it yet.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub refuses: bool,
    /// Who may do what there, in short: what it was told last and has in force. Zeroes: it was told nothing; absent: it does
    /// not look at roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>))]
    pub roles: Option<RolesDigest>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_yes(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u64) -> Change {
        Change {
            number,
            previous: number - 1,
            at: Timestamp::from_secs(5),
            kind: ChangeKind::Revoked(Box::new(Revocation {
                feed: number,
                issuer: IssuerKind::Clients,
                serial: "0a1b".parse().unwrap(),
                not_after: Timestamp::from_secs(9),
                revoked_at: Timestamp::from_secs(5),
                reason: RevocationReason::KeyCompromise,
                name: "bob".parse().unwrap(),
                identity: None,
                by: "system".to_owned(),
            })),
        }
    }

    #[test]
    fn a_seal_fits_one_change_of_one_feed_alone() {
        let key = SealKey::from_bytes([7; 32]);
        let seal = key.seal(&change(3));
        assert_eq!(key.seal(&change(3)), seal);
        assert_ne!(SealKey::from_bytes([8; 32]).seal(&change(3)), seal);
        assert_ne!(key.seal(&change(4)), seal);
        let alterations: [fn(&mut Revocation); 5] = [
            |r| r.issuer = IssuerKind::Hosts,
            |r| r.serial = "0a1c".parse().unwrap(),
            |r| r.not_after = Timestamp::from_secs(10),
            |r| r.reason = RevocationReason::Unspecified,
            |r| r.name = "rob".parse().unwrap(),
        ];
        for alter in alterations {
            let mut altered = change(3);
            let ChangeKind::Revoked(revocation) = &mut altered.kind else {
                panic!("a revocation");
            };
            alter(revocation);
            assert_ne!(key.seal(&altered), seal, "{altered:?}");
        }
        let restored = Change {
            kind: ChangeKind::Restored,
            ..change(3)
        };
        assert_ne!(key.seal(&restored), seal);
    }

    #[test]
    fn a_seal_survives_its_text_form() {
        let seal = Seal::from_bytes(std::array::from_fn(|at| at as u8 * 17));
        assert_eq!(seal.to_string().parse(), Ok(seal));
        for bad in ["", "00", &"0".repeat(34), &"g".repeat(32)] {
            assert_eq!(bad.parse::<Seal>(), Err(SealError), "{bad}");
        }
    }
}
