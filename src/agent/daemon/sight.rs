//! What was found of dockerd, what it should be told, and what is remembered: the questions that the checks and the
//! plan of mode `daemon` ask of it. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::arrangement::daemon_json::{DaemonJson, HOSTS, TLS_CA, TLS_CERT, TLS_KEY, TLS_VERIFY};
use super::arrangement::{Arrangement, Refusal, exec_start};
use super::attempt::{Attempt, DaemonMemory, ProcessId, Stage, WOULD_NOT_START};
use super::change::{Bytes, Change};
use super::facts::{DaemonFacts, DaemonState, Layout, UnitFile};
use super::plug::Plug;
use crate::agent::desired::DaemonDesired;
use crate::agent::observed::Observed;
use crate::agent::step::Served;
use crate::base::Timestamp;

/// A certificate that would end this soon after the next window opens does not wait for it.
const WINDOW_MARGIN: Duration = Duration::from_secs(3600);

/// What was found, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSight {
    /// What is there.
    pub facts: DaemonFacts,
    /// What dockerd should be told, with the files of `current/`.
    pub arrangement: Result<Arrangement, Refusal>,
    /// The same changes with live-restore turned on; `None` when it is on, or cannot be.
    pub keeping: Option<Vec<Change>>,
    /// Whether it asks the authorization plugin, and should.
    pub plug: Plug,
    /// What is remembered.
    pub memory: DaemonMemory,
    /// Pulls and builds under way.
    pub busy: Vec<String>,
    /// Since when a restart waits for them, in this run.
    pub busy_since: Option<Timestamp>,
    /// The version that dockerd itself has found good, told what it would be told now.
    pub validated: Option<u64>,
}

/// Whether dockerd may be restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It may.
    Now,
    /// In this window.
    At(Timestamp),
}

impl DaemonSight {
    /// Whether dockerd runs.
    pub fn runs(&self) -> bool {
        self.facts.state == DaemonState::Running
    }

    /// Whether somebody stopped it.
    pub fn is_stopped(&self) -> bool {
        self.facts.state == DaemonState::Stopped
    }

