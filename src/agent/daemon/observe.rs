//! Gathering what is there of dockerd. Reads and dials, starts nothing, changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arrangement::daemon_json::{DaemonJson, LIVE_RESTORE};
use super::arrangement::{Arrangement, FileChange, Refusal, Wanted, arrange};
use super::attempt::ProcessId;
use super::change::Change;
use super::dockerd::Dockerd;
use super::facts::{DaemonFacts, DaemonState};
use super::plan::Waits;
use super::plug::{self, PlugFailure};
use super::sight::DaemonSight;
use crate::agent::World;
use crate::agent::desired::Desired;
use crate::agent::observed::Observed;
use crate::agent::plan::Plan;
use crate::agent::step::Served;
use crate::base::Timestamp;
use crate::pki::Serial;
use crate::sys::FileError;

/// A dial that found all well is not repeated for so long while the process is the same: dockerd reads its
/// certificate only when it starts, and writes a line to its log for every dial.
const DIAL_AGAIN: Duration = Duration::from_secs(600);

/// So many passes in a row find a dockerd that does not run before it is looked at less often.
const LOOKS_SOON: u32 = 15;

/// What a run of the agent remembers from pass to pass, and only for its own comfort.
#[derive(Clone, Debug, Default)]
pub struct Recall {
    dialled: Option<Dialled>,
    validated: Option<Validated>,
    busy_since: Option<Timestamp>,
    unplugged: Option<PlugFailure>,
    down: u32,
    config_path: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Dialled {
    process: ProcessId,
    at: Timestamp,
    served: Served,
}

/// What dockerd has found good.
#[derive(Clone, Debug)]
struct Validated {
    version: u64,
    argv: Vec<String>,
    config: Vec<u8>,
}

impl Recall {
    /// Takes note of what was just found.
    pub fn note_observed(&mut self, observed: &Observed, now: Timestamp) {
        let Some(sight) = &observed.daemon else { return };
        self.config_path = Some(sight.facts.config_file.path.clone());
        let fresh = self
            .dial(&sight.facts, observed.pair().map(|pair| &pair.serial), now)
            .is_none();
        self.dialled = match &sight.facts.process {
            Some(process) if fresh => Some(Dialled {
                process: process.into(),
                at: now,
                served: observed.served.clone(),
            }),
            Some(_) => self.dialled.take(),
            None => None,
        };
    }

    /// Takes note that dockerd could not be made to ask the plugin, or that it asks.
    pub fn note_plug(&mut self, outcome: Result<(), String>, now: Timestamp) {
        let before = self.unplugged.take();
        self.unplugged = outcome.err().map(|why| PlugFailure {
            why,
            at: now,
            count: before.map_or(0, |before| before.count).saturating_add(1),
        });
    }

    /// What dockerd reads when somebody has it reload: other tools write it too.
    pub fn config_path(&self) -> Option<&Path> {
        self.config_path.as_deref()
    }

    /// Whether dockerd does not run yet and may any moment: it is started after this agent when the machine boots. Not for
    /// ever, because somebody may have stopped it.
    pub fn looks_soon(&mut self, observed: &Observed) -> bool {
        let down = observed.daemon.as_ref().is_some_and(|sight| !sight.runs());
        self.down = if down { self.down.saturating_add(1) } else { 0 };
        (1..=LOOKS_SOON).contains(&self.down)
    }

    /// Takes note of what a plan waits for.
    pub fn note_plan(&mut self, plan: &Plan, now: Timestamp) {
        self.busy_since = match &plan.waits {
            Some(Waits::Idle { .. }) => self.busy_since.or(Some(now)),
            _ => None,
        };
    }

    /// Takes note that dockerd has found a version good, told what it would be told.
    pub fn note_validated(&mut self, version: u64, observed: &Observed) {
        let arrangement = observed
            .daemon
            .as_ref()
            .and_then(|sight| sight.arrangement.as_ref().ok());
        self.validated = arrangement.map(|arrangement| Validated {
            version,
            argv: arrangement.argv.clone(),
            config: arrangement.config.clone(),
        });
    }

