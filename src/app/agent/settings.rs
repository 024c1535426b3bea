//! The agent's settings: flags over environment over file over defaults; and the world they describe.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::agent::config::CONFIG_PATH;
use crate::agent::daemon::engine::{Engines, NotAsked, RealEngines};
use crate::agent::daemon::look::{KnownProgram, RealLook, Sought};
use crate::agent::daemon::{Dockerd, RealDockerd};
use crate::agent::{Config, Front, Probe, RawConfig, RemoteServer, TokenSource, World, token};
use crate::app::config::{self, Variable};
use crate::base::{Clock, SecretString, SystemClock, SystemRandom};
use crate::model::Mode;
use crate::sys::systemd::Credentials;
use crate::sys::{
    Files, Processes, Programs, RealHost, RealProcesses, RealPrograms, RealServices, RealUnits, Services,
    Units,
};

/// What can be set in the environment; flags go over it.
const VARIABLES: &[Variable] = &[
    variable("DOCKWARDEN_SERVER", "server"),
    variable("DOCKWARDEN_TOKEN_FILE", "token_file"),
    variable("DOCKWARDEN_MODE", "mode"),
    variable("DOCKWARDEN_LISTEN", "listen"),
    variable("DOCKWARDEN_DOCKER_SOCKET", "docker_socket"),
    variable("DOCKWARDEN_FILES", "files"),
    variable("DOCKWARDEN_STATE", "state"),
];

const fn variable(name: &'static str, key: &'static str) -> Variable {
    Variable { name, key }
}

/// The value of the variable that sets a key.
fn variable_of(key: &str) -> Option<String> {
    let variable = VARIABLES.iter().find(|variable| variable.key == key)?;
    config::environment(variable.name).filter(|text| !text.is_empty())
}

/// Settings that every command takes.
#[derive(Debug, Default, Args)]
pub struct Settings {
    /// Configuration file [default: /etc/dockwarden/agent.toml, when it is there]
    #[arg(long, value_name = "FILE", env = "DOCKWARDEN_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// The server's address, https://HOST:8443
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the join token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The join token itself. Other users of this machine can see it in the process list: prefer --token-file
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// How this host exposes Docker
    #[arg(long, value_name = "gate|daemon|files", value_parser = parse_mode)]
    mode: Option<Mode>,
    /// Where the gate listens, or in mode daemon dockerd itself
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Docker's own socket
    #[arg(long, value_name = "PATH")]
    docker_socket: Option<PathBuf>,
    /// Directory for certificate and key
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Directory for what the agent remembers
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

fn parse_mode(text: &str) -> Result<Mode, String> {
    match text {
        "gate" => Ok(Mode::Gate),
        "files" => Ok(Mode::Files),
        "daemon" => Ok(Mode::Daemon),
        _ => Err("use gate, daemon or files".to_owned()),
    }
}

impl Settings {
    /// The whole configuration, checked.
    pub fn load(&self) -> anyhow::Result<Config> {
        let file = self.read_file()?;
        Ok(self.flags().over(file).check()?)
    }

    /// The same, for a command that also works where no agent was ever set up: `None` when nobody said anything about
    /// one, neither in a file nor in the environment nor by flag.
    pub fn load_if_any(&self) -> Option<anyhow::Result<Config>> {
        let named =
            self.config.is_some() || self.server.is_some() || Files::system().exists(CONFIG_PATH.as_ref());
        // The variable of the server alone may be meant for the commands of people.
        let told = || variable_of("state").or_else(|| variable_of("mode")).is_some();
        (named || told()).then(|| self.load())
    }

    /// Where Docker is, whether or not the rest of the configuration can be used.
    pub fn docker_socket(&self) -> Option<PathBuf> {
        let variable = || variable_of("docker_socket").map(PathBuf::from);
        self.docker_socket.clone().or_else(variable)
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

    /// The environment over the file. The default file may be missing; one that was named must be there.
    fn read_file(&self) -> anyhow::Result<RawConfig> {
        let files = Files::system();
        let path = self.config.clone().unwrap_or_else(|| CONFIG_PATH.into());
        let used = self.config.is_some() || files.exists(&path);
        config::read(
            &files,
            used.then_some(path.as_path()),
            VARIABLES,
            config::environment,
        )
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
            feed: None,
            lists: None,
            token: self.token_source(&config),
            host: Arc::new(RealHost),
            probe,
            dockerd: config.daemon.is_some().then(|| dockerd(&config)),
            plugin: None,
            programs: Arc::new(RealPrograms),
            clock,
            random: Arc::new(SystemRandom),
            config,
        }
    }
}

/// dockerd on this machine.
pub fn dockerd(config: &Config) -> Arc<dyn Dockerd> {
    real_dockerd(config, Arc::new(RealEngines))
}

/// The same without a question to its API, which somebody who does not answer may hold up.
pub fn dockerd_unasked(config: &Config) -> Arc<dyn Dockerd> {
    real_dockerd(config, Arc::new(NotAsked))
}

fn real_dockerd(config: &Config, asked: Arc<dyn Engines>) -> Arc<dyn Dockerd> {
    let restart = config
        .daemon
        .as_ref()
        .and_then(|daemon| daemon.restart_command.clone());
    let programs: Arc<dyn Programs> = Arc::new(RealPrograms);
    let units: Arc<dyn Units> = Arc::new(RealUnits::new(Arc::clone(&programs)));
    let services: Arc<dyn Services> = Arc::new(RealServices::new(Arc::clone(&programs)));
    let processes: Arc<dyn Processes> = Arc::new(RealProcesses);
    let engines: Arc<dyn Engines> = Arc::new(RealEngines);
    let look = RealLook {
        sought: Sought {
            docker_socket: config.docker_socket.clone(),
            restart,
        },
        files: Files::system(),
        processes: Arc::clone(&processes),
        units: Arc::clone(&units),
        services: Arc::clone(&services),
        programs: Arc::clone(&programs),
        engines: asked,
        known: KnownProgram::default(),
    };
    Arc::new(RealDockerd {
        look: Arc::new(look),
        engines,
        docker_socket: config.docker_socket.clone(),
        units,
        services,
        processes,
        programs,
        files: Files::system(),
    })
}
