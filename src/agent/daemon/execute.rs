//! Running the steps of mode `daemon`. What is noted is noted before it is done.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::arrangement::daemon_json::{DaemonJson, LIVE_RESTORE};
use super::arrangement::{Arrangement, Wanted, arrange};
use super::attempt::{Attempt, Breakage, DaemonMemory, FailedAttempt, ProcessId, Stage};
use super::change::Change;
use super::dockerd::{Dockerd, Restart};
use super::facts::{DaemonFacts, DaemonState, Layout};
use super::originals;
use super::plug::act;
use super::step::DaemonStep;
use crate::agent::World;
use crate::agent::execute::{StepError, current_pair};
use crate::agent::step::Served;
use crate::base::limits::REPORT_CHARS_MAX;
use crate::sys::Access;

/// The file that dockerd is asked about, in the state directory.
const CANDIDATE: &str = "candidate-daemon.json";
/// How often it is looked whether dockerd is up.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long live-restore may take to come on.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Lines of dockerd's log that are reported.
const LINES_REPORTED: usize = 6;

impl World {
    /// dockerd; there is one in mode `daemon`.
    pub(in crate::agent) fn dockerd(&self) -> Result<&Arc<dyn Dockerd>, StepError> {
        self.dockerd.as_ref().ok_or(StepError::Gone("dockerd"))
    }

    fn restart_timeout(&self) -> Duration {
        let daemon = self.config.daemon.as_ref();
        daemon.map_or(Duration::ZERO, |daemon| daemon.restart_timeout)
    }
}

/// Runs one step.
pub(in crate::agent) async fn execute(world: &World, step: &DaemonStep) -> Result<(), StepError> {
    match step {
        DaemonStep::Validate { version } => validate(world, *version).await,
        DaemonStep::KeepContainers => keep_containers(world).await,
        DaemonStep::Begin(attempt) => begin(world, attempt),
        DaemonStep::Change(change) => originals::apply(world, change).await,
        DaemonStep::Mend(changes) => mend(world, changes).await,
        DaemonStep::NoteBroken { why } => note_broken(world, why),
        DaemonStep::Start => start(world).await,
        DaemonStep::ReloadUnits => reload_units(world).await,
        DaemonStep::Leave => leave(world).await,
        DaemonStep::Restart => restart(world).await,
        DaemonStep::Verify { address } => verify(world, *address).await,
        DaemonStep::Commit => commit(world),
        DaemonStep::Plug(changes) => act::plug(world, changes).await,
        DaemonStep::Unplug(changes) => act::unplug(world, changes).await,
        DaemonStep::BeginReturn { why } => begin_return(world, why).await,
        DaemonStep::Restore(change) => restore(world, change).await,
        DaemonStep::RestartBack => restart_back(world).await,
        DaemonStep::VerifyBack { address } => verify_back(world, *address).await,
        DaemonStep::CommitReturn => commit_return(world),
    }
}

/// Changes what is remembered.
fn remember(world: &World, change: impl FnOnce(&mut DaemonMemory)) -> Result<(), StepError> {
    let records = world.records();
    let mut memory = records.daemon()?;
    change(&mut memory);
    Ok(records.keep_daemon(&memory)?)
}

fn attempt(world: &World) -> Result<Attempt, StepError> {
    let memory = world.records().daemon()?;
    memory
        .attempt
        .ok_or(StepError::Gone("the note of the change under way"))
}

fn set_stage(world: &World, stage: Stage) -> Result<(), StepError> {
    let mut attempt = attempt(world)?;
    attempt.stage = stage;
    remember(world, |memory| memory.attempt = Some(attempt))
}

/// What dockerd should be told to use the files in `directory`.
fn arranged(world: &World, facts: &DaemonFacts, directory: &Path) -> Result<Arrangement, StepError> {
    let wanted = Wanted {
        listen: world.config.listen,
        directory: directory.to_owned(),
    };
    Ok(arrange(facts, &wanted)?)
}

async fn validate(world: &World, version: u64) -> Result<(), StepError> {
    let facts = world.dockerd()?.look().await;
    let arranged = arranged(world, &facts, &world.versions().directory(version))?;
    validate_apart(world, &facts, &arranged).await
}

/// Asks about a copy of the configuration as it is to be.
async fn validate_apart(world: &World, facts: &DaemonFacts, arranged: &Arrangement) -> Result<(), StepError> {
    let candidate = world.records().directory().join(CANDIDATE);
    world.files.write(&candidate, &arranged.config, Access::Private)?;
    let answer = world
        .dockerd()?
        .validate(facts, arranged, candidate.clone())
        .await;
    world.files.remove(&candidate)?;
    answer.map_err(StepError::Invalid)
}

