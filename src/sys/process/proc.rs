//! The real processes, from `/proc`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::{Listening, Process, ProcessId, Processes, SignalError, stat};
use crate::sys::listening;

/// How much of a file below `/proc` is read, bytes. The tables of sockets begin with those that are listened on.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What the kernel adds to the path of a program whose file is gone.
const GONE: &str = " (deleted)";

/// The processes of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealProcesses;

impl Processes for RealProcesses {
    fn find(&self, name: &str) -> Vec<Process> {
        // The kernel keeps the first 15 bytes.
        let kept = &name.as_bytes()[..name.len().min(15)];
        let named = |pid: &u32| read(*pid, "comm").is_ok_and(|comm| comm.strip_suffix(b"\n") == Some(kept));
        pids()
            .into_iter()
            .filter(named)
            .filter_map(|pid| self.get(pid))
            .collect()
    }

    fn get(&self, pid: u32) -> Option<Process> {
        let stat = stat::parse(&text(pid, "stat").ok()?)?;
        let boot = std::fs::read_to_string("/proc/stat").ok()?;
        let program = link(pid, "exe");
        let intact = program
            .as_deref()
            .map(|path| path.to_string_lossy().strip_suffix(GONE).map(PathBuf::from));
        let program_replaced = matches!(intact, Some(Some(_)));
        Some(Process {
            id: ProcessId {
                pid,
                start_ticks: stat.start_ticks,
            },
            parent: stat.parent,
            started_at: stat::started_at(&boot, stat.start_ticks)?,
            uid: stat::uid(&text(pid, "status").ok()?)?,
            name: stat.name,
            program: intact.flatten().or(program),
            program_replaced,
            argv: stat::strings(&read(pid, "cmdline").unwrap_or_default()),
            directory: link(pid, "cwd"),
            cgroups: stat::cgroups(&text(pid, "cgroup").unwrap_or_default()),
        })
    }

    fn environment(&self, pid: u32, names: &[&str]) -> Vec<(String, String)> {
        stat::variables(&read(pid, "environ").unwrap_or_default(), names)
    }

    fn open_files(&self, pid: u32) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(of(pid, "fd")) else {
            return Vec::new();
        };
        let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.collect()
    }

    fn listening(&self, pid: u32) -> Listening {
        let own = sockets_of(self, pid);
        let table = |name: &str| text(pid, name).unwrap_or_default();
        let tcp = [table("net/tcp"), table("net/tcp6")];
        let mut tcp: Vec<_> = tcp.iter().flat_map(|table| listening::tcp(table)).collect();
        tcp.retain(|socket| own.contains(&socket.inode));
        let mut unix = listening::unix(&table("net/unix"));
        unix.retain(|socket| own.contains(&socket.inode));
        Listening {
            tcp: tcp.into_iter().map(|socket| socket.address).collect(),
            unix: unix.into_iter().map(|socket| socket.address).collect(),
        }
    }

    fn is_same_file(&self, pid: u32, bound: &Path, here: &Path) -> bool {
        let Ok(here) = rustix::fs::stat(here) else {
            return false;
        };
        let there = stat_inside(pid, bound);
        there.is_ok_and(|there| (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino))
    }

    fn listener_of(&self, socket: &Path) -> Option<Process> {
        let table = std::fs::read_to_string("/proc/net/unix").ok()?;
        let mut bound = listening::unix(&table);
        bound.retain(|bound| is_same_path(&bound.address, socket));
        let inodes: BTreeSet<u64> = bound.into_iter().map(|bound| bound.inode).collect();
        if inodes.is_empty() {
            return None;
        }
        let listens = |pid: &u32| !sockets_of(self, *pid).is_disjoint(&inodes);
        let pid = pids().into_iter().find(listens)?;
        self.get(pid)
    }

    fn signal(&self, process: ProcessId, signal: Signal) -> Result<(), SignalError> {
        let pid = process.pid;
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or(SignalError::Gone(pid))?;
        let same = || {
            let stat = text(pid, "stat").ok().and_then(|text| stat::parse(&text));
            stat.is_some_and(|stat| stat.start_ticks == process.start_ticks)
        };
        // Opened before it is looked at: whoever gets the number next, this stays the process that was looked at.
        let sent = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(_) if !same() => return Err(SignalError::Gone(pid)),
            Ok(handle) => pidfd_send_signal(handle, signal),
            // Linux before 5.3 has no such handle.
            Err(Errno::NOSYS) if same() => kill_process(number, signal),
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(Errno::SRCH | Errno::NOSYS) => Err(SignalError::Gone(pid)),
            Err(error) => Err(SignalError::Refused {
                pid,
                source: error.into(),
            }),
        }
    }
}

/// Every process there is, by number.
fn pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = numbers.collect();
    pids.sort_unstable();
    pids
}

