//! Looking at the dockerd of this host: which process answers the configured socket, who starts it, what it was told
//! and from which files, what it says of itself. Reads and asks; changes nothing, and never starts anything: a dockerd
//! that does not run is not spoken to, because a connection to a socket that systemd holds would start it.

mod busy;
mod files;
mod layout;
mod program;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::engine::Engines;
use super::facts::{
    DaemonFacts, DaemonProcess, DaemonState, EngineFacts, Layout, Listener, Scope, ServiceManager, Unit,
};
use crate::sys::units::Activity;
use crate::sys::{Files, Process, Processes, Programs, ServiceState, Services, UnitId, UnitState, Units};

pub use program::KnownProgram;

/// What dockerd's program is called.
const DOCKERD: &str = "dockerd";
/// The unit that it is by default, in every distribution and for every user.
const DOCKER_SERVICE: &str = "docker.service";
/// The unit of the snap.
const SNAP_SERVICE: &str = "snap.docker.dockerd.service";
/// The name of its script.
const DOCKER_SCRIPT: &str = "docker";
/// What is passed on of its environment: variables that change what dockerd does.
const VARIABLES: [&str; 4] = [
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
];

/// Which dockerd is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// The socket that it answers.
    pub docker_socket: PathBuf,
    /// The command that restarts it, where no manager of services is found that does.
    pub restart: Option<Vec<String>>,
}

/// Looking, as a seam.
#[async_trait]
pub trait Look: Send + Sync + 'static {
    /// Everything that is there to be seen.
    async fn look(&self) -> DaemonFacts;

    /// What a restart would cut off now, one sentence each; empty while none of it is seen.
    ///
    /// Seen: a pull that is downloading or unpacking (a file it has open below the data root, or an ingest of
    /// containerd's), a classic build or a `docker load` (its directory below the data root), a step of a BuildKit build
    /// (its runc, its bundle), and from 23.0 on every record of the build cache in use.
    ///
    /// **Not** seen: a push, a pull that asks the registry for its manifest, what else a client streams (`docker cp`,
    /// `save`, `exec`, `attach`, `logs`), and anything that begins after the look. Look twice, some seconds apart, before
    /// believing that there is nothing.
    async fn busy(&self, facts: &DaemonFacts) -> Vec<String>;
}

/// The real machine, through its seams.
#[derive(Clone)]
pub struct RealLook {
    /// Which dockerd.
    pub sought: Sought,
    /// The disk.
    pub files: Files,
    /// The processes.
    pub processes: Arc<dyn Processes>,
    /// systemd.
    pub units: Arc<dyn Units>,
    /// Service scripts.
    pub services: Arc<dyn Services>,
    /// Other programs: dockerd itself is asked for its version.
    pub programs: Arc<dyn Programs>,
    /// Docker's socket.
    pub engines: Arc<dyn Engines>,
    /// What was found before.
    pub known: KnownProgram,
}

/// Who starts it, with what that manager says of it.
struct Found {
    layout: Layout,
    state: DaemonState,
    process: Option<Process>,
    unit: Option<UnitState>,
}

#[async_trait]
impl Look for RealLook {
    async fn look(&self) -> DaemonFacts {
        let found = match self.serving().await {
            Some(process) => self.found_running(process).await,
            None => self.found_idle().await,
        };
        let process = found.process.as_ref();
        let scope = scope_of(&found.layout);
        let unit = match &found.unit {
            Some(state) => self.unit(state, &scope).await,
            None => None,
        };
        let engine = match found.state {
            DaemonState::Running => self.engines.facts(&self.sought.docker_socket).await,
            _ => EngineFacts {
                error: Some("dockerd does not run, and was not asked".to_owned()),
                ..EngineFacts::default()
            },
        };
        DaemonFacts {
            program: self.program(process, found.unit.as_ref()).await,
            config_file: self.config_file(process, found.unit.as_ref(), &scope),
            options_files: self.options_files(&found.layout, found.unit.as_ref()),
            listeners: self.listeners(process, unit.as_ref()),
            process: process.map(|process| self.daemon_process(process)),
            layout: found.layout,
            state: found.state,
            unit,
            engine,
        }
    }

    async fn busy(&self, facts: &DaemonFacts) -> Vec<String> {
        self.signs_of_work(facts).await
    }
}

impl RealLook {
    /// The dockerd that answers the socket, found without a connection.
    async fn serving(&self) -> Option<Process> {
        let socket = &self.sought.docker_socket;
        let serves = |process: &Process| {
            let pid = process.id.pid;
            let bound = self.processes.listening(pid).unix;
            bound
                .iter()
                .any(|bound| self.processes.is_same_file(pid, bound, socket))
        };
        let mut all = self.processes.find(DOCKERD);
        all.retain(serves);
        if all.len() > 1 {
            // One of them bound the path after the other, which nobody can reach any more. dockerd runs, so that a
            // connection starts nothing.
            let peer = self.engines.peer(socket).await;
            if let Some(answers) = all.iter().find(|process| Some(process.id.pid) == peer) {
                return Some(answers.clone());
            }
        }
        all.into_iter().max_by_key(|process| process.id.start_ticks)
    }

