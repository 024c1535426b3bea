//! What a command sees of the outside: environment, files, time, randomness, where its output goes.
//! Everything comes in here, so that tests can give it something else.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::base::{Clock, Random};
use crate::sys::Files;

/// The variables that matter, read once.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `DOCKER_CONFIG`.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKWARDEN_TOKEN`.
    pub token: Option<String>,
}

impl Environment {
    /// This process's.
    pub fn of_process() -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| var(name).and_then(|value| value.into_string().ok());
        Self {
            home: var("HOME").map(PathBuf::from),
            config_home: var("XDG_CONFIG_HOME").map(PathBuf::from),
            docker_config: var("DOCKER_CONFIG").map(PathBuf::from),
            docker_host: text("DOCKER_HOST"),
            token: text("DOCKWARDEN_TOKEN"),
        }
    }

    /// `~/.config/dockwarden`.
    pub fn config_directory(&self) -> Result<PathBuf, Error> {
        let base = self
            .config_home
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".config")));
        base.map(|base| base.join("dockwarden")).ok_or_else(|| {
            Error::Usage(
                "HOME is not set, so there is no place for certificates: set it, or use --cert-path DIR"
                    .into(),
            )
        })
    }

    /// Where the docker CLI keeps its configuration: `DOCKER_CONFIG`, or `~/.docker`.
    pub fn docker_directory(&self) -> Result<PathBuf, Error> {
        let directory = self
            .docker_config
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".docker")));
        directory.ok_or_else(|| {
            Error::Usage(
                "neither DOCKER_CONFIG nor HOME is set, so there is no place for docker contexts".into(),
            )
        })
    }
}

/// The outside.
pub struct World {
    /// Variables.
    pub environment: Environment,
    /// Files.
    pub files: Files,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    out: Box<dyn Write + Send>,
}

impl World {
    /// With results going to `out`.
    pub fn new(
        environment: Environment,
        files: Files,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        out: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            environment,
            files,
            clock,
            random,
            out,
        }
    }

    /// One line of the result, to standard output.
    pub fn say(&mut self, line: impl AsRef<str>) -> Result<(), Error> {
        writeln!(self.out, "{}", line.as_ref())?;
        Ok(self.out.flush()?)
    }

    /// One line about the way there, to standard error.
    pub fn note(&self, line: impl AsRef<str>) {
        eprintln!("{}", line.as_ref());
    }

    /// A line that the next one replaces, on a terminal only.
    pub fn progress(&self, line: &str) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{line}");
        }
    }

    /// Something that is not wrong yet but will be.
    pub fn warn(&self, line: impl AsRef<str>) {
        eprintln!("dockwarden: warning: {}", line.as_ref());
    }

    /// `path` from here on, not from wherever a program that reads it later was started.
    pub fn absolute(&self, path: &Path) -> Result<PathBuf, Error> {
        Ok(std::path::absolute(path)?)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("environment", &self.environment.home)
            .finish_non_exhaustive()
    }
}
