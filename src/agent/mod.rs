//! The controller on a Docker host: observe, check, plan, execute, verify, report; level-triggered.
//!
//! `checks` and `plan` are pure and decide everything; `execute` makes no choices. Each durable step is journalled
//! before it runs, can be repeated, and knows what takes it back; after a stop at any point the next pass converges.
//!
//! **Invariant:** `current/` always leads to a key with its own certificate, or to nothing. It changes only by one
//! rename, to a version that was verified a moment before.
//!
//! Knows neither the gate nor how a program is composed: both come in through the traits below.

pub mod checks;
mod conditions;
pub mod config;
mod controller;
pub mod daemon;
pub mod desired;
pub mod doctor;
mod execute;
pub mod feed;
mod freshness;
mod hook;
pub mod lists;
pub mod metrics;
mod observe;
pub mod observed;
pub mod pair;
pub mod plan;
mod probe;
mod reconcile;
pub mod records;
mod remote;
pub mod step;
pub mod token;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

pub use config::{Config, ConfigError, RawConfig};
pub use controller::Controller;
pub use daemon::conditions::wait_in_words;
pub use pair::Pair;
pub use probe::RealProbe;
pub use reconcile::{Preview, Reconciler, Verdict};
pub use records::{Records, Status};
pub use remote::RemoteServer;
pub use token::TokenSource;

use crate::base::{Clock, Random};
use crate::client::{self, Enrolled};
use crate::model::{HostReport, JoinToken};
use crate::pki::Serial;
use crate::sys::{Files, Host, Programs, Versions};
use crate::wire::{EnrollRequest, Issued, RenewRequest, StatusAnswer};
use daemon::Dockerd;
use daemon::plug::Plugin;
use feed::FeedState;
use lists::ListsState;
use observed::Engine;
use step::Served;

/// The server, as far as the agent needs it.
#[async_trait]
pub trait Server: Send + Sync + 'static {
    /// Joins. The token's secret leaves only towards a server whose chain ends in the token's pin.
    async fn enroll(&self, token: &JoinToken, request: &EnrollRequest) -> Result<Enrolled, client::Error>;

    /// Asks for the next certificate as the identity of `pair`.
    async fn renew(&self, pair: &Pair, request: &RenewRequest) -> Result<Issued, client::Error>;

    /// Tells how the host is, as the identity of `pair`.
    async fn report(&self, pair: &Pair, report: &HostReport) -> Result<StatusAnswer, client::Error>;

    /// This machine's clock minus the server's, milliseconds; `None` before the first answer.
    fn clock_offset_ms(&self) -> Option<i64>;
}

/// What serves the certificate: the gate, behind a trait because neither module knows the other.
pub trait Front: Send + Sync + 'static {
    /// Serves this pair from the next handshake on; connections that stand are not touched.
    ///
    /// # Errors
    /// Says why it was refused; what was served before still is.
    fn publish(&self, pair: &Pair) -> Result<(), String>;

    /// The serial number of what was published last.
    fn published(&self) -> Option<Serial>;
}

/// Looks at the host from the outside.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// Asks Docker for its version.
    async fn engine(&self, socket: &Path) -> Engine;

    /// Dials, and says which certificate is served.
    async fn served(&self, address: SocketAddr) -> Served;
}

/// Everything the agent works with.
pub struct World {
    /// Its configuration.
    pub config: Config,
    /// The disk.
    pub files: Files,
    /// The server.
    pub server: Arc<dyn Server>,
    /// The gate; `None` in mode `files`.
    pub front: Option<Arc<dyn Front>>,
    /// How far the follower of the revocation feed is; `None` where none runs.
    pub feed: Option<Arc<FeedState>>,
    /// How the lists that programs read are; `None` where none are kept.
    pub lists: Option<Arc<ListsState>>,
    /// Where the join token is.
    pub token: TokenSource,
    /// The machine.
    pub host: Arc<dyn Host>,
    /// Docker and the port.
    pub probe: Arc<dyn Probe>,
    /// dockerd, to be told and restarted; `None` in other modes than `daemon`.
    pub dockerd: Option<Arc<dyn Dockerd>>,
    /// What dockerd asks about every request, where systemd has handed over a socket for it.
    pub plugin: Option<Arc<dyn Plugin>>,
    /// The hook.
    pub programs: Arc<dyn Programs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

impl World {
    /// The versioned certificates.
    pub fn versions(&self) -> Versions {
        Versions::new(self.files.clone(), &self.config.files)
    }

    /// What is remembered.
    pub fn records(&self) -> Records {
        Records::new(self.files.clone(), &self.config.state)
    }
}
