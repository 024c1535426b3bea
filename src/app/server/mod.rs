//! `dockwarden server`.

use std::process::ExitCode;

use clap::Subcommand;

/// Commands of `dockwarden server`.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// Runs one.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {}
}
