//! Whether strangers get Docker's API: found by asking for it, not by reading options.

use super::super::dial::{Answer, Owner, Port};
use super::super::examined::{Docker, Examined, place};
use super::super::{Finding, Says};
use crate::agent::daemon::facts::{DaemonFacts, SocketUnit};

/// Every listener, asked in plaintext and over TLS without a certificate.
pub(super) fn open_ports(examined: &Examined) -> Vec<Finding> {
    let facts = examined.docker.as_ref().map(|docker| &docker.facts);
    examined.ports.iter().map(|port| judge(port, facts)).collect()
}

fn judge(port: &Port, facts: Option<&DaemonFacts>) -> Finding {
    let says = Says("open-port");
    let address = port.address;
    let fix = fix(port, facts);
    let found = match (&port.plain, &port.tls) {
        (Answer::Docker, _) => format!(
            "tcp://{address} answers without TLS: {}",
            match port.is_exposed() {
                true => "anyone who reaches this port is root here",
                false =>
                    "every program on this machine is root, and every page in its browsers (DNS rebinding)",
            }
        ),
        (_, Answer::Docker) => format!(
            "tcp://{address} speaks TLS and asks nobody for a certificate: {}",
            match port.is_exposed() {
                true => "anyone who reaches this port is root here",
                false => "every program on this machine is root",
            }
        ),
        (Answer::Silent(why), Answer::Silent(_)) => {
            return says.warning(
                format!("tcp://{address} is listened on, and does not answer: {why}"),
                "look at dockerd's log: journalctl -u docker",
            );
        }
        _ => return says.ok(format!("tcp://{address} refuses whoever shows no certificate")),
    };
    match port.is_exposed() {
        true => says.critical(found, fix),
        false => says.warning(found, fix),
    }
}

fn fix(port: &Port, facts: Option<&DaemonFacts>) -> String {
    let number = format!(":{}", port.address.port());
    match (&port.owner, facts) {
        (Owner::Socket(unit), _) => {
            format!("remove ListenStream with {number} from {unit}: systemctl edit --full {unit}")
        }
        (Owner::Dockerd, Some(facts)) => {
            let place = place(facts, &number);
            match port.plain == Answer::Docker {
                true => format!(
                    "remove the host with {number} from {place}; for clients from elsewhere: mode = \"gate\" or \"daemon\" in agent.toml"
                ),
                false => {
                    format!("set tlsverify beside the host with {number} ({place}), and restart dockerd")
                }
            }
        }
        (Owner::AnotherDockerd(pid), _) => {
            format!("it is another dockerd, process {pid}: see who starts it with ps -fp {pid}")
        }
        _ => format!("find out who listens: ss -ltnp 'sport = {number}'"),
    }
}

/// A socket unit that would hand TCP to a dockerd that knows no TLS: served in plaintext, without a warning.
pub(super) fn socket_activation(examined: &Examined) -> Vec<Finding> {
    let Some(Docker { facts, settings, .. }) = &examined.docker else {
        return Vec::new();
    };
    let guarded = settings.as_ref().is_ok_and(|settings| settings.tls_verify);
    let sockets = facts.unit.iter().flat_map(|unit| &unit.sockets);
    sockets.map(|socket| judge_socket(socket, guarded)).collect()
}

fn judge_socket(socket: &SocketUnit, guarded: bool) -> Finding {
    let says = Says("socket-unit");
    let name = &socket.name;
    let over_tcp: Vec<&str> = socket
        .listen
        .iter()
        .map(String::as_str)
        .filter(|l| is_tcp(l))
        .collect();
    let ports = over_tcp.join(", ");
    match (over_tcp.is_empty(), guarded) {
        (true, _) => says.ok(format!("{name} passes on no TCP port")),
        (false, false) => says.critical(
            format!(
                "{name} listens on {ports} and hands it to dockerd, which was told of no TLS: it is served in plaintext, and dockerd warns of nothing"
            ),
            format!("systemctl edit --full {name} and remove that ListenStream"),
        ),
        (false, true) => says.notice(
            format!(
                "{name} listens on {ports}: dockerd speaks TLS there as long as tlsverify stays set, and gRPC on it passes authorization plugins by"
            ),
            "give the port to dockerd with a host instead (tcp://…:2376), or use mode = \"gate\"",
        ),
    }
}

/// `[::]:2375`, `0.0.0.0:2375`, `2375`; not `/run/docker.sock`, `@abstract`.
fn is_tcp(listen: &str) -> bool {
    !listen.starts_with(['/', '@'])
        && listen
            .rsplit(':')
            .next()
            .is_some_and(|p| p.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity;
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn a_port_is_judged_by_what_strangers_get_from_it() {
        use Severity::{Critical, Ok, Warning};
        let refused = || Answer::Refused("tls: certificate required".into());
        let silent = || Answer::Silent("timeout".into());
        for (address, plain, tls, severity, words) in [
            (
                "0.0.0.0:2375",
                Answer::Docker,
                silent(),
                Critical,
                "0.0.0.0:2375 answers without TLS",
            ),
            (
                "127.0.0.1:2375",
                Answer::Docker,
                silent(),
                Warning,
                "DNS rebinding",
            ),
            (
                "[::]:2376",
                refused(),
                Answer::Docker,
                Critical,
                "asks nobody for a certificate",
            ),
            (
                "[::1]:2376",
                refused(),
                Answer::Docker,
                Warning,
                "every program on this machine",
            ),
            (
                "0.0.0.0:2376",
                refused(),
                refused(),
                Ok,
                "refuses whoever shows no certificate",
            ),
            ("0.0.0.0:2376", silent(), silent(), Warning, "does not answer"),
        ] {
            let mut examined = examined();
            examined.ports = vec![port(address, plain, tls)];
            let found = one(open_ports(&examined));
            assert_eq!(found.severity, severity, "{address}: {found:?}");
            assert!(found.seen.contains(words), "{found:?}");
        }
    }

    #[test]
    fn the_line_to_remove_is_named() {
        let mut examined = examined();
        examined.ports = vec![port(
            "0.0.0.0:2375",
            Answer::Docker,
            Answer::Silent(String::new()),
        )];
        let facts = &mut examined.docker.as_mut().unwrap().facts;
        facts.options_files = vec![options(
            "/etc/default/docker",
            "# -H tcp://0.0.0.0:2375\n\n\nDOCKER_OPTS=\"-H tcp://0.0.0.0:2375\"\n",
        )];
        let fix = one(open_ports(&examined)).fix.unwrap();
        assert!(fix.contains("/etc/default/docker, line 4"), "{fix}");
    }

    #[test]
    fn a_tcp_port_of_the_socket_unit_needs_tls_in_dockerd() {
        let socket = |listen: &[&str]| SocketUnit {
            name: "docker.socket".into(),
            listen: listen.iter().map(|l| (*l).to_owned()).collect(),
            active: true,
        };
        for (listen, verify, severity) in [
            (&["/run/docker.sock"][..], false, Severity::Ok),
            (&["/run/docker.sock", "[::]:2375"], false, Severity::Critical),
            (&["2376"], true, Severity::Notice),
        ] {
            let mut examined = examined();
            let docker = examined.docker.as_mut().unwrap();
            docker.facts.unit = Some(unit(Some(socket(listen))));
            docker.settings.as_mut().unwrap().tls_verify = verify;
            assert_eq!(one(socket_activation(&examined)).severity, severity, "{listen:?}");
        }
    }
}
