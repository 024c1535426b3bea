//! `dockwarden agent uninstall`: this host's certificate, key and memory, gone.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::settings::Settings;
use crate::agent::Records;
use crate::sys::{Files, Versions};

/// Arguments of `agent uninstall`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Box<Settings>,
    /// Do it. The key is gone for good; joining again needs a new token
    #[arg(long)]
    yes: bool,
}

/// Removes everything the agent put on this host, but not its configuration.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    let (files, state) = (config.files.display(), config.state.display());
    if !arguments.yes {
        eprintln!("this would remove {files}/current, {files}/versions and {state}; pass --yes to do it");
        return Ok(ExitCode::from(2));
    }
    let records = Records::new(Files::system(), &config.state);
    let lock = match records.open() {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            bail!("an agent is running here: stop it first (systemctl disable --now dockwarden-agent)");
        }
        Err(error) => return Err(error.into()),
    };
    Versions::new(Files::system(), &config.files).remove_all()?;
    records.remove_all()?;
    drop(lock);
    eprintln!("removed {files}/current, {files}/versions and {state}");
    eprintln!("the server still lists this host until it is removed there: dockwarden host rm NAME");
    Ok(ExitCode::SUCCESS)
}
