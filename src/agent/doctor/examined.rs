//! What was found on the host, as plain values: everything the checks look at.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::dial::Port;
use crate::agent::daemon::facts::DaemonFacts;
use crate::agent::records::Status;
use crate::base::Timestamp;
use crate::model::Mode;
use crate::pki::{Certificate, San};

/// Everything.
#[derive(Clone, Debug)]
pub struct Examined {
    /// When.
    pub now: Timestamp,
    /// The host's names and addresses, as its certificate should have them.
    pub names: Vec<San>,
    /// dockerd; `None` when there is none.
    pub docker: Option<Docker>,
    /// Every TCP port of dockerd, of its socket unit and of our gate, dialled.
    pub ports: Vec<Port>,
    /// Who reaches docker.sock.
    pub local: LocalAccess,
    /// The agent's part.
    pub agent: AgentSeen,
    /// The docker CLI of the user who asks.
    pub client: ClientSeen,
    /// File systems that dockerd and the agent write to.
    pub disks: Vec<Disk>,
    /// What this user may not look at.
    pub unseen: Vec<PathBuf>,
}

impl Examined {
    /// The port at this address, if it was dialled.
    pub fn port(&self, address: SocketAddr) -> Option<&Port> {
        self.ports.iter().find(|port| port.address == address)
    }
}

/// dockerd.
#[derive(Clone, Debug)]
pub struct Docker {
    /// What was found of it.
    pub facts: DaemonFacts,
    /// What it was told; `Err` says why that could not be read.
    pub settings: Result<Settings, String>,
    /// What `dockerd --validate` says of what it would be told at its next start; `None` where that was not asked.
    pub validated: Option<Result<(), String>>,
    /// The files that it serves TLS from; `None` when none are named.
    pub tls: Option<TlsFiles>,
    /// Where `daemon.json` really is, when it is a symlink.
    pub config_target: Option<PathBuf>,
    /// Whether our authorization plugin answers, where dockerd is told to ask it; `None`: it is not, or this user may not
    /// look.
    pub plugin: Option<Result<(), String>>,
}

/// What dockerd was told, by flags and by file together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens: `fd://`, `unix:///…`, `tcp://…`.
    pub hosts: Vec<String>,
    /// TLS at all.
    pub tls: bool,
    /// Whether clients must show a certificate.
    pub tls_verify: bool,
    /// Who may have signed them.
    pub tls_ca: Option<PathBuf>,
    /// What is served.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Whether containers outlive it.
    pub live_restore: bool,
    /// Authorization plugins.
    pub authorization_plugins: Vec<String>,
    /// Settings that are given both by flag and in the file: fatal at the next start.
    pub conflicts: Vec<String>,
}

/// Certificate, key and CA on disk.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// What is in it, leaf first; `Err` says why it cannot be used.
    pub chain: Result<Vec<Certificate>, String>,
    /// The key's file.
    pub key: PathBuf,
    /// Whether the key is the leaf's; `Err` says why it cannot be used, `None`: this user may not read it.
    pub key_matches: Option<Result<bool, String>>,
    /// The key file's permissions.
    pub key_access: Option<Access>,
    /// The CA's file, when one is named.
    pub ca: Option<PathBuf>,
    /// What is in it; `None` when none is named.
    pub anchors: Option<Result<Vec<Certificate>, String>>,
    /// Why a client that trusts the CA's file would refuse the chain; `None`: it would not, or nobody could say.
    pub chain_refused: Option<String>,
}

/// A file's permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The permission bits, `0o777` at most.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Access {
    /// Whether others than owner and group may read it.
    pub fn everybody_reads(self) -> bool {
        self.mode & 0o004 != 0
    }

    /// Whether the group may read it.
    pub fn group_reads(self) -> bool {
        self.mode & 0o040 != 0
    }
}

/// Who reaches docker.sock.
#[derive(Clone, Debug, Default)]
pub struct LocalAccess {
    /// The socket's path.
    pub socket: PathBuf,
    /// Its permissions; `None` when it is not there.
    pub access: Option<Access>,
    /// The name of its group.
    pub group: Option<String>,
    /// Who is in that group.
    pub members: Vec<String>,
}

