//! dockerd and whoever starts it, as a seam: what the steps of mode `daemon` ask of them.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::arrangement::Arrangement;
use super::facts::DaemonFacts;
use crate::base::Timestamp;

/// How dockerd is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Only when it runs: one that somebody stopped stays stopped.
    Running,
    /// Whatever it does: it was us who brought it down. Its failures, and how often it was started lately, are
    /// forgotten first.
    Whatever,
}

/// dockerd on this host. A failure is one sentence for people.
#[async_trait]
pub trait Dockerd: Send + Sync + 'static {
    /// Looks at everything. Changes nothing, and starts nothing: a socket that would start dockerd is left alone.
    async fn look(&self) -> DaemonFacts;

    /// Whether dockerd would start with what is arranged, its configuration read from `candidate` instead.
    async fn validate(
        &self,
        facts: &DaemonFacts,
        arranged: &Arrangement,
        candidate: PathBuf,
    ) -> Result<(), String>;

    /// Has it read its configuration file again (SIGHUP). It does not wait for that.
    async fn reload(&self) -> Result<(), String>;

    /// Has systemd read its units again; nothing where systemd does not start dockerd.
    async fn reload_units(&self) -> Result<(), String>;

    /// Restarts it, and waits until it is up, or is not, or the time is up.
    async fn restart(&self, how: Restart, timeout: Duration) -> Result<(), String>;

    /// Whether it answers on its unix socket. Only asked of one that runs.
    async fn ping(&self) -> Result<(), String>;

    /// Has it answer a request that holds this word and changes nothing. Only asked of one that runs.
    async fn canary(&self, word: &str) -> Result<(), String>;

    /// What a restart would cut off, in words: pulls and builds.
    async fn busy(&self, facts: &DaemonFacts) -> Vec<String>;

    /// Waits; a test moves its clock instead.
    async fn pause(&self, time: Duration);

    /// What its log says about why it did not start, or not as it should; the last lines, oldest first.
    async fn explain(&self, since: Timestamp) -> Vec<String>;
}
