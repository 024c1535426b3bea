//! The steps of mode `daemon`: each can be repeated, and says what it does in words.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::change::Change;
use crate::agent::step::join;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonStep {
    /// Ask dockerd itself whether it would start with this version.
    Validate {
        /// Which.
        version: u64,
    },
    /// Turn live-restore on without a restart, and wait until the engine says so.
    KeepContainers,
    /// Note what is about to change and how it was: from here on it can be taken back.
    Begin(Attempt),
    /// Change a file that is not ours.
    Change(Change),
    /// Change files back that something else changed, without a restart.
    Mend(Vec<Change>),
    /// Note that dockerd is down because of what something else changed: from here on it is ours to start.
    NoteBroken {
        /// What was seen.
        why: String,
    },
    /// Start it, once, unless somebody has stopped it meanwhile.
    Start,
    /// Have systemd read its units.
    ReloadUnits,
    /// Leave the files for the next start of a dockerd that does not run.
    Leave,
    /// Ask dockerd once more, with the files as they are now, and restart it.
    Restart,
    /// Wait until it answers on its socket, then dial, compare the serial, and see that a client certificate is
    /// demanded.
    Verify {
        /// Where it is dialled.
        address: SocketAddr,
    },
    /// It serves: forget how it was before.
    Commit,
    /// Have dockerd ask the authorization plugin, without a restart, and see that it does.
    Plug(Vec<Change>),
    /// Have dockerd ask it no more, without a restart.
    Unplug(Vec<Change>),
    /// Note that the change is taken back.
    BeginReturn {
        /// Why.
        why: String,
    },
    /// Put a file back.
    Restore(Change),
    /// Restart dockerd with everything put back.
    RestartBack,
    /// Wait until it answers on its socket, and serves what it served before.
    VerifyBack {
        /// Where it is dialled.
        address: SocketAddr,
    },
    /// It is as it was before: keep only why.
    CommitReturn,
}

impl DaemonStep {
    /// Whether it leaves something behind that a later run has to know of.
    pub fn is_durable(&self) -> bool {
        !matches!(
            self,
            Self::Validate { .. } | Self::Verify { .. } | Self::VerifyBack { .. }
        )
    }
}

impl fmt::Display for DaemonStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validate { version } => {
                write!(f, "ask dockerd whether it would start with version {version}")
            }
            Self::KeepContainers => f.write_str(
                "turn live-restore on without a restart, so that containers outlive the one that comes",
            ),
            Self::Begin(attempt) if attempt.changes.is_empty() => {
                f.write_str("note what is in use, to go back to it")
            }
            Self::Begin(attempt) => write!(
                f,
                "keep {} as found, to go back to it",
                files(attempt.changes.len())
            ),
            Self::Change(change) => change.fmt(f),
            Self::Mend(changes) => write!(f, "{}, without a restart", join(changes)),
            Self::NoteBroken { why } => write!(f, "note why dockerd is down: {why}"),
            Self::Start => f.write_str("start dockerd, which could not start with the files as they were"),
            Self::ReloadUnits => f.write_str("have systemd read its units again"),
            Self::Leave => f.write_str("leave dockerd stopped: it serves this when somebody starts it"),
            Self::Restart => f.write_str("restart dockerd"),
            Self::Verify { address } => write!(
                f,
                "wait for dockerd, dial :{}, compare the serial, see that a client certificate is demanded",
                address.port()
            ),
            Self::Commit => f.write_str("note that it is served"),
            Self::Plug(changes) => {
                write_changes(f, changes)?;
                f.write_str("have dockerd ask dockwarden about every request, without a restart, and see that it does")
            }
            Self::Unplug(changes) => {
                write_changes(f, changes)?;
                f.write_str("have dockerd ask dockwarden no more, without a restart")
            }
            Self::BeginReturn { why } => write!(f, "go back to how it was, because {why}"),
            Self::Restore(change) => write!(f, "put {} back", change.path.display()),
            Self::RestartBack => f.write_str("restart dockerd as it was before"),
            Self::VerifyBack { .. } => {
                f.write_str("wait for dockerd, see that it serves what it served before")
            }
            Self::CommitReturn => f.write_str("note why it did not work"),
        }
    }
}

impl DaemonStep {
    /// The changes of files that are made.
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Change(change) | Self::Restore(change) => std::slice::from_ref(change),
            Self::Mend(changes) | Self::Plug(changes) | Self::Unplug(changes) => changes,
            _ => &[],
        }
    }
}

/// `change a, write b, `.
fn write_changes(f: &mut fmt::Formatter<'_>, changes: &[Change]) -> fmt::Result {
    changes.iter().try_for_each(|change| write!(f, "{change}, "))
}

fn files(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        n => format!("{n} files"),
    }
}