fn of(pid: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

fn read(pid: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(of(pid, name))?
        .take(BYTES_MAX)
        .read_to_end(&mut contents)?;
    Ok(contents)
}

fn text(pid: u32, name: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read(pid, name)?).into_owned())
}

fn link(pid: u32, name: &str) -> Option<PathBuf> {
    std::fs::read_link(of(pid, name)).ok()
}

fn sockets_of(processes: &RealProcesses, pid: u32) -> BTreeSet<u64> {
    let files = processes.open_files(pid);
    files.iter().filter_map(|file| listening::inode(file)).collect()
}

/// `/run/docker.sock` and `/var/run/docker.sock` are one on most machines.
fn is_same_path(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| Some((path.parent()?.canonicalize().ok()?, path.file_name()?.to_owned()));
    one == other || (place(one).is_some() && place(one) == place(other))
}

/// Follows a path as a process would: links to `/run` lead to its own `/run`, not to ours.
fn stat_inside(pid: u32, path: &Path) -> rustix::io::Result<rustix::fs::Stat> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(of(pid, "root"), flags | OFlags::DIRECTORY, Mode::empty())?;
    match rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(file) => rustix::fs::fstat(file),
        // Linux before 5.6, and sandboxes that do not know the call: right for all who have our own root.
        Err(Errno::NOSYS | Errno::PERM) => {
            let (theirs, ours) = (rustix::fs::fstat(root)?, rustix::fs::stat("/")?);
            if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) {
                rustix::fs::stat(path)
            } else {
                Err(Errno::NOSYS)
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn this_process_finds_itself_with_what_it_listens_on() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let unix = UnixListener::bind(&socket).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let pid = std::process::id();
        let own = RealProcesses.get(pid).unwrap();
        assert_eq!(own.program, std::env::current_exe().ok());
        assert_eq!(own.argv, std::env::args().collect::<Vec<_>>());
        assert_eq!(own.uid, rustix::process::geteuid().as_raw());
        let found = RealProcesses.find(&own.name);
        assert!(found.iter().any(|process| process.id == own.id), "{found:?}");
        let listening = RealProcesses.listening(pid);
        assert!(
            listening.tcp.contains(&tcp.local_addr().unwrap()),
            "{listening:?}"
        );
        assert!(listening.unix.contains(&socket), "{listening:?}");
        assert!(RealProcesses.is_same_file(pid, &socket, &socket));
        assert_eq!(RealProcesses.listener_of(&socket).unwrap().id, own.id);
        drop((unix, tcp));
        assert!(!RealProcesses.listening(pid).unix.contains(&socket));
        assert_eq!(RealProcesses.listener_of(&socket), None);
    }

    #[test]
    fn a_process_is_signalled_only_as_long_as_it_is_the_same() {
        #[expect(clippy::disallowed_methods, reason = "a test needs somebody to signal")]
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = RealProcesses.get(child.id()).unwrap().id;
        let other = ProcessId {
            start_ticks: id.start_ticks + 1,
            ..id
        };
        let refused = RealProcesses.signal(other, Signal::TERM);
        assert!(matches!(refused, Err(SignalError::Gone(_))), "{refused:?}");
        assert!(
            child.try_wait().unwrap().is_none(),
            "it was signalled all the same"
        );
        RealProcesses.signal(id, Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        let gone = RealProcesses.signal(id, Signal::TERM);
        assert!(matches!(gone, Err(SignalError::Gone(_))), "{gone:?}");
    }

    #[test]
    fn paths_of_a_process_with_another_root_are_followed_there() {
        if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            eprintln!("SKIPPED: root and a static busybox are needed for a process with another root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let inside = |path: &str| dir.path().join(path);
        for directory in ["run", "var", "etc"] {
            std::fs::create_dir(inside(directory)).unwrap();
        }
        std::fs::copy("/bin/busybox", inside("busybox")).unwrap();
        std::fs::File::create(inside("run/docker.sock")).unwrap();
        std::fs::File::create(inside("etc/hostname")).unwrap();
        std::os::unix::fs::symlink("/run", inside("var/run")).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test needs somebody to look at")]
        let mut child = std::process::Command::new("chroot")
            .arg(dir.path())
            .args(["/busybox", "sleep", "60"])
            .spawn()
            .unwrap();
        let pid = child.id();
        let ready = || link(pid, "exe").is_some_and(|program| program.ends_with("busybox"));
        while !ready() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let is = |bound: &str, here: &Path| RealProcesses.is_same_file(pid, Path::new(bound), here);
        assert!(is("/var/run/docker.sock", &inside("run/docker.sock")));
        assert!(is("/etc/hostname", &inside("etc/hostname")));
        assert!(
            !is("/etc/hostname", Path::new("/etc/hostname")),
            "that one is ours"
        );
        assert!(!is("/etc/passwd", Path::new("/etc/passwd")), "it has none");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
