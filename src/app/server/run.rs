//! `server run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};

use super::compose::{self, Sockets};
use super::config::{Config, Flags};
use super::passphrase::PassphraseArgs;
use crate::app::logging::{self, LogFormat};
use crate::base::limits::LISTEN_QUEUE;
use crate::sys::systemd;

/// Flags of `server run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Configuration file [default: DATA_DIR/server.toml]
    #[arg(long, value_name = "FILE", env = "DOCKWARDEN_CONFIG")]
    config: Option<PathBuf>,
    /// Where the server's data is [default: /var/lib/dockwarden/server]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Check the configuration and the CA's files, and end
    #[arg(long)]
    check_config: bool,
    /// Address of HTTPS; may be given several times; port 8443 of all addresses when not given
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<String>,
    /// Address of plain HTTP, or "off"; port 8080 of all addresses when not given
    #[arg(long, value_name = "ADDRESS:PORT")]
    http_listen: Option<String>,
    /// Form of log lines
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it, until SIGTERM or SIGINT.
pub fn run(args: RunArgs) -> anyhow::Result<()> {
    let config = Config::read(Flags {
        config: args.config,
        data_dir: args.data_dir,
        listen: args.listen,
        http_listen: args.http_listen,
        log_format: args.log_format,
        log_level: args.log_level,
    })?;
    if args.check_config {
        return check(&config);
    }
    logging::start(config.log_format, &config.log_level)?;
    config.layout.require()?;
    let passphrase = args.passphrase.get(config.passphrase_file.as_deref())?;
    compose::runtime()?.block_on(serve(&config, &passphrase))
}

/// Says that the configuration can be used, without binding or opening anything. The CA's certificates are read
/// when there are any.
fn check(config: &Config) -> anyhow::Result<()> {
    if config.layout.certificates().exists() {
        for name in [super::layout::ROOT]
            .into_iter()
            .chain(super::layout::issuer_names())
        {
            config.layout.read_certificate(name)?;
        }
    }
    println!("the configuration is good");
    Ok(())
}

async fn serve(config: &Config, passphrase: &crate::base::SecretString) -> anyhow::Result<()> {
    // Before anything else: a signal that comes early must not be lost.
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let sockets = sockets(config).await?;
    let running = compose::start(config, passphrase, sockets).await?;
    for address in running.addresses() {
        tracing::info!(%address, "serving HTTPS");
    }
    systemd::ready();
    let watchdog = tokio::spawn(keep_watchdog_quiet());
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: answering what is in flight, then ending"),
        _ = interrupt.recv() => tracing::info!("SIGINT: answering what is in flight, then ending"),
    }
    systemd::stopping();
    watchdog.abort();
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// The sockets systemd passed (the first for HTTPS, a second for plain HTTP), else new ones.
async fn sockets(config: &Config) -> anyhow::Result<Sockets> {
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        let mut https = Vec::new();
        for address in &config.listen {
            https.push(bind(*address, "listen")?);
        }
        let http = match config.http_listen {
            Some(address) => Some(bind(address, "http_listen")?),
            None => None,
        };
        return Ok(Sockets { https, http });
    }
    let mut take = |index| -> anyhow::Result<Option<TcpListener>> {
        let Some(socket) = passed
            .take_tcp_listener(index)
            .context("systemd passed a socket that is not TCP")?
        else {
            return Ok(None);
        };
        socket.set_nonblocking(true)?;
        Ok(Some(TcpListener::from_std(socket)?))
    };
    let https = take(0)?.into_iter().collect();
    Ok(Sockets {
        https,
        http: take(1)?,
    })
}

fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(LISTEN_QUEUE)
    };
    open().with_context(|| {
        format!("cannot listen on {address}: another program may hold the port; choose another with {key}")
    })
}

async fn keep_watchdog_quiet() {
    let Some(interval) = systemd::watchdog_interval() else {
        return;
    };
    loop {
        systemd::alive();
        tokio::time::sleep(interval).await;
    }
}
