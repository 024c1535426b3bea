//! Whether a list takes the place of the one in use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::List;
use crate::agent::feed;
use crate::base::Timestamp;
use crate::model::{IssuerKind, key_of};
use crate::pki::crl::{Crl, CrlError, Refusal};
use crate::pki::{Certificate, RevokedSet, Serial};
use crate::sys::Files;
use crate::wire::feed::FeedChangeKind;

/// So long after the end of its certificate a list must still name a revocation: longer than a clock may be wrong, and
/// well below the time for which a server lists it.
const DEMANDED_AFTER_END: Duration = Duration::from_secs(3 * 24 * 3600);

/// Why a list was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    /// Not a list to rely on.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It would un-revoke.
    #[error(
        "number {number} does not name {serial}, which is revoked and on the list in use ({count} in all): was the server restored from a backup? It gets back from hosts what it lost, and publishes a whole list then; see its /readyz"
    )]
    Unrevokes {
        /// Its number.
        number: u64,
        /// The first that is missing.
        serial: Serial,
        /// How many are.
        count: usize,
    },
}

/// Checks a list that came; whether it is another one than the one in use.
///
/// # Errors
/// [`Refusal`]: the one in use stays.
pub(super) fn check(
    crl: &Crl,
    issuer: &Certificate,
    in_use: Option<&Crl>,
    highest: Option<u64>,
    now: Timestamp,
) -> Result<bool, Refusal> {
    if let Some(have) = highest.filter(|have| crl.number < *have) {
        crl.verify(issuer)?;
        return Err(Refusal::Backwards {
            issuer: issuer.subject_text(),
            have,
            got: crl.number,
        });
    }
    let is_new = crl.check_successor(issuer, in_use, now)?;
    // Ours always are; lists are compared entry by entry.
    if !crl.is_sorted {
        return Err(CrlError::Malformed.into());
    }
    Ok(is_new)
}

/// What the feed has told, held against lists.
pub(super) struct Told {
    files: Files,
    /// Where the follower's files are: when a certificate ended is only known there.
    directory: PathBuf,
    /// Revoked, and ended so long ago that no list need name them.
    ended: RevokedSet,
}

impl Told {
    /// `begun` is what was known when the follower began. Of these the ledger has forgotten those that ended long ago; what
    /// it does not know of later ones is only on its way there.
    pub(super) fn new(files: Files, directory: PathBuf, begun: &RevokedSet) -> Self {
        let mut recorded = RevokedSet::new();
        for change in feed::everything(&files, &directory) {
            if let Some((issuer, serial)) = feed::revoked(&change) {
                recorded.insert(key_of(issuer), serial);
            }
        }
        let mut ended = RevokedSet::new();
        for (issuer, serial) in begun
            .iter()
            .filter(|(issuer, serial)| !recorded.contains(issuer, serial))
        {
            ended.insert(issuer, &serial);
        }
        Self {
            files,
            directory,
            ended,
        }
    }

    /// What is `revoked`, and a list of this kind must name, and `crl` does not.
    pub(super) fn missing(
        &mut self,
        list: List,
        crl: &Crl,
        revoked: &RevokedSet,
        now: Timestamp,
    ) -> Vec<Serial> {
        let Some(kind) = list.kind() else {
            return Vec::new();
        };
        let missing = self.unnamed(kind, crl, revoked);
        match missing.is_empty() {
            true => missing,
            false => self.demanded(kind, missing, now),
        }
    }

    fn unnamed(&self, kind: IssuerKind, crl: &Crl, revoked: &RevokedSet) -> Vec<Serial> {
        let key = key_of(kind);
        let mut named = RevokedSet::new();
        named.insert_listed(key, crl);
        let of_kind = revoked.iter().filter(|(issuer, _)| *issuer == key);
        let known = |serial: &Serial| named.contains(key, serial) || self.ended.contains(key, serial);
        of_kind
            .map(|(_, serial)| serial)
            .filter(|serial| !known(serial))
            .collect()
    }

    /// Those whose certificate has not ended long ago. The ledger is read for them, and the others are remembered.
    fn demanded(&mut self, kind: IssuerKind, missing: Vec<Serial>, now: Timestamp) -> Vec<Serial> {
        let mut ends: BTreeMap<Serial, Timestamp> = BTreeMap::new();
        for change in feed::everything(&self.files, &self.directory) {
            if let FeedChangeKind::Revoked(revoked) = change.kind
                && revoked.issuer == kind
            {
                let end = ends.entry(revoked.serial).or_insert(revoked.not_after);
                *end = revoked.not_after.max(*end);
            }
        }
        // What is just being told is not in the ledger yet.
        let matters = |serial: &Serial| ends.get(serial).is_none_or(|end| *end + DEMANDED_AFTER_END > now);
        let (demanded, ended): (Vec<_>, Vec<_>) = missing.into_iter().partition(matters);
        for serial in ended {
            self.ended.insert(key_of(kind), &serial);
        }
        demanded
    }
}

/// A list that lacks what the feed has told is taken all the same unless the one in use names it: more is better than
/// less, and less is never taken.
///
/// # Errors
/// [`NotTaken::Unrevokes`].
pub(super) fn refuse_less(crl: &Crl, in_use: Option<&Crl>, missing: &[Serial]) -> Result<(), NotTaken> {
    let Some(in_use) = in_use.filter(|_| !missing.is_empty()) else {
        return Ok(());
    };
    let named = |serial: &&Serial| in_use.find(serial).is_some();
    match missing.iter().find(named) {
        None => Ok(()),
        Some(serial) => Err(NotTaken::Unrevokes {
            number: crl.number,
            serial: serial.clone(),
            count: missing.len(),
        }),
    }
}
