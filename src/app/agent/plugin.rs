//! The authorization plugin as the agent sees it, and the sockets that systemd hands over: TCP ones are the gate's, the
//! unix one is the plugin's.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::agent::daemon::plug;
use crate::agent::feed::FeedState;
use crate::agent::{Pair, Records};
use crate::base::SystemClock;
use crate::base::metrics::{Page, Source};
use crate::gate::authz::{Plugin, Trust};
use crate::sys::Files;

/// Where `deploy/systemd/dockwarden-authz.socket` listens.
const SOCKET: &str = "/run/dockwarden/authz.sock";
/// How often it is looked whether another agent has ended.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(300);

/// What systemd handed over.
#[derive(Debug, Default)]
pub struct Handed {
    /// For the gate.
    pub ports: Vec<TcpListener>,
    /// For the plugin.
    pub authz: Option<UnixListener>,
}

impl Handed {
    /// Takes them out of the environment.
    pub fn take() -> anyhow::Result<Self> {
        let (mut handed, mut given) = (Self::default(), listenfd::ListenFd::from_env());
        for index in 0..given.len() {
            if let Ok(Some(socket)) = given.take_unix_listener(index) {
                if handed.authz.replace(socket).is_some() {
                    bail!("systemd handed over two unix sockets: one is enough for the authorization plugin");
                }
                continue;
            }
            let socket = given
                .take_tcp_listener(index)
                .context("systemd handed over something that is neither a TCP nor a unix socket")?;
            handed.ports.extend(socket);
        }
        Ok(handed)
    }
}

/// The plugin, with its socket.
pub struct AuthzPlugin {
    plugin: Arc<Plugin>,
    listener: UnixListener,
    socket: PathBuf,
}

/// The plugin around a socket that refuses whom `state` says; it serves nobody yet. `None` without a socket.
pub fn around(listener: Option<UnixListener>, state: &FeedState) -> anyhow::Result<Option<AuthzPlugin>> {
    let Some(listener) = listener else {
        return Ok(None);
    };
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let socket = address
        .as_pathname()
        .context("the socket for the authorization plugin has no path: dockerd could not find it")?
        .to_owned();
    let (enforced, roles) = (Arc::clone(state.enforced()), Arc::clone(state.roles()));
    let plugin = Arc::new(Plugin::new(enforced, roles, true, Arc::new(SystemClock)));
    Ok(Some(AuthzPlugin {
        plugin,
        listener,
        socket,
    }))
}

impl AuthzPlugin {
    /// Answers until `shutdown`. The socket stays: it is systemd's, for the next run.
    pub fn serve(&self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let listener = tokio::net::UnixListener::from_std(self.listener.try_clone()?)?;
        tracing::info!(socket = %self.socket.display(), "the authorization plugin answers");
        tokio::spawn(Arc::clone(&self.plugin).serve(listener, shutdown.clone()));
        Ok(())
    }

    /// Answers while another agent has the lock, as `agent apply` does, which needs dockerd: local users are let in, and
    /// nobody else, because nothing was read yet.
    pub async fn bridge(&self, records: &Records, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let bridge = shutdown.child_token();
        let mut waits = false;
        while let Err(error) = records.open() {
            if error.kind() != std::io::ErrorKind::WouldBlock {
                return Err(error.into());
            }
            if !std::mem::replace(&mut waits, true) {
                tracing::warn!("another agent is at work here: waiting for its end");
                self.serve(&bridge)?;
            }
            tokio::time::sleep(LOCK_LOOK_EVERY).await;
        }
        bridge.cancel();
        Ok(())
    }

    /// What it counts.
    pub fn counted(&self) -> Arc<dyn Source> {
        let plugin = Arc::clone(&self.plugin);
        Arc::new(move |page: &mut Page| {
            page.counter(
                "dockwarden_plugin_requests_total",
                "Requests that dockerd has asked the authorization plugin about since the start.",
            )
            .sample(&[], plugin.asked() as f64);
            page.counter(
                "dockwarden_plugin_requests_denied_total",
                "Those of them that were denied.",
            )
            .sample(&[], plugin.refused() as f64);
        })
    }

    /// As the agent sees it.
    pub fn seen(&self) -> Arc<dyn plug::Plugin> {
        Arc::new(Seen {
            plugin: Some(Arc::clone(&self.plugin)),
            socket: self.socket.clone(),
        })
    }
}

/// The plugin of an agent that runs beside this one: where it is, and nothing else.
pub fn elsewhere() -> Option<Arc<dyn plug::Plugin>> {
    let socket = PathBuf::from(SOCKET);
    Files::system().exists(&socket).then(|| {
        let seen = Seen { plugin: None, socket };
        Arc::new(seen) as Arc<dyn plug::Plugin>
    })
}

struct Seen {
    plugin: Option<Arc<Plugin>>,
    socket: PathBuf,
}

#[async_trait]
impl plug::Plugin for Seen {
    fn socket(&self) -> &Path {
        &self.socket
    }

    fn trust(&self, pair: &Pair) {
        let Some(plugin) = &self.plugin else { return };
        let name = pair.leaf.common_name.clone();
        plugin.trust(Trust {
            anchors: pair.anchors().clone(),
            host: name.unwrap_or_else(|| "this host".to_owned()),
        });
    }

    fn was_asked(&self, word: &str) -> Option<bool> {
        Some(self.plugin.as_ref()?.saw(word))
    }
}
