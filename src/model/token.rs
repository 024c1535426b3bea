//! Join tokens: `dw1_<id>_<secret>_<pin>`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{IdentityKind, Labels, NameRules, Permission};
use crate::base::{Id, Random, Timestamp, encoding};
use crate::pki::AddressRange;

/// What every join token starts with; secret scanners can look for it.
pub const TOKEN_PREFIX: &str = "dw1_";

/// Pins in one token: two during a root rotation, never many.
const PINS_MAX: usize = 4;

/// The joining side's view of a token: what is in its text.
#[derive(Clone)]
pub struct JoinToken {
    /// Which token.
    pub id: Id,
    secret: Zeroizing<[u8; 32]>,
    /// SHA-256 of the root's SubjectPublicKeyInfo; more than one during a root rotation.
    pub pins: Vec<[u8; 32]>,
}

impl JoinToken {
    /// Makes a new one for the given roots.
    pub fn draw(random: &dyn Random, pins: Vec<[u8; 32]>) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut_slice());
        Self {
            id: Id::draw(random),
            secret,
            pins,
        }
    }

    /// What the server stores in place of the secret. The secret has 256 random bits, so a plain hash is
    /// enough; a slow one would only help who wants to keep the server busy.
    pub fn secret_sha256(&self) -> [u8; 32] {
        encoding::sha256(self.secret.as_slice())
    }

    /// The whole token. The only way to get at the secret.
    pub fn expose(&self) -> Zeroizing<String> {
        let pins: Vec<String> = self.pins.iter().map(|pin| encoding::base32(pin)).collect();
        let secret = Zeroizing::new(encoding::base32(self.secret.as_slice()));
        Zeroizing::new(format!(
            "{TOKEN_PREFIX}{}_{}_{}",
            self.id,
            *secret,
            pins.join(".")
        ))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The text is not a join token. Says nothing of what the text was: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// No `dw1_` in front.
    #[error("not a join token: it must start with dw1_ (make one with: dockwarden token create)")]
    Prefix,
    /// Cut off, or with something added.
    #[error("the join token is damaged: expected dw1_<id>_<secret>_<pin>; was it cut off when copied?")]
    Damaged,
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;
    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        use JoinTokenError::Damaged;
        let rest = text
            .trim()
            .strip_prefix(TOKEN_PREFIX)
            .ok_or(JoinTokenError::Prefix)?;
        let mut parts = rest.splitn(3, '_');
        let mut part = || parts.next().ok_or(Damaged);
        let id = part()?.parse().map_err(|_| Damaged)?;
        let bytes32 = |text: &str| -> Option<[u8; 32]> { encoding::base32_decode(text)?.try_into().ok() };
        let secret = Zeroizing::new(bytes32(part()?).ok_or(Damaged)?);
        let pins: Vec<[u8; 32]> = part()?
            .split('.')
            .map(bytes32)
            .collect::<Option<_>>()
            .ok_or(Damaged)?;
        if pins.len() > PINS_MAX {
            return Err(Damaged);
        }
        Ok(Self { id, secret, pins })
    }
}

/// Who decides about an enrolment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub enum Approval {
    /// The token is enough.
    #[default]
    Auto,
    /// An operator looks at each request first.
    Manual,
}

/// The server's view of a token: its limits, never its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The id in its text.
    pub id: Id,
    /// SHA-256 of the secret.
    pub secret_sha256: [u8; 32],
    /// What it enrols; unusable for the other kind.
    pub kind: IdentityKind,
    /// Names and addresses it may claim.
    pub rules: NameRules,
    /// Addresses it may be used from. Empty: any.
    pub sources: Vec<AddressRange>,
    /// How many certificates it was made for.
    pub uses_max: u32,
    /// How many are left.
    pub uses_left: u32,
    /// Not usable after this.
    pub expires_at: Timestamp,
    /// Labels the identity gets.
    pub labels: Labels,
    /// Role the client gets.
    pub role: Option<String>,
    /// Permission on the server the client gets.
    pub permission: Option<Permission>,
    /// Whether an operator must approve.
    pub approval: Approval,
    /// Whether it may take over a name that a live identity holds.
    pub replace: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Why, in the maker's words.
    pub reason: String,
    /// When it was deleted. Deleted tokens stay until their idempotency window has passed.
    pub deleted_at: Option<Timestamp>,
}

/// Why a token cannot be used. Goes to the audit log only: callers all get the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenProblem {
    /// No such id.
    Unknown,
    /// The secret is not the one.
    WrongSecret,
    /// Its time has passed.
    Expired,
    /// No uses left. With a key it never saw, a sign that it leaked.
    Spent,
    /// Deleted by an operator.
    Deleted,
    /// Used from an address outside its source ranges.
    Source,
    /// Made for the other kind of identity.
    WrongProfile,
    /// Shown with a key whose certificate was revoked.
    RevokedKey,
}

impl TokenProblem {
    /// The word in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong-secret",
            Self::Expired => "expired",
            Self::Spent => "spent",
            Self::Deleted => "deleted",
            Self::Source => "source-address",
            Self::WrongProfile => "wrong-profile",
            Self::RevokedKey => "revoked-key",
        }
    }
}

impl Token {
    /// Whether the token can be spent at `now`; the store asks inside the transaction that spends it.
    pub fn spendable(&self, now: Timestamp) -> Result<(), TokenProblem> {
        if self.deleted_at.is_some() {
            Err(TokenProblem::Deleted)
        } else if now > self.expires_at {
            Err(TokenProblem::Expired)
        } else if self.uses_left == 0 {
            Err(TokenProblem::Spent)
        } else {
            Ok(())
        }
    }

    /// Whether `secret_sha256` is its secret's hash, in constant time.
    pub fn secret_matches(&self, secret_sha256: &[u8; 32]) -> bool {
        encoding::constant_time_eq(&self.secret_sha256, secret_sha256)
    }

    /// Whether it may be used from `source`. An unknown source is outside every range.
    pub fn source_allowed(&self, source: Option<IpAddr>) -> bool {
        self.sources.is_empty()
            || source.is_some_and(|address| self.sources.iter().any(|range| range.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SeededRandom;
    use proptest::prelude::*;

    fn token(pins: usize) -> JoinToken {
        JoinToken::draw(&SeededRandom::new(9), vec![[7; 32]; pins])
    }

    #[test]
    fn a_token_survives_its_text_form() {
        for pins in 1..=PINS_MAX {
            let token = token(pins);
            let read: JoinToken = format!(" {}\n", *token.expose()).parse().unwrap();
            assert_eq!(
                (read.id, read.secret_sha256(), &read.pins),
                (token.id, token.secret_sha256(), &token.pins)
            );
        }
        assert!(token(PINS_MAX + 1).expose().parse::<JoinToken>().is_err());
    }

    #[test]
    fn a_token_cut_off_anywhere_is_refused() {
        let text = token(2).expose();
        for end in 0..text.len() {
            assert!(
                text[..end].parse::<JoinToken>().is_err() || text.as_bytes()[end] == b'.',
                "{end}"
            );
        }
    }

    #[test]
    fn the_secret_never_shows_in_debug_output() {
        let token = token(1);
        let text = token.expose();
        let secret = text.split('_').nth(2).unwrap();
        assert!(!format!("{token:?}").contains(secret));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "(dw1_)?[a-z2-7_.]{0,200}") {
            let _ = text.parse::<JoinToken>();
        }
    }
}
