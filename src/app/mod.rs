//! Configuration and composition: the only place that names an implementation. Nothing imports it but
//! `main`.

#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "cli")]
mod commands;
#[cfg(any(feature = "server", feature = "agent"))]
mod config;
#[cfg(feature = "agent")]
mod doctor;
#[cfg(feature = "agent")]
mod format;
mod logging;
#[cfg(all(feature = "server", feature = "agent", feature = "cli"))]
mod quickstart;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "server")]
pub use server::check_config as check_server_config;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps a fleet of Docker hosts reachable over mutual TLS.
#[derive(Debug, Parser)]
#[command(
    name = "dockwarden",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on this machine: CA, agent, gate, a client, a docker context
    #[cfg(all(feature = "server", feature = "agent", feature = "cli"))]
    Quickstart(quickstart::QuickstartArgs),
    /// The CA: set it up, run it, back it up
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Server(server::Command),
    /// The controller on a Docker host, with the gate
    #[cfg(feature = "agent")]
    #[command(subcommand)]
    Agent(agent::Command),
    /// Say what is wrong on this host, each with its fix
    #[cfg(feature = "agent")]
    Doctor(doctor::Arguments),
    #[cfg(feature = "cli")]
    #[command(flatten)]
    People(crate::cli::Command),
    /// Print a completion script for a shell
    #[cfg(feature = "cli")]
    #[command(after_help = "  dockwarden completion bash > /etc/bash_completion.d/dockwarden")]
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory, or print the first one
    #[cfg(feature = "cli")]
    Man {
        /// Directory for all pages, such as /usr/local/share/man/man1
        #[arg(long, value_name = "DIR")]
        dir: Option<std::path::PathBuf>,
    },
}

/// Runs the command line; the exit code is 0, 1 (failed) or 2 (usage). Those of `doctor` are its own.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command {
        #[cfg(all(feature = "server", feature = "agent", feature = "cli"))]
        Command::Quickstart(args) => quickstart::run(&args),
        #[cfg(feature = "server")]
        Command::Server(command) => server::run(command),
        #[cfg(feature = "agent")]
        Command::Agent(command) => agent::run(command),
        #[cfg(feature = "agent")]
        Command::Doctor(arguments) => doctor::run(&arguments),
        #[cfg(feature = "cli")]
        Command::People(command) => commands::run(command),
        #[cfg(feature = "cli")]
        Command::Completion { shell } => commands::completion(shell),
        #[cfg(feature = "cli")]
        Command::Man { dir } => commands::man(dir.as_deref()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dockwarden: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Help and version go to standard output with 0, what is wrong to standard error with 2; 64 for `doctor`, whose 2
/// means a warning.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when even this cannot be written.
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    #[cfg(feature = "agent")]
    if code != 0 && std::env::args_os().nth(1).is_some_and(|word| word == "doctor") {
        return ExitCode::from(doctor::USAGE);
    }
    ExitCode::from(code)
}

/// The error and what led to it, as one sentence. A cause that the one above it has named already is not named twice.
fn explain(error: &anyhow::Error) -> String {
    let mut causes = error.chain().map(ToString::to_string);
    let mut text = causes.next().unwrap_or_default();
    for cause in causes {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[derive(Debug, thiserror::Error)]
    #[error("the CA key file {0}")]
    struct Names(#[source] std::num::ParseIntError);

    #[test]
    fn a_cause_is_named_once_whether_or_not_the_error_above_names_it() {
        let cause = "x".parse::<u8>().expect_err("no number");
        let named = anyhow::Error::new(Names(cause)).context("hosts.key.pem");
        assert_eq!(
            explain(&named),
            "hosts.key.pem: the CA key file invalid digit found in string"
        );
        let bare = "x".parse::<u8>().context("the port");
        let bare = bare.expect_err("no number");
        assert_eq!(explain(&bare), "the port: invalid digit found in string");
    }
}
