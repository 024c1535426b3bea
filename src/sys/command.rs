//! The only home of starting programs: bounded in time and output, in a process group of their own, with an
//! environment that was named. No shell, unless the configuration itself is a shell line.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Child;

/// How much of a program's output is kept unless it is said otherwise: its end, bytes.
pub const OUTPUT_TAIL_BYTES: usize = 4096;
/// How long a program that was asked to end (SIGTERM) has before it is killed.
pub const KILL_AFTER: Duration = Duration::from_secs(2);
/// Variables that are passed on when they are set; everything else is named in [`CommandLine::environment`].
pub const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// Variables it gets besides [`PASSED_ON`].
    pub environment: BTreeMap<String, String>,
    /// How long it may take, everything it started included.
    pub timeout: Duration,
    /// How much of its output is kept: its end, bytes.
    pub output_bytes_max: usize,
    /// Who it runs as, without further groups; `None`: as this process.
    pub user: Option<RunAs>,
}

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl CommandLine {
    /// A program by its words.
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>, timeout: Duration) -> Self {
        Self {
            words: words.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            timeout,
            output_bytes_max: OUTPUT_TAIL_BYTES,
            user: None,
        }
    }

    /// A line for `/bin/sh`: only for lines that an administrator wrote as such.
    pub fn shell(line: &str, timeout: Duration) -> Self {
        Self::new(["/bin/sh", "-c", line], timeout)
    }

    /// With one more variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// With more of its output kept.
    #[must_use]
    pub fn keeping(mut self, output_bytes_max: usize) -> Self {
        self.output_bytes_max = output_bytes_max;
        self
    }

    /// As somebody else.
    #[must_use]
    pub fn as_user(mut self, user: RunAs) -> Self {
        self.user = Some(user);
        self
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It took too long and was killed, with everything it started.
    TimedOut(Duration),
    /// It could not be started.
    NotStarted(String),
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The end of what it wrote to stdout and stderr, at most [`CommandLine::output_bytes_max`].
    pub output_tail: String,
}

impl Outcome {
    /// Whether it did what it was asked.
    pub fn succeeded(&self) -> bool {
        self.ending == Ending::Exited(0)
    }

    /// One sentence: how it ended, and the last line it wrote.
    pub fn explain(&self) -> String {
        let ending = match &self.ending {
            Ending::Exited(code) => format!("exited with {code}"),
            Ending::Killed(signal) => format!("was ended by signal {signal}"),
            Ending::TimedOut(limit) => format!("took longer than {} s and was killed", limit.as_secs()),
            Ending::NotStarted(why) => {
                format!("could not be started ({why}): check its path and permissions")
            }
        };
        match self
            .output_tail
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
        {
            Some(line) => format!("{ending}; it said: {}", line.trim()),
            None => ending,
        }
    }
}

/// Running programs as a seam: tests stand another one in.
#[async_trait]
pub trait Programs: Send + Sync + 'static {
    /// Runs a program to its end or its timeout.
    async fn run(&self, command: &CommandLine) -> Outcome;
}

/// Real processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealPrograms;

