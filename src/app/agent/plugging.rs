//! `dockwarden agent unplug` and `plug`: the break-glass of mode `daemon`, for root. Works beside an agent that hangs, and
//! without one; asks dockerd's API nothing, because nobody may be answering there.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::settings::{self, Settings};
use crate::agent::daemon::Restart;
use crate::agent::daemon::facts::DaemonState;
use crate::agent::daemon::leaving::{self, Leaving, LeavingError};
use crate::agent::{Config, RealProbe, World};
use crate::base::{Clock, SystemClock};
use crate::model::Mode;
use crate::sys::systemd;

/// How long a dockerd that waited for the plugin may take to start without it.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// How often it is looked whether it has started.
const LOOK_EVERY: Duration = Duration::from_millis(250);
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

/// After a change to another mode: dockerd is given back, as it was before mode `daemon`, by one restart. Until then it asks
/// the plugin, which answers here. What went wrong is in the log, and tried again with the next start.
pub async fn leave_behind(world: &World) {
    debug_assert_ne!(world.config.mode, Mode::Daemon);
    match leaving::is_needed(world) {
        Ok(false) => return,
        Ok(true) => {
            tracing::warn!(mode = %world.config.mode, "dockerd serves clients itself, as mode daemon had it: it is given back, and restarted")
        }
        Err(error) => {
            return tracing::error!("whether dockerd is as mode daemon left it is not known: {error}");
        }
    }
    // dockerd is started after this agent is ready: its restart would wait for us.
    systemd::ready();
    match give_back(world).await {
        Ok(leaving) => {
            for left in leaving.iter().flat_map(|leaving| &leaving.left) {
                tracing::warn!("{left}");
            }
            tracing::info!("dockerd is as it was before mode daemon");
        }
        Err(error) => {
            tracing::error!(
                "dockerd may still serve clients itself, and ask the authorization plugin: {error}"
            )
        }
    }
}

async fn give_back(world: &World) -> Result<Option<Leaving>, LeavingError> {
    // Where nobody answers dockerd, it answers nobody: not even what it is asked here.
    if world.plugin.is_none() {
        leaving::unplug(world, &*settings::dockerd_unasked(&world.config)).await?;
    }
    let dockerd = settings::dockerd(&world.config);
    let deadline = world.clock.now() + START_TIMEOUT;
    // It may have been waiting for the plugin.
    while dockerd.look().await.state == DaemonState::Starting && world.clock.now() < deadline {
        dockerd.pause(LOOK_EVERY).await;
    }
    leaving::hand_back(world, &*dockerd).await
}
