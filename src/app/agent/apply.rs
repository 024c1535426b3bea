//! `dockwarden agent apply --now`: one pass in the foreground, when no agent runs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::bail;
use async_trait::async_trait;
use clap::Args;

use super::plugin;
use super::settings::Settings;
use crate::agent::observed::Engine;
use crate::agent::step::Served;
use crate::agent::{Front, Pair, Probe, RealProbe, Reconciler, Status, Verdict};
use crate::base::{Clock, SystemClock};
use crate::model::Mode;
use crate::pki::Serial;

/// Arguments of `agent apply`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
    /// Change this host now (see `agent plan` for what that means)
    #[arg(long)]
    now: bool,
}

/// Runs one pass, and shows what came of it.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !arguments.now {
        bail!("agent apply changes this host at once: look with `dockwarden agent plan`, then pass --now");
    }
    arguments.settings.warn();
    let config = arguments.settings.load()?;
    let gate = config.mode == Mode::Gate;
    let front = gate.then(|| Arc::new(NoGate::default()) as Arc<dyn Front>);
    let probe: Arc<dyn Probe> = if gate {
        Arc::new(NoDial)
    } else {
        Arc::new(RealProbe)
    };
    let mut world = arguments.settings.world(config, front, probe);
    if world.config.mode == Mode::Daemon {
        world.plugin = plugin::elsewhere();
    }
    let mut reconciler = match Reconciler::begin(world) {
        Ok(reconciler) => reconciler,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            bail!("an agent is running here and does this by itself: dockwarden agent status");
        }
        Err(error) => return Err(error.into()),
    };
    reconciler.settle();
    let verdict = super::block_on(reconciler.pass())?;
    show(&verdict, reconciler.world().records().status()?.as_ref());
    Ok(if verdict.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(verdict: &Verdict, status: Option<&Status>) {
    for (step, why) in &verdict.failures {
        eprintln!("dockwarden: could not {step}: {why}");
    }
    if let Some(status) = status {
        print!("{}", super::status::table(status, SystemClock.now()));
    }
}

/// Stands in for the gate, which only `agent run` has: it picks up what is on disk when it starts.
#[derive(Default)]
struct NoGate(Mutex<Option<Serial>>);

impl Front for NoGate {
    fn publish(&self, pair: &Pair) -> Result<(), String> {
        *self.0.lock().expect("no panic while the lock is held") = Some(pair.serial().clone());
        Ok(())
    }

    fn published(&self) -> Option<Serial> {
        self.0.lock().expect("no panic while the lock is held").clone()
    }
}

/// Without a gate there is nothing to dial.
struct NoDial;

#[async_trait]
impl Probe for NoDial {
    async fn engine(&self, socket: &Path) -> Engine {
        RealProbe.engine(socket).await
    }

    async fn served(&self, _: SocketAddr) -> Served {
        Served::NotDialled
    }
}
