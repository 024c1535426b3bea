//! What stands in `deploy/` works with this program and with systemd.

use std::fmt::Write;

use crate::support::programs::Bench;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dockwarden");
/// Where the units expect it.
const INSTALLED: &str = "/usr/local/bin/dockwarden";
/// Another program that they start.
const SCRIPT: &str = "/usr/local/lib/dockwarden/crl-refresh.sh";

const SERVER_TOML: &str = include_str!("../../deploy/server.toml");
const AGENT_TOML: &str = include_str!("../../deploy/agent.toml");
const CLOUD_INIT: &str = include_str!("../../deploy/cloud-init.yaml");

const UNITS: [(&str, &str); 5] = [
    (
        "dockwarden-crl.service",
        include_str!("../../deploy/systemd/dockwarden-crl.service"),
    ),
    (
        "dockwarden-crl.timer",
        include_str!("../../deploy/systemd/dockwarden-crl.timer"),
    ),
    (
        "dockwarden-server.service",
        include_str!("../../deploy/systemd/dockwarden-server.service"),
    ),
    (
        "dockwarden-server.socket",
        include_str!("../../deploy/systemd/dockwarden-server.socket"),
    ),
    (
        "dockwarden-agent.service",
        include_str!("../../deploy/systemd/dockwarden-agent.service"),
    ),
];
const USER_UNITS: [(&str, &str); 2] = [
    (
        "dockwarden-client.service",
        include_str!("../../deploy/systemd/user/dockwarden-client.service"),
    ),
    (
        "dockwarden-client.timer",
        include_str!("../../deploy/systemd/user/dockwarden-client.timer"),
    ),
];

/// The units, with the program where this build has it: systemd refuses one that is not there.
fn with_units(units: &[(&str, &str)]) -> (Bench, String) {
    let bench = Bench::new();
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    for (name, text) in units {
        bench.put(name, text.replace(INSTALLED, PROGRAM).replace(SCRIPT, PROGRAM));
    }
    (bench, names.join(" "))
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let (bench, names) = with_units(&UNITS);
    let said = bench.run(&format!("systemd-analyze --man=no verify {names}"));
    assert_eq!(said.text, "");
    let (bench, names) = with_units(&USER_UNITS);
    let runtime = bench.put("runtime", "");
    let runtime = runtime.parent().unwrap().display();
    let said = bench.run(&format!(
        "env XDG_RUNTIME_DIR={runtime} systemd-analyze --man=no --user verify {names}"
    ));
    assert_eq!(said.text, "");
}

/// The score runs from 0 (nothing is exposed) to 10; an unhardened unit has 9.6.
#[test]
fn the_units_expose_little_of_the_machine() {
    let (bench, _) = with_units(&UNITS);
    for (unit, tenths_max) in [
        ("dockwarden-server.service", 12),
        ("dockwarden-agent.service", 21),
    ] {
        bench.run(&format!(
            "systemd-analyze security --offline=true --no-pager --threshold={tenths_max} {unit}"
        ));
    }
    bench.put("bare.service", format!("[Service]\nExecStart={PROGRAM}\n"));
    bench.refuse("systemd-analyze security --offline=true --no-pager --threshold=50 bare.service");
}

/// A sample with every setting that it only shows made real, but for those in `except`.
fn all_settings(sample: &str, except: &[&str]) -> String {
    let mut text = String::new();
    for line in sample.lines() {
        let setting = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        let line = setting
            .filter(|rest| !except.contains(&key(rest)))
            .unwrap_or(line);
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn key(line: &str) -> &str {
    line.split('=').next().unwrap().trim()
}

/// Keys that the loader knows, from what it says about one that it does not.
fn known_keys(bench: &Bench, command: &str, table: &str) -> Vec<String> {
    bench.put("bogus.toml", format!("{table}bogus_key = 1\n"));
    let said = bench.refuse(&format!("{PROGRAM} {command} --check-config --config bogus.toml"));
    let (_, expected) = said
        .split_once("expected one of ")
        .unwrap_or_else(|| panic!("{said}"));
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn check(bench: &Bench, command: &str, text: &str) {
    bench.put("sample.toml", text);
    bench.run(&format!(
        "{PROGRAM} {command} --check-config --config sample.toml"
    ));
}

fn shows(sample: &str, key: &str) -> bool {
    let settings = sample.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    settings.clone().any(|line| self::key(line) == key)
        || sample.contains(&format!("[{key}."))
        || sample.contains(&format!("[{key}]"))
}

#[test]
fn the_server_sample_is_accepted_and_shows_every_setting() {
    let bench = Bench::new();
    check(&bench, "server run", SERVER_TOML);
    check(&bench, "server run", &all_settings(SERVER_TOML, &[]));
    for key in known_keys(&bench, "server run", "") {
        assert!(shows(SERVER_TOML, &key), "deploy/server.toml does not show {key}");
    }
    let (before, client) = SERVER_TOML.split_once("[profiles.client]").unwrap();
    let (_, host) = before.split_once("[profiles.host]").unwrap();
    for key in known_keys(&bench, "server run", "[profiles.host]\n") {
        assert!(
            shows(host, &key) && shows(client, &key),
            "deploy/server.toml does not show {key} for both profiles"
        );
    }
}

#[test]
fn the_agent_sample_is_accepted_and_shows_every_setting() {
    let bench = Bench::new();
    check(&bench, "agent run", AGENT_TOML);
    let (all_modes, daemon) = AGENT_TOML.split_once("#[daemon]").unwrap();
    // What only mode files is told.
    let hook = ["hook", "hook_timeout", "dial"];
    let gate = all_settings(all_modes, &hook);
    check(&bench, "agent run", &gate);
    let files = all_settings(all_modes, &[]).replace("mode = \"gate\"", "mode = \"files\"");
    check(&bench, "agent run", &files);
    let table = format!(
        "{}[daemon]{}",
        gate.replace("mode = \"gate\"", "mode = \"daemon\""),
        all_settings(daemon, &[])
    );
    check(&bench, "agent run", &table);
    for key in known_keys(&bench, "agent run", "") {
        assert!(shows(AGENT_TOML, &key), "deploy/agent.toml does not show {key}");
    }
    for key in known_keys(&bench, "agent run", "mode = 'daemon'\n[daemon]\n") {
        assert!(
            shows(daemon, &key),
            "deploy/agent.toml does not show daemon.{key}"
        );
    }
}

#[test]
fn the_configuration_in_the_cloud_init_sample_is_accepted() {
    let (_, after) = CLOUD_INIT.split_once("path: /etc/dockwarden/agent.toml").unwrap();
    let lines = after
        .lines()
        .skip_while(|line| !line.ends_with("content: |"))
        .skip(1);
    let text: Vec<&str> = lines.map_while(|line| line.strip_prefix("      ")).collect();
    assert!(text.iter().any(|line| line.starts_with("server = ")), "{text:?}");
    check(&Bench::new(), "agent run", &text.join("\n"));
}
