//! What mode `daemon` remembers between runs: the change under way with everything that takes it back, the last
//! failure, how often files were restored. Written before what it describes is done, so that a run that was killed is
//! continued, or taken back, by the next one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::facts::DaemonProcess;
use crate::base::Timestamp;
use crate::pki::Serial;

/// The first wait after a failure; each further one in a row doubles it.
const RETRY_FLOOR: Duration = Duration::from_secs(300);
/// The longest wait after a failure.
const RETRY_CAP: Duration = Duration::from_secs(6 * 3600);
/// A wait after a failure leaves time for so many more before the certificate ends.
const RETRIES_LEFT: u32 = 10;
/// The shortest wait, however little of the certificate is left.
const RETRY_MIN: Duration = Duration::from_secs(30);
/// Why a change was not begun: dockerd itself says that it would not start with it.
pub const WOULD_NOT_START: &str = "WouldNotStart";
/// Files that somebody else changed are restored so often in [`RESTORES_WITHIN`]: another tool is not fought.
pub const RESTORES_MAX: usize = 3;
/// See [`RESTORES_MAX`].
pub const RESTORES_WITHIN: Duration = Duration::from_secs(3600);

/// Names one process: no other of this boot has its number and began in the same hundredth of a second, and none
/// after the next boot does so but by a rare accident. Does not move with the machine's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks after the boot.
    pub start_ticks: u64,
}

impl ProcessId {
    /// Whether this is that process.
    pub fn is(&self, process: &DaemonProcess) -> bool {
        *self == Self::from(process)
    }
}

impl From<&DaemonProcess> for ProcessId {
    fn from(process: &DaemonProcess) -> Self {
        Self {
            pid: process.pid,
            start_ticks: process.start_ticks,
        }
    }
}

/// How far a change has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Files and link are being changed; dockerd can be started all the time.
    Changing,
    /// Everything is written. Any process but this one has it; `None`: any at all.
    Restarting {
        /// The process that ran when the last file was written.
        process: Option<ProcessId>,
        /// When that was.
        at: Timestamp,
    },
    /// It did not work: files and link are being put back.
    Returning {
        /// Why.
        why: String,
        /// Whether a restart was asked for on the way: then a dockerd that does not run is ours to start.
        restarted: bool,
    },
    /// Everything is put back. Any process but this one has it.
    RestartingBack {
        /// Why.
        why: String,
        /// The process that ran when the last file was put back.
        process: Option<ProcessId>,
        /// When that was.
        at: Timestamp,
    },
}

/// A change of what dockerd is told, under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The version in use before.
    pub from: Option<u64>,
    /// The version that is to be served.
    pub to: u64,
    /// What was served before, if anything was.
    pub served: Option<Serial>,
    /// The process that ran when it began: it never had any of the changes.
    pub process: Option<ProcessId>,
    /// When it began.
    pub began: Timestamp,
    /// The files that change, in the order they are written.
    pub changes: Vec<Change>,
    /// How far it has come.
    pub stage: Stage,
}

impl Attempt {
    /// Takes in a plan made later for the same change: what was first is what is gone back to, and by the way that was
    /// come.
    #[must_use]
    pub fn joined_by(mut self, later: Self) -> Self {
        let rest = if self.changes.ends_with(&later.changes) {
            Vec::new()
        } else {
            later.changes
        };
        for change in rest {
            let known = self.changes.iter_mut().rfind(|known| known.path == change.path);
            match known {
                Some(known) => {
                    known.after = change.after;
                    known.reload_units |= change.reload_units;
                }
                None => self.changes.push(change),
            }
        }
        self.to = later.to;
        self.stage = later.stage;
        self
    }
}

/// A change that was taken back, or could not be begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedAttempt {
    /// The version that was to be served.
    pub version: u64,
    /// One CamelCase word.
    pub reason: String,
    /// What happened, with the lines of the journal that explain it.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// How often in a row.
    pub count: u32,
}

impl FailedAttempt {
    /// When it is tried again, with a certificate that is served until `not_after`.
    pub fn retry_at(&self, not_after: Option<Timestamp>) -> Timestamp {
        let doubled = RETRY_FLOOR.saturating_mul(1 << self.count.saturating_sub(1).min(16));
        let left = not_after.map_or(RETRY_CAP, |end| end.since(self.at) / RETRIES_LEFT);
        // A certificate that has ended leaves no hurry that another restart would help.
        let left = if left.is_zero() { RETRY_CAP } else { left };
        self.at + doubled.min(RETRY_CAP).min(left.max(RETRY_MIN))
    }
}

/// A dockerd that somebody else's change of a file brought down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breakage {
    /// What was seen, with what dockerd said.
    pub why: String,
    /// When it was noticed.
    pub at: Timestamp,
}

/// Everything that is remembered of dockerd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DaemonMemory {
    /// The change under way.
    pub attempt: Option<Attempt>,
    /// The last one that failed, until one works.
    pub failure: Option<FailedAttempt>,
    /// What was last seen served after a change.
    pub served: Option<Serial>,
    /// When files were restored that somebody else had changed; the last [`RESTORES_MAX`].
    pub restored: Vec<Timestamp>,
    /// dockerd does not run, because something else wrote into a file what our flags say already: it is started when
    /// the file is mended.
    pub broken: Option<Breakage>,
    /// The last time that this was put right.
    pub mended: Option<Breakage>,
}

impl DaemonMemory {
    /// Until when files are not restored again, because it was done too often lately.
    pub fn contested_until(&self, now: Timestamp) -> Option<Timestamp> {
        let recent: Vec<Timestamp> = self
            .restored
            .iter()
            .copied()
            .filter(|at| now.since(*at) < RESTORES_WITHIN)
            .collect();
        let full = recent.len() >= RESTORES_MAX;
        full.then(|| recent.into_iter().min().unwrap_or(now) + RESTORES_WITHIN)
    }

    /// Takes note of a restore.
    pub fn note_restore(&mut self, now: Timestamp) {
        self.restored.push(now);
        let excess = self.restored.len().saturating_sub(RESTORES_MAX);
        self.restored.drain(..excess);
    }
}
