//! `dockwarden agent`.

mod apply;
pub(super) mod follower;
pub(super) mod front;
mod learn;
mod lists;
mod metrics;
mod plan;
mod plugging;
mod plugin;
mod run;
pub(super) mod settings;
mod status;
mod uninstall;

use std::process::ExitCode;

use clap::Subcommand;

/// Commands of `dockwarden agent`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep this host enrolled, its certificate fresh and, in mode gate, Docker reachable over mutual TLS.
    Run(run::Arguments),
    /// Show how this host is: what the running agent last found.
    Status(status::Arguments),
    /// Show what the agent would do now, and why. Changes nothing.
    Plan(plan::Arguments),
    /// Do what `plan` shows, once, in the foreground. For hosts without a running agent.
    Apply(apply::Arguments),
    /// Have dockerd ask dockwarden no more, at once: for when nobody answers it. Revoked clients get in then.
    Unplug(plugging::Arguments),
    /// Take back `unplug`.
    Plug(plugging::Arguments),
    /// Remove this host's certificate, key and everything the agent remembers.
    Uninstall(uninstall::Arguments),
}

/// Runs one.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(arguments) => run::run(arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Unplug(arguments) => plugging::unplug(&arguments),
        Command::Plug(arguments) => plugging::plug(&arguments),
        Command::Uninstall(arguments) => uninstall::run(&arguments),
    }
}

/// A small runtime for a command that looks at the host once.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(work))
}
