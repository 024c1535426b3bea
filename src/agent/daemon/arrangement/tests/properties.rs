//! Whatever a host is found like: it can be started after each single write, is never more open than it was, and ends
//! with exactly what was wanted.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::model;
use super::*;
use crate::agent::daemon::arrangement::layouts::arrange_by_layout;
use crate::agent::daemon::arrangement::settings::Way;
use crate::base::Timestamp;

const FLAGS: [&str; 18] = [
    "-H fd://",
    "-H unix:///var/run/docker.sock",
    "-H tcp://0.0.0.0:2375",
    "-H tcp://127.0.0.1:2376",
    "-H 0.0.0.0:2376",
    "-H=tcp://[::]:2376",
    "--host=tcp://10.0.0.1:2376",
    "-DH tcp://127.0.0.1:4000",
    "--tls",
    "--tls=false",
    "--tlsverify",
    "--tlsverify=false",
    "--tlscacert=/theirs/ca.pem",
    "--tlscert /theirs/cert.pem",
    "--tlskey=/theirs/key.pem",
    "--debug",
    "--label a=b",
    "-D",
];
const HOSTS: [&str; 5] = [
    "fd://",
    "unix:///var/run/docker.sock",
    "tcp://0.0.0.0:2375",
    "tcp://127.0.0.1:2376",
    "0.0.0.0:2376",
];

/// A few flags; often the ones that belong together.
fn any_flags() -> impl Strategy<Value = String> {
    let some = prop::sample::subsequence(&FLAGS[..], 0..4).prop_shuffle();
    let together = prop::sample::subsequence(&FLAGS[..8], 0..3);
    prop_oneof![
        some.prop_map(|flags| flags.join(" ")),
        together.prop_map(|flags| format!("{} --tlsverify {}", flags.join(" "), FLAGS[12..15].join(" "))),
    ]
}

fn any_file() -> impl Strategy<Value = Option<String>> {
    let key = |name: &'static str, values: Vec<Value>| {
        prop::option::weighted(0.25, prop::sample::select(values)).prop_map(move |value| (name, value))
    };
    let hosts = prop::sample::subsequence(&HOSTS[..], 0..4).prop_map(|hosts| json!(hosts));
    let hosts = prop::option::weighted(0.4, prop_oneof![9 => hosts, 1 => Just(Value::Null)]);
    let switches = vec![json!(true), json!(false)];
    let rest = (
        key("tls", switches.clone()),
        key("tlsverify", switches),
        key("tlscacert", vec![json!("/theirs/ca.pem")]),
        key("tlscert", vec![json!("/theirs/cert.pem")]),
        key("tlskey", vec![json!("/theirs/key.pem")]),
        key("labels", vec![json!(["a=b"])]),
    );
    let file = (hosts, rest).prop_map(|(hosts, (a, b, c, d, e, f))| {
        let all = [("hosts", hosts), a, b, c, d, e, f];
        let map: BTreeMap<&str, Value> = all
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        serde_json::to_string_pretty(&map).expect("a map of strings")
    });
    prop::option::weighted(0.8, file)
}

fn any_systemd() -> impl Strategy<Value = DaemonFacts> {
    let handed = prop::sample::select(vec!["", "", "", "127.0.0.1:2375", "[::]:2376"]);
    let socket = prop::bool::weighted(0.9);
    (any_flags(), any_flags(), any_file(), handed, socket).prop_map(|(exec, options, file, handed, socket)| {
        let mut facts = systemd(&format!(
            "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/bin/dockerd {exec} $DOCKER_OPTS\n"
        ));
        facts.config_file.contents = file.map(String::into_bytes);
        let unit = facts.unit.as_mut().unwrap();
        if !handed.is_empty() {
            unit.sockets[0].listen.push(handed.to_owned());
        }
        if !socket {
            unit.sockets.clear();
        }
        with_options(facts, "/etc/default/docker", &format!("# options\nDOCKER_OPTS=\"{options}\"\n"))
    })
}

fn any_script() -> impl Strategy<Value = DaemonFacts> {
    (any_flags(), any_file()).prop_map(|(options, file)| {
        let mut facts = systemd("");
        facts.layout = Layout::Service {
            manager: ServiceManager::OpenRc,
            name: "docker".to_owned(),
        };
        facts.unit = None;
        facts.config_file.contents = file.map(String::into_bytes);
        let argv = std::iter::once("/usr/bin/dockerd").chain(options.split_whitespace());
        facts.process = Some(DaemonProcess {
            pid: 1,
            start_ticks: 1,
            started_at: Timestamp::EPOCH,
            uid: 0,
            argv: argv.map(str::to_owned).collect(),
            environment: Vec::new(),
        });
        with_options(
            facts,
            "/etc/conf.d/docker",
            &format!("# options\nDOCKER_OPTS=\"{options}\"\n"),
        )
    })
}

fn show(arrangement: &Arrangement) -> String {
    arrangement.changes.iter().map(diff::unified).collect()
}

