//! The agent's part: configuration, status, files, what a killed one left behind.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::examined::{AgentConfig, AgentSeen};
use super::{Places, Unseen, tls};
use crate::agent::config::Config;
use crate::agent::pair::{CA_FILE, CERTIFICATE_FILE, KEY_FILE};
use crate::agent::records::{RecordError, Records};
use crate::model::Mode;
use crate::sys::{Files, Versions, inspect};

/// A temporary file of a running agent is younger than this.
const TEMPORARY_AGE: Duration = Duration::from_secs(300);

/// Looks at it.
pub(super) fn look(places: &Places<'_>, unseen: &mut Unseen) -> AgentSeen {
    let config = match &places.config {
        None => return AgentSeen::default(),
        Some(Err(why)) => {
            return AgentSeen {
                config: Some(Err(why.clone())),
                ..AgentSeen::default()
            };
        }
        Some(Ok(config)) => config,
    };
    let files = &places.files;
    let records = Records::new(files.clone(), &config.state);
    let mut seen = AgentSeen {
        config: Some(Ok(settings(config, unseen))),
        runs: inspect::is_locked(&config.state.join("lock")),
        pair: pair(config, files, unseen),
        ..AgentSeen::default()
    };
    match records.status() {
        Ok(status) => seen.status = status.map(Ok),
        Err(RecordError::File(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            unseen.note(&config.state);
            seen.hidden = true;
            return seen;
        }
        Err(error) => seen.status = Some(Err(error.to_string())),
    }
    seen.loose = loose(config);
    seen.leftovers = leftovers(config, files, seen.runs, places.clock.now());
    if !seen.runs {
        let journal = records.journal().ok().flatten();
        let step = journal.and_then(|journal| journal.steps.get(journal.at).map(ToString::to_string));
        seen.interrupted = step;
    }
    seen
}

fn settings(config: &Config, unseen: &mut Unseen) -> AgentConfig {
    let token = config.token_file.as_ref();
    AgentConfig {
        mode: config.mode,
        server: config.server.to_string(),
        dial: dialled(config),
        files: config.files.clone(),
        state: config.state.clone(),
        token: token.map(|path| (path.clone(), unseen.access(path))),
    }
}

/// What must return the certificate in `current/`. A wildcard stays one, so that it is known as the listener it is.
pub(super) fn dialled(config: &Config) -> Option<SocketAddr> {
    match config.mode {
        Mode::Gate | Mode::Daemon => Some(config.listen),
        Mode::Files => config.dial,
    }
}

fn pair(config: &Config, files: &Files, unseen: &mut Unseen) -> Option<super::super::examined::TlsFiles> {
    let current = Versions::new(files.clone(), &config.files).current_directory();
    let file = |name: &str| current.join(name);
    if !files.exists(&file(CERTIFICATE_FILE)) {
        return None;
    }
    let ca = file(CA_FILE);
    Some(tls::read(
        &file(CERTIFICATE_FILE),
        &file(KEY_FILE),
        Some(&ca),
        files,
        unseen,
    ))
}

/// What is more open than it should be: which, its bits, the bits it should have.
fn loose(config: &Config) -> Vec<(PathBuf, u32, u32)> {
    let state = &config.state;
    let wanted = [
        (state.clone(), 0o077, 0o700),
        (state.join("request.json"), 0o077, 0o600),
        (state.join("answer.json"), 0o077, 0o600),
        (config.files.clone(), 0o022, 0o755),
        (config.files.join("versions"), 0o022, 0o755),
    ];
    let found = wanted.into_iter().filter_map(|(path, forbidden, should)| {
        let mode = inspect::stat(&path).ok()?.mode & 0o777;
        (mode & forbidden != 0).then_some((path, mode, should))
    });
    found.collect()
}

/// A running agent has temporary files of its own, for a moment.
fn leftovers(config: &Config, files: &Files, runs: bool, now: crate::base::Timestamp) -> Vec<PathBuf> {
    let versions = config.files.join("versions");
    let directories = [
        config.files.as_path(),
        &versions,
        &config.state,
        Path::new("/etc/docker"),
    ];
    let all = directories
        .iter()
        .flat_map(|directory| files.temporaries(directory));
    let is_old = |path: &PathBuf| {
        let modified = inspect::stat(path).map(|found| found.modified);
        modified.is_ok_and(|modified| now.since(modified) > TEMPORARY_AGE)
    };
    all.filter(|path| !runs || is_old(path)).collect()
}
