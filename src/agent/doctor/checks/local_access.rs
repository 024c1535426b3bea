//! Who reaches docker.sock: root on this machine, outside of the gate and of every role.

use super::super::examined::Examined;
use super::super::{Finding, Says};
use super::in_words::count;

/// Members of the socket's group.
pub(super) fn members(examined: &Examined) -> Vec<Finding> {
    let says = Says("docker-group");
    let local = &examined.local;
    let (Some(_), Some(group)) = (local.access, local.group.as_deref()) else {
        return Vec::new();
    };
    if group == "root" {
        return vec![says.ok("docker.sock belongs to group root")];
    }
    if local.members.is_empty() {
        return vec![says.ok(format!("group {group:?} has no members"))];
    }
    let first = &local.members[0];
    vec![says.notice(
        format!(
            "group {group:?} has {} ({}): root through docker.sock, outside the gate",
            count(local.members.len(), "member"),
            local.members.join(", ")
        ),
        format!("gpasswd -d {first} {group}, and give them a client certificate with a role: dockwarden token create --profile client"),
    )]
}

/// The socket's own permissions.
pub(super) fn socket(examined: &Examined) -> Vec<Finding> {
    let says = Says("docker-socket");
    let local = &examined.local;
    let path = local.socket.display();
    let Some(access) = local.access else {
        let runs = examined
            .docker
            .as_ref()
            .is_some_and(|docker| docker.facts.process.is_some());
        return match runs {
            true => vec![says.warning(
                format!(
                    "{path} is not there, and dockerd runs: neither local commands nor the gate reach it"
                ),
                "add unix:///var/run/docker.sock (or fd://) to the hosts dockerd is told, and restart it",
            )],
            false => Vec::new(),
        };
    };
    if access.mode & 0o006 != 0 {
        return vec![says.critical(
            format!("{path} has mode {:04o}: everybody on this machine is root through it", access.mode),
            format!("chmod 0660 {path}; then find out who did that (SocketMode= in docker.socket, a start-up script)"),
        )];
    }
    if access.uid != 0
        && examined
            .docker
            .as_ref()
            .is_none_or(|d| d.facts.process.as_ref().is_none_or(|p| p.uid == 0))
    {
        return vec![says.warning(
            format!("{path} belongs to user {}, who is root through it", access.uid),
            format!("chown root {path}"),
        )];
    }
    vec![says.ok(format!("{path} has mode {:04o}", access.mode))]
}

#[cfg(test)]
mod tests {
    use super::super::super::Severity::{Critical, Notice, Ok as Fine, Warning};
    use super::super::super::examined::Access;
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn members_of_the_group_are_named() {
        for (group, names, severity) in [
            ("docker", &[][..], Fine),
            ("docker", &["bob", "ci"], Notice),
            ("root", &["daemon"], Fine),
        ] {
            let mut examined = examined();
            examined.local.group = Some(group.into());
            examined.local.members = names.iter().map(|n| (*n).to_owned()).collect();
            let found = one(members(&examined));
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(
                severity == Fine || found.seen.contains("2 members (bob, ci)"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_socket_that_everybody_opens_is_critical() {
        for (mode, uid, severity) in [
            (0o660, 0, Fine),
            (0o600, 0, Fine),
            (0o666, 0, Critical),
            (0o662, 0, Critical),
            (0o660, 1000, Warning),
        ] {
            let mut examined = examined();
            examined.local.access = Some(Access { mode, uid, gid: 0 });
            assert_eq!(one(socket(&examined)).severity, severity, "{mode:o} {uid}");
        }
        let mut gone = examined();
        gone.local.access = None;
        assert_eq!(one(socket(&gone)).severity, Warning);
        gone.docker.as_mut().unwrap().facts.process = None;
        assert_eq!(socket(&gone), []);
    }
}