/// The agent's part.
#[derive(Clone, Debug, Default)]
pub struct AgentSeen {
    /// Its configuration: `None` when there is none, `Err` when it cannot be used.
    pub config: Option<Result<AgentConfig, String>>,
    /// Whether this user may not look into the state directory: then nothing is known of what follows.
    pub hidden: bool,
    /// What it last said; `Err` when that cannot be read.
    pub status: Option<Result<Status, String>>,
    /// Whether an agent holds the lock of the state directory.
    pub runs: bool,
    /// The pair in `current/`; `None` when there is none.
    pub pair: Option<TlsFiles>,
    /// Temporary files that a killed agent left behind.
    pub leftovers: Vec<PathBuf>,
    /// Files and directories of ours with permissions they should not have: which, its bits, the bits it should have.
    pub loose: Vec<(PathBuf, u32, u32)>,
    /// A step that was interrupted, in words, when no agent runs.
    pub interrupted: Option<String>,
}

/// What of the configuration matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// The mode.
    pub mode: Mode,
    /// The server.
    pub server: String,
    /// What must return the certificate in `current/`; `None` when nothing is dialled.
    pub dial: Option<SocketAddr>,
    /// Where the files are.
    pub files: PathBuf,
    /// What it remembers.
    pub state: PathBuf,
    /// The join token's file, with its permissions when it exists.
    pub token: Option<(PathBuf, Option<Access>)>,
}

/// The docker CLI of the user who asks.
#[derive(Clone, Debug, Default)]
pub struct ClientSeen {
    /// `DOCKER_HOST`.
    pub host_variable: Option<String>,
    /// `DOCKER_TLS_VERIFY`.
    pub verify_variable: Option<String>,
    /// `DOCKER_CERT_PATH`, or where the CLI looks without it.
    pub cert_path: Option<PathBuf>,
    /// Which of `ca.pem`, `cert.pem`, `key.pem` are missing there.
    pub cert_path_missing: Vec<&'static str>,
    /// The context in use: `DOCKER_CONTEXT`, or `currentContext` of `config.json`.
    pub current: Option<String>,
    /// The contexts that reach Docker over TCP.
    pub contexts: Vec<ContextSeen>,
}

/// A docker context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextSeen {
    /// Its name.
    pub name: String,
    /// Where it leads: `tcp://host:port`.
    pub endpoint: String,
    /// Whether it does without verification of the server.
    pub skips_verification: bool,
    /// Where its TLS files are.
    pub directory: PathBuf,
    /// Those of `ca.pem`, `cert.pem`, `key.pem` that are missing.
    pub missing: Vec<&'static str>,
    /// The key's permission bits.
    pub key_mode: Option<u32>,
    /// End of its certificate.
    pub not_after: Option<Timestamp>,
}

/// Room on a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A directory on it that is written to.
    pub directory: PathBuf,
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Files that may still be made; `None` where that has no limit.
    pub free_files: Option<u64>,
}

/// Where a text stands among what dockerd's command line is made from: file and line, from 1.
pub fn locate(facts: &DaemonFacts, text: &str) -> Option<(PathBuf, usize)> {
    let units = facts.unit.iter().flat_map(|unit| {
        let drop_ins = unit.drop_ins.iter().rev();
        drop_ins
            .chain([&unit.fragment])
            .map(|file| (&file.path, file.contents.as_str()))
    });
    let options = facts
        .options_files
        .iter()
        .map(|file| (&file.path, file.contents.as_str()));
    let config = facts.config_file.contents.as_deref();
    let config = config.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let config = config.map(|text| (&facts.config_file.path, text));
    let mut files = options.chain(units).chain(config);
    files.find_map(|(path, contents)| Some((path.clone(), line_of(contents, text)?)))
}

/// The first line that has the text, and is no comment.
fn line_of(contents: &str, text: &str) -> Option<usize> {
    let mut lines = contents.lines().enumerate();
    let line = lines.find(|(_, line)| line.contains(text) && !line.trim_start().starts_with(['#', ';']));
    line.map(|(index, _)| index + 1)
}

/// `/etc/default/docker, line 4`, or where to look when it stands nowhere that is known.
pub fn place(facts: &DaemonFacts, text: &str) -> String {
    match locate(facts, text) {
        Some((path, line)) => format!("{}, line {line}", path.display()),
        None => match (&facts.unit, &facts.process) {
            (None, Some(process)) => format!("whatever starts dockerd (ps -fp {})", process.pid),
            _ => "what starts dockerd (systemctl cat docker)".to_owned(),
        },
    }
}

/// Whether `path` names the default configuration of dockerd.
pub fn is_default_config(path: &Path) -> bool {
    path == Path::new("/etc/docker/daemon.json")
}
