//! `dockwarden server`.

mod admin;
mod backup;
mod change_passphrase;
pub(super) mod compose;
pub(super) mod config;
pub(super) mod init;
pub(super) mod layout;
pub(super) mod passphrase;
mod root_crl;
mod run;
pub(super) mod upkeep;

use std::process::ExitCode;

use clap::Subcommand;

/// Commands of `dockwarden server`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a CA: root, issuers, database, the first administrator.
    Init(Box<init::InitArgs>),
    /// Serve.
    Run(Box<run::RunArgs>),
    /// Copy database, certificates and encrypted keys, while the server runs or not.
    Backup(backup::BackupArgs),
    /// Put a backup back. Refuses to overwrite.
    Restore(backup::BackupArgs),
    /// Encrypt the CA's keys with another passphrase.
    Passphrase(change_passphrase::ChangeArgs),
    /// Sign the list of revoked issuers with the root's key, or take it over from where that is.
    #[command(subcommand)]
    RootCrl(root_crl::RootCrlCommand),
    /// Make an administrator's certificate, without a token: for who lost theirs.
    Admin(admin::AdminArgs),
}

/// Checks the text of a `server.toml`, without flags, environment or files.
///
/// # Errors
/// What cannot be read or cannot work.
pub fn check_config(text: &str) -> anyhow::Result<()> {
    config::Config::parse(text).map(drop)
}

/// Runs one.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => init::run(&args)?,
        Command::Run(args) => run::run(*args)?,
        Command::Backup(args) => backup::backup(&args)?,
        Command::Restore(args) => backup::restore(&args)?,
        Command::Passphrase(args) => change_passphrase::run(&args)?,
        Command::RootCrl(command) => root_crl::run(&command)?,
        Command::Admin(args) => admin::run(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}
