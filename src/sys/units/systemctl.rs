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
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How the journal is asked. Newest first: asked the other way round, systemd 252 counts lines from the beginning.
const JOURNALCTL: [&str; 6] = [
    "journalctl",
    "--quiet",
    "--no-pager",
    "--reverse",
    "--output=json",
    "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_COMM",
];
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
        let command = journalctl(unit, since, lines.min(JOURNAL_LINES_MAX));
        let answer = self.run(command, &unit.name).await?;
        let mut found = journal::parse(&answer);
        found.retain(|line| line.at >= since);
        found.reverse();
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

/// What the unit wrote, and what systemd wrote about it.
fn journalctl(unit: &UnitId, since: Timestamp, lines: u32) -> CommandLine {
    // Whole seconds here; what is older is dropped afterwards.
    let (since, lines) = (
        format!("--since=@{}", since.as_secs()),
        format!("--lines={lines}"),
    );
    let mut command = CommandLine::new(JOURNALCTL, ASK_TIMEOUT).keeping(ANSWER_BYTES_MAX);
    command.words.extend([since, lines]);
    let name = &unit.name;
    match &unit.scope {
        Scope::System => command.words.extend([format!("--unit={name}")]),
        // Every user has a docker.service, and --user-unit means those of the one who asks.
        Scope::User { uid, .. } => command.words.extend([
            format!("_SYSTEMD_USER_UNIT={name}"),
            format!("_UID={uid}"),
            "+".to_owned(),
            format!("USER_UNIT={name}"),
            format!("_UID={uid}"),
        ]),
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Scope {
        Scope::User {
            uid: 4_000_000,
            runtime_directory: "/nonexistent/4000000".into(),
        }
    }

    #[test]
    fn the_journal_is_asked_for_one_users_unit() {
        let words = |unit: &UnitId| {
            let command = journalctl(unit, Timestamp::from_millis(1_795_361_400_999), 20);
            command.words[JOURNALCTL.len()..].join(" ")
        };
        let system = words(&UnitId::system("docker.service"));
        assert_eq!(system, "--since=@1795361400 --lines=20 --unit=docker.service");
        let (name, scope) = ("docker.service".to_owned(), nobody());
        let user = words(&UnitId { name, scope });
        let expected =
            "_SYSTEMD_USER_UNIT=docker.service _UID=4000000 + USER_UNIT=docker.service _UID=4000000";
        assert_eq!(user.split_once("--lines=20 ").unwrap().1, expected);
    }

    #[test]
    fn a_users_units_are_asked_for_as_that_user() {
        let command = in_scope("systemctl", &nobody(), &["daemon-reload"], ASK_TIMEOUT);
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
        let (name, scope) = ("docker.service".to_owned(), nobody());
        let error = units.show(&UnitId { name, scope }).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/4000000"), "{error}");
    }
}
