//! What kind of leaf is issued: lifetimes and key algorithms.

use std::time::Duration;

use super::IdentityKind;
use crate::pki::KeyAlgorithm;

/// Limits of one kind of leaf, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Host (serverAuth) or client (clientAuth).
    pub kind: IdentityKind,
    /// notAfter minus the moment of issue.
    pub lifetime: Duration,
    /// How far notBefore lies in the past, against clock skew.
    pub backdate: Duration,
    /// Accepted key algorithms.
    pub key_algorithms: Vec<KeyAlgorithm>,
    /// How long after its expiry a certificate may still renew itself. Zero: not at all.
    pub renew_grace: Duration,
}

/// Why a profile cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Too short to renew in, or too long to be safe.
    #[error("profile {kind}: lifetime {lifetime:?} is outside 30 s to 825 days")]
    Lifetime {
        /// Which profile.
        kind: IdentityKind,
        /// The refused lifetime.
        lifetime: Duration,
    },
    /// Nothing could ever be issued.
    #[error("profile {0}: key_algorithms is empty: name at least one, such as ecdsa-p256")]
    NoAlgorithms(IdentityKind),
    /// A notBefore far in the past breaks short-lived policies and looks forged.
    #[error("profile {0}: backdate is more than 24 h")]
    Backdate(IdentityKind),
}

impl Profile {
    /// The defaults: hosts 30 days with 7 days of grace, clients 30 days with none, P-256 first.
    pub fn default_for(kind: IdentityKind) -> Self {
        let days = |n: u64| Duration::from_secs(n * 86_400);
        Self {
            kind,
            lifetime: days(30),
            backdate: Duration::from_secs(3600),
            key_algorithms: KeyAlgorithm::ALL.to_vec(),
            renew_grace: match kind {
                IdentityKind::Host => days(7),
                IdentityKind::Client => Duration::ZERO,
            },
        }
    }

    /// Refuses what cannot work.
    pub fn validate(self) -> Result<Self, ProfileError> {
        let days_825 = Duration::from_secs(825 * 86_400);
        if !(Duration::from_secs(30)..=days_825).contains(&self.lifetime) {
            return Err(ProfileError::Lifetime {
                kind: self.kind,
                lifetime: self.lifetime,
            });
        }
        if self.key_algorithms.is_empty() {
            return Err(ProfileError::NoAlgorithms(self.kind));
        }
        if self.backdate > days_825 / 825 {
            return Err(ProfileError::Backdate(self.kind));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_bounded_on_both_sides() {
        let with = |secs| Profile {
            lifetime: Duration::from_secs(secs),
            ..Profile::default_for(IdentityKind::Host)
        };
        assert!(with(30).validate().is_ok());
        assert!(with(29).validate().is_err());
        assert!(with(825 * 86_400).validate().is_ok());
        assert!(with(825 * 86_400 + 1).validate().is_err());
    }
}
