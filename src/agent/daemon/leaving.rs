//! Giving dockerd back: every file of others as it was, or theirs without ours, and one restart so that it runs so.
//! Can be repeated: a file that was given back already is left alone.

use std::path::Path;
use std::time::Duration;

use super::arrangement::daemon_json::{DaemonJson, LIVE_RESTORE};
use super::arrangement::release::{Release, as_change, release};
use super::arrangement::{Arrangement, Wanted, arrange};
use super::attempt::DaemonMemory;
use super::change::{Bytes, Change};
use super::dockerd::{Dockerd, Restart};
use super::facts::DaemonState;
use super::originals::{self, Original, Originals};
use super::plug::act;
use crate::agent::World;
use crate::agent::execute::StepError;
use crate::sys::FileError;

/// How often it is looked whether dockerd is up again.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long dockerd may take to be up again.
const RESTART_TIMEOUT: Duration = Duration::from_secs(120);

/// What giving dockerd back comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// The files that change, in this order.
    pub changes: Vec<Change>,
    /// What cannot be given back as it was, one sentence each.
    pub left: Vec<String>,
    /// Whether dockerd runs, and is restarted.
    pub restarts: bool,
}

/// Why dockerd could not be given back.
#[derive(Debug, thiserror::Error)]
pub enum LeavingError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// dockerd, or who starts it.
    #[error("the files are as they were, but dockerd does not run with them: {0}")]
    Dockerd(String),
    /// dockerd could not be started with what was found before us; it has ours again.
    #[error(
        "with the files as they were found dockerd does not start, so it was left with ours: {0}\ncorrect them (agent uninstall --dry-run shows them), then try again"
    )]
    Unstartable(String),
}

impl From<StepError> for LeavingError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::File(error) => Self::File(error),
            other => Self::Dockerd(other.to_string()),
        }
    }
}

/// Whether this host has files of others that we changed.
pub fn is_needed(world: &World) -> Result<bool, FileError> {
    Ok(!world.records().originals()?.files.is_empty())
}

/// Has dockerd ask the authorization plugin no more, by a reload; one that does not run will not ask when it is started.
/// False when its configuration did not say so. Needs no lock, and nothing of dockerd's API.
///
/// # Errors
/// [`LeavingError`].
pub async fn unplug(world: &World, dockerd: &dyn Dockerd) -> Result<bool, LeavingError> {
    Ok(act::withdraw(world, dockerd).await?)
}

/// What would be done. Changes nothing.
pub async fn preview(world: &World, dockerd: &dyn Dockerd) -> Result<Leaving, LeavingError> {
    let mut leaving = Leaving::default();
    let facts = dockerd.look().await;
    // The order that they were written in, backwards: dockerd can be started after each.
    for original in world.records().originals()?.files.iter().rev() {
        let current = originals::read(world, &original.path)?;
        let released = released(original, current.as_ref());
        if let Release::Merged { left, .. } = &released {
            let path = original.path.display();
            leaving
                .left
                .extend(left.iter().map(|why| format!("{path}: {why}")));
        }
        let current = current.as_ref().map(|bytes| &bytes.0[..]);
        let change = as_change(&original.path, current, &released);
        leaving.changes.extend(change.as_ref().map(Change::from));
    }
    leaving.restarts = !leaving.changes.is_empty() && facts.state == DaemonState::Running;
    let wanted = Wanted {
        listen: world.config.listen,
        directory: world.versions().current_directory(),
    };
    if let Ok(Arrangement {
        closing: Some(closing),
        config_path,
        ..
    }) = arrange(&facts, &wanted)
    {
        leaving.changes = by_the_closed_port(leaving.changes, &Change::from(&closing), &config_path);
    }
    Ok(leaving)
}

/// Settings of TLS that go from the flags back to the file go while the port is closed: in both places they keep dockerd
/// from starting, and in none they let everybody in.
fn by_the_closed_port(changes: Vec<Change>, closing: &Change, config_path: &Path) -> Vec<Change> {
    let flags = changes.iter().position(|change| change.path == closing.path);
    let file = changes.iter().position(|change| change.path == config_path);
    let (Some(flags), Some(file)) = (flags, file) else {
        return changes;
    };
    let last = Change {
        before: closing.after.clone(),
        ..changes[flags].clone()
    };
    let mut ordered = vec![closing.clone(), changes[file].clone(), last];
    let others = changes.into_iter().enumerate();
    ordered.extend(
        others
            .filter(|(at, _)| *at != flags && *at != file)
            .map(|(_, change)| change),
    );
    ordered.retain(|change| change.before != change.after);
    ordered
}

fn released(original: &Original, current: Option<&Bytes>) -> Release {
    let slice = |bytes: Option<&Bytes>| bytes.map(|bytes| bytes.0.clone());
    let (before, ours, current) = (
        slice(original.contents.as_ref()),
        slice(original.ours.as_ref()).unwrap_or_default(),
        slice(current),
    );
    release(before.as_deref(), &ours, current.as_deref())
}

/// Does it. Containers outlive the restart where they would have outlived one before.
pub async fn leave(world: &World, dockerd: &dyn Dockerd, leaving: &Leaving) -> Result<(), LeavingError> {
    // While there still is somebody who answers.
    unplug(world, dockerd).await?;
    give_back(world, dockerd, leaving).await
}

