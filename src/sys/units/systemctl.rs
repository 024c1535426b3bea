//! The real systemd, through its own programs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::show::PROPERTIES;
use super::{JOURNAL_LINES_MAX, JournalLine, Order, Scope, UnitError, UnitId, UnitState, Units};
use super::{journal, show};
use crate::base::Timestamp;
use crate::sys::command::RunAs;
use crate::sys::{CommandLine, Ending, Programs};

/// How long a question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long reading all units again may take.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of an answer is read, bytes.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// There while systemd is PID 1 (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";
/// The group of a user whose own is not known: nobody's.
const NO_GROUP: u32 = 65534;

/// `systemctl` and `journalctl`.
pub struct RealUnits {
    programs: Arc<dyn Programs>,
}

impl RealUnits {
    /// Over a way to run programs.
    pub fn new(programs: Arc<dyn Programs>) -> Self {
        Self { programs }
    }

    async fn systemctl(
        &self,
        scope: &Scope,
        words: &[&str],
        about: &str,
        timeout: Duration,
    ) -> Result<String, UnitError> {
        if !self.present(scope) {
            return Err(UnitError::Absent(sign_of_life(scope)));
        }
        let command = in_scope("systemctl", scope, words, timeout);
        self.run(command, about).await
    }

    async fn run(&self, command: CommandLine, about: &str) -> Result<String, UnitError> {
        let outcome = self.programs.run(&command).await;
        let unit = about.to_owned();
        match outcome.ending {
            Ending::Exited(0) => Ok(outcome.output_tail),
            Ending::TimedOut(limit) => Err(UnitError::Slow {
                command: command.words.join(" "),
                limit,
                unit,
            }),
            _ => Err(UnitError::Refused {
                command: command.words.join(" "),
                why: outcome.explain(),
                unit,
            }),
        }
    }
}

#[async_trait]
impl Units for RealUnits {
    fn present(&self, scope: &Scope) -> bool {
        sign_of_life(scope).exists()
    }

    async fn show(&self, unit: &UnitId) -> Result<UnitState, UnitError> {
        let properties = format!("--property={PROPERTIES}");
        let words = ["show", &properties, "--", &unit.name];
        let answer = self
            .systemctl(&unit.scope, &words, &unit.name, ASK_TIMEOUT)
            .await?;
        Ok(show::parse(&answer))
    }

    async fn sockets(&self, scope: &Scope) -> Result<Vec<UnitState>, UnitError> {
        let properties = format!("--property={PROPERTIES}");
        let words = ["show", &properties, "--", "*.socket"];
        let answer = self.systemctl(scope, &words, "*.socket", ASK_TIMEOUT).await?;
        Ok(show::parse_all(&answer))
    }

    async fn reload(&self, scope: &Scope) -> Result<(), UnitError> {
        let done = self
            .systemctl(scope, &["daemon-reload"], "", RELOAD_TIMEOUT)
            .await;
        done.map(drop)
    }

    async fn order(&self, order: Order, unit: &UnitId, timeout: Duration) -> Result<(), UnitError> {
        let words = [order.verb(), "--", &unit.name];
        let done = self.systemctl(&unit.scope, &words, &unit.name, timeout).await;
        done.map(drop)
    }

    async fn journal(
        &self,
        unit: &UnitId,
        since: Timestamp,
        lines: u32,
    ) -> Result<Vec<JournalLine>, UnitError> {
        let lines = lines.min(JOURNAL_LINES_MAX).to_string();
        // journalctl counts whole seconds here; what is older is dropped below.
        let from = format!("--since=@{}", since.as_secs());
        let unit_word = match unit.scope {
            Scope::System => "--unit",
            Scope::User { .. } => "--user-unit",
        };
        let words = ["--quiet", "--no-pager", "--output=json", &from, "--lines", &lines];
        let words = [&words[..], &[unit_word, &unit.name]].concat();
        let mut command = CommandLine::new(["journalctl"], ASK_TIMEOUT).keeping(ANSWER_BYTES_MAX);
        command.words.extend(words.into_iter().map(str::to_owned));
        if let Scope::User { uid, .. } = unit.scope {
            // Every user has a docker.service of that name.
            command.words.push(format!("_UID={uid}"));
        }
        let answer = self.run(command, &unit.name).await?;
        let mut found = journal::parse(&answer);
        found.retain(|line| line.at >= since);
        Ok(found)
    }
}

/// What exists while systemd runs the services of this scope.
fn sign_of_life(scope: &Scope) -> PathBuf {
    match scope {
        Scope::System => PathBuf::from(BOOTED),
        Scope::User {
            runtime_directory, ..
        } => runtime_directory.join("systemd"),
    }
}

/// A program of systemd's, asked about a scope. Times are written in UTC, words in English.
fn in_scope(program: &str, scope: &Scope, words: &[&str], timeout: Duration) -> CommandLine {
    let mut command = CommandLine::new([program], timeout).keeping(ANSWER_BYTES_MAX);
    command = command
        .with_variable("LC_ALL", "C")
        .with_variable("TZ", "UTC")
        .with_variable("SYSTEMD_COLORS", "0");
    if let Scope::User {
        uid,
        runtime_directory,
    } = scope
    {
        command.words.push("--user".to_owned());
        command = command.with_variable("XDG_RUNTIME_DIR", runtime_directory.to_string_lossy());
        // The user's systemd talks to nobody else, not even to root.
        if rustix::process::geteuid().as_raw() != *uid {
            let gid = rustix::fs::stat(runtime_directory).map_or(NO_GROUP, |stat| stat.st_gid);
            command = command.as_user(RunAs { uid: *uid, gid });
        }
    }
    command.words.push("--no-pager".to_owned());
    command.words.extend(words.iter().map(|word| (*word).to_owned()));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_units_are_asked_for_as_that_user() {
        let scope = Scope::User {
            uid: 4_000_000,
            runtime_directory: "/nonexistent/4000000".into(),
        };
        let command = in_scope("systemctl", &scope, &["daemon-reload"], ASK_TIMEOUT);
        assert_eq!(
            command.words,
            ["systemctl", "--user", "--no-pager", "daemon-reload"]
        );
        assert_eq!(command.environment["XDG_RUNTIME_DIR"], "/nonexistent/4000000");
        let user = RunAs {
            uid: 4_000_000,
            gid: NO_GROUP,
        };
        assert_eq!(command.user, Some(user));
        let command = in_scope("systemctl", &Scope::System, &["daemon-reload"], ASK_TIMEOUT);
        assert_eq!(command.words, ["systemctl", "--no-pager", "daemon-reload"]);
        assert_eq!(command.user, None);
    }

    #[tokio::test]
    async fn where_systemd_does_not_run_it_is_not_asked() {
        let units = RealUnits::new(Arc::new(crate::sys::RealPrograms));
        let scope = Scope::User {
            uid: 4_000_000,
            runtime_directory: "/nonexistent/4000000".into(),
        };
        let name = "docker.service".to_owned();
        let error = units.show(&UnitId { name, scope }).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/4000000"), "{error}");
    }
}