/// What has to be true of it all.
pub(super) fn check(facts: &DaemonFacts) -> Result<(), Refusal> {
    let first = model::start(facts);
    let arrangement = arrange(facts, &wanted())?;
    for count in 1..=arrangement.changes.len() {
        let state = applied(facts.clone(), &arrangement.changes[..count]);
        let now = model::start(&state);
        if let Ok(first) = &first {
            let now = now
                .as_ref()
                .unwrap_or_else(|why| panic!("after {count} of {}: {why}", show(&arrangement)));
            let opened = now.open().into_iter().find(|host| !first.open().contains(host));
            assert_eq!(opened, None, "open after {count} of {}", show(&arrangement));
            assert!(
                now.verified || now.tcp.is_empty() || !first.verified,
                "not verified after {count} of {}",
                show(&arrangement)
            );
            assert!(
                now.local || !first.local,
                "no local socket after {count} of {}",
                show(&arrangement)
            );
        }
    }
    let last = applied(facts.clone(), &arrangement.changes);
    let serving = match model::start(&last) {
        // Two of the hosts that are others' own business.
        Err(why) if first.is_err() && why.contains("already in use") => return Ok(()),
        serving => serving.unwrap_or_else(|why| panic!("{why} in the end: {}", show(&arrangement))),
    };
    let told = model::start_with(&arrangement.argv[1..], &last);
    assert_eq!(
        told.as_ref(),
        Ok(&serving),
        "what argv says, and what the files do"
    );
    assert_eq!(
        last.config_file.contents.clone().unwrap_or_default(),
        arrangement.config
    );
    let file = |name: &str| Some(format!("{FILES}/{name}"));
    assert!(serving.verified, "{}", show(&arrangement));
    assert_eq!(
        (&serving.ca, &serving.cert, &serving.key),
        (&file("ca.pem"), &file("cert.pem"), &file("key.pem"))
    );
    let covers =
        |host: &String| flags::Endpoint::parse(host).covers(wanted().listen.ip(), wanted().listen.port());
    assert_eq!(
        serving.tcp.iter().filter(|host| covers(host)).count(),
        1,
        "{}",
        show(&arrangement)
    );
    if let Ok(first) = &first {
        assert!(
            serving.local || !first.local,
            "the local socket is gone: {}",
            show(&arrangement)
        );
    }
    check_overwritten(&last, &arrangement);
    let again = arrange(&last, &wanted()).unwrap();
    let again: Vec<String> = again.changes.iter().map(diff::unified).collect();
    assert_eq!(again, Vec::<String>::new(), "a second time");
    Ok(())
}

/// Whatever another tool writes into the configuration file, dockerd lets nobody in without a certificate where it
/// listened before, or does not start; unless it was said that it might.
fn check_overwritten(settled: &DaemonFacts, arrangement: &Arrangement) {
    if arrangement
        .notes
        .iter()
        .any(|note| note.contains("opens it to everybody"))
    {
        return;
    }
    let before = model::start(settled)
        .map(|serving| serving.tcp)
        .unwrap_or_default();
    let theirs = [
        "",
        "{}",
        r#"{"debug": true}"#,
        r#"{"tls": false}"#,
        r#"{"tlsverify": false}"#,
        r#"{"tls": true, "tlsverify": false, "tlscert": "/theirs/cert.pem", "tlskey": "/theirs/key.pem"}"#,
    ];
    for text in theirs {
        let mut facts = settled.clone();
        facts.config_file.contents = Some(text.as_bytes().to_vec());
        let Ok(serving) = model::start(&facts) else {
            continue;
        };
        let opened = serving.open().into_iter().find(|host| before.contains(host));
        assert_eq!(opened, None, "{text} after {}", show(arrangement));
    }
}

fn moves(arrangement: &Arrangement) -> String {
    arrangement.moves.iter().map(diff::unified).collect()
}

/// A host as an agent left it that put the port and TLS into two files: nothing is done until there is a restart, and
/// on the way it can be started, and nobody is let in.
fn check_moving(facts: &DaemonFacts) {
    let Ok(apart) = arrange_by_layout(facts, &wanted(), Way::Apart) else {
        return;
    };
    let earlier = applied(facts.clone(), &apart.changes);
    let Ok(arrangement) = arrange(&earlier, &wanted()) else {
        panic!("it was arranged: {}", show(&apart));
    };
    assert_eq!(arrangement.changes, [], "only with a restart");
    let Ok(first) = model::start(&earlier) else { return };
    for count in 1..=arrangement.moves.len() {
        let state = applied(earlier.clone(), &arrangement.moves[..count]);
        let now = model::start(&state)
            .unwrap_or_else(|why| panic!("{why} after {count} of {}", moves(&arrangement)));
        assert_eq!(
            now.open(),
            Vec::<&String>::new(),
            "open after {count} of {}",
            moves(&arrangement)
        );
        assert!(
            now.local || !first.local,
            "no local socket after {count} of {}",
            moves(&arrangement)
        );
    }
    let moved = applied(earlier, &arrangement.moves);
    assert_eq!(model::start(&moved).as_ref(), Ok(&first), "it does what it did");
    let again = arrange(&moved, &wanted()).unwrap();
    assert_eq!((again.changes, again.moves), (Vec::new(), Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1200))]

    #[test]
    fn a_unit_can_be_started_after_each_write(facts in any_systemd()) {
        if let Err(refusal) = check(&facts) {
            let split = matches!(refusal, Refusal::Split { .. });
            prop_assert!(split || model::start(&facts).is_err(), "{refusal}");
        }
    }

    #[test]
    fn what_an_earlier_agent_left_moves_with_the_next_restart(unit in any_systemd(), script in any_script()) {
        check_moving(&unit);
        check_moving(&script);
    }

    #[test]
    fn a_service_script_can_be_started_after_each_write(facts in any_script()) {
        if let Err(refusal) = check(&facts) {
            // Flags without effect: those of a script cannot be told from those that it adds itself.
            let dead = matches!(refusal, Refusal::Options { .. }) && refusal.to_string().contains("no effect");
            let split = matches!(refusal, Refusal::Split { .. });
            prop_assert!(split || dead || model::start(&facts).is_err(), "{refusal}");
        }
    }
}
