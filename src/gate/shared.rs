//! What every connection of a gate has in common, and the limits that bound it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::identity::GateIdentity;
use super::metrics::GateMetrics;
use super::permit::Policy;
use super::registry::Registry;
use super::roles::Judge;
use super::upstream::Upstream;
use crate::base::{Clock, limits};
use crate::model::Enforced;

/// Bounds of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections past their handshake, streams and tunnels included. One more gets 503.
    pub connections_max: usize,
    /// Handshakes at the same time. One more waits in the kernel's backlog.
    pub handshakes_max: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request head may take, from its first byte.
    pub head_timeout: Duration,
    /// How long a connection may stay open between requests.
    pub idle_timeout: Duration,
    /// How long requests and tunnels may go on after the gate was told to stop.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            handshakes_max: 256,
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            head_timeout: limits::HEADER_TIMEOUT,
            idle_timeout: Duration::from_secs(600),
            drain_timeout: limits::DRAIN_TIMEOUT,
        }
    }
}

/// One gate, seen from its connections.
pub struct Shared {
    pub(super) published: watch::Receiver<Arc<GateIdentity>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) judge: Judge,
    pub(super) enforced: Arc<Enforced>,
    pub(super) upstream: Upstream,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<GateMetrics>,
    pub(super) registry: Arc<Registry>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

impl Shared {
    /// What is published now.
    pub fn identity(&self) -> Arc<GateIdentity> {
        Arc::clone(&self.published.borrow())
    }
}
