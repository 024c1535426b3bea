//! `dockwarden agent run`: controller and follower on threads of their own, the gate on two workers, systemd told about both.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::follower::{self, RunningFollower};
use super::front::{GateFront, Place};
use super::learn;
use super::plugging;
use super::plugin::{self, AuthzPlugin, Handed};
use super::settings::Settings;
use crate::agent::feed::{self, Cut, FeedState, NothingOpen};
use crate::agent::metrics::Metrics;
use crate::agent::{Config, Controller, Front, RealProbe, Reconciler, Verdict};
use crate::app::logging::{self, LogFormat};
use crate::base::metrics::Source;
use crate::base::{Clock, SystemClock, Timestamp};
use crate::model::{ConditionStatus, Mode};
use crate::sys::systemd;

/// A controller that has not finished a pass for this long, beside what a hook may take, is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(180);

/// The longest that a dockerd that is started after this agent waits for a first certificate.
const READY_AFTER: Duration = Duration::from_secs(5);

/// Arguments of `agent run`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
    /// Check the configuration, bind nothing, change nothing
    #[arg(long)]
    check_config: bool,
    /// Form of log lines
    #[arg(long, value_enum, default_value_t, env = "DOCKWARDEN_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as dockwarden::gate=debug
    #[arg(long, default_value = "info", env = "DOCKWARDEN_LOG")]
    log_level: String,
}

/// Runs the agent until SIGTERM or SIGINT.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    arguments.settings.warn();
    let config = arguments.settings.load()?;
    if arguments.check_config {
        eprintln!(
            "the configuration is fine: mode {}, server {}",
            config.mode, config.server
        );
        return Ok(ExitCode::SUCCESS);
    }
    logging::start(arguments.log_format, &arguments.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_name("gate")
        .enable_all()
        .build()?;
    runtime.block_on(serve(&arguments.settings, config))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: &Settings, config: Config) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let state = follower::state(&config);
    let learning = learn::begin(&config)?;
    let learner = learning.as_ref().map(|learning| learning.learner());
    let handed = Handed::take()?;
    let plugin = plugin::around(handed.authz, &state)?;
    let gate = match config.mode {
        Mode::Gate => {
            let gate = make_gate(&config, handed.ports, &state, &shutdown);
            Some(Arc::new(gate.with_learner(learner)))
        }
        Mode::Daemon | Mode::Files => None,
    };
    let front = gate.clone().map(|gate| gate as Arc<dyn Front>);
    // A pass may wait for a hook; in mode daemon for live-restore, a restart, and for going back.
    let restart_timeout = config.daemon.as_ref().map(|daemon| daemon.restart_timeout);
    let patience = STUCK_AFTER + config.hook_timeout + restart_timeout.unwrap_or_default() * 6;
    let counted = gate.iter().map(|gate| gate.metrics() as Arc<dyn Source>);
    let counted = counted.chain(plugin.iter().map(|plugin| plugin.counted()));
    let metrics = super::metrics::begin(config.metrics, counted, &shutdown).await?;
    let mut world = settings.world(config, front, Arc::new(RealProbe));
    world.dockerd = world.dockerd.map(|dockerd| metrics.counting(dockerd));
    world.feed = Some(Arc::clone(&state));
    world.lists = (world.config.mode == Mode::Files).then(Arc::default);
    world.plugin = plugin.as_ref().map(|plugin| plugin.seen());
    if let Some(plugin) = &plugin {
        plugin.bridge(&world.records(), &shutdown).await?;
    }
    let reconciler = Reconciler::begin(world)?;
    if let Some(learning) = &learning {
        tokio::spawn(Arc::clone(learning).keep(shutdown.clone()));
    }
    let (end, ended) = watch::channel(false);
    let cut = gate.clone().map(|gate| gate as Arc<dyn Cut>);
    let follower = start_follower(&reconciler, Arc::clone(&state), cut, ended.clone(), &metrics)?;
    let keeper = start_keeper(&reconciler, state, ended.clone(), &metrics)?;
    let (keeper_thread, keeper_ended) = keeper.map(|k| (k.thread, k.ended)).unzip();
    answer_dockerd(&reconciler, plugin.as_ref(), &shutdown).await?;
    let heartbeat = Arc::new(AtomicI64::new(SystemClock.now().as_millis()));
    let controller = start_controller(reconciler, ended, Arc::clone(&heartbeat), metrics)?;
    let outcome = tokio::select! {
        signal = stop_signal() => signal.map(|name| tracing::info!("{name}: stopping")),
        () = watch_over(&heartbeat, patience) => unreachable!("watches for ever"),
        _ = follower.ended => Err(anyhow::anyhow!("the follower of the revocation feed ended by itself: please report this with the log above")),
        () = over(keeper_ended) => Err(anyhow::anyhow!("the keeper of crl.pem ended by itself: please report this with the log above")),
        _ = controller.ended => Err(anyhow::anyhow!("the controller ended by itself: please report this with the log above")),
    };
    systemd::stopping();
    // The sender may outlive the receiver when the controller has ended: then nobody needs telling.
    let _ = end.send(true);
    shutdown.cancel();
    if let Some(gate) = &gate {
        gate.drained().await;
    }
    if let Some(learning) = &learning {
        learning.keep_now().await;
    }
    let threads = [controller.thread, follower.thread]
        .into_iter()
        .chain(keeper_thread);
    let join = move || threads.for_each(|thread| drop(thread.join()));
    let _ = tokio::task::spawn_blocking(join).await;
    outcome
}

