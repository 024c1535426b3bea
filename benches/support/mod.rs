//! What the benches that run the real program share: a server of its own, on loopback and on a real disk.

pub mod agent;
pub mod http;
pub mod server;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How long a program may take to be ready, and a command to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, as `cargo bench` built it.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dockwarden");

/// The time, for what is measured.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub fn clock() -> Instant {
    Instant::now()
}

/// A directory below `target/`, so on the disk and not in memory; removed at the end.
pub fn directory() -> anyhow::Result<tempfile::TempDir> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(place)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(place)?)
}

/// A program that is ended with the bench, however that ends.
pub struct Running {
    child: Child,
    /// Whether it has children of its own to end.
    ends_others: bool,
    /// From its start to `READY=1`.
    pub ready_after: Duration,
}

impl Running {
    /// Starts it and waits until it tells its service manager that it is ready.
    pub fn start(scratch: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_program(PROGRAM, scratch, name, arguments)
    }

    /// The same with another build of the program.
    pub fn start_program(path: &str, scratch: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let (socket, log) = (scratch.join("notify"), scratch.join(format!("{name}.log")));
        // From an earlier start.
        let _ = std::fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket)?;
        notify.set_read_timeout(Some(Duration::from_millis(100)))?;
        let began = clock();
        let mut running = Self {
            child: program(path, scratch, arguments)
                .env("NOTIFY_SOCKET", &socket)
                .stderr(std::fs::File::create(&log)?)
                .spawn()
                .with_context(|| path.to_owned())?,
            ends_others: false,
            ready_after: Duration::ZERO,
        };
        let mut message = [0; 1024];
        while began.elapsed() < PATIENCE {
            if let Some(status) = running.child.try_wait()? {
                bail!("{arguments:?} ended ({status}): {}", tail(&log));
            }
            let read = notify.recv(&mut message).unwrap_or(0);
            if message[..read]
                .split(|b| *b == b'\n')
                .any(|line| line == b"READY=1")
            {
                running.ready_after = began.elapsed();
                return Ok(running);
            }
        }
        bail!("{arguments:?} is not ready after {PATIENCE:?}: {}", tail(&log))
    }

    /// Starts a program of somebody else, and waits until `is_ready`.
    pub fn start_other(
        path: &str,
        scratch: &Path,
        arguments: &[&str],
        is_ready: impl Fn() -> bool,
    ) -> anyhow::Result<Self> {
        let log = scratch.join(format!("{}.log", path.replace('/', "-")));
        let began = clock();
        let mut running = Self {
            child: program(path, scratch, arguments)
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(&log)?)
                .spawn()
                .with_context(|| path.to_owned())?,
            ends_others: true,
            ready_after: Duration::ZERO,
        };
        while began.elapsed() < PATIENCE {
            if is_ready() {
                running.ready_after = began.elapsed();
                return Ok(running);
            }
            if let Some(status) = running.child.try_wait()? {
                bail!("{path} ended ({status}): {}", tail(&log));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{path} is not ready after {PATIENCE:?}: {}", tail(&log))
    }

    /// Processor time it has used, in user and in kernel mode.
    pub fn processor_time(&self) -> anyhow::Result<(Duration, Duration)> {
        processor_time(&format!("/proc/{}/stat", self.child.id()))
    }

    /// A line of `/proc/PID/status` that is in KiB.
    pub fn status_kib(&self, key: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let number = line
            .and_then(|line| line.split_whitespace().next())
            .context("no such line")?;
        Ok(number.parse()?)
    }

    /// How many threads it has.
    pub fn threads(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?.count())
    }

    /// Ends it in order.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = match self.ends_others {
            true => rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(Into::into),
            false => self.child.kill(),
        };
        let _ = self.child.wait();
    }
}

/// `utime` and `stime` of a `/proc/.../stat`, at 100 ticks a second (the kernel's unit there on every Linux of ours).
pub fn processor_time(stat: &str) -> anyhow::Result<(Duration, Duration)> {
    let text = std::fs::read_to_string(stat)?;
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .context("a stat line")?
        .split_whitespace()
        .collect();
    let time = |field: usize| -> anyhow::Result<Duration> {
        Ok(Duration::from_millis(fields[field].parse::<u64>()? * 10))
    };
    Ok((time(11)?, time(12)?))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench starts the program that it measures"
)]
fn program(path: &str, scratch: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    // Nothing of the person who runs the bench.
    command
        .env_clear()
        .env("HOME", scratch)
        .env("PATH", "/usr/bin:/bin")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns what it printed.
pub fn run(scratch: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = program(PROGRAM, scratch, arguments)
        .output()
        .with_context(|| PROGRAM.to_owned())?;
    ensure!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The same with a program of somebody else.
pub fn run_other(path: &str, scratch: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = program(path, scratch, arguments)
        .output()
        .with_context(|| path.to_owned())?;
    ensure!(
        output.status.success(),
        "{path} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a program of somebody else and counts the bytes that it prints.
pub fn piped(path: &str, scratch: &Path, arguments: &[&str]) -> anyhow::Result<u64> {
    let mut child = program(path, scratch, arguments).stdout(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().context("a pipe")?;
    let bytes = std::io::copy(&mut output, &mut std::io::sink())?;
    ensure!(child.wait()?.success(), "{path} {arguments:?} failed");
    Ok(bytes)
}

fn tail(log: &Path) -> String {
    std::fs::read_to_string(log).map_or_else(
        |e| e.to_string(),
        |text| text.lines().rev().take(5).collect::<Vec<_>>().join(" | "),
    )
}
