//! Who starts dockerd, and what follows from it. The option lines of the articles are taken over here.

use super::*;
use crate::base::Timestamp;

const ARTICLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/last-metre/articles");

fn article(path: &str) -> String {
    std::fs::read_to_string(Path::new(ARTICLES).join(path)).unwrap()
}

/// A dockerd that runs with this command line, and no unit.
fn running(layout: Layout, argv: &str) -> DaemonFacts {
    let mut facts = systemd("");
    facts.layout = layout;
    facts.unit = None;
    facts.process = Some(DaemonProcess {
        pid: 1,
        start_ticks: 1,
        started_at: Timestamp::EPOCH,
        uid: 0,
        argv: argv.split_whitespace().map(str::to_owned).collect(),
        environment: Vec::new(),
    });
    facts
}

fn plain() -> Layout {
    Layout::Plain {
        restart: vec!["/srv/restart-docker".to_owned()],
    }
}

fn script() -> Layout {
    Layout::Service {
        manager: ServiceManager::SysV,
        name: "docker".to_owned(),
    }
}

fn refusal(facts: &DaemonFacts) -> String {
    arrange(facts, &wanted()).unwrap_err().to_string()
}

#[test]
fn the_options_of_the_first_article_are_taken_over_in_a_drop_in() {
    for file in ["sysconfig/OPTIONS", "sysconfig/OPTIONS.printed"] {
        let mut facts = with_options(
            systemd(&article("sysconfig/docker.service")),
            "/etc/sysconfig/docker",
            &article(file),
        );
        facts.unit.as_mut().unwrap().sockets.clear();
        let arrangement = settled(&facts);
        assert_eq!(arrangement.changes.len(), 1, "{file}");
        assert_eq!(
            arrangement.argv.join(" "),
            "/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock --default-ulimit nofile=1024:4096 \
             -H unix:///var/run/docker.sock -H 0.0.0.0:2376 --tlsverify \
             --tlscacert=/etc/docker/dockwarden/current/ca.pem --tlscert=/etc/docker/dockwarden/current/cert.pem \
             --tlskey=/etc/docker/dockwarden/current/key.pem"
        );
        let line = after(&arrangement, DROP_IN).lines().last().unwrap();
        assert!(line.ends_with("key.pem $DOCKER_STORAGE_OPTIONS"), "{line}");
        assert_eq!(arrangement.notes.len(), 3, "{:?}", arrangement.notes);
    }
}

#[test]
fn the_chain_of_the_last_article_is_changed_line_by_line_for_a_script_and_refused_under_systemd() {
    let chain = article("service-script/DOCKER_OPTS");
    let argv = "/usr/bin/dockerd -p /var/run/docker.pid --tlsverify --tlscacert=/etc/docker/ca.pem \
                --tlscert=/etc/docker/server-cert.pem --tlskey=/etc/docker/server-key.pem -H tcp://0.0.0.0:2376 \
                -H unix:///var/run/docker.sock";
    let facts = with_options(running(script(), argv), "/etc/default/docker", &chain);
    let arrangement = settled(&facts);
    let expected = chain
        .replace("/etc/docker/ca.pem", "/etc/docker/dockwarden/current/ca.pem")
        .replace(
            "/etc/docker/server-cert.pem",
            "/etc/docker/dockwarden/current/cert.pem",
        )
        .replace(
            "/etc/docker/server-key.pem",
            "/etc/docker/dockwarden/current/key.pem",
        );
    assert_eq!(arrangement.changes.len(), 1);
    assert_eq!(after(&arrangement, "/etc/default/docker"), expected);
    assert!(
        arrangement
            .argv
            .join(" ")
            .starts_with("/usr/bin/dockerd -p /var/run/docker.pid --tlsverify")
    );
    let why = refusal(&with_options(systemd(DEBIAN), "/etc/default/docker", &chain));
    assert!(
        why.contains("$DOCKER_OPTS") && why.contains("one assignment"),
        "{why}"
    );
}

