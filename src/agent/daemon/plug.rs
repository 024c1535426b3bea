//! The authorization plugin and dockerd: whether it is to be asked, whether its configuration says so, whether it does
//! (a canary request shows it, `docker info` does not: it is stale after a reload), and what has to change. Pure but for
//! [`look`].
//!
//! Decisions: `docs/adr/0015-the-agent-is-there-before-dockerd.md`.

pub(in crate::agent) mod act;
mod condition;

pub(in crate::agent) use act::answers;
pub use condition::BREAK_GLASS;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::arrangement::daemon_json::{AUTHORIZATION, DaemonJson};
use super::arrangement::{Arrangement, Refusal, flags};
use super::change::{Bytes, Change};
use super::dockerd::Dockerd;
use super::facts::{DaemonFacts, DaemonState, Layout, Scope};
use super::plan::Scene;
use super::sight::DaemonSight;
use super::step::DaemonStep;
use crate::agent::plan::Plan;
use crate::agent::step::{OnFailure, Step};
use crate::agent::{Pair, World};
use crate::base::{Timestamp, encoding};

/// What dockerd calls it.
pub const NAME: &str = "dockwarden";
/// Where dockerd reads where it is. In `/etc`, because `/run/docker` is dockerd's own and gone after a boot.
pub const SPEC: &str = "/etc/docker/plugins/dockwarden.spec";
/// The unit that holds the socket.
pub const SOCKET_UNIT: &str = "dockwarden-authz.socket";
/// The first wait after a failure; each further one in a row doubles it.
const RETRY_FLOOR: Duration = Duration::from_secs(60);
/// The longest wait after a failure.
const RETRY_CAP: Duration = Duration::from_secs(3600);

/// The plugin that runs in this process, behind a trait because the gate is another module's.
#[async_trait]
pub trait Plugin: Send + Sync + 'static {
    /// The socket that systemd keeps for it.
    fn socket(&self) -> &Path;

    /// Lets in whom the roots of this pair lead to, from the next request on.
    fn trust(&self, pair: &Pair);

    /// Whether dockerd has asked about a request whose target holds this word; `None` where that cannot be known: it
    /// runs in another process.
    fn was_asked(&self, word: &str) -> Option<bool>;

    /// Whether it answers on its socket, asked as dockerd does first; else why not.
    async fn answers(&self) -> Result<(), String> {
        act::answers(self.socket()).await
    }
}

/// What is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// dockerd is to ask.
    Plugged,
    /// It is not: `authz = false`.
    Unplugged,
    /// Nobody said, and systemd handed over no socket: it is left as it is.
    NoSocket,
    /// Somebody took it out with `agent unplug`.
    ByHand,
}

/// Whether dockerd's configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It does not.
    No,
    /// In the configuration file.
    File,
    /// By flag, which is left as it is.
    Flag,
}

/// Whether dockerd asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It asked about the canary.
    Yes,
    /// It answered the canary without having asked.
    No,
    /// That could not be found out; why.
    Unknown(String),
}

/// The last try that failed, in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlugFailure {
    /// What happened.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// How often in a row.
    pub count: u32,
}

impl PlugFailure {
    /// When it is tried again.
    pub fn retry_at(&self) -> Timestamp {
        let doubled = RETRY_FLOOR.saturating_mul(1 << self.count.saturating_sub(1).min(16));
        self.at + doubled.min(RETRY_CAP)
    }
}

/// What was found, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// What is to be.
    pub wish: Wish,
    /// What dockerd's configuration says.
    pub listed: Listed,
    /// What it does.
    pub asked: Asked,
    /// Why it cannot be plugged, and what to do.
    pub obstacle: Option<String>,
    /// The files that change on the way to what is to be.
    pub changes: Vec<Change>,
    /// The last try that failed.
    pub failure: Option<PlugFailure>,
}

impl Plug {
    /// Whether a revoked client is refused: dockerd asks, or answers nobody.
    pub fn refuses(&self) -> bool {
        match self.asked {
            Asked::Yes => true,
            Asked::No => false,
            Asked::Unknown(_) => self.listed != Listed::No,
        }
    }

