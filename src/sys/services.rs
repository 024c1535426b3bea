//! Service scripts as a seam: OpenRC and System V, for machines without systemd.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{CommandLine, Ending, Outcome, Programs};

/// How long a question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// There while OpenRC runs the machine.
const OPENRC: &str = "/run/openrc";
/// OpenRC before it moved to `/run`.
const OPENRC_OLD: &str = "/lib/rc/init.d/softlevel";
/// Where the scripts are, for both.
const SCRIPTS: &str = "/etc/init.d";

/// A manager of service scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceManager {
    /// `rc-service NAME restart`.
    OpenRc,
    /// `service NAME restart`.
    SysV,
}

impl ServiceManager {
    /// The command that does `verb` with a service.
    pub fn command(self, name: &str, verb: &str, timeout: Duration) -> CommandLine {
        let words = match self {
            Self::OpenRc => ["rc-service", name, verb],
            Self::SysV => ["service", name, verb],
        };
        CommandLine::new(words, timeout)
    }
}

/// Whether a service runs, as its script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It does.
    Running,
    /// It is being started, or stopped.
    Changing,
    /// Somebody stopped it, or never started it.
    Stopped,
    /// It was started and did not stay.
    Failed(String),
    /// The script does not say.
    Unknown(String),
}

/// The service scripts of the machine.
#[async_trait]
pub trait Services: Send + Sync + 'static {
    /// Who runs them, when there is a script of that name.
    fn manager(&self, name: &str) -> Option<ServiceManager>;

    /// Whether a service runs.
    async fn state(&self, manager: ServiceManager, name: &str) -> ServiceState;

    /// Restarts it and waits until the script is done, at most this long. A failure is one sentence.
    async fn restart(&self, manager: ServiceManager, name: &str, timeout: Duration) -> Result<(), String>;
}

/// The real ones.
pub struct RealServices {
    programs: Arc<dyn Programs>,
}

impl RealServices {
    /// Over a way to run programs.
    pub fn new(programs: Arc<dyn Programs>) -> Self {
        Self { programs }
    }
}

#[async_trait]
impl Services for RealServices {
    fn manager(&self, name: &str) -> Option<ServiceManager> {
        if !Path::new(SCRIPTS).join(name).exists() {
            return None;
        }
        let openrc = Path::new(OPENRC).exists() || Path::new(OPENRC_OLD).exists();
        Some(if openrc {
            ServiceManager::OpenRc
        } else {
            ServiceManager::SysV
        })
    }

    async fn state(&self, manager: ServiceManager, name: &str) -> ServiceState {
        let outcome = self
            .programs
            .run(&manager.command(name, "status", ASK_TIMEOUT))
            .await;
        state(manager, &outcome)
    }

    async fn restart(&self, manager: ServiceManager, name: &str, timeout: Duration) -> Result<(), String> {
        let command = manager.command(name, "restart", timeout);
        let outcome = self.programs.run(&command).await;
        if outcome.succeeded() {
            return Ok(());
        }
        Err(format!("{} {}", command.words.join(" "), outcome.explain()))
    }
}

/// OpenRC: 0 started, 3 stopped, 4 stopping, 8 starting, 16 inactive, 32 crashed. Scripts of System V follow the LSB:
/// 0 runs, 1 and 2 dead although its pid or lock file is there, 3 stopped.
fn state(manager: ServiceManager, outcome: &Outcome) -> ServiceState {
    let why = || format!("its script {}", outcome.explain());
    match (manager, &outcome.ending) {
        (_, Ending::Exited(0)) => ServiceState::Running,
        (_, Ending::Exited(3)) => ServiceState::Stopped,
        (ServiceManager::OpenRc, Ending::Exited(4 | 8 | 16)) => ServiceState::Changing,
        (ServiceManager::OpenRc, Ending::Exited(32)) => ServiceState::Failed(why()),
        (ServiceManager::SysV, Ending::Exited(1 | 2)) => ServiceState::Failed(why()),
        _ => ServiceState::Unknown(why()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_says_is_read_by_its_managers_rules() {
        use ServiceManager::{OpenRc, SysV};
        let rows = [
            (OpenRc, 0, "Running"),
            (OpenRc, 3, "Stopped"),
            (OpenRc, 8, "Changing"),
            (OpenRc, 32, "Failed"),
            (OpenRc, 1, "Unknown"),
            (SysV, 0, "Running"),
            (SysV, 1, "Failed"),
            (SysV, 3, "Stopped"),
            (SysV, 4, "Unknown"),
        ];
        for (manager, code, expected) in rows {
            let outcome = Outcome {
                ending: Ending::Exited(code),
                output_tail: "Docker is not running ... failed!\n".to_owned(),
            };
            let state = format!("{:?}", state(manager, &outcome));
            assert!(state.starts_with(expected), "{manager:?} {code}: {state}");
        }
    }

    #[test]
    fn each_manager_has_its_own_command() {
        let words = |manager: ServiceManager| manager.command("docker", "restart", ASK_TIMEOUT).words;
        assert_eq!(words(ServiceManager::OpenRc), ["rc-service", "docker", "restart"]);
        assert_eq!(words(ServiceManager::SysV), ["service", "docker", "restart"]);
    }
}
