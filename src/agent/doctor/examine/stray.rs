//! A dockerd that does not answer the socket it is looked for by: one that listens on TCP alone, or a second one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::agent::daemon::arrangement::flags;
use crate::agent::daemon::facts::{DaemonFacts, DaemonProcess, DaemonState, Listener};
use crate::sys::{Files, Process, Processes};

/// What dockerd's program is called.
const DOCKERD: &str = "dockerd";
/// The largest configuration file that is read, bytes.
const CONFIG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Variables of its environment that change what it serves.
const VARIABLES: [&str; 4] = [
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
];

/// Takes a dockerd that runs for the one that is meant, when none was found by its socket. Gives what every other one
/// on this machine listens on. What runs in another network (Docker in Docker) is somebody else's machine.
pub(super) fn adopt(
    facts: &mut DaemonFacts,
    socket: &Path,
    processes: &dyn Processes,
    files: &Files,
) -> Vec<(SocketAddr, u32)> {
    let network = |pid: &str| {
        files
            .disk()
            .read_link(Path::new(&format!("/proc/{pid}/ns/net")))
            .ok()
    };
    let own = network("self");
    let mut strays = processes.find(DOCKERD);
    strays.retain(|stray| network(&stray.id.pid.to_string()) == own);
    let newest = strays.iter().max_by_key(|stray| stray.id.start_ticks);
    if let Some(stray) = newest.filter(|_| facts.process.is_none()) {
        read_config(facts, stray, files);
        facts.process = Some(process(stray, processes));
        facts.state = DaemonState::Running;
        facts.engine.error = Some(format!("it does not listen on {}", socket.display()));
        let pid = stray.id.pid;
        let listeners = processes.listening(pid).tcp.into_iter();
        facts.listeners.extend(listeners.map(|address| Listener {
            address,
            pid: Some(pid),
        }));
    }
    let known = |address: &SocketAddr| facts.listeners.iter().any(|known| known.address == *address);
    let of = |stray: &Process| {
        let pid = stray.id.pid;
        let addresses = processes.listening(pid).tcp.into_iter();
        addresses.map(move |address| (address, pid)).collect::<Vec<_>>()
    };
    let others = strays.iter().flat_map(of).filter(|(address, _)| !known(address));
    others.collect()
}

fn process(stray: &Process, processes: &dyn Processes) -> DaemonProcess {
    DaemonProcess {
        pid: stray.id.pid,
        start_ticks: stray.id.start_ticks,
        started_at: stray.started_at,
        uid: stray.uid,
        argv: stray.argv.clone(),
        environment: processes.environment(stray.id.pid, &VARIABLES),
    }
}

/// The configuration that this one was started with.
fn read_config(facts: &mut DaemonFacts, stray: &Process, files: &Files) {
    let words = stray.argv.get(1..).unwrap_or_default();
    let flags = flags::parse(words).unwrap_or_default();
    let named = flags.iter().rev().find(|flag| flag.name == "config-file");
    if let Some(flag) = named {
        let relative = PathBuf::from(&flag.value);
        let path = stray
            .directory
            .as_ref()
            .map(|directory| directory.join(&relative))
            .unwrap_or(relative);
        let file = &mut facts.config_file;
        file.contents = files.read(&path, CONFIG_BYTES_MAX).ok();
        file.named_by_flag = true;
        file.path = path;
    }
}