    /// What has to be done, once dockerd serves what it should.
    fn due(&self, runs: bool, now: Timestamp) -> Option<DaemonStep> {
        let waits = self
            .failure
            .as_ref()
            .is_some_and(|failure| now < failure.retry_at());
        match self.wish {
            Wish::Plugged if runs && self.obstacle.is_none() && !waits => {
                let due = !self.changes.is_empty() || self.asked == Asked::No;
                due.then(|| DaemonStep::Plug(self.changes.clone()))
            }
            Wish::Unplugged | Wish::ByHand if !waits => {
                let due = !self.changes.is_empty() || (runs && self.asked == Asked::Yes);
                due.then(|| DaemonStep::Unplug(self.changes.clone()))
            }
            _ => None,
        }
    }
}

impl Plan {
    /// Last of all: who refuses clients is plugged in where they are served, by us, and nothing else is under way.
    pub(in crate::agent) fn plug(&mut self, scene: Scene<'_>) {
        let Scene { sight, now, .. } = scene;
        if let Some(step) = sight.plug_due(now).filter(|_| self.steps.is_empty()) {
            self.daemon(step, OnFailure::Stop);
        }
    }
}

impl Plan {
    /// Whether it tells dockerd to ask.
    pub(in crate::agent) fn plugs(&self) -> bool {
        let is_plug = |step: &Step| matches!(step, Step::Daemon(DaemonStep::Plug(_)));
        self.steps.iter().any(|planned| is_plug(&planned.step))
    }

    /// First of all, on a host that has a certificate and whose dockerd is about to serve it for the first time, as after a
    /// change from mode `gate`: who refuses clients is there before they can come. Whether that is all for now.
    pub(in crate::agent) fn plug_first(&mut self, scene: Scene<'_>) -> bool {
        let step = scene.sight.plug_before_serving(scene.now);
        let step = step.filter(|_| scene.observed.pair().is_some());
        let found = step.is_some();
        if let Some(step) = step {
            self.daemon(step, OnFailure::Stop);
        }
        found
    }
}

impl DaemonSight {
    /// The same as if nothing were left to be done about the plugin.
    pub(in crate::agent) fn once_plugged(&self) -> Self {
        let mut done = self.clone();
        done.plug.wish = Wish::NoSocket;
        done
    }

    fn plug_before_serving(&self, now: Timestamp) -> Option<DaemonStep> {
        let memory = &self.memory;
        let never = memory.served.is_none() && memory.failure.is_none() && memory.attempt.is_none();
        let due = self
            .plug
            .due(self.runs(), now)
            .filter(|_| never && self.arrangement.is_ok());
        due.filter(|step| matches!(step, DaemonStep::Plug(_)))
    }

    /// What is to be done about the plugin, once everything else is as it should be.
    pub(in crate::agent) fn plug_due(&self, now: Timestamp) -> Option<DaemonStep> {
        let settled = self.memory.attempt.is_none() && self.memory.served.is_some();
        let alone = settled && self.changes().is_empty();
        self.plug.due(self.runs(), now).filter(|_| alone)
    }
}

