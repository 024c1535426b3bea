//! `dockwarden server`.

mod compose;
mod config;
mod init;
mod layout;
mod passphrase;
mod run;

use std::process::ExitCode;

use clap::Subcommand;

/// Commands of `dockwarden server`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a CA: root, issuers, database, the first administrator.
    Init(Box<init::InitArgs>),
    /// Serve.
    Run(Box<run::RunArgs>),
}

/// Runs one.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => init::run(&args)?,
        Command::Run(args) => run::run(*args)?,
    }
    Ok(ExitCode::SUCCESS)
}
