//! `dockwarden quickstart`: everything on this machine and in this process: a CA, its server on loopback, an
//! agent with the gate in front of the local Docker, a client, a docker context. For trying it out; each part
//! is the one that a fleet runs.

mod ca;
mod data;
mod host;
mod person;
mod remove;
mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::commands;
use super::logging::{self, LogFormat};
use super::server::compose::{self, Sockets};
use crate::base::SecretString;
use crate::cli::World;
use crate::client::{Client, ServerUrl};
use data::Data;

/// How often the client's certificate is looked at while quickstart runs.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Arguments of `quickstart`.
#[derive(Clone, Debug, Args)]
pub struct QuickstartArgs {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "dockwarden-data")]
    data_dir: PathBuf,
    /// Docker's socket [default: the one in DOCKER_HOST, or /var/run/docker.sock]
    #[arg(long, value_name = "PATH")]
    docker_socket: Option<PathBuf>,
    /// Name of the docker context
    #[arg(long, value_name = "NAME", default_value = "dockwarden")]
    context: String,
    /// Port of the server on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    port: u16,
    /// Port of the gate on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 2376)]
    gate_port: u16,
    /// Remove what quickstart made: its docker context and its data, nothing else
    #[arg(long)]
    remove: bool,
    /// What is logged: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    log_level: String,
}

/// Runs it until Ctrl-C.
pub fn run(args: &QuickstartArgs) -> anyhow::Result<ExitCode> {
    let world = commands::world();
    let data = Data::at(&world, &args.data_dir)?;
    if args.remove {
        return remove::run(&world, &data);
    }
    logging::start(LogFormat::Text, &args.log_level)?;
    if !crate::cli::client::docker::is_context_name(&args.context) {
        bail!(
            "--context {:?} is not a name docker takes: two or more letters, digits, '_', '.', '+', '-', not \"default\"",
            args.context
        );
    }
    data.claim(&world)?;
    drop(data.refuse_running()?);
    // Both ports first: nothing is made for a run that cannot work.
    let server = listen(args.port, "--port")?;
    // Given back: the gate listens once it has a certificate, and until then a dial should fail at once.
    let gate = listen(args.gate_port, "--gate-port")?.local_addr()?;
    let passphrase = ca::ensure(&world, &data)?;
    compose::runtime()?.block_on(serve(args, &world, &data, &passphrase, (server, gate)))?;
    Ok(ExitCode::SUCCESS)
}

fn listen(port: u16, flag: &str) -> anyhow::Result<std::net::TcpListener> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = std::net::TcpListener::bind(address).map_err(|e| {
        anyhow::anyhow!(
            "{address} cannot be used: {e}\n  Is something else there (ss -ltnp shows it)? Choose another port with {flag}"
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(
    args: &QuickstartArgs,
    world: &World,
    data: &Data,
    passphrase: &SecretString,
    (server, gate): (std::net::TcpListener, SocketAddr),
) -> anyhow::Result<()> {
    // Before anything else: a signal that comes early must not be lost.
    let stop = stopped()?;
    tokio::pin!(stop);
    let url: ServerUrl = format!("https://{}", server.local_addr()?).parse()?;
    let config = ca::configuration(data)?;
    let sockets = Sockets {
        https: vec![tokio::net::TcpListener::from_std(server)?],
        http: None,
    };
    let running = compose::start(&config, passphrase, sockets).await?;
    let docker = host::docker_socket(args.docker_socket.clone(), world);
    let outcome = tokio::select! {
        () = &mut stop => Ok(None),
        started = start(args, world, data, &url, (docker, gate)) => started.map(Some),
    };
    match outcome {
        Ok(None) => running.stop().await,
        Ok(Some(agent)) => {
            tokio::select! {
                () = stop => {}
                () = keep_fresh(data, world) => {}
            }
            eprintln!("\n  stopping; the same command continues");
            if let Some(agent) = agent {
                agent.stop().await;
            }
            running.stop().await;
        }
        Err(error) => {
            running.stop().await;
            return Err(error);
        }
    }
    Ok(())
}

/// Host, client and context on top of a running server, and what to tell about all of it.
async fn start(
    args: &QuickstartArgs,
    world: &World,
    data: &Data,
    url: &ServerUrl,
    (docker, gate): (PathBuf, SocketAddr),
) -> anyhow::Result<Option<host::Agent>> {
    let profile = ca::admin_profile(world, data, url)?;
    report::authority(data)?;
    println!("  ✓ server                  {url}");
    let admin: Client = profile.client(world)?;
    if let Err(e) = host::answers(&docker).await {
        println!(
            "  ! host                    {} does not answer ({e}): start Docker (systemctl start docker) or name its socket with --docker-socket, then run this again",
            docker.display()
        );
        report::what_next(args, data, &profile, None);
        return Ok(None);
    }
    let agent = host::start(world, data, &admin, url, &docker, gate).await?;
    let name = agent.report(&admin).await?;
    println!("{name}");
    let person = person::ensure(data, &admin, url, &args.context).await?;
    report::person(&person, &args.context);
    report::what_next(args, data, &profile, person.contexts.first().map(String::as_str));
    Ok(Some(agent))
}

async fn keep_fresh(data: &Data, world: &World) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(e) = person::renew_when_due(data).await {
            world.warn(format!("the client's certificate was not renewed: {e}"));
        }
    }
}

fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
