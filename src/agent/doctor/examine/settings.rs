//! What dockerd would be told at its next start: by its unit where systemd starts it, else as it was told before; and
//! by its configuration file as it is now.

use std::path::PathBuf;

use serde_json::Value;

use super::super::examined::Settings;
use crate::agent::daemon::arrangement::daemon_json::{
    DaemonJson, HOSTS, LIVE_RESTORE, TLS, TLS_CA, TLS_CERT, TLS_KEY, TLS_VERIFY,
};
use crate::agent::daemon::arrangement::exec_start::{ExecStart, Specifiers, is_ours};
use crate::agent::daemon::arrangement::flags::{self, Flag};
use crate::agent::daemon::facts::{DaemonFacts, Layout};

/// Authorization plugins in `daemon.json`.
const PLUGINS: &str = "authorization-plugins";
/// What our drop-in is called while it is read like any other: it counts here, as it counts for systemd.
const COUNTED: &str = "zz-counted.conf";

/// What it would be told.
#[derive(Debug)]
pub(super) struct Told {
    /// The settings.
    pub(super) settings: Settings,
    /// The words after the program.
    pub(super) words: Vec<String>,
}

/// Reads flags and file.
///
/// # Errors
/// What dockerd would not start with, in words.
pub(super) fn read(facts: &DaemonFacts) -> Result<Told, String> {
    let words = next_words(facts);
    let flags = flags::parse(&words)?;
    let file = &facts.config_file;
    let json = DaemonJson::parse(&file.path, file.contents.as_deref()).map_err(|e| e.to_string())?;
    let settings = combine(&flags, &json);
    Ok(Told { settings, words })
}

/// The words after the program: the unit's, when they can be read and start dockerd; else the running process's.
fn next_words(facts: &DaemonFacts) -> Vec<String> {
    let process = facts.process.as_ref();
    let running = process.map(|process| process.argv.iter().skip(1).cloned().collect());
    unit_words(facts).or(running).unwrap_or_default()
}

fn unit_words(facts: &DaemonFacts) -> Option<Vec<String>> {
    let Layout::Systemd { unit: name, scope } = &facts.layout else {
        return None;
    };
    let mut unit = facts.unit.clone()?;
    for drop_in in unit.drop_ins.iter_mut().filter(|file| is_ours(&file.path)) {
        drop_in.path.set_file_name(COUNTED);
    }
    let exec = ExecStart::of(&unit, &facts.options_files, &Specifiers { unit: name, scope }).ok()?;
    let program = PathBuf::from(&exec.program);
    let program = program.file_name()?.to_str()?;
    program.starts_with("dockerd").then(|| exec.words())
}

fn combine(flags: &[Flag], json: &DaemonJson) -> Settings {
    let of = |key: &'static str| flags.iter().filter(move |flag| flag.key() == key);
    let switch = |key| {
        let flag = of(key).next_back().and_then(Flag::is_on);
        flag.or_else(|| json.get(key).and_then(Value::as_bool))
    };
    let path = |key| {
        let flag = of(key).next_back().map(|flag| flag.value.clone());
        let text = flag.or_else(|| json.get(key).and_then(Value::as_str).map(str::to_owned));
        text.map(PathBuf::from)
    };
    let list = |key: &'static str| {
        let given: Vec<String> = of(key).map(|flag| flag.value.clone()).collect();
        if given.is_empty() { json.list(key) } else { given }
    };
    let conflicts = flags
        .iter()
        .filter(|flag| json.settings().any(|key| key == flag.key() || key == flag.name));
    let mut conflicts: Vec<String> = conflicts.map(|flag| flag.key().to_owned()).collect();
    conflicts.dedup();
    let verify = switch(TLS_VERIFY);
    Settings {
        hosts: list(HOSTS),
        // tlsverify switches TLS on, whatever its own value; tls alone demands nothing from clients.
        tls: verify.is_some() || switch(TLS).unwrap_or(false),
        tls_verify: verify.unwrap_or(false),
        tls_ca: path(TLS_CA),
        tls_cert: path(TLS_CERT),
        tls_key: path(TLS_KEY),
        live_restore: switch(LIVE_RESTORE).unwrap_or(false),
        authorization_plugins: list(PLUGINS),
        conflicts,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::checks_fixture::{examined, file, options, unit};
    use super::*;
    use crate::agent::daemon::arrangement::DROP_IN_NAME;

    fn facts(argv: &[&str], json: &str) -> DaemonFacts {
        let mut facts = examined().docker.unwrap().facts;
        let process = facts.process.as_mut().unwrap();
        process.argv = std::iter::once("dockerd")
            .chain(argv.iter().copied())
            .map(str::to_owned)
            .collect();
        facts.config_file.contents = Some(json.as_bytes().to_vec());
        facts
    }

    #[test]
    fn flags_and_file_are_read_together() {
        let json = r#"{"tlsverify": true, "tlscert": "/c.pem", "authorization-plugins": ["opa"], "live-restore": true}"#;
        let told = read(&facts(
            &["-H", "fd://", "-H=tcp://0.0.0.0:2376", "--tlskey", "/k.pem"],
            json,
        ))
        .unwrap();
        let expected = Settings {
            hosts: vec!["fd://".into(), "tcp://0.0.0.0:2376".into()],
            tls: true,
            tls_verify: true,
            tls_cert: Some("/c.pem".into()),
            tls_key: Some("/k.pem".into()),
            live_restore: true,
            authorization_plugins: vec!["opa".into()],
            ..Settings::default()
        };
        assert_eq!(told.settings, expected);
    }

    #[test]
    fn a_setting_in_both_places_is_a_conflict_and_nonsense_an_error() {
        let both = read(&facts(
            &["-H", "fd://", "-H", "unix://"],
            r#"{"hosts": ["fd://"], "debug": true}"#,
        ))
        .unwrap();
        assert_eq!(both.settings.conflicts, ["hosts"]);
        assert!(
            read(&facts(&[], "{\"hosts\": \"fd://\"}"))
                .unwrap_err()
                .contains("hosts")
        );
        assert!(read(&facts(&["stray"], "{}")).unwrap_err().contains("stray"));
    }

    #[test]
    fn tls_without_verification_is_not_verification() {
        for (argv, tls, verify) in [
            (&["--tls"][..], true, false),
            (&["--tlsverify"], true, true),
            (&["--tlsverify=false"], true, false),
            (&[], false, false),
        ] {
            let settings = read(&facts(argv, "{}")).unwrap().settings;
            assert_eq!((settings.tls, settings.tls_verify), (tls, verify), "{argv:?}");
        }
    }

    #[test]
    fn what_counts_is_what_systemd_would_start_our_drop_in_included() {
        let mut facts = facts(&["-H", "fd://"], "{}");
        let mut unit = unit(None);
        unit.fragment.contents = "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\n".into();
        facts.options_files = vec![options("/etc/default/docker", "DOCKER_OPTS=\"--debug\"\n")];
        facts.unit = Some(unit.clone());
        assert_eq!(read(&facts).unwrap().words, ["-H", "fd://", "--debug"]);
        let ours = format!("/etc/systemd/system/docker.service.d/{DROP_IN_NAME}");
        unit.drop_ins = vec![file(
            &ours,
            "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H tcp://0.0.0.0:2376\n",
        )];
        facts.unit = Some(unit);
        assert_eq!(read(&facts).unwrap().settings.hosts, ["tcp://0.0.0.0:2376"]);
    }
}
