//! From what is seen of a process or a socket to who starts dockerd. Pure.

use std::path::{Path, PathBuf};

use super::super::facts::{Layout, Scope};
use super::SNAP_SERVICE;
use crate::sys::{Process, UnitId};

/// Where `/run/user/UID` is.
const RUNTIME_DIRECTORIES: &str = "/run/user";
/// The pid file dockerd writes unless it is told another.
const PID_FILE: &str = "/var/run/docker.pid";
/// Where its socket is unless it is told another.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// What a rootless dockerd runs below; it forwards ports into its network namespace.
const ROOTLESSKIT: &str = "rootlesskit";
/// What `agent.toml` needs where nothing is found.
const SET_RESTART: &str = "set restart_command in agent.toml to what restarts it";
/// The longest command line that is shown, characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The unit that a process is in, from its control groups: `/system.slice/docker.service`,
/// `/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service`. `None`: a login, a container, a machine
/// without systemd.
pub(super) fn unit_of(cgroups: &[String]) -> Option<UnitId> {
    cgroups.iter().find_map(|path| unit_in(path))
}

fn unit_in(cgroup: &str) -> Option<UnitId> {
    let parts: Vec<&str> = cgroup.split('/').filter(|part| !part.is_empty()).collect();
    // A scope is somebody's login or container, whatever service it stands in.
    if parts.iter().any(|part| part.ends_with(".scope")) {
        return None;
    }
    let mut numbered = parts.iter().enumerate();
    let (index, name) = numbered.rfind(|(_, part)| part.ends_with(".service"))?;
    let manager = parts[..index].iter().rev().find_map(|part| user_manager(part));
    match (manager, user_manager(name)) {
        (Some(uid), _) => Some(UnitId {
            name: (*name).to_owned(),
            scope: user_scope(uid),
        }),
        // The user's systemd itself.
        (None, Some(_)) => None,
        (None, None) => Some(UnitId::system(*name)),
    }
}

/// The user of `user@1000.service`.
fn user_manager(part: &str) -> Option<u32> {
    part.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok()
}

fn user_scope(uid: u32) -> Scope {
    Scope::User {
        uid,
        runtime_directory: PathBuf::from(RUNTIME_DIRECTORIES).join(uid.to_string()),
    }
}

/// Whose dockerd answers a socket at this path: those of users are below their runtime directories.
pub(super) fn scope_of_socket(socket: &Path) -> Scope {
    let below = socket.strip_prefix(RUNTIME_DIRECTORIES).ok();
    let uid = below.and_then(|below| below.iter().next()?.to_str()?.parse().ok());
    uid.map_or(Scope::System, user_scope)
}

pub(super) fn of_unit(id: &UnitId) -> Layout {
    let unit = id.name.clone();
    if unit == SNAP_SERVICE {
        return Layout::Snap { unit };
    }
    Layout::Systemd {
        unit,
        scope: id.scope.clone(),
    }
}

/// Whether two paths are one, as `/var/run` is `/run`.
pub(super) fn is_path_of(one: &str, other: &Path) -> bool {
    let direct = |path: &Path| match path.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => path.to_owned(),
    };
    direct(Path::new(one)) == direct(other)
}

pub(super) fn is_systemd(process: &Process) -> bool {
    process.name == "systemd" || (process.id.pid == 1 && process.name == "init")
}

pub(super) fn is_port_driver(process: &Process) -> bool {
    process.name == ROOTLESSKIT
}

/// The values that a flag was given, by its long and its short name: `--host X`, `--host=X`, `-H X`, `-HX`, `-H=X`.
/// What is read here a dockerd has taken already: nothing is refused.
pub(super) fn values_of(argv: &[String], long: &str, short: Option<char>) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = argv.iter().skip(1);
    while let Some(word) = words.next() {
        match value_in(word, long, short) {
            Some("") => found.extend(words.next().cloned()),
            Some(value) => found.push(value.to_owned()),
            None => {}
        }
    }
    found
}

