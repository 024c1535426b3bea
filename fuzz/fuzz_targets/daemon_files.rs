//! What a Docker host may have lying about: `daemon.json`, a unit, a file of options, in one input with lines of `====`
//! between them. Whatever is in them is refused in words, or arranged once and for all and given back byte for byte.
#![no_main]

use std::path::PathBuf;

use dockwarden::agent::daemon::arrangement::release::{Release, release};
use dockwarden::agent::daemon::arrangement::{Arrangement, FileChange, Wanted, arrange, diff};
use dockwarden::agent::daemon::facts::{
    ConfigFile, DaemonFacts, DaemonState, EngineFacts, Layout, OptionsFile, Program, Scope, ServiceManager,
    SocketUnit, Unit, UnitFile,
};
use libfuzzer_sys::fuzz_target;

/// What a person reads.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
const OPTIONS: &str = "/etc/default/docker";

fuzz_target!(|input: &[u8]| {
    let parts: Vec<&[u8]> = split(input, b"\n====\n");
    let [config, unit, options, ..] = parts[..] else {
        return;
    };
    let (Ok(unit), Ok(options)) = (str::from_utf8(unit), str::from_utf8(options)) else {
        return;
    };
    for unit in [Some(unit), None] {
        let facts = facts(config, unit, options);
        match arrange(&facts, &wanted()) {
            Ok(arrangement) => check(facts, &arrangement),
            Err(refusal) => {
                let message = refusal.to_string();
                assert!(
                    !message.is_empty() && message.len() <= MESSAGE_BYTES_MAX + 4 * input.len(),
                    "{message}"
                );
            }
        }
    }
});

fn split<'a>(mut input: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = input
        .windows(separator.len())
        .position(|window| window == separator)
    {
        parts.push(&input[..at]);
        input = &input[at + separator.len()..];
    }
    parts.push(input);
    parts
}

fn wanted() -> Wanted {
    Wanted {
        listen: "0.0.0.0:2376".parse().expect("an address"),
        directory: PathBuf::from("/etc/docker/dockwarden/current"),
    }
}

fn facts(config: &[u8], unit: Option<&str>, options: &str) -> DaemonFacts {
    let layout = match unit {
        Some(_) => Layout::Systemd {
            unit: "docker.service".to_owned(),
            scope: Scope::System,
        },
        None => Layout::Service {
            manager: ServiceManager::SysV,
            name: "docker".to_owned(),
        },
    };
    DaemonFacts {
        layout,
        state: DaemonState::Stopped,
        process: None,
        program: Some(Program {
            path: PathBuf::from("/usr/bin/dockerd"),
            version: None,
            validates: false,
        }),
        config_file: ConfigFile {
            path: PathBuf::from("/etc/docker/daemon.json"),
            named_by_flag: false,
            contents: Some(config.to_vec()),
        },
        unit: unit.map(|text| Unit {
            fragment: UnitFile {
                path: PathBuf::from("/lib/systemd/system/docker.service"),
                contents: text.to_owned(),
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
        options_files: vec![OptionsFile {
            path: PathBuf::from(OPTIONS),
            contents: options.to_owned(),
        }],
        engine: EngineFacts::default(),
        listeners: Vec::new(),
    }
}

fn check(mut facts: DaemonFacts, arrangement: &Arrangement) {
    for change in &arrangement.changes {
        diff::unified(change);
        let after = change
            .after
            .clone()
            .expect("nothing of ours is there to be removed");
        if let Some(before) = &change.before {
            assert_ne!(*before, after, "a change that changes nothing");
        }
        let given_back = release(change.before.as_deref(), &after, Some(&after));
        assert_eq!(given_back, Release::Original(change.before.clone()));
    }
    apply(&mut facts, &arrangement.changes);
    let again = arrange(&facts, &wanted()).expect("it was arranged a moment before");
    assert!(again.changes.is_empty(), "{:?}", again.changes);
    assert_eq!(again.argv, arrangement.argv);
    // What could not move in one step moves with the next restart, once.
    apply(&mut facts, &again.moves);
    let last = arrange(&facts, &wanted()).expect("it was arranged a moment before");
    assert!(
        last.changes.is_empty() && last.moves.is_empty(),
        "{:?}",
        (last.changes, last.moves)
    );
}

fn apply(facts: &mut DaemonFacts, changes: &[FileChange]) {
    for change in changes {
        if change.path == facts.config_file.path {
            facts.config_file.contents.clone_from(&change.after);
            continue;
        }
        let text = change.after.clone();
        let text = text.map(|text| String::from_utf8(text).expect("text was made from text"));
        match facts.unit.as_mut() {
            Some(unit) => {
                // The port is closed in it first where settings move.
                unit.drop_ins.retain(|file| file.path != change.path);
                unit.drop_ins.extend(text.map(|contents| UnitFile {
                    path: change.path.clone(),
                    contents,
                }));
            }
            None => facts.options_files[0].contents = text.expect("not a file of ours alone"),
        }
    }
}
