//! Each layout: where its flags are written down, and how a change of them is.

mod rootless;
mod script;
mod unit;

use std::path::{Path, PathBuf};

use super::daemon_json::DaemonJson;
use super::flags::{self, Flag};
use super::settings::{Settled, Told, Way};
use super::{Arrangement, FileChange, Refusal, Wanted};
use crate::agent::daemon::facts::{DaemonFacts, Layout, Scope};

/// Where dockerd listens when nothing says so.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// The first engine that reads a configuration with a byte order mark.
const MARK_READ_SINCE: u32 = 23;
/// What the snap may read and keeps over its updates.
const SNAP_FILES: &str = "/var/snap/docker/common";

/// What opens the port and what asks for certificates in one file; in two where that cannot be reached safely, and
/// until the next restart where an earlier agent has left it so.
pub(super) fn arrange(facts: &DaemonFacts, wanted: &Wanted) -> Result<Arrangement, Refusal> {
    let apart = || arrange_by_layout(facts, wanted, Way::Apart);
    let Ok(together) = arrange_by_layout(facts, wanted, Way::Together) else {
        return apart();
    };
    // Nothing is written only to move settings: they move with something else, or with the next restart.
    let moves = !together.changes.is_empty();
    match apart().ok().filter(|apart| moves && apart.changes.is_empty()) {
        Some(mut apart) => {
            apart
                .notes
                .push("it moves into one file with the next restart".to_owned());
            apart.moves = together.changes;
            apart.closing = together.closing;
            Ok(apart)
        }
        None => Ok(together),
    }
}

/// One way.
pub(super) fn arrange_by_layout(
    facts: &DaemonFacts,
    wanted: &Wanted,
    way: Way,
) -> Result<Arrangement, Refusal> {
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
        } => unit::arrange(facts, wanted, unit, scope, way),
        Layout::Systemd { unit, scope } => rootless::arrange(facts, wanted, unit, scope, way),
        Layout::Snap { .. } => arrange_snap(facts, wanted, way),
        Layout::Service { .. } | Layout::Plain { .. } => {
            script::arrange(facts, wanted, &facts.options_files, way)
        }
    }
}

/// The snap owns the command line; its configuration file is ours to change.
fn arrange_snap(facts: &DaemonFacts, wanted: &Wanted, way: Way) -> Result<Arrangement, Refusal> {
    if !wanted.directory.starts_with(SNAP_FILES) {
        return Err(Refusal::Directory {
            path: wanted.directory.clone(),
            why: format!(
                "the snap may not read this directory: set files = \"{SNAP_FILES}/dockwarden\" in agent.toml"
            ),
        });
    }
    script::arrange(facts, wanted, &[], way)
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
        fixed: 0,
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

/// The file with the flags: as it is, as it is to be, and on the way.
struct FlagsFile {
    path: PathBuf,
    now: Option<Vec<u8>>,
    then: Option<Vec<u8>>,
    closing: Option<Option<Vec<u8>>>,
    reload_units: bool,
}

impl FlagsFile {
    fn change(&self, before: &Option<Vec<u8>>, after: &Option<Vec<u8>>) -> FileChange {
        FileChange {
            path: self.path.clone(),
            before: before.clone(),
            after: after.clone(),
            reload_units: self.reload_units,
        }
    }

    /// For the order see `docs/adr/0011-one-file-opens-and-guards.md`: what asks for certificates comes before what opens
    /// the port, and while it moves from the file to the flags the port is closed.
    fn in_order(
        &self,
        file: Option<FileChange>,
        settled: &Settled,
        way: Way,
    ) -> Result<Vec<FileChange>, Refusal> {
        let flags = self.change(&self.now, &self.then);
        let first = |flags, file: Option<FileChange>| std::iter::once(flags).chain(file).collect();
        let changes: Vec<FileChange> = match &self.closing {
            Some(closing) if settled.leaves_file && self.now != self.then => {
                let close = self.change(&self.now, closing);
                let open = self.change(closing, &self.then);
                std::iter::once(close).chain(file).chain([open]).collect()
            }
            None if settled.leaves_file && self.now != self.then => {
                let why = "the port cannot be closed while settings of TLS move into one file";
                return Err(Refusal::Unrecognised(why.to_owned()));
            }
            _ if settled.hosts_in_file || (way == Way::Together && !settled.leaves_file) => {
                first(flags, file)
            }
            _ => file.into_iter().chain([flags]).collect(),
        };
        let differs = |change: &FileChange| change.before != change.after;
        Ok(changes.into_iter().filter(differs).collect())
    }
}

fn finish(
    facts: &DaemonFacts,
    json: DaemonJson,
    settled: Settled,
    argv: Vec<String>,
    flags: Option<FlagsFile>,
    way: Way,
) -> Result<Arrangement, Refusal> {
    let file = file_change(facts, &json)?;
    let closing = flags
        .as_ref()
        .and_then(|flags| Some(flags.change(&flags.now, flags.closing.as_ref()?)));
    Ok(Arrangement {
        changes: match flags {
            Some(flags) => flags.in_order(file, &settled, way)?,
            None => file.into_iter().collect(),
        },
        moves: Vec::new(),
        closing,
        argv,
        config_path: facts.config_file.path.clone(),
        config: json.bytes()?.unwrap_or_default(),
        notes: settled.notes,
    })
}
