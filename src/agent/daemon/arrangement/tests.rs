mod layouts;
mod matrix;
mod model;
mod properties;

use std::path::{Path, PathBuf};

use super::*;
pub(super) use crate::agent::daemon::facts::*;

pub(super) const DEBIAN: &str = "\
[Unit]
Description=Docker Application Container Engine
[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
";
const FILES: &str = "/etc/docker/dockwarden/current";

pub(super) fn wanted() -> Wanted {
    Wanted {
        listen: "0.0.0.0:2376".parse().unwrap(),
        directory: PathBuf::from(FILES),
    }
}

/// A host of systemd with this unit and nothing else.
pub(super) fn systemd(unit: &str) -> DaemonFacts {
    DaemonFacts {
        layout: Layout::Systemd {
            unit: "docker.service".to_owned(),
            scope: Scope::System,
        },
        state: DaemonState::Running,
        process: None,
        program: None,
        config_file: ConfigFile {
            path: PathBuf::from("/etc/docker/daemon.json"),
            named_by_flag: false,
            contents: None,
        },
        unit: Some(Unit {
            fragment: UnitFile {
                path: PathBuf::from("/usr/lib/systemd/system/docker.service"),
                contents: unit.to_owned(),
            },
            drop_ins: Vec::new(),
            drop_in_directory: PathBuf::from("/etc/systemd/system/docker.service.d"),
            sockets: vec![SocketUnit {
                name: "docker.socket".to_owned(),
                listen: vec!["/run/docker.sock".to_owned()],
                active: true,
            }],
            needs_reload: false,
        }),
        options_files: Vec::new(),
        engine: EngineFacts::default(),
        listeners: Vec::new(),
    }
}

pub(super) fn with_config(mut facts: DaemonFacts, json: &str) -> DaemonFacts {
    facts.config_file.contents = Some(json.as_bytes().to_vec());
    facts
}

pub(super) fn with_options(mut facts: DaemonFacts, path: &str, text: &str) -> DaemonFacts {
    facts.options_files.push(OptionsFile {
        path: PathBuf::from(path),
        contents: text.to_owned(),
    });
    facts
}

pub(super) fn with_drop_in(mut facts: DaemonFacts, name: &str, text: &str) -> DaemonFacts {
    let unit = facts.unit.as_mut().unwrap();
    unit.drop_ins.push(UnitFile {
        path: unit.drop_in_directory.join(name),
        contents: text.to_owned(),
    });
    facts
}

/// The facts after these changes were made.
pub(super) fn applied(mut facts: DaemonFacts, changes: &[FileChange]) -> DaemonFacts {
    for change in changes {
        if change.path == facts.config_file.path {
            facts.config_file.contents = change.after.clone();
            continue;
        }
        if let Some(file) = facts
            .options_files
            .iter_mut()
            .find(|file| file.path == change.path)
        {
            file.contents = String::from_utf8(change.after.clone().unwrap()).unwrap();
            continue;
        }
        let unit = facts.unit.as_mut().unwrap();
        unit.drop_ins.retain(|file| file.path != change.path);
        if let Some(after) = &change.after {
            unit.drop_ins.push(UnitFile {
                path: change.path.clone(),
                contents: String::from_utf8(after.clone()).unwrap(),
            });
        }
        unit.drop_ins
            .sort_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
    }
    facts
}

/// Arranges, and checks that doing it again changes nothing.
fn settled(facts: &DaemonFacts) -> Arrangement {
    let arrangement = arrange(facts, &wanted()).unwrap();
    let again = arrange(&applied(facts.clone(), &arrangement.changes), &wanted()).unwrap();
    assert_eq!(again.changes, [], "doing it twice");
    assert_eq!(again.argv, arrangement.argv);
    arrangement
}

fn after<'a>(arrangement: &'a Arrangement, path: &str) -> &'a str {
    let change = arrangement
        .changes
        .iter()
        .find(|change| change.path == Path::new(path))
        .unwrap();
    std::str::from_utf8(change.after.as_deref().unwrap()).unwrap()
}

