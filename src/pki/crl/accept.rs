//! Whether a CRL that came from elsewhere takes the place of the one that is there.

use std::time::Duration;

use super::{Crl, CrlError};
use crate::base::Timestamp;
use crate::pki::Certificate;

/// How far in the future a list may have been made: clocks differ.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(600);

/// Why a CRL was not taken over. The one that is there stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not its issuer's, or damaged.
    #[error(transparent)]
    Crl(#[from] CrlError),
    /// An older one.
    #[error(
        "the CRL of {issuer} has number {got}, but number {have} was seen before: fetch the newest one; if the CA was restored from a backup, have it sign one above {have}"
    )]
    Backwards {
        /// Whose.
        issuer: String,
        /// The highest number seen.
        have: u64,
        /// The number that came.
        got: u64,
    },
    /// The same number on other contents: the CA signed twice.
    #[error(
        "the CRL of {issuer} has number {number}, as the one that is there, but differs from it: have its CA sign one with a higher number"
    )]
    Ambiguous {
        /// Whose.
        issuer: String,
        /// The number of both.
        number: u64,
    },
    /// Past its nextUpdate.
    #[error(
        "the CRL of {issuer} should have been replaced at {next_update}: fetch the newest one, or have its CA sign one"
    )]
    Stale {
        /// Whose.
        issuer: String,
        /// When.
        next_update: Timestamp,
    },
    /// Made in the future.
    #[error(
        "the CRL of {issuer} was made at {this_update}, which is in the future: check the clocks of this machine and of the CA"
    )]
    NotYet {
        /// Whose.
        issuer: String,
        /// When.
        this_update: Timestamp,
    },
}

impl Crl {
    /// Checks this list as the successor of `known`: it is `issuer`'s, newer by number, made before now, and not
    /// stale. `Ok(false)` when it is the very list that is known.
    ///
    /// # Errors
    /// [`Refusal`]: keep the one that is known.
    pub fn check_successor(
        &self,
        issuer: &Certificate,
        known: Option<&Crl>,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        self.verify(issuer)?;
        let name = || issuer.subject_text();
        if let Some(known) = known {
            if self.number < known.number {
                return Err(Refusal::Backwards {
                    issuer: name(),
                    have: known.number,
                    got: self.number,
                });
            }
            if self.number == known.number && self.der() != known.der() {
                return Err(Refusal::Ambiguous {
                    issuer: name(),
                    number: self.number,
                });
            }
        }
        if self.is_stale_at(now) {
            return Err(Refusal::Stale {
                issuer: name(),
                next_update: self.next_update,
            });
        }
        if self.this_update > now + CLOCK_SKEW_MAX {
            return Err(Refusal::NotYet {
                issuer: name(),
                this_update: self.this_update,
            });
        }
        Ok(known.is_none_or(|known| known.number < self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AUTHORITY, at, buffer, revoked, signed};
    use super::*;
    use crate::pki::RevocationReason;

    fn list(number: u64, this_update: i64, serial: u8) -> Crl {
        let entries = buffer([revoked(&[serial], 0, RevocationReason::Superseded)]);
        Crl::parse(signed(number, this_update, &entries)).unwrap()
    }

    #[test]
    fn a_newer_list_takes_the_place_and_the_same_one_changes_nothing() {
        let issuer = &AUTHORITY.certificate;
        let known = list(7, 0, 1);
        assert_eq!(known.check_successor(issuer, None, at(10)), Ok(true));
        assert_eq!(known.check_successor(issuer, Some(&known), at(10)), Ok(false));
        assert_eq!(
            list(8, 5, 2).check_successor(issuer, Some(&known), at(10)),
            Ok(true)
        );
    }

    #[test]
    fn an_older_another_a_stale_and_a_future_list_are_refused() {
        let issuer = &AUTHORITY.certificate;
        let known = list(7, 0, 1);
        let refusal = |list: &Crl, now| list.check_successor(issuer, Some(&known), at(now)).unwrap_err();
        assert!(matches!(
            refusal(&list(6, 9, 1), 10),
            Refusal::Backwards { have: 7, got: 6, .. }
        ));
        assert!(matches!(
            refusal(&list(7, 0, 2), 10),
            Refusal::Ambiguous { number: 7, .. }
        ));
        assert!(matches!(refusal(&list(8, 0, 2), 86_401), Refusal::Stale { .. }));
        assert!(matches!(refusal(&list(8, 700, 2), 99), Refusal::NotYet { .. }));
        assert_eq!(
            list(8, 700, 2).check_successor(issuer, Some(&known), at(100)),
            Ok(true)
        );
    }
}
