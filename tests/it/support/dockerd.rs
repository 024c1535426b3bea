//! A host with a dockerd and a systemd that starts it, in memory: it starts, fails, is limited, restarts and keeps
//! containers by the rules of the real ones. It can be killed at any moment, and so can the agent that works with it.

pub mod startup;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use dockwarden::agent::Probe;
use dockwarden::agent::daemon::arrangement::{Arrangement, DROP_IN_NAME};
use dockwarden::agent::daemon::facts::*;
use dockwarden::agent::daemon::{Dockerd, Restart};
use dockwarden::agent::observed::Engine;
use dockwarden::agent::step::{Served, ServedCertificate};
use dockwarden::base::{Clock, ManualClock, Timestamp};
use dockwarden::pki::Serial;
use dockwarden::sys::Scope;
use dockwarden::sys::fake::MemoryDisk;
use startup::Up;

pub const UNIT: &str = "/usr/lib/systemd/system/docker.service";
pub const DROP_INS: &str = "/etc/systemd/system/docker.service.d";
pub const CONFIG: &str = "/etc/docker/daemon.json";
const OPTIONS: &str = "/etc/default/docker";
/// As Debian ships it.
const UNIT_TEXT: &str = "[Service]\nType=notify\nEnvironmentFile=-/etc/default/docker\n\
    ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS\nRestart=always\n";
/// systemd starts it again after so long.
const RESTART_SEC: Duration = Duration::from_secs(2);
/// More starts than this within a minute, and systemd gives up.
const START_LIMIT: usize = 3;

/// Who starts dockerd here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    Systemd,
    /// A command, and nobody who watches.
    Plain,
}

/// What systemd says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unit {
    Active,
    Inactive,
    Failed(String),
    StartsAgain(Timestamp),
    Hangs,
}

struct Process {
    pid: u32,
    started_at: Timestamp,
    up: Up,
    live_restore: bool,
}

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Sabotage {
    /// So many starts fail with these words.
    pub exits: Option<(usize, String)>,
    /// So many starts never end.
    pub hangs: usize,
    /// Somebody else listens there.
    pub taken: Vec<u16>,
    /// At the first look that sees a restart was asked for, this is written into daemon.json.
    pub before_restart: Option<Vec<u8>>,
}

struct State {
    starter: Starter,
    unit: Unit,
    /// The unit's files as systemd read them last.
    loaded: Vec<(String, String)>,
    process: Option<Process>,
    containers: Vec<(String, u32)>,
    swarm: bool,
    next_pid: u32,
    starts: Vec<Timestamp>,
    started: usize,
    log: Vec<(Timestamp, String)>,
    sabotage: Sabotage,
    busy: Vec<String>,
    version: &'static str,
    dials: usize,
    validations: usize,
    /// Those that it asks now.
    plugins: Vec<String>,
    plugins_at_start: Vec<String>,
    reloads: usize,
    /// What was asked about at our plugin, and whether that one answers.
    asked: Vec<String>,
    plugin_is_dead: bool,
}

/// The host. Clones share it.
#[derive(Clone)]
pub struct SimDockerd {
    disk: MemoryDisk,
    clock: ManualClock,
    state: Arc<Mutex<State>>,
}