async fn keep_containers(world: &World) -> Result<(), StepError> {
    let daemon = world.dockerd()?;
    daemon.reload().await.map_err(StepError::Dockerd)?;
    let deadline = world.clock.now() + RELOAD_TIMEOUT;
    while daemon.look().await.engine.live_restore != Some(true) {
        if world.clock.now() >= deadline {
            let why = format!(
                "live-restore did not come on within {} s of SIGHUP",
                RELOAD_TIMEOUT.as_secs()
            );
            return Err(StepError::Dockerd(why));
        }
        daemon.pause(LOOK_EVERY).await;
    }
    Ok(())
}

fn begin(world: &World, begun: &Attempt) -> Result<(), StepError> {
    remember(world, |memory| {
        memory.attempt = Some(match memory.attempt.take() {
            Some(known) => known.joined_by(begun.clone()),
            None => begun.clone(),
        });
    })
}

async fn mend(world: &World, changes: &[Change]) -> Result<(), StepError> {
    let now = world.clock.now();
    remember(world, |memory| memory.note_restore(now))?;
    for change in changes {
        originals::apply(world, change).await?;
    }
    Ok(())
}

fn note_broken(world: &World, why: &str) -> Result<(), StepError> {
    tracing::warn!("{why}");
    let (why, at) = (
        why.chars().take(REPORT_CHARS_MAX / 2).collect(),
        world.clock.now(),
    );
    remember(world, |memory| memory.broken = Some(Breakage { why, at }))
}

/// Once: one that does not start with mended files has another reason, which is not ours.
async fn start(world: &World) -> Result<(), StepError> {
    let daemon = world.dockerd()?;
    let started = match daemon.look().await.state {
        // systemd is at it; whether it comes up is seen in the next pass.
        DaemonState::Starting => return Ok(()),
        DaemonState::Running | DaemonState::Stopped => Ok(()),
        DaemonState::Failed(_) => daemon.restart(Restart::Whatever, world.restart_timeout()).await,
    };
    remember(world, |memory| {
        let broken = memory.broken.take();
        if started.is_ok() {
            memory.mended = broken.or(memory.mended.take());
        }
    })?;
    started.map_err(StepError::Dockerd)
}

async fn reload_units(world: &World) -> Result<(), StepError> {
    world.dockerd()?.reload_units().await.map_err(StepError::Dockerd)
}

/// A dockerd that was started meanwhile may have some of the files and not others: it counts as one that has none.
async fn leave(world: &World) -> Result<(), StepError> {
    let facts = world.dockerd()?.look().await;
    let process = facts.process.as_ref().map(ProcessId::from);
    let at = world.clock.now();
    set_stage(world, Stage::Restarting { process, at })
}

async fn restart(world: &World) -> Result<(), StepError> {
    let daemon = world.dockerd()?;
    let facts = daemon.look().await;
    let down = facts.state == DaemonState::Stopped;
    // Where only the process says what it was told, one that is down cannot be asked about.
    if facts.process.is_some() || facts.unit.is_some() {
        let arranged = arranged(world, &facts, &world.versions().current_directory())?;
        if let Some(change) = arranged.changes.first() {
            return Err(StepError::ChangedMeanwhile(change.path.clone()));
        }
        if facts.config_file.contents.is_none() && !facts.config_file.named_by_flag {
            // It is asked about by name, and would miss it then; without a name it does not.
            validate_apart(world, &facts, &arranged).await?;
        } else {
            let path = arranged.config_path.clone();
            let checked = daemon.validate(&facts, &arranged, path).await;
            checked.map_err(StepError::Invalid)?;
        }
    }
    if !down && loses_containers(&attempt(world)?, &facts) {
        return Err(StepError::ChangedMeanwhile(facts.config_file.path));
    }
    let process = facts.process.as_ref().map(ProcessId::from);
    let at = world.clock.now();
    set_stage(world, Stage::Restarting { process, at })?;
    let ours = down && !matches!(facts.layout, Layout::Systemd { .. } | Layout::Snap { .. });
    let how = if ours { Restart::Whatever } else { Restart::Running };
    let restarted = daemon.restart(how, world.restart_timeout()).await;
    restarted.map_err(StepError::Dockerd)
}

/// Whether live-restore was written for this restart, and something else has taken it out again.
fn loses_containers(attempt: &Attempt, facts: &DaemonFacts) -> bool {
    let file = &facts.config_file;
    let keeps = |contents: Option<&[u8]>| {
        let json = DaemonJson::parse(&file.path, contents).ok();
        json.is_some_and(|json| json.get(LIVE_RESTORE) == Some(&true.into()))
    };
    let written = attempt.changes.iter().rfind(|change| change.path == file.path);
    let written = written.and_then(|change| change.after.as_ref());
    keeps(written.map(|bytes| &bytes.0[..])) && !keeps(file.contents.as_deref())
}

