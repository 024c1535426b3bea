//! What dockerd was told: whether it could start with it again, and whether it does what it was told.

use std::net::SocketAddr;

use super::super::examined::{Docker, Examined, Settings, place};
use super::super::{Finding, Says};
use crate::agent::daemon::facts::{DaemonFacts, DaemonState};

fn told(examined: &Examined) -> Option<(&Docker, &Settings)> {
    let docker = examined.docker.as_ref()?;
    Some((docker, docker.settings.as_ref().ok()?))
}

/// A setting given twice, and everything else that dockerd says about itself with `--validate`.
pub(super) fn conflicts(examined: &Examined) -> Vec<Finding> {
    let says = Says("next-start");
    let Some(docker) = &examined.docker else {
        return Vec::new();
    };
    let settings = match &docker.settings {
        Ok(settings) => settings,
        Err(why) => {
            let fix = "correct it, then ask dockerd itself: dockerd --validate (23.0 and later)";
            return vec![says.critical(format!("dockerd would not start again: {why}"), fix)];
        }
    };
    let file = docker.facts.config_file.path.display();
    if !settings.conflicts.is_empty() {
        let keys = settings.conflicts.join(", ");
        let fix = format!(
            "remove {keys} from {file}, or the flag from {}",
            place(&docker.facts, flag_of(&settings.conflicts[0]))
        );
        return vec![says.critical(
            format!("dockerd would not start again: {keys} is given both by flag and in {file}, which is fatal even when both agree"),
            fix,
        )];
    }
    match &docker.validated {
        Some(Err(why)) => vec![says.critical(
            format!("dockerd would not start again: {why}"),
            format!("correct that in {file} or in the flags, then: dockerd --validate"),
        )],
        Some(Ok(())) => vec![says.ok("dockerd finds what it would be told at its next start good")],
        None => vec![says.ok("nothing that dockerd is told contradicts itself")],
    }
}

/// The flag that a key of the file has.
fn flag_of(key: &str) -> &str {
    match key {
        "hosts" => "-H ",
        other => other,
    }
}

/// TLS without hosts: dockerd then listens on 127.0.0.1:2376 alone, and docker.sock is gone.
pub(super) fn hosts(examined: &Examined) -> Vec<Finding> {
    let says = Says("tls-without-hosts");
    let Some((docker, settings)) = told(examined) else {
        return Vec::new();
    };
    if !(settings.tls || settings.tls_verify) {
        return Vec::new();
    }
    if !settings.hosts.is_empty() {
        return vec![says.ok("TLS is set, and so is where dockerd listens")];
    }
    let fix = format!(
        "add \"hosts\": [\"unix:///var/run/docker.sock\", \"tcp://0.0.0.0:2376\"] to {}",
        docker.facts.config_file.path.display()
    );
    let seen = "TLS is set, and no host: dockerd listens on tcp://127.0.0.1:2376 alone, and docker.sock is not served";
    vec![match examined.local.access {
        None => says.critical(seen, fix),
        // What runs was started with something else.
        Some(_) => says.critical(format!("{seen} after the next restart"), fix),
    }]
}

/// Hosts that dockerd was told of and does not listen on: changed since it started, or it could not.
pub(super) fn not_in_force(examined: &Examined) -> Vec<Finding> {
    let says = Says("not-in-force");
    let Some((docker, settings)) = told(examined) else {
        return Vec::new();
    };
    if docker.facts.state != DaemonState::Running {
        return Vec::new();
    }
    let mut found = Vec::new();
    for host in settings.hosts.iter().filter(|host| host.starts_with("tcp://")) {
        if !listens(&docker.facts, host) {
            found.push(says.warning(
                format!("dockerd is told to listen on {host}, and does not: that changed after it started"),
                "restart it when it suits (live-restore keeps containers running): systemctl restart docker",
            ));
        }
    }
    if docker.facts.unit.as_ref().is_some_and(|unit| unit.needs_reload) {
        found.push(says.notice(
            "systemd has not read the unit of dockerd since its files changed",
            "systemctl daemon-reload",
        ));
    }
    let listeners = docker.facts.listeners.iter().map(|listener| listener.address);
    let sockets: Vec<SocketAddr> = listeners
        .filter(|address| !is_told(settings, &docker.facts, *address))
        .collect();
    for address in sockets {
        found.push(says.warning(
            format!("dockerd listens on tcp://{address}, which it would not be told again: that changed after it started"),
            "restart it when it suits: systemctl restart docker",
        ));
    }
    if found.is_empty() {
        found.push(says.ok("dockerd listens where it is told to"));
    }
    found
}

/// `tcp://0.0.0.0:2376`, `tcp://:2376`, `tcp://[::]:2376`: address and port, wildcards being alike.
fn address_of(host: &str) -> Option<(Option<std::net::IpAddr>, u16)> {
    let rest = host.strip_prefix("tcp://")?.split('/').next()?;
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && !port.contains(']') => (name, port.parse().ok()?),
        // Without a port it is 2375, TLS or not.
        _ => (rest.trim_end_matches(':'), 2375),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    match name {
        "" => Some((None, port)),
        "localhost" => Some((Some(std::net::Ipv4Addr::LOCALHOST.into()), port)),
        name => {
            let ip: std::net::IpAddr = name.parse().ok()?;
            Some(((!ip.is_unspecified()).then_some(ip), port))
        }
    }
}

