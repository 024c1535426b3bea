//! What dockerd should be told, and which files have to change for it. See `docs/adr/0006-flags-stay-flags.md` and
//! `docs/adr/0011-one-file-opens-and-guards.md`.
//!
//! Pure: facts in, bytes out. Each layout reads where its flags are written down, [`settings`] decides, and the layout
//! writes the decision back.

pub mod daemon_json;
pub mod diff;
pub mod environment;
pub mod exec_start;
pub mod flags;
mod layouts;
pub mod options_file;
pub mod release;
pub mod settings;
pub mod unit_file;

use std::net::SocketAddr;
use std::path::PathBuf;

use super::facts::DaemonFacts;

/// The name of our systemd drop-in. Drop-ins are applied in the order of their names, and the one that
/// `systemctl edit` makes is called `override.conf`: ours has to come after it.
pub const DROP_IN_NAME: &str = "zz-dockwarden.conf";

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
    /// The files that differ from what they should be, in the order to write them: dockerd can be started after each. A
    /// file may be in it twice.
    pub changes: Vec<FileChange>,
    /// Changes that wait for the next restart, because what is there does for now; then there are no others.
    pub moves: Vec<FileChange>,
    /// The file with the flags, with every TCP port and all of TLS taken out of it: on the way from one file to another
    /// nobody is let in. `None` where the flags do not open the port, or it cannot be closed.
    pub closing: Option<FileChange>,
    /// The command line that dockerd will have, program first.
    pub argv: Vec<String>,
    /// The configuration file that it will read.
    pub config_path: PathBuf,
    /// What will be in it.
    pub config: Vec<u8>,
    /// What was found and taken over or left, one sentence each, for people.
    pub notes: Vec<String>,
}

impl Arrangement {
    /// What changes when dockerd is restarted anyway.
    pub fn with_restart(&self) -> &[FileChange] {
        if self.moves.is_empty() {
            &self.changes
        } else {
            &self.moves
        }
    }
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
    /// The configuration file is not what dockerd reads.
    #[error("{}:{line}:{column}: {why}; dockerd does not start with it: correct it", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// A key of ours that dockerd does not accept as it stands.
    #[error("{}: the key {key:?}: {why}; dockerd does not start with it: correct it", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key as written.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// A setting of others in two places.
    #[error(
        "{key} is set in {} and by flag in {}: dockerd does not start then; remove one of the two",
        .path.display(), .place.display()
    )]
    Twice {
        /// The setting.
        key: String,
        /// The configuration file.
        path: PathBuf,
        /// Where the flag is.
        place: PathBuf,
    },
    /// Certificate and key in two places, which no write can change together.
    #[error(
        "--{flag} is a flag in {}, and {key} is in {}: dockerd could not start between the two writes; put both into one place",
        .place.display(), .path.display()
    )]
    Split {
        /// The one that is a flag.
        flag: String,
        /// Where it is.
        place: PathBuf,
        /// The one that is in the file.
        key: String,
        /// The configuration file.
        path: PathBuf,
    },
    /// A unit that is not understood.
    #[error("{}: {why}", .path.display())]
    Unit {
        /// The file.
        path: PathBuf,
        /// What was seen and what to do.
        why: String,
    },
    /// A file of options that is not understood.
    #[error("{}:{line}: {why}", .path.display())]
    Options {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What was seen and what to do.
        why: String,
    },
    /// Flags that come from where they cannot be changed.
    #[error(
        "dockerd was started with {flag}, and no file of options says so: whatever starts it does; take the flag out \
         there and restart dockerd, and dockwarden writes the setting into {}", .path.display()
    )]
    Fixed {
        /// The flag as given.
        flag: String,
        /// The configuration file.
        path: PathBuf,
    },
    /// The certificates are where this dockerd cannot use them.
    #[error("{}: {why}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
}

/// Decides what has to change so that dockerd listens where `wanted` says, with the certificate of `wanted`, and asks
/// every client for one. Nothing changes when it does so already.
///
/// After each prefix of the changes dockerd can be started if it could be before, and it never listens on a TCP port
/// without asking for certificates if it did not before.
///
/// # Errors
/// When what is there is not understood, or is broken in a way that is not ours to decide. Nothing is changed then.
pub fn arrange(facts: &DaemonFacts, wanted: &Wanted) -> Result<Arrangement, Refusal> {
    layouts::arrange(facts, wanted)
}

#[cfg(test)]
mod tests;
