//! Each layout: where its flags are written down, and how a change of them is.

mod rootless;
mod script;
mod unit;

use std::path::Path;

use super::daemon_json::DaemonJson;
use super::flags::{self, Flag};
use super::settings::{Settled, Told};
use super::{Arrangement, FileChange, Refusal, Wanted};
use crate::agent::daemon::facts::{DaemonFacts, Layout, Scope};

/// Where dockerd listens when nothing says so.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// The first engine that reads a configuration with a byte order mark.
const MARK_READ_SINCE: u32 = 23;
/// What the snap may read and keeps over its updates.
const SNAP_FILES: &str = "/var/snap/docker/common";

/// Decides by layout.
pub(super) fn arrange(facts: &DaemonFacts, wanted: &Wanted) -> Result<Arrangement, Refusal> {
    if !wanted.directory.is_absolute() {
        return Err(Refusal::Directory {
            path: wanted.directory.clone(),
            why: "dockerd needs an absolute path to its certificates".to_owned(),
        });
    }
    match &facts.layout {
        Layout::Unrecognised(why) => Err(Refusal::Unrecognised(why.clone())),
        Layout::Systemd {
            unit,
            scope: scope @ Scope::System,
        } => unit::arrange(facts, wanted, unit, scope),
        Layout::Systemd { unit, scope } => rootless::arrange(facts, wanted, unit, scope),
        Layout::Snap { .. } => arrange_snap(facts, wanted),
        Layout::Service { .. } | Layout::Plain { .. } => script::arrange(facts, wanted, &facts.options_files),
    }
}

/// The snap owns the command line; its configuration file is ours to change.
fn arrange_snap(facts: &DaemonFacts, wanted: &Wanted) -> Result<Arrangement, Refusal> {
    if !wanted.directory.starts_with(SNAP_FILES) {
        return Err(Refusal::Directory {
            path: wanted.directory.clone(),
            why: format!(
                "the snap may not read this directory: set files = \"{SNAP_FILES}/dockwarden\" in agent.toml"
            ),
        });
    }
    script::arrange(facts, wanted, &[])
}

fn parse_flags(words: &[String], place: &Path) -> Result<Vec<Flag>, Refusal> {
    flags::parse(words).map_err(|why| Refusal::Unit {
        path: place.to_owned(),
        why: format!("{why}; dockerd does not start with it: correct it"),
    })
}

fn told<'a>(flags: &'a [Flag], words: usize, place: &Path, handed: &'a [String], socket: &str) -> Told<'a> {
    Told {
        flags,
        words,
        place: place.to_owned(),
        handed,
        socket: socket.to_owned(),
    }
}

/// The configuration file that these flags lead to. What is known of it is what was looked at.
fn config_file(facts: &DaemonFacts, flags: &[Flag], place: &Path) -> Result<DaemonJson, Refusal> {
    let named = flags.iter().rev().find(|flag| flag.name == "config-file");
    let found = &facts.config_file;
    if let Some(flag) = named.filter(|flag| Path::new(&flag.value) != found.path) {
        return Err(Refusal::Unit {
            path: place.to_owned(),
            why: format!(
                "it names {} as dockerd's configuration, and dockerd runs with {}: restart it once, so that both are one",
                flag.value,
                found.path.display()
            ),
        });
    }
    refuse_mark(facts)?;
    DaemonJson::parse(&found.path, found.contents.as_deref())
}

/// A byte order mark in front of an engine that takes it for a part of the text.
fn refuse_mark(facts: &DaemonFacts) -> Result<(), Refusal> {
    let contents = facts.config_file.contents.as_deref().unwrap_or_default();
    let marked = [b"\xef\xbb\xbf".as_slice(), b"\xff\xfe", b"\xfe\xff"]
        .iter()
        .any(|mark| contents.starts_with(mark));
    let version = facts
        .program
        .as_ref()
        .and_then(|program| program.version.as_deref());
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if marked && major.is_some_and(|major| major < MARK_READ_SINCE) {
        return Err(Refusal::Json {
            path: facts.config_file.path.clone(),
            line: 1,
            column: 1,
            why: format!(
                "it starts with a byte order mark, which dockerd reads from {MARK_READ_SINCE}.0 on: save it without"
            ),
        });
    }
    Ok(())
}

fn file_change(facts: &DaemonFacts, json: &DaemonJson) -> Result<Option<FileChange>, Refusal> {
    let after = json.bytes()?;
    let before = facts.config_file.contents.clone();
    Ok((before != after).then(|| FileChange {
        path: facts.config_file.path.clone(),
        before,
        after,
        reload_units: false,
    }))
}

fn finish(
    facts: &DaemonFacts,
    json: DaemonJson,
    settled: Settled,
    argv: Vec<String>,
    changes: Vec<FileChange>,
) -> Result<Arrangement, Refusal> {
    Ok(Arrangement {
        changes,
        argv,
        config_path: facts.config_file.path.clone(),
        config: json.bytes()?.unwrap_or_default(),
        notes: settled.notes,
    })
}
