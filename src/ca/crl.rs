//! CRLs: encode, lint, sign, check. As with certificates, what is signed is what was linted, and a signature that does
//! not verify never leaves.

use std::time::Duration;

use super::ceremony::Root;
use super::issuer::Issuer;
use crate::base::Timestamp;
use crate::keys::{IssuerKey, KeyError};
use crate::pki::crl::{Crl, CrlError, CrlFacts, EntryBuffer, Head, Subjects, Unsigned};
use crate::pki::lint::Finding;
use crate::pki::lint::crl::{CrlCandidate, check};
use crate::pki::{Certificate, SignatureAlgorithm};

/// How far a list's thisUpdate lies before its signing, against readers whose clocks run late.
pub const CRL_BACKDATE: Duration = Duration::from_secs(300);
/// How long an issuer's list is good. It is signed anew much earlier.
pub const CRL_VALIDITY: Duration = Duration::from_secs(86_400);
/// How long a root's list is good: its key may have to be brought.
pub const ROOT_CRL_VALIDITY: Duration = Duration::from_secs(365 * 86_400);

/// Why no CRL came out. All but `Key` are mistakes of this program or of the CA it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignCrlError {
    /// Leaves in the root's list, or issuers in an issuer's.
    #[error("the entries are not of the kind that {0} lists: a root lists issuers, an issuer lists leaves")]
    OtherSubjects(String),
    /// An imported CA of an unusual kind.
    #[error(
        "{0} cannot sign CRLs: its certificate has no subject key identifier, or a key of an unusual kind"
    )]
    Unusable(String),
    /// Its encoding was not read back.
    #[error("the CRL was not signed, because it does not read back: {0}")]
    Encoding(CrlError),
    /// A rule is broken.
    #[error("the CRL was not signed, because it breaks a rule: it {}", text(.0))]
    Lint(Vec<Finding>),
    /// The key failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature does not verify.
    #[error(
        "the CRL was signed but does not check out ({0}); it was thrown away: check the CA key and its device"
    )]
    Corrupt(CrlError),
}

fn text(findings: &[Finding]) -> String {
    let all: Vec<String> = findings.iter().map(Finding::to_string).collect();
    all.join("; it ")
}

/// What the next list shall say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlOrder {
    /// CRLNumber.
    pub number: u64,
    /// The number of the list before, of the same issuer.
    pub predecessor: Option<u64>,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
}

impl CrlOrder {
    /// The list after `predecessor`. Its number is the time in seconds, or one more than the last, whichever is larger:
    /// so a CA that was restored from a backup, and forgot how far it had come, still counts on.
    pub fn next(predecessor: Option<u64>, now: Timestamp, validity: Duration) -> Self {
        let clock = u64::try_from(now.as_secs()).unwrap_or(0);
        let number = predecessor.map_or(clock, |last| clock.max(last.saturating_add(1)));
        Self::new(number, predecessor, now, validity)
    }

    /// The list after `predecessor`, numbered `number`, made now and good for `validity`.
    pub fn new(number: u64, predecessor: Option<u64>, now: Timestamp, validity: Duration) -> Self {
        Self {
            number,
            predecessor,
            this_update: (now - CRL_BACKDATE).trunc_secs(),
            next_update: (now + validity).trunc_secs(),
        }
    }
}

impl Issuer {
    /// Signs the list of revoked leaves. Takes a fraction of a second per million entries, and as long as the key
    /// needs: not on an async thread.
    ///
    /// # Errors
    /// [`SignCrlError`].
    pub fn sign_crl(&self, entries: &EntryBuffer, order: CrlOrder) -> Result<Crl, SignCrlError> {
        sign(&self.certificate, &*self.key, Subjects::Leaves, entries, order)
    }
}

impl Root {
    /// Signs the list of revoked issuers, where the root's key is: at the ceremony, or by a command of its own. The
    /// server only ever publishes what was signed here: see [`Crl::check_successor`].
    ///
    /// # Errors
    /// [`SignCrlError`].
    pub fn sign_crl(&self, entries: &EntryBuffer, order: CrlOrder) -> Result<Crl, SignCrlError> {
        let (certificate, key) = self.parts();
        // A CA that was made late in a second has its first second behind the backdated one.
        let this_update = order.this_update.max(certificate.not_before);
        sign(
            certificate,
            key,
            Subjects::Issuers,
            entries,
            CrlOrder { this_update, ..order },
        )
    }
}

fn sign(
    issuer: &Certificate,
    key: &dyn IssuerKey,
    subjects: Subjects,
    entries: &EntryBuffer,
    order: CrlOrder,
) -> Result<Crl, SignCrlError> {
    if entries.subjects() != subjects {
        return Err(SignCrlError::OtherSubjects(issuer.subject_text()));
    }
    let head = Head {
        number: order.number,
        this_update: order.this_update,
        next_update: order.next_update,
        issuer,
    };
    let unsigned =
        Unsigned::encode(head, entries).ok_or_else(|| SignCrlError::Unusable(issuer.subject_text()))?;
    let facts = CrlFacts::read(unsigned.tbs()).map_err(SignCrlError::Encoding)?;
    let findings = check(&CrlCandidate {
        facts: &facts,
        issuer,
        subjects,
        predecessor: order.predecessor,
    });
    if !findings.is_empty() {
        return Err(SignCrlError::Lint(findings));
    }
    let signature = key.sign(unsigned.tbs())?;
    SignatureAlgorithm::from_der(unsigned.algorithm())
        .and_then(|algorithm| algorithm.verify(key.public_key(), unsigned.tbs(), &signature))
        .map_err(|e| SignCrlError::Corrupt(e.into()))?;
    Crl::parse(unsigned.assemble(&signature)).map_err(SignCrlError::Corrupt)
}

#[cfg(test)]
mod tests;
