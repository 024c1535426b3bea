//! Mode `files`: keeps `crl.pem`, the lists of revoked certificates that nginx, HAProxy, Envoy or stunnel read, and tells
//! that program when they have changed.
//!
//! A list is fetched whenever the feed tells of a revocation, and long before it runs out. It is taken when its issuer
//! signed it, its number is not lower than any before, and everything is on it that the feed has told and that still
//! matters: a list from a server that was restored un-revokes nobody. The file is replaced at once and whole, then the
//! hook runs; only then does a revocation count as applied on this host.
//!
//! **Invariant:** `crl.pem` gets weaker by nothing that a server, a restart or a failure does. What cannot be taken is said
//! in the condition `RevocationFresh`, and the file that is there stays.
//!
//! Once the server was not heard of for too long (`on_stale = "deny"`), `crl.pem` holds the root's list alone: a chain
//! whose issuer has no list is refused by every program that reads it, so nobody gets in until the server is heard of.

mod check;
mod disk;
mod error;
mod issuers;
mod keep;
mod metrics;
mod shelf;
mod state;

use async_trait::async_trait;

pub use disk::{Remembered, path};
pub use keep::{Keeper, Parts};
pub use metrics::source;
pub use state::{InUse, ListsState, ListsView};

use super::Pair;
use crate::client::{Error, FetchedCrl};
use crate::model::IssuerKind;

/// A list of revoked certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Of the issuer of clients: who may not come in.
    Clients,
    /// Of the issuer of hosts, for programs that dial other hosts.
    Hosts,
    /// Of the root: issuers. A chain needs the list of every CA in it.
    Root,
}

impl List {
    /// All of them, in the order in which they stand in the file.
    pub const ALL: [Self; 3] = [Self::Clients, Self::Hosts, Self::Root];

    /// How the server calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Hosts => "hosts",
            Self::Root => "root",
        }
    }

    /// Whose list it is; `None`: the root's.
    pub fn kind(self) -> Option<IssuerKind> {
        match self {
            Self::Clients => Some(IssuerKind::Clients),
            Self::Hosts => Some(IssuerKind::Hosts),
            Self::Root => None,
        }
    }
}

/// The server, as far as lists are concerned. Every call shows the certificate of `pair`.
#[async_trait]
pub trait ListServer: Send + Sync + 'static {
    /// A list, unless it is the one that `etag` names.
    async fn list(&self, pair: &Pair, list: List, etag: Option<&str>) -> Result<Option<FetchedCrl>, Error>;

    /// The certificate of an issuer, DER.
    async fn issuer(&self, pair: &Pair, list: List) -> Result<Vec<u8>, Error>;
}
