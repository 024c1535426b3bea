//! What was found of the Docker daemon on this host, as plain values: everything that the arrangement, the plan and
//! the doctor look at, so that all three can be tested without a host.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base::Timestamp;
pub use crate::sys::{Scope, ServiceManager};

/// Everything that was found of one dockerd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonFacts {
    /// Who starts it.
    pub layout: Layout,
    /// Whether it runs, and if not, why.
    pub state: DaemonState,
    /// The running process.
    pub process: Option<DaemonProcess>,
    /// Its program.
    pub program: Option<Program>,
    /// Its configuration file.
    pub config_file: ConfigFile,
    /// Its systemd unit; `None` where systemd does not start it.
    pub unit: Option<Unit>,
    /// The files its options come from, in the order they are read. Those that do not exist are left out.
    pub options_files: Vec<OptionsFile>,
    /// What the engine says of itself over its socket.
    pub engine: EngineFacts,
    /// The TCP ports that this dockerd, or the socket unit in front of it, listens on.
    pub listeners: Vec<Listener>,
}

impl DaemonFacts {
    /// Whether it does not run, but would be started by the next connection to a socket that systemd holds.
    pub fn starts_on_use(&self) -> bool {
        let sockets = self.unit.iter().flat_map(|unit| &unit.sockets);
        self.state == DaemonState::Stopped && sockets.into_iter().any(|socket| socket.active)
    }
}

/// Who starts dockerd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A unit of systemd.
    Systemd {
        /// Its name, `docker.service`.
        unit: String,
        /// Whose.
        scope: Scope,
    },
    /// The snap: a systemd unit whose command line and files the snap owns.
    Snap {
        /// Its name, `snap.docker.dockerd.service`.
        unit: String,
    },
    /// A service script: OpenRC or System V.
    Service {
        /// Which of them.
        manager: ServiceManager,
        /// The script's name, `docker`.
        name: String,
    },
    /// Something else, that the configured command restarts.
    Plain {
        /// The program and its arguments.
        restart: Vec<String>,
    },
    /// Nothing that is known; nothing is changed then. Says what was seen and what to do.
    Unrecognised(String),
}

/// Whether dockerd runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonState {
    /// It does.
    Running,
    /// It is being started.
    Starting,
    /// Somebody stopped it, or never started it; it is not ours to start. A unit that its socket starts on first use
    /// is here too.
    Stopped,
    /// It was started and did not stay.
    Failed(String),
}

/// The running process, from `/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonProcess {
    /// Its number.
    pub pid: u32,
    /// When it was started. Moves when the machine's clock is set: [`DaemonProcess::start_ticks`] does not.
    pub started_at: Timestamp,
    /// When it was started, in clock ticks after the boot. With the number, names one process of this boot.
    pub start_ticks: u64,
    /// The user it runs as.
    pub uid: u32,
    /// The command line: program first.
    pub argv: Vec<String>,
    /// Variables of its environment that change what it does: `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`,
    /// `DOCKER_CONFIG`, `DOCKER_HOST`, each with its value.
    pub environment: Vec<(String, String)>,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is: what the process runs, or what the unit starts.
    pub path: PathBuf,
    /// Its version, `28.5.2`, without a distribution's suffix; `None` when it did not say.
    pub version: Option<String>,
    /// Whether it knows `--validate` (23.0 and later).
    pub validates: bool,
}

/// `daemon.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether `--config-file` names it: then it must exist.
    pub named_by_flag: bool,
    /// Its bytes; `None` when it does not exist.
    pub contents: Option<Vec<u8>>,
}

/// A systemd unit, as written. The drop-in of ours is among the drop-ins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The unit's own file.
    pub fragment: UnitFile,
    /// Its drop-ins, in the order systemd applies them.
    pub drop_ins: Vec<UnitFile>,
    /// Where a drop-in of ours belongs: `/etc/systemd/system/docker.service.d`.
    pub drop_in_directory: PathBuf,
    /// The socket units that start it: `docker.socket`, and what people add for TCP.
    pub sockets: Vec<SocketUnit>,
    /// Whether systemd has not read the files since they changed (`NeedDaemonReload`).
    pub needs_reload: bool,
}

/// A file of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// Where.
    pub path: PathBuf,
    /// What it says.
    pub contents: String,
}

/// A socket unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketUnit {
    /// Its name.
    pub name: String,
    /// What it listens on, as systemd says: `/run/docker.sock`, `[::]:2375`.
    pub listen: Vec<String>,
    /// Whether it listens now.
    pub active: bool,
}

/// A file of shell-like assignments that dockerd's options come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsFile {
    /// `/etc/default/docker`, `/etc/sysconfig/docker`, `/etc/conf.d/docker`, or what the unit names.
    pub path: PathBuf,
    /// Its text.
    pub contents: String,
}

/// What the engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// Its version.
    pub version: Option<String>,
    /// Whether containers outlive it.
    pub live_restore: Option<bool>,
    /// Whether it is part of a swarm: live-restore is impossible then.
    pub swarm: Option<bool>,
    /// The authorization plugins that it was started with. Not those of a reload: it does not say those.
    pub plugins: Vec<String>,
    /// Ids of the running containers.
    pub running: Vec<String>,
    /// Why it did not answer.
    pub error: Option<String>,
}

/// A TCP port that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// The process, when it is known.
    pub pid: Option<u32>,
}