impl SimDockerd {
    /// One that runs as a distribution left it, with two containers.
    pub fn new(disk: MemoryDisk, clock: ManualClock, starter: Starter) -> Self {
        disk.plant(UNIT, UNIT_TEXT);
        let state = State {
            starter,
            unit: Unit::Inactive,
            loaded: Vec::new(),
            process: None,
            containers: vec![("a1".into(), 7001), ("b2".into(), 7002)],
            swarm: false,
            next_pid: 400,
            starts: Vec::new(),
            started: 0,
            log: Vec::new(),
            sabotage: Sabotage::default(),
            busy: Vec::new(),
            version: "28.5.2",
            dials: 0,
            validations: 0,
            plugins: Vec::new(),
            plugins_at_start: Vec::new(),
            reloads: 0,
            asked: Vec::new(),
            plugin_is_dead: false,
        };
        let sim = Self {
            disk,
            clock,
            state: Arc::new(Mutex::new(state)),
        };
        sim.load();
        // The containers were started by it.
        let containers = sim.containers();
        sim.start();
        sim.state().containers = containers;
        sim.state().started = 0;
        sim
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn sabotage(&self, change: impl FnOnce(&mut Sabotage)) {
        change(&mut self.state().sabotage);
    }

    pub fn containers(&self) -> Vec<(String, u32)> {
        self.state().containers.clone()
    }

    /// How often it was started since the beginning.
    pub fn started(&self) -> usize {
        self.state().started
    }

    pub fn dials(&self) -> usize {
        self.state().dials
    }

    pub fn reloads(&self) -> usize {
        self.state().reloads
    }

    /// The plugins that it asks.
    pub fn plugins(&self) -> Vec<String> {
        self.state().plugins.clone()
    }

    /// Those that it asked from its last start on.
    pub fn plugins_at_start(&self) -> Vec<String> {
        self.state().plugins_at_start.clone()
    }

    /// Nobody answers at our plugin's socket from now on, or somebody does again.
    pub fn set_plugin_dead(&self, dead: bool) {
        self.state().plugin_is_dead = dead;
    }

    pub fn was_asked(&self, word: &str) -> bool {
        self.state().asked.iter().any(|asked| asked == word)
    }

    pub fn plugin_answers(&self) -> bool {
        !self.state().plugin_is_dead
    }

    pub fn validations(&self) -> usize {
        self.state().validations
    }

    pub fn set_busy(&self, busy: &[&str]) {
        self.state().busy = busy.iter().map(|text| (*text).to_owned()).collect();
    }

    pub fn set_swarm(&self) {
        self.state().swarm = true;
    }

    /// What clients get on the port.
    pub fn served(&self) -> Option<Serial> {
        let state = self.state();
        let (seen, verified) = state.process.as_ref()?.up.tls.as_ref()?;
        (*verified && !state.process.as_ref()?.up.tcp.is_empty()).then(|| seen.serial.clone())
    }

    pub fn runs(&self) -> bool {
        self.state().process.is_some()
    }

    pub fn live_restore(&self) -> bool {
        self.state()
            .process
            .as_ref()
            .is_some_and(|process| process.live_restore)
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.disk.peek(path)
    }

    fn unit_files(&self) -> Vec<(String, String)> {
        let text = |path: &str| String::from_utf8(self.read(path).unwrap_or_default()).unwrap();
        let mut files = vec![(UNIT.to_owned(), text(UNIT))];
        let names = self.disk.peek_names(DROP_INS);
        for name in names.iter().filter(|name| name.ends_with(".conf")) {
            let path = format!("{DROP_INS}/{name}");
            files.push((path.clone(), text(&path)));
        }
        files
    }

    /// systemd reads its units.
    pub fn load(&self) {
        let files = self.unit_files();
        self.state().loaded = files;
    }

    fn argv(&self, files: &[(String, String)]) -> Vec<String> {
        match self.state().starter {
            Starter::Plain => vec!["/usr/sbin/dockerd".into(), "--debug".into()],
            Starter::Systemd => {
                let texts: Vec<String> = files.iter().map(|(_, text)| text.clone()).collect();
                startup::argv(&texts, &|path| self.read(path))
            }
        }
    }

    /// Whether a start now would work: as systemd knows its units, and as it would know them after a boot.
    pub fn could_start(&self) -> Result<(), String> {
        let swarm = self.state().swarm;
        let loaded = self.state().loaded.clone();
        for files in [loaded, self.unit_files()] {
            startup::start(&self.argv(&files), &|path| self.read(path), true, swarm, &[])?;
        }
        Ok(())
    }

    /// Whether TCP would be open to everybody after a start.
    pub fn would_be_exposed(&self) -> bool {
        let loaded = self.state().loaded.clone();
        [loaded, self.unit_files()].iter().any(|files| {
            let up = startup::start(&self.argv(files), &|path| self.read(path), true, false, &[]);
            up.is_ok_and(|up| !up.tcp.is_empty() && !up.tls.is_some_and(|(_, verified)| verified))
        })
    }

    /// Whether TCP would be open to everybody after another tool has written this into daemon.json (`None`: removed it)
    /// and has restarted dockerd at once.
    pub fn would_be_exposed_by(&self, theirs: Option<&str>) -> bool {
        let read = |path: &str| match path == CONFIG {
            true => theirs.map(|text| text.as_bytes().to_vec()),
            false => self.read(path),
        };
        let loaded = self.state().loaded.clone();
        [loaded, self.unit_files()].iter().any(|files| {
            let up = startup::start(&self.argv(files), &read, true, false, &[]);
            up.is_ok_and(|up| !up.tcp.is_empty() && !up.tls.is_some_and(|(_, verified)| verified))
        })
    }

    /// `systemctl restart`, by somebody, and what systemd does until it has given up or it is up.
    pub fn restart_by_somebody(&self) {
        self.stop();
        self.forget_failures();
        self.start();
        for _ in 0..10 {
            self.clock.advance(RESTART_SEC);
            self.settle();
        }
    }

    fn say(&self, line: &str) {
        let now = self.clock.now();
        self.state().log.push((now, line.to_owned()));
    }

    /// A start, by whomever.
    pub fn start(&self) {
        let now = self.clock.now();
        if let Some(unit) = self.refuse_start(now) {
            self.state().unit = unit;
            return;
        }
        let (loaded, swarm, taken) = {
            let state = self.state();
            (state.loaded.clone(), state.swarm, state.sabotage.taken.clone())
        };
        let result = startup::start(&self.argv(&loaded), &|path| self.read(path), true, swarm, &taken);
        let result = match &mut self.state().sabotage.exits {
            Some((count @ 1.., why)) => {
                *count -= 1;
                Err(why.clone())
            }
            _ => result,
        };
        match result {
            Ok(up) => self.come_up(up, now),
            Err(why) => {
                self.say(&format!("failed to start daemon: {why}"));
                let plain = self.state().starter == Starter::Plain;
                // Restart=always: systemd tries again, until its limit.
                self.state().unit = if plain {
                    Unit::Inactive
                } else {
                    Unit::StartsAgain(now + RESTART_SEC)
                };
            }
        }
    }

    fn refuse_start(&self, now: Timestamp) -> Option<Unit> {
        let mut state = self.state();
        state.starts.retain(|at| now.since(*at) < Duration::from_secs(60));
        if state.starter == Starter::Systemd && state.starts.len() >= START_LIMIT {
            return Some(Unit::Failed("start-limit-hit".into()));
        }
        state.starts.push(now);
        state.started += 1;
        if state.sabotage.hangs > 0 {
            state.sabotage.hangs -= 1;
            return Some(Unit::Hangs);
        }
        None
    }

    fn come_up(&self, up: Up, now: Timestamp) {
        let mut state = self.state();
        state.next_pid += 17;
        let live_restore = up.live_restore;
        state.plugins.clone_from(&up.plugins);
        state.plugins_at_start.clone_from(&up.plugins);
        if !live_restore {
            // What outlived the old one is shut down, and started again by its restart policy.
            let first = state.next_pid * 10;
            for (number, container) in (1..).zip(&mut state.containers) {
                container.1 = first + number;
            }
        }
        let (pid, started_at) = (state.next_pid, now);
        state.process = Some(Process {
            pid,
            started_at,
            up,
            live_restore,
        });
        state.unit = Unit::Active;
    }

    /// `systemctl stop`, by somebody.
    pub fn stop(&self) {
        let mut state = self.state();
        state.unit = Unit::Inactive;
        let lost = state.process.take().is_some_and(|process| !process.live_restore);
        if lost {
            state.containers.iter_mut().for_each(|(_, pid)| *pid = 0);
        }
    }

    /// `systemctl reset-failed`, by somebody.
    pub fn forget_failures(&self) {
        self.state().starts.clear();
    }

    /// `kill -9`: containers live on, systemd starts it again.
    pub fn kill(&self) {
        let again = self.clock.now() + RESTART_SEC;
        let mut state = self.state();
        if state.process.take().is_some() {
            let plain = state.starter == Starter::Plain;
            state.unit = if plain {
                Unit::Inactive
            } else {
                Unit::StartsAgain(again)
            };
        }
    }

    /// The machine boots: every container is started anew, units are read anew.
    pub fn boot(&self) {
        self.state().process = None;
        self.state().starts.clear();
        self.load();
        self.start();
    }

    /// Lets systemd do what is due.
    pub fn settle(&self) {
        let due = matches!(self.state().unit, Unit::StartsAgain(at) if self.clock.now() >= at);
        if due {
            self.start();
        }
    }

    fn layout(&self) -> Layout {
        match self.state().starter {
            Starter::Systemd => Layout::Systemd {
                unit: "docker.service".into(),
                scope: Scope::System,
            },
            Starter::Plain => Layout::Plain {
                restart: vec!["/usr/local/bin/restart-docker".into()],
            },
        }
    }

    fn unit_facts(&self) -> Option<dockwarden::agent::daemon::facts::Unit> {
        if self.state().starter == Starter::Plain {
            return None;
        }
        let now = self.unit_files();
        let file = |(path, contents): &(String, String)| UnitFile {
            path: path.into(),
            contents: contents.clone(),
        };
        Some(dockwarden::agent::daemon::facts::Unit {
            fragment: file(&now[0]),
            drop_ins: now[1..].iter().map(file).collect(),
            drop_in_directory: DROP_INS.into(),
            sockets: vec![SocketUnit {
                name: "docker.socket".into(),
                listen: vec!["/run/docker.sock".into()],
                active: true,
            }],
            needs_reload: self.state().loaded != now,
        })
    }

    fn facts(&self) -> DaemonFacts {
        self.settle();
        let unit = self.unit_facts();
        let layout = self.layout();
        let contents = self.read(CONFIG);
        let options = self.read(OPTIONS).map(|bytes| OptionsFile {
            path: OPTIONS.into(),
            contents: String::from_utf8(bytes).unwrap(),
        });
        let state = self.state();
        let daemon_state = match &state.unit {
            Unit::Active => DaemonState::Running,
            Unit::Inactive => DaemonState::Stopped,
            Unit::Failed(why) => DaemonState::Failed(why.clone()),
            Unit::StartsAgain(_) | Unit::Hangs => DaemonState::Starting,
        };
        let process = state.process.as_ref();
        DaemonFacts {
            layout,
            state: daemon_state,
            process: process.map(|process| DaemonProcess {
                pid: process.pid,
                started_at: process.started_at,
                start_ticks: u64::try_from(process.started_at.as_millis()).unwrap() / 10,
                uid: 0,
                argv: process.up.argv.clone(),
                environment: Vec::new(),
            }),
            program: Some(Program {
                path: "/usr/sbin/dockerd".into(),
                version: Some(state.version.into()),
                validates: true,
            }),
            config_file: ConfigFile {
                path: CONFIG.into(),
                named_by_flag: false,
                contents,
            },
            unit,
            options_files: options.into_iter().collect(),
            engine: EngineFacts {
                version: process.map(|_| state.version.into()),
                live_restore: process.map(|process| process.live_restore),
                swarm: process.map(|_| state.swarm),
                running: process
                    .map(|_| state.containers.iter().map(|(id, _)| id.clone()).collect())
                    .unwrap_or_default(),
                plugins: state.plugins_at_start.clone(),
                error: None,
            },
            listeners: Vec::new(),
        }
    }

    /// One step of the agent's: before it, and before its return, the agent can be stopped.
    fn step<T>(&self, act: impl FnOnce() -> T) -> Result<T, String> {
        self.disk.tick().map_err(|e| e.to_string())?;
        let done = act();
        self.disk.tick().map_err(|e| e.to_string())?;
        Ok(done)
    }

    fn restart_now(&self, how: Restart) {
        self.settle();
        {
            let mut state = self.state();
            let stopped = state.unit == Unit::Inactive;
            // Both forget failures first.
            state.starts.clear();
            if how == Restart::Running && stopped {
                return;
            }
        }
        self.stop();
        self.start();
    }
}

#[async_trait]
impl Dockerd for SimDockerd {
    async fn look(&self) -> DaemonFacts {
        self.facts()
    }

