//! The commands for people, given the real world to work on.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::CommandFactory;

use super::Cli;
use crate::base::{SystemClock, SystemRandom};
use crate::cli::{self, Environment, World};
use crate::sys::Files;

/// This process's environment, files, clock, randomness and standard output.
pub fn world() -> World {
    with_output(Box::new(std::io::stdout()))
}

/// The same, for a caller that tells the results itself.
#[cfg(all(feature = "server", feature = "agent"))]
pub fn quiet_world() -> World {
    with_output(Box::new(std::io::sink()))
}

fn with_output(out: Box<dyn Write + Send>) -> World {
    World::new(
        Environment::of_process(),
        Files::system(),
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
        out,
    )
}

/// Runs one.
pub fn run(command: cli::Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .context("cannot start the event loop")?
        .block_on(cli::run(command, &mut world()));
    match result {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) if error.is_broken_pipe() => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("dockwarden: {error}");
            Ok(ExitCode::from(error.exit_code()))
        }
    }
}

/// `dockwarden completion`.
pub fn completion(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dockwarden", &mut script);
    print(&script)
}

/// `dockwarden man`: one page a command, or the first one to standard output.
pub fn man(directory: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return print(&page);
    };
    let files = Files::system();
    files.public_directory(directory)?;
    let mut command = Cli::command();
    command.build();
    pages(&command, &files, directory)?;
    Ok(ExitCode::SUCCESS)
}

fn pages(command: &clap::Command, files: &Files, directory: &Path) -> anyhow::Result<()> {
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    files.write_public(&directory.join(man.get_filename()), &page)?;
    command
        .get_subcommands()
        .try_for_each(|subcommand| pages(subcommand, files, directory))
}

fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("cannot write the result"),
        _ => Ok(ExitCode::SUCCESS),
    }
}
