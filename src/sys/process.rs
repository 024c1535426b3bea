//! Processes as a seam: which there are, how they were started, what they listen on, and signals to exactly one of
//! them. Reads `/proc`; what it may not read is absent.

mod proc;
mod stat;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use proc::RealProcesses;
pub use rustix::process::Signal;

use crate::base::Timestamp;

/// One process of this boot: a number is used again, a number with a start is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks after the boot.
    pub start_ticks: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Which.
    pub id: ProcessId,
    /// The number of its parent.
    pub parent: u32,
    /// When it was started: up to a second early, and moved when the machine's clock is set.
    pub started_at: Timestamp,
    /// The user it acts as.
    pub uid: u32,
    /// The name the kernel has for it: the first 15 bytes of its program's.
    pub name: String,
    /// Its program.
    pub program: Option<PathBuf>,
    /// Whether that program's file was replaced or removed since.
    pub program_replaced: bool,
    /// Its command line, program first.
    pub argv: Vec<String>,
    /// Its working directory.
    pub directory: Option<PathBuf>,
    /// The control groups it is in, `/system.slice/docker.service`: one for each hierarchy.
    pub cgroups: Vec<String>,
}

/// What a process listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// TCP, in its own network namespace.
    pub tcp: Vec<SocketAddr>,
    /// Unix sockets, by the path they were bound to. What is there now may be another socket.
    pub unix: Vec<PathBuf>,
}

/// Why a process was not signalled.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// It has ended; its number may be somebody else's now.
    #[error("process {0} has ended")]
    Gone(u32),
    /// The system refused.
    #[error("process {pid} cannot be signalled: {source}: run this as root, or as the user of that process")]
    Refused {
        /// Which.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
}

/// The processes of the machine.
pub trait Processes: Send + Sync + 'static {
    /// The processes with this name, by number.
    fn find(&self, name: &str) -> Vec<Process>;

    /// A process as it is now.
    fn get(&self, pid: u32) -> Option<Process>;

    /// The variables of these names that it was started with. Only those are ever kept: an environment has secrets.
    fn environment(&self, pid: u32, names: &[&str]) -> Vec<(String, String)>;

    /// The files that it has open, as the kernel names them; none when they may not be seen.
    fn open_files(&self, pid: u32) -> Vec<PathBuf>;

    /// What it listens on, be it opened by itself or handed over by who started it.
    fn listening(&self, pid: u32) -> Listening;

    /// Whether `bound`, as the process sees it, is the file that is at `here`: a container has a
    /// `/var/run/docker.sock` of its own.
    fn is_same_file(&self, pid: u32, bound: &Path, here: &Path) -> bool;

    /// Who listens on the unix socket at this path, whoever that is: the lowest number among those who do.
    fn listener_of(&self, socket: &Path) -> Option<Process>;

    /// Signals this process and no other, however fast its number is used again.
    fn signal(&self, process: ProcessId, signal: Signal) -> Result<(), SignalError>;
}