    /// From the process to who started it.
    async fn found_running(&self, process: Process) -> Found {
        let id = layout::unit_of(&process.cgroups);
        if let Some(id) = &id
            && let Ok(unit) = self.units.show(id).await
            && self.starts(&unit, &process)
        {
            return Found {
                layout: layout::of_unit(id),
                state: running_state(&unit),
                process: Some(process),
                unit: Some(unit),
            };
        }
        let layout = match &self.sought.restart {
            Some(restart) => Layout::Plain {
                restart: restart.clone(),
            },
            None => match self.script_of(&process).await {
                Some(manager) => script(manager),
                None => Layout::Unrecognised(layout::started_by_another(&process, id.as_ref())),
            },
        };
        Found {
            layout,
            state: DaemonState::Running,
            process: Some(process),
            unit: None,
        }
    }

    /// Whether the unit is dockerd's, not that of a supervisor or a shell that happens to run it.
    fn starts(&self, unit: &UnitState, process: &Process) -> bool {
        if !unit.is_loaded() {
            return false;
        }
        let main = unit.main_pid;
        main == Some(process.id.pid)
            || (unit.command.iter().any(|word| word.contains("docker"))
                && main.is_some_and(|main| self.descends(process, main)))
    }

    fn descends(&self, process: &Process, from: u32) -> bool {
        self.ancestors(process).iter().any(|parent| parent.id.pid == from)
    }

    /// Its parent, that one's parent, and so on; bounded, as the processes may change meanwhile.
    fn ancestors(&self, process: &Process) -> Vec<Process> {
        const GENERATIONS_MAX: usize = 16;
        let mut found: Vec<Process> = Vec::new();
        let mut parent = process.parent;
        while parent > 0 && found.len() < GENERATIONS_MAX {
            let Some(next) = self.processes.get(parent) else {
                break;
            };
            parent = next.parent;
            found.push(next);
        }
        found
    }

    /// A script started it when the script says so and the process has the pid file that scripts look at.
    async fn script_of(&self, process: &Process) -> Option<ServiceManager> {
        if !layout::has_default_pid_file(&process.argv) {
            return None;
        }
        let manager = self.services.manager(DOCKER_SCRIPT)?;
        let state = self.services.state(manager, DOCKER_SCRIPT).await;
        (state == ServiceState::Running).then_some(manager)
    }

    /// Nobody's dockerd answers: from who would start it.
    async fn found_idle(&self) -> Found {
        let socket = &self.sought.docker_socket;
        if let Some(holder) = self.processes.listener_of(socket)
            && !layout::is_systemd(&holder)
        {
            return unrecognised(layout::answered_by_another(&holder, socket));
        }
        for id in self.likely_units().await {
            if let Ok(unit) = self.units.show(&id).await
                && self.is_meant(&id, &unit).await
            {
                return self.found_unit(&id, unit).await;
            }
        }
        if let Some(restart) = &self.sought.restart {
            return self.found_plain(restart.clone());
        }
        match self.services.manager(DOCKER_SCRIPT) {
            Some(manager) if !self.units.present(&Scope::System) && layout::is_default(socket) => {
                self.found_script(manager).await
            }
            _ => unrecognised(layout::nothing_found(socket, &self.processes.find(DOCKERD))),
        }
    }

    /// The units that may start it, the likeliest first.
    async fn likely_units(&self) -> Vec<UnitId> {
        let socket = &self.sought.docker_socket;
        let scope = layout::scope_of_socket(socket);
        let sockets = self.units.sockets(&scope).await.unwrap_or_default();
        let holds = |unit: &&UnitState| {
            unit.listen
                .iter()
                .any(|listen| layout::is_path_of(listen, socket))
        };
        let triggered = sockets.iter().filter(holds).flat_map(|unit| &unit.triggers);
        let mut names: Vec<String> = triggered.cloned().collect();
        names.push(DOCKER_SERVICE.to_owned());
        if scope == Scope::System {
            names.push(SNAP_SERVICE.to_owned());
        }
        names.dedup();
        let id = |name| UnitId {
            name,
            scope: scope.clone(),
        };
        names.into_iter().map(id).collect()
    }

    /// Whether this unit's dockerd is the one that would answer the socket, not another one's: it is told to, its socket
    /// unit does, or nothing is said and the socket is where it is by default.
    async fn is_meant(&self, id: &UnitId, unit: &UnitState) -> bool {
        let socket = &self.sought.docker_socket;
        if !unit.is_loaded() && unit.load != "masked" {
            return false;
        }
        for name in &unit.triggered_by {
            let id = UnitId {
                name: name.clone(),
                scope: id.scope.clone(),
            };
            let listens = self.units.show(&id).await.map(|unit| unit.listen);
            if listens.is_ok_and(|listens| listens.iter().any(|listen| layout::is_path_of(listen, socket))) {
                return true;
            }
        }
        let process = unit.main_pid.and_then(|pid| self.processes.get(pid));
        let argv = process
            .filter(|process| process.name == DOCKERD)
            .map(|process| process.argv);
        layout::would_answer(argv.as_ref().unwrap_or(&unit.command), socket)
    }

