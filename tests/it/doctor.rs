//! `dockwarden doctor` against real engines: what it finds is there, and what is not there it does not find.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon_look::{Daemon, can_run_dockerd, free_port, look_at, put, write_pair};
use crate::support::pki::Fleet;

/// What doctor says, and with which code it ends.
struct Said {
    code: i32,
    text: String,
}

#[expect(clippy::disallowed_methods, reason = "the test is about this very program")]
fn doctor(home: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_dockwarden"))
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    Said {
        code: output.status.code().unwrap(),
        text: String::from_utf8(text).unwrap(),
    }
}

/// (severity, what was seen, fix) of the findings of one check that mention `about`.
fn found(home: &Path, socket: &Path, check: &str, about: &str) -> Vec<(String, String, String)> {
    let socket = socket.display().to_string();
    let said = doctor(home, &["--format", "json", "--docker-socket", &socket]);
    let report: Value = serde_json::from_str(&said.text).unwrap_or_else(|e| panic!("{e}: {}", said.text));
    let codes = ["ok", "notice", "warning", "critical"];
    let code = codes.iter().position(|word| report["severity"] == *word).unwrap();
    assert_eq!(said.code, i32::try_from(code).unwrap(), "{}", said.text);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings.clone().for_each(assert_described);
    let mine = findings.filter(|f| f["check"] == check && text(&f["seen"]).contains(about));
    mine.map(|f| (text(&f["severity"]), text(&f["seen"]), text(&f["fix"])))
        .collect()
}

/// Whoever meets a finding finds its check in the documentation.
fn assert_described(finding: &Value) {
    let text = include_str!("../../docs/doctor.md");
    let headings = text.lines().filter_map(|line| line.strip_prefix("### "));
    let check = finding["check"].as_str().unwrap();
    let described = headings
        .flat_map(|heading| heading.split(", "))
        .any(|name| name == check);
    assert!(described, "docs/doctor.md has no heading {check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plaintext_port_and_what_would_stop_the_next_start_are_found() {
    if !can_run_dockerd() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = put(&dir.path().join("daemon.json"), "{}\n");
    let address = format!("127.0.0.1:{}", free_port());
    let host = format!("tcp://{address}");
    let socket = dir.path().join("docker.sock");
    let daemon = Daemon::start(dir, &["--config-file", &config, "-H", &host]);
    let daemon = daemon.answering(&look_at(socket.clone(), None)).await;
    let of = |check: &str, about: &str| found(home.path(), &socket, check, about);

    let open = of("open-port", &address);
    assert!(
        matches!(&open[..], [(severity, seen, _)] if severity == "warning" && seen.contains("without TLS")),
        "{open:?}"
    );
    assert_eq!(of("engine", "runs and answers").len(), 1);
    assert_eq!(of("next-start", "")[0].0, "ok");
    assert_eq!(of("not-in-force", "")[0].0, "ok");
    assert_eq!(of("live-restore", "")[0].0, "notice");
    assert_eq!(of("vulnerabilities", "").len(), 1);

    for (contents, check, severity, words) in [
        (
            "{\"hosts\": [\"fd://\"]}",
            "next-start",
            "critical",
            "hosts is given both by flag and in",
        ),
        (
            "{\"debug\": true,}",
            "daemon-json",
            "critical",
            "a comma before the closing bracket",
        ),
        ("\u{feff}{}", "daemon-json", "notice", "byte order mark"),
        (
            "{\"debug\": false,\n\"debug\": true}",
            "daemon-json",
            "warning",
            "more than once",
        ),
    ] {
        put(Path::new(&config), contents);
        let told = of(check, words);
        assert!(
            matches!(&told[..], [(found, ..)] if found == severity),
            "{contents}: {told:?}"
        );
    }
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_served_and_a_door_without_a_lock_are_found() {
    if !can_run_dockerd() {
        return;
    }
    let fleet = Fleet::new();
    let (first, second) = (fleet.host("web-01"), fleet.host("web-01"));
    for verify in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let [cert, key, ca] = write_pair(dir.path(), &fleet, &first);
        let config = put(&dir.path().join("daemon.json"), "{}\n");
        let address = format!("127.0.0.1:{}", free_port());
        let host = format!("tcp://{address}");
        let socket = dir.path().join("docker.sock");
        let files = dir.path().to_owned();
        let verify_flag = format!("--tlsverify={verify}");
        let tls = [
            &verify_flag,
            "--tlscert",
            &cert,
            "--tlskey",
            &key,
            "--tlscacert",
            &ca,
        ];
        let arguments = [&["--config-file", &config, "-H", &host][..], &tls].concat();
        let daemon = Daemon::start(dir, &arguments);
        let daemon = daemon.answering(&look_at(socket.clone(), None)).await;
        let of = |check: &str, about: &str| found(home.path(), &socket, check, about);

        let port = of("open-port", &address);
        let expected = match verify {
            true => ("ok", "refuses whoever shows no certificate"),
            false => ("warning", "asks nobody for a certificate"),
        };
        assert!(
            matches!(&port[..], [(severity, seen, _)] if severity == expected.0 && seen.contains(expected.1)),
            "{port:?}"
        );
        assert_eq!(of("served", &address)[0].0, "ok");

        write_pair(&files, &fleet, &second);
        let served = of("served", &address);
        let [(severity, seen, fix)] = &served[..] else {
            panic!("{served:?}")
        };
        assert!(severity == "warning" || severity == "critical", "{served:?}");
        assert!(
            seen.contains("and not served") && fix.contains("restart"),
            "{served:?}"
        );
        drop(daemon);
    }
}

#[test]
fn exit_codes_of_usage_are_none_of_a_finding() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(doctor(home.path(), &["--format", "xml"]).code, 64);
    assert_eq!(doctor(home.path(), &["--help"]).code, 0);
    let nothing = doctor(home.path(), &["--docker-socket", "/nonexistent/docker.sock"]);
    assert!((0..=3).contains(&nothing.code), "{}", nothing.text);
    assert!(
        nothing.text.contains("no agent is set up here"),
        "{}",
        nothing.text
    );
}