#[test]
fn what_a_script_is_not_told_in_its_options_goes_into_the_file() {
    let facts = running(script(), "/usr/bin/dockerd -p /var/run/docker.pid --debug");
    let facts = with_options(
        facts,
        "/etc/default/docker",
        "#DOCKER_OPTS=\"-H x\"\nDOCKER_OPTS=\"--debug\"\n",
    );
    let arrangement = settled(&facts);
    assert_eq!(arrangement.changes.len(), 1);
    assert!(after(&arrangement, CONFIG).contains("\"unix:///var/run/docker.sock\", \"tcp://0.0.0.0:2376\""));
    assert_eq!(
        arrangement.argv,
        ["/usr/bin/dockerd", "-p", "/var/run/docker.pid", "--debug"]
    );
}

#[test]
fn a_flag_that_nothing_but_the_command_line_gives_is_refused() {
    let rows = [
        ("-H unix:///var/run/docker.sock", "-H unix:///var/run/docker.sock"),
        ("--tlsverify=false --tlscert=/a --tlskey=/b", "--tlsverify=false"),
    ];
    for (flags, named) in rows {
        let why = refusal(&running(plain(), &format!("dockerd {flags}")));
        assert!(why.contains(named) && why.contains("take the flag out"), "{why}");
    }
    let kept = settled(&running(plain(), "dockerd --data-root /srv/docker"));
    assert_eq!(kept.argv, ["dockerd", "--data-root", "/srv/docker"]);
    let why = refusal(&running(plain(), "docker daemon"));
    assert!(why.contains("upgrade"), "{why}");
    let why = refusal(&running(Layout::Unrecognised("who knows".to_owned()), "dockerd"));
    assert_eq!(why, "who knows");
}

#[test]
fn the_snap_is_configured_by_its_file_with_certificates_that_it_may_read() {
    let layout = Layout::Snap {
        unit: "snap.docker.dockerd.service".to_owned(),
    };
    let config = "/var/snap/docker/current/config/daemon.json";
    let mut facts = running(layout, &format!("dockerd --group docker --config-file={config}"));
    facts.config_file.path = PathBuf::from(config);
    facts.config_file.contents = Some(b"{\n    \"log-level\":        \"error\"\n}\n".to_vec());
    let why = refusal(&facts);
    assert!(why.contains("/var/snap/docker/common/dockwarden"), "{why}");
    let wanted = Wanted {
        directory: PathBuf::from("/var/snap/docker/common/dockwarden/current"),
        ..wanted()
    };
    let arrangement = arrange(&facts, &wanted).unwrap();
    assert_eq!(arrangement.changes.len(), 1);
    let text = after(&arrangement, config);
    assert!(
        text.starts_with("{\n    \"log-level\":        \"error\",\n    \"tlsverify\": true"),
        "{text}"
    );
    assert_eq!(
        arrange(&applied(facts, &arrangement.changes), &wanted)
            .unwrap()
            .changes,
        []
    );
}

/// A user's dockerd with this environment in its unit.
fn rootless(environment: &str) -> DaemonFacts {
    let mut facts = systemd(&format!(
        "[Service]\nEnvironment=PATH=/usr/bin\n{environment}\nExecStart=/usr/bin/dockerd-rootless.sh --debug\n"
    ));
    facts.layout = Layout::Systemd {
        unit: "docker.service".to_owned(),
        scope: Scope::User {
            uid: 1000,
            runtime_directory: PathBuf::from("/run/user/1000"),
        },
    };
    facts.config_file.path = PathBuf::from("/home/ann/.config/docker/daemon.json");
    let unit = facts.unit.as_mut().unwrap();
    unit.drop_in_directory = PathBuf::from("/home/ann/.config/systemd/user/docker.service.d");
    unit.sockets.clear();
    facts
}