    /// The files that are to change.
    pub fn changes(&self) -> Vec<Change> {
        match &self.arrangement {
            Ok(arrangement) => arrangement.changes.iter().map(Change::from).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The same, with those that wait for a restart.
    pub fn changes_with_restart(&self) -> Vec<Change> {
        match &self.arrangement {
            Ok(arrangement) => arrangement.with_restart().iter().map(Change::from).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The files that are to change, each once.
    pub fn changed_paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for change in self.changes() {
            if !paths.contains(&change.path) {
                paths.push(change.path);
            }
        }
        paths
    }

    /// Whether the certificate in use is the one that is served, to nobody without a certificate.
    pub fn serves(&self, observed: &Observed) -> bool {
        let issued = observed.pair().map(|pair| &pair.serial);
        issued.is_some() && observed.served.serial() == issued && observed.served.is_guarded() && self.runs()
    }

    /// Whether the process that runs has everything that was written, because it began afterwards.
    pub fn is_fresh(&self, before: Option<&ProcessId>) -> bool {
        let process = self.facts.process.as_ref();
        process.is_some_and(|process| !before.is_some_and(|before| before.is(process)))
    }

    /// Whether systemd tells apart who stopped dockerd; elsewhere, one that does not run while we restart it is ours.
    pub fn knows_who_stopped_it(&self) -> bool {
        matches!(self.facts.layout, Layout::Systemd { .. } | Layout::Snap { .. })
    }

    /// Whether what it would be told is known: where no unit says it, only the process that runs does.
    pub fn knows_its_flags(&self) -> bool {
        matches!(self.facts.layout, Layout::Systemd { .. }) || self.facts.process.is_some()
    }

    /// The change under way, unless all that is left of it is that somebody starts the dockerd that was stopped.
    pub fn open_attempt(&self) -> Option<&Attempt> {
        let attempt = self.memory.attempt.as_ref()?;
        let left = match &attempt.stage {
            Stage::Restarting { process, .. } => process.is_none() || self.knows_who_stopped_it(),
            _ => false,
        };
        (!(left && self.is_stopped())).then_some(attempt)
    }

    /// Until when dockerd is not asked again about what it said it would not start with.
    pub fn refused_until(
        &self,
        observed: &Observed,
        desired: &DaemonDesired,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let failure = self.memory.failure.as_ref();
        let refused = failure.is_some_and(|failure| failure.reason == WOULD_NOT_START);
        self.retry_at(observed, desired).filter(|at| refused && now < *at)
    }

    /// Why dockerd is down, when that is because of settings that something else wrote into the configuration file beside
    /// our flags: in both places they keep it from starting.
    pub fn brought_down(&self) -> Option<String> {
        let state = match &self.facts.state {
            DaemonState::Failed(why) => why.as_str(),
            DaemonState::Starting => "dockerd does not come up",
            DaemonState::Running | DaemonState::Stopped => return None,
        };
        let twice = self.set_twice();
        let (ours, path) = (
            self.our_drop_in()?.path.display(),
            self.facts.config_file.path.display(),
        );
        let all = twice.join(", ");
        let are = match twice.len() {
            0 => return None,
            1 => "is",
            _ => "are",
        };
        Some(format!("{all} {are} set in {path} and in {ours}: {state}"))
    }

    /// What closes the port, or lets dockerd start without it, while something else keeps changing the configuration file
    /// and we do not put it back: TLS taken out of it, where our drop-in (of an earlier agent) relies on it, or written
    /// into it beside our flags.
    pub fn open_door(&self) -> Option<Change> {
        let ours = self.our_drop_in()?;
        let guarded = ours.contents.contains("--tlsverify");
        let filed = self.config_json()?.get(TLS_VERIFY) == Some(&true.into());
        let opens = !guarded && !filed;
        if !opens && self.set_twice().iter().all(|key| *key == HOSTS) {
            return None;
        }
        let closing = self.arrangement.as_ref().ok().and_then(|a| a.closing.as_ref());
        let change = match closing {
            Some(closing) => Change::from(closing),
            None if opens => Change {
                path: ours.path.clone(),
                before: Some(Bytes(ours.contents.clone().into_bytes())),
                after: None,
                reload_units: true,
            },
            None => return None,
        };
        (change.before != change.after).then_some(change)
    }

    fn our_drop_in(&self) -> Option<&UnitFile> {
        let mut drop_ins = self.facts.unit.iter().flat_map(|unit| &unit.drop_ins);
        drop_ins.find(|file| exec_start::is_ours(&file.path))
    }

    fn config_json(&self) -> Option<DaemonJson> {
        let file = &self.facts.config_file;
        DaemonJson::parse(&file.path, file.contents.as_deref()).ok()
    }

    /// Settings that are in the configuration file and in our drop-in.
    fn set_twice(&self) -> Vec<&'static str> {
        let (Some(ours), Some(json)) = (self.our_drop_in(), self.config_json()) else {
            return Vec::new();
        };
        let keys = [
            (HOSTS, "-H "),
            (TLS_VERIFY, "--tlsverify"),
            (TLS_CA, "--tlscacert"),
            (TLS_CERT, "--tlscert"),
            (TLS_KEY, "--tlskey"),
        ];
        let twice = keys
            .iter()
            .filter(|(key, flag)| json.has(key) && ours.contents.contains(flag));
        twice.map(|(key, _)| *key).collect()
    }

    /// Whether a change is being taken back.
    pub fn is_going_back(&self) -> bool {
        let stage = self.memory.attempt.as_ref().map(|attempt| &attempt.stage);
        matches!(
            stage,
            Some(Stage::Returning { .. } | Stage::RestartingBack { .. })
        )
    }

    /// When dockerd may be restarted: in a window, or at once when clients could not wait for it.
    pub fn opening(&self, observed: &Observed, desired: &DaemonDesired, now: Timestamp) -> Opening {
        if desired.now || desired.windows.contain(now) {
            return Opening::Now;
        }
        match desired.windows.next_opening(now) {
            Some(at) if !self.cannot_wait(observed, at) => Opening::At(at),
            _ => Opening::Now,
        }
    }

    /// Whether what is served would end before `at`, or was lost.
    fn cannot_wait(&self, observed: &Observed, at: Timestamp) -> bool {
        match &observed.served {
            Served::Certificate(seen) => seen.not_after < at + WINDOW_MARGIN,
            Served::NotDialled | Served::Failed(_) => self.memory.served.is_some(),
        }
    }

    /// Until when a restart waits for pulls and builds; `None`: it does not.
    pub fn waits_for_idle(&self, desired: &DaemonDesired, now: Timestamp) -> Option<Timestamp> {
        if self.busy.is_empty() || desired.now {
            return None;
        }
        let until = self.busy_since.unwrap_or(now) + desired.idle_timeout;
        (now < until).then_some(until)
    }

    /// Until when nothing is tried again after a failure.
    pub fn retry_at(&self, observed: &Observed, desired: &DaemonDesired) -> Option<Timestamp> {
        let served_until = match &observed.served {
            Served::Certificate(seen) => Some(seen.not_after),
            Served::NotDialled | Served::Failed(_) => None,
        };
        let failure = self.memory.failure.as_ref().filter(|_| !desired.now)?;
        Some(failure.retry_at(served_until))
    }
}