    async fn validate(
        &self,
        _: &DaemonFacts,
        arranged: &Arrangement,
        candidate: PathBuf,
    ) -> Result<(), String> {
        let late = {
            let mut state = self.state();
            state.validations += 1;
            match candidate == Path::new(CONFIG) {
                true => state.sabotage.before_restart.take(),
                false => None,
            }
        };
        if let Some(contents) = late {
            self.disk.plant(CONFIG, contents);
        }
        let swarm = self.state().swarm;
        let candidate = candidate.to_str();
        if let Some(path) = candidate.filter(|path| self.read(path).is_none()) {
            // It is named by a flag.
            return Err(format!("open {path}: no such file or directory"));
        }
        startup::check(&arranged.argv, candidate, &|path| self.read(path), swarm).map(|_| ())
    }

    async fn reload(&self) -> Result<(), String> {
        self.step(|| {
            let (argv, swarm) = {
                let state = self.state();
                let Some(process) = &state.process else { return };
                (process.up.argv.clone(), state.swarm)
            };
            if let Ok((_, up)) = startup::check(&argv, None, &|path| self.read(path), swarm) {
                let mut state = self.state();
                state.reloads += 1;
                // As tried out: it dies of a plugin that does not answer and never did.
                let dead = state.plugin_is_dead && !state.plugins.iter().any(|name| name == "dockwarden");
                if dead && up.plugins.iter().any(|name| name == "dockwarden") {
                    state.process = None;
                    state.unit = Unit::Failed("failed to validate authorization plugin".into());
                    return;
                }
                state.plugins = up.plugins;
                if let Some(process) = &mut state.process {
                    process.live_restore = up.live_restore;
                }
            }
        })
    }