#[test]
fn rootless_docker_listens_inside_and_is_published_outside() {
    let wanted = Wanted {
        listen: "10.0.0.5:2376".parse().unwrap(),
        directory: PathBuf::from("/home/ann/.config/docker/dockwarden/current"),
    };
    let drop_in = "/home/ann/.config/systemd/user/docker.service.d/zz-dockwarden.conf";
    let facts = rootless("Environment=\"DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=-p 0.0.0.0:80:80/tcp\"");
    let arrangement = arrange(&facts, &wanted).unwrap();
    assert_eq!(arrangement.changes.len(), 2);
    let text = after(&arrangement, "/home/ann/.config/docker/daemon.json");
    assert!(
        text.contains("[\"unix:///run/user/1000/docker.sock\", \"tcp://0.0.0.0:2376\"]"),
        "{text}"
    );
    let text = after(&arrangement, drop_in);
    assert!(
        text.contains(
            "\nEnvironment=\"DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=-p 0.0.0.0:80:80/tcp -p 10.0.0.5:2376:2376/tcp\"\n"
        ),
        "{text}"
    );
    assert_eq!(arrangement.argv, ["dockerd", "--debug"]);
    assert_eq!(
        arrange(&applied(facts, &arrangement.changes), &wanted)
            .unwrap()
            .changes,
        []
    );
    let published = rootless("Environment=\"DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=-p 0.0.0.0:2376:2376/tcp\"");
    assert_eq!(arrange(&published, &wanted).unwrap().changes.len(), 1);
    let by_file = with_options(
        published,
        "/e",
        "DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=\"-p 0.0.0.0:80:80/tcp\"\n",
    );
    let mut by_file = by_file;
    by_file.unit.as_mut().unwrap().fragment.contents =
        "[Service]\nEnvironmentFile=/e\nExecStart=/usr/bin/dockerd-rootless.sh\n".to_owned();
    let why = arrange(&by_file, &wanted).unwrap_err().to_string();
    assert!(why.contains("add -p 10.0.0.5:2376:2376/tcp there"), "{why}");
}

#[test]
fn rootless_docker_is_refused_what_only_root_can_read() {
    let why = refusal(&rootless(""));
    assert!(
        why.contains("run the agent as the user") && why.contains("/home/ann/.config/docker/dockwarden"),
        "{why}"
    );
}

#[test]
fn a_unit_that_is_not_understood_is_refused_with_what_to_do() {
    let unit = |line: &str| systemd(&format!("[Service]\nExecStart={line}\n"));
    let rows = [
        (unit("/usr/local/bin/start-docker"), "name dockerd itself"),
        (unit("/bin/sh -c 'exec dockerd'"), "name dockerd itself"),
        (unit("/usr/bin/dockerd-rootless.sh"), "name dockerd itself"),
        (
            unit("/usr/bin/dockerd --config-file=/srv/engine.json"),
            "restart it once",
        ),
        (unit("/usr/bin/dockerd -H"), "has no value"),
        (
            with_drop_in(
                systemd(DEBIAN),
                "zzz.conf",
                "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n",
            ),
            "zzz.conf",
        ),
    ];
    for (facts, expected) in rows {
        let why = refusal(&facts);
        assert!(why.contains(expected), "{why}");
    }
    assert!(settled(&unit("/usr/bin/dockerd-current --debug")).argv[0].ends_with("dockerd-current"));
    let mut lost = systemd(DEBIAN);
    lost.unit = None;
    assert!(refusal(&lost).contains("was not found"));
}

#[test]
fn a_port_that_systemd_hands_over_is_not_bound_a_second_time() {
    let mut facts = systemd(DEBIAN);
    let listen = &mut facts.unit.as_mut().unwrap().sockets[0].listen;
    listen.extend(["[::]:2376".to_owned(), "127.0.0.1:2375".to_owned()]);
    let arrangement = settled(&facts);
    assert_eq!(arrangement.changes.len(), 1, "TLS is all that is missing");
    assert_eq!(arrangement.notes.len(), 2, "{:?}", arrangement.notes);
    // Without fd:// dockerd does not take them.
    let unit = facts.unit.as_mut().unwrap();
    unit.fragment.contents =
        "[Service]\nExecStart=/usr/bin/dockerd -H unix:///var/run/docker.sock\n".to_owned();
    assert!(settled(&facts).argv.contains(&"tcp://0.0.0.0:2376".to_owned()));
}

#[test]
fn a_byte_order_mark_is_refused_where_the_engine_cannot_read_it() {
    let mut facts = systemd(DEBIAN);
    facts.config_file.contents = Some(b"\xef\xbb\xbf{}".to_vec());
    facts.program = Some(Program {
        path: PathBuf::from("/usr/sbin/dockerd"),
        version: Some("20.10.24".to_owned()),
        validates: false,
    });
    assert!(refusal(&facts).contains("byte order mark"));
    facts.program.as_mut().unwrap().version = Some("26.1.5".to_owned());
    facts.unit.as_mut().unwrap().fragment.contents = "[Service]\nExecStart=/usr/bin/dockerd\n".to_owned();
    assert!(after(&settled(&facts), CONFIG).starts_with('\u{feff}'));
}
