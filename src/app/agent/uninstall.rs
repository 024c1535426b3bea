//! `dockwarden agent uninstall`: dockerd as it was, and this host's certificate, key and memory gone.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use super::settings::{self, Settings};
use crate::agent::daemon::arrangement::FileChange;
use crate::agent::daemon::arrangement::diff::unified;
use crate::agent::daemon::leaving::{self, Leaving};
use crate::agent::{Config, RealProbe, World};
use crate::sys::Files;

/// Arguments of `agent uninstall`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
    /// Do it. The key is gone for good; joining again needs a new token
    #[arg(long)]
    yes: bool,
    /// Show what would be done, with every file change as a diff, and do nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Removes everything the agent put on this host, but not its configuration.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    let world = arguments
        .settings
        .world(config.clone(), None, Arc::new(RealProbe));
    if !arguments.yes {
        let leaving = super::block_on(preview(&world, &config))??;
        eprint!("{}", text(&leaving, &config, arguments.dry_run));
        return Ok(if arguments.dry_run {
            ExitCode::SUCCESS
        } else {
            eprintln!("pass --yes to do it");
            ExitCode::from(2)
        });
    }
    let records = world.records();
    let lock = match records.open() {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            bail!(
                "an agent is running here: stop it first (systemctl disable --now dockwarden-agent; where dockwarden-authz.socket is enabled: dockwarden agent unplug, then the same for both units)"
            );
        }
        Err(error) => return Err(error.into()),
    };
    let leaving = super::block_on(leave(&world, &config))??;
    world.versions().remove_all()?;
    Files::system().remove_if_empty(&config.files)?;
    records.remove_all()?;
    drop(lock);
    let (files, state) = (config.files.display(), config.state.display());
    for change in &leaving.changes {
        eprintln!("put back {}", change.path.display());
    }
    for left in &leaving.left {
        eprintln!("dockwarden: warning: {left}");
    }
    eprintln!("removed {files}/current, {files}/versions and {state}");
    eprintln!("the server still lists this host; take its access there: dockwarden host revoke NAME");
    Ok(ExitCode::SUCCESS)
}

async fn preview(world: &World, config: &Config) -> anyhow::Result<Leaving> {
    if !leaving::is_needed(world)? {
        return Ok(Leaving::default());
    }
    Ok(leaving::preview(world, &*settings::dockerd(config)).await?)
}

async fn leave(world: &World, config: &Config) -> anyhow::Result<Leaving> {
    let leaving = preview(world, config).await?;
    if leaving::is_needed(world)? {
        leaving::leave(world, &*settings::dockerd(config), &leaving).await?;
    }
    Ok(leaving)
}

/// What would be done.
fn text(leaving: &Leaving, config: &Config, diffs: bool) -> String {
    let mut out = String::from("this would\n");
    for change in &leaving.changes {
        let _ = writeln!(out, "  put {} back", change.path.display());
    }
    if leaving.restarts {
        out.push_str("  restart dockerd, so that it runs as it did before\n");
    }
    let (files, state) = (config.files.display(), config.state.display());
    let _ = writeln!(out, "  remove {files}/current, {files}/versions and {state}");
    for left in &leaving.left {
        let _ = writeln!(out, "  but {left}");
    }
    if diffs {
        for change in &leaving.changes {
            out.push_str(&unified(&FileChange::from(change)));
        }
    }
    out
}
