//! This machine as a host: the agent's controller on a thread of its own, the gate on the server's runtime.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::data::Data;
use crate::agent::config::Names;
use crate::agent::feed::{self, Cut};
use crate::agent::{
    Controller, Front, RawConfig, RealProbe, Reconciler, RemoteServer, TokenSource, Verdict,
    World as HostWorld,
};
use crate::app::agent::follower;
use crate::app::agent::front::{GateFront, Place};
use crate::base::SecretString;
use crate::base::limits::PEM_BYTES_MAX;
use crate::cli::World;
use crate::client::{Client, ServerUrl};
use crate::model::{Approval, ConditionKind, ConditionStatus, IdentityKind, Mode};
use crate::pki::{Certificate, pem};
use crate::sys::systemd::Credentials;
use crate::sys::{RealHost, RealPrograms};
use crate::wire::TokenRequest;

/// The name of this machine in its certificate; clients reach it by 127.0.0.1.
const NAME: &str = "this-machine";

/// How long the first certificate may take to be served.
const SERVING_TIMEOUT: Duration = Duration::from_secs(30);

/// How long Docker may take to accept a connection.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(3);

/// Docker's socket: the one asked for, the one docker itself would use, or the usual one.
pub fn docker_socket(asked: Option<PathBuf>, world: &World) -> PathBuf {
    let from_variable = || {
        let host = world.environment.docker_host.as_deref()?;
        host.strip_prefix("unix://").map(PathBuf::from)
    };
    asked
        .or_else(from_variable)
        .unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"))
}

/// Whether somebody accepts connections there.
pub async fn answers(socket: &Path) -> Result<(), String> {
    match tokio::time::timeout(DOCKER_TIMEOUT, tokio::net::UnixStream::connect(socket)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no answer in {} s", DOCKER_TIMEOUT.as_secs())),
    }
}

/// The running agent.
pub struct Agent {
    end: watch::Sender<bool>,
    verdicts: watch::Receiver<Option<Verdict>>,
    shutdown: CancellationToken,
    gate: Arc<GateFront>,
    threads: Vec<std::thread::JoinHandle<()>>,
    place: String,
}

/// Starts agent and gate.
pub async fn start(
    world: &World,
    data: &Data,
    admin: &Client,
    url: &ServerUrl,
    docker: &Path,
    address: std::net::SocketAddr,
) -> anyhow::Result<Agent> {
    let config = RawConfig {
        server: Some(url.to_string()),
        names: Some(Names::List(vec![NAME.parse().expect("a DNS name")])),
        addresses: Some(Names::List(vec![address.ip()])),
        mode: Some(Mode::Gate),
        listen: Some(address),
        docker_socket: Some(world.absolute(docker)?),
        files: Some(data.host_files()),
        state: Some(data.host_state()),
        endpoints: Some(vec![format!("tcp://{address}")]),
        ..RawConfig::default()
    };
    let config = config.check().context("the host's configuration")?;
    let shutdown = CancellationToken::new();
    let state = follower::state(&config);
    let gate = Arc::new(GateFront::new(
        tokio::runtime::Handle::current(),
        Place::Address(address),
        config.docker_socket.clone(),
        &state,
        Arc::clone(&world.clock),
        shutdown.clone(),
    ));
    let place = format!("gate on {address} -> {}", docker.display());
    let host = HostWorld {
        files: world.files.clone(),
        server: Arc::new(RemoteServer::new(url.clone(), Arc::clone(&world.clock))),
        front: Some(Arc::clone(&gate) as Arc<dyn Front>),
        feed: Some(Arc::clone(&state)),
        lists: None,
        plugin: None,
        token: token(world, data, admin).await?,
        host: Arc::new(RealHost),
        probe: Arc::new(RealProbe),
        dockerd: None,
        programs: Arc::new(RealPrograms),
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
        config,
    };
    let reconciler = Reconciler::begin(host).context("the host")?;
    let (end, ended) = watch::channel(false);
    let (sender, verdicts) = watch::channel(None);
    tokio::spawn(feed::count_silence(Arc::clone(state.enforced())));
    let cut = Arc::clone(&gate) as Arc<dyn Cut>;
    let follower = follower::start(reconciler.world(), state, cut, ended.clone())?;
    let threads = vec![run(reconciler, ended, sender)?, follower.thread];
    Ok(Agent {
        end,
        verdicts,
        shutdown,
        gate,
        threads,
        place,
    })
}

