//! The program dockerd: where it is, which version, whether it can check its own configuration.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::super::facts::Program;
use super::{DOCKERD, RealLook};
use crate::sys::{CommandLine, Process, ProcessId, UnitState};

/// How long it may take to say its version.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of its help is read, bytes.
const HELP_BYTES_MAX: usize = 64 * 1024;
/// The first version that knows `--validate`.
const VALIDATES_FROM: u32 = 23;
/// Where it is when nobody says: distributions, docker.com's packages, the static builds, the snap.
const USUAL: [&str; 4] = [
    "/usr/bin/dockerd",
    "/usr/sbin/dockerd",
    "/usr/local/bin/dockerd",
    "/snap/docker/current/bin/dockerd",
];

/// What was found of the program of a running dockerd, so that it is not asked again in every pass. Asked again after
/// a restart, and when its file was replaced.
#[derive(Clone, Debug, Default)]
pub struct KnownProgram(Arc<Mutex<Option<(Run, Program)>>>);

/// One run of a program, before or after its file was replaced.
type Run = (ProcessId, bool);

impl KnownProgram {
    fn held(&self) -> MutexGuard<'_, Option<(Run, Program)>> {
        self.0.lock().expect("no panic while it is held")
    }

    fn of(&self, run: Run) -> Option<Program> {
        let held = self.held();
        let (known, program) = held.as_ref()?;
        (*known == run).then(|| program.clone())
    }
}

impl RealLook {
    /// What the process runs, or what would be started. The version is that of the file: after an upgrade, the next
    /// start is of that one.
    pub(super) async fn program(
        &self,
        process: Option<&Process>,
        unit: Option<&UnitState>,
    ) -> Option<Program> {
        let run = process.map(|process| (process.id, process.program_replaced));
        if let Some(known) = run.and_then(|run| self.known.of(run)) {
            return Some(known);
        }
        let program = self.asked(self.program_path(process, unit)?).await;
        if let Some(run) = run.filter(|_| program.version.is_some()) {
            *self.known.held() = Some((run, program.clone()));
        }
        Some(program)
    }

    async fn asked(&self, path: PathBuf) -> Program {
        let said = self.ask(&path, "--version").await;
        let version = said.as_deref().and_then(version_in);
        let validates = match version.as_deref().and_then(major) {
            Some(major @ 1..) => major >= VALIDATES_FROM,
            // Built from source, with no version that means anything.
            _ => {
                let help = self.ask(&path, "--help").await;
                help.is_some_and(|help| help.contains("--validate"))
            }
        };
        Program {
            path,
            version,
            validates,
        }
    }

    fn program_path(&self, process: Option<&Process>, unit: Option<&UnitState>) -> Option<PathBuf> {
        let running = process.and_then(|process| process.program.clone());
        let started = unit.and_then(|unit| unit.program.clone());
        let started = started.filter(|path| path.file_name().is_some_and(|name| name == DOCKERD));
        let usual = || {
            let mut paths = USUAL.iter().map(Path::new);
            paths.find(|path| self.files.exists(path)).map(Path::to_owned)
        };
        running.or(started).or_else(usual)
    }

    async fn ask(&self, path: &Path, question: &str) -> Option<String> {
        let words = [path.to_str()?, question];
        let command = CommandLine::new(words, ASK_TIMEOUT).keeping(HELP_BYTES_MAX);
        let outcome = self.programs.run(&command).await;
        outcome.succeeded().then_some(outcome.output_tail)
    }
}

/// `Docker version 20.10.24+dfsg1, build 5d6db84`: the digits and dots alone.
fn version_in(said: &str) -> Option<String> {
    let word = said.split("version ").nth(1)?.split([',', ' ', '\n']).next()?;
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.');
    let version = word[..end.unwrap_or(word.len())].trim_matches('.');
    version.contains('.').then(|| version.to_owned())
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_without_what_distributions_add() {
        let rows = [
            ("20.10.24+dfsg1, build 5d6db84\n", Some("20.10.24")),
            (
                "28.5.2+dfsg4, build 3ef3c07c883be49a2e8097bcf6d2952fce1d70eb\n",
                Some("28.5.2"),
            ),
            ("29.7.2, build abc\n", Some("29.7.2")),
            ("17.09.0-ce, build afdb6d4\n", Some("17.09.0")),
            ("27.0.0-rc.1, build x\n", Some("27.0.0")),
            ("dev, build x\n", None),
            ("library-import, build x\n", None),
        ];
        for (said, expected) in rows {
            let version = version_in(&format!("Docker version {said}"));
            assert_eq!(version.as_deref(), expected, "{said}");
        }
        assert_eq!(version_in("command not found"), None);
        assert_eq!(major("20.10.24"), Some(20));
    }
}