    async fn found_unit(&self, id: &UnitId, unit: UnitState) -> Found {
        let main = unit.main_pid.and_then(|pid| self.processes.get(pid));
        let process = main.filter(|process| process.name == DOCKERD);
        Found {
            layout: layout::of_unit(id),
            state: self.unit_state(id, &unit).await,
            process,
            unit: Some(unit),
        }
    }

    /// A dockerd that was told to answer the socket and does not do so yet, or none.
    fn found_plain(&self, restart: Vec<String>) -> Found {
        let socket = &self.sought.docker_socket;
        let mut all = self.processes.find(DOCKERD);
        all.retain(|process| layout::is_told_to_answer(&process.argv, socket));
        let process = all.into_iter().max_by_key(|process| process.id.start_ticks);
        Found {
            layout: Layout::Plain { restart },
            state: match process {
                Some(_) => DaemonState::Starting,
                None => DaemonState::Stopped,
            },
            process,
            unit: None,
        }
    }

    async fn found_script(&self, manager: ServiceManager) -> Found {
        let state = match self.services.state(manager, DOCKER_SCRIPT).await {
            // Its script says so, but nothing answers the socket yet.
            ServiceState::Running | ServiceState::Changing => DaemonState::Starting,
            ServiceState::Stopped => DaemonState::Stopped,
            ServiceState::Failed(why) | ServiceState::Unknown(why) => DaemonState::Failed(why),
        };
        Found {
            layout: script(manager),
            state,
            process: None,
            unit: None,
        }
    }

    async fn unit_state(&self, id: &UnitId, unit: &UnitState) -> DaemonState {
        match unit.activity {
            Activity::Active => DaemonState::Running,
            Activity::Activating => DaemonState::Starting,
            Activity::Inactive | Activity::Deactivating => DaemonState::Stopped,
            Activity::Failed => DaemonState::Failed(self.why_failed(id, unit).await),
        }
    }

    /// In systemd's words, with the last thing that dockerd said.
    async fn why_failed(&self, id: &UnitId, unit: &UnitState) -> String {
        const LINES: u32 = 50;
        const BEFORE: std::time::Duration = std::time::Duration::from_secs(120);
        let since = unit.changed_at.unwrap_or_default() - BEFORE;
        let lines = self.units.journal(id, since, LINES).await.unwrap_or_default();
        let said = lines
            .iter()
            .rev()
            .find(|line| line.program != "systemd")
            .map(|line| format!("; it said: {}", line.message));
        format!("{} failed ({}){}", id.name, unit.result, said.unwrap_or_default())
    }

    fn daemon_process(&self, process: &Process) -> DaemonProcess {
        DaemonProcess {
            pid: process.id.pid,
            started_at: process.started_at,
            start_ticks: process.id.start_ticks,
            uid: process.uid,
            argv: process.argv.clone(),
            environment: self.processes.environment(process.id.pid, &VARIABLES),
        }
    }

    /// What dockerd has, what the port driver in front of a rootless one has, and what systemd holds for it.
    fn listeners(&self, process: Option<&Process>, unit: Option<&Unit>) -> Vec<Listener> {
        let mut found: Vec<Listener> = Vec::new();
        if let Some(process) = process {
            let mut owners = vec![process.id.pid];
            let fronts = self.ancestors(process).into_iter().filter(layout::is_port_driver);
            owners.extend(fronts.map(|front| front.id.pid));
            for pid in owners {
                let addresses = self.processes.listening(pid).tcp;
                found.extend(addresses.into_iter().map(|address| Listener {
                    address,
                    pid: Some(pid),
                }));
            }
        }
        let sockets = unit.iter().flat_map(|unit| &unit.sockets);
        let held = sockets
            .filter(|socket| socket.active)
            .flat_map(|socket| &socket.listen);
        for address in held.filter_map(|listen| listen.parse::<SocketAddr>().ok()) {
            if found.iter().all(|known| known.address != address) {
                found.push(Listener { address, pid: None });
            }
        }
        found
    }
}

fn running_state(unit: &UnitState) -> DaemonState {
    match unit.activity {
        Activity::Activating => DaemonState::Starting,
        // It listens already, or still; what systemd makes of it is not the question.
        _ => DaemonState::Running,
    }
}

fn script(manager: ServiceManager) -> Layout {
    Layout::Service {
        manager,
        name: DOCKER_SCRIPT.to_owned(),
    }
}

fn unrecognised(why: String) -> Found {
    Found {
        layout: Layout::Unrecognised(why),
        state: DaemonState::Stopped,
        process: None,
        unit: None,
    }
}

fn scope_of(layout: &Layout) -> Scope {
    match layout {
        Layout::Systemd { scope, .. } => scope.clone(),
        _ => Scope::System,
    }
}

#[cfg(test)]
mod tests;
