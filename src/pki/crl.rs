//! Certificate revocation lists (RFC 5280 §5): full version 2 lists, read without an allocation per entry, checked,
//! compared, and, on the server, kept encoded so that one more revocation costs an insert.
//!
//! Delta CRLs, indirect CRLs and CRLs with an issuing distribution point are refused when read and never written:
//! who takes a part for the whole takes a revoked certificate for a good one.

mod accept;
#[cfg(any(test, feature = "server"))]
mod buffer;
mod diff;
#[cfg(any(test, feature = "server"))]
mod encode;
mod entry;
mod read;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::cert::{Certificate, ExtensionFact, KeyUsage};
use super::dates::Date;
use super::public_key::PublicKeyError;
use super::signature::{SignatureAlgorithm, SignatureError};
use super::{PemError, RevocationReason, Serial, cert, pem};
use crate::base::Timestamp;
use crate::base::limits::CRL_BYTES_MAX;

pub use accept::{CLOCK_SKEW_MAX, Refusal};
#[cfg(any(test, feature = "server"))]
pub use buffer::EntryBuffer;
pub use diff::{Difference, diff, dropped};
#[cfg(any(test, feature = "server"))]
pub use encode::{Head, Unsigned};
pub use entry::{Entries, Entry};

/// Why bytes are not a CRL to rely on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// More than [`CRL_BYTES_MAX`].
    #[error("the CRL is {0} bytes long, more than the {CRL_BYTES_MAX} that are read: is it the right file?")]
    TooLarge(usize),
    /// Not PEM, though it looks like it.
    #[error("the CRL file {0}")]
    Pem(#[from] PemError),
    /// PEM without a CRL in it, or with several.
    #[error("the file holds {0} CRLs, where exactly one is expected")]
    NotOne(usize),
    /// Not a CertificateList in DER, or bytes follow it.
    #[error("the CRL does not parse: it was cut short, damaged, or is not an X.509 CRL; fetch it again")]
    Malformed,
    /// Version 1, which has no number.
    #[error("the CRL is not of version 2: have its CA sign one with a CRL number")]
    Version,
    /// An entry that does not parse.
    #[error("entry {0} of the CRL is damaged; fetch the CRL again")]
    Entry(usize),
    /// An extension that limits what the list covers, one we must understand and do not, a damaged or repeated one.
    #[error(
        "the CRL has the extension {0}, which is damaged, repeated, or makes it something else than a full list; only full CRLs are read"
    )]
    Extension(String),
    /// Without CRLNumber, old and new cannot be told apart.
    #[error("the CRL has no CRL number below 2^64: have its CA sign one with it")]
    Number,
    /// Without nextUpdate it would be good for ever.
    #[error("the CRL does not say when the next one comes (nextUpdate): have its CA sign one that does")]
    NoNextUpdate,
    /// It ends before it begins.
    #[error(
        "the next update of the CRL ({next_update}) is not after this one ({this_update}): have its CA sign a new one"
    )]
    Dates {
        /// thisUpdate.
        this_update: Timestamp,
        /// nextUpdate.
        next_update: Timestamp,
    },
    /// By another CA.
    #[error("the CRL is not from {expected}, but from {found}")]
    OtherIssuer {
        /// Whose list it should be.
        expected: String,
        /// What it says.
        found: String,
    },
    /// The CA's certificate does not allow it.
    #[error("{0} may not sign CRLs: its certificate has no key usage cRLSign")]
    NotForCrls(String),
    /// The CA's key is not one we use.
    #[error("the key of the CRL's issuer: {0}")]
    Key(#[from] PublicKeyError),
    /// See [`SignatureError`].
    #[error("the CRL is not to be believed: {0}")]
    Signature(#[from] SignatureError),
}

/// What the listed certificates are. Decides how a compromised key is written: `cACompromise` is for CAs, and
/// `keyCompromise` for all others (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Leaves: in the list of an issuer.
    Leaves,
    /// Issuers: in the list of a root.
    Issuers,
}

