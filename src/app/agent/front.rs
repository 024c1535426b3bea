//! The gate as the agent sees it: starts with the first certificate, then gets every new one.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agent::feed::{Cut, FeedState};
use crate::agent::{Front, Pair};
use crate::base::Clock;
use crate::gate::{CutReason, Gate, GateConfig, GateIdentity, GateMetrics, Limits, Listen, Registry};
use crate::model::Enforced;
use crate::model::role::RolesInForce;
use crate::model::role::learn::Learner;
use crate::pki::Serial;

/// Where the gate is to listen.
#[derive(Debug)]
pub enum Place {
    /// An address.
    Address(SocketAddr),
    /// Sockets that systemd opened.
    Sockets(Vec<TcpListener>),
}

impl Place {
    fn listen(&self) -> std::io::Result<Vec<Listen>> {
        match self {
            Self::Address(address) => Ok(vec![Listen::Address(*address)]),
            // Copies, so that a gate that ended can be started again.
            Self::Sockets(sockets) => sockets
                .iter()
                .map(|socket| socket.try_clone().map(Listen::Prepared))
                .collect(),
        }
    }
}

struct Running {
    published: watch::Sender<Arc<GateIdentity>>,
    registry: Arc<Registry>,
    task: JoinHandle<()>,
}

/// The gate. It accepts nobody before it has a certificate.
pub struct GateFront {
    runtime: Handle,
    place: Place,
    upstream: PathBuf,
    enforced: Arc<Enforced>,
    roles: Arc<RolesInForce>,
    learner: Option<Arc<Learner>>,
    metrics: Arc<GateMetrics>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    running: Mutex<Option<Running>>,
}

impl GateFront {
    /// A gate that will run on `runtime` until `shutdown`, and refuses whom `enforced` says.
    pub fn new(
        runtime: Handle,
        place: Place,
        upstream: PathBuf,
        state: &FeedState,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            runtime,
            place,
            upstream,
            enforced: Arc::clone(state.enforced()),
            roles: Arc::clone(state.roles()),
            learner: None,
            metrics: Arc::default(),
            clock,
            shutdown,
            running: Mutex::new(None),
        }
    }

    /// Has it say to `learner` what clients use.
    #[must_use]
    pub fn with_learner(mut self, learner: Option<Arc<Learner>>) -> Self {
        self.learner = learner;
        self
    }

    /// What it counts, however often it is started.
    pub fn metrics(&self) -> Arc<GateMetrics> {
        Arc::clone(&self.metrics)
    }

    fn start(&self, identity: Arc<GateIdentity>) -> Result<Running, String> {
        let (published, receiver) = watch::channel(identity);
        let config = GateConfig {
            listen: self.place.listen().map_err(|e| e.to_string())?,
            upstream: self.upstream.clone(),
            limits: Limits::default(),
        };
        // The gate's sockets belong to the gate's runtime, whoever publishes.
        let _inside = self.runtime.enter();
        let gate = Gate::bind(config, receiver, Arc::clone(&self.clock)).map_err(|e| e.to_string())?;
        let gate = gate
            .with_enforced(Arc::clone(&self.enforced))
            .with_roles(Arc::clone(&self.roles))
            .with_metrics(Arc::clone(&self.metrics));
        let gate = match &self.learner {
            Some(learner) => gate.with_learner(Arc::clone(learner)),
            None => gate,
        };
        let registry = gate.registry();
        tracing::info!(addresses = ?gate.addresses(), upstream = %self.upstream.display(), "the gate listens");
        let task = self.runtime.spawn(gate.run(self.shutdown.clone()));
        Ok(Running {
            published,
            registry,
            task,
        })
    }

    fn registry(&self) -> Option<Arc<Registry>> {
        let running = self.running.lock().expect("no panic while the lock is held");
        running.as_ref().map(|gate| Arc::clone(&gate.registry))
    }

    /// Waits until the gate has drained.
    pub async fn drained(&self) {
        let running = self
            .running
            .lock()
            .expect("no panic while the lock is held")
            .take();
        if let Some(running) = running {
            // It ends by itself once `shutdown` is cancelled; if it panicked there is nothing left to wait for.
            let _ = running.task.await;
        }
    }
}

impl Front for GateFront {
    fn publish(&self, pair: &Pair) -> Result<(), String> {
        let (chain, key, anchors) = (pair.chain().to_vec(), pair.private_key(), pair.anchors().clone());
        let identity =
            GateIdentity::verify(chain, key, anchors, Arc::clone(&self.clock)).map_err(|e| e.to_string())?;
        let mut running = self.running.lock().expect("no panic while the lock is held");
        match &*running {
            Some(gate) if !gate.task.is_finished() => {
                gate.published.send_replace(identity);
            }
            _ => *running = Some(self.start(identity)?),
        }
        Ok(())
    }

    fn published(&self) -> Option<Serial> {
        let running = self.running.lock().expect("no panic while the lock is held");
        let gate = running.as_ref().filter(|gate| !gate.task.is_finished())?;
        Some(gate.published.borrow().serial().clone())
    }
}

impl Cut for GateFront {
    fn cut_revoked(&self) -> usize {
        self.registry()
            .map_or(0, |registry| registry.cut_revoked(&self.enforced))
    }

    fn cut_clients(&self, names: &BTreeSet<String>) -> usize {
        self.registry()
            .map_or(0, |registry| registry.cut_clients(names, CutReason::Role))
    }
}
