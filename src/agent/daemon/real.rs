//! dockerd on a real host, over the seams to systemd, service scripts, processes and programs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::arrangement::Arrangement;
use super::dockerd::{Dockerd, Restart};
use super::engine::Engines;
use super::facts::{DaemonFacts, DaemonState, Layout, Program, Scope};
use super::known_keys;
use super::look::Look;
use crate::base::Timestamp;
use crate::sys::process::Signal;
use crate::sys::systemd;
use crate::sys::units::Order;
use crate::sys::{CommandLine, Ending, Files, Processes, Programs, Services, UnitId, Units};

/// How long `dockerd --validate` may take.
const VALIDATE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long systemd may take to forget failures.
const ORDER_TIMEOUT: Duration = Duration::from_secs(10);
/// Lines of the journal that are looked through for what explains a failure.
const JOURNAL_LINES: u32 = 60;
/// The largest configuration that is looked through, bytes.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// The real one.
pub struct RealDockerd {
    /// How it is looked at.
    pub look: Arc<dyn Look>,
    /// Docker's socket.
    pub engines: Arc<dyn Engines>,
    /// Where that is.
    pub docker_socket: PathBuf,
    /// systemd.
    pub units: Arc<dyn Units>,
    /// Service scripts.
    pub services: Arc<dyn Services>,
    /// The processes.
    pub processes: Arc<dyn Processes>,
    /// Other programs.
    pub programs: Arc<dyn Programs>,
    /// The disk.
    pub files: Files,
}

#[async_trait]
impl Dockerd for RealDockerd {
    async fn look(&self) -> DaemonFacts {
        self.look.look().await
    }

    async fn validate(
        &self,
        facts: &DaemonFacts,
        arranged: &Arrangement,
        candidate: PathBuf,
    ) -> Result<(), String> {
        let Some(program) = &facts.program else {
            return Err("its program was not found: start it once".to_owned());
        };
        if !program.validates {
            let config = self.files.read_if_any(&candidate, CONFIG_BYTES_MAX);
            return known_keys::check(&config.map_err(|e| e.to_string())?.unwrap_or_default());
        }
        let asked = self
            .programs
            .run(&question(facts, program, arranged, &candidate))
            .await;
        match asked.ending {
            Ending::Exited(0) => Ok(()),
            // It says why in its last lines, without decoration.
            Ending::Exited(_) if !asked.output_tail.trim().is_empty() => Err(last_lines(&asked.output_tail)),
            _ => Err(format!("dockerd --validate {}", asked.explain())),
        }
    }

    async fn reload(&self) -> Result<(), String> {
        let facts = self.look.look().await;
        let process = facts
            .process
            .ok_or("dockerd does not run, so it was not told to reload")?;
        let id = crate::sys::process::ProcessId {
            pid: process.pid,
            start_ticks: process.start_ticks,
        };
        self.processes.signal(id, Signal::HUP).map_err(|e| e.to_string())
    }

    async fn reload_units(&self) -> Result<(), String> {
        match unit_of(&self.look.look().await.layout) {
            Some(unit) => self.units.reload(&unit.scope).await.map_err(|e| e.to_string()),
            None => Ok(()),
        }
    }

    async fn restart(&self, how: Restart, timeout: Duration) -> Result<(), String> {
        let facts = self.look.look().await;
        if how == Restart::Running && facts.state == DaemonState::Stopped {
            return Err("dockerd was stopped meanwhile, and is not ours to start".to_owned());
        }
        // It is started after this agent: our own start must not hold it back.
        systemd::ready();
        if let Some(unit) = unit_of(&facts.layout) {
            // A start too many within a minute would leave it down. A unit that never failed has nothing to forget.
            let _ = self.units.order(Order::ResetFailed, &unit, ORDER_TIMEOUT).await;
            let restarted = self.units.order(Order::Restart, &unit, timeout).await;
            return restarted.map_err(|e| e.to_string());
        }
        match facts.layout {
            Layout::Service { manager, name } => self.services.restart(manager, &name, timeout).await,
            Layout::Plain { restart } => {
                let outcome = self.programs.run(&CommandLine::new(&restart, timeout)).await;
                match outcome.succeeded() {
                    true => Ok(()),
                    false => Err(format!("{} {}", restart.join(" "), outcome.explain())),
                }
            }
            Layout::Systemd { .. } | Layout::Snap { .. } => Ok(()),
            Layout::Unrecognised(why) => Err(why),
        }
    }

    async fn ping(&self) -> Result<(), String> {
        self.engines.ping(&self.docker_socket).await
    }

    async fn canary(&self, word: &str) -> Result<(), String> {
        self.engines.canary(&self.docker_socket, word).await
    }

    async fn busy(&self, facts: &DaemonFacts) -> Vec<String> {
        self.look.busy(facts).await
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn explain(&self, since: Timestamp) -> Vec<String> {
        let facts = self.look.look().await;
        let Some(unit) = unit_of(&facts.layout) else {
            return Vec::new();
        };
        let lines = self
            .units
            .journal(&unit, since, JOURNAL_LINES)
            .await
            .unwrap_or_default();
        let telling = lines.into_iter().filter(|line| explains(&line.message));
        telling
            .map(|line| format!("{}: {}", line.program, line.message.trim()))
            .collect()
    }
}

/// The unit that starts it, where systemd does.
fn unit_of(layout: &Layout) -> Option<UnitId> {
    match layout {
        Layout::Systemd { unit, scope } => Some(UnitId {
            name: unit.clone(),
            scope: scope.clone(),
        }),
        Layout::Snap { unit } => Some(UnitId {
            name: unit.clone(),
            scope: Scope::System,
        }),
        Layout::Service { .. } | Layout::Plain { .. } | Layout::Unrecognised(_) => None,
    }
}

/// `dockerd --validate` with the flags it would have and another configuration file.
fn question(
    facts: &DaemonFacts,
    program: &Program,
    arranged: &Arrangement,
    candidate: &std::path::Path,
) -> CommandLine {
    let mut words = vec![program.path.display().to_string()];
    let mut flags = arranged.argv.iter().skip(1);
    while let Some(word) = flags.next() {
        match word.trim_start_matches('-') {
            "config-file" => {
                flags.next();
            }
            long if long.starts_with("config-file=") => {}
            _ => words.push(word.clone()),
        }
    }
    words.push(format!("--config-file={}", candidate.display()));
    words.push("--validate".to_owned());
    let mut command = CommandLine::new(words, VALIDATE_TIMEOUT);
    for (name, value) in facts.process.iter().flat_map(|process| &process.environment) {
        command = command.with_variable(name, value);
    }
    command
}

/// The end of what a program said, on one line.
fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(2)..].join(" ")
}

/// Whether a line of the journal says why something did not work.
fn explains(line: &str) -> bool {
    const WORDS: [&str; 9] = [
        "level=error",
        "level=fatal",
        "level=warning",
        "failed",
        "Failed",
        "error",
        "unable",
        "panic",
        "Start request",
    ];
    WORDS.iter().any(|word| line.contains(word))
        && !line.contains("level=info")
        && !line.contains("TLS handshake error")
}