/// What a word gives the flag: `""` when the value is the next word.
fn value_in<'a>(word: &'a str, long: &str, short: Option<char>) -> Option<&'a str> {
    if let Some(rest) = word.strip_prefix("--") {
        let rest = rest.strip_prefix(long)?;
        return if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('=')
        };
    }
    let rest = word.strip_prefix('-')?.strip_prefix(short?)?;
    Some(rest.strip_prefix('=').unwrap_or(rest))
}

pub(super) fn has_default_pid_file(argv: &[String]) -> bool {
    let named = values_of(argv, "pidfile", Some('p'));
    named
        .last()
        .is_none_or(|path| is_path_of(path, Path::new(PID_FILE)))
}

pub(super) fn is_told_to_answer(argv: &[String], socket: &Path) -> bool {
    let hosts = values_of(argv, "host", Some('H'));
    let mut paths = hosts.iter().filter_map(|host| host.strip_prefix("unix://"));
    paths.any(|path| is_path_of(path, socket))
}

/// Whether a dockerd with this command line answers the socket, as far as flags tell: it is told to, or no other unix
/// socket is named and this is where it is by default.
pub(super) fn would_answer(argv: &[String], socket: &Path) -> bool {
    let hosts = values_of(argv, "host", Some('H'));
    let names_another = hosts.iter().any(|host| host.starts_with("unix://"));
    is_told_to_answer(argv, socket) || (!names_another && is_default(socket))
}

/// `/var/run/docker.sock`, or `/run/user/UID/docker.sock`.
pub(super) fn is_default(socket: &Path) -> bool {
    let users = matches!(scope_of_socket(socket), Scope::User { uid, .. }
        if socket == Path::new(RUNTIME_DIRECTORIES).join(uid.to_string()).join("docker.sock"));
    users || is_path_of(DEFAULT_SOCKET, socket)
}

/// A dockerd that no known manager of services starts; `unit` is the one it stands in all the same.
pub(super) fn started_by_another(process: &Process, unit: Option<&UnitId>) -> String {
    let by = match unit {
        Some(unit) => format!("{}, which is not a service of dockerd alone", unit.name),
        None => "hand, or by something that is not known here".to_owned(),
    };
    format!(
        "dockerd (process {}: {}) was started by {by}, and no service script says that it runs it: start it as a \
         service of its own, or {SET_RESTART}",
        process.id.pid,
        shown(&process.argv)
    )
}

pub(super) fn answered_by_another(holder: &Process, socket: &Path) -> String {
    format!(
        "{} (process {}), which is not dockerd, listens on {}: mode \"daemon\" is for dockerd alone; set docker_socket \
         to dockerd's own socket, or use mode \"gate\"",
        holder.name,
        holder.id.pid,
        socket.display()
    )
}

pub(super) fn nothing_found(socket: &Path, others: &[Process]) -> String {
    let socket = socket.display();
    match others.first() {
        Some(other) => format!(
            "nothing listens on {socket}, but dockerd runs (process {}: {}): set docker_socket to the socket that it \
             listens on",
            other.id.pid,
            shown(&other.argv)
        ),
        None => format!(
            "nothing listens on {socket}, and there is no docker.service and no service script: install Docker, set \
             docker_socket, or {SET_RESTART}"
        ),
    }
}

