//! `dockwarden agent unplug` and `plug`: the break-glass of mode `daemon`, for root. Works beside an agent that hangs, and
//! without one; asks dockerd's API nothing, because nobody may be answering there.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::settings::{self, Settings};
use crate::agent::daemon::facts::DaemonState;
use crate::agent::daemon::{Restart, leaving};
use crate::agent::{Config, RealProbe, World};
use crate::base::{Clock, SystemClock};
use crate::model::Mode;

/// How long a dockerd that waited for the plugin may take to start without it.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// What helps when nothing here does.
const BY_HAND: &str = "by hand: take \"dockwarden\" out of authorization-plugins in /etc/docker/daemon.json, then kill -HUP dockerd";

/// Arguments of `agent unplug` and `agent plug`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
}

/// Takes dockwarden out of dockerd's configuration and reloads dockerd, or starts it if it did not come up. Stays so
/// until `plug`.
pub fn unplug(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (world, config) = world(arguments).context(BY_HAND)?;
    world
        .records()
        .keep_unplugged(SystemClock.now())
        .context(BY_HAND)?;
    super::block_on(take_out(&world, &config))?.context(BY_HAND)?;
    eprintln!("revoked clients get in from now on, until: dockwarden agent plug");
    Ok(ExitCode::SUCCESS)
}

/// Lets the running agent plug itself in again.
pub fn plug(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (world, _) = world(arguments)?;
    world.records().forget_unplugged()?;
    eprintln!("the agent has dockerd ask it again within half a minute: dockwarden agent status");
    Ok(ExitCode::SUCCESS)
}

fn world(arguments: &Arguments) -> anyhow::Result<(World, Config)> {
    let config = arguments.settings.load()?;
    let world = arguments
        .settings
        .world(config.clone(), None, Arc::new(RealProbe));
    Ok((world, config))
}

async fn take_out(world: &World, config: &Config) -> anyhow::Result<()> {
    let dockerd = settings::dockerd_unasked(config);
    match leaving::unplug(world, &*dockerd).await? {
        true => eprintln!("dockwarden was taken out of dockerd's configuration, and dockerd told so"),
        false => eprintln!("dockerd's configuration does not name dockwarden"),
    }
    let state = dockerd.look().await.state;
    if let DaemonState::Failed(_) | DaemonState::Starting = state {
        eprintln!("dockerd is not up: starting it");
        dockerd
            .restart(Restart::Whatever, START_TIMEOUT)
            .await
            .map_err(anyhow::Error::msg)?;
    }
    if state != DaemonState::Stopped {
        dockerd
            .ping()
            .await
            .map_err(anyhow::Error::msg)
            .context("dockerd still does not answer: systemctl restart docker")?;
        eprintln!("dockerd answers");
    }
    Ok(())
}

/// After a change to another mode: dockerd is not to ask somebody who is not meant to answer. What went wrong is in the
/// log, and tried again with the next start.
pub async fn leave_behind(world: &World) {
    debug_assert_ne!(world.config.mode, Mode::Daemon);
    let outcome = match leaving::was_plugged(world) {
        Ok(false) => return,
        Ok(true) => leaving::unplug(world, &*settings::dockerd_unasked(&world.config)).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(true) => {
            tracing::warn!(mode = %world.config.mode, "dockerd asked the authorization plugin of mode daemon: it does not any more")
        }
        Ok(false) => {}
        Err(error) => {
            tracing::error!("dockerd may still ask the authorization plugin of mode daemon: {error}")
        }
    }
}