/// Looks, and has dockerd answer a canary when it runs.
pub(super) async fn look(
    world: &World,
    dockerd: &dyn Dockerd,
    facts: &DaemonFacts,
    arrangement: &Result<Arrangement, Refusal>,
    failure: Option<PlugFailure>,
) -> Result<Plug, crate::sys::FileError> {
    let socket = world.plugin.as_ref().map(|plugin| plugin.socket());
    let by_hand = world.records().unplugged()?;
    let configured = world.config.daemon.as_ref().and_then(|daemon| daemon.authz);
    let wish = match (by_hand, configured, socket) {
        (Some(_), _, _) => Wish::ByHand,
        (None, Some(false), _) => Wish::Unplugged,
        (None, None, None) => Wish::NoSocket,
        (None, Some(true), _) | (None, None, Some(_)) => Wish::Plugged,
    };
    let argv = arrangement
        .as_ref()
        .map(|arrangement| &arrangement.argv[..])
        .unwrap_or_default();
    let listed = listed(facts, argv);
    let original = world.records().originals()?;
    let changes = match wish {
        Wish::Plugged if listed != Listed::Flag => plugging(world, facts, socket)?,
        Wish::Unplugged | Wish::ByHand if listed != Listed::Flag => {
            let before = original.of(&facts.config_file.path);
            unplugging(facts, before.and_then(|before| before.contents.as_ref()))
        }
        _ => Ok(Vec::new()),
    };
    let (changes, unreadable) = match changes {
        Ok(changes) => (changes, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let plugged = wish == Wish::Plugged;
    Ok(Plug {
        obstacle: obstacle(facts, argv, listed, socket)
            .or(unreadable)
            .filter(|_| plugged),
        asked: ask(world, dockerd, facts).await,
        wish,
        listed,
        changes,
        failure,
    })
}

/// A request that nobody else makes: if dockerd asks us about it, it asks us about every one.
pub(super) async fn ask(world: &World, dockerd: &dyn Dockerd, facts: &DaemonFacts) -> Asked {
    let Some(plugin) = &world.plugin else {
        return Asked::Unknown("no socket was handed over by systemd".to_owned());
    };
    if facts.state != DaemonState::Running {
        return Asked::Unknown("dockerd does not run".to_owned());
    }
    let word = encoding::hex(&world.random.bytes::<16>());
    let answer = dockerd.canary(&word).await;
    match (plugin.was_asked(&word), answer) {
        (Some(true), _) => Asked::Yes,
        (Some(false), Ok(())) => Asked::No,
        (Some(false), Err(why)) => Asked::Unknown(why),
        (None, _) => Asked::Unknown("the agent that runs knows".to_owned()),
    }
}

fn listed(facts: &DaemonFacts, argv: &[String]) -> Listed {
    if flagged(facts, argv).is_some_and(|names| names.iter().any(|name| name == NAME)) {
        return Listed::Flag;
    }
    let file = &facts.config_file;
    let json = DaemonJson::parse(&file.path, file.contents.as_deref());
    match json.is_ok_and(|json| json.list(AUTHORIZATION).iter().any(|name| name == NAME)) {
        true => Listed::File,
        false => Listed::No,
    }
}

/// The plugins that are flags of dockerd, now or when it is started next; `None`: there are none.
fn flagged(facts: &DaemonFacts, argv: &[String]) -> Option<Vec<String>> {
    let running = facts.process.iter().flat_map(|process| process.argv.get(1..));
    let mut names = Vec::new();
    for words in running.chain(argv.get(1..)) {
        let found = flags::parse(words).unwrap_or_default();
        let ours = found.into_iter().filter(|flag| flag.key() == AUTHORIZATION);
        names.extend(ours.map(|flag| flag.value));
    }
    (!names.is_empty()).then_some(names)
}

/// Why dockerd cannot be told to ask here.
fn obstacle(facts: &DaemonFacts, argv: &[String], listed: Listed, socket: Option<&Path>) -> Option<String> {
    if socket.is_none() {
        return Some(format!(
            "systemd handed over no socket, and without one dockerd could not start before this agent does: systemctl enable --now {SOCKET_UNIT}, then restart the agent"
        ));
    }
    match &facts.layout {
        Layout::Snap { .. } => {
            return Some("the snap's dockerd cannot reach the socket: use mode gate".to_owned());
        }
        Layout::Systemd {
            scope: Scope::User { .. },
            ..
        } => {
            return Some("a rootless dockerd cannot reach the socket: use mode gate".to_owned());
        }
        Layout::Systemd { .. } | Layout::Service { .. } | Layout::Plain { .. } => {}
        Layout::Unrecognised(why) => return Some(why.clone()),
    }
    if listed == Listed::No && flagged(facts, argv).is_some() {
        return Some(format!(
            "--authorization-plugin is a flag of dockerd, and a key beside it would keep dockerd from starting: move those plugins to {AUTHORIZATION} in {}, or add --authorization-plugin={NAME} yourself, and restart dockerd",
            facts.config_file.path.display()
        ));
    }
    unloaded(facts)
}

/// A plugin of others that dockerd was not started with: on a reload dockerd dies of one that does not answer.
fn unloaded(facts: &DaemonFacts) -> Option<String> {
    let file = &facts.config_file;
    let json = DaemonJson::parse(&file.path, file.contents.as_deref()).ok()?;
    let names = json.list(AUTHORIZATION);
    let stranger = names
        .iter()
        .find(|name| *name != NAME && !facts.engine.plugins.contains(name))?;
    let running = facts.state == DaemonState::Running && facts.engine.error.is_none();
    running.then(|| {
        format!(
            "{} names the plugin {stranger:?}, which dockerd was not started with, and of which it would die on a reload if it did not answer: restart dockerd once",
            file.path.display()
        )
    })
}

type Changes = Result<Vec<Change>, String>;

/// The file that says where we are, then the one that names us.
fn plugging(
    world: &World,
    facts: &DaemonFacts,
    socket: Option<&Path>,
) -> Result<Changes, crate::sys::FileError> {
    let Some(socket) = socket else {
        return Ok(Ok(Vec::new()));
    };
    let before = super::originals::read(world, Path::new(SPEC))?;
    let after = Some(Bytes(format!("unix://{}\n", socket.display()).into_bytes()));
    let spec = Change {
        path: SPEC.into(),
        before,
        after,
        reload_units: false,
    };
    Ok(naming(facts).map(|named| {
        [Some(spec), named]
            .into_iter()
            .flatten()
            .filter(differs)
            .collect()
    }))
}

fn differs(change: &Change) -> bool {
    change.before != change.after
}

/// Before those of others: whoever is revoked is refused before anybody else is asked, and one of theirs that hangs
/// delays nothing of ours.
fn naming(facts: &DaemonFacts) -> Result<Option<Change>, String> {
    let mut json = parse(facts)?;
    if json.list(AUTHORIZATION).iter().any(|name| name == NAME) {
        return Ok(None);
    }
    json.put_first(AUTHORIZATION, NAME);
    written(facts, &json).map(Some)
}

fn parse(facts: &DaemonFacts) -> Result<DaemonJson, String> {
    let file = &facts.config_file;
    let json = DaemonJson::parse(&file.path, file.contents.as_deref()).map_err(|why| why.to_string())?;
    let value = json.get(AUTHORIZATION);
    let fine = value.is_none_or(|value| {
        value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string))
    });
    match fine {
        true => Ok(json),
        false => Err(format!(
            "{}: dockerd wants a list of strings in {AUTHORIZATION}: correct it",
            file.path.display()
        )),
    }
}

fn written(facts: &DaemonFacts, json: &DaemonJson) -> Result<Change, String> {
    let file = &facts.config_file;
    let after = json.bytes().map_err(|why| why.to_string())?;
    Ok(Change {
        path: file.path.clone(),
        before: file.contents.clone().map(Bytes),
        after: after.map(Bytes),
        reload_units: false,
    })
}

/// Our name out of the file; `original` is what was in it before us. The file that says where we are stays: it names
/// nobody.
pub(super) fn unplugging(facts: &DaemonFacts, original: Option<&Bytes>) -> Changes {
    let mut json = parse(facts)?;
    if !json.take_out(AUTHORIZATION, NAME) {
        return Ok(Vec::new());
    }
    let had = original.and_then(|bytes| DaemonJson::parse(&facts.config_file.path, Some(&bytes.0)).ok());
    if json.list(AUTHORIZATION).is_empty() && !had.is_some_and(|had| had.has(AUTHORIZATION)) {
        json.remove(AUTHORIZATION);
    }
    Ok(vec![written(facts, &json)?])
}

#[cfg(test)]
mod tests;
