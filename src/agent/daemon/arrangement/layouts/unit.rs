//! A unit of systemd: its flags are changed by a drop-in that repeats its `ExecStart=`.

use std::path::Path;

use super::{FlagsFile, SOCKET, config_file, finish, parse_flags, told};
use crate::agent::daemon::arrangement::exec_start::{self, ExecStart, Specifiers};
use crate::agent::daemon::arrangement::flags::Edit;
use crate::agent::daemon::arrangement::settings::{self, Settled, Way};
use crate::agent::daemon::arrangement::{Arrangement, DROP_IN_NAME, Refusal, Wanted, unit_file};
use crate::agent::daemon::facts::{DaemonFacts, Scope, Unit};

/// Decides for the machine's own unit.
pub(super) fn arrange(
    facts: &DaemonFacts,
    wanted: &Wanted,
    name: &str,
    scope: &Scope,
    way: Way,
) -> Result<Arrangement, Refusal> {
    let (unit, exec) = read(facts, name, scope)?;
    let program = Path::new(&exec.program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    if program != "dockerd" && !program.starts_with("dockerd-") || program.ends_with(".sh") {
        return Err(Refusal::Unit {
            path: exec.path.clone(),
            why: format!(
                "ExecStart= runs {}, which is not dockerd: what dockerd is told by it is not known; name dockerd itself",
                exec.program
            ),
        });
    }
    let words = exec.words();
    let flags = parse_flags(&words, &exec.path)?;
    let mut json = config_file(facts, &flags, &exec.path)?;
    let handed = handed(unit);
    let settled = settings::settle(
        &told(&flags, words.len(), &exec.path, &handed, SOCKET),
        &mut json,
        wanted,
        way,
    )?;
    let after = settled.edit.apply(&words);
    let drop_in = drop_in(unit, &exec, &settled, None)?;
    let argv = std::iter::once(exec.program.clone()).chain(after).collect();
    finish(facts, json, settled, argv, Some(drop_in), way)
}

/// The unit, and what it runs without us.
pub(super) fn read<'a>(
    facts: &'a DaemonFacts,
    name: &str,
    scope: &Scope,
) -> Result<(&'a Unit, ExecStart), Refusal> {
    let unit = facts.unit.as_ref().ok_or_else(|| {
        Refusal::Unrecognised(format!(
            "systemd is said to start dockerd, and its unit {name} was not found"
        ))
    })?;
    let specifiers = Specifiers { unit: name, scope };
    let exec = ExecStart::of(unit, &facts.options_files, &specifiers)?;
    Ok((unit, exec))
}

/// What the socket units hand over.
pub(super) fn handed(unit: &Unit) -> Vec<String> {
    let listen = unit.sockets.iter().flat_map(|socket| &socket.listen);
    listen.cloned().collect()
}

/// The drop-in's text.
fn drop_in_text(exec: &ExecStart, line: &str, environment: Option<&str>) -> String {
    let mut text = format!(
        "# Written by dockwarden from {}; changes in this file are overwritten.\n[Service]\n",
        exec.path.display()
    );
    if let Some(assignment) = environment {
        text.push_str(&format!("Environment={}\n", unit_file::quote(assignment)));
    }
    text.push_str(&format!("ExecStart=\nExecStart={line}\n"));
    text
}

/// The drop-in as it is, as it is to be, and on the way.
pub(super) fn drop_in(
    unit: &Unit,
    exec: &ExecStart,
    settled: &Settled,
    environment: Option<&str>,
) -> Result<FlagsFile, Refusal> {
    let text = |edit: &Edit| {
        let needed = environment.is_some() || !edit.is_empty();
        needed.then(|| drop_in_text(exec, &exec.rewrite(edit), environment).into_bytes())
    };
    let then = text(&settled.edit);
    if then.is_some() {
        refuse_overridden(unit)?;
    }
    let path = unit.drop_in_directory.join(DROP_IN_NAME);
    let now = unit.drop_ins.iter().find(|file| file.path == path);
    Ok(FlagsFile {
        now: now.map(|file| file.contents.clone().into_bytes()),
        then,
        closing: settled.closing.as_ref().map(text),
        path,
        reload_units: true,
    })
}

/// A drop-in that comes after ours.
fn refuse_overridden(unit: &Unit) -> Result<(), Refusal> {
    let overrides = |name: &std::ffi::OsStr| name.as_encoded_bytes() > DROP_IN_NAME.as_bytes();
    let later = unit.drop_ins.iter().find(|file| {
        let sets = unit_file::parse(&file.contents)
            .iter()
            .any(|setting| setting.key == "ExecStart");
        sets && !exec_start::is_ours(&file.path) && file.path.file_name().is_some_and(overrides)
    });
    match later {
        Some(file) => Err(Refusal::Unit {
            path: file.path.clone(),
            why: format!(
                "it would override {DROP_IN_NAME}, which sorts before it: rename it, so that it sorts first"
            ),
        }),
        None => Ok(()),
    }
}