/// One revocation, as it goes into a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The certificate.
    pub serial: Serial,
    /// Since when; whole seconds go into the list.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// The certificate's last second. Some time after it, the entry may go: see [`drop_before`].
    pub not_after: Timestamp,
}

/// How long entries stay listed after their certificate expired: longer than RFC 5280 §3.3 asks for, so that a clock
/// that jumps by some days and back never un-revokes anything.
pub const LISTED_AFTER_EXPIRY: Duration = Duration::from_secs(7 * 86_400);

/// Entries of certificates that expired before this may be left out of the next CRL: each stood on a list that was
/// made past its expiry (RFC 5280 §3.3), and [`LISTED_AFTER_EXPIRY`] longer. `predecessor` is the thisUpdate of the
/// last published list; without one, nothing is left out.
pub fn drop_before(predecessor: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let made = predecessor.map_or(Timestamp::from_secs(i64::MIN), |made| made.min(now));
    made - LISTED_AFTER_EXPIRY
}

/// What the signed part of a CRL says. Positions are offsets into that part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlFacts {
    /// CRLNumber (RFC 5280 §5.2.3).
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one comes at the latest.
    pub next_update: Timestamp,
    /// The issuer's Name, DER.
    pub issuer: Vec<u8>,
    /// AlgorithmIdentifier of the signature, DER.
    pub signature_algorithm: Vec<u8>,
    /// The keyIdentifier of AuthorityKeyIdentifier.
    pub authority_key_id: Option<Vec<u8>>,
    /// Every extension, in order.
    pub extensions: Vec<ExtensionFact>,
    /// How many certificates it lists.
    pub entry_count: usize,
    /// Whether the entries are in the order of [`Serial`], none twice.
    pub is_sorted: bool,
    /// Whether every date has the form RFC 5280 asks for.
    pub dates_in_right_form: bool,
    /// The reason codes that are spelled out, as bits.
    pub reason_bits: u16,
    entries: Range<usize>,
}

impl CrlFacts {
    /// Reads the signed part: TBSCertList, DER.
    ///
    /// # Errors
    /// [`CrlError`], for everything that can be seen without the issuer.
    pub(crate) fn read(tbs: &[u8]) -> Result<Self, CrlError> {
        read::facts(tbs)
    }

    /// The entries of the signed part these facts were read from.
    pub(crate) fn entries_in<'a>(&self, tbs: &'a [u8]) -> Entries<'a> {
        Entries::checked(&tbs[self.entries.clone()], self.entry_count)
    }

    fn note(&mut self, date: Date) {
        self.dates_in_right_form &= date.is_in_right_form();
    }
}

/// A whole CRL. Only [`Crl::parse`] makes one; its signature is good once [`Crl::verify`] said so. Cheap to clone.
#[derive(Clone)]
pub struct Crl {
    der: Bytes,
    tbs: Range<usize>,
    facts: CrlFacts,
}

impl std::ops::Deref for Crl {
    type Target = CrlFacts;

    fn deref(&self) -> &CrlFacts {
        &self.facts
    }
}

impl Crl {
    /// Reads one CRL in DER, and nothing after it. Every entry is looked at once; none is copied.
    ///
    /// # Errors
    /// [`CrlError`], for everything that can be seen without the issuer.
    pub fn parse(der: impl Into<Bytes>) -> Result<Self, CrlError> {
        let der = der.into();
        if der.len() > CRL_BYTES_MAX {
            return Err(CrlError::TooLarge(der.len()));
        }
        let parts = cert::split(&der).ok_or(CrlError::Malformed)?;
        let facts = CrlFacts::read(parts.tbs)?;
        if facts.signature_algorithm != parts.algorithm {
            return Err(CrlError::Malformed);
        }
        let start = parts.tbs.as_ptr().addr() - der.as_ptr().addr();
        let tbs = start..start + parts.tbs.len();
        Ok(Self { der, tbs, facts })
    }