const DROP_IN: &str = "/etc/systemd/system/docker.service.d/zz-dockwarden.conf";
pub(super) const CONFIG: &str = "/etc/docker/daemon.json";

/// What a drop-in of ours says of TLS.
const GUARD: &str = "--tlsverify --tlscacert=/etc/docker/dockwarden/current/ca.pem \
                     --tlscert=/etc/docker/dockwarden/current/cert.pem --tlskey=/etc/docker/dockwarden/current/key.pem";
/// What an earlier agent wrote into the configuration file.
const FILED: &str = r#"{
  "tlsverify": true,
  "tlscacert": "/etc/docker/dockwarden/current/ca.pem",
  "tlscert": "/etc/docker/dockwarden/current/cert.pem",
  "tlskey": "/etc/docker/dockwarden/current/key.pem"
}
"#;

fn paths(changes: &[FileChange]) -> Vec<&str> {
    changes
        .iter()
        .map(|change| change.path.to_str().unwrap())
        .collect()
}

#[test]
fn untouched_docker_gets_the_port_and_whom_it_lets_in_with_one_write() {
    let arrangement = settled(&systemd(DEBIAN));
    assert_eq!(paths(&arrangement.changes), [DROP_IN]);
    let line = format!(
        "/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2376 {GUARD} --containerd=/run/containerd/containerd.sock"
    );
    assert_eq!(
        after(&arrangement, DROP_IN),
        format!(
            "# Written by dockwarden from /usr/lib/systemd/system/docker.service; changes in this file are overwritten.\n\
             [Service]\nExecStart=\nExecStart={line} $DOCKER_OPTS\n"
        )
    );
    assert!(arrangement.changes[0].reload_units);
    assert_eq!(arrangement.argv.join(" "), line);
    assert_eq!(arrangement.notes, Vec::<String>::new());
}

#[test]
fn tls_of_an_admin_leaves_the_file_while_the_port_is_closed() {
    let theirs = r#"{"tlsverify": true, "tlscacert": "/a/ca.pem", "tlscert": "/a/c.pem", "tlskey": "/a/k.pem", "debug": true}"#;
    let port = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// -H tcp://0.0.0.0:2376\n";
    let facts = with_drop_in(with_config(systemd(DEBIAN), theirs), "override.conf", port);
    let arrangement = settled(&facts);
    assert_eq!(paths(&arrangement.changes), [DROP_IN, CONFIG, DROP_IN]);
    let texts: Vec<&str> = arrangement
        .changes
        .iter()
        .map(|change| std::str::from_utf8(change.after.as_deref().unwrap()).unwrap())
        .collect();
    assert!(
        texts[0].ends_with("ExecStart=/usr/bin/dockerd -H fd://\n"),
        "{}",
        texts[0]
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(texts[1]).unwrap(),
        serde_json::json!({"debug": true})
    );
    assert!(
        texts[2].ends_with(&format!("-H tcp://0.0.0.0:2376 {GUARD}\n")),
        "{}",
        texts[2]
    );
    assert!(
        arrangement
            .notes
            .iter()
            .any(|note| note.starts_with("tlsverify, tlscacert")),
        "{:?}",
        arrangement.notes
    );
}

#[test]
fn what_an_earlier_agent_put_into_two_files_moves_with_a_restart_or_another_change() {
    let port = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2376 \
                --containerd=/run/containerd/containerd.sock $DOCKER_OPTS\n";
    let head = "# Written by dockwarden from /usr/lib/systemd/system/docker.service; changes in this file are overwritten.\n";
    let facts = with_drop_in(
        with_config(systemd(DEBIAN), FILED),
        DROP_IN_NAME,
        &format!("{head}{port}"),
    );
    let arrangement = arrange(&facts, &wanted()).unwrap();
    assert_eq!(arrangement.changes, []);
    assert_eq!(paths(&arrangement.moves), [DROP_IN, CONFIG, DROP_IN]);
    assert_eq!(arrangement.moves[0].after, None, "first the port is closed");
    assert!(
        arrangement
            .notes
            .iter()
            .any(|note| note.contains("with the next restart")),
        "{:?}",
        arrangement.notes
    );
    let overwritten = with_config(facts.clone(), "{}");
    let arrangement = settled(&overwritten);
    assert_eq!(
        paths(&arrangement.changes),
        [DROP_IN],
        "at once, and with one write"
    );
    assert!(after(&arrangement, DROP_IN).contains(GUARD));
}