/// A command line for people, not without end.
fn shown(argv: &[String]) -> String {
    argv.join(" ").chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(path: &str) -> String {
        let Some(UnitId { name, scope }) = unit_of(&[path.to_owned()]) else {
            return "none".to_owned();
        };
        match scope {
            Scope::System => name,
            Scope::User {
                uid,
                runtime_directory,
            } => format!("{name} of {uid} in {}", runtime_directory.display()),
        }
    }

    #[test]
    fn the_control_group_names_the_unit_and_whose_it_is() {
        let users = "/user.slice/user-1000.slice";
        let rows = [
            ("/system.slice/docker.service", "docker.service"),
            (
                "/system.slice/snap.docker.dockerd.service",
                "snap.docker.dockerd.service",
            ),
            (
                "/system.slice/system-docker.slice/docker@blue.service",
                "docker@blue.service",
            ),
            ("/system.slice/docker.service/init", "docker.service"),
            (
                "USERS/user@1000.service/app.slice/docker.service",
                "docker.service of 1000 in /run/user/1000",
            ),
            (
                "USERS/user@1000.service/docker.service",
                "docker.service of 1000 in /run/user/1000",
            ),
            ("USERS/session-3.scope", "none"),
            ("USERS/user@1000.service/init.scope", "none"),
            ("USERS/user@1000.service", "none"),
            ("/system.slice/docker-6b10cd86dc6b.scope", "none"),
            ("/system.slice/docker.service/docker-6b10.scope", "none"),
            ("/docker/6b10cd86dc6b", "none"),
            ("/", "none"),
        ];
        for (path, expected) in rows {
            let path = path.replace("USERS", users);
            assert_eq!(unit(&path), expected, "{path}");
        }
    }

    #[test]
    fn the_socket_tells_whose_dockerd_it_is() {
        let rootless = scope_of_socket(Path::new("/run/user/1000/docker.sock"));
        assert_eq!(rootless, user_scope(1000));
        for path in ["/run/docker.sock", "/run/user/docker.sock", "/run/user"] {
            assert_eq!(scope_of_socket(Path::new(path)), Scope::System, "{path}");
        }
        assert!(is_path_of("/run/docker.sock", Path::new("/var/run/docker.sock")));
        assert!(!is_path_of("/run/docker.sock", Path::new("/run/other.sock")));
        assert!(!is_path_of("[::]:2375", Path::new("/run/docker.sock")));
    }

    fn argv(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_read_in_every_way_they_can_be_written() {
        let rows: [(&str, &[&str]); 6] = [
            (
                "dockerd -H unix:///a --host=b -Hfd:// --host c",
                &["unix:///a", "b", "fd://", "c"],
            ),
            ("dockerd -H=fd://", &["fd://"]),
            ("dockerd --host-gateway-ip 10.0.0.1 --hosts x", &[]),
            ("dockerd --host", &[]),
            ("-H x", &[]),
            ("", &[]),
        ];
        for (line, expected) in rows {
            assert_eq!(values_of(&argv(line), "host", Some('H')), expected, "{line}");
        }
    }

    #[test]
    fn a_pid_file_of_its_own_is_not_a_scripts() {
        for line in [
            "dockerd",
            "dockerd -p /var/run/docker.pid",
            "dockerd --pidfile=/run/docker.pid",
        ] {
            assert!(has_default_pid_file(&argv(line)), "{line}");
        }
        assert!(!has_default_pid_file(&argv("dockerd -p /tmp/d/pid")));
        let socket = Path::new("/tmp/d/docker.sock");
        assert!(is_told_to_answer(
            &argv("dockerd -H unix:///tmp/d/docker.sock"),
            socket
        ));
        assert!(!is_told_to_answer(
            &argv("dockerd -H unix:///tmp/e/docker.sock"),
            socket
        ));
    }

    #[test]
    fn a_dockerd_of_another_socket_is_not_meant() {
        let rows = [
            ("dockerd -H fd://", "/run/docker.sock", true),
            ("dockerd", "/var/run/docker.sock", true),
            ("dockerd -H tcp://127.0.0.1:2376", "/run/docker.sock", true),
            ("dockerd-rootless.sh", "/run/user/1000/docker.sock", true),
            ("dockerd -H unix:///run/other.sock", "/run/other.sock", true),
            ("dockerd -H unix:///run/other.sock", "/run/docker.sock", false),
            ("dockerd -H fd://", "/run/other.sock", false),
            ("dockerd", "/run/user/1000/other.sock", false),
        ];
        for (line, socket, expected) in rows {
            assert_eq!(
                would_answer(&argv(line), Path::new(socket)),
                expected,
                "{line} {socket}"
            );
        }
    }
}