async fn verify(world: &World, address: SocketAddr) -> Result<(), StepError> {
    let serial = current_pair(world)?.serial().clone();
    wait_for_socket(world).await?;
    let deadline = world.clock.now() + world.restart_timeout();
    loop {
        let why = match world.probe.served(address).await {
            Served::Certificate(seen) if seen.serial != serial => {
                format!("{} is served instead of {}", seen.serial.short(), serial.short())
            }
            Served::Certificate(seen) if seen.asks_for_client => return Ok(()),
            Served::Certificate(_) => format!("{address} lets clients in without a certificate"),
            Served::Failed(why) => why,
            Served::NotDialled => return Ok(()),
        };
        if world.clock.now() >= deadline {
            return Err(StepError::NotServed(why));
        }
        world.dockerd()?.pause(LOOK_EVERY).await;
    }
}

/// Until dockerd answers on its unix socket, within the time a restart may take.
async fn wait_for_socket(world: &World) -> Result<(), StepError> {
    let daemon = world.dockerd()?;
    let deadline = world.clock.now() + world.restart_timeout();
    loop {
        let facts = daemon.look().await;
        let why = match facts.state {
            DaemonState::Running => match daemon.ping().await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            },
            DaemonState::Failed(why) => return Err(StepError::Dockerd(why)),
            DaemonState::Starting => "dockerd is still being started".to_owned(),
            DaemonState::Stopped => "dockerd does not run".to_owned(),
        };
        if world.clock.now() >= deadline {
            return Err(StepError::Dockerd(format!(
                "{why} after {} s",
                world.restart_timeout().as_secs()
            )));
        }
        daemon.pause(LOOK_EVERY).await;
    }
}

fn commit(world: &World) -> Result<(), StepError> {
    let serial = current_pair(world)?.serial().clone();
    remember(world, |memory| {
        memory.attempt = None;
        memory.failure = None;
        memory.served = Some(serial);
    })
}

/// Notes why, with what dockerd's log says about it.
async fn begin_return(world: &World, why: &str) -> Result<(), StepError> {
    let Attempt { began, stage, .. } = attempt(world)?;
    let restarted = !matches!(stage, Stage::Changing);
    let lines = world.dockerd()?.explain(began).await;
    let shown = lines.len().saturating_sub(LINES_REPORTED);
    let mut why = why.to_owned();
    for line in &lines[shown..] {
        why.push('\n');
        why.push_str(line);
    }
    let why = why.chars().take(REPORT_CHARS_MAX / 2).collect();
    set_stage(world, Stage::Returning { why, restarted })
}

async fn restore(world: &World, change: &Change) -> Result<(), StepError> {
    match originals::apply(world, change).await {
        Err(StepError::ChangedMeanwhile(path)) => {
            tracing::warn!(path = %path.display(), "something else has changed this file meanwhile: it is left as it is");
            Ok(())
        }
        Ok(()) if change.after.is_none() => Ok(originals::remove_directories(world)?),
        other => other,
    }
}

async fn restart_back(world: &World) -> Result<(), StepError> {
    let daemon = world.dockerd()?;
    let facts = daemon.look().await;
    let why = match attempt(world)?.stage {
        Stage::Returning { why, .. } | Stage::RestartingBack { why, .. } => why,
        Stage::Changing | Stage::Restarting { .. } => {
            return Err(StepError::Gone("the note of why it did not work"));
        }
    };
    let process = facts.process.as_ref().map(ProcessId::from);
    let at = world.clock.now();
    set_stage(world, Stage::RestartingBack { why, process, at })?;
    let restarted = daemon.restart(Restart::Whatever, world.restart_timeout()).await;
    restarted.map_err(StepError::Dockerd)
}

async fn verify_back(world: &World, address: SocketAddr) -> Result<(), StepError> {
    wait_for_socket(world).await?;
    let Some(before) = attempt(world)?.served else {
        return Ok(());
    };
    let served = world.probe.served(address).await;
    match served.serial() == Some(&before) {
        true => tracing::warn!(%address, serial = %before.short(), "what was served before is served again"),
        false => {
            tracing::error!(%address, ?served, "dockerd runs again, but does not serve what it served before")
        }
    }
    Ok(())
}

fn commit_return(world: &World) -> Result<(), StepError> {
    let attempt = attempt(world)?;
    let why = match attempt.stage {
        Stage::Returning { why, .. } | Stage::RestartingBack { why, .. } => why,
        Stage::Changing | Stage::Restarting { .. } => {
            return Err(StepError::Gone("the note of why it did not work"));
        }
    };
    note_failure(world, attempt.to, "RolledBack", why)?;
    remember(world, |memory| memory.attempt = None)
}

/// Notes that a version could not be put in use.
pub(in crate::agent) fn note_failure(
    world: &World,
    version: u64,
    reason: &str,
    why: String,
) -> Result<(), StepError> {
    let now = world.clock.now();
    remember(world, |memory| {
        let before = memory.failure.as_ref().map_or(0, |failure| failure.count);
        memory.failure = Some(FailedAttempt {
            version,
            reason: reason.to_owned(),
            why,
            at: now,
            count: before.saturating_add(1),
        });
    })
}