    async fn reload_units(&self) -> Result<(), String> {
        self.step(|| self.load())
    }

    async fn restart(&self, how: Restart, timeout: Duration) -> Result<(), String> {
        self.step(|| self.restart_now(how))?;
        let deadline = self.clock.now() + timeout;
        loop {
            self.settle();
            match &self.state().unit {
                Unit::Active => return Ok(()),
                Unit::Failed(why) => return Err(format!("docker.service failed: {why}")),
                Unit::Inactive if how == Restart::Running => return Ok(()),
                Unit::Inactive => return Err("dockerd ended".into()),
                Unit::StartsAgain(_) | Unit::Hangs => {}
            }
            if self.clock.now() >= deadline {
                return Err(format!("dockerd was not up after {} s", timeout.as_secs()));
            }
            self.clock.advance(Duration::from_secs(1));
        }
    }

    async fn ping(&self) -> Result<(), String> {
        match &self.state().process {
            Some(process) if process.up.local => Ok(()),
            _ => Err("dockerd does not answer on /var/run/docker.sock".into()),
        }
    }

    async fn canary(&self, word: &str) -> Result<(), String> {
        let mut state = self.state();
        if state.plugins.iter().any(|name| name == "dockwarden") {
            if state.plugin_is_dead {
                return Err("no answer to GET /_ping within 10 s".into());
            }
            state.asked.push(word.to_owned());
        }
        Ok(())
    }