    /// Reads one CRL, in DER or in PEM with one `X509 CRL` block.
    ///
    /// # Errors
    /// As [`Crl::parse`], and [`CrlError::Pem`], [`CrlError::NotOne`].
    pub fn parse_pem_or_der(file: impl Into<Bytes>) -> Result<Self, CrlError> {
        let file = file.into();
        if file.first() == Some(&super::der::SEQUENCE) {
            return Self::parse(file);
        }
        let mut all = Self::parse_bundle(&file)?;
        match (all.pop(), all.len()) {
            (Some(crl), 0) => Ok(crl),
            (last, others) => Err(CrlError::NotOne(others + usize::from(last.is_some()))),
        }
    }

    /// Every `X509 CRL` block of a PEM file, in order; other blocks are passed over.
    ///
    /// # Errors
    /// As [`Crl::parse`], and [`CrlError::Pem`].
    pub fn parse_bundle(file: &[u8]) -> Result<Vec<Self>, CrlError> {
        /// Base64 and line ends take 66 bytes for 48.
        const PEM_MAX: usize = CRL_BYTES_MAX / 48 * 66;
        if file.len() > PEM_MAX {
            return Err(CrlError::TooLarge(file.len()));
        }
        let blocks = pem::blocks_up_to(file, PEM_MAX)?;
        let lists = blocks.into_iter().filter(|block| block.label == "X509 CRL");
        lists.map(|block| Self::parse(block.der.to_vec())).collect()
    }

    /// The CRL, DER.
    pub fn der(&self) -> &Bytes {
        &self.der
    }

    /// The CRL, PEM.
    pub fn pem(&self) -> String {
        pem::encode("X509 CRL", &self.der)
    }

    /// The entries, in the order they stand there.
    pub fn entries(&self) -> Entries<'_> {
        self.facts.entries_in(&self.der[self.tbs.clone()])
    }

    /// The entry of a certificate. Reads on average half of the list: for many questions, make a
    /// [`RevokedSet`](super::RevokedSet) of it.
    pub fn find(&self, serial: &Serial) -> Option<Entry<'_>> {
        self.entries().find(|entry| entry.serial == serial.as_bytes())
    }

    /// Whether `now` is past nextUpdate.
    pub fn is_stale_at(&self, now: Timestamp) -> bool {
        now.as_secs() > self.next_update.as_secs()
    }

    /// Whether it is the list of `issuer`: name, key identifier, key usage, signature. Dates are not looked at.
    ///
    /// # Errors
    /// [`CrlError::OtherIssuer`], [`CrlError::NotForCrls`], [`CrlError::Key`], [`CrlError::Signature`].
    pub fn verify(&self, issuer: &Certificate) -> Result<(), CrlError> {
        let is_other_key =
            matches!((&self.authority_key_id, &issuer.subject_key_id), (Some(a), Some(b)) if a != b);
        if self.issuer != issuer.subject || is_other_key {
            return Err(CrlError::OtherIssuer {
                expected: issuer.subject_text(),
                found: cert::name_text(&self.issuer),
            });
        }
        if issuer
            .key_usage
            .is_some_and(|usage| !usage.contains(KeyUsage::CRL_SIGN))
        {
            return Err(CrlError::NotForCrls(issuer.subject_text()));
        }
        let parts = cert::split(&self.der).ok_or(CrlError::Malformed)?;
        let algorithm = SignatureAlgorithm::from_der(parts.algorithm)?;
        Ok(algorithm.verify(&issuer.public_key()?, parts.tbs, parts.signature)?)
    }

    /// The issuer as people write it.
    pub fn issuer_text(&self) -> String {
        cert::name_text(&self.issuer)
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("issuer", &self.issuer_text())
            .field("number", &self.number)
            .field("entries", &self.entry_count)
            .field("next_update", &self.next_update.to_string())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
