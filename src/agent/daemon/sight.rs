//! What was found of dockerd, what it should be told, and what is remembered: the questions that the checks and the
//! plan of mode `daemon` ask of it. Pure.

use std::time::Duration;

use super::arrangement::daemon_json::{DaemonJson, TLS_VERIFY};
use super::arrangement::{Arrangement, DROP_IN_NAME, Refusal};
use super::attempt::{Attempt, DaemonMemory, ProcessId, Stage, WOULD_NOT_START};
use super::change::{Bytes, Change};
use super::facts::{DaemonFacts, DaemonState, Layout};
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

    /// What closes the port that our drop-in would have dockerd open without TLS at its next start, when something else
    /// has taken TLS out of the configuration file and we do not put it back.
    pub fn open_door(&self) -> Option<Change> {
        let tls = self
            .facts
            .config_file
            .contents
            .as_deref()
            .is_some_and(|contents| {
                let json = DaemonJson::parse(&self.facts.config_file.path, Some(contents));
                json.is_ok_and(|json| json.get(TLS_VERIFY) == Some(&true.into()))
            });
        let unit = self.facts.unit.as_ref().filter(|_| !tls)?;
        let ours = unit
            .drop_ins
            .iter()
            .find(|file| file.path.file_name().is_some_and(|name| name == DROP_IN_NAME))?;
        let guarded = ours.contents.contains("--tlsverify");
        (!guarded).then(|| Change {
            path: ours.path.clone(),
            before: Some(Bytes(ours.contents.clone().into_bytes())),
            after: None,
            reload_units: true,
        })
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