    async fn busy(&self, _: &DaemonFacts) -> Vec<String> {
        self.state().busy.clone()
    }

    async fn pause(&self, time: Duration) {
        self.clock.advance(time);
        self.settle();
    }

    async fn explain(&self, since: Timestamp) -> Vec<String> {
        let state = self.state();
        state
            .log
            .iter()
            .filter(|(at, _)| *at >= since)
            .map(|(_, line)| line.clone())
            .collect()
    }
}

#[async_trait]
impl Probe for SimDockerd {
    async fn engine(&self, _: &Path) -> Engine {
        panic!("a socket that systemd holds is not connected to")
    }

    async fn served(&self, address: SocketAddr) -> Served {
        let mut state = self.state();
        state.dials += 1;
        let up = state.process.as_ref().map(|process| process.up.clone());
        let Some(up) = up.filter(|up| up.tcp.iter().any(|tcp| tcp.port() == address.port())) else {
            return Served::Failed(format!("{address}: connection refused"));
        };
        match up.tls {
            Some((seen, verified)) => Served::Certificate(ServedCertificate {
                asks_for_client: verified,
                ..seen.into()
            }),
            None => Served::Failed(format!("{address}: it does not speak TLS")),
        }
    }
}

/// The path of our drop-in.
pub fn drop_in() -> String {
    format!("{DROP_INS}/{DROP_IN_NAME}")
}