fn start_follower(
    reconciler: &Reconciler,
    state: Arc<FeedState>,
    cut: Option<Arc<dyn Cut>>,
    end: watch::Receiver<bool>,
    metrics: &Metrics,
) -> anyhow::Result<RunningFollower> {
    metrics.registry().add(feed::source(Arc::clone(&state)));
    tokio::spawn(feed::count_silence(Arc::clone(state.enforced())));
    let cut = cut.unwrap_or_else(|| Arc::new(NothingOpen));
    follower::start(reconciler.world(), state, cut, end)
}

/// In mode `files`.
fn start_keeper(
    reconciler: &Reconciler,
    feed: Arc<FeedState>,
    end: watch::Receiver<bool>,
    metrics: &Metrics,
) -> anyhow::Result<Option<RunningFollower>> {
    let world = reconciler.world();
    let state = world.lists.clone();
    state
        .map(|state| super::lists::start(world, feed, state, metrics, end))
        .transpose()
}

/// Completes when it has ended; never without one.
async fn over(ended: Option<oneshot::Receiver<()>>) {
    match ended {
        // An error means that the sender is gone: that is the end, too.
        Some(ended) => drop(ended.await),
        None => std::future::pending().await,
    }
}

/// What was kept is enforced by now: dockerd may ask. In other modes than `daemon` it is told not to.
async fn answer_dockerd(
    reconciler: &Reconciler,
    plugin: Option<&AuthzPlugin>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    if let Some(plugin) = plugin {
        plugin.serve(shutdown)?;
    }
    match reconciler.world().config.mode {
        Mode::Daemon => ready_soon(reconciler),
        Mode::Gate | Mode::Files => plugging::leave_behind(reconciler.world()).await,
    }
    Ok(())
}

/// dockerd is started after this agent, and must not wait for a server: a host that has joined is ready as soon as the
/// plugin answers from what was kept, one that has not after a moment, or before it restarts dockerd.
fn ready_soon(reconciler: &Reconciler) {
    if reconciler
        .world()
        .versions()
        .current()
        .is_ok_and(|version| version.is_some())
    {
        return systemd::ready();
    }
    tokio::spawn(async {
        tokio::time::sleep(READY_AFTER).await;
        systemd::ready();
    });
}

fn make_gate(
    config: &Config,
    sockets: Vec<TcpListener>,
    state: &FeedState,
    shutdown: &CancellationToken,
) -> GateFront {
    let place = match sockets.is_empty() {
        true => Place::Address(config.listen),
        false => Place::Sockets(sockets),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let runtime = tokio::runtime::Handle::current();
    GateFront::new(
        runtime,
        place,
        config.docker_socket.clone(),
        state,
        clock,
        shutdown.clone(),
    )
}

struct RunningController {
    thread: std::thread::JoinHandle<()>,
    /// Resolves when the thread is over, however it ended.
    ended: oneshot::Receiver<()>,
}

/// On a thread of its own: waiting for the disk must not make a connection of the gate wait.
fn start_controller(
    reconciler: Reconciler,
    end: watch::Receiver<bool>,
    heartbeat: Arc<AtomicI64>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<RunningController> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (over, ended) = oneshot::channel();
    let mut first = true;
    let records = reconciler.world().records();
    let after_pass = move |verdict: &Verdict| {
        heartbeat.store(SystemClock.now().as_millis(), Ordering::Relaxed);
        metrics.after_pass(verdict, records.status().ok().flatten());
        systemd::status(&summary(verdict));
        if std::mem::take(&mut first) {
            systemd::ready();
        }
    };
    let work = move || {
        let _over = over;
        runtime.block_on(Controller::new(reconciler, end).run(after_pass));
    };
    let thread = std::thread::Builder::new()
        .name("controller".to_owned())
        .spawn(work)?;
    Ok(RunningController { thread, ended })
}

/// One line for `systemctl status`.
fn summary(verdict: &Verdict) -> String {
    let wrong = verdict
        .conditions
        .iter()
        .find(|c| c.status == ConditionStatus::False);
    match wrong {
        Some(condition) => {
            let message = condition.message.lines().next().unwrap_or_default();
            format!("{}: {} ({message})", condition.kind, condition.reason)
        }
        None => "all is well".to_owned(),
    }
}

/// Tells systemd's watchdog that we are alive, as long as the controller is.
async fn watch_over(heartbeat: &AtomicI64, stuck_after: Duration) {
    let Some(interval) = systemd::watchdog_interval() else {
        return std::future::pending().await;
    };
    loop {
        let last = Timestamp::from_millis(heartbeat.load(Ordering::Relaxed));
        if SystemClock.now().since(last) < stuck_after {
            systemd::alive();
        } else {
            tracing::error!("the controller is stuck since {last}; systemd's watchdog is left to act");
        }
        tokio::time::sleep(interval).await;
    }
}

async fn stop_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
