//! Looking at everything a check needs. Changes nothing; what this user may not see is noted, not guessed.

mod agent;
mod client;
mod settings;
mod stray;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dial::{Owner, Port, dial};
use super::examined::{Access, Disk, Docker, Examined, LocalAccess};
use crate::agent::config::Config;
use crate::agent::daemon::facts::DaemonFacts;
use crate::agent::daemon::plug;
use crate::agent::desired::{Desired, reachable};
use crate::base::Clock;
use crate::model::Mode;
use crate::pki::San;
use crate::sys::{CommandLine, Files, Host, Processes, Programs, inspect};

pub use client::ClientPlaces;

/// How long `dockerd --validate` may take.
const VALIDATE_TIMEOUT: Duration = Duration::from_secs(20);
/// Ports that are dialled at most.
const PORTS_MAX: usize = 32;
/// The longest file that says where a plugin is, bytes.
const SPEC_BYTES_MAX: usize = 4096;
/// Where dockerd keeps everything, unless it was told otherwise.
const DATA_ROOT: &str = "/var/lib/docker";

/// What to look with, and where.
pub struct Places<'a> {
    /// The agent's configuration: `None` when there is none, `Err` when it cannot be used.
    pub config: Option<Result<Config, String>>,
    /// What was found of dockerd by its socket; `None`: nobody looked.
    pub facts: Option<DaemonFacts>,
    /// Where docker.sock is.
    pub socket: PathBuf,
    /// The docker CLI of the user who asks.
    pub client: ClientPlaces,
    /// The disk.
    pub files: Files,
    /// The machine.
    pub host: &'a dyn Host,
    /// For `dockerd --validate`.
    pub programs: &'a dyn Programs,
    /// The processes of the machine.
    pub processes: &'a dyn Processes,
    /// Time.
    pub clock: &'a dyn Clock,
}

/// Notes what this user may not see.
#[derive(Debug, Default)]
struct Unseen(Vec<PathBuf>);

impl Unseen {
    /// The permissions of a file that is there.
    fn access(&mut self, path: &Path) -> Option<Access> {
        match inspect::stat(path) {
            Ok(found) => Some(Access {
                mode: found.mode & 0o777,
                uid: found.uid,
                gid: found.gid,
            }),
            Err(error) => {
                if error.kind() == std::io::ErrorKind::PermissionDenied {
                    self.note(path);
                }
                None
            }
        }
    }

    fn note(&mut self, path: &Path) {
        if !self.0.iter().any(|known| known == path) {
            self.0.push(path.to_owned());
        }
    }
}

/// Looks at everything.
pub async fn examine(mut places: Places<'_>) -> Examined {
    let mut unseen = Unseen::default();
    let mut others = Vec::new();
    if let Some(facts) = &mut places.facts {
        others = stray::adopt(facts, &places.socket, places.processes, &places.files);
        hide_refusal(facts, &places.socket, &mut unseen);
    }
    let ports = ports(&places, &others).await;
    let agent = agent::look(&places, &mut unseen);
    let docker = match places.facts.clone().filter(is_installed) {
        Some(facts) => Some(docker(facts, &places, &mut unseen).await),
        None => None,
    };
    Examined {
        now: places.clock.now(),
        names: names(&places),
        ports,
        local: local(&places.socket, &mut unseen),
        client: client::look(&places.client, &places.files),
        disks: disks(&places, docker.as_ref()),
        docker,
        agent,
        unseen: unseen.0,
    }
}

/// Whether there is a dockerd at all, be it only its program.
fn is_installed(facts: &DaemonFacts) -> bool {
    facts.process.is_some() || facts.unit.is_some() || facts.program.is_some()
}

/// An engine that this user may not ask is not one that does not answer.
fn hide_refusal(facts: &mut DaemonFacts, socket: &Path, unseen: &mut Unseen) {
    let refused = facts
        .engine
        .error
        .as_deref()
        .is_some_and(|why| why.contains("ermission denied"));
    if refused {
        facts.engine.error = None;
        unseen.note(socket);
    }
}

async fn docker(facts: DaemonFacts, places: &Places<'_>, unseen: &mut Unseen) -> Docker {
    let told = settings::read(&facts);
    let validated = match &told {
        Ok(told) if told.settings.conflicts.is_empty() => validate(&facts, &told.words, places).await,
        _ => None,
    };
    let settings = told.map(|told| told.settings);
    let tls = settings.as_ref().ok().and_then(|settings| {
        let named = (settings.tls_cert.as_ref()?, settings.tls_key.as_ref()?);
        Some(tls::read(
            named.0,
            named.1,
            settings.tls_ca.as_deref(),
            &places.files,
            unseen,
        ))
    });
    let config = &facts.config_file.path;
    let config_target = places.files.disk().read_link(config).ok();
    let plugin = plugin(settings.as_ref().ok(), places, unseen).await;
    Docker {
        plugin,
        settings,
        validated,
        tls,
        config_target,
        facts,
    }
}

/// Asks our plugin as dockerd does first, where dockerd finds it.
async fn plugin(
    settings: Option<&super::examined::Settings>,
    places: &Places<'_>,
    unseen: &mut Unseen,
) -> Option<Result<(), String>> {
    let mut names = settings?.authorization_plugins.iter();
    names.find(|name| *name == plug::NAME)?;
    let spec = places.files.read_if_any(Path::new(plug::SPEC), SPEC_BYTES_MAX);
    let spec = spec
        .ok()
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(socket) = spec
        .as_deref()
        .and_then(|text| text.trim().strip_prefix("unix://"))
    else {
        return Some(Err(format!("{} does not say where", plug::SPEC)));
    };
    match plug::answers(Path::new(socket)).await {
        Err(why) if why.contains("ermission denied") => {
            unseen.note(Path::new(socket));
            None
        }
        answer => Some(answer),
    }
}

