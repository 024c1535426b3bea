//! Revocations, and the feed that tells them to everybody who must refuse.
//!
//! Every change that hosts must know of gets the next number of the feed in the transaction that makes it. A number
//! is never given to two changes, and a revocation is never taken back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::IssuerKind;
use crate::base::{Id, Timestamp, encoding};
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seal([u8; 16]);

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_survives_its_text_form() {
        let seal = Seal::from_bytes(std::array::from_fn(|at| at as u8 * 17));
        assert_eq!(seal.to_string().parse(), Ok(seal));
        for bad in ["", "00", &"0".repeat(34), &"g".repeat(32)] {
            assert_eq!(bad.parse::<Seal>(), Err(SealError), "{bad}");
        }
    }
}