#[async_trait]
impl Programs for RealPrograms {
    async fn run(&self, command: &CommandLine) -> Outcome {
        match start(command) {
            Ok(running) => running.finish(command).await,
            Err(error) => Outcome {
                ending: Ending::NotStarted(error.to_string()),
                output_tail: String::new(),
            },
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts programs")]
fn start(command: &CommandLine) -> io::Result<Running> {
    let (program, arguments) = command
        .words
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    // One pipe for both, so that what it said stays in order.
    let (reader, writer) = io::pipe()?;
    let passed_on = PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = tokio::process::Command::new(program);
    if let Some(user) = command.user {
        // Further groups are dropped, too: the standard library does that for every change of user by root.
        child.uid(user.uid).gid(user.gid);
    }
    let child = child
        .args(arguments)
        .env_clear()
        .envs(passed_on)
        .envs(&command.environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    Ok(Running { child, output })
}

/// A program under way. Dropping it kills its whole group.
struct Running {
    child: Child,
    output: pipe::Receiver,
}

impl Running {
    async fn finish(mut self, command: &CommandLine) -> Outcome {
        let timeout = command.timeout;
        let mut tail = Tail::of(command.output_bytes_max);
        let ending = {
            let read = tail.follow(&mut self.output);
            tokio::pin!(read);
            tokio::select! {
                ended = Self::wait(&mut self.child, read) => exit_ending(ended),
                () = tokio::time::sleep(timeout) => Ending::TimedOut(timeout),
            }
        };
        if matches!(ending, Ending::TimedOut(_)) {
            self.end().await;
        }
        Outcome {
            ending,
            output_tail: tail.text(),
        }
    }

    /// Waits for the program, reading along; a grandchild that keeps the pipes open is not waited for long.
    async fn wait(
        child: &mut Child,
        mut read: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> io::Result<ExitStatus> {
        let status = tokio::select! {
            status = child.wait() => status,
            () = &mut read => return child.wait().await,
        };
        let _ = tokio::time::timeout(Duration::from_millis(200), read).await;
        status
    }

    /// SIGTERM to the group, then SIGKILL.
    async fn end(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        if tokio::time::timeout(KILL_AFTER, self.child.wait()).await.is_err() {
            self.signal(rustix::process::Signal::KILL);
            let _ = self.child.wait().await;
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = pid.and_then(rustix::process::Pid::from_raw) {
            // It may have ended a moment ago; then there is nothing to do.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `id` is `None` once the child was waited for: a number that may be somebody else's is never signalled.
        self.signal(rustix::process::Signal::KILL);
    }
}

fn exit_ending(status: io::Result<ExitStatus>) -> Ending {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Exited(code),
            (None, signal) => Ending::Killed(signal.unwrap_or_default()),
        },
        Err(error) => Ending::NotStarted(error.to_string()),
    }
}

/// The end of what was written, and how long it may become.
struct Tail(Vec<u8>, usize);

impl Tail {
    fn of(bytes_max: usize) -> Self {
        Self(Vec::new(), bytes_max)
    }

    async fn follow(&mut self, output: &mut pipe::Receiver) {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            self.push(&buffer[..length]);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let excess = self.0.len().saturating_sub(self.1);
        self.0.drain(..excess);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    async fn run(line: &str, timeout: Duration) -> Outcome {
        let command = CommandLine::shell(line, timeout).with_variable("DOCKWARDEN_NAME", "web-01");
        RealPrograms.run(&command).await
    }

    #[tokio::test]
    async fn a_program_gets_a_named_environment_and_nothing_else() {
        let outcome = run("env | sort", LONG).await;
        let names: Vec<&str> = outcome
            .output_tail
            .lines()
            .filter_map(|l| l.split('=').next())
            .collect();
        assert!(names.contains(&"DOCKWARDEN_NAME"), "{names:?}");
        for name in names {
            let known = PASSED_ON.contains(&name)
                || ["DOCKWARDEN_NAME", "PWD", "SHLVL", "_", "OLDPWD"].contains(&name);
            assert!(known, "{name} must not be passed on");
        }
    }

    #[tokio::test]
    async fn a_failure_says_how_it_ended_and_the_last_thing_it_said() {
        let outcome = run("echo first; echo 'no such unit: nginx' >&2; exit 3", LONG).await;
        assert_eq!(outcome.ending, Ending::Exited(3));
        assert_eq!(outcome.explain(), "exited with 3; it said: no such unit: nginx");
        assert_eq!(run("kill -9 $$", LONG).await.ending, Ending::Killed(9));
        let missing = RealPrograms
            .run(&CommandLine::new(["/nonexistent/program"], LONG))
            .await;
        assert!(matches!(missing.ending, Ending::NotStarted(_)), "{missing:?}");
        let empty = RealPrograms
            .run(&CommandLine::new(Vec::<String>::new(), LONG))
            .await;
        assert!(matches!(empty.ending, Ending::NotStarted(_)), "{empty:?}");
    }

    #[tokio::test]
    async fn only_the_end_of_a_flood_is_kept() {
        let outcome = run("yes flood | head -c 1000000; echo; echo last", LONG).await;
        assert!(outcome.succeeded(), "{:?}", outcome.ending);
        assert_eq!(outcome.output_tail.len(), OUTPUT_TAIL_BYTES);
        assert!(outcome.output_tail.ends_with("last\n"));
        let line = "yes flood | head -c 10000; echo; echo last";
        let outcome = RealPrograms
            .run(&CommandLine::shell(line, LONG).keeping(8000))
            .await;
        assert_eq!(outcome.output_tail.len(), 8000);
    }

    #[tokio::test]
    async fn a_program_can_be_run_as_somebody_else() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can run programs as somebody else");
            return;
        }
        let nobody = RunAs {
            uid: 65534,
            gid: 65533,
        };
        let command = CommandLine::new(["id"], LONG).as_user(nobody);
        let said = RealPrograms.run(&command).await.output_tail;
        let groups = said.split("groups=").nth(1).unwrap_or_default().trim();
        assert!(said.contains("uid=65534") && said.contains("gid=65533"), "{said}");
        assert!(groups.starts_with("65533") && !groups.contains(','), "{said}");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let line = "sleep 60 & echo $!; trap '' TERM; sleep 60";
        let outcome = run(line, Duration::from_millis(200)).await;
        assert_eq!(outcome.ending, Ending::TimedOut(Duration::from_millis(200)));
        let grandchild = format!("/proc/{}/cmdline", outcome.output_tail.trim());
        for _ in 0..200 {
            let gone = std::fs::read(&grandchild).map_or(true, |cmdline| cmdline.is_empty());
            if gone {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the grandchild is still there");
    }

    #[tokio::test]
    async fn a_background_child_that_keeps_the_pipe_is_not_waited_for() {
        let outcome = run("sleep 5 & echo started", Duration::from_secs(4)).await;
        assert_eq!(
            (outcome.ending, outcome.output_tail.trim()),
            (Ending::Exited(0), "started")
        );
    }
}
