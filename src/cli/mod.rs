//! The command line: nouns and verbs as Docker has them. Results go to standard output, everything else to
//! standard error; exit codes are 0, 1 (failed) and 2 (usage).
//!
//! Never knows how a server, an agent or a gate is built: those commands live in `app`.

mod arguments;
mod audit;
mod cert;
pub mod client;
mod crl;
mod dashboard;
mod error;
mod host;
mod job;
mod notify;
mod output;
mod pages;
pub mod profile;
mod revoke;
mod role;
mod text;
mod token;
mod waiting;
mod world;

use clap::Subcommand;

pub use error::Error;
pub use world::{Environment, World};

/// The commands for people.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join tokens: make, list, withdraw
    #[command(subcommand)]
    Token(token::Command),
    /// Docker hosts, and enrolments that wait for approval
    #[command(subcommand)]
    Host(host::Command),
    /// People and CI jobs: enrol here, renew, docker contexts
    #[command(subcommand)]
    Client(client::Command),
    /// What clients may do to Docker, and who may where
    #[command(subcommand)]
    Role(role::Command),
    /// Certificates that were issued
    #[command(subcommand)]
    Cert(cert::Command),
    /// Lists of revoked certificates
    #[command(subcommand)]
    Crl(crl::Command),
    /// What the server does by itself, when, and what came of it
    #[command(subcommand)]
    Job(job::Command),
    /// Make a link that signs a browser in to the server's dashboard, once, within a minute
    Dashboard(dashboard::Arguments),
    /// What somebody should look at
    #[command(subcommand)]
    Problem(notify::ProblemCommand),
    /// What people were told of it, and what waits to be
    #[command(subcommand)]
    Notify(notify::Command),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Runs a command; the value is its exit code.
pub async fn run(command: Command, world: &mut World) -> Result<u8, Error> {
    match command {
        Command::Token(command) => token::run(command, world).await,
        Command::Host(command) => host::run(command, world).await,
        Command::Client(command) => client::run(command, world).await,
        Command::Role(command) => role::run(command, world).await,
        Command::Cert(command) => cert::run(command, world).await,
        Command::Crl(command) => crl::run(command, world).await,
        Command::Job(command) => job::run(command, world).await,
        Command::Dashboard(arguments) => dashboard::run(arguments, world).await,
        Command::Problem(command) => notify::run_problem(command, world).await,
        Command::Notify(command) => notify::run(command, world).await,
        Command::Audit(command) => audit::run(command, world).await,
    }
}
