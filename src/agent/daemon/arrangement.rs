//! What dockerd should be told, and which files have to change for it. See `docs/adr/0006-flags-stay-flags.md`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The name of our systemd drop-in.
pub const DROP_IN_NAME: &str = "50-dockwarden.conf";

/// What dockerd is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it listens for clients.
    pub listen: SocketAddr,
    /// The directory with `ca.pem cert.pem key.pem`.
    pub directory: PathBuf,
}

/// How it is made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrangement {
    /// The files that differ from what they should be, in the order to write them: dockerd can be started after each.
    pub changes: Vec<FileChange>,
    /// The command line that dockerd will have, program first.
    pub argv: Vec<String>,
    /// The configuration file that it will read.
    pub config_path: PathBuf,
    /// What will be in it.
    pub config: Vec<u8>,
    /// What was found and taken over or left, one sentence each, for people.
    pub notes: Vec<String>,
}

/// A file that has to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Which.
    pub path: PathBuf,
    /// Its bytes now; `None`: it does not exist.
    pub before: Option<Vec<u8>>,
    /// Its bytes afterwards; `None`: it is removed.
    pub after: Option<Vec<u8>>,
    /// Whether systemd has to read its units again right after.
    pub reload_units: bool,
}

/// Why nothing can be arranged; the host stays as it was found. Each message says what was seen, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Who starts dockerd is not known.
    #[error("{0}")]
    Unrecognised(String),
}
