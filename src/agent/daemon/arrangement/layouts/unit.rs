//! A unit of systemd: its flags are changed by a drop-in that repeats its `ExecStart=`.

use std::path::Path;

use super::{SOCKET, config_file, file_change, finish, parse_flags, told};
use crate::agent::daemon::arrangement::exec_start::{self, ExecStart, Specifiers};
use crate::agent::daemon::arrangement::settings;
use crate::agent::daemon::arrangement::{Arrangement, DROP_IN_NAME, FileChange, Refusal, Wanted, unit_file};
use crate::agent::daemon::facts::{DaemonFacts, Scope, Unit};

/// Decides for the machine's own unit.
pub(super) fn arrange(
    facts: &DaemonFacts,
    wanted: &Wanted,
    name: &str,
    scope: &Scope,
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
    )?;
    let after = settled.edit.apply(&words);
    let drop_in = (!settled.edit.is_empty()).then(|| drop_in_text(&exec, &exec.rewrite(&settled.edit), None));
    let changes = in_order(
        file_change(facts, &json)?,
        drop_in_change(unit, drop_in)?,
        settled.hosts_in_file,
    );
    let argv = std::iter::once(exec.program.clone()).chain(after).collect();
    finish(facts, json, settled, argv, changes)
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

/// TLS before hosts: the file first when the hosts are flags, the flags first when the hosts are in the file.
pub(super) fn in_order(
    file: Option<FileChange>,
    flags: Option<FileChange>,
    hosts_in_file: bool,
) -> Vec<FileChange> {
    let (first, second) = if hosts_in_file {
        (flags, file)
    } else {
        (file, flags)
    };
    first.into_iter().chain(second).collect()
}

/// The drop-in's text.
pub(super) fn drop_in_text(exec: &ExecStart, line: &str, environment: Option<&str>) -> String {
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

/// The change of the drop-in, if it is not so already.
pub(super) fn drop_in_change(unit: &Unit, after: Option<String>) -> Result<Option<FileChange>, Refusal> {
    let path = unit.drop_in_directory.join(DROP_IN_NAME);
    let overrides = |name: &std::ffi::OsStr| name.as_encoded_bytes() > DROP_IN_NAME.as_bytes();
    let later = unit.drop_ins.iter().find(|file| {
        let sets = unit_file::parse(&file.contents)
            .iter()
            .any(|setting| setting.key == "ExecStart");
        sets && !exec_start::is_ours(&file.path) && file.path.file_name().is_some_and(overrides)
    });
    if let Some(file) = later.filter(|_| after.is_some()) {
        return Err(Refusal::Unit {
            path: file.path.clone(),
            why: format!(
                "it would override {DROP_IN_NAME}, which sorts before it: rename it, so that it sorts first"
            ),
        });
    }
    let before = unit.drop_ins.iter().find(|file| file.path == path);
    let before = before.map(|file| file.contents.clone());
    Ok((before != after).then(|| FileChange {
        path,
        before: before.map(String::into_bytes),
        after: after.map(String::into_bytes),
        reload_units: true,
    }))
}
