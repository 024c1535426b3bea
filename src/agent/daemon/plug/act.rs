//! Plugging in and taking out: by a reload, never a restart; in only after the plugin has answered on its own socket,
//! because dockerd dies of a reload that names one that does not.

use std::path::Path;
use std::time::Duration;

use super::{Asked, Plugin, ask, unplugging};
use crate::agent::World;
use crate::agent::daemon::change::Change;
use crate::agent::daemon::dockerd::Dockerd;
use crate::agent::daemon::facts::DaemonState;
use crate::agent::daemon::{engine, originals};
use crate::agent::execute::StepError;

/// How long the plugin may take to answer its own agent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long dockerd may take to ask after a reload, or not to ask any more.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Has dockerd ask. What does not come to that is taken back.
pub(in crate::agent) async fn plug(world: &World, changes: &[Change]) -> Result<(), StepError> {
    let plugin = world
        .plugin
        .as_ref()
        .ok_or(StepError::Gone("the plugin's socket"))?;
    if let Err(why) = plugin.answers().await {
        return Err(StepError::Plugin(format!(
            "it does not answer, so dockerd was not told of it: {why}"
        )));
    }
    for change in changes {
        originals::apply(world, change).await?;
    }
    let daemon = world.dockerd()?;
    let reloaded = daemon.reload().await.map_err(StepError::Dockerd);
    let why = match reloaded {
        Ok(()) => match proved(world, &**daemon, &**plugin).await {
            Ok(()) => {
                tracing::info!("dockerd asks the authorization plugin about every request from now on");
                return Ok(());
            }
            Err(why) => format!("dockerd was told to ask, and does not: {why}; it was taken out again"),
        },
        Err(error) => error.to_string(),
    };
    withdraw(world, &**daemon).await?;
    Err(StepError::Plugin(why))
}

/// Whether dockerd asks now. What the plugin of another process is asked, that one knows; but a dockerd that answers has
/// somebody who answers it.
async fn proved(world: &World, dockerd: &dyn Dockerd, plugin: &dyn Plugin) -> Result<(), String> {
    match plugin.was_asked("") {
        Some(_) => settled(world, dockerd, |asked| *asked == Asked::Yes).await,
        None => dockerd.ping().await,
    }
}

/// Has dockerd ask no more.
pub(in crate::agent) async fn unplug(world: &World, changes: &[Change]) -> Result<(), StepError> {
    for change in changes {
        originals::apply(world, change).await?;
    }
    reload(world, &**world.dockerd()?).await
}

/// Takes us out of dockerd's configuration as it is now, wherever it stands in it; false when it is not there. Needs no
/// lock: it may be done beside an agent that hangs.
///
/// # Errors
/// The disk, or a configuration that cannot be read; then nothing was changed.
pub(in crate::agent) async fn withdraw(world: &World, dockerd: &dyn Dockerd) -> Result<bool, StepError> {
    let facts = dockerd.look().await;
    let known = world.records().originals()?;
    let original = known.of(&facts.config_file.path);
    let original = original.and_then(|known| known.contents.as_ref());
    let changes = unplugging(&facts, original).map_err(StepError::Plugin)?;
    for change in &changes {
        originals::write(world, change)?;
    }
    if !changes.is_empty() {
        reload(world, dockerd).await?;
    }
    Ok(!changes.is_empty())
}

/// Reloads a dockerd that runs, and waits until it asks no more.
async fn reload(world: &World, dockerd: &dyn Dockerd) -> Result<(), StepError> {
    let facts = dockerd.look().await;
    if facts.state != DaemonState::Running {
        return Ok(());
    }
    dockerd.reload().await.map_err(StepError::Dockerd)?;
    let quiet = |asked: &Asked| *asked != Asked::Yes;
    settled(world, dockerd, quiet)
        .await
        .map_err(|_| StepError::Plugin("dockerd was told not to ask, and still does".to_owned()))?;
    tracing::warn!("dockerd does not ask the authorization plugin any more: revoked clients get in");
    Ok(())
}

async fn settled(world: &World, dockerd: &dyn Dockerd, done: impl Fn(&Asked) -> bool) -> Result<(), String> {
    let deadline = world.clock.now() + RELOAD_TIMEOUT;
    loop {
        let facts = dockerd.look().await;
        let asked = ask(world, dockerd, &facts).await;
        if done(&asked) {
            return Ok(());
        }
        if world.clock.now() >= deadline {
            return Err(match asked {
                Asked::Unknown(why) => why,
                Asked::Yes | Asked::No => "it answers without asking".to_owned(),
            });
        }
        dockerd.pause(LOOK_EVERY).await;
    }
}

/// What dockerd does first with a plugin.
pub(in crate::agent) async fn answers(socket: &Path) -> Result<(), String> {
    let body = engine::post(socket, "/Plugin.Activate", ANSWER_TIMEOUT).await?;
    match body.windows(5).any(|window| window == b"authz") {
        true => Ok(()),
        false => Err(format!("somebody else answers on {}", socket.display())),
    }
}
