//! Why the file is not as it should be.

use super::check::NotTaken;
use super::issuers::IssuerError;
use crate::client;
use crate::pki::Serial;
use crate::pki::crl::CrlError;
use crate::sys::FileError;

/// Why the file is not as it should be. The one that is there stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error("this host has no certificate to ask for lists with yet")]
    NoCertificate,
    #[error("the list of {list} was not fetched: {source}")]
    Fetch {
        list: &'static str,
        source: client::Error,
    },
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("the list of {list} was not taken: {source}")]
    NotTaken { list: &'static str, source: NotTaken },
    #[error("what came as the list of {list} was not taken: {source}")]
    NoList { list: &'static str, source: CrlError },
    #[error(
        "the newest list of {list} (number {number}) does not name {serial}, which is revoked ({count} in all): it is asked for again until it does; the server's /readyz says why it publishes none"
    )]
    Lacks {
        list: &'static str,
        number: u64,
        serial: Serial,
        count: usize,
    },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "the hook {0}; the program that it reloads still goes by the lists before. Run the hook by hand to see why"
    )]
    Hook(String),
}

impl KeepError {
    /// For programs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NoCertificate => "NoCertificate",
            Self::Fetch { .. } => "ListsNotFetched",
            Self::Lacks { .. } => "ListsLag",
            Self::Issuer(_) | Self::NotTaken { .. } | Self::NoList { .. } => "ListsRefused",
            Self::File(_) => "ListsNotWritten",
            Self::Hook(_) => "ReloadFailed",
        }
    }

    /// Whether it is most likely a matter of moments: the feed is faster than the list.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Lacks { .. })
    }

    /// Whether the other lists would not come either.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Fetch { source, .. } if !matches!(source, client::Error::Problem { .. }))
    }

    /// A host that has not joined yet is said elsewhere.
    pub(super) fn is_worth_a_word(&self) -> bool {
        !matches!(self, Self::NoCertificate)
    }
}