    /// The last dial, when another one would say the same.
    fn dial(&self, facts: &DaemonFacts, serial: Option<&Serial>, now: Timestamp) -> Option<&Dialled> {
        let dialled = self.dialled.as_ref()?;
        let same = facts
            .process
            .as_ref()
            .is_some_and(|process| dialled.process.is(process));
        let well = dialled.served.serial().is_some() && dialled.served.serial() == serial;
        let well = well && dialled.served.is_guarded();
        (same && well && now.since(dialled.at) < DIAL_AGAIN).then_some(dialled)
    }

    fn validated(&self, arrangement: &Result<Arrangement, Refusal>) -> Option<u64> {
        let (known, arrangement) = (self.validated.as_ref()?, arrangement.as_ref().ok()?);
        let same = known.argv == arrangement.argv && known.config == arrangement.config;
        same.then_some(known.version)
    }
}

/// Looks at dockerd, and dials it when it runs. `serial` is the certificate in use.
pub async fn observe(
    world: &World,
    dockerd: &dyn Dockerd,
    desired: &Desired,
    serial: Option<&Serial>,
    recall: &Recall,
) -> Result<(DaemonSight, Served), FileError> {
    let facts = dockerd.look().await;
    let runs = facts.state == DaemonState::Running;
    let now = world.clock.now();
    let served = match (recall.dial(&facts, serial, now), desired.dial) {
        (Some(dialled), _) => dialled.served.clone(),
        (None, Some(address)) if runs => world.probe.served(address).await,
        (None, _) => Served::NotDialled,
    };
    let wanted = Wanted {
        listen: world.config.listen,
        directory: world.versions().current_directory(),
    };
    let arrangement = arrange(&facts, &wanted);
    let plug = plug::look(world, dockerd, &facts, &arrangement, recall.unplugged.clone()).await?;
    let sight = DaemonSight {
        plug,
        keeping: keeping(&facts, &arrangement),
        validated: recall.validated(&arrangement),
        busy: if runs {
            dockerd.busy(&facts).await
        } else {
            Vec::new()
        },
        busy_since: recall.busy_since,
        memory: world.records().daemon()?,
        arrangement,
        facts,
    };
    Ok((sight, served))
}

/// The changes with live-restore turned on, when a restart would stop containers and that can be helped.
fn keeping(facts: &DaemonFacts, arrangement: &Result<Arrangement, Refusal>) -> Option<Vec<Change>> {
    let engine = &facts.engine;
    let helps = facts.state == DaemonState::Running && engine.swarm == Some(false);
    let arrangement = arrangement.as_ref().ok().filter(|_| helps)?;
    // What dockerd only has in memory ends with it: the one that comes must be told, too.
    if engine.live_restore? && stays_on(arrangement) {
        return None;
    }
    // By flag it was somebody's decision, and a key beside the flag would keep dockerd from starting.
    if arrangement
        .argv
        .iter()
        .any(|word| word.trim_start_matches('-').starts_with(LIVE_RESTORE))
    {
        return None;
    }
    let kept = with_live_restore(facts, arrangement)?;
    Some(kept.iter().map(Change::from).collect())
}

/// Whether the configuration file says so.
fn stays_on(arrangement: &Arrangement) -> bool {
    let json = DaemonJson::parse(&arrangement.config_path, Some(&arrangement.config));
    json.is_ok_and(|json| json.get(LIVE_RESTORE) == Some(&true.into()))
}

/// The changes, and the key in the configuration file with the first of them that writes it.
fn with_live_restore(facts: &DaemonFacts, arrangement: &Arrangement) -> Option<Vec<FileChange>> {
    let path = &arrangement.config_path;
    let mut changes = arrangement.with_restart().to_vec();
    let at = match changes.iter().position(|change| change.path == *path) {
        Some(at) => at,
        None => {
            let contents = facts.config_file.contents.clone();
            let (before, after) = (contents.clone(), contents);
            let change = FileChange {
                path: path.clone(),
                before,
                after,
                reload_units: false,
            };
            changes.insert(0, change);
            0
        }
    };
    for change in changes[at..].iter_mut().filter(|change| change.path == *path) {
        let mut json = DaemonJson::parse(path, change.after.as_deref()).ok()?;
        json.set(LIVE_RESTORE, true.into());
        change.after = json.bytes().ok()?;
    }
    changes.retain(|change| change.before != change.after);
    Some(changes)
}