/// What dockerd itself says of what it would be told. Only as root: it looks at files that others may not read.
async fn validate(facts: &DaemonFacts, words: &[String], places: &Places<'_>) -> Option<Result<(), String>> {
    let program = facts.program.as_ref().filter(|program| program.validates)?;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // fd:// stands for sockets that systemd passes, which this one does not get; it only checks, and opens nothing.
    let line = [program.path.display().to_string(), "--validate".to_owned()];
    let line = line.into_iter().chain(words.iter().cloned());
    let outcome = places
        .programs
        .run(&CommandLine::new(line, VALIDATE_TIMEOUT))
        .await;
    match outcome.ending {
        crate::sys::Ending::Exited(0) => Some(Ok(())),
        crate::sys::Ending::Exited(_) => {
            let said = outcome.output_tail.trim();
            let last = said.lines().last().unwrap_or("it said nothing");
            Some(Err(last
                .trim_start_matches("unable to configure the Docker daemon with ")
                .to_owned()))
        }
        // Not an answer.
        _ => None,
    }
}

/// `[::]` takes IPv4 as well, where dockerd listens on it.
fn has_both_families(listens: SocketAddr) -> bool {
    listens.is_ipv6() && listens.ip().is_unspecified()
}

/// Every port of dockerd, of its socket unit, and of what the agent looks at, each once.
async fn ports(places: &Places<'_>, others: &[(SocketAddr, u32)]) -> Vec<Port> {
    let mut wanted: Vec<(SocketAddr, Owner)> = Vec::new();
    let mut want = |address: SocketAddr, owner: Owner| {
        let same = |(known, _): &(SocketAddr, Owner)| {
            reachable(*known) == reachable(address)
                || has_both_families(*known)
                    && address.ip().is_unspecified()
                    && known.port() == address.port()
        };
        if !wanted.iter().any(same) {
            wanted.push((address, owner));
        }
    };
    if let Some(Ok(config)) = &places.config {
        match config.mode {
            Mode::Gate => want(config.listen, Owner::Gate),
            Mode::Daemon | Mode::Files => {}
        }
    }
    if let Some(facts) = &places.facts {
        let sockets = facts.unit.iter().flat_map(|unit| &unit.sockets);
        for listener in &facts.listeners {
            let port = format!(":{}", listener.address.port());
            let passes = |listen: &String| listen.ends_with(&port) || *listen == port[1..];
            let passed = sockets.clone().find(|socket| socket.listen.iter().any(passes));
            match passed {
                Some(socket) => want(listener.address, Owner::Socket(socket.name.clone())),
                None if is_api(listener.address) => want(listener.address, Owner::Dockerd),
                None => {}
            }
        }
    }
    for (address, pid) in others.iter().filter(|(address, _)| is_api(*address)) {
        want(*address, Owner::AnotherDockerd(*pid));
    }
    if let Some(Ok(config)) = &places.config
        && let Some(address) = agent::dialled(config)
    {
        want(address, Owner::Other);
    }
    wanted.truncate(PORTS_MAX);
    futures_util::future::join_all(wanted.into_iter().map(|(address, owner)| dial(address, owner))).await
}

/// Whether this may be the API: swarm's and the metrics' ports speak something else.
fn is_api(address: SocketAddr) -> bool {
    !matches!(address.port(), 2377 | 7946 | 9323)
}

fn names(places: &Places<'_>) -> Vec<San> {
    let facts = places.host.facts();
    match &places.config {
        Some(Ok(config)) => Desired::derive(config, &facts, 0).sans,
        _ => {
            let names = facts.fqdn.iter().chain([&facts.hostname]);
            let names = names.filter_map(|name| name.parse().ok()).map(San::Dns);
            let mut names: Vec<San> = names
                .chain(facts.addresses.iter().copied().map(San::Ip))
                .collect();
            names.dedup();
            names
        }
    }
}

fn local(socket: &Path, unseen: &mut Unseen) -> LocalAccess {
    let access = unseen.access(socket);
    let (group, members) = access.and_then(|access| inspect::group(access.gid)).unzip();
    LocalAccess {
        socket: socket.to_owned(),
        access,
        group,
        members: members.unwrap_or_default(),
    }
}

/// One per file system, named by the first directory on it.
fn disks(places: &Places<'_>, docker: Option<&Docker>) -> Vec<Disk> {
    let mut directories: Vec<PathBuf> = Vec::new();
    if let Some(Ok(config)) = &places.config {
        directories.extend([config.files.clone(), config.state.clone()]);
    }
    if let Some(docker) = docker {
        directories.extend(docker.facts.config_file.path.parent().map(Path::to_owned));
        directories.push(DATA_ROOT.into());
    }
    let mut seen = Vec::new();
    let mut disks = Vec::new();
    for directory in directories {
        let (Ok(stat), Ok(room)) = (inspect::stat(&directory), inspect::room(&directory)) else {
            continue;
        };
        if seen.contains(&stat.device) {
            continue;
        }
        seen.push(stat.device);
        disks.push(Disk {
            directory,
            free: room.free,
            total: room.total,
            free_files: room.free_files,
        });
    }
    disks
}
