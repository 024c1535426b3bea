//! The table `[daemon]` of the agent's configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::agent::config::Hook;
use crate::base::Span;
use crate::base::Windows;

/// How long a restart waits for pulls and builds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a restart may take.
const RESTART_TIMEOUT: Duration = Duration::from_secs(90);
/// The bounds of a restart's time: an engine with many containers needs half a minute, and nobody waits an hour.
const RESTART_TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(1800);
/// The longest wait for pulls and builds.
const IDLE_TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

/// The table as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDaemon {
    /// When dockerd may be restarted for reasons that can wait; always, when there are none.
    pub windows: Option<Windows>,
    /// What restarts a dockerd that neither systemd nor a service script starts.
    pub restart_command: Option<Hook>,
    /// How long a restart waits for pulls and builds to end.
    pub idle_timeout: Option<Span>,
    /// How long a restart may take.
    pub restart_timeout: Option<Span>,
    /// Whether dockerd asks the authorization plugin; absent: where systemd keeps a socket for it.
    pub authz: Option<bool>,
}

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DaemonConfigError {
    /// An empty command.
    #[error("restart_command is empty: name a program, or remove it")]
    EmptyCommand,
    /// A wait out of bounds.
    #[error("idle_timeout must be at most 1d")]
    IdleTimeout,
    /// A wait out of bounds.
    #[error("restart_timeout must be between 5s and 30m")]
    RestartTimeout,
}

/// The table, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    /// When dockerd may be restarted for reasons that can wait.
    pub windows: Windows,
    /// What restarts a dockerd that neither systemd nor a service script starts: program and arguments.
    pub restart_command: Option<Vec<String>>,
    /// How long a restart waits for pulls and builds to end.
    pub idle_timeout: Duration,
    /// How long a restart may take.
    pub restart_timeout: Duration,
    /// Whether dockerd asks the authorization plugin; `None`: where systemd keeps a socket for it.
    pub authz: Option<bool>,
}

impl RawDaemon {
    /// Fills in the defaults and refuses what cannot work.
    pub fn check(self) -> Result<DaemonConfig, DaemonConfigError> {
        let idle_timeout = self.idle_timeout.map_or(IDLE_TIMEOUT, |span| span.0);
        if idle_timeout > IDLE_TIMEOUT_MAX {
            return Err(DaemonConfigError::IdleTimeout);
        }
        let restart_timeout = self.restart_timeout.map_or(RESTART_TIMEOUT, |span| span.0);
        if !RESTART_TIMEOUT_RANGE.contains(&restart_timeout) {
            return Err(DaemonConfigError::RestartTimeout);
        }
        Ok(DaemonConfig {
            windows: self.windows.unwrap_or_default(),
            restart_command: self.restart_command.map(words).transpose()?,
            idle_timeout,
            restart_timeout,
            authz: self.authz,
        })
    }
}

fn words(command: Hook) -> Result<Vec<String>, DaemonConfigError> {
    let words = match command {
        Hook::Shell(line) if line.trim().is_empty() => Vec::new(),
        Hook::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line],
        Hook::Program(words) => words,
    };
    match words.first().is_none_or(|program| program.trim().is_empty()) {
        true => Err(DaemonConfigError::EmptyCommand),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<DaemonConfig, String> {
        let raw: RawDaemon = toml::from_str(toml).map_err(|e| e.to_string())?;
        raw.check().map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_table_has_defaults_that_work() {
        let config = check("").unwrap();
        assert_eq!(
            (config.restart_command, config.windows),
            (None, Windows::default())
        );
        assert_eq!(config.restart_timeout, RESTART_TIMEOUT);
    }

    #[test]
    fn a_restart_command_is_a_line_for_the_shell_or_a_program() {
        let line = check("restart_command = '/etc/init.d/dockerd restart'").unwrap();
        assert_eq!(
            line.restart_command.unwrap(),
            ["/bin/sh", "-c", "/etc/init.d/dockerd restart"]
        );
        let program = check("restart_command = ['sv', 'restart', 'docker']").unwrap();
        assert_eq!(program.restart_command.unwrap(), ["sv", "restart", "docker"]);
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        let rows = [
            ("restart_command = ' '", "restart_command is empty"),
            ("restart_command = []", "restart_command is empty"),
            ("restart_timeout = '4s'", "between 5s and 30m"),
            ("restart_timeout = '31m'", "between 5s and 30m"),
            ("idle_timeout = '2d'", "at most 1d"),
            ("window = ['x']", "unknown field"),
            ("windows = [{ cron = 'x', duration = '2h' }]", "windows"),
            ("windows = [{ cron = '0 3 * * SUN', duration = '8d' }]", "windows"),
        ];
        for (toml, expected) in rows {
            let error = check(toml).unwrap_err();
            assert!(error.contains(expected), "{toml}: {error}");
        }
        assert!(check("restart_timeout = '5s'").is_ok() && check("restart_timeout = '30m'").is_ok());
    }
}