/// The same for an agent that goes on in another mode: dockerd asks its plugin until the restart that closes the port, so
/// that nobody who is revoked gets in on the way, and nothing of mode `daemon` is remembered afterwards. What was
/// interrupted is done by doing it again. `None` where there was nothing to give back.
///
/// # Errors
/// [`LeavingError`]. dockerd then asks as it did.
pub async fn hand_back(world: &World, dockerd: &dyn Dockerd) -> Result<Option<Leaving>, LeavingError> {
    if !is_needed(world)? {
        return Ok(None);
    }
    let mut leaving = preview(world, dockerd).await?;
    let records = world.records();
    // An interrupted one may have written everything, and not restarted it.
    let is_over = leaving.changes.is_empty() && records.daemon()? == DaemonMemory::default();
    leaving.restarts = !is_over && dockerd.look().await.state == DaemonState::Running;
    give_back(world, dockerd, &leaving).await?;
    records.keep_originals(&Originals::default())?;
    Ok(Some(leaving))
}

async fn give_back(world: &World, dockerd: &dyn Dockerd, leaving: &Leaving) -> Result<(), LeavingError> {
    for (at, change) in leaving.changes.iter().enumerate() {
        let step = match leaving.restarts {
            true => keeping_containers(change),
            false => change.clone(),
        };
        if leaving.changes[at + 1..]
            .iter()
            .any(|later| later.path == change.path)
        {
            originals::note_passing(world, change)?;
        }
        originals::write(world, &step)?;
        if change.reload_units {
            dockerd.reload_units().await.map_err(LeavingError::Dockerd)?;
        }
    }
    // An interrupted one has written what systemd was not told to read.
    if dockerd.look().await.unit.is_some_and(|unit| unit.needs_reload) {
        dockerd.reload_units().await.map_err(LeavingError::Dockerd)?;
    }
    if leaving.restarts
        && let Err(why) = restart(world, dockerd, Restart::Running).await
    {
        return take_back(world, dockerd, leaving, why).await;
    }
    // What runs now is as the files say.
    world.records().keep_daemon(&DaemonMemory::default())?;
    if leaving.restarts {
        let kept = |change: &&Change| keeping_containers(change) != **change;
        for change in leaving.changes.iter().filter(kept) {
            originals::write(world, change)?;
        }
    }
    Ok(originals::remove_directories(world)?)
}

/// The change, but with live-restore left on where it is on now: dockerd stops the containers that it finds when it
/// starts without. It takes effect again with the next restart, whoever does that.
pub(super) fn keeping_containers(change: &Change) -> Change {
    let parse = |bytes: &Option<Bytes>| {
        DaemonJson::parse(Path::new("daemon.json"), bytes.as_ref().map(|b| &b.0[..])).ok()
    };
    let on = |json: &DaemonJson| json.get(LIVE_RESTORE) == Some(&true.into());
    let is_json = change
        .path
        .extension()
        .is_some_and(|extension| extension == "json");
    let kept = || {
        let (now, mut then) = (parse(&change.before)?, parse(&change.after)?);
        if !on(&now) || then.has(LIVE_RESTORE) {
            return None;
        }
        then.set(LIVE_RESTORE, true.into());
        then.bytes().ok().flatten()
    };
    let after = is_json.then(kept).flatten().map(Bytes);
    Change {
        after: after.or_else(|| change.after.clone()),
        ..change.clone()
    }
}

/// What was found before us does not start: rather ours than a dockerd that is down.
async fn take_back(
    world: &World,
    dockerd: &dyn Dockerd,
    leaving: &Leaving,
    why: String,
) -> Result<(), LeavingError> {
    for change in leaving.changes.iter().rev() {
        originals::write(world, &change.clone().reversed())?;
        if change.reload_units {
            dockerd.reload_units().await.map_err(LeavingError::Dockerd)?;
        }
    }
    match restart(world, dockerd, Restart::Whatever).await {
        Ok(()) => Err(LeavingError::Unstartable(why)),
        Err(again) => Err(LeavingError::Dockerd(format!("{why}\nnor with ours: {again}"))),
    }
}

async fn restart(world: &World, dockerd: &dyn Dockerd, how: Restart) -> Result<(), String> {
    let began = world.clock.now();
    let restarted = dockerd.restart(how, RESTART_TIMEOUT).await;
    let up = match restarted {
        Ok(()) => wait(world, dockerd).await,
        failed => failed,
    };
    match up {
        Ok(()) => Ok(()),
        Err(why) => {
            let lines = dockerd.explain(began).await;
            Err(format!("{why}\n{}", lines.join("\n")).trim().to_owned())
        }
    }
}

async fn wait(world: &World, dockerd: &dyn Dockerd) -> Result<(), String> {
    let deadline = world.clock.now() + RESTART_TIMEOUT;
    loop {
        match dockerd.ping().await {
            Ok(()) => return Ok(()),
            Err(why) if world.clock.now() >= deadline => return Err(why),
            Err(_) => dockerd.pause(LOOK_EVERY).await,
        }
    }
}
