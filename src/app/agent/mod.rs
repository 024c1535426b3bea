//! `dockwarden agent`.

use std::process::ExitCode;

use clap::Subcommand;

/// Commands of `dockwarden agent`.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// Runs one.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {}
}