fn is_at(host: &str, address: SocketAddr) -> bool {
    // A name that only a resolver knows fits any address with its port.
    let port = host.rsplit(':').next().and_then(|port| port.parse().ok());
    match address_of(host) {
        Some((ip, port)) => {
            let listens = (!address.ip().is_unspecified()).then(|| address.ip().to_canonical());
            port == address.port() && (ip == listens || listens.is_none())
        }
        None => port == Some(address.port()),
    }
}

fn listens(facts: &DaemonFacts, host: &str) -> bool {
    facts
        .listeners
        .iter()
        .any(|listener| is_at(host, listener.address))
}

/// By a host, or by the socket unit that `fd://` stands for.
fn is_told(settings: &Settings, facts: &DaemonFacts, address: SocketAddr) -> bool {
    let port = format!(":{}", address.port());
    let sockets = facts.unit.iter().flat_map(|unit| &unit.sockets);
    let mut listens = sockets.flat_map(|socket| &socket.listen);
    let passed = listens.any(|listen| listen.ends_with(&port) || *listen == port[1..]);
    // TLS without hosts means this one.
    let implied = settings.hosts.is_empty() && address.port() == 2376 && address.ip().is_loopback();
    // Swarm's own ports, and metrics, are listened on by dockerd too.
    let other = matches!(address.port(), 2377 | 7946 | 9323);
    passed || implied || other || settings.hosts.iter().any(|host| is_at(host, address))
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{self, Critical, Ok as Fine, Warning};
    use super::super::fixture::*;
    use super::*;

    fn with(change: impl FnOnce(&mut Docker)) -> Examined {
        let mut examined = examined();
        change(examined.docker.as_mut().unwrap());
        examined
    }

    fn settings(docker: &mut Docker) -> &mut Settings {
        docker.settings.as_mut().unwrap()
    }

    #[test]
    fn what_would_keep_dockerd_from_starting_is_critical() {
        type Change = fn(&mut Docker);
        let rows: [(Change, Severity, &str); 5] = [
            (|_| (), Fine, "contradicts"),
            (|d| d.validated = Some(Ok(())), Fine, "finds"),
            (
                |d| d.validated = Some(Err("bogus directive".into())),
                Critical,
                "bogus directive",
            ),
            (
                |d| d.settings = Err("daemon.json: line 3".into()),
                Critical,
                "line 3",
            ),
            (
                |d| settings(d).conflicts = vec!["hosts".into()],
                Critical,
                "hosts is given both",
            ),
        ];
        for (change, severity, words) in rows {
            let found = one(conflicts(&with(change)));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_conflict_names_where_the_flag_stands() {
        let examined = with(|docker| {
            settings(docker).conflicts = vec!["hosts".into()];
            docker.facts.options_files = vec![options("/etc/default/docker", "\nDOCKER_OPTS=\"-H fd://\"\n")];
        });
        let fix = one(conflicts(&examined)).fix.unwrap();
        assert!(fix.contains("/etc/default/docker, line 2"), "{fix}");
    }

    #[test]
    fn tls_without_hosts_takes_the_socket_away() {
        assert_eq!(hosts(&examined()), []);
        let set = |hosts: &[&str]| {
            with(|docker| {
                settings(docker).tls_verify = true;
                settings(docker).hosts = hosts.iter().map(|h| (*h).to_owned()).collect();
            })
        };
        assert_eq!(one(hosts(&set(&["fd://"]))).severity, Fine);
        let mut trap = set(&[]);
        assert!(one(hosts(&trap)).seen.contains("after the next restart"));
        trap.local.access = None;
        let found = one(hosts(&trap));
        assert!(
            found.severity == Critical && !found.seen.contains("restart"),
            "{found:?}"
        );
    }

    #[test]
    fn hosts_are_compared_with_what_is_listened_on() {
        for (told, listening, severity) in [
            (&["tcp://0.0.0.0:2376"][..], &["0.0.0.0:2376"][..], Fine),
            (&["tcp://0.0.0.0:2376"], &["[::]:2376"], Fine),
            (&["tcp://:2376"], &["[::]:2376"], Fine),
            (&["tcp://127.0.0.1"], &["127.0.0.1:2375"], Fine),
            (&["tcp://docker.fleet:2376"], &["10.0.0.7:2376"], Fine),
            (&["fd://", "unix:///run/docker.sock"], &[], Fine),
            (&["tcp://0.0.0.0:2376"], &[], Warning),
            (&["tcp://10.0.0.7:2376"], &["10.0.0.8:2376"], Warning),
            (&["fd://"], &["0.0.0.0:2375"], Warning),
            (&["fd://"], &["[::]:2377", "[::]:7946"], Fine),
        ] {
            let examined = with(|docker| {
                settings(docker).hosts = told.iter().map(|h| (*h).to_owned()).collect();
                docker.facts.listeners = listening.iter().map(|a| listener(a)).collect();
            });
            let found = not_in_force(&examined);
            let worst = super::super::super::worst(&found);
            assert_eq!(worst, severity, "{told:?} {listening:?}: {found:?}");
        }
    }
}
