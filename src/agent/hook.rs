//! The hook of mode `files`: what tells the program that reads the files. One runs at a time, whoever starts it.

use std::time::Duration;

use super::config::Hook;
use crate::sys::{CommandLine, Outcome, Programs};

/// Hooks are written by people who think of one change at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Says in the hook's environment what has changed: `certificate` or `revocations`.
pub const CHANGED: &str = "DOCKWARDEN_CHANGED";
/// Names the directory with the certificate in use.
pub const DIRECTORY: &str = "DOCKWARDEN_DIRECTORY";

/// Names the file with the lists, where those have changed.
pub const LISTS: &str = "DOCKWARDEN_CRL";
/// How many certificates it names that it did not name the last time: 0 when it only became fresher.
pub const REVOKED: &str = "DOCKWARDEN_REVOKED";

/// Runs the hook, after any other that is running has ended.
pub(super) async fn run(
    hook: &Hook,
    timeout: Duration,
    variables: &[(&str, String)],
    programs: &dyn Programs,
) -> Outcome {
    let command = match hook {
        Hook::Shell(line) => CommandLine::shell(line, timeout),
        Hook::Program(words) => CommandLine::new(words, timeout),
    };
    let command = variables.iter().fold(command, |command, (name, value)| {
        command.with_variable(name, value)
    });
    let _turn = TURN.lock().await;
    programs.run(&command).await
}
