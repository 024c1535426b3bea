//! systemd as a seam: what its units are and do, what they wrote to the journal, and the few orders that are given to
//! it. The real one runs `systemctl` and `journalctl`, bounded; nothing here speaks D-Bus, edits a unit, or decides.

mod journal;
mod show;
mod systemctl;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

pub use systemctl::RealUnits;

use crate::base::Timestamp;

/// Lines of the journal that are returned at most.
pub const JOURNAL_LINES_MAX: u32 = 200;

/// Whose systemd unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The machine's.
    System,
    /// A user's: rootless Docker.
    User {
        /// Whose.
        uid: u32,
        /// `XDG_RUNTIME_DIR` of that user.
        runtime_directory: PathBuf,
    },
}

/// A unit and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitId {
    /// Its name with its kind, `docker.service`.
    pub name: String,
    /// Whose.
    pub scope: Scope,
}

impl UnitId {
    /// A unit of the machine's.
    pub fn system(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            scope: Scope::System,
        }
    }
}

/// What a unit is doing (`ActiveState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or its socket listens. A unit that is being reloaded or refreshed is here, too.
    Active,
    /// It is being started, or waits to be started again after it ended (`SubState` is `auto-restart` then).
    Activating,
    /// It is being stopped.
    Deactivating,
    /// It was stopped, ended well, or was never started.
    #[default]
    Inactive,
    /// It did not stay, and systemd has given up on it.
    Failed,
}

/// A unit as systemd sees it. What systemd did not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    /// Its own name: an alias that was asked for is resolved.
    pub id: String,
    /// `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub load: String,
    /// What it is doing.
    pub activity: Activity,
    /// In its kind's own words: `running`, `dead`, `auto-restart`, `listening`.
    pub sub: String,
    /// How it ended last: `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit`.
    pub result: String,
    /// The exit status of its main process, when that ended.
    pub exit_status: Option<i32>,
    /// Its main process.
    pub main_pid: Option<u32>,
    /// How often systemd itself has started it again (`NRestarts`; systemd 235).
    pub restarts: u32,
    /// Its own file.
    pub fragment: Option<PathBuf>,
    /// Its drop-ins, in the order they are applied.
    pub drop_ins: Vec<PathBuf>,
    /// Whether a file of it was changed after systemd read it. systemd 252 does not notice a new drop-in when
    /// it is the unit's first.
    pub needs_reload: bool,
    /// The units that start it: `docker.socket`.
    pub triggered_by: Vec<String>,
    /// The units that it starts.
    pub triggers: Vec<String>,
    /// What a socket unit listens on, without its kind: `/run/docker.sock`, `[::]:2375`.
    pub listen: Vec<String>,
    /// Its environment files, in the order they are read; whether a missing one is no error.
    pub environment_files: Vec<(PathBuf, bool)>,
    /// The program that it starts.
    pub program: Option<PathBuf>,
    /// The words of the command that it starts, program first, as systemd shows them: variables are not replaced,
    /// and quotes are gone.
    pub command: Vec<String>,
    /// When what it is doing changed last.
    pub changed_at: Option<Timestamp>,
}

impl UnitState {
    /// Whether there is such a unit, with files that can be read.
    pub fn is_loaded(&self) -> bool {
        self.load == "loaded"
    }

    /// Whether somebody stopped it, or never started it: a failed unit, and one that systemd is about to start
    /// again, is not.
    ///
    /// systemd knows no more than that. A service that had to be killed while somebody stopped it counts as failed;
    /// one that failed looks stopped on purpose after [`Order::ResetFailed`], so who gives that order must remember
    /// it until the service runs.
    pub fn is_stopped_on_purpose(&self) -> bool {
        matches!(self.activity, Activity::Inactive | Activity::Deactivating) && self.load != "not-found"
    }
}

/// What systemd is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start.
    Start,
    /// Stop.
    Stop,
    /// Stop when it runs, and start.
    Restart,
    /// Forget its failures, and how often it was started lately.
    ResetFailed,
}

impl Order {
    /// What `systemctl` calls it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::ResetFailed => "reset-failed",
        }
    }
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalLine {
    /// When.
    pub at: Timestamp,
    /// Who wrote it: `dockerd`, `systemd`.
    pub program: String,
    /// What.
    pub message: String,
}

/// Why systemd could not be asked or told. The message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// systemd is not what runs this machine, or this user's services.
    #[error("systemd does not run here ({0} is missing): nothing can be asked of it")]
    Absent(PathBuf),
    /// A program of systemd's failed.
    #[error("{command}: {why}: try it by hand, and look at systemctl status {unit}")]
    Refused {
        /// What was run.
        command: String,
        /// How it ended.
        why: String,
        /// The unit it was about.
        unit: String,
    },
    /// It was still at it when the time was up. systemd goes on with the job by itself.
    #[error("{command} was not done after {} s; systemd goes on with it: look at systemctl status {unit}", .limit.as_secs())]
    Slow {
        /// What was run.
        command: String,
        /// The time it had.
        limit: Duration,
        /// The unit it was about.
        unit: String,
    },
}

/// systemd.
#[async_trait]
pub trait Units: Send + Sync + 'static {
    /// Whether systemd is there to be asked.
    fn present(&self, scope: &Scope) -> bool;

    /// A unit as it is now. A unit that does not exist is no error: its `load` is `not-found`.
    async fn show(&self, unit: &UnitId) -> Result<UnitState, UnitError>;

    /// The socket units that are loaded.
    async fn sockets(&self, scope: &Scope) -> Result<Vec<UnitState>, UnitError>;

    /// Reads all unit files again (`daemon-reload`).
    async fn reload(&self, scope: &Scope) -> Result<(), UnitError>;

    /// Gives an order and waits until it is carried out, at most this long.
    async fn order(&self, order: Order, unit: &UnitId, timeout: Duration) -> Result<(), UnitError>;

    /// The last lines that were written since, by the unit and by systemd about it: at most `lines` and
    /// [`JOURNAL_LINES_MAX`], the oldest first.
    async fn journal(
        &self,
        unit: &UnitId,
        since: Timestamp,
        lines: u32,
    ) -> Result<Vec<JournalLine>, UnitError>;
}