#[test]
fn tls_that_another_tool_writes_beside_our_flags_is_taken_out() {
    let arrangement = settled(&systemd(DEBIAN));
    for text in [
        FILED,
        r#"{"tlsverify": true}"#,
        r#"{"tlscert": "/theirs"}"#,
        r#"{"tlskey": null}"#,
    ] {
        let facts = with_config(applied(systemd(DEBIAN), &arrangement.changes), text);
        let mended = settled(&facts);
        assert_eq!(paths(&mended.changes), [CONFIG], "{text}");
    }
}

#[test]
fn a_port_that_cannot_be_closed_keeps_tls_where_it_is() {
    let mut facts = with_config(systemd(DEBIAN), FILED);
    facts.unit.as_mut().unwrap().sockets[0]
        .listen
        .push("[::]:2376".to_owned());
    let arrangement = settled(&facts);
    assert_eq!((arrangement.changes.len(), arrangement.moves.len()), (0, 0));
    facts.config_file.contents = None;
    let arrangement = settled(&facts);
    assert_eq!(
        paths(&arrangement.changes),
        [DROP_IN],
        "where nothing moves, it is by flag"
    );
}

#[test]
fn without_a_host_by_flag_everything_goes_into_the_file_at_once() {
    let facts = with_config(
        systemd("[Service]\nExecStart=/usr/bin/dockerd\n"),
        "{\n\t\"debug\": true\n}",
    );
    let arrangement = settled(&facts);
    assert_eq!(arrangement.changes.len(), 1);
    assert_eq!(
        after(&arrangement, CONFIG),
        "{\n\t\"debug\": true,\n\t\"tlsverify\": true,\n\t\"tlscacert\": \"/etc/docker/dockwarden/current/ca.pem\",\n\
         \t\"tlscert\": \"/etc/docker/dockwarden/current/cert.pem\",\n\
         \t\"tlskey\": \"/etc/docker/dockwarden/current/key.pem\",\n\
         \t\"hosts\": [\"unix:///var/run/docker.sock\", \"tcp://0.0.0.0:2376\"]\n}"
    );
}

#[test]
fn options_with_certificates_are_taken_over_in_the_drop_in_and_the_options_file_stays() {
    let options = "DOCKER_OPTS=\"-H tcp://0.0.0.0:2376 --tlsverify --tlscacert=/etc/docker/ca.pem \
                   --tlscert=/etc/docker/server-cert.pem --tlskey=/etc/docker/server-key.pem --debug\"\n";
    let facts = with_options(systemd(DEBIAN), "/etc/default/docker", options);
    let arrangement = settled(&facts);
    assert_eq!(arrangement.changes.len(), 1, "{arrangement:?}");
    let line = after(&arrangement, DROP_IN).lines().last().unwrap();
    assert_eq!(
        line,
        "ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock -H tcp://0.0.0.0:2376 \
         --tlsverify --tlscacert=/etc/docker/dockwarden/current/ca.pem \
         --tlscert=/etc/docker/dockwarden/current/cert.pem --tlskey=/etc/docker/dockwarden/current/key.pem --debug"
    );
    assert_eq!(arrangement.notes.len(), 3, "{:?}", arrangement.notes);
}

#[test]
fn a_drop_in_of_the_admin_is_what_ours_is_made_from() {
    let edit = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --debug\n";
    let facts = with_drop_in(systemd(DEBIAN), "override.conf", edit);
    let arrangement = settled(&facts);
    assert_eq!(arrangement.argv, ["/usr/bin/dockerd", "--debug"]);
    assert!(after(&arrangement, CONFIG).contains("hosts"));
    assert_eq!(arrangement.changes.len(), 1);
}