/// A token for a host without a valid certificate; none for one that has it.
async fn token(world: &World, data: &Data, admin: &Client) -> anyhow::Result<TokenSource> {
    let current = data.host_files().join("current").join("cert.pem");
    let kept = world.files.read_if_any(&current, PEM_BYTES_MAX)?;
    let leaf = kept
        .and_then(|pem| pem::certificates(pem).ok())
        .and_then(|chain| Certificate::parse(&chain[0]).ok());
    let given = match leaf.filter(|leaf| leaf.is_valid_at(world.clock.now())) {
        Some(_) => None,
        None => Some(SecretString::from(
            admin
                .create_token(&request(IdentityKind::Host, NAME))
                .await?
                .token,
        )),
    };
    Ok(TokenSource {
        given,
        credentials: Credentials::default(),
        file: None,
    })
}

/// What quickstart's own tokens ask for: one use, for one name, which may be taken over.
pub fn request(profile: IdentityKind, name: &str) -> TokenRequest {
    TokenRequest {
        profile,
        names: vec![name.to_owned()],
        cidrs: Vec::new(),
        sources: vec!["127.0.0.1".into()],
        uses: None,
        expires_in: Some(600),
        labels: Default::default(),
        role: (profile == IdentityKind::Client).then(|| "admin".to_owned()),
        permission: None,
        approval: Approval::Auto,
        replace: true,
        reason: "quickstart".into(),
    }
}

/// On a thread of its own: waiting for the disk must not make a connection of the gate wait.
fn run(
    reconciler: Reconciler,
    ended: watch::Receiver<bool>,
    verdicts: watch::Sender<Option<Verdict>>,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let work = move || {
        let after_pass = |verdict: &Verdict| {
            verdicts.send_replace(Some(verdict.clone()));
        };
        runtime.block_on(Controller::new(reconciler, ended).run(after_pass));
    };
    Ok(std::thread::Builder::new()
        .name("controller".to_owned())
        .spawn(work)?)
}

impl Agent {
    /// Waits until the host serves its certificate and the server knows it, and says so in one line.
    pub async fn report(&self, admin: &Client) -> anyhow::Result<String> {
        let mut verdicts = self.verdicts.clone();
        let serving = verdicts.wait_for(|verdict| verdict.as_ref().is_some_and(serves));
        match tokio::time::timeout(SERVING_TIMEOUT, serving).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => bail!("the agent ended by itself: run again with --log-level info to see why"),
            Err(_) => bail!(
                "this machine's gate did not come up: {}",
                why(self.verdicts.borrow().as_ref())
            ),
        }
        let engine = admin
            .host(NAME)
            .await?
            .report
            .and_then(|report| report.engine_version);
        let engine = engine
            .map(|version| format!(" (Docker {version})"))
            .unwrap_or_default();
        Ok(format!(
            "  ✓ host                    {NAME:<28} {}{engine}",
            self.place
        ))
    }

    /// Ends controller and gate, in that order.
    pub async fn stop(self) {
        // The receiver is gone when the controller has ended by itself: then there is nothing to end.
        let _ = self.end.send(true);
        self.shutdown.cancel();
        self.gate.drained().await;
        let join = move || self.threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

fn serves(verdict: &Verdict) -> bool {
    let is = |kind| {
        verdict
            .conditions
            .iter()
            .any(|c| c.kind == kind && c.status == ConditionStatus::True)
    };
    is(ConditionKind::Serving) && is(ConditionKind::Enrolled)
}

fn why(verdict: Option<&Verdict>) -> String {
    let failed = verdict.and_then(|verdict| {
        let condition = verdict
            .conditions
            .iter()
            .find(|c| c.status == ConditionStatus::False);
        condition.map(|c| c.message.clone())
    });
    failed.unwrap_or_else(|| "nothing was reported in time; run again with --log-level info".into())
}
