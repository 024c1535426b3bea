//! The agent's settings: flags over environment over file over defaults; and the world they describe.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::agent::config::{CONFIG_BYTES_MAX, CONFIG_PATH};
use crate::agent::{Config, Front, Probe, RawConfig, RemoteServer, TokenSource, World, token};
use crate::base::{Clock, SecretString, SystemClock, SystemRandom};
use crate::model::Mode;
use crate::sys::systemd::Credentials;
use crate::sys::{Files, RealHost, RealPrograms};

/// Settings that every command takes.
#[derive(Debug, Default, Args)]
pub struct Settings {
    /// Configuration file [default: /etc/dockwarden/agent.toml, when it is there]
    #[arg(long, value_name = "FILE", env = "DOCKWARDEN_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// The server's address, https://HOST:8443
    #[arg(long, value_name = "URL", env = "DOCKWARDEN_SERVER")]
    server: Option<String>,
    /// File with the join token
    #[arg(long, value_name = "FILE", env = "DOCKWARDEN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The join token itself. Other users of this machine can see it in the process list: prefer --token-file
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// How this host exposes Docker
    #[arg(long, value_name = "gate|files", value_parser = parse_mode, env = "DOCKWARDEN_MODE")]
    mode: Option<Mode>,
    /// Where the gate listens
    #[arg(long, value_name = "ADDRESS:PORT", env = "DOCKWARDEN_LISTEN")]
    listen: Option<SocketAddr>,
    /// Docker's own socket
    #[arg(long, value_name = "PATH", env = "DOCKWARDEN_DOCKER_SOCKET")]
    docker_socket: Option<PathBuf>,
    /// Directory for certificate and key
    #[arg(long, value_name = "DIR", env = "DOCKWARDEN_FILES")]
    files: Option<PathBuf>,
    /// Directory for what the agent remembers
    #[arg(long, value_name = "DIR", env = "DOCKWARDEN_STATE")]
    state: Option<PathBuf>,
}

fn parse_mode(text: &str) -> Result<Mode, String> {
    match text {
        "gate" => Ok(Mode::Gate),
        "files" => Ok(Mode::Files),
        "daemon" => Ok(Mode::Daemon),
        _ => Err("use gate or files".to_owned()),
    }
}

impl Settings {
    /// The whole configuration, checked.
    pub fn load(&self) -> anyhow::Result<Config> {
        let file = self.read_file()?;
        Ok(self.flags().over(file).check()?)
    }

    fn flags(&self) -> RawConfig {
        RawConfig {
            server: self.server.clone(),
            token_file: self.token_file.clone(),
            mode: self.mode,
            listen: self.listen,
            docker_socket: self.docker_socket.clone(),
            files: self.files.clone(),
            state: self.state.clone(),
            ..RawConfig::default()
        }
    }

    fn read_file(&self) -> anyhow::Result<RawConfig> {
        let path = self.config.clone().unwrap_or_else(|| CONFIG_PATH.into());
        match Files::system().read_text(&path, CONFIG_BYTES_MAX) {
            Ok(text) => RawConfig::parse(&text).with_context(|| format!("{} cannot be used", path.display())),
            Err(error) if error.is_missing() && self.config.is_none() => Ok(RawConfig::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where a join token may come from.
    pub fn token_source(&self, config: &Config) -> TokenSource {
        let variable = std::env::var(token::VARIABLE)
            .ok()
            .filter(|text| !text.is_empty());
        TokenSource {
            given: self.token.clone().or(variable).map(SecretString::from),
            credentials: Credentials::of_process(),
            file: config.token_file.clone(),
        }
    }

    /// Says what is risky about the flags that were used.
    pub fn warn(&self) {
        if self.token.is_some() {
            eprintln!(
                "dockwarden: warning: --token shows the join token to every user of this machine; use --token-file or {}",
                token::VARIABLE
            );
        }
    }

    /// The agent's world on this machine.
    pub fn world(&self, config: Config, front: Option<Arc<dyn Front>>, probe: Arc<dyn Probe>) -> World {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        World {
            files: Files::system(),
            server: Arc::new(RemoteServer::new(config.server.clone(), Arc::clone(&clock))),
            front,
            token: self.token_source(&config),
            host: Arc::new(RealHost),
            probe,
            programs: Arc::new(RealPrograms),
            clock,
            random: Arc::new(SystemRandom),
            config,
        }
    }
}
